"""Files and standard input as a source of chunks.

Lines of JSON are passed on unchanged. Tables (Parquet, CSV, Arrow, ORC, folders of these)
are mapped to the canonical columns and passed on as Arrow IPC streams of ``chunk_rows`` rows, one
message each, so that one decoder serves every source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from monitor.transport.canonical import RECORD_TIME, canonical
from monitor.transport.inputs import STANDARD_INPUT as STANDARD_INPUT
from monitor.transport.inputs import Input, Progress, open_any
from monitor.transport.opening import closing_on_error
from monitor.transport.order import lines_in_order, tables_in_order
from monitor.transport.restamp import TIME, stamp_evenly
from monitor.transport.tables import TableSource
from schemas.batch import Chunk
from schemas.config.model import ModelConfig
from schemas.errors import ConfigError, TransportError

_MAX_TOGETHER = 4
_MAX_BYTES = 4 << 20
"""Chunks of a table whose columns are converted together, and bytes from which none is added."""


class Source(Iterator[Chunk]):
    """Chunks of one file, which is closed at its end; call ``close`` if it is not read that far."""

    def __init__(self, chunks: Iterator[Chunk], file: Input, name: str, notes: list[str]) -> None:
        self._chunks, self._file = chunks, file
        self.is_table = file.is_table
        self.name = name
        """The file's name with a digest of its content; a new one for standard input."""
        self.notes = notes
        """Notes for the user on how the file was read; complete when it has been read."""

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def close(self) -> None:
        """Close the file."""
        # A generator that was never started does not close its file.
        self._file.close()


def open_source(
    path: str | Path,
    config: ModelConfig,
    *,
    chunk_rows: int = 5_000,
    rows_per_window: int | None = None,
    start_us: int | None = None,
    on_progress: Progress | None = None,
    has_odd_clocks: bool = False,
) -> Source:
    """Open a file of events.

    Parameters
    ----------
    path : str or Path
        A file; a folder of parts; ``-`` is standard input: JSON, CSV or Arrow, by the first bytes.
    config : ModelConfig
        ``columns`` and ``features`` map a table's columns; JSON needs none of it.
    chunk_rows : int
        Rows of a chunk.
    rows_per_window : int, optional
        Assign tables evenly spaced event times, with this number of rows per window of
        ``config.window.length``.
    start_us : int, optional
        Start of the first of these windows; by default the window of the table's first time, or 0
        if it has no times.
    on_progress : callable, optional
        See ``Progress``.
    has_odd_clocks : bool
        The lines of JSON come from senders with different clocks, in the order of their arrival:
        lines that lag constantly behind the others are not a sign that the file is unsorted.

    Returns
    -------
    Source
        An iterator of Chunk. ``source`` is the file's name with a digest of its content:
        a changed file is a different source, like a recreated topic. IDs of rows without one and
        the archive's tokens are derived from it. ``log_offset`` is the number of the line, or of a
        message's first row. ``record_time_us`` is the latest of a message's rows if
        ``columns.record_time`` names a column, else -1. Without such a column, a file that is not
        in the order of its times, such as one sorted newest first, is sorted (see
        :mod:`monitor.transport.order`).

    Raises
    ------
    TransportError
        If the file is missing, unreadable, damaged or truncated; the latter while reading. If it is
        not in the order of its times and too long to be sorted.
    ConfigError
        If columns are missing or of the wrong type, or new times are requested for JSONL.

    Examples
    --------
    >>> import tempfile
    >>> config = ModelConfig(model="m", features={"age": {"kind": "numeric"}})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "events.jsonl")
    ...     _ = path.write_text('{"model":"m","time_us":1,"features":{"age":3}}\\n')
    ...     [len(chunk) for chunk in open_source(path, config)]
    [1]
    """
    report = on_progress or (lambda share, n_rows: None)
    stamp = _Timing(rows_per_window, config.window.length_us, start_us)
    found = open_any(path)
    notes: list[str] = []
    slack_us = config.window.bound_us + config.window.lateness_us
    with closing_on_error(found):
        if found.is_table:
            chunks = _table_chunks(found, config, stamp, chunk_rows, report, notes.append)
            return Source(chunks, found, found.source, notes)
        if stamp.is_wanted:
            raise ConfigError(
                "JSONL events cannot be assigned new event times",
                where=found.where,
                fix="convert it to Parquet, or leave rows_per_window out",
            )
        lines = found.lines(chunk_rows, report)
        if not found.is_stream:
            lines = lines_in_order(
                lines,
                slack_us,
                chunk_rows,
                found.where,
                notes.append,
                has_odd_clocks=has_odd_clocks,
            )
        return Source(lines, found, found.source, notes)


def read_table(
    path: str | Path,
    lines: Callable[[Iterator[Chunk]], pa.Table] | None = None,
    on_progress: Progress | None = None,
) -> pa.Table:
    """Read a whole table without conversion; all CSV columns are bytes, not yet text.

    Parameters
    ----------
    path : str or Path
        As for :func:`open_source`.
    lines : callable, optional
        Converts lines of JSON to a table, chunk by chunk.
    on_progress : callable, optional
        See ``Progress``.

    Raises
    ------
    TransportError
        If the file is missing, unreadable, damaged, truncated, or JSONL without ``lines``.
    """
    report = on_progress or (lambda share, n_rows: None)
    found = open_any(path)
    with closing(found):
        if not found.is_table and lines is not None:
            return lines(found.lines(5_000, report))
        if not found.is_table:
            fix = "give Parquet, CSV or Arrow (.parquet, .csv, .arrow)"
            raise TransportError("is no table", where=found.where, fix=fix)
        table = found.table(1 << 16)
        pieces, n_rows = [table.schema.empty_table()], 0
        for piece in table.pieces:
            pieces.append(piece)
            n_rows += piece.num_rows
            report(n_rows / table.n_rows if table.n_rows else None, n_rows)
        return pa.concat_tables(pieces)


