"""Laws of known excursions: merging, limits, rates."""

from __future__ import annotations

from functools import reduce

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.multiscale.excursions import (
    ExcursionKind,
    comes_more_often,
    with_kind,
)

N_CELLS, N_COMPONENTS = 3, 5


@st.composite
def kinds(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return ExcursionKind(
        n_known=draw(st.integers(1, 50)),
        hours=draw(st.floats(1.0, 5_000.0)),
        n_ticks=draw(st.integers(1, 800)),
        cells=rng.random(N_CELLS) < 0.6,
        low=-rng.random((N_COMPONENTS, 6)).astype(np.float32),
        high=rng.random((N_COMPONENTS, 6)).astype(np.float32),
        marked_hours=draw(st.sampled_from([0.0, 30.0, 900.0])),
    )


def same(a, b):
    arrays = all(np.array_equal(getattr(a, k), getattr(b, k)) for k in ("cells", "low", "high"))
    names = ("n_known", "hours", "n_ticks", "marked_hours")
    return arrays and all(getattr(a, k) == getattr(b, k) for k in names)


@given(kinds(), kinds(), kinds())
def test_merging_kinds_is_commutative_and_associative(a, b, c):
    assert same(a.merged(b), b.merged(a))
    assert same(a.merged(b).merged(c), a.merged(b.merged(c)))


@given(kinds(), kinds())
def test_a_merged_kind_allows_the_extremes_of_both(a, b):
    both = a.merged(b)
    for one in (a, b):
        assert (both.high >= one.high).all()
        assert (both.low <= one.low).all()
        assert both.n_ticks >= one.n_ticks
        assert both.margin < one.margin
        assert both.max_ticks >= one.n_ticks


@given(kinds(), kinds())
def test_resemblance_is_mutual(a, b):
    assert a.resembles(b) == b.resembles(a)


@given(st.lists(kinds(), max_size=12))
def test_adding_kinds_loses_none_that_there_is_room_for(own):
    found = reduce(with_kind, own, ())
    assert len(found) <= min(len(own), 8)
    assert sum(k.n_known for k in found) <= sum(k.n_known for k in own)
    if len(own) <= 8:
        assert sum(k.n_known for k in found) == sum(k.n_known for k in own)
    if own:
        assert any(k.is_marked for k in found) == any(k.is_marked for k in own)


@settings(max_examples=200)
@given(
    kinds(),
    st.lists(st.floats(0, 1_400), max_size=40),
    st.lists(st.floats(0, 1_400), max_size=10),
    st.floats(1, 3_000),
)
def test_more_excursions_are_never_less_often(kind, ages, more, hours):
    before = comes_more_often(kind, [0.0, *ages], hours)
    after = comes_more_often(kind, [0.0, *ages, *more], hours)
    assert after or not before


@settings(max_examples=200)
@given(kinds(), st.integers(1, 40), st.floats(1, 3_000))
def test_the_known_rate_is_not_more_often(kind, n, hours):
    gap = kind.hours / kind.n_known
    if gap >= 24:
        assert not comes_more_often(kind, [gap * k for k in range(n)], hours)
