"""Files and standard input as a source of chunks.

Lines of JSON are passed on unchanged. Tables (Parquet, CSV, Arrow, ORC, folders of these)
are mapped to the canonical columns and passed on as Arrow IPC streams of ``chunk_rows`` rows, one
message each, so that one decoder serves every source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from monitor.core.table_rows import TableRows
from monitor.transport.canonical import canonical
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

    def __init__(
        self,
        pieces: Iterator[Chunk | TableRows],
        file: Input,
        notes: list[str],
        count: Callable[[int], None] = lambda n_rows: None,
    ) -> None:
        self._pieces, self._file, self._count = pieces, file, count
        self._chunks = self._encoded()
        self.is_table = file.is_table
        self.name = file.source
        """The file's name with a digest of its content; a new one for standard input."""
        self.notes = notes
        """Notes for the user on how the file was read; complete when it has been read."""

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def together(self) -> Iterator[Chunk | TableRows]:
        """Yield the same rows, those of several chunks of a table together and not encoded.

        A table with record times is encoded: an event from the future is reported with its bytes.
        """
        for piece in self._pieces:
            if isinstance(piece, Chunk):
                yield piece
            elif piece.has_record_times:
                yield from self._chunks_of(piece)
            else:
                yield piece
                self._count(piece.rows.num_rows)

    def _encoded(self) -> Iterator[Chunk]:
        """Yield chunks."""
        for piece in self._pieces:
            yield from (piece,) if isinstance(piece, Chunk) else self._chunks_of(piece)

    def _chunks_of(self, table: TableRows) -> Iterator[Chunk]:
        """Encode the messages of a table, and count their rows once they have been used."""
        for chunk, rows in zip(table.chunks(), table.messages(), strict=True):
            yield chunk
            self._count(rows.num_rows)

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
            rows, count = _table_rows(found, config, stamp, chunk_rows, report, notes.append)
            return Source(rows, found, notes, count)
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
        return Source(lines, found, notes)


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


def _table_rows(
    found: Input,
    config: ModelConfig,
    stamp: _Timing,
    chunk_rows: int,
    report: Progress,
    note: Callable[[str], None],
) -> tuple[Iterator[TableRows], Callable[[int], None]]:
    """Map the pieces of a table and assign times; return them, and a function that counts rows."""
    table = found.table(chunk_rows)
    source = f"{found.source}+{stamp.digest()}" if stamp.is_wanted else found.source

    def mapped(rows: pa.Table) -> pa.Table:
        return canonical(rows, config, needs_time=not stamp.is_wanted, where=found.where)

    # Checks the columns before the pipeline starts, not at the first chunk.
    mapped(table.schema.empty_table())
    pieces: Iterator[pa.Table] = map(mapped, _regrouped(table, chunk_rows))
    if not (stamp.is_wanted or config.columns.record_time or found.is_stream):
        slack_us = config.window.bound_us + config.window.lateness_us
        pieces = tables_in_order(pieces, slack_us, chunk_rows, found.where, note)
    n_counted = 0

    def count(n_rows: int) -> None:
        nonlocal n_counted
        n_counted += n_rows
        report(n_counted / table.n_rows if table.n_rows else None, n_counted)

    def rows() -> Iterator[TableRows]:
        n_rows = 0
        with closing(found):
            for piece in pieces:
                batch = _one_batch(_named(stamp.apply(piece), config))
                yield TableRows(source, batch, chunk_rows, n_rows)
                n_rows += batch.num_rows

    return rows(), count


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


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    """Return a table that has rows as one record batch."""
    columns = [column.chunk(0) for column in table.combine_chunks().columns]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)
