"""Members of the set one by one: unknown options, tiny tables, what each one sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from detectors.conventions import peer_score
from detectors.registry import DETECTORS, detectors_of
from detectors.statistics.anderson_darling import anderson_darling
from detectors.statistics.contingency import contingency
from detectors.statistics.cramer_von_mises import cramer_von_mises
from detectors.statistics.cramers_v import cramers_v
from detectors.statistics.fisher_exact import fisher_exact
from detectors.statistics.g_test import g_test
from detectors.statistics.kuiper import kuiper
from detectors.statistics.mann_whitney import mann_whitney
from detectors.statistics.quantile_shift import quantile_shift, quantile_shift_binned
from detectors.statistics.shift import Moments, moments_of, moments_of_points, moments_of_sample
from detectors.statistics.total_variation import total_variation_p_value
from detectors.statistics.two_proportion_z import two_proportion_z
from detectors.statistics.unseen import unseen_category_share
from detectors.statistics.wasserstein import wasserstein
from detectors.statistics.welch_t import welch_t
from schemas.errors import DomainError, DriftlineError, ShapeError

PAIR = [3, 4], [4, 3]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: cramer_von_mises(*PAIR, method="mc"), DomainError, "'mc'"),
        (lambda: cramer_von_mises(*PAIR, convention="nannyml"), DomainError, "'nannyml'"),
        (lambda: anderson_darling(*PAIR, variant="left"), DomainError, "variant is 'left'"),
        (lambda: anderson_darling(*PAIR, convention="r"), DomainError, "convention is 'r'"),
        (lambda: mann_whitney(*PAIR, alternative="both"), DomainError, "'both'"),
        (lambda: mann_whitney(*PAIR, method="mc"), DomainError, "'mc'"),
        (lambda: fisher_exact(*PAIR, alternative="both"), DomainError, "'both'"),
        (lambda: fisher_exact([1, 2, 3], [1, 2, 3]), ShapeError, "3 counts a side"),
        (lambda: two_proportion_z([1], [1]), ShapeError, "1 counts a side"),
        (lambda: g_test(*PAIR, convention="nannyml"), DomainError, "'nannyml'"),
        (lambda: g_test([0.5, 0.5], [1, 2]), ShapeError, "float64"),
        (lambda: quantile_shift([0, 1], *PAIR, quantile=1.0), DomainError, "quantile is 1.0"),
        (lambda: quantile_shift([1, 0], *PAIR), DomainError, "ascending"),
        (lambda: quantile_shift_binned([0, 1], *PAIR), ShapeError, r"\(2,\), counts \(2,\)"),
        (lambda: quantile_shift_binned([0, 2, 1], *PAIR), DomainError, "ascending"),
        (lambda: moments_of_points([1.0], [1, 2]), ShapeError, r"\(1,\), counts \(2,\)"),
        (lambda: moments_of_points([1.0, np.inf], [1, 2]), DomainError, "inf"),
        (lambda: moments_of_sample([[1.0]]), ShapeError, r"\(1, 1\)"),
        (lambda: contingency([["a"]], ["a"]), ShapeError, r"\(1, 1\)"),
        (lambda: contingency(["a"], ["a"], missing="zero"), DomainError, "'zero'"),
        (lambda: total_variation_p_value(*PAIR, n_permutations=0), DomainError, "is 0"),
        (lambda: total_variation_p_value([10**9], [1]), DomainError, "1000000001 rows"),
        (lambda: detectors_of("image"), DomainError, "'image'"),
    ],
)
def test_bad_options_are_refused_with_their_value(
    call: Callable[[], Any], error: type[DriftlineError], says: str
) -> None:
    with pytest.raises(error, match=says):
        call()


def test_welch_needs_two_rows_and_some_spread() -> None:
    one, two = moments_of_sample([1.0]), moments_of_sample([1.0, 2.0])
    assert np.isnan(welch_t(one, two).p_value)
    flat = moments_of_points([1.0, 5.0], [[3, 0], [0, 3]])
    apart = welch_t(*(Moments(*(part[i] for part in flat)) for i in (0, 1)))
    assert (apart.statistic, apart.p_value) == (np.inf, 0.0)
    same = welch_t(two, two)
    assert (same.statistic, same.p_value, same.effect) == (0.0, 1.0, 0.0)
    with pytest.raises(DomainError, match="'student'"):
        welch_t(two, two, convention="student")  # type: ignore[arg-type]


def test_moments_of_points_keep_the_digits_that_sums_lose() -> None:
    values = 1e9 + np.array([0.0, 1.0, 2.0])
    counted = moments_of_points(values, [1, 2, 1])
    summed = moments_of(4, (values * [1, 2, 1]).sum(), (values**2 * [1, 2, 1]).sum())
    assert counted.sd == pytest.approx(np.sqrt(0.5), rel=1e-9)
    assert abs(summed.sd - np.sqrt(0.5)) > 0.1
    assert np.isnan(moments_of_sample([np.nan]).mean)


def test_a_whole_row_of_the_table_empty_says_nothing() -> None:
    constant = fisher_exact([[5, 0], [0, 5]], [[3, 0], [0, 3]])
    assert np.isnan(constant.statistic).all()
    assert constant.p_value.tolist() == [1.0, 1.0]
    z = two_proportion_z([5, 0], [3, 0])
    assert (z.statistic, z.p_value, z.effect) == (0.0, 1.0, 0.0)
    assert (cramers_v([5, 0], [3, 0]), g_test([5, 0], [3, 0]).p_value) == (0.0, 1.0)
    assert cramers_v([5, 0], [3, 0], bias_corrected=True) == 0.0


def test_an_unseen_category_is_certain_to_gs_exact_reference_alone() -> None:
    assert g_test([40, 60, 0], [40, 59, 1], convention="evidently").p_value == 0.0
    assert 0.2 < g_test([40, 60, 0], [40, 59, 1]).p_value < 1


def test_spread_is_seen_by_gaps_and_not_by_ranks() -> None:
    middle, wide = np.array([10, 40, 40, 10]) * 10, np.array([40, 10, 10, 40]) * 10
    assert mann_whitney(middle, wide).p_value == pytest.approx(1.0, abs=1e-3)
    for test in (kuiper, cramer_von_mises, anderson_darling):
        assert test(middle, wide).p_value < 1e-6


def test_tails_weigh_more_in_anderson_darling() -> None:
    centre = np.array([10, 100, 390, 390, 100, 10])
    tails = np.array([30, 100, 370, 370, 100, 30])
    by_tails = anderson_darling(centre, tails).p_value
    assert by_tails < cramer_von_mises(centre, tails).p_value


def test_a_single_atom_has_no_weighted_gap() -> None:
    assert np.isnan(anderson_darling([0, 9, 0], [0, 5, 0]).statistic)
    assert cramer_von_mises([0, 9, 0], [0, 5, 0]).p_value == 1.0


def test_one_sided_tests_look_one_way() -> None:
    low, high = np.array([30, 20, 10]), np.array([10, 20, 30])
    assert mann_whitney(low, high, alternative="less").p_value < 1e-3
    assert mann_whitney(high, low, alternative="less").p_value > 0.99
    assert mann_whitney(high, low, alternative="greater").p_value < 1e-3
    assert fisher_exact([30, 10], [10, 30], alternative="greater").p_value < 1e-4
    assert fisher_exact([30, 10], [10, 30], alternative="less").p_value > 0.9999


def test_quantiles_of_a_constant_do_not_move() -> None:
    assert quantile_shift([5.0], [3], [9]) == 0.0
    moved = quantile_shift_binned([0.0, 1.0, 1.0, 2.0], [0, 4, 0], [0, 4, 0])
    assert (moved.value, moved.low, moved.high) == (0.0, 0.0, 0.0)


def test_unseen_rows_count_together() -> None:
    found = unseen_category_share([[9, 1, 0, 0], [5, 5, 0, 0]], [8, 0, 1, 1])
    assert found.statistic.tolist() == [0.2, 0.2]
    assert found.expected.tolist() == [0.1, 0.0]
    assert found.n_categories.tolist() == [2, 2]


def test_a_permuted_p_value_is_as_rare_as_it_says_and_never_zero() -> None:
    rng = np.random.default_rng(9)
    p, q = (rng.multinomial(n, [0.5, 0.3, 0.2], 300) for n in (120, 90))
    p_values = total_variation_p_value(p, q, n_permutations=200)
    assert abs((p_values <= 0.2).mean() - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 300)
    assert total_variation_p_value([99, 0], [0, 99]) == pytest.approx(1 / 1001)
    assert np.isnan(total_variation_p_value([0, 0], [1, 2]))


def test_points_may_differ_from_histogram_to_histogram() -> None:
    values = np.array([[0.0, 1.0], [0.0, 10.0]])
    assert wasserstein(values, [1, 0], [0, 1]).tolist() == [1.0, 10.0]


def test_missing_is_a_category_unless_dropped() -> None:
    x, y = np.array(["a", None, "b"], object), [1.5, np.nan]
    kept = contingency(x, y)
    assert kept.categories == (1.5, "a", "b", None)
    assert (kept.reference.tolist(), kept.current.tolist()) == ([0, 1, 1, 1], [1, 0, 0, 1])
    assert contingency(x, y, missing="drop").categories == (1.5, "a", "b")
    assert contingency([], []).categories == ()


@pytest.mark.parametrize(
    ("detector", "convention", "kind", "says"),
    [
        ("psi", "nannyml", "numeric", "use one of .*wasserstein"),
        ("total_variation", "evidently", "categorical", "no categorical 'total_variation'"),
        ("ks", "whylogs", "numeric", "'whylogs' has no"),
    ],
)
def test_what_a_peer_has_not_is_named(detector: str, convention: Any, kind: Any, says: str) -> None:
    with pytest.raises(DomainError, match=says):
        peer_score(detector, [1.0], [2.0], convention=convention, kind=kind)


def test_a_sample_with_nothing_left_is_refused() -> None:
    for kind in ("numeric", "categorical"):
        with pytest.raises(DomainError, match="0 "):
            peer_score("hellinger", [1.0], [np.nan], convention="nannyml", kind=kind)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="3 categories"):
        peer_score("fisher_exact", ["a", "b"], ["c"], convention="scipy", kind="categorical")


def test_evidently_alone_drops_the_infinite() -> None:
    x, y = [1.0, 2.0, np.inf], [2.0, 3.0]
    assert peer_score("ks", x, y, convention="evidently").value > 0
    with pytest.raises(DomainError, match="1 infinite"):
        peer_score("ks", x, y, convention="scipy")


def test_every_detector_says_where_it_comes_from() -> None:
    for detector in DETECTORS.values():
        words = detector.load().__doc__ or ""
        for section in ("Parameters", "Returns", "References", "Examples"):
            assert section in words, (detector.name, section)
