"""Statistics of two histograms: bad input, empty and tiny input, what each one sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from detectors.quality.checks import missing_share, range_excess, share_change
from detectors.statistics.chi_square import (
    chi_square,
    chi_square_critical,
    chi_square_exact_reference,
)
from detectors.statistics.deciles import group_by_quantile
from detectors.statistics.energy import energy
from detectors.statistics.hellinger import hellinger
from detectors.statistics.histogram import atoms, doane, reference_quantiles, sturges
from detectors.statistics.jensen_shannon import js_distance, js_divergence
from detectors.statistics.kl import kl
from detectors.statistics.ks import ks, ks_critical, ks_p_value
from detectors.statistics.l_infinity import l_infinity
from detectors.statistics.psi import psi, psi_bias
from detectors.statistics.shift import moments_of, shift
from detectors.statistics.total_variation import total_variation
from detectors.statistics.wasserstein import Tails, normed, wasserstein, wasserstein_binned
from schemas.errors import DomainError, DriftlineError, ShapeError

Distance = Callable[..., Any]
DISTANCES: tuple[Distance, ...] = (psi, kl, js_distance, hellinger, total_variation, ks)
NO_TAILS = Tails(np.array(0), np.array(0), np.array(0.0), np.array(np.inf), np.array(-np.inf))


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(
    ("reference", "current", "error", "says"),
    [
        ([1, 2, 3], [1, 2], ShapeError, r"\(3,\), current \(2,\)"),
        ([1, 2], [1, -2], DomainError, "a count is -2"),
        ([0.6, 0.6], [1, 2], DomainError, "sum to 1.2"),
        ([0.5, 0.5], [2.0, 2.0], DomainError, "sum to 4"),
        ([1.5, -0.5], [1, 2], DomainError, "-0.5"),
        ([1, 2], [np.inf, 0.0], DomainError, "inf"),
        ([1, 2], [0.5, np.nan], DomainError, "nan"),
        (["a", "b"], [1, 2], ShapeError, "dtype is <U1"),
        ([True, False], [1, 2], ShapeError, "dtype is bool"),
        ([], [], ShapeError, "at least one bin"),
        (3, [1], ShapeError, r"shape is \(\)"),
    ],
)
def test_bad_histograms_are_refused_with_the_value(
    distance: Distance, reference: Any, current: Any, error: type[DriftlineError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        distance(reference, current)
    assert isinstance(caught.value, ValueError)


def test_stacks_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 3\), current \(4, 3\)"):
        psi(np.ones((2, 3), int), np.ones((4, 3), int))


@pytest.mark.parametrize("distance", DISTANCES)
def test_an_empty_side_has_no_distance(distance: Distance) -> None:
    stack = distance(np.array([[3, 1], [3, 1], [0, 0]]), np.array([[1, 1], [0, 0], [1, 1]]))
    assert np.isfinite(stack[0])
    assert np.isnan(stack[1:]).all()


@pytest.mark.parametrize("distance", DISTANCES)
def test_one_row_on_each_side_is_enough_for_a_number(distance: Distance) -> None:
    assert distance([1, 0], [1, 0]) == pytest.approx(0.0, abs=1e-12)
    assert distance([1, 0], [0, 1]) > 0.5


@pytest.mark.parametrize("distance", DISTANCES)
def test_counts_and_their_proportions_are_the_same(distance: Distance) -> None:
    p, q = np.array([30, 50, 20]), np.array([10, 5, 5])
    assert distance(p / 100, q / 20) == pytest.approx(float(distance(p, q)), rel=1e-12)


def test_zero_fill_is_a_ten_thousandth_or_a_millionth_of_the_smallest() -> None:
    by_hand = (0.5 - 1) * np.log(0.5) + (0.5 - 1e-4) * np.log(0.5 / 1e-4)
    assert psi([1, 1], [2, 0]) == pytest.approx(by_hand, rel=1e-12)
    tiny = 1 / 20_000 / 1e6
    q = np.array([1, 19_999, 0])
    p = np.array([1 / 3] * 3)
    filled = np.array([1 / 20_000, 19_999 / 20_000, tiny])
    assert psi(p, q) == pytest.approx(((p - filled) * np.log(p / filled)).sum(), rel=1e-12)


def test_exact_kl_looks_only_at_what_the_reference_had() -> None:
    assert kl([1, 1, 0], [1, 1, 2], convention="exact") == pytest.approx(np.log(2))
    assert kl([1, 1, 2], [1, 1, 0], convention="exact") == np.inf


def test_unknown_conventions_are_named() -> None:
    with pytest.raises(DomainError, match="nannyml"):
        psi([1], [1], convention="nannyml")  # type: ignore[arg-type]
    with pytest.raises(DomainError, match="base is 1"):
        js_divergence([1], [1], base=1.0)
    with pytest.raises(DomainError, match="bootstrap"):
        ks_p_value(0.1, 10, 10, method="bootstrap")  # type: ignore[arg-type]


def test_psi_without_drift_has_the_stated_mean() -> None:
    rng = np.random.default_rng(2)
    p, q = (rng.multinomial(n, np.full(10, 0.1), 2000) for n in (20_000, 1000))
    values = psi(p, q)
    expected = float(psi_bias(10, 20_000, 1000))
    # Its standard deviation is sqrt(2 / 9) of the mean.
    assert abs(values.mean() / expected - 1) < 5 * np.sqrt(2 / 9 / 2000)


def test_exact_ks_without_drift_rejects_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    p_values = []
    for _ in range(400):
        p, q, _ = atoms(rng.normal(size=40), rng.normal(size=30))
        p_values.append(float(ks_p_value(ks(p, q), 40, 30, method="exact")))
    assert abs(np.mean(np.array(p_values) <= 0.2) - 0.2) < 5 * np.sqrt(0.2 * 0.8 / 400)


@pytest.mark.parametrize(
    ("d", "n0", "n", "says"),
    [(1.2, 5, 5, "D is 1.2"), (-0.1, 5, 5, "D is -0.1"), (0.5, -1, 5, "-1"), (0.5, 5, 2.5, "2.5")],
)
def test_ks_p_value_refuses_what_cannot_be(d: float, n0: int, n: Any, says: str) -> None:
    with pytest.raises(DomainError, match=says):
        ks_p_value(d, n0, n)


def test_ks_p_value_without_rows_is_nan() -> None:
    for method in ("asymptotic", "exact", "auto"):
        assert np.isnan(ks_p_value(0.5, 0, 10, method=method))  # type: ignore[arg-type]
    assert np.isnan(ks_critical(10, 0))


def test_l_infinity_names_the_category_and_the_direction() -> None:
    moved = l_infinity([[50, 50, 0], [1, 1, 1], [1, 1, 1]], [[30, 60, 10], [0, 0, 0], [3, 3, 3]])
    assert moved.bin.tolist() == [0, -1, 0]
    assert moved.change[0] == pytest.approx(-0.2)
    assert np.isnan(moved.statistic[1])
    assert moved.statistic[2] == 0


def test_chi_square_of_one_category_or_none_says_nothing() -> None:
    same = chi_square([7, 0], [3, 0])
    assert (same.statistic, same.p_value, same.dof, same.cramers_v) == (0, 1, 0, 0)
    assert np.isnan(chi_square([0, 0], [3, 1]).p_value)
    assert np.isnan(chi_square_exact_reference([3, 1], [0, 0]).p_value)
    assert np.isnan(chi_square_critical(0))
    with pytest.raises(ShapeError, match="float64"):
        chi_square([0.5, 0.5], [1, 1])


def test_wasserstein_of_points_is_the_mean_move() -> None:
    assert wasserstein([0.0, 1.0, 5.0], [1, 1, 0], [0, 1, 1]) == 2.5
    assert energy([0.0, 1.0, 5.0], [1, 1, 0], [1, 1, 0]) == 0.0
    assert np.isnan(wasserstein([0.0, 1.0], [0, 0], [1, 1]))
    assert np.isnan(energy([0.0, 1.0], [1, 1], [0, 0]))


@pytest.mark.parametrize("distance", [wasserstein, energy])
def test_points_must_fit_and_ascend(distance: Distance) -> None:
    with pytest.raises(ShapeError, match=r"\(3,\), counts \(2,\)"):
        distance([0.0, 1.0, 2.0], [1, 1], [1, 1])
    with pytest.raises(DomainError, match="ascending"):
        distance([1.0, 0.0], [1, 1], [1, 1])
    with pytest.raises(DomainError, match="finite"):
        distance([0.0, np.inf], [1, 1], [1, 1])


def test_binned_wasserstein_of_an_empty_side_is_nan() -> None:
    for p, q in (([0, 0], [1, 1]), ([1, 1], [0, 0])):
        near = wasserstein_binned([0.0, 1.0, 2.0], p, q, NO_TAILS)
        assert np.isnan(near).all()


@pytest.mark.parametrize(
    ("edges", "error", "says"),
    [
        ([0.0, 1.0], ShapeError, "2 edges for 2 bins"),
        ([0.0, 2.0, 1.0], DomainError, "ascending"),
        ([0.0, 1.0, np.inf], DomainError, "finite"),
        ([1.0], ShapeError, r"\(1,\)"),
    ],
)
def test_binned_wasserstein_refuses_bad_edges(
    edges: list[float], error: type[DriftlineError], says: str
) -> None:
    with pytest.raises(error, match=says):
        wasserstein_binned(edges, [1, 1], [1, 1], NO_TAILS)


def test_one_wild_value_does_not_drag_the_other_rows_of_its_tail() -> None:
    # Nine rows just above the edge and one at a million; the sum tells them apart.
    tail = np.array([1.001] * 9 + [1e6])
    tails = Tails(np.array(0), np.array(10), tail.sum() + 45.0, np.array(0.0), tail.max())
    near = wasserstein_binned([0.0, 1.0], [100], [90], tails)
    exact = (tail - 1).sum() / 100
    assert near.value == pytest.approx(exact, rel=1e-3)
    assert near.high - near.low < 3.0


def test_binned_wasserstein_is_the_integral_of_two_piecewise_straight_lines() -> None:
    edges = np.array([0.0, 1.0, 3.0, 4.0, 4.0, 10.0])
    p, q = np.array([5, 30, 10, 0, 55]), np.array([30, 1, 44, 5, 20])
    tails = Tails(np.array(0), np.array(0), np.array(0.0), np.array(0.0), np.array(10.0))
    x = np.linspace(0.0, 10.0, 2_000_001)
    # The lines cross twice inside a bin, and jump at 4, in the bin without width.
    lines = [np.interp(x, edges, np.append(0, np.cumsum(c)) / 100) for c in (p, q)]
    area = np.abs(lines[0] - lines[1]).mean() * 10
    near = wasserstein_binned(edges, p, q, tails)
    assert near.value == pytest.approx(area, rel=1e-4)


def test_sums_of_both_sides_make_a_one_way_move_exact() -> None:
    rng = np.random.default_rng(6)
    x, y = rng.exponential(1.0, 5000), rng.exponential(1.5, 4000)
    edges = np.quantile(x, [0.0, 0.2, 0.5, 0.8, 1.0])
    p, q = (np.histogram(sample, edges)[0] for sample in (x, y))
    below, above = (y < edges[0]).sum(), (y > edges[-1]).sum()
    tails = Tails(below, above, y.sum(), y.min(), y.max())
    points = atoms(x, y)
    exact = wasserstein(points.edges, points.reference, points.current)
    guess = wasserstein_binned(edges, p, q, tails)
    better = wasserstein_binned(edges, p, q, tails, sum_reference=x.sum())
    assert better.value == pytest.approx(exact, rel=1e-3)
    assert abs(guess.value - exact) > 20 * abs(better.value - exact)
    assert guess.low <= better.low <= exact <= better.high


def test_normed_distance_has_a_floor_and_no_negative_scale() -> None:
    assert normed(1.0, 0.0) == pytest.approx(1000.0)
    with pytest.raises(DomainError, match="-1"):
        normed(1.0, -1.0)


def test_groups_of_a_constant_reference_are_one() -> None:
    before, now = group_by_quantile([0, 9, 0], [1, 1, 1])
    assert before.tolist() == [9] + [0] * 9
    assert now.tolist() == [3] + [0] * 9


def test_moments_of_nothing_and_of_a_constant() -> None:
    moments = moments_of([0, 3], [0.0, 6.0], [0.0, 12.0])
    assert np.isnan(moments.mean[0])
    assert (moments.mean[1], moments.sd[1]) == (2.0, 0.0)
    still = shift(moments_of(3, 6.0, 12.0), moments_of(4, 8.0, 16.0))
    assert (still.mean_shift, still.p_value) == (0.0, 1.0)
    assert np.isnan(shift(moments_of(3, 6.0, 12.0), moments_of(4, 12.0, 36.0)).p_value)


@pytest.mark.parametrize(
    ("x", "n", "error", "says"),
    [
        (5, 4, DomainError, "5 hits of 4"),
        (-1, 4, DomainError, "-1 hits"),
        (1.0, 4, ShapeError, "float64"),
    ],
)
def test_shares_refuse_impossible_counts(
    x: Any, n: int, error: type[DriftlineError], says: str
) -> None:
    with pytest.raises(error, match=says):
        share_change(x, n, 1, 10)


def test_shares_without_rows_or_without_hits() -> None:
    change = share_change([0, 0, 9], [0, 9, 9], [1, 0, 20], [10, 20, 20])
    assert np.isnan(change.share[0])
    assert np.isnan(change.p_value[0])
    assert change.p_value[1:].tolist() == [1.0, 1.0]
    with pytest.raises(ShapeError, match="pass 64"):
        missing_share([1, 2], [1, 2])


def test_ranges_without_a_limit_or_a_value_hold() -> None:
    excess = range_excess([np.inf, -5.0, 0.0], [-np.inf, 5.0, 9.0], -np.inf, [1.0, np.inf, 4.0])
    assert excess.below.tolist() == [0.0, 0.0, 0.0]
    assert excess.above.tolist() == [0.0, 0.0, 5.0]
    with pytest.raises(DomainError, match=r"\[3.0, 1.0\]"):
        range_excess(0.0, 0.0, 3.0, 1.0)


@pytest.mark.parametrize("binning", [atoms, sturges, doane, reference_quantiles])
def test_raw_samples_drop_nan_and_refuse_the_rest(binning: Callable[..., Any]) -> None:
    x = np.array([1.0, np.nan, 2.0, 3.0, 4.0])
    assert binning(x, x).reference.sum() == 4
    with pytest.raises(DomainError, match="0 of 1 values"):
        binning(x, [np.nan])
    with pytest.raises(DomainError, match="1 infinite"):
        binning([np.inf, 1.0], x)
    with pytest.raises(ShapeError, match=r"\(1, 2\)"):
        binning([[1.0, 2.0]], x)
    with pytest.raises(ShapeError, match="dtype"):
        binning(["a"], x)


def test_outside_the_doane_edges_is_one_more_bin() -> None:
    p, q, edges = doane(np.arange(100.0), np.array([-5.0, 50.0, 500.0]))
    assert len(p) == len(q) == len(edges)
    assert (p[-1], q[-1]) == (0, 2)
