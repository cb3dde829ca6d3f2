"""The body of a pane: statistics as bytes that are added without being unpacked.

Names of the segments and slices, tokens, floats; ``detectors/kernels/pane_body.py`` has the
format of the last two. What a body claims is checked by :func:`check_body` before anything is
made of it; afterwards :func:`open_body` believes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.kernels import pane_body as kernels
from detectors.kernels.accumulate import N_MOMENTS, N_TALLIES
from monitor.core.bounds import DECODE_ERRORS, MAX_OFFSET, check_names, check_number
from monitor.core.windowing.details.block import decode_details
from monitor.core.windowing.stats_codec import MAX_SERIES, MAX_VARIABLES, finite_sums
from schemas.errors import DomainError, ShapeError
from schemas.panes import N_CALIBRATION, N_COUNTERS, SeriesStats

MAX_UNPACKED_BYTES = 256 << 20
"""Of the arrays of one pane: a run of zeros may claim any number of them."""
_NAME_CACHE_BYTES = 16_384
_FAULTS = {
    kernels.ENDS_EARLY: "its tokens end early",
    kernels.LONG_TOKEN: "a token of more than 63 bits",
    kernels.EMPTY_RUN: "a run of no zeros",
    kernels.LARGE_COUNT: "a count beyond what one pane can count",
    kernels.BAD_MASK: "sums of more calibration bins than there are",
    kernels.BAD_KIND: "moments of an unknown kind",
    kernels.NO_FLOAT: "its floats end early",
    kernels.NOT_FINITE: "a sum that is not finite",
    kernels.NO_EXTREME: "an extreme is not a number",
    kernels.LEFT_OVER: "more than its series take",
    kernels.BAD_ROW: "a row of counters or bins that there are not",
}


class _Parts(msgspec.Struct, array_like=True, gc=False):
    """A body as MessagePack."""

    segments: bytes
    """MessagePack of the names: a reader that has seen the same ones does not decode them."""
    n_variables: int
    slices: bytes
    tokens: bytes
    floats: bytes
    """Little-endian float64."""


class _PartsRead(_Parts, array_like=True, gc=False):
    """A body with what may come behind its statistics."""

    details: bytes = b""


class _PartsViewed(msgspec.Struct, array_like=True):
    """The same, its tokens where they lie; a view of its floats would not be aligned."""

    segments: bytes
    n_variables: int
    slices: bytes
    tokens: memoryview
    floats: bytes
    details: bytes = b""


_PARTS = msgspec.msgpack.Decoder(_PartsRead)
_VIEWED = msgspec.msgpack.Decoder(_PartsViewed)
VIEWED_BYTES = 2_048
"""From here on a view of a body takes less time than a copy."""
_FIVE, _SIX = b"\x95", b"\x96"
"""First bytes of MessagePack of so many members."""
_NAMES = msgspec.msgpack.Decoder(tuple[str, ...])


class PaneBody(msgspec.Struct, gc=False):
    """A body, opened: names, and its bytes."""

    segments: tuple[str, ...]
    n_variables: int
    slices: tuple[str, ...]
    tokens: bytes | memoryview
    floats: bytes
    """Little-endian float64."""
    details: bytes = b""
    """Of :mod:`monitor.core.windowing.details.block`; empty if there are none."""

    def arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Return views of tokens and floats."""
        return np.frombuffer(self.tokens, np.uint8), np.frombuffer(self.floats, np.float64)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Segments, variables, slices, bytes of tokens, and floats."""
        n_segments, n_slices = len(self.segments), len(self.slices)
        return n_segments, self.n_variables, n_slices, len(self.tokens), len(self.floats) // 8

    @property
    def unpacked_bytes(self) -> int:
        """Bytes of the arrays that :func:`decode_body` makes of it."""
        return unpacked_bytes(len(self.segments), self.n_variables, len(self.slices))


def statistics_of(body: bytes) -> bytes:
    """Return a body without its details, as a writer without details makes it.

    Examples
    --------
    >>> five = msgspec.msgpack.encode((b"\\x90", 0, b"\\x90", b"", b""))
    >>> six = msgspec.msgpack.encode((b"\\x90", 0, b"\\x90", b"", b"", b"\\x91\\x00"))
    >>> statistics_of(six) == statistics_of(five) == five
    True
    """
    if not body.startswith(_SIX):
        return body
    details = msgspec.msgpack.encode(_PARTS.decode(body).details)
    return _FIVE + body[1 : -len(details)]


def unpacked_bytes(n_series: int, n_variables: int, n_slices: int) -> int:
    """Return the bytes of the arrays of a pane.

    Examples
    --------
    >>> unpacked_bytes(1, 20, 0)
    11224
    """
    fixed, cell = N_TALLIES + N_CALIBRATION, N_COUNTERS + N_MOMENTS
    return 8 * (n_series * (fixed + n_variables * cell) + n_slices * (fixed + cell))


def integers_of(stats: SeriesStats) -> NDArray[np.int64]:
    """Return the integers of statistics, one row a series, in the kernels' order."""
    s = len(stats.segments)
    rows = np.empty((s, N_TALLIES + stats.counts.shape[1] * N_COUNTERS), np.int64)
    rows[:, 0], rows[:, 1], rows[:, 2] = stats.n_rows, stats.n_predicted, stats.n_positive
    rows[:, N_TALLIES - N_CALIBRATION : N_TALLIES] = stats.calibration_counts
    rows[:, N_TALLIES:] = stats.counts.reshape(s, rows.shape[1] - N_TALLIES)
    return rows


