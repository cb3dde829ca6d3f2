"""Parquet, CSV and Arrow files as record batches, and every way they can be broken."""

from __future__ import annotations

import csv as builtin_csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from schemas.errors import TransportError

_HEADER_BYTES = 1 << 20


class Format(StrEnum):
    """How a file is read."""

    JSONL = "JSONL"
    CSV = "CSV"
    PARQUET = "Parquet"
    ARROW_FILE = "an Arrow file"
    ARROW_STREAM = "an Arrow stream"


@dataclass(frozen=True, slots=True)
class TableSource:
    """Record batches of a table, read as they are asked for."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    n_rows: int | None
    """Where it is known before reading."""


@contextmanager
def reading(where: str, format_: Format) -> Iterator[None]:
    """Turn what a reader raises into one line that names the file.

    Raises
    ------
    TransportError
    """
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise TransportError(
            f"cannot be read as {format_}: {detail}",
            where=where,
            fix="is the file complete, and of that format?",
        ) from error


def open_table(file: Any, format_: Format, batch_rows: int, where: str) -> TableSource:
    """Open a table.

    Parameters
    ----------
    file : pyarrow.NativeFile or file-like
        Parquet and Arrow files need to seek.
    format_ : Format
        Not JSONL.
    batch_rows : int
        Rows wanted in a batch; Arrow and CSV have batches of their own size.
    where : str
        The file, for messages.

    Returns
    -------
    TableSource

    Raises
    ------
    TransportError
        If it is no such table, or ends too early; also while the batches are read.
    """
    openers = {
        Format.PARQUET: _open_parquet,
        Format.CSV: _open_csv,
        Format.ARROW_FILE: _open_arrow_file,
        Format.ARROW_STREAM: _open_arrow_stream,
    }
    with reading(where, format_):
        source = openers[format_](file, batch_rows)
    return TableSource(source.schema, _guarded(source.batches, where, format_), source.n_rows)


def _guarded(
    batches: Iterator[pa.RecordBatch], where: str, format_: Format
) -> Iterator[pa.RecordBatch]:
    """Read on under :func:`reading`, which a generator's caller would leave too early."""
    while True:
        with reading(where, format_):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _open_parquet(file: Any, batch_rows: int) -> TableSource:
    """Read row group by row group."""
    import pyarrow.parquet as pq

    parquet = pq.ParquetFile(file)
    batches = parquet.iter_batches(batch_size=batch_rows)
    return TableSource(parquet.schema_arrow, batches, parquet.metadata.num_rows)


def _open_csv(file: Any, batch_rows: int) -> TableSource:
    """Read every column as bytes: guessing would make 7 of the category 007.

    Text they become later: here one value that is not UTF-8 would refuse the whole file.
    """
    from pyarrow import csv

    buffered = io.BufferedReader(file, _HEADER_BYTES)
    header = buffered.peek(_HEADER_BYTES)[:_HEADER_BYTES].decode("utf-8-sig", errors="replace")
    first = header.split("\n")[0]
    delimiter = max(",;\t", key=first.count)
    names = next(builtin_csv.reader(io.StringIO(header), delimiter=delimiter), [])
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.binary()), strings_can_be_null=True, null_values=[""]
    )
    reader = csv.open_csv(
        buffered,
        convert_options=options,
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
    )
    return TableSource(reader.schema, _read_and_close(reader, buffered), None)


def _read_and_close(reader: Any, buffered: io.BufferedReader) -> Iterator[pa.RecordBatch]:
    """Close by name: a buffer that is dropped warns of the file below it."""
    with buffered:
        yield from reader


def _open_arrow_file(file: Any, batch_rows: int) -> TableSource:
    """Read a file with a footer."""
    reader = pa.ipc.open_file(file)
    batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
    return TableSource(reader.schema, batches, None)


def _open_arrow_stream(file: Any, batch_rows: int) -> TableSource:
    """Read a stream; one that stops between two batches looks like its end."""
    reader = pa.ipc.open_stream(file)
    return TableSource(reader.schema, iter(reader), None)
