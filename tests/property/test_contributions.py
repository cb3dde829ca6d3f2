"""Where a change is: parts that add up, and names that are deserved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from detectors.explain.contributions import LEVEL, contributions, standing_out
from detectors.statistics.jensen_shannon import js_divergence
from schemas.errors import DomainError, ShapeError


@st.composite
def tables(draw):
    """Counts of a few cells on both sides, near or far, with empty ones among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    p = rng.dirichlet(np.full(np.prod(shape), 0.5))
    q = rng.dirichlet(200 * p + 1e-3) if rng.random() < 0.6 else p
    n = draw(st.sampled_from([1, 40, 5_000, 10**12]))
    sides = [rng.multinomial(n, side).reshape(shape) for side in (p, q)]
    return sides[0], sides[1]


@given(tables())
@settings(max_examples=200, deadline=None)
def test_parts_are_not_negative_and_add_up_to_the_divergence(sides):
    before, now = sides
    parts = contributions(before, now)
    assert parts.total == pytest.approx(
        js_divergence(before.ravel(), now.ravel()), rel=1e-9, abs=1e-14
    )
    assert (parts.inside >= 0).all()
    assert (parts.mix >= 0).all()
    assert (parts.bins >= 0).all()
    assert parts.rows.sum() == pytest.approx(1)
    if parts.total > 1e-12:
        assert parts.inside.sum() + parts.mix.sum() == pytest.approx(1, abs=1e-9)
        assert parts.bins.sum() == pytest.approx(1)


@given(tables(), st.randoms())
@settings(max_examples=50, deadline=None)
def test_the_order_of_cells_and_bins_does_not_matter(sides, random):
    before, now = sides
    cells, bins = ([*range(k)] for k in now.shape)
    random.shuffle(cells)
    random.shuffle(bins)
    parts = contributions(before, now)
    again = contributions(before[np.ix_(cells, bins)], now[np.ix_(cells, bins)])
    np.testing.assert_allclose(again.inside, parts.inside[cells], atol=1e-9)
    np.testing.assert_allclose(again.bins, parts.bins[np.ix_(cells, bins)], atol=1e-9)


def test_a_cell_that_alone_changed_carries_everything():
    before = np.array([[400, 100], [800, 200], [40, 10]])
    now = np.array([[400, 100], [800, 200], [10, 40]])
    parts = contributions(before, now)
    np.testing.assert_allclose(parts.inside, [0, 0, 1], atol=1e-12)
    assert parts.mix.max() < 1e-12


def test_traffic_that_only_moves_between_cells_is_all_mix():
    parts = contributions([[400, 100], [100, 400]], [[200, 50], [300, 1200]])
    np.testing.assert_allclose(parts.inside, 0, atol=1e-12)
    assert parts.mix.sum() == pytest.approx(1)


def test_a_cell_the_reference_never_had_is_all_mix():
    parts = contributions([[400, 100], [0, 0]], [[400, 100], [30, 70]])
    assert parts.inside[1] == 0
    assert parts.mix.sum() == pytest.approx(1)


def test_one_baseline_for_all_hosts_leaves_no_mix():
    parts = contributions([800, 200], [[400, 100], [30, 70], [4, 1]])
    np.testing.assert_allclose(parts.inside, [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(parts.mix, 0, atol=1e-12)


def test_features_that_count_the_same_rows_are_cells_too():
    before, now = [[500, 500], [900, 100]], [[500, 500], [700, 300]]
    parts = contributions(before, now)
    np.testing.assert_allclose(parts.inside, [0, 1], atol=1e-12)
    assert parts.total == pytest.approx(js_divergence([900, 100], [700, 300]) / 2)


def test_nothing_changed_is_zero_and_nothing_there_is_nan():
    same = contributions([[4, 6], [1, 2]], [[4, 6], [1, 2]])
    assert same.total == 0
    assert not same.inside.any()
    for sides in (([[0, 0]], [[1, 2]]), ([[1, 2]], [[0, 0]])):
        parts = contributions(*sides)
        assert np.isnan(parts.total)
        assert np.isnan(parts.inside).all()
        assert standing_out(*sides).tolist() == []


def test_a_tiny_change_of_huge_counts_keeps_its_digits():
    n = 10**15
    before, now = np.array([[n, n], [n, n]]), np.array([[n + 10, n - 10], [n, n]])
    assert contributions(before, now).total == pytest.approx((10 / n) ** 2 / 16, rel=1e-6)


def draws(seed: int, shift: tuple[float, ...], n: int = 2_000) -> tuple[np.ndarray, np.ndarray]:
    """Four cells of unequal size whose share of hits moves by ``shift``."""
    rng = np.random.default_rng(seed)
    sizes, base = np.array([0.5, 0.25, 0.15, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
    sides = []
    for rows, rate in ((10 * n, base), (n, base + shift)):
        total = rng.multinomial(rows, sizes)
        hits = rng.binomial(total, rate)
        sides.append(np.stack([total - hits, hits], axis=1))
    return sides[0], sides[1]


def test_the_cell_that_moved_is_named_alone():
    found = [standing_out(*draws(seed, (0, 0, 0.2, 0))).tolist() for seed in range(100)]
    assert sum(names == [2] for names in found) >= 98


@pytest.mark.parametrize("shift", [(0.0,) * 4, (0.1,) * 4])
def test_where_all_moved_alike_hardly_anybody_is_named(shift):
    n_runs = 600
    named = sum(len(standing_out(*draws(seed, shift))) > 0 for seed in range(n_runs))
    assert named <= binom.ppf(0.999, n_runs, LEVEL)


def test_clustered_rows_need_a_larger_lead():
    sides = draws(0, (0, 0, 0.15, 0))
    assert standing_out(*sides).tolist() == [2]
    assert standing_out(*sides, phi=30.0).tolist() == []


def test_bad_input_is_refused_with_its_value():
    with pytest.raises(ShapeError, match=r"reference has shape \(3,\), current \(1, 2\)"):
        contributions([1, 2, 3], [[1, 2]])
    with pytest.raises(DomainError, match="a count is -1"):
        contributions([[1, 2]], [[-1, 2]])
    with pytest.raises(ShapeError, match="3 counts a cell"):
        standing_out([[1, 2, 3]], [[1, 2, 3]])
    with pytest.raises(DomainError, match="phi is 0.5"):
        standing_out([[1, 2]], [[1, 2]], phi=0.5)
    with pytest.raises(DomainError, match="level is 1"):
        standing_out([[1, 2]], [[1, 2]], level=1)