def floats_of(stats: SeriesStats) -> NDArray[np.float64]:
    """Return the floats of statistics, one row a series, sums as :func:`finite_sums` has them."""
    s, v = len(stats.segments), stats.counts.shape[1]
    rows = np.empty((s, N_CALIBRATION + v * N_MOMENTS))
    rows[:, :N_CALIBRATION] = finite_sums(stats.calibration_sums)
    moments = rows[:, N_CALIBRATION:].reshape(s, v, N_MOMENTS)
    if s and v and not np.shares_memory(moments, rows):
        raise ShapeError("moments are no view of their rows", where="pane body")
    moments[:, :, 0], moments[:, :, 1] = finite_sums(stats.sums), finite_sums(stats.sums_sq)
    moments[:, :, 2], moments[:, :, 3] = stats.minima, stats.maxima
    return rows


def stats_of(
    segments: tuple[str, ...], integers: NDArray[np.int64], floats: NDArray[np.float64]
) -> SeriesStats:
    """Return rows of integers and floats as statistics; every array is a new one."""
    s, v = len(segments), (integers.shape[1] - N_TALLIES) // N_COUNTERS
    moments = floats[:, N_CALIBRATION:].reshape(s, v, N_MOMENTS)
    return SeriesStats(
        segments=segments,
        n_rows=integers[:, 0].copy(),
        counts=integers[:, N_TALLIES:].copy().reshape(s, v, N_COUNTERS),
        sums=moments[:, :, 0].copy(),
        sums_sq=moments[:, :, 1].copy(),
        minima=moments[:, :, 2].copy(),
        maxima=moments[:, :, 3].copy(),
        n_predicted=integers[:, 1].copy(),
        n_positive=integers[:, 2].copy(),
        calibration_counts=integers[:, N_TALLIES - N_CALIBRATION : N_TALLIES].copy(),
        calibration_sums=floats[:, :N_CALIBRATION].copy(),
    )


