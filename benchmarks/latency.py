"""How long after the event that lets its window close an alert is in the receiver's hands.

A real broker, and ingest, detect and notify as commands, on the same cores, under 100,000
events a second. Two hundred small models run beside the large one that makes the load;
each of them drifts once, a few in each window, and all two hundred close with every window.
``window_p99_s``: from the record time (the broker's) of the last partition's event that
lets the window close to the webhook's receipt, ``group_wait`` 0. ``gpu_p99_s``: from the
record time of an XID 79 to the webhook's receipt, each on a host of its own.

``--quick`` runs event time four times as fast as the clock, with windows of 10 s that close
12 s after their end; the full run is in real time with the defaults (pane 10 s, bound 5 s,
lateness 60 s). Windows are one pane long.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from confluent_kafka import Producer

from benchmarks.events import make_messages, model_config, reference_table
from benchmarks.ingest_run import create_topics
from benchmarks.output import Figures, main
from benchmarks.stage_run import HOOK, CountingReceiver, Traffic, install, stage_commands
from benchmarks.traffic import Orders, watched_name
from monitor.baseline.build import build_baseline
from monitor.core.topics import GPU, PREDICTIONS
from monitor.core.windowing.baseline_codec import with_id
from monitor.devkit.dev_broker import STEADY_LOAD, DevBroker
from monitor.transport.kafka.cluster import Cluster
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig, WindowConfig
from schemas.time_units import SECOND_US

RATE, N_PARTITIONS, N_WATCHED, N_FAULTS = 100_000, 4, 200, 220
PREFIX = "latency."


class Pace(NamedTuple):
    """How event time runs, and how many windows fire."""

    speed: float
    window: WindowConfig
    n_firing: int
    """Windows in which alerts fire, a share of the models in each."""


QUICK = Pace(
    4.0,
    WindowConfig(
        pane=10 * SECOND_US, length=10 * SECOND_US, bound=2 * SECOND_US, lateness=10 * SECOND_US
    ),
    5,
)
FULL = Pace(1.0, WindowConfig(length=10 * SECOND_US), 20)


def watched_models(window: WindowConfig) -> tuple[list[ModelConfig], list[Baseline]]:
    rng = np.random.default_rng(3)
    n = 5_000
    table = pa.table(
        {
            "features.a": rng.normal(size=n),
            "features.b": rng.normal(size=n),
            "score": rng.random(n),
            "time_us": np.arange(n) * SECOND_US,
        }
    )

    def config(i: int) -> ModelConfig:
        return ModelConfig.model_validate(
            {
                "model": watched_name(i),
                "features": {name: {"kind": "numeric", "importance": "high"} for name in "ab"},
                "window": window,
                "decision": {"rule": 1, "persistence": 1},
            }
        )

    models = [config(i) for i in range(N_WATCHED)]
    baseline = build_baseline(table, models[0])
    return models, [with_id(replace(baseline, model=m.model)) for m in models]


def write_faults(cluster: Cluster, n_partitions: int, seconds: float) -> dict[str, int]:
    """Send one XID 79 each on a host of its own, spread over time; record times by GPU."""
    producer, came_ms = Producer(cluster.client() | {"linger.ms": 1}), {}

    def deliver(gpu: str) -> Any:
        return lambda error, message: came_ms.setdefault(gpu, message.timestamp()[1])

    for i in range(N_FAULTS):
        gpu, now_us = f"GPU-{i}", time.time_ns() // 1_000
        event = {"host": f"gpu-{i}", "gpu_uuid": gpu, "time_us": now_us}
        for more in ({"fields": {"gpu_temp": 60}}, {"xid": 79, "xid_sequence": 1}):
            value = json.dumps(event | more).encode()
            callback = deliver(gpu) if "xid" in more else None
            producer.produce(
                cluster.topic(GPU),
                value,
                event["host"].encode(),
                i % n_partitions,
                on_delivery=callback,
            )
        producer.flush(10)
        time.sleep(seconds / N_FAULTS)
    return came_ms


def measure(quick: bool) -> Figures:
    pace = QUICK if quick else FULL
    load = model_config().model_copy(update={"window": pace.window})
    models, baselines = watched_models(pace.window)
    baselines.append(build_baseline(reference_table(make_messages(20_000, 0.0, seed=2)), load))
    drift = [1 + i * pace.n_firing // N_WATCHED for i in range(N_WATCHED)]
    with (
        tempfile.TemporaryDirectory() as folder,
        DevBroker(jvm_options=STEADY_LOAD) as broker,
        CountingReceiver() as receiver,
    ):
        cluster = Cluster(broker.bootstrap, prefix=PREFIX)
        create_topics(broker.bootstrap, PREFIX, N_PARTITIONS)
        config = install(Path(folder, "i"), cluster, [load, *models], baselines)
        orders = Orders(
            broker.bootstrap,
            cluster.topic(PREDICTIONS),
            N_PARTITIONS,
            RATE,
            0,
            speed=pace.speed,
            pane_us=pace.window.pane_us,
            close_after_us=pace.window.lateness_us + pace.window.bound_us,
            n_watched=N_WATCHED,
            watched_rows=100,
            drift_windows=drift,
        )
        traffic = Traffic(orders)
        try:
            with stage_commands(config, ("ingest", "detect", "notify"), **{HOOK: receiver.url}):
                return _drive(cluster, pace, drift, traffic, receiver)
        finally:
            traffic.end()


def _drive(
    cluster: Cluster, pace: Pace, drift: list[int], traffic: Traffic, receiver: CountingReceiver
) -> Figures:
    """Write everything, and wait until every receiver has been notified."""
    window = pace.window
    n_windows_us = (1 + pace.n_firing) * window.pane_us
    last_us = n_windows_us + window.lateness_us + window.bound_us + window.pane_us // 4
    real_s = last_us / pace.speed / SECOND_US
    now_us = time.time_ns() // 1_000
    # Never ahead of the clock, also at the end: event time catches up with it.
    begin_us = (
        (now_us - round(real_s * (pace.speed - 1) * SECOND_US)) // window.pane_us * window.pane_us
    )
    faults: dict[str, int] = {}
    gpu = threading.Thread(
        target=lambda: faults.update(write_faults(cluster, N_PARTITIONS, real_s * 0.9))
    )
    traffic.begin(begin_us=begin_us, end_us=begin_us + last_us)
    gpu.start()
    report = traffic.report()
    gpu.join()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and (
        len(_first(receiver, "drift", "model")) < N_WATCHED
        or len(_first(receiver, "gpu", "gpu_uuid")) < N_FAULTS
    ):
        time.sleep(0.1)
    closing_us = {
        int(end): max(by_partition.values()) * 1_000
        for end, by_partition in report["closing_ms"].items()
    }
    drifted = _first(receiver, "drift", "model")
    windows_s = [
        (drifted[name] - closing_us[begin_us + (n + 1) * window.pane_us]) / 1e6
        for name, n in ((watched_name(i), n) for i, n in enumerate(drift))
        if name in drifted
    ]
    broken = _first(receiver, "gpu", "gpu_uuid")
    gpu_s = [(broken[name] - came_ms * 1_000) / 1e6 for name, came_ms in faults.items()
             if name in broken]  # fmt: skip
    return {
        "window_p99_s": float(np.percentile(windows_s, 99)),
        "gpu_p99_s": float(np.percentile(gpu_s, 99)),
        "window_p50_s": float(np.median(windows_s)),
        "gpu_p50_s": float(np.median(gpu_s)),
        "n_closes": len(windows_s),
        "n_gpu": len(gpu_s),
        "n_untold": N_WATCHED - len(windows_s) + N_FAULTS - len(gpu_s),
        "events_per_s": report["rate"],
        "producer_worst_delay_s": report["worst_delay_s"],
        "speed": pace.speed,
    }


def _first(receiver: CountingReceiver, monitor: str, key: str) -> dict[str, int]:
    """Return the time of the first notification of each model or GPU."""
    found: dict[str, int] = {}
    for alert_id, alert in list(receiver.alerts.items()):
        if alert["monitor"] == monitor and alert["transition"] == "opened":
            came_us = receiver.came_us[alert_id]
            found[alert[key]] = min(came_us, found.get(alert[key], came_us))
    return found


if __name__ == "__main__":
    main("from the event that closes a window to the alert in the receiver's hands", measure)
