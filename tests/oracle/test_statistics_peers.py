"""The same inputs through scipy, evidently and fairlearn, many shapes and seeds."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from detectors.evaluate.fairness import demographic_parity
from detectors.quality.checks import share_change
from detectors.statistics.chi_square import (
    chi_square,
    chi_square_critical,
    chi_square_exact_reference,
)
from detectors.statistics.energy import energy
from detectors.statistics.hellinger import hellinger
from detectors.statistics.histogram import atoms, sturges
from detectors.statistics.intervals import wilson_interval
from detectors.statistics.jensen_shannon import js_distance
from detectors.statistics.kl import kl
from detectors.statistics.ks import ks, ks_critical, ks_p_value
from detectors.statistics.psi import psi
from detectors.statistics.shift import moments_of, shift
from detectors.statistics.wasserstein import normed, wasserstein

pytestmark = pytest.mark.oracle

SEEDS = range(6)


@pytest.fixture(scope="module")
def evidently() -> SimpleNamespace:
    """Evidently's own tests by name; what it warns of while importing is its affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("evidently")
        import pandas as pd
        from evidently.legacy.calculations import stattests
        from evidently.legacy.core import ColumnType

    def score(test: str, reference: Any, current: Any, *, kind: str = "num") -> float:
        feature_type = ColumnType.Numerical if kind == "num" else ColumnType.Categorical
        implementation = getattr(stattests, test)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = implementation(
                pd.Series(reference), pd.Series(current), feature_type, threshold=None
            )
        return float(result.drift_score)

    return SimpleNamespace(score=score)


