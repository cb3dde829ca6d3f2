"""Bodies of panes: what is added is what merging adds, and no byte is believed unread."""

import random
import re

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kernels import pane_body as kernels
from monitor.core.bounds import MAX_COUNT, MAX_OFFSET
from monitor.core.windowing import pane_body
from monitor.core.windowing.details.block import NOT_COUNTED
from monitor.core.windowing.merge import merge_all
from monitor.core.windowing.pane_body import (
    PaneBody,
    canonical_body,
    check_bodies,
    check_body,
    decode_body,
    encode_body,
    open_body,
    view_body,
    with_details,
)
from monitor.core.windowing.pane_total import PaneTotal
from monitor.core.windowing.stats_codec import with_finite_sums
from schemas.errors import DomainError, ShapeError
from schemas.panes import SeriesStats
from tests.support.batches import ARRAYS, as_bits
from tests.support.guard_pages import guarded

NAMES = st.lists(st.sampled_from(["*", "a=1", "b=é", "c=|", "d=2"]), unique=True)
COUNTS = st.sampled_from(
    [0, 0, 1, 5, 111, 112, 367, 368, 3_951, 3_952, 1 << 20, 1 << 40, (1 << 62) - 1, 1 << 62]
)
NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.5, -3.25, 1e-200, 5e-324, 1e300, -1e308]),
    st.floats(allow_nan=False, allow_infinity=False),
)


@st.composite
def stats(draw: st.DrawFn, n_variables: int, counts: st.SearchStrategy = COUNTS) -> SeriesStats:
    """Statistics with a few numbers anywhere, and cells of one row."""
    out = SeriesStats.empty(tuple(draw(NAMES)), n_variables)
    for name in ARRAYS:
        array = getattr(out, name)
        for _ in range(draw(st.integers(0, 6)) if array.size else 0):
            place = draw(st.integers(0, array.size - 1))
            array.flat[place] = draw(counts if array.dtype.kind == "i" else NUMBERS)
    for cell in range(draw(st.integers(0, 3)) if out.sums.size else 0):
        s, v = divmod(cell % out.sums.size, n_variables)
        x = draw(NUMBERS)
        with np.errstate(over="ignore", under="ignore"):
            out.sums[s, v], out.sums_sq[s, v] = x, np.float64(x) * x
        out.minima[s, v] = out.maxima[s, v] = x
    return out


@settings(max_examples=150, deadline=None)
@given(stats(3), stats(1))
def test_a_body_comes_back_bit_for_bit(segments, slices):
    body = open_body(encode_body(segments, slices))
    check_body(body, MAX_OFFSET)
    back = decode_body(body, MAX_OFFSET)
    expected = with_finite_sums(segments), with_finite_sums(slices)
    assert [as_bits(s) for s in back] == [as_bits(s) for s in expected]
    assert encode_body(*back) == encode_body(segments, slices)


SMALL = st.sampled_from([0, 0, 1, 7, 111, 112, 5_000, 1 << 40])


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(0, 4))
def test_a_total_has_the_bits_that_merging_gives(data, n_partitions, n_variables):
    """Panes into partitions, then partitions into one, as a window is added up."""
    totals, merged = [], []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(n_partitions):
            strategy = st.tuples(stats(n_variables, SMALL), stats(1, SMALL))
            panes = data.draw(st.lists(strategy, min_size=1, max_size=4))
            panes = [(with_finite_sums(a), with_finite_sums(b)) for a, b in panes]
            total = PaneTotal(n_variables)
            for pane in panes:
                total.add(open_body(encode_body(*pane)))
            totals.append(total)
            merged.append([merge_all([pane[i] for pane in panes]) for i in range(2)])
        whole = PaneTotal(n_variables)
        for total in totals:
            whole.add_total(total)
        expected = [merge_all([one[i] for one in merged]) for i in range(2)]
    assert [as_bits(s) for s in whole.stats()] == [as_bits(s) for s in expected]
    assert [as_bits(s) for s in totals[0].copy().stats()] == [as_bits(s) for s in merged[0]]
    assert whole.n_panes == sum(total.n_panes for total in totals)


