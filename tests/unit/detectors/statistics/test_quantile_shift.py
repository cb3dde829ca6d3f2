"""Quantiles of binned counts: interpolated within the bin, and bounded by its edges."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.statistics.quantile_shift import quantile_shift, quantile_shift_binned

EDGES = np.array([-1.0, 0.0, 0.5, 4.0, 9.0])


@pytest.mark.parametrize("quantile", [0.05, 0.25, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("seed", range(5))
def test_a_quantile_is_that_of_the_straight_cumulative_counts(quantile, seed):
    reference, current = np.random.default_rng(seed).integers(1, 40, (2, 4))
    found = quantile_shift_binned(EDGES, reference, current, quantile=quantile)
    at = [
        np.interp(quantile * counts.sum(), [0, *np.cumsum(counts)], EDGES)
        for counts in (reference, current)
    ]
    assert found.value == pytest.approx(at[1] - at[0], abs=1e-12)
    bins = np.searchsorted(EDGES, at, side="left") - 1
    assert found.low == EDGES[bins[1]] - EDGES[bins[0] + 1]
    assert found.high == EDGES[bins[1] + 1] - EDGES[bins[0]]


def test_a_quantile_at_the_end_of_a_bin_is_its_upper_edge():
    found = quantile_shift_binned([0.0, 10.0, 20.0], [10, 10], [5, 15])
    assert (found.value, found.low, found.high) == (pytest.approx(10 / 3), 0.0, 20.0)


def test_a_side_without_rows_has_no_quantile():
    found = quantile_shift_binned([0.0, 1.0, 2.0], [3, 4], [0, 0])
    assert np.isnan([found.value, found.low, found.high]).all()
    assert np.isnan(quantile_shift([0.0, 1.0], [3, 4], [0, 0]))


def test_a_quantile_of_values_is_the_first_at_its_cumulative_count():
    assert quantile_shift([1.0, 2.0, 5.0], [5, 5, 0], [0, 5, 5]) == 1.0
    assert quantile_shift([1.0, 2.0, 5.0], [5, 5, 0], [0, 4, 6]) == 4.0
    assert quantile_shift([1.0, 2.0, 5.0], [3, 7, 0], [7, 0, 3], quantile=0.7) == -1.0
