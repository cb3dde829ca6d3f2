"""Reads tables from files as plain columns, and reports damaged files."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from monitor.transport.csv_table import open_csv
from monitor.transport.formats import Format
from monitor.transport.plain_columns import plain
from schemas.errors import TransportError

_BROKEN = (
    pa.ArrowException,
    OSError,
    EOFError,
    UnicodeDecodeError,
    lzma.LZMAError,
    zlib.error,
    zipfile.BadZipFile,
)
"""Errors of readers and decompressors for damaged content; some are not OSError."""
MAX_TIMES = 4
"""So many times the rows asked for are read at once from Parquet, while they take few bytes."""
_PIECE_BYTES = 4 << 20
_VALUE_BYTES = 8


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table that is read lazily."""

    schema: pa.Schema
    """Schema of every piece, after :func:`monitor.transport.plain_columns.plain`."""
    pieces: Iterator[pa.Table]
    n_rows: int | None
    """Number of rows, if known before reading."""


@contextmanager
def reading(where: str, format_: Format) -> Iterator[None]:
    """Convert errors of a reader to a one-line error that names the file.

    Raises
    ------
    TransportError
    """
    try:
        yield
    except _BROKEN as error:
        detail = " ".join(str(error).split())[:200]
        raise TransportError(
            f"cannot be read as {format_}: {detail or type(error).__name__}",
            where=where,
            fix="check that the file is complete and of that format",
        ) from error


def open_table(file: Any, format_: Format, batch_rows: int, where: str) -> TableSource:
    """Open a table.

    Parameters
    ----------
    file : pyarrow.NativeFile or file-like
        Must be seekable for Parquet, ORC and Arrow files.
    format_ : Format
        Any format except JSONL.
    batch_rows : int
        Rows per piece for Parquet, or up to ``MAX_TIMES`` as many where rows are short; other
        formats determine the size themselves.
    where : str
        The file, for messages.

    Returns
    -------
    TableSource

    Raises
    ------
    TransportError
        If the file does not have this format, is truncated, or has two columns of one name; also
        while the pieces are read.
    """
    with reading(where, format_):
        schema, batches, n_rows = _open(file, format_, batch_rows, where)
        empty = plain(schema.empty_table(), where)
    return TableSource(empty.schema, _pieces(batches, where, format_), n_rows)


def _pieces(batches: Iterator[pa.RecordBatch], where: str, format_: Format) -> Iterator[pa.Table]:
    """Yield pieces under :func:`reading`, which must be active while the generator runs."""
    while True:
        with reading(where, format_):
            batch = next(batches, None)
            piece = None if batch is None else plain(pa.Table.from_batches([batch]), where)
        if piece is None:
            return
        yield piece


def _open(
    file: Any, format_: Format, batch_rows: int, where: str
) -> tuple[pa.Schema, Iterator[pa.RecordBatch], int | None]:
    """Return a file's schema, its batches, and its number of rows if known."""
    if format_ is Format.CSV:
        return (*open_csv(file, where), None)
    if format_ is Format.PARQUET:
        return _open_parquet(file, batch_rows)
    if format_ is Format.ORC:
        return _open_orc(file)
    if format_ is Format.ARROW_FILE:
        reader = pa.ipc.open_file(file)
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
        return reader.schema, map(_checked, batches), None
    # A stream that is truncated between two batches looks complete.
    stream = pa.ipc.open_stream(file)
    return stream.schema, map(_checked, stream), None


def _open_parquet(
    file: Any, batch_rows: int
) -> tuple[pa.Schema, Iterator[pa.RecordBatch], int | None]:
    """Open a Parquet file, read by row group."""
    import pyarrow.parquet as pq

    # Not all columns of a row group at once: a row group of a million rows takes 100 MB.
    parquet = pq.ParquetFile(file, pre_buffer=False)
    batch_rows *= _n_times_more(parquet.metadata, batch_rows)
    # One thread: to hand pages of so few rows to others costs up to twice their decoding.
    batches = parquet.iter_batches(batch_size=batch_rows, use_threads=False)
    return parquet.schema_arrow, batches, parquet.metadata.num_rows


def _n_times_more(metadata: Any, batch_rows: int) -> int:
    """Return by how much pieces may be longer: each has a fixed cost for every column."""
    sizes = (metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    row_bytes = max(sum(sizes) // max(metadata.num_rows, 1), _VALUE_BYTES * metadata.num_columns)
    return int(min(max(_PIECE_BYTES // max(row_bytes * batch_rows, 1), 1), MAX_TIMES))


def _open_orc(file: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch], int | None]:
    """Open an ORC file, read by stripe."""
    from pyarrow import orc

    source = orc.ORCFile(file)
    stripes = (source.read_stripe(i) for i in range(source.nstripes))
    return source.schema, stripes, source.nrows


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Validate offsets and lengths of a batch, which Arrow's reader does not.

    A damaged file would otherwise be read beyond its buffers. Text is validated as bytes: a value
    that is not UTF-8 rejects its row later, not the file.

    Raises
    ------
    pyarrow.ArrowInvalid
    """
    batch.validate()
    for column in batch.columns:
        kind = column.type
        if pa.types.is_string(kind):
            column = column.view(pa.binary())
        elif pa.types.is_large_string(kind):
            column = column.view(pa.large_binary())
        column.validate(full=True)
    return batch
