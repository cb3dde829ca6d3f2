"""A backtest compares each hour with the hour that the monitor compares it with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.decision_rule.planting import plant, reference_sd, shift_matrix
from monitor.backtest.delays import _Field, measure_delays
from monitor.baseline.build import build_baseline
from monitor.core.drift.decide import SeriesDecider
from schemas.alerts import Transition
from schemas.baselines import Baseline
from schemas.panes import Window
from tests.support.worlds.seasonal import CONFIG, table, window_of

N_QUIET, N_PLANTED, SHIFT_SD = 200, 24, 0.6


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    made = build_baseline(table(28 * 24), CONFIG)
    assert made.seasonal is not None
    return made


def history(baseline: Baseline) -> list[Window]:
    rng = np.random.default_rng(7)
    return [window_of(baseline, at, rng) for at in range(N_QUIET + N_PLANTED)]


def planted(baseline: Baseline, window: Window) -> Window:
    shift = SHIFT_SD * reference_sd(baseline, 0)
    matrix = shift_matrix(baseline.variables[0].edges, baseline.reference.counts[0, 0], shift)
    counts = window.segments.counts.copy()
    counts[:, 0] = plant(counts[:, 0], matrix)
    return replace(window, segments=replace(window.segments, counts=counts))


def first_opened(baseline: Baseline, windows: list[Window]) -> int:
    decider = SeriesDecider(windows[0].series, CONFIG, baseline)
    for at, window in enumerate(windows):
        for alert in decider.judge(window)[1]:
            if alert.feature == "x" and alert.transition is Transition.OPENED:
                return at
    raise AssertionError("nothing opened")


def test_a_planted_delay_is_that_of_the_decider_with_its_seasons(baseline):
    windows = history(baseline)
    whole = windows[:N_QUIET] + [planted(baseline, w) for w in windows[N_QUIET:]]
    (delay,) = measure_delays(
        windows, CONFIG, {baseline.profile_id: baseline}, "x", [SHIFT_SD], windows[N_QUIET].start_us
    )
    assert delay.delays == (first_opened(baseline, whole) - N_QUIET + 1,)
    assert not delay.is_firing_anyway


def test_each_hour_of_the_week_is_looked_up_once_and_only_the_feature_is_kept(
    baseline, monkeypatch
):
    asked, reference_at = [], SeriesDecider.reference_at

    def counted(decider: SeriesDecider, window: Window) -> np.ndarray:
        asked.append(window.start_us)
        return reference_at(decider, window)

    monkeypatch.setattr(SeriesDecider, "reference_at", counted)
    windows = history(baseline)
    field = _Field(windows, SeriesDecider(windows[0].series, CONFIG, baseline), "x")
    assert (len(windows), len(asked)) == (224, 168)
    assert field._plan(5, 1) is field._plan(168 + 5, 1)
    assert field._plan(5, 1) is not field._plan(6, 1)
    kept = [*field._counts, *field._references.values()]
    assert [array.base for array in kept] == [None] * len(kept)


def test_a_cycle_with_a_season_leaves_the_whole_history_to_plant_into(baseline):
    (delay,) = measure_delays(
        history(baseline), CONFIG, {baseline.profile_id: baseline}, "x", [1.0]
    )
    assert (delay.n_starts, delay.horizon, delay.share_found) == (5, 72, 1.0)
