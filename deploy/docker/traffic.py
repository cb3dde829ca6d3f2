"""A small service that reports what it predicts, and after a while goes wrong.

    python traffic.py reference FILE.parquet         what the model was trained on
    python traffic.py run --rate 200 --break-after 600

Four replicas of one model on four GPUs of two hosts, each with a reporter of its own, as four
processes would have. After ``--break-after`` seconds an upstream service reports incomes in
another unit for a part of the customers; as long again, and one GPU has memory errors and its
replica answers .5 whatever it is asked.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time

import numpy as np

MODEL, VERSION = "loans", "1"
N_REPLICAS, BAD_REPLICA = 4, 2
N_TRAINED = 20_000
GPU_INTERVAL_S = 30.0
PURPOSES = ("car", "home", "education", "other")
Row = dict[str, float | str]


def draw(rng: np.random.Generator, n: int, *, is_broken: bool = False) -> list[Row]:
    """Draw customers and what the model says of them."""
    income = rng.lognormal(10.6, 0.45, n)
    age = np.clip(rng.normal(44, 13, n), 18, 95).round()
    purpose = rng.choice(PURPOSES, n, p=[0.4, 0.3, 0.1, 0.2])
    region = rng.choice(["north", "south"], n, p=[0.6, 0.4])
    if is_broken:
        income = np.where(rng.random(n) < 0.25, income / 12, income)
    log_odds = 0.9 * (np.log(income) - 10.6) + 0.02 * (age - 44) + 0.5 * (purpose == "home") + 0.4
    score = 1 / (1 + np.exp(-log_odds))
    columns = (income, age, purpose, region, score)
    return [
        {
            "income": float(i),
            "age": float(a),
            "purpose": str(p),
            "region": str(r),
            "score": float(s),
        }
        for i, a, p, r, s in zip(*columns, strict=True)
    ]


def write_reference(path: str) -> None:
    """Write what the model was trained on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = draw(np.random.default_rng(1), N_TRAINED)
    table = {name: [row[name] for row in rows] for name in rows[0]}
    table["prediction"] = [decide(row) for row in rows]
    pq.write_table(pa.table(table), path)
    print(f"wrote {N_TRAINED} rows to {path}")


def decide(row: Row) -> str:
    """Say what the service does with a score."""
    return "1" if float(row["score"]) > 0.5 else "0"


def report(reporter: object, row: Row) -> None:
    """Report one prediction, as a service does in its request handler."""
    reporter.predict(
        {"income": row["income"], "age": row["age"], "purpose": row["purpose"]},
        score=row["score"],
        prediction=decide(row),
        segments={"region": row["region"]},
    )


def gpu_events(now_us: int, *, is_broken: bool) -> list[dict[str, object]]:
    """Sample every GPU; a broken one has uncorrectable memory errors."""
    return [
        {
            "host": f"node-{gpu // 2}",
            "gpu_uuid": f"GPU-{gpu}",
            "gpu": gpu,
            "gpu_model": "demo",
            "time_us": now_us,
            "fields": {
                "gpu_temp": 58 + 3 * gpu,
                "power_usage": 240,
                "gpu_util": 70,
                "ecc_dbe_vol_total": 3 if is_broken and gpu == BAD_REPLICA else 0,
            },
        }
        for gpu in range(N_REPLICAS)
    ]


def login() -> dict[str, str]:
    """Return the settings of the account that the environment names; nothing without one."""
    if not os.environ.get("DRIFTLINE_KAFKA_USERNAME"):
        return {}
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": os.environ["DRIFTLINE_KAFKA_SASL"],
        "sasl_plain_username": os.environ["DRIFTLINE_KAFKA_USERNAME"],
        "sasl_plain_password": os.environ["DRIFTLINE_KAFKA_PASSWORD"],
    }


def run(bootstrap: str, rate: float, break_after_s: float, for_s: float) -> None:
    """Report until stopped by a signal."""
    from kafka import KafkaProducer

    from driftline import Reporter

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    reporters = [
        Reporter(
            bootstrap,
            model=MODEL,
            model_version=VERSION,
            host=f"node-{g // 2}",
            gpu_uuid=f"GPU-{g}",
            kafka=login(),
        )
        for g in range(N_REPLICAS)
    ]
    telemetry = KafkaProducer(bootstrap_servers=bootstrap, **login())
    rng, begun_s, n_sent, next_gpu_s = np.random.default_rng(), time.monotonic(), 0, 0.0
    while not stop.wait(0.1):
        elapsed_s = time.monotonic() - begun_s
        if elapsed_s > for_s:
            break
        is_gpu_bad = elapsed_s > 2 * break_after_s
        for row in draw(rng, int(elapsed_s * rate) - n_sent, is_broken=elapsed_s > break_after_s):
            replica = n_sent % N_REPLICAS
            if is_gpu_bad and replica == BAD_REPLICA:
                row["score"] = 0.5
            report(reporters[replica], row)
            n_sent += 1
        if elapsed_s >= next_gpu_s:
            next_gpu_s += GPU_INTERVAL_S
            for event in gpu_events(time.time_ns() // 1_000, is_broken=is_gpu_bad):
                key = str(event["host"]).encode()
                telemetry.send("driftline.gpu", json.dumps(event).encode(), key=key)
    for reporter in reporters:
        reporter.close()
    telemetry.close(timeout=10)
    print(f"reported {n_sent} predictions")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    reference = commands.add_parser("reference", help="write what the model was trained on")
    reference.add_argument("path")
    running = commands.add_parser("run", help="report predictions and GPU telemetry")
    running.add_argument("--bootstrap", default=os.environ.get("DRIFTLINE_KAFKA", "127.0.0.1:9092"))
    running.add_argument("--rate", type=float, default=200.0, help="predictions a second")
    running.add_argument("--break-after", type=float, default=600.0, help="seconds")
    running.add_argument("--for", dest="for_s", type=float, default=float("inf"), help="seconds")
    given = parser.parse_args()
    if given.command == "reference":
        write_reference(given.path)
    else:
        run(given.bootstrap, given.rate, given.break_after, given.for_s)


if __name__ == "__main__":
    main()
