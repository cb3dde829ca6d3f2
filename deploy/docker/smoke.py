"""Run a small installation through the installed command, so that every kernel is compiled.

The last build step of the image: what is installed works end to end, and the machine code
of the kernels lies in ``DRIFTLINE_CACHE_DIR`` for the stages to begin with.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MODEL = """model: smoke
features:
  amount: {kind: numeric, range: [0, 10]}
  channel: {kind: categorical}
segments: [region]
positive: "1"
window: {pane: 10s, length: 60s, lateness: 10s}
"""
START_US = 1_767_225_600_000_000
N_TRAINED, N_EVENTS = 4_000, 2_000


def main() -> None:
    """Build a baseline, replay events against it, and expect every one to be counted."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "models").mkdir()
        (folder / "models" / "smoke.yaml").write_text(MODEL)
        (folder / "driftline.yaml").write_text("models: [models/*.yaml]\n")
        rows = draw_rows(N_TRAINED)
        table = {name: [row[name] for row in rows] for name in rows[0]}
        pq.write_table(pa.table(table), folder / "train.parquet")
        lines = (json.dumps(event_of(row, i)) for i, row in enumerate(draw_rows(N_EVENTS)))
        (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
        run(folder, "baseline", "build", "models/smoke.yaml", "-r", "train.parquet")
        answer = run(folder, "replay", "events.jsonl", "--store", "none", "--json")
    n_events = json.loads(answer)["accepted"]
    if n_events != N_EVENTS:
        raise SystemExit(f"{n_events} of {N_EVENTS} events were counted: {answer}")
    compile_reader_kernels()
    print(f"{n_events} events counted; the kernels are compiled")


def draw_rows(n: int) -> list[dict[str, float | str]]:
    """Draw rows of the model."""
    rng = np.random.default_rng(n)
    amounts, scores = rng.uniform(0, 10, n), rng.random(n)
    channels, regions = rng.choice(["web", "shop"], n), rng.choice(["eu", "us"], n)
    return [
        {"amount": float(a), "channel": str(c), "region": str(r), "score": float(s)}
        for a, c, r, s in zip(amounts, channels, regions, scores, strict=True)
    ]


def event_of(row: dict[str, float | str], i: int) -> dict[str, object]:
    """Write a row as producers do, ten a second."""
    return {
        "id": f"e{i}",
        "model": "smoke",
        "model_version": "1",
        "time_us": START_US + i * 100_000,
        "features": {"amount": row["amount"], "channel": row["channel"]},
        "segments": {"region": row["region"]},
        "score": row["score"],
        "prediction": "1",
    }


def compile_reader_kernels() -> None:
    """Call what reads Kafka in bulk with no message at all: there is no broker here."""
    from monitor.transport.kafka.readers import gather

    none, flags = np.zeros(1, np.int64), np.zeros(1, np.uint8)
    gather.weigh(none, 0, 0)
    gather.gather(none, 0, 0, 0, 0, none, none, none)
    gather.gather_keys(none, 0, 0, 0, none, flags, flags)
    gather.find_errors(none, 0, none)
    gather.release(none, 0, 0)


def run(folder: Path, *arguments: str) -> str:
    """Run ``driftline`` as installed; end with its words if it fails."""
    command = [str(Path(sys.executable).with_name("driftline")), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