def empty_rows(n_rows: int, n_variables: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return integers and floats of so many series without a row."""
    integers = np.zeros((n_rows, N_TALLIES + n_variables * N_COUNTERS), np.int64)
    floats = np.zeros((n_rows, N_CALIBRATION + n_variables * N_MOMENTS))
    floats[:, N_CALIBRATION + 2 :: N_MOMENTS] = np.inf
    floats[:, N_CALIBRATION + 3 :: N_MOMENTS] = -np.inf
    return integers, floats


def encode_body(segments: SeriesStats, slices: SeriesStats, *, has_rows: bool = True) -> bytes:
    """Return the bytes of a pane's statistics; the same statistics give the same bytes.

    Parameters
    ----------
    has_rows : bool, optional
        False for messages of encoding 2, whose readers know no body that is one row.

    Raises
    ------
    ShapeError
        If a counter is negative, or the slices have another number of variables than one.

    Notes
    -----
    As with encoding 1, a sum beyond float64 is written as the largest number there is.
    """
    if slices.counts.shape[1] != 1:
        raise ShapeError(f"slices of {slices.counts.shape[1]} variables", where="pane body")
    s, v, n = len(segments.segments), segments.counts.shape[1], len(slices.segments)
    places = kernels.n_places(s, v) + kernels.n_places(n, 1)
    tokens = np.empty(kernels.TOKEN_BYTES * places + kernels.TOKEN_BYTES, np.uint8)
    floats = np.empty(s * (N_CALIBRATION + v * N_MOMENTS) + n * (N_CALIBRATION + N_MOMENTS))
    lengths = np.zeros(2, np.int64)
    arrays = (integers_of(segments), floats_of(segments), integers_of(slices), floats_of(slices))
    is_row = has_rows and kernels.write_row(*arrays, tokens, floats, lengths)
    if not is_row and kernels.write_body(*arrays, tokens, floats, lengths) == kernels.NEGATIVE:
        raise ShapeError("a negative counter", where="pane body", fix="count from zero")
    return joined_body(
        msgspec.msgpack.encode(segments.segments),
        v,
        msgspec.msgpack.encode(slices.segments),
        tokens[: lengths[0]].tobytes(),
        floats[: lengths[1]].astype("<f8", copy=False).tobytes(),
    )


def joined_body(
    segments: bytes, n_variables: int, slices: bytes, tokens: bytes, floats: bytes
) -> bytes:
    """Return the bytes of a pane's statistics, given what is in them.

    Parameters
    ----------
    segments, slices : bytes
        MessagePack of their names.
    tokens, floats : bytes
        As :func:`~detectors.kernels.pane_body.write_body` writes them; floats little-endian.
    """
    return msgspec.msgpack.encode(_Parts(segments, n_variables, slices, tokens, floats))


def canonical_body(raw: bytes) -> bytes:
    """Return a checked body of encoding 2 as :func:`encode_body` writes it today.

    Bodies of the same statistics then have the same bytes, whichever version wrote them.
    """
    body = open_body(raw)
    is_one_row = body.tokens[:1] == b"\x01"
    if not is_one_row:
        return raw
    return with_details(encode_body(*decode_body(body, MAX_OFFSET)), body.details)


def with_details(body: bytes, details: bytes) -> bytes:
    """Return a body that was encoded without details with some; the same one if they are empty.

    Readers of earlier versions ignore them.
    """
    if not details:
        return body
    if body[:1] != _FIVE:
        raise ShapeError("a body that has details", where="pane body")
    return _SIX + body[1:] + msgspec.msgpack.encode(details)


def _decode_names(raw: bytes) -> tuple[str, ...]:
    """Read names, and check them."""
    names = _NAMES.decode(raw)
    check_names("segments", names, MAX_SERIES)
    return names


_known_names = lru_cache(maxsize=512)(_decode_names)


def _names(raw: bytes) -> tuple[str, ...]:
    """Return names; equal ones are the same object, most of the time."""
    return _known_names(raw) if len(raw) <= _NAME_CACHE_BYTES else _decode_names(raw)


def _layout_of(
    segments: bytes, n_variables: int, slices: bytes
) -> tuple[tuple[str, ...], int, tuple[str, ...]]:
    """Return the layout of a body: segments, variables and slices, checked."""
    names, slice_names = _names(segments), _names(slices)
    check_number("variables", n_variables, 0, MAX_VARIABLES)
    n_bytes = unpacked_bytes(len(names), n_variables, len(slice_names))
    check_number("bytes of its arrays", n_bytes, 0, MAX_UNPACKED_BYTES)
    return names, n_variables, slice_names


_known_layout = lru_cache(maxsize=512)(_layout_of)


def open_body(raw: bytes) -> PaneBody:
    """Return a body's parts, without looking at its tokens and floats.

    Raises
    ------
    DomainError
        If the bytes are no body, or it would take more than ``MAX_UNPACKED_BYTES``.
    """
    return _opened(raw, _PARTS)


def view_body(raw: bytes) -> PaneBody:
    """Return a body's parts as :func:`open_body` does, without copying those of a large one."""
    return _opened(raw, _VIEWED if len(raw) >= VIEWED_BYTES else _PARTS)


def _opened(
    raw: bytes, decoder: msgspec.msgpack.Decoder[_PartsRead] | msgspec.msgpack.Decoder[_PartsViewed]
) -> PaneBody:
    """Return a body's parts."""
    try:
        parts = decoder.decode(raw)
        is_usual = len(parts.segments) + len(parts.slices) <= _NAME_CACHE_BYTES
        layout_of = _known_layout if is_usual else _layout_of
        layout = layout_of(parts.segments, parts.n_variables, parts.slices)
    except DECODE_ERRORS as error:
        raise DomainError(f"no body of a pane: {error}") from error
    floats = parts.floats
    if len(floats) % 8:
        raise DomainError(f"floats of {len(floats)} bytes")
    return PaneBody(*layout, parts.tokens, floats, parts.details)


def check_body(body: PaneBody, most: int) -> None:
    """Check everything that a body holds; nothing is added.

    Parameters
    ----------
    most : int
        The highest count that one counter may have.

    Raises
    ------
    DomainError
        If its tokens or floats are not those of its series.
    """
    text = _fault_of(body, most)
    if text:
        raise DomainError(text)


def _fault_of(body: PaneBody, most: int) -> str:
    """Return what is wrong with a body; empty if nothing is."""
    fault = kernels.check_body(
        np.frombuffer(body.tokens, np.uint8),
        np.frombuffer(body.floats, np.float64),
        len(body.segments),
        body.n_variables,
        len(body.slices),
        most,
    )
    if fault:
        return _FAULTS[fault]
    return _fault_of_details(body) if body.details else ""


def check_bodies(bodies: Sequence[PaneBody], most: int) -> list[str]:
    """Check bodies in one pass.

    Parameters
    ----------
    most : int
        The highest count that one counter may have.

    Returns
    -------
    list of str
        What is wrong with each; empty where nothing is.
    """
    if len(bodies) == 1:
        return [_fault_of(bodies[0], most)]
    shapes = np.array([n for body in bodies for n in body.shape], np.int64).reshape(len(bodies), 5)
    faults = np.empty(len(bodies), np.int64)
    tokens = b"".join([b.tokens for b in bodies])
    floats = b"".join([b.floats for b in bodies])
    kernels.check_bodies(
        np.frombuffer(tokens, np.uint8), np.frombuffer(floats, np.float64), shapes, most, faults
    )
    return [
        _FAULTS[fault] if fault else _fault_of_details(body)
        for fault, body in zip(faults.tolist(), bodies, strict=True)
    ]


def _fault_of_details(body: PaneBody) -> str:
    """Return what is wrong with the details of a body; empty if nothing is."""
    if not body.details:
        return ""
    try:
        decode_details(body.details, body.n_variables)
    except DomainError as error:
        return str(error)
    return ""


def decode_body(body: PaneBody, most: int) -> tuple[SeriesStats, SeriesStats]:
    """Return segments and slices, bit for bit as they were encoded.

    Raises
    ------
    DomainError
        As :func:`check_body`.
    """
    check_body(body, most)
    s, n = len(body.segments), len(body.slices)
    own, sliced = empty_rows(s, body.n_variables), empty_rows(n, 1)
    rows, slice_rows = np.arange(s, dtype=np.int32), np.arange(n, dtype=np.int32)
    kernels.add_body(*body.arrays(), body.n_variables, rows, *own, slice_rows, *sliced, most, True)
    return stats_of(body.segments, *own), stats_of(body.slices, *sliced)
