"""Why a window has no verdict."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.drift.window_results import no_verdict_reason, no_verdict_result
from schemas.monitors import Monitor
from schemas.panes import SeriesId, SeriesStats, Window
from schemas.results import DetectorResult, Reason, Verdict

PIPELINE, NO_DATA, LATE = Reason.PIPELINE, Reason.NO_DATA, Reason.LATE


def cell(reason: Reason, **changed: object) -> DetectorResult:
    stats = SeriesStats.empty(("*",), 1)
    stats.n_rows[:] = 70
    series = SeriesId("t", "m", "1", "p")
    result = no_verdict_result(Window(series, 0, 10, stats, stats, 1, "watermark"), reason)
    return msgspec.structs.replace(result, **changed)


def test_a_window_that_is_not_judged_says_why_with_its_rows():
    result = cell(PIPELINE)
    assert (result.n, result.verdict, result.reason) == (70, Verdict.NONE, PIPELINE)
    assert (result.feature, result.segment, result.statistic) == ("*", "*", None)


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ([], ""),
        ([cell(NO_DATA)], "no_data"),
        ([cell(LATE), cell(NO_DATA), cell(LATE)], "late"),
        ([cell(NO_DATA), cell(NO_DATA), cell(LATE)], "late"),
        ([cell(NO_DATA), cell(NO_DATA, verdict=Verdict.NORMAL)], ""),
        ([cell(NO_DATA, verdict=Verdict.DRIFT)], ""),
        ([cell(NO_DATA), cell(LATE, monitor=Monitor.REPLICA, verdict=Verdict.NORMAL)], "no_data"),
        ([cell(NO_DATA), cell(LATE, metric="psi", verdict=Verdict.NORMAL)], "no_data"),
    ],
)
def test_the_reason_is_the_most_frequent_where_no_cell_is_judged(results, reason):
    assert no_verdict_reason(results) == reason