def dense(seed: int = 1, n_variables: int = 4) -> tuple[SeriesStats, SeriesStats]:
    rng = np.random.default_rng(seed)
    made = []
    for names, v in (("*", "a=1", "b=2"), n_variables), (("host=h", "host=i"), 1):
        one = SeriesStats.empty(names, v)
        for name in ARRAYS:
            array = getattr(one, name)
            is_float = array.dtype.kind == "f"
            array[...] = (
                rng.normal(size=array.shape) if is_float else rng.integers(0, 200, array.shape)
            )
        made.append(one)
    return made[0], made[1]


def kernel_result(tokens: np.ndarray, floats: np.ndarray, body: PaneBody) -> int:
    """Add into arrays that end where memory may not be read or written."""
    rows = [np.arange(len(names), dtype=np.int32) for names in (body.segments, body.slices)]
    arrays = []
    for n, v in ((len(rows[0]), body.n_variables), (len(rows[1]), 1)):
        integers, numbers = pane_body.empty_rows(n, v)
        for array in (integers, numbers):
            kept = guarded(array.tobytes()).view(array.dtype).reshape(array.shape)
            arrays.append(kept)
    return kernels.add_body(
        tokens, floats, body.n_variables, rows[0], *arrays[:2], rows[1], *arrays[2:], MAX_COUNT,
        False,
    )  # fmt: skip


def test_every_byte_changed_every_length_and_nothing_outside_is_touched():
    body = open_body(encode_body(*dense(n_variables=2)))
    tokens, floats = body.tokens, body.floats
    n_refused = 0
    rng = random.Random(3)
    for i in range(len(tokens)):
        for changed in (0, 112, 127, 128, 254, 255, rng.randrange(256)):
            damaged = tokens[:i] + bytes([changed]) + tokens[i + 1 :]
            n_refused += kernel_result(guarded(damaged), guarded(floats).view(float), body) != 0
        for part in (tokens[:i], tokens[i + 1 :]):
            assert kernel_result(guarded(part), guarded(floats).view(float), body) != kernels.FINE
    assert n_refused > len(tokens)
    for i in range(0, len(floats), 8):
        short = guarded(floats[:i]).view(float)
        assert kernel_result(guarded(tokens), short, body) == kernels.NO_FLOAT
        damaged = np.frombuffer(floats).copy()
        damaged[i // 8] = np.nan
        found = kernel_result(guarded(tokens), damaged, body)
        assert found in (kernels.NOT_FINITE, kernels.NO_EXTREME)
    assert kernel_result(guarded(tokens), guarded(floats).view(float), body) == kernels.FINE


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.lists(st.floats(), max_size=6), st.integers(0, 3))
def test_tokens_of_any_bytes_are_added_or_refused(tokens, floats, n_variables):
    body = PaneBody(("*",), n_variables, ("host=h",), guarded(tokens), np.array(floats))
    found = kernel_result(guarded(tokens), guarded(np.array(floats).tobytes()).view(float), body)
    try:
        check_body(body, MAX_COUNT)
    except DomainError:
        assert found != kernels.FINE
    else:
        assert found == kernels.FINE


VARINT = b"\xff" * 8 + b"\x7f"
"""2^63 - 1."""


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (b"", "end early"),
        (b"\x7f", "end early"),
        (b"\x7f\x80", "end early"),
        (b"\x70", "end early"),
        (b"\xff\x00", "no zeros"),
        (b"\xff" + VARINT, "more than its series take"),
        (b"\x7f" + VARINT, "beyond what one pane can count"),
        (b"\x7f" + b"\xff" * 9 + b"\x01", "more than 63 bits"),
        (b"\xff" + b"\xff" * 20, "more than 63 bits"),
        (b"\x96\x7f\xff\xff\x7f", "calibration bins"),
        (b"\x96\x02", "floats end early"),
        (b"\x98\x01", "more than its series take"),
        (b"\x97\x00", "more than its series take"),
        (b"\x96", "end early"),
    ],
)
def test_a_damaged_stream_is_refused_and_says_why(tokens, says):
    """One series without variables: 23 tallies and a mask."""
    body = PaneBody(("*",), 0, (), np.frombuffer(tokens, np.uint8), np.empty(0))
    with pytest.raises(DomainError, match=says):
        check_body(body, MAX_COUNT)