class _Timing:
    """Event times of a table: its own, or evenly spaced ones."""

    def __init__(self, rows_per_window: int | None, window_us: int, start_us: int | None) -> None:
        self.rows_per_window = rows_per_window
        self._window_us = window_us
        self._start_us = start_us
        self._n_rows = 0

    @property
    def is_wanted(self) -> bool:
        """Whether new times are requested."""
        return self.rows_per_window is not None

    def digest(self) -> str:
        """Return a digest of the settings, because events with other times are different events."""
        text = f"{self.rows_per_window} {self._window_us} {self._start_us}"
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def apply(self, table: pa.Table) -> pa.Table:
        """Assign times to the next rows."""
        if self.rows_per_window is None:
            return table
        if self._start_us is None:
            first = table[TIME][0].as_py() if TIME in table.column_names else None
            self._start_us = (first or 0) // self._window_us * self._window_us
        table = stamp_evenly(
            table, self.rows_per_window, self._window_us, self._start_us, self._n_rows
        )
        self._n_rows += table.num_rows
        return table


def _table_chunks(
    found: Input,
    config: ModelConfig,
    stamp: _Timing,
    chunk_rows: int,
    report: Progress,
    note: Callable[[str], None],
) -> Iterator[Chunk]:
    """Map the pieces of a table, assign times, and encode them as Arrow streams."""
    table = found.table(chunk_rows)
    source = f"{found.source}+{stamp.digest()}" if stamp.is_wanted else found.source

    def mapped(rows: pa.Table) -> pa.Table:
        return canonical(rows, config, needs_time=not stamp.is_wanted, where=found.where)

    # Checks the columns before the pipeline starts, not at the first chunk.
    mapped(table.schema.empty_table())
    pieces = _cut(map(mapped, _regrouped(table, chunk_rows)), chunk_rows)
    if not (stamp.is_wanted or config.columns.record_time or found.is_stream):
        slack_us = config.window.bound_us + config.window.lateness_us
        pieces = tables_in_order(pieces, slack_us, chunk_rows, found.where, note)

    def chunks() -> Iterator[Chunk]:
        n_rows = 0
        with closing(found):
            for rows in pieces:
                yield _arrow_chunk(_named(stamp.apply(rows), config), source, n_rows)
                n_rows += rows.num_rows
                report(n_rows / table.n_rows if table.n_rows else None, n_rows)

    return chunks()


def _regrouped(table: TableSource, chunk_rows: int) -> Iterator[pa.Table]:
    """Regroup pieces of any size into tables of one or more times ``chunk_rows`` rows.

    The last may be shorter. Columns are converted together of up to ``_MAX_TOGETHER`` chunks of
    few bytes: the calls cost more than the values.
    """
    held = table.schema.empty_table()
    for piece in table.pieces:
        held = pa.concat_tables([held, piece])
        while (n := held.num_rows // chunk_rows) and _is_enough(held, n):
            n_rows = min(n, _MAX_TOGETHER) * chunk_rows
            yield held.slice(0, n_rows)
            held = held.slice(n_rows)
    if held.num_rows:
        yield held


def _is_enough(held: pa.Table, n_chunks: int) -> bool:
    """Return whether no more chunks are waited for."""
    return n_chunks >= _MAX_TOGETHER or bool(held.nbytes >= _MAX_BYTES)


def _cut(tables: Iterable[pa.Table], chunk_rows: int) -> Iterator[pa.Table]:
    """Cut tables into pieces of ``chunk_rows`` rows."""
    for table in tables:
        for first in range(0, table.num_rows, chunk_rows):
            yield table.slice(first, chunk_rows)


def _named(table: pa.Table, config: ModelConfig) -> pa.Table:
    """Add tenant and model to every row, unless the file has these columns."""
    for name, value in (("tenant", config.tenant), ("model", config.model)):
        if name not in table.column_names:
            table = table.append_column(name, _repeated(value, table.num_rows))
    return table


@lru_cache(maxsize=8)
def _repeated(value: str, n_rows: int) -> pa.DictionaryArray:
    """Return a column that holds one value; nearly all chunks have equally many rows."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n_rows, np.int32)), pa.array([value]))


def _arrow_chunk(table: pa.Table, source: str, first_row: int) -> Chunk:
    """Encode a table as one message: an Arrow IPC stream of one batch."""
    sink = pa.BufferOutputStream()
    table = table.combine_chunks()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    buffer = np.frombuffer(sink.getvalue(), np.uint8)
    record_time = -1
    if RECORD_TIME in table.column_names:
        times = table[RECORD_TIME].drop_null().to_numpy()
        record_time = int(times.max()) if len(times) else -1
    return Chunk(
        source=source,
        partition=0,
        buffer=buffer,
        offsets=np.array([0, len(buffer)], np.int64),
        log_offset=np.array([first_row], np.int64),
        record_time_us=np.array([record_time], np.int64),
    )
