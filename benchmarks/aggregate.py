"""How fast Arrow batches of ten float features become panes, on one core, against two peers.

The timed part is what ingest does: ``batch_from_arrow`` -> ``PartitionAggregator.add``
-> ``flush``, every pane published once. The peers get the same rows as a pandas
frame: whylogs profiles them, evidently compares them with 50,000 reference rows.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
import warnings

import numpy as np
import pyarrow as pa

from benchmarks.output import main
from detectors.decision_rule.edges import quantile_edges
from monitor.core.windowing.aggregate import Layout, PartitionAggregator
from monitor.decode.arrow.record_batches import batch_from_arrow
from schemas.baselines import Baseline, Kind, VariableBaseline
from schemas.batch import Chunk, EventBatch, ModelSchema
from schemas.config.model import WindowConfig
from schemas.panes import SeriesStats

N_FEATURES = 10
N_REFERENCE = 50_000
ROWS_A_BATCH = 50_000
US_A_ROW = 200
SCHEMA = ModelSchema("default", "m", tuple(f"f{i}" for i in range(N_FEATURES)))


def reference_baseline(
    reference: np.ndarray, schema: ModelSchema = SCHEMA, profile_id: str = "p"
) -> Baseline:
    """Baseline whose variables have the reference's quantiles, one column each."""
    variables = tuple(
        VariableBaseline(name, Kind.NUMERIC, quantile_edges(column))
        for name, column in zip(schema.variables, reference.T, strict=True)
    )
    v = len(variables)
    return Baseline(
        profile_id,
        schema.tenant,
        schema.model,
        "",
        variables,
        SeriesStats.empty(("*",), v),
        np.ones((1, v)),
        np.zeros((1, v)),
        0,
        "default",
        "",
        0,
        "benchmark",
    )


def arrow_batches(rows: np.ndarray, n_batches: int) -> list[pa.RecordBatch]:
    """Batches as a producer sends them: time, ten features, a score."""
    names = ["time_us", *(f"features.{name}" for name in SCHEMA.numeric), "score"]
    out = []
    for i in range(n_batches):
        times = (np.arange(len(rows)) + i * len(rows)) * US_A_ROW
        out.append(pa.record_batch([pa.array(c) for c in (times, *rows.T)], names=names))
    return out


def rows_per_second(baseline: Baseline, batches: list[pa.RecordBatch]) -> tuple[float, float, int]:
    """Aggregate everything; rows a second with and without the Arrow step, and the panes."""
    layout = Layout(SCHEMA, baseline)
    aggregator = PartitionAggregator("s", 0, "o", WindowConfig(), lambda *_: layout)
    n_panes, inside = 0, 0.0
    started = time.perf_counter()
    for i, record_batch in enumerate(batches):
        batch, rejects = batch_from_arrow(record_batch, SCHEMA, 0)
        assert not rejects
        before = time.perf_counter()
        n_panes += add(aggregator, batch, i)
        inside += time.perf_counter() - before
    n_panes += len(aggregator.flush_all())
    elapsed = time.perf_counter() - started
    n = sum(len(b) for b in batches)
    return n / elapsed, n / inside, n_panes


def add(aggregator: PartitionAggregator, batch: EventBatch, offset: int) -> int:
    """Add one batch as one message, flush, return the number of panes."""
    chunk = Chunk(
        source="s",
        partition=0,
        buffer=np.empty(0, np.uint8),
        offsets=np.zeros(2, np.int64),
        log_offset=np.array([offset], np.int64),
        record_time_us=np.array([-1], np.int64),
    )
    aggregator.add(chunk, [batch])
    return len(aggregator.flush())


def peers(reference: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """Rows a second of whylogs and of evidently's DataDriftPreset."""
    os.environ.setdefault("WHYLOGS_NO_ANALYTICS", "True")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import pandas as pd
        import whylogs
        from evidently import Report
        from evidently.presets import DataDriftPreset

        columns = [*SCHEMA.numeric]
        current = pd.DataFrame(rows[:, :N_FEATURES], columns=columns)
        before = pd.DataFrame(reference[:, :N_FEATURES], columns=columns)
        whylogs.log(current.head(1000))
        started = time.perf_counter()
        whylogs.log(current)
        by_whylogs = time.perf_counter() - started
        Report([DataDriftPreset()]).run(current.head(1000), before.head(1000))
        started = time.perf_counter()
        Report([DataDriftPreset()]).run(current, before)
        by_evidently = time.perf_counter() - started
    return len(rows) / by_whylogs, len(rows) / by_evidently


def measure(quick: bool) -> dict[str, float | int]:
    """Return the figures; the peers see 50,000 rows, 200,000 without ``--quick``."""
    rng = np.random.default_rng(0)
    reference = np.column_stack(
        (rng.normal(size=(N_REFERENCE, N_FEATURES)), rng.random(N_REFERENCE))
    )
    n_peer_rows = 50_000 if quick else 200_000
    rows = np.column_stack((rng.normal(size=(n_peer_rows, N_FEATURES)), rng.random(n_peer_rows)))
    baseline = reference_baseline(reference)
    batches = arrow_batches(rows[:ROWS_A_BATCH], 40 if quick else 200)
    rows_per_second(baseline, batches[:2])
    measured = [rows_per_second(baseline, batches) for _ in range(3)]
    rate, inside, n_panes = sorted(measured)[1]
    whylogs_rate, evidently_rate = peers(reference, rows)
    return {
        "rows_per_s": rate,
        "ratio_whylogs": rate / whylogs_rate,
        "ratio_evidently": rate / evidently_rate,
        "aggregate_only_rows_per_s": inside,
        "whylogs_rows_per_s": whylogs_rate,
        "evidently_rows_per_s": evidently_rate,
        "n_rows": sum(len(b) for b in batches),
        "n_panes": n_panes,
        "n_peer_rows": n_peer_rows,
    }


if __name__ == "__main__":
    main("Arrow batches of 10 float features to panes, one core", measure)
