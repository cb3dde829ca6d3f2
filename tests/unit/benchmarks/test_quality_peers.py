"""Calibrated peers: their charts, thresholds, and delays on the rows that the rule sees."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.quality.__main__ import rule_of
from benchmarks.quality.changes import planted_changes
from benchmarks.quality.peers import (
    CHI2,
    CUSUM,
    EWMA,
    KS,
    Charts,
    Hourly,
    null_world,
    peer_delays,
    standardised,
    threshold,
    thresholds,
)
from benchmarks.quality.planted import PlantedFigures, PlantedRun

RNG = np.random.default_rng(0)
REFERENCE = np.full(20, 10_000.0)


def windows(n_hours, shares=None):
    own = np.full(20, 0.05) if shares is None else shares
    return np.random.default_rng(1).multinomial(1_000, own, n_hours).astype(float)


def test_charts_are_the_textbook_statistics():
    counts = windows(1)
    found = Charts(REFERENCE[None]).add(counts, np.array([0.7]))
    chi2 = stats.chisquare(counts[0]).statistic
    assert found[CHI2][0] == pytest.approx(chi2, rel=1e-3)
    gap = np.abs(np.cumsum(counts[0] / 1_000) - np.arange(1, 21) / 20).max()
    assert found[KS][0] == pytest.approx(np.sqrt(1_000) * gap)
    assert found[CUSUM][0] == pytest.approx(0.2)


def test_an_ewma_of_equal_windows_becomes_the_chi_square_of_their_share():
    charts = Charts(REFERENCE[None])
    counts = windows(1)
    for _ in range(200):
        found = charts.add(counts, None)
    assert found[EWMA][0] == pytest.approx(19 * found[CHI2][0], rel=1e-6)
    assert CUSUM not in found


def test_alarms_in_a_row_count_once():
    values = np.zeros((1_000, 1))
    values[100:110] = 5.0
    values[500] = 4.0
    assert 4.0 <= threshold(values, rate=0.001) < 5.0
    assert threshold(values, rate=0.0021) < 4.0


def test_a_threshold_holds_in_other_streams_of_the_same_world():
    world = null_world(next(p for p in planted_changes() if p.name == "shift 0.3 sd"), 100_000)
    limits = thresholds(world, 40)
    others = thresholds(world, 40, seed=8)
    assert limits.keys() == {KS, CHI2, EWMA, CUSUM}
    for name, limit in limits.items():
        assert limit == pytest.approx(others[name], rel=0.35)


def test_a_peer_is_as_late_as_its_first_alarm_after_the_change():
    shares = np.linspace(0.5, 1.5, 20) * 0.05
    counts = np.concatenate([windows(10), windows(10, shares)])
    feature = Hourly(counts, REFERENCE, None)
    found = peer_delays([feature], {KS: 3.0, CHI2: 80.0, EWMA: 1e9}, 10)
    assert found == {KS: [1.0], CHI2: [1.0], EWMA: [np.inf]}


def test_means_are_in_standard_errors_and_missing_values_are_left_out():
    columns = np.array([[2.0], [4.0], [np.nan], [np.nan]])
    found = standardised(columns, np.array([0, 0, 0, 1]), 2, np.array([1.0]), np.array([2.0]))
    assert found[:, 0].tolist() == pytest.approx([(0.5 + 1.5) / np.sqrt(2), 0.0])


@pytest.mark.parametrize(("ours", "theirs", "ratio"), [(1.0, 4.0, 0.25), (2.0, np.inf, 0.0)])
def test_the_ratio_is_to_the_fastest_peer(ours, theirs, ratio):
    peers = {KS: (np.inf,), CHI2: (theirs,)}
    run = PlantedRun(planted_changes()[0], (ours,), (0.0,), 1, 0, 0, peers)
    assert PlantedFigures.of([run]).delay_ratio == ratio


def test_a_change_that_no_rule_finds_has_no_ratio():
    run = PlantedRun(planted_changes()[0], (np.inf,), (), 0, 0, 0, {KS: (np.inf,)})
    assert np.isnan(PlantedFigures.of([run]).delay_ratio)


def test_the_rule_of_a_command_line():
    assert [rule_of(a.split()) for a in ("--json", "--rule 1", "--rule=1 --quick")] == [2, 1, 1]
