"""Bodies of panes that hold rows: all panes of a flush in two calls of a kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import row_bodies as kernels
from detectors.kernels.accumulate import N_MOMENTS, N_TALLIES
from detectors.kernels.pane_body import TOKEN_BYTES
from detectors.kernels.rows import N_SEGMENTS, N_VARIABLES, SIZE
from monitor.core.windowing.held.row_names import RowNames
from monitor.core.windowing.held.row_pool import RowPool
from monitor.core.windowing.held.row_tables import RowTables
from monitor.core.windowing.pane_body import joined_body
from schemas.panes import N_CALIBRATION

_MAX_ROOM = 1 << 23
"""Bytes of tokens that are written at a time."""
_NUMBER_BYTES = 5
"""Of a counter below 256 and the zeros before it."""

Int64Array = NDArray[np.int64]


class RowsOfPane(NamedTuple):
    """A pane that holds rows: how and where."""

    tables: RowTables
    names: RowNames
    chain: int


def row_bodies(pool: RowPool, panes: Sequence[RowsOfPane]) -> list[bytes]:
    """Return the body of each pane, equal to one made of counters.

    Parameters
    ----------
    pool : RowPool
        Holds the rows of all of them.

    Notes
    -----
    5 us a pane of one row of 21 numbers, most of it for the bytes objects; 45 us by way of
    counters.
    """
    if not panes:
        return []
    layouts = _Layouts(panes)
    chains = np.array([pane.chain for pane in panes], np.int64)
    room = layouts.room(pool.chains[chains, SIZE].astype(np.int64))
    found: list[bytes] = []
    for start, end in _cuts(room[:, 0]):
        found += _bodies(pool, panes[start:end], layouts, chains, room, start, end)
    return found


class _Layouts:
    """The different layouts of some panes, side by side."""

    def __init__(self, panes: Sequence[RowsOfPane]) -> None:
        numbers: dict[int, int] = {}
        tables: list[RowTables] = []
        of_panes = []
        for pane in panes:
            number = numbers.setdefault(id(pane.tables), len(tables))
            if number == len(tables):
                tables.append(pane.tables)
            of_panes.append(number)
        self.of_panes = np.array(of_panes, np.int64)
        self.shapes = np.stack([t.shape for t in tables])
        self.digits = np.concatenate([t.digits for t in tables])
        self.starts = np.zeros(len(tables), np.int64)
        np.cumsum([len(t.digits) for t in tables[:-1]], out=self.starts[1:])

    def room(self, n_rows: Int64Array) -> Int64Array:
        """Return the most tokens, floats, segments and slices of each pane, shape (P, 4)."""
        shapes = self.shapes[self.of_panes]
        v, n_segments = shapes[:, N_VARIABLES], n_rows * shapes[:, N_SEGMENTS]
        n_slices = np.where(v > 0, 2 * n_rows, 0)
        tallies, counters = N_TALLIES + 1, np.minimum(n_rows, 64) + 1
        cells = (1 + n_segments) * v + n_slices
        n_series = 1 + n_segments + n_slices
        n_tokens = _NUMBER_BYTES * (n_series * tallies + cells * (counters + 1)) + TOKEN_BYTES
        n_floats = n_series * N_CALIBRATION + cells * N_MOMENTS
        return np.stack((n_tokens, n_floats, n_segments, n_slices), axis=1)


def _cuts(room: Int64Array) -> Iterator[tuple[int, int]]:
    """Yield ranges of panes that are written together."""
    ends, start = np.cumsum(room), 0
    while start < len(room):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + _MAX_ROOM, side="right")))
        yield start, end
        start = end


def _bodies(
    pool: RowPool,
    panes: Sequence[RowsOfPane],
    layouts: _Layouts,
    chains: Int64Array,
    room: Int64Array,
    start: int,
    end: int,
) -> list[bytes]:
    """Write the bodies of some panes."""
    n_tokens, n_floats, n_segments, n_slices = room[start:end].sum(axis=0).tolist()
    segments, slices = np.empty(n_segments, np.int64), np.empty(n_slices, np.int64)
    places = (
        chains[start:end],
        layouts.of_panes[start:end],
        layouts.shapes,
        layouts.digits,
        layouts.starts,
        pool.chains,
        pool.following,
    )
    listed = np.empty((len(panes), 2), np.int64)
    kernels.list_series(*places, pool.integers, segments, slices, listed)
    names = _names(panes, segments, slices, listed)
    tokens, floats = np.empty(n_tokens, np.uint8), np.empty(n_floats)
    ends = np.empty((len(panes), 2), np.int64)
    rows = (pool.floats, pool.integers, pool.octets)
    with np.errstate(over="ignore", invalid="ignore"):
        kernels.write_bodies(*places, *rows, segments, slices, listed, tokens, floats, ends)
    all_tokens = tokens[: ends[-1, 0]].tobytes()
    all_floats = floats[: ends[-1, 1]].astype("<f8", copy=False).tobytes()
    found, token, number = [], 0, 0
    for pane, (segment_names, slice_names), (last_token, last) in zip(
        panes, names, ends.tolist(), strict=True
    ):
        parts = all_tokens[token:last_token], all_floats[8 * number : 8 * last]
        found.append(joined_body(segment_names, pane.tables.n_variables, slice_names, *parts))
        token, number = last_token, last
    return found


def _names(
    panes: Sequence[RowsOfPane], segments: Int64Array, slices: Int64Array, listed: Int64Array
) -> list[tuple[bytes, bytes]]:
    """Return the encoded names of each pane's segments and slices; brings slices in order."""
    ranks, codes = segments.tolist(), slices.tolist()
    found, segment, sliced = [], 0, 0
    for pane, (last_segment, last_slice) in zip(panes, listed.tolist(), strict=True):
        given = tuple(codes[sliced:last_slice])
        names, ordered = pane.names.slices(given)
        if ordered != given:
            slices[sliced:last_slice] = ordered
        of_segments = pane.tables.segment_names(tuple(ranks[segment:last_segment]))
        found.append((of_segments, names))
        segment, sliced = last_segment, last_slice
    return found
