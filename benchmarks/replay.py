"""How long ``driftline replay`` takes over a file of one's own, beside pandas and evidently.

Sparse: 907 rows a day at whole minutes, three numbers and four categories, one segment of three
values: 32 cells. Dense: ten numbers and a score, 20,000 rows an hour. Commands run as processes;
seconds are their CPU. Rates are slopes between a file and one four times as long, so that
start-up is not in them: it is ``start_s``.

``dense_rows_per_s``, ``sparse_rows_per_s``: without a store, windows of an hour and of a day.
``windows_per_s``, ``stored_windows_per_s``: the sparse file in windows of an hour.
``stored_s``: the whole command over the sparse file, daily windows, with an embedded store.
``backtest_rows_per_s``: the sparse file. ``ratio_evidently``: evidently's report on one day over
what a day costs a replay. ``ratio_pandas``: a replay of the sparse file without start-up over
pandas' group-by of it into the same days, segments and counts.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.output import Figures, main

DAY_US = 86_400_000_000
HOUR_US = DAY_US // 24
ROWS_A_DAY, N_DAYS = 907, 276
ROWS_AN_HOUR, N_NUMBERS = 20_000, 10
FIRST_US = 1_364_774_400_000_000 // DAY_US * DAY_US
SPARSE = """model: sparse
features:
  delay: {kind: numeric}
  distance: {kind: numeric}
  air_time: {kind: numeric}
  hour: {kind: categorical}
  carrier: {kind: categorical}
  origin: {kind: categorical}
  dest: {kind: categorical}
positive: "1"
segments: [origin]
window: {length: LENGTH}
columns: {time: when, score: p, prediction: pred}
"""
NUMBERS = [f"f{i}" for i in range(N_NUMBERS)]
DENSE = (
    "model: dense\nfeatures:\n"
    + "".join(f"  {name}: {{kind: numeric}}\n" for name in NUMBERS)
    + "window: {length: 1h, pane: 1m}\ncolumns: {time: when}\n"
)


def sparse_rows(n_days: int, seed: int, first_us: int = FIRST_US) -> pa.Table:
    """Draw so many days of rows, each in the seventeen busy hours of its day."""
    rng = np.random.default_rng(seed)
    n = n_days * ROWS_A_DAY
    minutes = np.sort(rng.integers(9 * 60, 26 * 60, (n_days, ROWS_A_DAY)), axis=1)
    when = first_us + np.arange(n_days)[:, None] * DAY_US + minutes * 60_000_000
    when = np.sort(when.reshape(-1))
    return pa.table(
        {
            "when": pa.array(when, pa.timestamp("us", "UTC")),
            "delay": rng.gamma(2.0, 20.0, n) - 20,
            "distance": rng.gamma(3.0, 300.0, n),
            "air_time": rng.normal(150, 60, n),
            "hour": (when // HOUR_US % 24).astype(str),
            "carrier": rng.integers(0, 16, n).astype(str),
            "origin": rng.choice(["EWR", "JFK", "LGA"], n),
            "dest": rng.integers(0, 100, n).astype(str),
            "p": rng.random(n),
            "pred": (rng.random(n) < 0.3).astype(np.int64),
        }
    )


def dense_rows(n_hours: int, seed: int, first_us: int = FIRST_US) -> pa.Table:
    """Draw so many hours of even traffic."""
    rng = np.random.default_rng(seed)
    n = n_hours * ROWS_AN_HOUR
    when = first_us + np.arange(n) * (HOUR_US // ROWS_AN_HOUR)
    columns = {name: rng.normal(size=n) for name in NUMBERS}
    return pa.table(
        {"when": pa.array(when, pa.timestamp("us", "UTC")), **columns, "score": rng.random(n)}
    )


class Bench:
    """Installations and files in a folder, and commands over them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def install(self, name: str, model: str, reference: pa.Table) -> None:
        """Write a model with its baseline."""
        (self._folder / name).mkdir()
        (self._folder / name / "model.yaml").write_text(model)
        (self._folder / name / "driftline.yaml").write_text("models: [model.yaml]\n")
        pq.write_table(reference, self._folder / name / "reference.parquet")
        self._run(name, "baseline", "build", "model.yaml", "-r", "reference.parquet", "--json")

    def write(self, name: str, table: pa.Table) -> str:
        """Write a file of events; returns its path."""
        path = self._folder / name
        pq.write_table(table, path)
        return str(path)

    def replay(self, name: str, file: str, store: str = "none") -> tuple[float, int]:
        """Replay a file; CPU seconds, and how many windows closed."""
        seconds, answer = self._run(name, "replay", file, "--store", store, "--json")
        return seconds, int(json.loads(answer)["windows"])

    def backtest(self, name: str, file: str) -> float:
        """Backtest a file; CPU seconds."""
        return self._run(name, "backtest", file, "--no-delays", "--json")[0]

    def _run(self, name: str, *command: str) -> tuple[float, str]:
        """Run a command in an installation; CPU seconds of its process, and its last line."""
        code = "from monitor.cli.main import main; import sys; main(sys.argv[1:])"
        root = str(Path(__file__).resolve().parents[1])
        before = os.times()
        done = subprocess.run(
            [sys.executable, "-c", code, *command],
            cwd=self._folder / name,
            env={**os.environ, "PYTHONPATH": root},
            capture_output=True,
            text=True,
        )
        after = os.times()
        if done.returncode:
            raise SystemExit(f"driftline {' '.join(command)} failed:\n{done.stderr}{done.stdout}")
        seconds = (after.children_user - before.children_user) + (
            after.children_system - before.children_system
        )
        return seconds, done.stdout.splitlines()[-1]


