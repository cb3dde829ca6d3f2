"""The fairness section shows what was stored, and says that it is descriptive."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.evaluate.fairness_rows import evaluate_fairness
from monitor.report.fairness import fairness_panels, fairness_section
from schemas.panes import SeriesStats
from schemas.results import DetectorResult, Verdict

HOUR = 3_600_000_000


def stored(hour: int, positive: dict[str, int], predicted: dict[str, int]) -> list[DetectorResult]:
    """Return the results of one window, computed as the pipeline does."""
    segments = ("*", *positive)
    stats = SeriesStats.empty(segments, 1)
    stats.n_positive[:] = [sum(positive.values()), *positive.values()]
    stats.n_predicted[:] = [sum(predicted.values()), *predicted.values()]
    return [
        DetectorResult(
            tenant="t", monitor="fairness", model="m", model_version="1", profile_id="p",
            feature=row.feature, segment=row.segment, metric=row.metric, window_us=HOUR,
            start_us=hour * HOUR, end_us=(hour + 1) * HOUR, statistic=row.statistic, n=row.n,
            threshold=row.threshold, verdict=Verdict.NONE, reason=row.reason, closed_by="watermark",
        )
        for row in evaluate_fairness(stats, ["sex"])
    ]  # fmt: skip


def test_rates_are_those_of_all_rows_and_differences_those_of_windows():
    results = [
        *stored(0, {"sex=f": 30, "sex=m": 70}, {"sex=f": 100, "sex=m": 100}),
        *stored(1, {"sex=f": 270, "sex=m": 150}, {"sex=f": 900, "sex=m": 300}),
    ]
    (panel,) = fairness_panels(results)
    best, other = panel.groups
    assert (best.name, best.n_rows, best.rate) == ("sex=m", 400, pytest.approx(220 / 400))
    assert (other.name, other.n_rows, other.rate) == ("sex=f", 1000, pytest.approx(0.3))
    assert (best.lowest, best.highest) == (pytest.approx(0.5), pytest.approx(0.7))
    times, values = np.array(panel.differences).T
    assert times.tolist() == [HOUR, 2 * HOUR]
    assert values == pytest.approx([0.4, 0.2])
    assert panel.usual_limit == 0.1


def test_a_revised_window_counts_once():
    first = stored(0, {"sex=f": 30, "sex=m": 70}, {"sex=f": 100, "sex=m": 100})
    revised = stored(0, {"sex=f": 50, "sex=m": 70}, {"sex=f": 100, "sex=m": 100})
    (panel,) = fairness_panels([*first, *revised])
    assert [value for _, value in panel.differences] == pytest.approx([0.2])
    assert {g.n_rows for g in panel.groups} == {100}


def test_the_section_states_that_it_is_descriptive_and_shows_every_group():
    results = stored(0, {"sex=f": 30, "sex=m": 70}, {"sex=f": 100, "sex=m": 100})
    page = fairness_section(fairness_panels(results), 0, HOUR)
    for words in ("Descriptive only", "no alert", "sex=f", "30.0%", "sex=m", "70.0%", "0.43"):
        assert words in page
    assert "at most 40.0%" in page
    assert "Windows beyond the usual limit of 10%: 1 of 1." in page


def test_small_groups_are_named_as_the_reason_that_nothing_was_compared():
    results = stored(0, {"sex=f": 3, "sex=m": 70}, {"sex=f": 9, "sex=m": 100})
    page = fairness_section(fairness_panels(results), 0, HOUR)
    assert "compared in no window" in page
    assert "Windows with fewer than two groups that are large enough: 1." in page
    assert "<svg" not in page


def test_without_stored_fairness_there_is_no_section():
    assert fairness_section(fairness_panels([]), 0, HOUR) == ""
    empty = stored(0, {"sex=f": 0, "sex=m": 0}, {"sex=f": 0, "sex=m": 0})
    assert fairness_panels(empty) == []


def test_hostile_group_names_stay_text():
    evil = "sex=<img src=x>"
    results = stored(0, {evil: 30, "sex=m": 70}, {evil: 100, "sex=m": 100})
    assert "<img" not in fairness_section(fairness_panels(results), 0, HOUR)
