"""Categorical detectors against scipy and evidently themselves, raw rows, many seeds."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats

from detectors.conventions import peer_score
from detectors.statistics.chi_square import chi_square
from detectors.statistics.contingency import contingency
from detectors.statistics.cramers_v import cramers_v
from detectors.statistics.fisher_exact import _limit, fisher_exact
from detectors.statistics.g_test import g_test
from detectors.statistics.total_variation import total_variation_p_value
from detectors.statistics.two_proportion_z import two_proportion_z
from detectors.statistics.unseen import unseen_category_share

pytestmark = pytest.mark.oracle

SEEDS = range(20)


def categories(seed: int, *, n_values: int = 0, same_size: bool = False) -> Any:
    """Letters, some of them absent from one side; never a reference without one."""
    rng = np.random.default_rng(200 + seed)
    k = n_values or 3 + seed % 7
    n0, n = rng.integers(50, 1500, 2)
    letters = np.array(list("abcdefghijkl"))
    shares = rng.dirichlet(np.full(k, 2.0))
    moved = 0.8 * shares + 0.2 * rng.dirichlet(np.full(k, 2.0))
    x = np.concatenate([letters[:k], rng.choice(letters[:k], n0, p=shares)])
    return x, rng.choice(letters[:k], len(x) if same_size else n, p=moved)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("n_values", [0, 2])
@pytest.mark.parametrize("correction", [True, False])
def test_g_test_and_cramers_v_are_scipys(seed: int, n_values: int, correction: bool) -> None:
    p, q, _ = contingency(*categories(seed, n_values=n_values))
    table = np.stack([p, q])
    theirs = stats.chi2_contingency(table, correction=correction, lambda_="log-likelihood")
    mine = g_test(p, q, correction=correction)
    # Not rel alone: theirs adds terms of the size of the rows.
    assert mine.statistic == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-10)
    assert mine.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert mine.dof == theirs.dof
    association = stats.contingency.association(table, method="cramer")
    assert cramers_v(p, q) == pytest.approx(association, rel=1e-9)
    assert cramers_v(p, q) == pytest.approx(
        float(chi_square(p, q, correction=False).cramers_v), rel=1e-12
    )


def test_corrected_cramers_v_has_no_bias_without_drift() -> None:
    rng = np.random.default_rng(2)
    p, q = (rng.multinomial(n, np.full(8, 1 / 8), 4000) for n in (300, 200))
    # V^2 is (K - 1) / N too large by itself; corrected it is cut at 0, so its median is.
    assert (cramers_v(p, q) ** 2).mean() == pytest.approx(7 / 499, rel=0.05)
    assert np.median(cramers_v(p, q, bias_corrected=True)) < 0.02


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_fisher_is_scipys(seed: int, alternative: Any) -> None:
    rng = np.random.default_rng(seed)
    n0, n = rng.integers(1, (12, 200, 5000, 60_000)[seed % 4], 2)
    share = rng.uniform(0, 1) ** 2
    x = rng.binomial(n0, share)
    y = rng.binomial(n, min(share * rng.uniform(0.8, 1.25), 1.0))
    theirs = stats.fisher_exact([[n - y, y], [n0 - x, x]][::-1], alternative=alternative)
    mine = fisher_exact([n0 - x, x], [n - y, y], alternative=alternative)
    assert mine.p_value == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-290)
    if x and y and x < n0 and y < n:
        assert mine.statistic == pytest.approx(theirs.statistic, rel=1e-12)


def test_the_normal_limit_of_fisher_meets_it_where_it_takes_over() -> None:
    for side in ("two-sided", "less", "greater"):
        n, off = 10**8, 4000
        pair = (n, n), (n - off, n + off)
        exact = fisher_exact(*pair, alternative=side).p_value  # type: ignore[arg-type]
        assert _limit(*pair, side) == pytest.approx(float(exact), rel=1e-6)
        huge = np.array(pair) * 10**7
        assert 0 <= fisher_exact(huge[0], huge[1], alternative=side).p_value <= 1  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_two_proportions_are_the_uncorrected_two_by_two_table(seed: int) -> None:
    p, q, _ = contingency(*categories(seed, n_values=2))
    theirs = stats.chi2_contingency(np.stack([p, q]), correction=False)
    mine = two_proportion_z(p, q)
    assert mine.statistic**2 == pytest.approx(theirs.statistic, rel=1e-9)
    assert mine.p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_good_and_turing_expect_the_unseen_share() -> None:
    rng = np.random.default_rng(6)
    shares = 1 / np.arange(1, 3001)
    shares /= shares.sum()
    p, q = rng.multinomial(2000, shares, 300), rng.multinomial(1000, shares, 300)
    found = unseen_category_share(p, q)
    assert found.statistic.mean() == pytest.approx(found.expected.mean(), rel=0.02)


EVIDENTLY = {
    "psi": "psi_stat_test",
    "kl": "kl_div_stat_test",
    "jensen_shannon": "jensenshannon_stat_test",
    "hellinger": "hellinger_stat_test",
    "chi_square": "chi_stat_test",
    "g_test": "g_test",
    "fisher_exact": "fisher_exact_test",
    "two_proportion_z": "z_stat_test",
}
TWO_VALUES = {"fisher_exact", "two_proportion_z"}
# evidently compares equally many rows only, in these.
SAME_SIZE = {"g_test", "fisher_exact"}
# A root of 1 - sum, and 1 - cdf.
LOST_DIGITS = {"hellinger": 1e-7, "two_proportion_z": 1e-15}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("detector", EVIDENTLY)
def test_the_number_is_evidentlys(detector: str, seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("evidently")
        import pandas as pd
        from evidently.legacy.calculations import stattests
        from evidently.legacy.core import ColumnType
    n_values = 2 if detector in TWO_VALUES else 0
    x, y = categories(seed, n_values=n_values, same_size=detector in SAME_SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = getattr(stattests, EVIDENTLY[detector])
        theirs = test(pd.Series(x), pd.Series(y), ColumnType.Categorical, None).drift_score
    score = peer_score(detector, x, y, convention="evidently", kind="categorical")
    assert score.value == pytest.approx(theirs, rel=1e-9, abs=LOST_DIGITS.get(detector, 1e-290))


@pytest.mark.parametrize("seed", range(4))
def test_permuted_total_variation_is_evidentlys_but_for_noise(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("evidently")
        import pandas as pd
        from evidently.legacy.calculations import stattests
        from evidently.legacy.core import ColumnType

        state = np.random.get_state()
        rng = np.random.default_rng(seed)
        x, y = rng.choice(list("abc"), 120), rng.choice(list("abc"), 80, p=[0.4, 0.3, 0.3])
        # It seeds the global generator.
        theirs = stattests.tvd_test(pd.Series(x), pd.Series(y), ColumnType.Categorical, None)
        np.random.set_state(state)
    p, q, _ = contingency(x, y)
    mine = total_variation_p_value(p, q, n_permutations=20_000)
    # Five standard deviations of 1,000 draws, and ties that rounding decides there.
    value = theirs.drift_score
    assert abs(mine - value) < 5 * np.sqrt(mine * (1 - mine) / 1000) + 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_the_number_is_scipys(seed: int) -> None:
    x, y = categories(seed, n_values=2)
    table = np.stack(contingency(x, y)[:2])
    expected = {
        "chi_square": stats.chi2_contingency(table).pvalue,
        "g_test": stats.chi2_contingency(table, lambda_="log-likelihood").pvalue,
        "fisher_exact": stats.fisher_exact(table).pvalue,
        "cramers_v": stats.contingency.association(table, method="cramer"),
    }
    for name, value in expected.items():
        mine = peer_score(name, x, y, convention="scipy", kind="categorical").value
        assert mine == pytest.approx(value, rel=1e-9)
