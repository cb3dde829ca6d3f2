"""How long does ``driftline --help`` take, and does a second run compile anything?

All times are of whole processes, interpreter included, which have a kernel cache of their own:
the first run compiles everything, later ones load everything. ``help_s``: of ``--help``.
``second_run_s``: of building a baseline of 20,000 rows and replaying 5,000 events, both for the
second time, results into an embedded store. ``second_replay_s``: of replaying 1,000 events
without a store. Medians.
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
N_EVENTS, N_FEW = 5_000, 1_000
START_US = 1_767_225_600_000_000
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
    """Time ``--help``, then a build and a replay again and again, in a cache of their own."""
    n = 3 if is_quick else 9
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        help_s = statistics.median([_help_s(place) for _ in range(n + 1)][1:])
        _write_installation(place)
        first = [_build(place), _replay(place, N_EVENTS)]
        builds = [_build(place) for _ in range(n)]
        replays = [_replay(place, N_EVENTS) for _ in range(n)]
        short = [_replay(place, N_FEW, "--store", "none") for _ in range(n)]
    return {
        "help_s": help_s,
        "first_run_s": sum(seconds for seconds, _ in first),
        "first_run_compiled": sum(compiled for _, compiled in first),
        "second_run_s": sum(statistics.median(s for s, _ in runs) for runs in (builds, replays)),
        "second_replay_s": statistics.median(seconds for seconds, _ in short),
        "second_run_compiled": sum(compiled for _, compiled in (*builds, *replays, *short)),
    }


def _build(folder: Path) -> tuple[float, int]:
    """Build the baseline."""
    command = ("baseline", "build", "model.yaml", "-r", "train.parquet", "--json")
    return _run(command, folder)[:2]


def _replay(folder: Path, n_events: int, *options: str) -> tuple[float, int]:
    """Replay the events of a file, which all have to be accepted."""
    command = ("replay", f"events{n_events}.jsonl", "--config", "driftline.yaml", "--json")
    seconds, compiled, said = _run((*command, *options), folder)
    if (n_accepted := json.loads(said)["accepted"]) != n_events:
        raise SystemExit(f"replayed {n_accepted} of {n_events} events:\n{said}")
    return seconds, compiled


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
    """Write a model, its training data, and files of five hours and of one hour of events."""
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
    for n_events in (N_EVENTS, N_FEW):
        lines = (json.dumps(event) + "\n" for event in events[:n_events])
        (folder / f"events{n_events}.jsonl").write_text("".join(lines))


def _rows(n_rows: int, seed: int) -> pa.Table:
    """Draw rows without any drift, a thousand an hour."""
    rng = np.random.default_rng(seed)
    columns = {
        "time_us": START_US + np.arange(n_rows) * 3_600_000,
        "age": rng.normal(40, 10, n_rows),
        "land": rng.choice(["a", "b", "c"], n_rows),
        "score": rng.random(n_rows),
    }
    return pa.table(columns)


def _run(command: Sequence[str], folder: Path) -> tuple[float, int, str]:
    """Run one command in a new process; return seconds, kernels compiled and what it printed."""
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
    return seconds, int(compiled), done.stdout.splitlines()[-1]


if __name__ == "__main__":
    main(__doc__ or "", measure)
