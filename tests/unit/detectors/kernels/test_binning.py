"""Edges and bins: named cases."""

import numpy as np
import pytest

from detectors.decision_rule.edges import quantile_edges
from detectors.kernels.binning import bin_values, make_grid
from schemas.errors import BaselineError, ShapeError
from schemas.panes import MISSING, OVERFLOW, UNDERFLOW


def test_continuous_reference_fills_sixty_bins_evenly():
    reference = np.random.default_rng(1).normal(size=6000)
    bins = bin_values(reference, make_grid(quantile_edges(reference)))
    counts = np.bincount(bins, minlength=60)
    assert counts.size == 60
    assert counts.min() >= 99
    assert counts.max() <= 101


def test_every_sixth_edge_is_a_decile():
    reference = np.random.default_rng(2).normal(size=5000)
    assert quantile_edges(reference)[::6].tolist() == pytest.approx(
        np.quantile(reference, np.linspace(0, 1, 11)).tolist(), rel=1e-12
    )


@pytest.mark.parametrize(
    ("reference", "edges"),
    [
        ([7.0, 7.0], [7.0, 7.0]),
        ([1.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
        ([np.nan, 2.0, np.inf, 1.0], [1.0, 1.0, 2.0]),
    ],
)
def test_few_values_are_edges(reference, edges):
    assert quantile_edges(reference).tolist() == edges


def test_a_spike_at_the_minimum_has_its_own_bin():
    reference = np.concatenate((np.zeros(500), np.random.default_rng(3).random(500)))
    edges = quantile_edges(reference)
    assert edges[0] == edges[1] == 0.0
    assert np.count_nonzero(bin_values(reference, make_grid(edges)) == 0) == 500


def test_a_range_beyond_the_largest_float_gives_finite_edges():
    reference = np.linspace(-1.0, 1.0, 500) * 1.7e308
    edges = quantile_edges(reference)
    assert np.isfinite(edges).all()
    assert bin_values(reference, make_grid(edges)).max() == len(edges) - 2


def test_a_reference_without_values_is_refused():
    with pytest.raises(BaselineError, match="none of 2 values is finite"):
        quantile_edges([np.nan, np.inf])


@pytest.mark.parametrize("edges", [[1.0], [2.0, 1.0], [0.0, np.inf], np.arange(62.0)])
def test_edges_that_cannot_be_are_refused(edges):
    with pytest.raises(ShapeError):
        make_grid(edges)


def test_outside_and_missing_have_their_counters():
    grid = make_grid([0.0, 1.0, 2.0])
    x = np.array([-0.1, 2.1, np.nan, np.inf, -np.inf, -0.0])
    assert bin_values(x, grid).tolist() == [UNDERFLOW, OVERFLOW, MISSING, MISSING, MISSING, 0]


def test_bins_that_share_a_cell_are_distinguished():
    # 59 edges within one cell of the grid, stretched by the last but one
    edges = np.concatenate((np.linspace(0, 1e-9, 59), [1.0, 2.0]))
    x = np.repeat(edges, 3) * np.tile([1 - 1e-12, 1.0, 1 + 1e-12], len(edges))
    inside = x[(x >= edges[0]) & (x <= edges[-1])]
    expected = np.searchsorted(edges[1:-1], inside, side="left")
    assert bin_values(inside, make_grid(edges)).tolist() == expected.tolist()
