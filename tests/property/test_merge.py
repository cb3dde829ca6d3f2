"""Laws of merging, and of the codec: nothing is lost, nothing depends on the order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.windowing import codec as pane_codec
from monitor.core.windowing.merge import merge, merge_all
from schemas.panes import Pane, SeriesId, SeriesStats
from tests.support.batches import ARRAYS, as_bits

INTEGERS = [n for n in ARRAYS if n.startswith(("n_", "counts", "calibration_counts"))]


@st.composite
def stats(draw: st.DrawFn, n_variables: int = 2) -> SeriesStats:
    names = draw(st.lists(st.sampled_from(["*", "a=1", "b=é", "c=|"]), unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    out = SeriesStats.empty(tuple(names), n_variables)
    for name in ARRAYS:
        array = getattr(out, name)
        fresh = rng.normal(size=array.shape) if array.dtype.kind == "f" else None
        array[...] = rng.integers(0, 2**40, array.shape) if fresh is None else fresh
    out.minima[rng.random(out.minima.shape) < 0.3] = draw(st.sampled_from([0.0, -0.0, np.inf]))
    return out


def integers(s: SeriesStats) -> dict:
    return {n: getattr(s, n).tolist() for n in [*INTEGERS, "minima", "maxima"]}


@settings(max_examples=60, deadline=None)
@given(stats(), stats())
def test_merging_is_commutative_bit_for_bit(a, b):
    assert as_bits(merge(a, b)) == as_bits(merge(b, a))


@settings(max_examples=60, deadline=None)
@given(stats(), stats(), stats())
def test_merging_is_associative(a, b, c):
    left, right = merge(merge(a, b), c), merge(a, merge(b, c))
    assert left.segments == right.segments
    assert integers(left) == integers(right)
    np.testing.assert_allclose(left.sums, right.sums, rtol=0, atol=1e-12)
    assert as_bits(merge_all([a, b, c])) == as_bits(left)


@settings(max_examples=60, deadline=None)
@given(stats())
def test_nothing_is_the_identity(a):
    alone = as_bits(merge_all([a]))
    assert as_bits(merge(a, SeriesStats.empty((), 2))) == alone
    assert as_bits(merge(a, SeriesStats.empty(a.segments, 2))) == alone


@settings(max_examples=60, deadline=None)
@given(
    stats(), stats(1), st.text(max_size=5), st.integers(0, 2**62), st.sampled_from([8192, 10**6])
)
def test_a_pane_comes_back_as_it_was(segments, slices, owner, version, max_bytes):
    pane = Pane(SeriesId("t", "m", "", "p"), -10, 0, "s", 3, owner, version, segments, slices)
    values = pane_codec.encode(pane, max_bytes)
    assert all(len(v) <= max_bytes for v in values)
    back = pane_codec.decode(values[::-1])
    assert (as_bits(back.segments), as_bits(back.slices)) == (as_bits(segments), as_bits(slices))
    assert (back.series, back.start_us, back.end_us, back.source) == (pane.series, -10, 0, "s")
    assert (back.partition, back.owner, back.pane_version) == (3, owner, version)
