"""A shift planted into a histogram does what the same shift of the rows would do."""

from dataclasses import replace

import numpy as np
import pytest

from detectors.decision_rule.edges import quantile_edges
from detectors.decision_rule.planting import plant, reference_sd, shift_matrix
from detectors.kernels.binning import bin_values, make_grid
from schemas.errors import BaselineError, DomainError
from schemas.panes import MISSING, OVERFLOW, UNDERFLOW, UNSEEN
from tests.support.worlds.backtest import small_baseline


def counted(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Count values as the monitor does."""
    return np.bincount(bin_values(values, make_grid(edges)), minlength=64).astype(np.int64)


def normal(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


def uniform(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(n)


def lognormal(n: int, seed: int) -> np.ndarray:
    return np.exp(normal(n, seed))


@pytest.mark.parametrize("draw", [normal, uniform, lognormal])
@pytest.mark.parametrize("shift_sd", [-0.5, -0.1, 0.1, 0.3, 0.5])
def test_planted_rows_lie_where_shifted_rows_lie(draw, shift_sd):
    reference, window = draw(20_000, 1), draw(50_000, 2)
    edges = quantile_edges(reference)
    shift = shift_sd * reference.std()
    matrix = shift_matrix(edges, counted(reference, edges), shift)
    planted = plant(counted(window, edges), matrix) / len(window)
    moved = counted(window + shift, edges) / len(window)
    # Half of what differs; one bin holds 1/60 = .017.
    assert np.abs(planted - moved).sum() / 2 < 0.02
    assert np.abs(np.cumsum(planted[:60]) - np.cumsum(moved[:60])).max() < 0.012


@pytest.mark.parametrize("shift_sd", [0.1, 0.3, 0.5])
def test_a_tail_puts_as_few_rows_beyond_the_extremes_as_rows_would(shift_sd):
    reference, window = normal(10_000, 1), normal(200_000, 2)
    edges = quantile_edges(reference)
    for sign, beyond in ((1, OVERFLOW), (-1, UNDERFLOW)):
        matrix = shift_matrix(edges, counted(reference, edges), sign * shift_sd)
        planted = plant(counted(window, edges), matrix)[beyond] / len(window)
        moved = counted(window + sign * shift_sd, edges)[beyond] / len(window)
        # Evenly spread in its bin, .5 sd would put .005 beyond the maximum.
        assert abs(planted - moved) < 0.0005


@pytest.mark.parametrize("shift", [-2.0, -0.01, 0.01, 0.7, 100.0])
@pytest.mark.parametrize(
    "edges", [np.linspace(0, 6, 61), np.array([0.0, 0, 1, 2, 3]), np.array([1.0, 1.0])], ids=len
)
def test_no_row_is_lost_or_made(edges, shift):
    rng = np.random.default_rng(0)
    counts = np.zeros((50, 64), np.int64)
    counts[:, : len(edges) - 1] = rng.integers(0, 30, (50, len(edges) - 1))
    counts[:, 60:] = rng.integers(0, 30, (50, 4))
    matrix = shift_matrix(edges, counts[0], shift)
    assert np.allclose(matrix.sum(axis=1), 1.0)
    assert (matrix >= 0).all()
    planted = plant(counts, matrix)
    assert (planted >= 0).all()
    assert (planted.sum(axis=1) == counts.sum(axis=1)).all()
    assert (planted[:, [MISSING, UNSEEN]] == counts[:, [MISSING, UNSEEN]]).all()


def test_distinct_values_move_on_in_the_share_that_moves_their_mean():
    values = np.repeat([0.0, 1.0, 2.0, 3.0], [400, 300, 200, 100])
    edges = quantile_edges(values)
    planted = plant(counted(values, edges), shift_matrix(edges, counted(values, edges), 0.25))
    assert planted[:3].tolist() == [300, 325, 225]
    assert planted[3:60].sum() + planted[OVERFLOW] == 150


def test_a_spike_at_the_minimum_is_not_emptied_by_a_small_shift():
    values = np.concatenate([np.zeros(900), 1.0 + np.arange(100.0)])
    edges = quantile_edges(values)
    before = counted(values, edges)
    up = plant(before, shift_matrix(edges, before, 0.01 * (edges[2] - edges[1])))
    assert up[0] == pytest.approx(891, abs=1)
    down = plant(before, shift_matrix(edges, before, -0.5))
    assert down[0] >= 900
    assert down[UNDERFLOW] == 0


@pytest.mark.parametrize("shift", [0.0, np.nan, np.inf])
def test_a_shift_that_is_none_is_refused(shift):
    with pytest.raises(DomainError, match="shift of"):
        shift_matrix(np.array([0.0, 1, 2]), np.ones(64, np.int64), shift)


def test_the_reference_sd_is_that_of_its_rows():
    baseline = small_baseline()
    at = next(i for i, v in enumerate(baseline.variables) if v.name == "a")
    assert reference_sd(baseline, at) == pytest.approx(1.0, abs=0.03)


def test_a_category_has_no_sd():
    baseline = small_baseline()
    at = next(i for i, v in enumerate(baseline.variables) if v.name == "c")
    with pytest.raises(BaselineError, match="'c' has no standard deviation"):
        reference_sd(baseline, at)


def baseline_of(values: np.ndarray):
    """A baseline whose first variable holds these rows, sums added up one by one."""
    baseline = small_baseline()
    edges = quantile_edges(values)
    variables = (replace(baseline.variables[0], edges=edges), *baseline.variables[1:])
    # Copies: the small baseline is one and the same for all tests.
    names = ("sums", "sums_sq", "counts")
    sums, sums_sq, counts = (getattr(baseline.reference, name).copy() for name in names)
    sums[0, 0] = np.add.accumulate(values)[-1]
    sums_sq[0, 0] = np.add.accumulate(values * values)[-1]
    counts[0, 0] = counted(values, edges)
    reference = replace(baseline.reference, sums=sums, sums_sq=sums_sq, counts=counts)
    return replace(baseline, variables=variables, reference=reference)


@pytest.mark.parametrize("value", [63.7, 0.1, -2.34e5, 1e-9])
def test_a_constant_has_no_spread_however_its_sums_are_rounded(value):
    assert reference_sd(baseline_of(np.full(10_711, value)), 0) == 0.0


def test_seconds_of_one_minute_have_the_spread_of_a_minute():
    seconds = 1.7e9 + 60 * uniform(10_000, 3)
    assert reference_sd(baseline_of(seconds), 0) == pytest.approx(seconds.std(), rel=0.02)


def test_a_spread_whose_square_is_no_number_is_infinite():
    values = normal(1_000, 1)
    values[0] = 1.7e308
    with np.errstate(over="ignore"):
        assert reference_sd(baseline_of(values), 0) == np.inf


@pytest.mark.parametrize("n_rows", [0, 1])
def test_a_tail_of_fewer_than_two_rows_is_as_long_as_that_of_two(n_rows):
    edges = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    few, two = (shift_matrix(edges, np.array([n, 50, 50, n] + [0] * 60), 0.3) for n in (n_rows, 2))
    more = shift_matrix(edges, np.array([9, 50, 50, 9] + [0] * 60), 0.3)
    np.testing.assert_array_equal(few, two)
    assert not np.array_equal(two, more)