def test_zeros_that_would_fill_memory_are_refused_before_it_is_asked_for():
    names = msgspec.msgpack.encode(tuple(f"a={i}" for i in range(40_000)))
    for n_variables in (16_384, 1 << 40, -1):
        parts = (names, n_variables, msgspec.msgpack.encode(()), b"\xff" + VARINT, b"")
        with pytest.raises(DomainError, match="is .*, not in 0"):
            open_body(msgspec.msgpack.encode(parts))


@pytest.mark.parametrize(
    "parts",
    [
        (b"\xc1", 1, b"\x90", b"", b""),
        (msgspec.msgpack.encode(("*", "*")), 1, b"\x90", b"", b""),
        (msgspec.msgpack.encode(("x" * 2_000,)), 1, b"\x90", b"", b""),
        (b"\x90", 1, b"\x90", b"", b"1234567"),
        (b"\x90", 1.5, b"\x90", b"", b""),
        (b"\x90", 1, b"\x90", b""),
    ],
)
def test_what_is_no_body_is_refused(parts):
    with pytest.raises(DomainError):
        open_body(msgspec.msgpack.encode(parts))


@st.composite
def one_row(draw: st.DrawFn) -> tuple[SeriesStats, SeriesStats]:
    """Statistics of one row: some segments and slices of it, the score last."""
    n_variables = draw(st.integers(0, 4))
    numbers = st.one_of(
        NUMBERS,
        st.decimals(-(10**6), 10**6, places=4).map(float),
        st.integers(-(1 << 40), 1 << 40).map(float),
    )
    decided = draw(st.integers(0, 3)), draw(st.integers(0, 20))
    cells = [(draw(st.integers(0, 63)), draw(st.none() | numbers)) for _ in range(n_variables)]
    names = [("*", "a=1", "b=é")[: draw(st.integers(1, 3))], ()]
    if n_variables:
        names[1] = ("gpu_uuid=g", "host=h")[: draw(st.integers(0, 2))]
    made = []
    for own, some in zip(names, (cells, cells[-1:]), strict=True):
        stats = SeriesStats.empty(own, len(some) if own or some else 1)
        stats.n_rows[:] = 1
        stats.n_predicted[:], stats.n_positive[:] = decided[0] & 1, decided[0] >> 1
        for v, (counter, x) in enumerate(some):
            stats.counts[:, v, counter] = 1
            if x is not None:
                with np.errstate(over="ignore", under="ignore"):
                    stats.sums[:, v], stats.sums_sq[:, v] = x, np.float64(x) * x
                stats.minima[:, v] = stats.maxima[:, v] = x
        if some and some[-1][1] is not None and decided[1] < 20:
            stats.calibration_counts[:, decided[1]] = 1
            stats.calibration_sums[:, decided[1]] = some[-1][1]
        made.append(stats)
    return made[0], made[1]


@settings(max_examples=200, deadline=None)
@given(one_row())
def test_one_row_comes_back_bit_for_bit_and_is_added_as_counters_are(pane):
    raw = encode_body(*pane)
    body, long_body = open_body(raw), open_body(encode_body(*pane, has_rows=False))
    expected = [as_bits(with_finite_sums(s)) for s in pane]
    assert [as_bits(s) for s in decode_body(body, 1)] == expected
    assert len(raw) <= 4 + len(encode_body(*pane, has_rows=False))
    assert canonical_body(encode_body(*pane, has_rows=False)) == canonical_body(raw) == raw
    totals = [PaneTotal(body.n_variables) for _ in range(2)]
    with np.errstate(over="ignore", invalid="ignore"):
        for total, one in zip(totals, (body, long_body), strict=True):
            total.add(one)
            total.add(one)
    assert [as_bits(s) for s in totals[0].stats()] == [as_bits(s) for s in totals[1].stats()]


