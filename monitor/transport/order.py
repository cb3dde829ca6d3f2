"""Sorts rows by time if a file is clearly not in that order. Pure.

Events that arrive long after newer ones are dropped as late. A log has arrival order, and so has a
file copied from one, so a few late rows are left as they are. A file sorted newest first, or by
customer, has no arrival order: nearly all of its rows would be dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from driftline.times import FARTHEST_US
from monitor.transport.restamp import TIME
from schemas.batch import Chunk, Float64Array
from schemas.errors import TransportError

MAX_SORTED_ROWS = 1 << 20
MAX_SORTED_BYTES = 256 << 20
"""Most rows that are kept in memory for sorting; longer files must be sorted beforehand."""
LATE_SHARE = 0.1
"""Share of late rows from which a file is not in arrival order."""
_N_SAMPLED, _STRETCH = 2_000, 31
_TIME = re.compile(rb'"time(?:_us)?"\s*:\s*(?:"([^"]*)"|(-?[0-9.eE+]+))')

T = TypeVar("T", pa.Table, Chunk)
Note = Callable[[str], None]


def late_share(times: Float64Array, slack: float) -> float:
    """Return the share of rows that are older than an earlier row by more than ``slack``.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        In the order of the rows; NaN for missing times. Times after the year 2255 are rejected
        later and not counted.
    slack : float
        In the unit of the times.

    Examples
    --------
    >>> late_share(np.array([5.0, 4.0, 1.0, 6.0]), slack=2.0)
    0.25
    """
    known = times[times <= FARTHEST_US]
    if not len(known):
        return 0.0
    return float((known < np.maximum.accumulate(known) - slack).mean())


def smoothed(times: Float64Array) -> Float64Array:
    """Return the medians of consecutive blocks of rows.

    Rows of a sender with a wrong clock are mixed with those of others in order of arrival, and the
    medians are still sorted. The medians of a file sorted by sender are not.

    Examples
    --------
    >>> rows = np.arange(300.0)
    >>> off = np.where(rows % 3 == 0, rows - 100, rows)
    >>> late_share(off, 10.0) > 0.3, late_share(smoothed(off), 10.0)
    (True, 0.0)
    >>> late_share(smoothed(np.tile(rows, 3)), 10.0) > 0.5
    True
    """
    known = times[~np.isnan(times)]
    if len(known) < _STRETCH:
        return known
    medians: Float64Array = np.median(sliding_window_view(known, _STRETCH), axis=1)
    return medians


def tables_in_order(
    tables: Iterator[pa.Table], slack_us: int, chunk_rows: int, where: str, note: Note
) -> Iterator[pa.Table]:
    """Yield canonical tables, sorted by ``time_us`` if they are clearly not in that order.

    Parameters
    ----------
    tables : iterator of pyarrow.Table
        All with the column ``time_us``, and all but the last of a multiple of ``chunk_rows`` rows.
        Sorted tables are as long as the longest of these.
    slack_us : int
        Age, relative to the newest row before it, from which a row is late.
    chunk_rows : int
        Rows of a chunk; how many rows are judged is a function of it, not of the tables.
    where : str
        The file, for messages.
    note : callable
        Called with one sentence if the rows were sorted.

    Raises
    ------
    TransportError
        If the rows need sorting and are more than ``MAX_SORTED_ROWS``.
    """
    held, n_judged, is_whole = _held_tables(tables, chunk_rows)
    times = np.concatenate([np.empty(0), *(_times_of(table) for table in held)])
    share = late_share(times[:n_judged], slack_us)
    if share <= LATE_SHARE:
        yield from held
        yield from tables
        return
    _refuse_long(share, is_whole=is_whole, where=where)
    note(_sorted_words(where, share))
    order = np.argsort(times, kind="stable")
    whole = _unified(held).take(pa.array(order))
    n_together = max(map(len, held))
    for first in range(0, whole.num_rows, n_together):
        yield whole.slice(first, n_together)


def lines_in_order(
    chunks: Iterator[Chunk],
    slack_us: int,
    chunk_rows: int,
    where: str,
    note: Note,
    *,
    has_odd_clocks: bool = False,
) -> Iterator[Chunk]:
    """Yield lines of JSON, sorted by time if they are clearly not in that order.

    Parameters
    ----------
    chunks : iterator of Chunk
        One message per line; the time of a line is the first time in its text.
    slack_us, chunk_rows, where, note
        As for :func:`tables_in_order`.
    has_odd_clocks : bool
        Do not sort because of lines that lag constantly behind those of other senders.

    Raises
    ------
    TransportError
        If the lines need sorting and are more than ``MAX_SORTED_ROWS``.
    """
    held, is_whole = _held(chunks, len, lambda chunk: chunk.buffer.nbytes)
    lines = _NumberedLines(held)
    step = max(1, len(lines) // _N_SAMPLED)
    times = lines.times(range(0, len(lines), step))
    share = late_share(times, slack_us)
    if has_odd_clocks and share > LATE_SHARE:
        share = late_share(smoothed(times), slack_us)
    if share <= LATE_SHARE:
        yield from held
        yield from chunks
        return
    _refuse_long(share, is_whole=is_whole, where=where)
    times = _carried(lines.times(range(len(lines))))
    note(_sorted_words(where, share))
    yield from lines.chunks(np.argsort(times, kind="stable"), chunk_rows)


def line_times(chunk: Chunk) -> Float64Array:
    """Return the first time in each line, in microseconds; NaN without one."""
    return _NumberedLines([chunk]).times(range(len(chunk)))


def _held_tables(tables: Iterator[pa.Table], chunk_rows: int) -> tuple[list[pa.Table], int, bool]:
    """Collect tables; return them, the rows in chunks up to the bound, and whether that is all."""
    held: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        held.append(table)
        for first in range(0, table.num_rows, chunk_rows):
            if rows > MAX_SORTED_ROWS or size > MAX_SORTED_BYTES:
                return held, rows, False
            chunk = table.slice(first, chunk_rows)
            rows += chunk.num_rows
            size += chunk.nbytes
        if rows > MAX_SORTED_ROWS or size > MAX_SORTED_BYTES:
            return held, rows, False
    return held, rows, True


def _held(
    pieces: Iterator[T], n_rows: Callable[[T], int], n_bytes: Callable[[T], int]
) -> tuple[list[T], bool]:
    """Collect pieces up to the bound; return whether these were all."""
    held: list[T] = []
    rows = size = 0
    while rows <= MAX_SORTED_ROWS and size <= MAX_SORTED_BYTES:
        piece = next(pieces, None)
        if piece is None:
            return held, True
        held.append(piece)
        rows += n_rows(piece)
        size += n_bytes(piece)
    return held, False


def _refuse_long(share: float, *, is_whole: bool, where: str) -> None:
    """Raise for a file that needs sorting and is too long for it."""
    if not is_whole:
        raise TransportError(
            f"is not in the order of its times: {_percent(share)} of the rows are older than rows "
            "before them",
            where=where,
            fix="it is too long to be sorted here; sort it by time, oldest first",
        )


def _sorted_words(where: str, share: float) -> str:
    """Return the note that rows were sorted, with the reason."""
    return (
        f"{where}: {_percent(share)} of the rows are older than rows before them (newest first?); "
        "read in the order of their times"
    )


def _percent(share: float) -> str:
    """Format a share."""
    return f"{100 * share:.0f} %"


def _times_of(table: pa.Table) -> Float64Array:
    """Return times as numbers, NaN for null."""
    times: Float64Array = table[TIME].cast(pa.float64(), safe=False).to_numpy()
    return times


def _unified(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables, of which only some have the column of rejected rows."""
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def _carried(times: Float64Array) -> Float64Array:
    """Fill missing times with the time of the previous line."""
    known = np.where(np.isnan(times), -1, np.arange(len(times)))
    last = np.maximum.accumulate(known)
    carried: Float64Array = np.where(last >= 0, times[np.maximum(last, 0)], -np.inf)
    return carried


