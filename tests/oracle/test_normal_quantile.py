"""Normal quantiles, ranks and normal scores against scipy's."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import ndtri
from scipy.stats import rankdata

from detectors.statistics.normal import average_ranks, normal_quantile, normal_scores


@given(st.floats(-300, -1e-15).map(lambda log: 10.0**log))
def test_quantiles_are_scipys_within_1e_14_in_both_tails(p):
    for probability in (p / 2, 1 - p / 2):
        expected = float(ndtri(probability))
        assert math.isclose(normal_quantile(probability), expected, rel_tol=1e-14, abs_tol=1e-300)


def test_quantiles_of_levels_shared_between_many_cells_are_scipys():
    levels = [level / (2 * n) for level in (0.05, 0.01, 1e-6) for n in range(1, 5_000, 7)]
    ours = [normal_quantile(level) for level in levels]
    np.testing.assert_allclose(ours, ndtri(levels), rtol=1e-14)


def test_the_ends_are_infinite():
    assert [normal_quantile(p) for p in (0.0, 0.5, 1.0)] == [-math.inf, 0.0, math.inf]


VALUES = st.sampled_from((-0.0, 0.0, 1.5, 2.0)) | st.floats(allow_nan=False)


@given(hnp.arrays(np.float64, st.integers(1, 40), elements=VALUES))
def test_ranks_are_scipys(values):
    np.testing.assert_array_equal(average_ranks(values), rankdata(values))


def test_normal_scores_are_scipys_column_by_column():
    rows = np.random.default_rng(1).normal(size=(500, 3)).round(1)
    expected = ndtri((rankdata(rows, axis=0) - 0.5) / len(rows))
    np.testing.assert_array_equal(normal_scores(rows), expected)
