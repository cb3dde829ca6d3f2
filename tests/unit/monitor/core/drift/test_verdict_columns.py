"""Verdicts as columns are those that structs would hold, cell by cell."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest

from detectors.decision_rule.decision import verdict_of
from monitor.core.drift.alerts import CellView
from monitor.core.drift.cells import label_of
from monitor.core.drift.coverage import Coverage
from monitor.core.drift.decide import SeriesDecider
from monitor.core.drift.window_results import (
    DECISION,
    cell_outcomes,
    no_verdict_reason,
    shared_fields,
)
from monitor.core.state.result_messages import encode_table, read_results
from monitor.core.windowing.accumulators import summarize
from monitor.core.windowing.layout import Layout
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from schemas.monitors import Monitor
from schemas.panes import SeriesId, SeriesStats, Window
from schemas.results import DetectorResult, Reason, Verdict
from tests.support.worlds.small import CONFIG, START_US, build_small_world, event_rows

LENGTH_US = CONFIG.window.length_us


def new_decider() -> SeriesDecider:
    (baseline,) = build_small_world().catalog.baselines_for("default", "small", "1")
    return SeriesDecider(SeriesId("default", "small", "1", baseline.profile_id), CONFIG, baseline)


def window_of(decider: SeriesDecider, rows: list[dict], at: int) -> Window:
    values = [json.dumps(row | {"time_us": START_US}).encode() for row in rows]
    (batch,) = Decoder([CONFIG.schema_]).decode(chunk_of(values, "t")).batches
    segments, slices = summarize(batch, Layout(CONFIG.schema_, decider.baseline))
    span = START_US + at * LENGTH_US, START_US + (at + 1) * LENGTH_US
    return Window(decider.series, *span, segments, slices, 1, "watermark")


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    """Windows that are quiet, have few rows, drift in a feature and a GPU, and are empty."""
    rng, decider = np.random.default_rng(8), new_decider()
    broken = {"GPU-2": {"score": 0.999}}
    found = []
    for n_rows, shift in ((400, 0), (5, 0), (900, 3), (900, 3), (900, 3), (400, 0)):
        rows = [
            row
            | {"features": row["features"] | {"a": row["features"]["a"] + shift}}
            | (broken.get(row["gpu_uuid"], {}) if shift else {})
            for row in event_rows(rng, n_rows, 0)
        ]
        found.append(window_of(decider, rows, len(found)))
    nothing = SeriesStats.empty(("*",), found[0].segments.counts.shape[1])
    span = START_US + len(found) * LENGTH_US, START_US + (len(found) + 1) * LENGTH_US
    empty = SeriesStats.empty((), 1)
    return [*found, Window(decider.series, *span, nothing, empty, 0, "watermark")]


def finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def struct_of(view: CellView, window: Window) -> DetectorResult:
    """Return the verdict on one cell as a struct."""
    decision, i = view.decision, view.index
    named = int(decision.set_index[i])
    return DetectorResult(
        **shared_fields(window),
        monitor=view.monitor,
        feature=view.variable.name,
        segment=view.segment,
        metric=DECISION,
        statistic=finite(decision.p_current[i]),
        evidence=finite(decision.log_m[i]),
        effect_size=finite(decision.effect[i]),
        effect_where=label_of(view.set_names[named]) if named >= 0 else "",
        threshold=decision.threshold,
        n=int(decision.n[i]),
        n_reference=int(view.reference_counts.sum()),
        minimum_detectable_effect=finite(decision.mde[i]),
        eps=finite(decision.eps[i]),
        rung=decision.rung_of(i),
        verdict=verdict_of(decision.reason_of(i), has_fired=bool(decision.has_fired[i])),
        reason=decision.reason_of(i),
    )


def test_columns_have_the_verdicts_of_structs(windows):
    as_columns, as_structs = new_decider(), new_decider()
    seen = Counter()
    for window in windows:
        decided = as_columns.decide(window)
        views, alerts = as_structs.judge(window)
        expected = [struct_of(view, window) for view in views]
        assert [row for table in decided.verdicts for row in table.results()] == expected
        read = [row for t in decided.verdicts for v in encode_table(t) for row in read_results(v)]
        assert read == expected
        assert decided.rows() == [*decided.results, *expected]
        assert decided.alerts == alerts
        seen.update((row.monitor, row.verdict) for row in expected)
        counted = Counter()
        for table in decided.verdicts:
            counted.update(table.count_verdicts())
        assert counted == Counter(row.verdict for row in expected)
    kinds = {(m, v) for m in (Monitor.DRIFT, Monitor.REPLICA) for v in Verdict}
    assert kinds <= set(seen)


def test_outcomes_of_cells_are_those_of_structs(windows):
    decider, by_columns, by_structs = new_decider(), Coverage(), Coverage()
    for window in windows:
        decided = decider.decide(window)
        rows, tables = decided.rows(), decided.verdicts
        assert cell_outcomes(decided.results, tables) == cell_outcomes(rows)
        assert no_verdict_reason(decided.results, tables) == no_verdict_reason(rows)
        n_rows = int(window.segments.n_rows[0])
        by_columns.add(n_rows, decided.results, tables)
        by_structs.add(n_rows, rows)
    assert by_columns == by_structs
    assert {reason for _, reason in cell_outcomes(rows)} == {"no_data"}


def test_withheld_columns_have_their_numbers_and_one_reason(windows):
    withheld, judged = new_decider(), new_decider()
    for window in windows[:3]:
        rows = [
            row for t in withheld.withhold(window, Reason.PIPELINE).verdicts for row in t.results()
        ]
        before = judged.evidence.copy(), dict(judged.replicas)
        expected = [struct_of(view, window) for view in judged.judge(window)[0]]
        judged.evidence, judged.replicas = before
        assert {(r.verdict, r.reason, r.rung) for r in rows} == {
            (Verdict.NONE, Reason.PIPELINE, "")
        }
        for row, own in zip(rows, expected, strict=True):
            assert (row.n, row.statistic, row.evidence) == (own.n, own.statistic, own.evidence)
            assert (row.effect_where, row.segment) == (own.effect_where, own.segment)
