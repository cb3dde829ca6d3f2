"""River's own detectors on the same streams: the same alarms, the same warnings."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats

from detectors.kernels.mersenne import N_PLACES, draw_below
from detectors.sequential.adwin import ADWIN
from detectors.sequential.ddm import DDM
from detectors.sequential.eddm import EDDM
from detectors.sequential.fhddm import FHDDM
from detectors.sequential.hddm_a import HDDMA
from detectors.sequential.hddm_w import HDDMW
from detectors.sequential.kswin import KSWIN, p_value
from detectors.sequential.page_hinkley import PageHinkley
from tests.support.sequential import one_by_one

river_drift = pytest.importorskip("river.drift")
binary = river_drift.binary

pytestmark = pytest.mark.oracle

SEEDS = range(8)


def numbers(seed: int) -> np.ndarray:
    """Shifts of mean, scale and shape; heavy tails; few values; constants; trends; tiny."""
    rng = np.random.default_rng(seed)
    return (
        np.concatenate([rng.normal(m, 1, 900) for m in (0, 0.5, 2, -1)]),
        np.concatenate([rng.normal(0, s, 900) for s in (1, 3, 0.2, 10)]),
        rng.standard_t(2, 3000) + np.repeat([0, 1, 0], 1000),
        np.concatenate([rng.integers(0, 4, 1500), rng.integers(1, 6, 1500)]).astype(float),
        np.concatenate([np.full(700, 0.1), np.full(700, 0.3), np.full(700, 1e6)]),
        np.linspace(0, 20, 2500) + rng.normal(size=2500),
        rng.normal(size=7),
        1e8 + np.concatenate([rng.normal(size=1200), rng.normal(3, 1, 1200)]),
    )[seed]


def errors(seed: int) -> np.ndarray:
    """Rising, falling, rare, balanced, slow, never, always, tiny."""
    rng = np.random.default_rng(100 + seed)
    shares = (
        np.repeat([0.1, 0.2, 0.45], 1500),
        np.repeat([0.5, 0.3, 0.05, 0.6], 1000),
        np.repeat([0.005, 0.05], 3000),
        np.full(4000, 0.5),
        np.linspace(0.02, 0.6, 4000),
        np.zeros(300),
        np.ones(300),
        np.full(5, 0.5),
    )[seed]
    return (rng.random(len(shares)) < shares).astype(float)


def river_says(detector: Any, values: np.ndarray) -> tuple[list[int], list[int]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scipy's, where it turns asymptotic
        whole = bool(np.isin(values, (0.0, 1.0)).all())
        return one_by_one(detector, values.astype(int).tolist() if whole else values.tolist())


def agree(mine: type, theirs: Any, values: np.ndarray, **parameters: Any) -> None:
    drifts, cautions = river_says(theirs(**parameters), values)
    found = mine(**parameters).run(values)
    assert found.drifts.tolist() == drifts
    assert found.warnings.tolist() == cautions
    assert one_by_one(mine(**parameters), values.tolist()) == (drifts, cautions)


def test_the_reference_streams_alarm_where_river_alarmed() -> None:
    rng = np.random.default_rng(7)
    e = np.concatenate([rng.random(2000) < p for p in (0.10, 0.20, 0.45)])
    x = np.concatenate([rng.normal(m, 1, 2000) for m in (0, 0.5, 2)])
    assert ADWIN.detect(e).drifts.tolist() == [2303, 4095]
    assert DDM.detect(e).drifts.tolist() == [2614, 4089]
    assert HDDMA.detect(e).drifts.tolist() == [2341, 4060]
    assert ADWIN.detect(x).drifts.tolist() == [2079, 4031]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"delta": 0.05, "clock": 1},
        {"max_buckets": 2, "min_window_length": 1, "grace_period": 1},
        {"clock": 7, "max_buckets": 9, "min_window_length": 20, "grace_period": 50},
    ],
)
def test_adwin_alarms_as_rivers(seed: int, parameters: dict[str, Any]) -> None:
    agree(ADWIN, river_drift.ADWIN, numbers(seed), **parameters)
    agree(ADWIN, river_drift.ADWIN, errors(seed), **parameters)


@pytest.mark.parametrize("seed", SEEDS)
def test_adwins_window_is_rivers_to_the_last_bit(seed: int) -> None:
    mine, theirs = ADWIN(), river_drift.ADWIN()
    for x in numbers(seed).tolist():
        mine.update(x)
        theirs.update(x)
        ours = (mine.width, mine.total, mine.variance, mine.estimation)
        assert ours == (theirs.width, theirs.total, theirs.variance, theirs.estimation)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"threshold": 5.0, "delta": 0.1, "min_instances": 1},
        {"threshold": 10.0, "alpha": 0.95, "mode": "up"},
        {"threshold": 10.0, "mode": "down"},
    ],
)
def test_page_hinkley_alarms_as_rivers(seed: int, parameters: dict[str, Any]) -> None:
    agree(PageHinkley, river_drift.PageHinkley, numbers(seed), **parameters)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("mine", "theirs", "parameters"),
    [
        (DDM, binary.DDM, {}),
        (DDM, binary.DDM, {"warm_start": 5, "warning_threshold": 1.0, "drift_threshold": 1.5}),
        (EDDM, binary.EDDM, {}),
        (EDDM, binary.EDDM, {"warm_start": 8, "alpha": 0.99, "beta": 0.7}),
        (HDDMA, binary.HDDMA, {}),
        (HDDMA, binary.HDDMA, {"two_sided_test": True}),
        (HDDMA, binary.HDDMA, {"drift_confidence": 0.05, "warning_confidence": 0.2}),
        (HDDMW, binary.HDDMW, {}),
        (HDDMW, binary.HDDMW, {"two_sided_test": True}),
        (HDDMW, binary.HDDMW, {"lambda_val": 0.2, "drift_confidence": 0.01}),
        (FHDDM, binary.FHDDM, {}),
        (FHDDM, binary.FHDDM, {"short_window_size": 25}),
        (FHDDM, binary.FHDDM, {"sliding_window_size": 7, "confidence_level": 0.3}),
        (FHDDM, binary.FHDDM, {"sliding_window_size": 12, "short_window_size": 12}),
    ],
)
def test_detectors_of_errors_signal_as_rivers(
    mine: type, theirs: Any, parameters: dict[str, Any], seed: int
) -> None:
    agree(mine, theirs, errors(seed), **parameters)
    agree(mine, theirs, 1.0 - errors(seed), **parameters)


@pytest.mark.parametrize("seed", range(4))
def test_losses_between_0_and_1_are_judged_as_rivers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses = np.concatenate([rng.beta(2, 8, 800), rng.beta(4, 6, 800), rng.beta(1, 9, 800)])
    agree(DDM, binary.DDM, losses)
    agree(HDDMA, binary.HDDMA, losses, two_sided_test=True)
    agree(HDDMW, binary.HDDMW, losses, two_sided_test=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"alpha": 0.05, "window_size": 40, "stat_size": 20},
        {"alpha": 0.01, "window_size": 300, "stat_size": 5},
        {"alpha": 0.9, "window_size": 16, "stat_size": 1},
    ],
)
def test_kswin_alarms_as_rivers_with_the_same_seed(seed: int, parameters: dict[str, Any]) -> None:
    """A large window of a small sample takes the other way of drawing."""
    values = numbers(seed)[600:1100] if len(numbers(seed)) > 1100 else numbers(seed)
    agree(KSWIN, river_drift.KSWIN, values, seed=seed, **parameters)


@pytest.mark.parametrize("seed", range(3))
def test_kswins_p_values_are_rivers_at_every_value(seed: int) -> None:
    values = np.round(numbers(0)[850:1150], seed)
    begun = np.round(numbers(0)[:130], seed).tolist()
    mine = KSWIN(seed=seed, window=begun)
    theirs = river_drift.KSWIN(seed=seed, window=begun)
    for x in values.tolist():
        mine.update(x)
        theirs.update(x)
        assert mine.drift_detected == theirs.drift_detected
        if theirs.p_value:  # theirs is 0 before the first test
            assert mine.p_value == theirs.p_value
        else:
            assert np.isnan(mine.p_value)
    assert KSWIN.detect(values, seed=seed, window=begun).drifts.size > 0


def test_kswins_p_value_is_scipys_exact_one_for_every_gap() -> None:
    for n in (1, 2, 5, 30, 77, 201):
        for gap in range(n + 1):
            x = np.arange(n, dtype=float)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # p > 1 by rounding
                theirs = stats.ks_2samp(x, x + gap - 0.5 * (gap > 0))
            assert theirs.statistic == pytest.approx(gap / n, abs=1e-12)
            assert p_value(gap, n) == theirs.pvalue


def test_kswins_p_value_is_scipys_asymptotic_one_beyond_ten_thousand() -> None:
    x = np.arange(10_001, dtype=float)
    for gap in (50, 137, 300, 1000):
        theirs = stats.ks_2samp(x, x + gap - 0.5)
        assert p_value(gap, len(x)) == pytest.approx(theirs.pvalue, rel=1e-9)


def test_draws_are_pythons() -> None:
    for seed in (0, 1, 2**70):
        rng = random.Random(seed)
        state = np.array(rng.getstate()[1], np.float64)
        assert len(state) == N_PLACES
        for n in [1, 2, 3, 70, 64, 1000, 2**31, 2**32 - 1] * 300:
            assert draw_below(n, n.bit_length(), state, 0) == rng.randrange(n)
