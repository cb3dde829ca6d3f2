"""How long does ``driftline --help`` take, and does a second run compile anything?

``help_s`` and ``second_run_s`` are medians of whole processes, interpreter included.
The commands run in new processes with a kernel cache of their own, so that the first
run compiles everything and the second has to load everything.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.output import Figures, main

MODEL = """model: startup
features:
  age: {kind: numeric}
  land: {kind: categorical}
segments: [land]
window: {length: 1h}
columns: {time: time_us}
"""
N_EVENTS = 5_000
_COUNTED = """
import sys
from monitor.cli.main import main
code = 0
try:
    main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code or 0
from detectors.kernels.jit import compiled_count
print(f"compiled {compiled_count()} code {code}", file=sys.stderr)
"""


def measure(is_quick: bool) -> Figures:
    """Time ``--help``, then a build and a replay twice over, in a cache of their own."""
    n = 3 if is_quick else 9
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        help_s = statistics.median([_help_s(place) for _ in range(n + 1)][1:])
        _write_installation(place)
        commands = [
            ("baseline", "build", "model.yaml", "-r", "train.parquet", "--json"),
            ("replay", "events.jsonl", "--config", "driftline.yaml", "--json"),
        ]
        first = [_run(command, place) for command in commands]
        second = [_run(command, place) for command in commands]
    return {
        "help_s": help_s,
        "first_run_s": sum(seconds for seconds, _ in first),
        "first_run_compiled": sum(compiled for _, compiled in first),
        "second_run_s": sum(seconds for seconds, _ in second),
        "second_run_compiled": sum(compiled for _, compiled in second),
    }


def _environment(folder: Path) -> dict[str, str]:
    """Caches of kernels and of bytecode in the folder: both start empty, and both are used."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {
        "DRIFTLINE_CACHE_DIR": str(folder / "cache"),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }


def _help_s(folder: Path) -> float:
    """Time one ``driftline --help``."""
    code = "from monitor.cli.main import main; main(['--help'])"
    started = perf_counter()
    subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(folder),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return perf_counter() - started


def _write_installation(folder: Path) -> None:
    """Write a model, its training data and five hours of events."""
    (folder / "model.yaml").write_text(MODEL)
    (folder / "driftline.yaml").write_text("models: [model.yaml]\n")
    pq.write_table(_rows(20_000, seed=0), folder / "train.parquet")
    events = [
        {
            "model": "startup",
            "time_us": row["time_us"],
            "features": {"age": row["age"], "land": row["land"]},
            "score": row["score"],
        }
        for row in _rows(N_EVENTS, seed=1).to_pylist()
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))


def _rows(n_rows: int, seed: int) -> pa.Table:
    """Draw rows without any drift, a thousand an hour."""
    rng = np.random.default_rng(seed)
    columns = {
        "time_us": np.arange(n_rows) * 3_600_000,
        "age": rng.normal(40, 10, n_rows),
        "land": rng.choice(["a", "b", "c"], n_rows),
        "score": rng.random(n_rows),
    }
    return pa.table(columns)


def _run(command: Sequence[str], folder: Path) -> tuple[float, int]:
    """Run one command in a new process; return seconds and kernels compiled."""
    started = perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _COUNTED, *command],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = perf_counter() - started
    compiled, code = done.stderr.splitlines()[-1].split()[1::2]
    if code != "0":
        raise SystemExit(f"driftline {' '.join(command)} failed:\n{done.stderr}{done.stdout}")
    accepted = json.loads(done.stdout.splitlines()[-1]).get("accepted", N_EVENTS)
    if accepted != N_EVENTS:
        raise SystemExit(f"replayed {accepted} of {N_EVENTS} events:\n{done.stdout}")
    return seconds, int(compiled)


if __name__ == "__main__":
    main(__doc__ or "", measure)
