"""Edges between values: nothing changes its bin, nor does a copy in float32."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from detectors.decision_rule.edges import (
    between_values,
    has_own_minimum,
    is_constant,
    quantile_edges,
)
from detectors.kernels.binning import bin_values, make_grid
from schemas.panes import OVERFLOW, UNDERFLOW

laws = settings(max_examples=300, deadline=None)
any_values = arrays.arrays(
    np.float64, st.integers(1, 300), elements=st.floats(allow_nan=False, allow_infinity=False)
)
few_values = st.lists(
    st.sampled_from([0.0, -0.0, 0.1, 0.2, 0.3, 0.7, -0.1, 1e-300, 1e300, 7.0, 1 / 3]), min_size=1
).map(np.array)
numbers = any_values | few_values


@given(numbers)
@laws
def test_every_value_stays_in_its_bin(values):
    before = quantile_edges(values)
    after = between_values(before, values)
    assert (np.diff(after[1:]) > 0).all()
    assert after[0] <= after[1]
    assert len(after) <= len(before)
    old, new = bin_values(values, make_grid(before)), bin_values(values, make_grid(after))
    assert not np.isin(new, (UNDERFLOW, OVERFLOW)).any()
    # an edge that would be a second one between two neighbours is left out: bins are joined
    pairs = {(int(a), int(b)) for a, b in zip(old, new, strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@given(
    arrays.arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6, width=64))
    | few_values
)
@laws
def test_a_float32_copy_falls_into_the_same_bins(values):
    values = values[np.abs(values) < 1e30]
    values = values[(values == 0) | (np.abs(values) > 1e-30)]
    distinct = np.unique(values)
    gaps = np.diff(distinct)
    if not len(distinct) or (gaps <= np.abs(distinct[1:]) * 2.0**-21).any():
        return  # float32 itself does not tell such values apart
    grid = make_grid(between_values(quantile_edges(values), values))
    copy = values.astype(np.float32).astype(np.float64)
    assert bin_values(copy, grid).tolist() == bin_values(values, grid).tolist()


@given(st.floats(allow_nan=False, allow_infinity=False))
@laws
def test_a_constant_has_one_bin_that_holds_its_copy(value):
    edges = between_values(quantile_edges([value]), [value])
    assert len(edges) == 2
    assert is_constant(edges)
    assert has_own_minimum(edges)