def slope(run: Callable[[str], float], files: tuple[str, str], n: int) -> tuple[float, float]:
    """Return seconds a file of the second length takes above start-up, and start-up."""
    short = statistics.median(run(files[0]) for _ in range(n))
    long = statistics.median(run(files[1]) for _ in range(n))
    above = (long - short) * 4 / 3
    return above, long - above


def evidently_s(reference: pa.Table, current: pa.Table) -> float:
    """CPU seconds of evidently's DataDriftPreset on one window."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from evidently import Report
        from evidently.presets import DataDriftPreset

        before = reference.drop_columns(["when"]).to_pandas()
        frame = current.drop_columns(["when"]).to_pandas()
        Report([DataDriftPreset()]).run(frame.head(100), before.head(100))
        began_s = process_time()
        Report([DataDriftPreset()]).run(frame, before)
        return process_time() - began_s


def pandas_s(file: str) -> float:
    """CPU seconds in which pandas counts values by day and segment, and adds up numbers."""
    began_s = process_time()
    frame = pd.read_parquet(file)
    day = frame["when"].dt.floor("1D")
    numbers = ["delay", "distance", "air_time", "p"]
    for key in ([day], [day, frame["origin"]]):
        frame[numbers].groupby(key).agg(["count", "sum", "min", "max", "std"])
        for name in ("hour", "carrier", "origin", "dest"):
            frame.groupby([*key, frame[name].rename("value")]).size()
        for name in numbers:
            bins = pd.qcut(frame[name], 60, labels=False, duplicates="drop")
            frame.groupby([*key, bins.rename("bin")]).size()
    return process_time() - began_s


def measure(quick: bool) -> Figures:
    """Build two installations, replay short and long files, run the peers."""
    n_hours, n = (100, 1) if quick else (200, 3)
    n_hourly_days = 64 if quick else N_DAYS
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        reference = sparse_rows(90, 0, FIRST_US - 90 * DAY_US)
        for name, length in (("daily", "1d"), ("hourly", "1h")):
            bench.install(name, SPARSE.replace("LENGTH", length), reference)
        bench.install("dense", DENSE, dense_rows(10, 0, FIRST_US - DAY_US))
        sparse = sparse_rows(N_DAYS, 1)
        dense = dense_rows(n_hours, 1)
        short_sparse, short_dense = (t.slice(0, len(t) // 4) for t in (sparse, dense))
        files = bench.write("short.parquet", short_sparse), bench.write("long.parquet", sparse)
        dense_files = (
            bench.write("short_dense.parquet", short_dense),
            bench.write("long_dense.parquet", dense),
        )
        bench.replay("daily", files[0])  # compiled before the clock starts
        daily_s, start_s = slope(lambda f: bench.replay("daily", f)[0], files, n)
        dense_s, _ = slope(lambda f: bench.replay("dense", f)[0], dense_files, n)
        hourly = sparse.slice(0, n_hourly_days * ROWS_A_DAY)
        hourly_files = (
            bench.write("short_hourly.parquet", hourly.slice(0, len(hourly) // 4)),
            bench.write("long_hourly.parquet", hourly),
        )
        hourly_s, _ = slope(lambda f: bench.replay("hourly", f)[0], hourly_files, n)
        n_hourly = bench.replay("hourly", hourly_files[1])[1]
        stores = iter(range(100))
        stored_hourly_s, _ = slope(
            lambda f: bench.replay("hourly", f, f"{folder}/store{next(stores)}")[0],
            hourly_files,
            1,
        )
        stored_s = bench.replay("daily", files[1], f"{folder}/store")[0]
        backtest_s, _ = slope(lambda f: bench.backtest("daily", f), files, n)
        counted_s = pandas_s(files[1])
    report_s = evidently_s(reference, sparse.slice(0, ROWS_A_DAY))
    return {
        "dense_rows_per_s": len(dense) / dense_s,
        "sparse_rows_per_s": len(sparse) / daily_s,
        "windows_per_s": n_hourly / hourly_s,
        "stored_windows_per_s": n_hourly / stored_hourly_s,
        "stored_s": stored_s,
        "backtest_rows_per_s": len(sparse) / backtest_s,
        "start_s": start_s,
        "ratio_evidently": report_s / (daily_s / N_DAYS),
        "evidently_window_s": report_s,
        "ratio_pandas": daily_s / counted_s,
        "pandas_s": counted_s,
        "n_dense_rows": len(dense),
        "n_sparse_rows": len(sparse),
        "n_hourly_windows": n_hourly,
    }


if __name__ == "__main__":
    main(__doc__ or "", measure)