class _NumberedLines:
    """Messages of several chunks with consecutive numbers."""

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self._chunks = chunks
        self._firsts = np.cumsum([0, *(len(chunk) for chunk in chunks)])

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def _line(self, number: int) -> memoryview:
        place = int(np.searchsorted(self._firsts, number, side="right")) - 1
        chunk, row = self._chunks[place], number - int(self._firsts[place])
        return chunk.buffer[int(chunk.offsets[row]) : int(chunk.offsets[row + 1])].data

    def times(self, numbers: range) -> Float64Array:
        """Return the first time in each line, in microseconds; NaN without one."""
        written = np.array([_written_time(self._line(number)) for number in numbers], float)
        return written * _microseconds_each(written)

    def chunks(self, order: NDArray[np.int64], chunk_rows: int) -> Iterator[Chunk]:
        """Yield the lines in another order; offsets are positions in that order."""
        for first in range(0, len(order), chunk_rows):
            picked = order[first : first + chunk_rows]
            lines = [bytes(self._line(number)) for number in picked.tolist()]
            yield Chunk(
                source=self._chunks[0].source,
                partition=0,
                buffer=np.frombuffer(b"".join(lines), np.uint8),
                offsets=np.cumsum([0, *map(len, lines)]),
                log_offset=np.arange(first, first + len(picked)),
                record_time_us=np.full(len(picked), -1, np.int64),
            )


def _microseconds_each(times: Float64Array) -> float:
    """Return the microseconds per unit of the times, guessed by their magnitude.

    Numbers that would be before 1973 in seconds are taken as microseconds.
    """
    known = np.abs(times[~np.isnan(times)])
    middle = float(np.median(known)) if len(known) else 0.0
    for largest, unit in ((1e8, 1.0), (1e11, 1e6), (1e14, 1e3), (1e17, 1.0)):
        if middle < largest:
            return unit
    return 1e-3


def _written_time(line: memoryview) -> float:
    """Return the first time of a line; NaN if none can be read."""
    found = _TIME.search(line)
    if found is None:
        return np.nan
    text = (found[1] if found[1] is not None else found[2]).decode("ascii", "replace")
    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.timestamp() * 1e6
    except (ValueError, OverflowError):
        return np.nan
