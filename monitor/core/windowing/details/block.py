"""The details of a pane as bytes, an optional block behind its statistics.

MessagePack of version, names of segments, number of variables, the segments that have absent
rows, their counts (little-endian uint32, one a variable), the new values of cells, and the sums
of products of features. A reader ignores a block of a version that it does not know, and members
behind those that it knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.multiscale.pairs import MAX_PAIRED, pairs_of
from monitor.core.bounds import DECODE_ERRORS, MAX_OFFSET, check_names, check_number
from monitor.core.windowing.details.limits import MAX_TEXT_BYTES, MAX_VALUES
from schemas.errors import DomainError
from schemas.panes import ALL

VERSION = 1
NOT_COUNTED = msgspec.msgpack.encode((0,))
"""Block of a pane that was counted without details."""
MAX_CELLS = 256
"""Cells of a pane that name their new values: those of ``*`` first, then by segment."""
MAX_VALUES_BYTES = MAX_CELLS * (MAX_VALUES * (MAX_TEXT_BYTES + 11) + 24)
"""Of the new values of all cells."""
_PAIR_BYTES = frozenset(8 * len(pairs_of(n)) for n in range(2, MAX_PAIRED + 1))
_CUT = "…"
_MAX_COUNT = (1 << 32) - 1


class CellValues(NamedTuple):
    """New values of one cell of a pane."""

    segment: str
    variable: int
    error: int
    """No count is further below the truth."""
    values: tuple[tuple[str, int], ...]
    """Texts and rows of each, commonest first."""


class PaneDetails(NamedTuple):
    """Details of a pane's cells."""

    is_counted: bool = True
    """False of a pane that was counted without details: nothing is known then."""

    segments: tuple[str, ...] = ()
    """Those of ``absent``."""
    absent: NDArray[np.int64] = np.zeros((0, 0), np.int64)
    """Shape (segments, V): rows of events that do not name the variable."""
    cells: tuple[CellValues, ...] = ()
    products: NDArray[np.int64] | None = None
    """Sums of products of features, units of 2^-20; None of a pane without."""


class _Block(msgspec.Struct, array_like=True):
    version: int
    segments: tuple[str, ...]
    n_variables: int
    with_absent: tuple[int, ...]
    absent: bytes
    cells: tuple[tuple[int, int, int, tuple[tuple[str, int], ...]], ...]
    products: bytes = b""
    """int64, little-endian. Earlier readers ignore it, earlier writers leave it out."""


class _Version(msgspec.Struct, array_like=True):
    """The first member, which every version has."""

    version: int


_VERSION = msgspec.msgpack.Decoder(_Version)
_BLOCK = msgspec.msgpack.Decoder(_Block)


def cut_text(text: str) -> str:
    """Return a value as it is kept: at most ``MAX_TEXT_BYTES``, what was cut off as an ellipsis.

    Examples
    --------
    >>> cut_text("kiosk"), len(cut_text("ü" * 40).encode()), cut_text("ü" * 40)[-2:]
    ('kiosk', 63, 'ü…')
    """
    raw = text.encode()
    if len(raw) <= MAX_TEXT_BYTES:
        return text
    return raw[: MAX_TEXT_BYTES - len(_CUT.encode())].decode(errors="ignore") + _CUT


def commonest(counts: Iterable[tuple[str, int]], error: int) -> tuple[int, list[tuple[str, int]]]:
    """Return the error and the values that a cell of a pane keeps.

    Parameters
    ----------
    counts : iterable of (str, int)
        Texts of any length and their lower bounds, from a summary of that error.

    Examples
    --------
    >>> error, kept = commonest([(c, n) for n, c in enumerate("abcdefghij", 1)], 2)
    >>> error, kept[0], kept[-1]
    (4, ('j', 10), ('c', 3))
    """
    known: dict[str, int] = {}
    for text, n in counts:
        short = cut_text(text)
        known[short] = known.get(short, 0) + n
    ranked = sorted(known.items(), key=lambda item: (-item[1], item[0]))
    dropped = ranked[MAX_VALUES][1] if len(ranked) > MAX_VALUES else 0
    return error + dropped, ranked[:MAX_VALUES]


def encode_details(details: PaneDetails, n_variables: int) -> bytes:
    """Return details as bytes; empty if there are none.

    Parameters
    ----------
    n_variables : int
        V of the pane.
    """
    cells = sorted(details.cells, key=lambda c: (c.segment != ALL, c.segment, c.variable))
    cells = cells[:MAX_CELLS]
    if not cells and not len(details.segments) and details.products is None:
        return b""
    names = sorted({*details.segments, *(cell.segment for cell in cells)})
    at = {name: i for i, name in enumerate(names)}
    order = sorted(range(len(details.segments)), key=lambda i: at[details.segments[i]])
    counts = np.minimum(details.absent[order], _MAX_COUNT).astype("<u4")
    return msgspec.msgpack.encode(
        _Block(
            VERSION,
            tuple(names),
            n_variables,
            tuple(at[details.segments[i]] for i in order),
            counts.tobytes(),
            tuple((at[c.segment], c.variable, c.error, c.values) for c in cells),
            b"" if details.products is None else details.products.astype("<i8").tobytes(),
        )
    )


def decode_details(raw: bytes, n_variables: int) -> PaneDetails:
    """Read the details of a pane of so many variables; those of another version are not counted.

    Raises
    ------
    DomainError
        If the bytes are no such block, or one beyond its limits.
    """
    if not raw:
        return PaneDetails()
    try:
        if not 1 <= _VERSION.decode(raw).version <= VERSION:
            return PaneDetails(is_counted=False)
        block = _BLOCK.decode(raw)
    except DECODE_ERRORS as error:
        raise DomainError(f"no details of a pane: {error}") from error
    check_number("variables of details", block.n_variables, n_variables, n_variables)
    check_names("segments of details", block.segments, len(block.segments))
    shape = (len(block.with_absent), n_variables)
    n_bytes = 4 * shape[0] * n_variables
    check_number("bytes of absent rows", len(block.absent), n_bytes, n_bytes)
    check_number("cells with new values", len(block.cells), 0, MAX_CELLS)
    absent = np.frombuffer(block.absent, "<u4").astype(np.int64).reshape(shape)
    segments = tuple(_named(block.segments, i) for i in block.with_absent)
    cells = tuple(_cell(block.segments, n_variables, cell) for cell in block.cells)
    return PaneDetails(True, segments, absent, cells, _products(block.products))


def _products(raw: bytes) -> NDArray[np.int64] | None:
    """Read sums of products; a number of pairs that F features have."""
    if not raw:
        return None
    if len(raw) not in _PAIR_BYTES:
        raise DomainError(f"{len(raw)} bytes of products")
    return np.frombuffer(raw, "<i8").astype(np.int64)


def _named(segments: Sequence[str], i: int) -> str:
    """Return the segment of an index."""
    check_number("segment of details", i, 0, len(segments) - 1)
    return segments[i]


def _cell(
    segments: Sequence[str],
    n_variables: int,
    cell: tuple[int, int, int, tuple[tuple[str, int], ...]],
) -> CellValues:
    """Check the new values of one cell."""
    segment, variable, error, values = cell
    check_number("variable of new values", variable, 0, n_variables - 1)
    check_number("error of new values", error, 0, MAX_OFFSET)
    check_number("new values of a cell", len(values), 0, MAX_VALUES)
    for text, n in values:
        check_number("bytes of a new value", len(text.encode()), 0, MAX_TEXT_BYTES)
        check_number("rows of a new value", n, 1, MAX_OFFSET)
    return CellValues(_named(segments, segment), variable, error, values)