@pytest.mark.parametrize("name", ARRAYS)
def test_statistics_that_differ_from_one_row_in_a_single_number_come_back(name):
    for part in range(2):
        pane = SeriesStats.empty(("*", "a=1"), 2), SeriesStats.empty(("host=h",), 1)
        for stats in pane:
            stats.n_rows[:], stats.counts[:, :, 7] = 1, 1
            stats.sums[:] = stats.minima[:] = stats.maxima[:] = 0.5
            stats.sums_sq[:] = 0.25
            stats.calibration_counts[:, 10], stats.calibration_sums[:, 10] = 1, 0.5
        assert open_body(encode_body(*pane)).tokens[:2] == b"\xff\x00"
        array = getattr(pane[part], name)
        for place in range(array.size):
            before = array.flat[place]
            array.flat[place] = 3
            body = open_body(encode_body(*pane))
            again = decode_body(body, MAX_OFFSET)
            assert [as_bits(s) for s in again] == [as_bits(s) for s in pane]
            array.flat[place] = before


def test_decimals_are_exact_and_short():
    for x in (0.1, 0.3, -1.2345, 1e-9, 2147483647.0, 123.456, -0.0001, 5.0, 0.0):
        tokens = np.zeros(8, np.uint8)
        at, is_whole = kernels.put_number(x, tokens, 0)
        assert (is_whole, at <= 5) == (False, True)
    for x in (-0.0, 1 / 3, 1e-10, 2147483648.0, 5e-324, 1e300):
        assert kernels.put_number(x, np.zeros(8, np.uint8), 0) == (1, True)


def test_every_byte_of_a_row_changed_and_nothing_outside_is_touched():
    segments, slices = SeriesStats.empty(("*",), 3), SeriesStats.empty(("host=h",), 1)
    for stats in (segments, slices):
        stats.n_rows[:], stats.counts[:, :, 63] = 1, 1
        stats.sums[:] = stats.minima[:] = stats.maxima[:] = 1.5
        stats.sums_sq[:] = 2.25
    third = 1 / 3
    segments.sums[0, 1] = segments.minima[0, 1] = segments.maxima[0, 1] = third
    segments.sums_sq[0, 1] = third * third
    body = open_body(encode_body(segments, slices))
    assert body.tokens[:2] == b"\xff\x00"
    numbers = guarded(body.floats).view(float)
    for i in range(2, len(body.tokens)):
        for changed in range(256):
            damaged = body.tokens[:i] + bytes([changed]) + body.tokens[i + 1 :]
            kernel_result(guarded(damaged), numbers, body)
        for part in (body.tokens[:i], body.tokens[i + 1 :]):
            assert kernel_result(guarded(part), numbers, body) != kernels.FINE
    assert kernel_result(guarded(body.tokens), numbers[:0], body) == kernels.NO_FLOAT
    assert kernel_result(guarded(body.tokens + b"\x00"), numbers, body) == kernels.LEFT_OVER
    assert kernel_result(guarded(body.tokens), np.array([np.inf]), body) == kernels.NOT_FINITE
    assert kernel_result(guarded(body.tokens), numbers, body) == kernels.FINE


def test_bodies_are_checked_together_as_each_by_itself():
    bodies = [open_body(encode_body(*dense(i))) for i in range(5)]
    bodies[1].tokens = bodies[1].tokens[:-1]
    bodies[3].floats = bodies[3].floats[:-8]
    faults = check_bodies(bodies, MAX_COUNT)
    assert [bool(fault) for fault in faults] == [False, True, False, True, False]
    assert faults == [check_bodies([body], MAX_COUNT)[0] for body in bodies]
    assert check_bodies([], MAX_COUNT) == []


