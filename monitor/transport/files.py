"""Files, and standard input, as a source of chunks: what a log is to Kafka.

JSONL is handed on as it is. Tables (Parquet, CSV, Arrow) are mapped to the canonical
columns and shipped as Arrow IPC streams of ``chunk_rows`` rows, one message each, so
that one decoder serves every source. ``.gz`` and ``.zst`` are opened on the way.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa

from monitor.transport.canonical import RECORD_TIME, canonical
from monitor.transport.lines import read_lines
from monitor.transport.restamp import TIME, stamp_evenly
from monitor.transport.tables import Format, TableSource, open_table, reading
from schemas.batch import Chunk
from schemas.config import ModelConfig
from schemas.errors import ConfigError, TransportError

STANDARD_INPUT = "-"
_SAMPLE_BYTES = 64 << 10
_MAX_SAMPLES = 1024
_MAGICS = (
    (b"PAR1", Format.PARQUET),
    (b"ARROW1", Format.ARROW_FILE),
    (b"\xff\xff\xff\xff", Format.ARROW_STREAM),
)
_COMPRESSIONS = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))
_SUFFIXES = {
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".arrow": Format.ARROW_FILE,
    ".feather": Format.ARROW_FILE,
    ".arrows": Format.ARROW_STREAM,
}

Progress = Callable[[float | None, int], None]
"""Called with the share of the input that is read (None where unknown), and its rows."""


class Source(Iterator[Chunk]):
    """The chunks of one file. Read to its end it is closed; else close it."""

    def __init__(self, chunks: Iterator[Chunk], file: Any, name: str) -> None:
        self._chunks, self._file = chunks, file
        self.name = name
        """The file's name with a digest of its content; a new one for standard input."""

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def close(self) -> None:
        """Close the file, whether it was read or not."""
        # A generator that has not begun would not close its file.
        self._file.close()


def open_source(
    path: str | Path,
    config: ModelConfig,
    *,
    chunk_rows: int = 5_000,
    rows_per_window: int | None = None,
    start_us: int | None = None,
    on_progress: Progress | None = None,
) -> Source:
    """Open a file of events.

    Parameters
    ----------
    path : str or Path
        ``-`` is standard input: JSONL or Arrow, told by the first bytes.
    config : ModelConfig
        ``columns`` and ``features`` map a table's columns; JSONL needs none of it.
    chunk_rows : int
        Rows of a chunk.
    rows_per_window : int, optional
        Give tables new event times: exactly so many rows, evenly, in each window of
        ``config.window.length``.
    start_us : int, optional
        Start of the first window then; by default the window of the table's first time,
        or 0 where it has none.
    on_progress : callable, optional
        See ``Progress``.

    Returns
    -------
    Source
        An iterator of Chunk. ``source`` is the file's name with a digest of its content:
        a file that was changed is another source, as a topic made again has another id.
        Rows without an id are named after it, and the archive's tokens too. ``log_offset``
        is the number of the line, or of a message's first row. ``record_time_us`` is -1, or
        the latest of a message's rows where ``columns.record_time`` names a column.

    Raises
    ------
    TransportError
        If the file is missing, unreadable, broken or truncated; the latter while reading.
    ConfigError
        If columns are missing or of the wrong type; or JSONL is to be given new times.

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
    stamp = _Stamp(rows_per_window, config.window.length, start_us)
    file, format_, where, source = _open(path)
    with _closing_on_error(file):
        if format_ is not Format.JSONL:
            chunks = _table_chunks(file, format_, config, stamp, source, chunk_rows, where, report)
            return Source(chunks, file, source)
        if stamp.is_wanted:
            raise ConfigError(
                "JSONL cannot be given new event times",
                where=where,
                fix="convert it to Parquet, or leave rows_per_window out",
            )
        return Source(_line_chunks(file, source, chunk_rows, where, report), file, source)


def read_table(
    path: str | Path, lines: Callable[[Iterator[Chunk]], pa.Table] | None = None
) -> pa.Table:
    """Read a whole table, as it is; CSV columns are all bytes, not yet text.

    Parameters
    ----------
    path : str or Path
        Parquet, CSV or Arrow; ``-`` is standard input.
    lines : callable, optional
        What makes a table of JSONL, chunk by chunk.

    Raises
    ------
    TransportError
        If it is missing, unreadable, broken, truncated, or JSONL and ``lines`` is not given.
    """
    file, format_, where, source = _open(path)
    with closing(file):
        if format_ is Format.JSONL and lines is not None:
            return lines(_line_chunks(file, source, 5_000, where, lambda share, n_rows: None))
        if format_ is Format.JSONL:
            fix = "give Parquet, CSV or Arrow (.parquet, .csv, .arrow)"
            raise TransportError("is no table", where=where, fix=fix)
        table = open_table(file, format_, 1 << 16, where)
        return pa.Table.from_batches(table.batches, table.schema)


@contextmanager
def _closing_on_error(file: Any) -> Iterator[None]:
    """Close a file that nobody will read."""
    try:
        yield
    except BaseException:
        file.close()
        raise


class _Stamp:
    """How a table gets its times: its own, or even ones."""

    def __init__(self, rows_per_window: int | None, window_us: int, start_us: int | None) -> None:
        self.rows_per_window = rows_per_window
        self._window_us = window_us
        self._start_us = start_us
        self._n_rows = 0

    @property
    def is_wanted(self) -> bool:
        """Say whether new times are asked for."""
        return self.rows_per_window is not None

    def digest(self) -> str:
        """Name the choice: other times are other events."""
        text = f"{self.rows_per_window} {self._window_us} {self._start_us}"
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def apply(self, table: pa.Table) -> pa.Table:
        """Stamp the next rows."""
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


def _open(path: str | Path) -> tuple[Any, Format, str, str]:
    """Open a file and find out what it is: (file, format, name for messages, source)."""
    if str(path) == STANDARD_INPUT:
        file: Any = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer), 1 << 16)
        where, source = "standard input", f"stdin@{secrets.token_hex(4)}"
        name = Path()
    else:
        name, where = Path(path), str(path)
        file = _open_file(name)
        source = f"{name.name}@{_content_digest(file)}"
    head = file.peek(8)[:8]
    for magic, compression in _COMPRESSIONS:
        if head.startswith(magic):
            with reading(where, Format.JSONL):
                stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), compression)
                file = io.BufferedReader(stream, 1 << 16)
                head = file.peek(8)[:8]
            name = name.with_suffix("")
    format_ = _format_of(head, name)
    if format_ in (Format.PARQUET, Format.ARROW_FILE) and not file.seekable():
        file = pa.BufferReader(file.read())
    return file, format_, where, source


def _open_file(path: Path) -> BinaryIO:
    """Open a file for reading, or say in one line why not."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise TransportError("no such file", where=str(path), fix="check the path") from None
    except IsADirectoryError:
        raise TransportError("is a folder", where=str(path), fix="name a file in it") from None
    except OSError as error:
        raise TransportError(f"cannot be opened: {error.strerror}", where=str(path)) from error