def numbers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Continuous, heavy-tailed, whole-numbered, few-valued, disjoint, tiny."""
    rng = np.random.default_rng(seed)
    return (
        (rng.normal(0, 1, 3000), rng.normal(0.1, 1.2, 1700)),
        (rng.standard_t(2, 2000), rng.standard_t(2, 900) + 0.3),
        (rng.poisson(20, 2500).astype(float), rng.poisson(22, 800).astype(float)),
        (rng.integers(0, 9, 700).astype(float), rng.integers(0, 11, 600).astype(float)),
        (rng.uniform(0, 1, 400), rng.uniform(2, 3, 400)),
        (rng.exponential(1, 60), rng.exponential(2, 25)),
    )[seed]


def categories(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(100 + seed)
    n = 3 + seed
    return rng.integers(0, n, 2000), rng.choice(n, 900, p=rng.dirichlet(np.full(n, 8.0)))


@pytest.mark.parametrize("seed", SEEDS)
def test_numeric_statistics_are_evidentlys(evidently: SimpleNamespace, seed: int) -> None:
    x, y = numbers(seed)
    p, q, _ = sturges(x, y)
    assert psi(p, q) == pytest.approx(evidently.score("psi_stat_test", x, y), rel=1e-9)
    assert kl(p, q) == pytest.approx(evidently.score("kl_div_stat_test", x, y), rel=1e-9)
    theirs = evidently.score("jensenshannon_stat_test", x, y)
    assert js_distance(p, q) == pytest.approx(theirs, rel=1e-9)
    p, q, _ = sturges(x, y, distinct=True)
    # Theirs is a root of 1 - sum, which loses digits near 0.
    theirs = evidently.score("hellinger_stat_test", x, y)
    assert hellinger(p, q) == pytest.approx(theirs, rel=1e-7)
    p, q, values = atoms(x, y)
    theirs = evidently.score("wasserstein_stat_test", x, y)
    assert normed(wasserstein(values, p, q), x.std()) == pytest.approx(theirs, rel=1e-9)
    assert energy(values, p, q) == pytest.approx(
        evidently.score("energy_dist_test", x, y), rel=1e-9
    )
    p_value = ks_p_value(ks(p, q), len(x), len(y), method="auto")
    theirs = evidently.score("ks_stat_test", x, y)
    assert p_value == pytest.approx(theirs, rel=1e-7, abs=1e-300)


@pytest.mark.parametrize("seed", SEEDS)
def test_categorical_statistics_are_evidentlys(evidently: SimpleNamespace, seed: int) -> None:
    x, y = categories(seed)
    p, q, _ = atoms(x, y)

    def theirs(test: str) -> float:
        return evidently.score(test, x, y, kind="cat")

    assert psi(p, q) == pytest.approx(theirs("psi_stat_test"), rel=1e-9)
    assert kl(p, q) == pytest.approx(theirs("kl_div_stat_test"), rel=1e-9)
    assert js_distance(p, q) == pytest.approx(theirs("jensenshannon_stat_test"), rel=1e-9)
    assert hellinger(p, q) == pytest.approx(theirs("hellinger_stat_test"), rel=1e-7)
    mine = chi_square_exact_reference(p, q).p_value
    assert mine == pytest.approx(theirs("chi_stat_test"), rel=1e-7, abs=1e-300)


@pytest.mark.parametrize("seed", SEEDS)
def test_numeric_statistics_are_scipys(seed: int) -> None:
    x, y = numbers(seed)
    p, q, values = atoms(x, y)
    assert wasserstein(values, p, q) == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-9)
    assert energy(values, p, q) == pytest.approx(stats.energy_distance(x, y), rel=1e-9)
    test = stats.ks_2samp(x, y)
    assert ks(p, q) == pytest.approx(test.statistic, rel=1e-12)
    mine = ks_p_value(test.statistic, len(x), len(y), method="auto")
    assert mine == pytest.approx(test.pvalue, rel=1e-7, abs=1e-300)
    p, q, _ = sturges(x, y)
    assert js_distance(p, q, base=2.0) == pytest.approx(distance.jensenshannon(p, q, 2), rel=1e-9)
    assert kl(p, q, convention="exact") == pytest.approx(stats.entropy(p, q), rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_chi_square_is_scipys_contingency_test(seed: int) -> None:
    p, q, _ = atoms(*categories(seed))
    for correction in (True, False):
        for table in (np.stack([p, q]), np.stack([p, q])[:, :2]):
            theirs = stats.chi2_contingency(table, correction=correction)
            mine = chi_square(table[0], table[1], correction=correction)
            assert mine.statistic == pytest.approx(theirs.statistic, rel=1e-9)
            assert mine.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
            assert mine.dof == theirs.dof
            if not correction:
                v = stats.contingency.association(table, method="cramer")
                assert mine.cramers_v == pytest.approx(v, rel=1e-9)


def test_a_batch_of_cells_is_each_cell_alone() -> None:
    rng = np.random.default_rng(3)
    p, q = rng.integers(0, 50, (4, 3, 8)), rng.integers(0, 50, (4, 3, 8))
    together = [psi(p, q), ks(p, q), js_distance(p, q), chi_square(p, q).p_value]
    for at in np.ndindex(4, 3):
        alone = [f(p[at], q[at]) for f in (psi, ks, js_distance)]
        alone.append(chi_square(p[at], q[at]).p_value)
        assert [t[at] for t in together] == pytest.approx(alone, rel=1e-12)


def test_asymptotic_ks_is_kolmogorovs_limit() -> None:
    for d, n0, n in ((0.01, 5000, 900), (0.05, 400, 700), (0.3, 40, 45)):
        limit = stats.kstwobign.sf(d * np.sqrt(n0 * n / (n0 + n)))
        assert ks_p_value(d, n0, n) == pytest.approx(limit, rel=1e-9)
        assert ks_p_value(ks_critical(n0, n), n0, n) == pytest.approx(0.05, rel=1e-6)
    assert chi_square_critical(7) == pytest.approx(stats.chi2.isf(0.05, 7), rel=1e-9)


def test_exact_ks_is_scipys_for_small_and_unequal_samples() -> None:
    rng = np.random.default_rng(11)
    for n0, n in ((1, 1), (1, 9), (3, 5), (7, 7), (12, 40), (100, 3), (60, 45)):
        x, y = rng.normal(size=n0), rng.normal(0.5, 2, size=n)
        theirs = stats.ks_2samp(x, y, method="exact")
        mine = ks_p_value(theirs.statistic, n0, n, method="exact")
        assert mine == pytest.approx(theirs.pvalue, rel=1e-9)


def test_share_change_is_the_uncorrected_two_by_two_table() -> None:
    for x, n, x0, n0 in ((30, 1000, 100, 10_000), (0, 500, 40, 2000), (9, 12, 10, 400)):
        table = [[x, n - x], [x0, n0 - x0]]
        theirs = stats.chi2_contingency(table, correction=False).pvalue
        assert share_change(x, n, x0, n0).p_value == pytest.approx(theirs, rel=1e-9)


def test_wilson_interval_is_scipys() -> None:
    for x, n in ((0, 20), (81, 263), (30, 30), (1, 1000)):
        theirs = stats.binomtest(x, n).proportion_ci(0.9, method="wilson")
        mine = wilson_interval(x, n, 0.9)
        assert (mine.low, mine.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_mean_shift_is_welchs_test_with_many_rows() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(3, 2, 20_000), rng.normal(3.05, 2.5, 9_000)
    moments = [moments_of(len(s), s.sum(), (s**2).sum()) for s in (x, y)]
    moved = shift(moments[0], moments[1])
    theirs = stats.ttest_ind(y, x, equal_var=False)
    assert moved.p_value == pytest.approx(theirs.pvalue, rel=1e-2)
    assert moved.mean_shift == pytest.approx((y.mean() - x.mean()) / x.std(), rel=1e-9)
    assert moved.sd_ratio == pytest.approx(y.std() / x.std(), rel=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_demographic_parity_is_fairlearns(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("fairlearn")
        from fairlearn import metrics
    rng = np.random.default_rng(seed)
    n_groups = 2 + seed
    group = rng.integers(0, n_groups, 3000)
    predicted = (rng.random(3000) < rng.uniform(0.2, 0.7, n_groups)[group]).astype(int)
    names = [str(g) for g in range(n_groups)]
    sizes = np.bincount(group, minlength=n_groups)
    positives = np.bincount(group, weights=predicted, minlength=n_groups).astype(np.int64)
    mine = demographic_parity(names, positives, sizes)
    given = {"y_true": predicted, "y_pred": predicted, "sensitive_features": group}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        difference = metrics.demographic_parity_difference(**given)
        ratio = metrics.demographic_parity_ratio(**given)
    assert mine.difference == pytest.approx(difference, rel=1e-12)
    assert mine.ratio == pytest.approx(ratio, rel=1e-12)
    assert min(g.disparate_impact for g in mine.groups) == pytest.approx(ratio, rel=1e-12)