def test_a_viewed_body_is_checked_and_added_as_a_copied_one():
    for seed in range(5):
        raw = with_details(encode_body(*dense(seed)), NOT_COUNTED)
        copied, viewed = open_body(raw), view_body(raw)
        assert isinstance(viewed.tokens, memoryview) == (len(raw) >= 2_048)
        assert (copied.shape, copied.details) == (viewed.shape, viewed.details)
        assert (copied.segments, copied.slices) == (viewed.segments, viewed.slices)
        totals = [PaneTotal(copied.n_variables) for _ in range(2)]
        for total, body in zip(totals, (copied, viewed), strict=True):
            check_body(body, MAX_COUNT)
            total.add(body)
            total.add(body)
        ours, theirs = (total.stats() for total in totals)
        assert [as_bits(stats) for stats in ours] == [as_bits(stats) for stats in theirs]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 4), st.data())
def test_one_body_is_checked_as_among_others(seed, data):
    body = open_body(encode_body(*dense(seed)))
    at = data.draw(st.integers(0, len(body.tokens) - 1))
    changed = bytes([data.draw(st.integers(0, 255))])
    body.tokens = body.tokens[:at] + changed + body.tokens[at + 1 :]
    (fault,) = check_bodies([body], MAX_COUNT)
    if fault:
        with pytest.raises(DomainError, match=re.escape(fault)):
            check_body(body, MAX_COUNT)
    else:
        check_body(body, MAX_COUNT)


def test_negative_counters_are_not_written():
    segments, slices = dense()
    segments.counts[1, 1, 1] = -1
    with pytest.raises(ShapeError, match="negative"):
        encode_body(segments, slices)


def test_a_pane_of_one_row_is_short():
    segments, slices = SeriesStats.empty(("*",), 21), SeriesStats.empty((), 1)
    segments.n_rows[:] = 1
    for v in range(21):
        segments.counts[0, v, 3 * v] = 1
        segments.sums[0, v] = segments.minima[0, v] = segments.maxima[0, v] = v / 7
        segments.sums_sq[0, v] = (v / 7) * (v / 7)
    body = encode_body(segments, slices)
    assert len(body) < 8 * 21 + 3 * 21 + 40


def test_each_kind_of_moments_and_number_has_the_bytes_of_the_format():
    """One row, no row and two rows, and numbers of one byte, two bytes and a varint."""
    segments, slices = SeriesStats.empty(("*",), 3), SeriesStats.empty((), 1)
    segments.n_rows[:], segments.n_predicted[:], segments.n_positive[:] = 3_952, 3_951, 111
    segments.sums[0], segments.sums_sq[0] = (1.5, 0.0, 5.0), (2.25, 0.0, 13.0)
    segments.minima[0], segments.maxima[0] = (1.5, np.inf, 2.0), (1.5, -np.inf, 3.0)
    tokens, floats = open_body(encode_body(segments, slices)).arrays()
    numbers = bytes([127, 3_952 & 127 | 128, 3_952 >> 7, 126, 255, 111])
    zeros = bytes([255, (20 + 3 * 64 + 1) & 127 | 128, (20 + 3 * 64 + 1) >> 7])
    kinds = bytes([1, 128, 2])
    assert tokens.tobytes() == numbers + zeros + kinds
    assert floats.tolist() == [1.5, 5.0, 13.0, 2.0, 3.0]


@pytest.mark.parametrize("name", ["sums", "sums_sq", "minima", "maxima"])
def test_moments_that_differ_from_one_row_in_a_single_number_come_back(name):
    x = 1.5
    segments = SeriesStats.empty(("*",), 1)
    segments.sums[:], segments.sums_sq[:] = x, x * x
    segments.minima[:] = segments.maxima[:] = x
    getattr(segments, name)[:] = 7.25
    body = open_body(encode_body(segments, SeriesStats.empty((), 1)))
    again, _ = decode_body(body, MAX_OFFSET)
    assert as_bits(again) == as_bits(segments)
