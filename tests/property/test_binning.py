"""Binning is exact for every float, and quantile edges describe their reference."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.decision_rule.edges import quantile_edges
from detectors.kernels.binning import bin_values, make_grid
from schemas.panes import MISSING, OVERFLOW, UNDERFLOW

ANY = st.floats(allow_nan=True, allow_infinity=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
CLOSE = st.integers(-40, 40).map(lambda i: 1.0 + i * 2.0**-52)


@st.composite
def edges(draw: st.DrawFn) -> np.ndarray:
    kind = draw(st.sampled_from([FINITE, st.floats(-1, 1), CLOSE]))
    inner = sorted(draw(st.sets(kind, min_size=1, max_size=60)))
    return np.array([inner[0], *inner] if len(inner) == 1 or draw(st.booleans()) else inner)


def expected(x: float, e: np.ndarray) -> int:
    if not np.isfinite(x):
        return MISSING
    if x < e[0]:
        return UNDERFLOW
    if x > e[-1]:
        return OVERFLOW
    return sum(1 for edge in e[1:] if edge < x)


@settings(max_examples=300, deadline=None)
@given(edges(), st.lists(ANY, max_size=40))
def test_every_float_falls_into_the_bin_of_the_definition(e, values):
    with np.errstate(over="ignore"):
        around = [y for x in e for y in (x, np.nextafter(x, -np.inf), np.nextafter(x, np.inf))]
    x = np.array([*values, *around])
    assert bin_values(x, make_grid(e)).tolist() == [expected(v, e) for v in x]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(FINITE, st.integers(-5, 5).map(float)), min_size=1, max_size=200))
def test_edges_hold_the_whole_reference(values):
    e = quantile_edges(values)
    assert e[0] == min(values)
    assert e[-1] == max(values)
    assert 2 <= len(e) <= 61
    assert (np.diff(e)[1:] > 0).all()
    bins = bin_values(np.array(values), make_grid(e))
    assert bins.max() < len(e) - 1


@settings(max_examples=100, deadline=None)
@given(st.sets(FINITE, min_size=1, max_size=60), st.integers(1, 3))
def test_few_distinct_values_get_a_bin_each(values, n_copies):
    ordered = sorted(values)
    bins = bin_values(np.array(ordered), make_grid(quantile_edges(ordered * n_copies)))
    assert bins.tolist() == list(range(len(ordered)))
