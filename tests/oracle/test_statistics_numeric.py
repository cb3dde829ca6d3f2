"""Numeric detectors against scipy and evidently themselves, raw rows, many seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from detectors.conventions import evidently_default, peer_score
from detectors.statistics.anderson_darling import anderson_darling
from detectors.statistics.cramer_von_mises import cramer_von_mises
from detectors.statistics.histogram import atoms
from detectors.statistics.kuiper import kuiper
from detectors.statistics.limit_laws import (
    anderson_darling_tail,
    cramer_von_mises_tail,
    kuiper_tail,
)
from detectors.statistics.mann_whitney import mann_whitney
from detectors.statistics.quantile_shift import quantile_shift
from detectors.statistics.shift import moments_of_sample
from detectors.statistics.welch_t import welch_t

pytestmark = pytest.mark.oracle

SEEDS = range(24)
Pair = tuple[np.ndarray, np.ndarray]


def numbers(seed: int) -> Pair:
    """Continuous, heavy-tailed, whole, few-valued, tiny, disjoint: four seeds of each."""
    rng = np.random.default_rng(seed)
    n0, n = rng.integers(21, 900, 2)
    draws: list[Callable[[], Pair]] = [
        lambda: (rng.normal(0, 1, n0), rng.normal(0.1, 1.2, n)),
        lambda: (rng.standard_t(2, n0), rng.standard_t(2, n) + 0.3),
        lambda: (rng.poisson(20, n0).astype(float), rng.poisson(21, n).astype(float)),
        lambda: (rng.integers(0, 9, n0).astype(float), rng.integers(0, 10, n).astype(float)),
        lambda: (rng.exponential(1, n0 % 19 + 2), rng.exponential(2, n % 19 + 2)),
        lambda: (rng.uniform(0, 1, 30), rng.uniform(0.6, 3, 40)),
    ]
    return draws[seed % 6]()


def close(value: float, *, digits: float = 1e-9) -> Any:
    return pytest.approx(value, rel=digits, abs=1e-300)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("method", ["auto", "asymptotic"])
def test_cramer_von_mises_is_scipys(seed: int, method: Any) -> None:
    x, y = numbers(seed)
    p, q, _ = atoms(x, y)
    theirs = stats.cramervonmises_2samp(x, y, method=method)
    mine = cramer_von_mises(p, q, convention="scipy", method=method)
    assert mine.statistic == close(theirs.statistic)
    # scipy's asymptotic p-value is 1 - cdf and its series stops at 1e-7: the larger the
    # statistic, the more of its first nine digits are not there.
    assert mine.p_value == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-8)
    if p.max() == q.max() == 1 and (p + q).max() == 1:
        assert cramer_von_mises(p, q, method=method).statistic == close(theirs.statistic)


def test_midranks_find_drift_where_there_is_none_and_the_pooled_form_does_not() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.poisson(20, 3000), rng.poisson(20, 200)
    assert stats.cramervonmises_2samp(x, y).pvalue < 1e-6
    assert cramer_von_mises(*atoms(x, y)[:2]).p_value > 0.05


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("variant", ["midrank", "right"])
def test_anderson_darling_is_scipys(seed: int, variant: Any) -> None:
    x, y = numbers(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of p-values outside its table
        theirs = stats.anderson_ksamp([x, y], variant=variant)
    p, q, _ = atoms(x, y)
    mine = anderson_darling(p, q, variant=variant, convention="scipy")
    assert mine.statistic == close(theirs.statistic)
    assert mine.p_value == close(theirs.pvalue)
    # Inside the published table the limit law is the same to two digits, without ties.
    if 0.005 < theirs.pvalue < 0.2 and min(len(x), len(y)) > 30 and (p + q).max() == 1:
        assert anderson_darling(p, q, variant=variant).p_value == close(theirs.pvalue, digits=0.03)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_mann_whitney_is_scipys(seed: int, alternative: Any) -> None:
    x, y = numbers(seed)
    p, q, _ = atoms(x, y)
    methods: list[Any] = ["auto", "asymptotic"]
    if len(x) * len(y) < 1000 and (p + q).max() == 1:
        methods.append("exact")
    for method in methods:
        for continuity in (True, False):
            theirs = stats.mannwhitneyu(
                x, y, alternative=alternative, method=method, use_continuity=continuity
            )
            mine = mann_whitney(p, q, alternative=alternative, method=method, continuity=continuity)
            assert mine.statistic == close(theirs.statistic)
            assert mine.p_value == close(theirs.pvalue)


def test_exact_mann_whitney_counts_beyond_any_fixed_width() -> None:
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=60), rng.normal(0.6, 1, size=50)
    theirs = stats.mannwhitneyu(x, y, method="exact")
    assert mann_whitney(*atoms(x, y)[:2], method="exact").p_value == close(theirs.pvalue)


@pytest.mark.parametrize("seed", SEEDS)
def test_welch_and_student_are_scipys(seed: int) -> None:
    x, y = numbers(seed)
    moments = moments_of_sample(x), moments_of_sample(y)
    theirs = stats.ttest_ind(y, x, equal_var=False)
    mine = welch_t(*moments)
    assert mine.statistic == close(theirs.statistic)
    assert mine.p_value == close(theirs.pvalue)
    assert mine.dof == close(theirs.df)
    theirs = stats.ttest_ind(y, x)
    pooled = welch_t(*moments, convention="evidently")
    assert pooled.statistic == close(theirs.statistic)
    assert pooled.p_value == close(theirs.pvalue)
    assert pooled.dof == theirs.df


@pytest.mark.parametrize("seed", SEEDS)
def test_kuiper_is_both_one_sided_gaps_together(seed: int) -> None:
    x, y = numbers(seed)
    gaps = [
        stats.ks_2samp(x, y, alternative=side, method="asymp").statistic
        for side in ("less", "greater")
    ]
    assert kuiper(*atoms(x, y)[:2]).statistic == pytest.approx(sum(gaps), rel=1e-9, abs=1e-12)


def test_kuiper_sees_no_beginning_of_the_circle() -> None:
    rng = np.random.default_rng(3)
    p, q = rng.integers(0, 40, (2, 24))
    hours = [kuiper(np.roll(p, h), np.roll(q, h)).statistic for h in range(24)]
    assert hours == pytest.approx([hours[0]] * 24, rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("quantile", [0.01, 0.25, 0.5, 0.9, 0.99])
def test_quantile_shift_is_numpys_inverted_cdf(seed: int, quantile: float) -> None:
    x, y = numbers(seed)
    theirs = np.quantile([0.0], 0.5) + np.subtract(
        *(np.quantile(s, quantile, method="inverted_cdf") for s in (y, x))
    )
    p, q, values = atoms(x, y)
    assert quantile_shift(values, p, q, quantile=quantile) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(
    ("tail", "table"),
    [
        # Anderson and Darling (1952), table 1.
        (cramer_von_mises_tail, {0.34730: 0.1, 0.46136: 0.05, 0.74346: 0.01, 1.16786: 0.001}),
        # Anderson and Darling (1954); Marsaglia and Marsaglia (2004) to more digits.
        (anderson_darling_tail, {1.9330: 0.1, 2.4924: 0.05, 3.8781: 0.01, 5.9694: 0.001}),
        # Stephens (1970), table 1: modified V.
        (kuiper_tail, {1.620: 0.1, 1.747: 0.05, 1.862: 0.025, 2.001: 0.01}),
    ],
)
def test_limit_laws_are_the_published_tables(tail: Any, table: dict[float, float]) -> None:
    for value, level in table.items():
        assert tail(value) == pytest.approx(level, rel=1.2e-2)


def test_limit_laws_are_sums_of_weighted_squares() -> None:
    rng = np.random.default_rng(12)
    j = np.arange(1, 400)
    squares = rng.chisquare(1, (20_000, j.size))
    for tail, weights in (
        (cramer_von_mises_tail, 1 / (j * np.pi) ** 2),
        (anderson_darling_tail, 1 / (j * (j + 1.0))),
    ):
        # The weights beyond the 400th are replaced by their mean.
        rest = (1 / 6 if tail is cramer_von_mises_tail else 1.0) - weights.sum()
        drawn = squares @ weights + rest
        for level in (0.9, 0.5, 0.1, 0.01):
            share = tail(np.quantile(drawn, 1 - level))
            assert abs(share - level) < 5 * np.sqrt(level * (1 - level) / len(drawn))


EVIDENTLY = {
    "psi": "psi_stat_test",
    "kl": "kl_div_stat_test",
    "jensen_shannon": "jensenshannon_stat_test",
    "hellinger": "hellinger_stat_test",
    "normed_wasserstein": "wasserstein_stat_test",
    "energy": "energy_dist_test",
    "ks": "ks_stat_test",
    "cramer_von_mises": "cramer_von_mises",
    "anderson_darling": "anderson_darling_test",
    "mann_whitney": "mann_whitney_u_stat_test",
    "welch_t": "t_test",
}
# evidently takes a root of 1 - sum, or 1 - cdf: digits that are not there near 0.
LOST_DIGITS = {"hellinger": 1e-7, "cramer_von_mises": 1e-8, "ks": 1e-12}


@pytest.fixture(scope="module")
def evidently() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("evidently")
        import pandas as pd
        from evidently.legacy.calculations import stattests
        from evidently.legacy.calculations.stattests.registry import _get_default_stattest
        from evidently.legacy.core import ColumnType

    def score(test: str, x: np.ndarray, y: np.ndarray) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            implementation = getattr(stattests, test)
            series = pd.Series(x), pd.Series(y)
            return float(implementation(*series, ColumnType.Numerical, None).drift_score)

    def default(x: np.ndarray, y: np.ndarray, kind: str) -> str:
        feature = ColumnType.Numerical if kind == "numeric" else ColumnType.Categorical
        return str(_get_default_stattest(pd.Series(x), pd.Series(y), feature).name)

    score.default = default  # type: ignore[attr-defined]
    return score


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("detector", EVIDENTLY)
def test_the_number_is_evidentlys(evidently: Any, detector: str, seed: int) -> None:
    x, y = numbers(seed)
    if detector == "cramer_von_mises" and max(len(x), len(y)) <= 20:
        # Its copy of scipy's exact count raises under numpy 2; the original does not.
        theirs = stats.cramervonmises_2samp(x, y).pvalue
    else:
        theirs = evidently(EVIDENTLY[detector], x, y)
    mine = peer_score(detector, x, y, convention="evidently").value
    assert mine == pytest.approx(theirs, rel=1e-9, abs=LOST_DIGITS.get(detector, 1e-14))


@pytest.mark.parametrize("seed", range(6))
def test_the_default_is_evidentlys(evidently: Any, seed: int) -> None:
    names = {
        "ks": "ks",
        "normed_wasserstein": "wasserstein",
        "jensen_shannon": "jensenshannon",
        "chi_square": "chisquare",
        "two_proportion_z": "z",
    }
    rng = np.random.default_rng(seed)
    for n0 in (1000, 1001):
        for n_values in (2, 3, 5, 6, 40):
            x = rng.permutation(np.arange(n0) % n_values)
            y = rng.integers(0, n_values, 50)
            for kind in ("numeric", "categorical"):
                mine, _, _ = evidently_default(x, y, kind=kind)  # type: ignore[arg-type]
                assert names[mine] == evidently.default(x, y, kind)


SCIPY: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "ks": lambda x, y: stats.ks_2samp(x, y).pvalue,
    "cramer_von_mises": lambda x, y: stats.cramervonmises_2samp(x, y).pvalue,
    "mann_whitney": lambda x, y: stats.mannwhitneyu(x, y).pvalue,
    "welch_t": lambda x, y: stats.ttest_ind(x, y, equal_var=False).pvalue,
    "wasserstein": stats.wasserstein_distance,
    "energy": stats.energy_distance,
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("detector", SCIPY)
def test_the_number_is_scipys(detector: str, seed: int) -> None:
    x, y = numbers(seed)
    mine = peer_score(detector, x, y, convention="scipy").value
    lost = LOST_DIGITS.get(detector, 1e-14)
    assert mine == pytest.approx(SCIPY[detector](x, y), rel=1e-9, abs=lost)