def _format_of(head: bytes, name: Path) -> Format:
    """Judge by the first bytes, then by the name; what claims to be a table must be one."""
    for magic, format_ in _MAGICS:
        if head.startswith(magic):
            return format_
    return _SUFFIXES.get(name.suffix.lower(), Format.JSONL)


def _content_digest(file: BinaryIO) -> str:
    """Name a file's content: all of it up to 64 MiB, else evenly spread samples of it."""
    size = file.seek(0, io.SEEK_END)
    n_samples = min(-(-size // _SAMPLE_BYTES), _MAX_SAMPLES)
    digest = hashlib.sha256(str(size).encode())
    for i in range(n_samples):
        file.seek(
            i * (size - _SAMPLE_BYTES) // max(n_samples - 1, 1) if size > _SAMPLE_BYTES else 0
        )
        digest.update(file.read(_SAMPLE_BYTES))
    file.seek(0)
    return digest.hexdigest()[:8]


def _line_chunks(
    file: Any, source: str, chunk_rows: int, where: str, report: Progress
) -> Iterator[Chunk]:
    """Read JSONL."""
    total = Path(where).stat().st_size if Path(where).is_file() else 0
    n_rows = n_read = 0
    is_plain = isinstance(file, io.BufferedReader) and not isinstance(file.raw, pa.NativeFile)

    def read(n_bytes: int) -> bytes:
        nonlocal n_read
        with reading(where, Format.JSONL):
            block: bytes = file.read(n_bytes)
        n_read += len(block)
        return block

    with file:
        for chunk in read_lines(read, source, chunk_rows, where):
            n_rows += len(chunk)
            report(min(n_read / total, 1.0) if total and is_plain else None, n_rows)
            yield chunk


def _table_chunks(
    file: Any,
    format_: Format,
    config: ModelConfig,
    stamp: _Stamp,
    source: str,
    chunk_rows: int,
    where: str,
    report: Progress,
) -> Iterator[Chunk]:
    """Map a table's batches, stamp them, and ship them as Arrow streams."""
    table = open_table(file, format_, chunk_rows, where)
    if stamp.is_wanted:
        source = f"{source}+{stamp.digest()}"

    def mapped(rows: pa.Table) -> pa.Table:
        return canonical(rows, config, needs_time=not stamp.is_wanted, where=where)

    # A wrong column is told before anything starts, not at the first chunk.
    mapped(table.schema.empty_table())

    def chunks() -> Iterator[Chunk]:
        n_rows = 0
        with file:
            for rows in _regrouped(table, chunk_rows):
                stamped = _named(stamp.apply(mapped(rows)), config)
                yield _arrow_chunk(stamped, source, n_rows)
                n_rows += rows.num_rows
                report(n_rows / table.n_rows if table.n_rows else None, n_rows)

    return chunks()


def _regrouped(table: TableSource, chunk_rows: int) -> Iterator[pa.Table]:
    """Cut batches of any size into tables of ``chunk_rows`` rows, the last one shorter."""
    held = table.schema.empty_table()
    for batch in table.batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while held.num_rows >= chunk_rows:
            yield held.slice(0, chunk_rows)
            held = held.slice(chunk_rows)
    if held.num_rows:
        yield held


def _named(table: pa.Table, config: ModelConfig) -> pa.Table:
    """Say in every row whose events they are, unless the file says so itself."""
    for name, value in (("tenant", config.tenant), ("model", config.model)):
        if name not in table.column_names:
            codes = pa.array(np.zeros(table.num_rows, np.int32))
            column = pa.DictionaryArray.from_arrays(codes, pa.array([value]))
            table = table.append_column(name, column)
    return table


def _arrow_chunk(table: pa.Table, source: str, first_row: int) -> Chunk:
    """Write a table as one message: an Arrow IPC stream of one batch."""
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
