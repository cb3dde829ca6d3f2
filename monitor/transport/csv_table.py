"""CSV files as record batches, for any delimiter and line ending."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from monitor.transport.csv_dialect import dialect_of
from schemas.errors import TransportError

_HEADER_BYTES = 1 << 20
_BLOCK_BYTES = 4 << 20
"""Longest record that is accepted, and the size of the blocks that are parsed."""


def open_csv(file: Any, where: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Open a CSV file with every column as bytes.

    Detecting types would turn the category 007 into 7. Bytes are converted to text later: here a
    single value that is not UTF-8 would reject the whole file.

    Parameters
    ----------
    file : file-like
        Open for reading bytes.
    where : str
        The file, for messages.

    Returns
    -------
    schema : pyarrow.Schema
        All columns are binary. Columns without a name (row numbers of pandas and R, empty
        columns of spreadsheets) are left out.
    batches : iterator of pyarrow.RecordBatch
        Without rows that repeat the header, as in files that were put together.

    Raises
    ------
    TransportError
        If there is not even a header, or two columns have the same name.
    """
    from pyarrow import csv

    buffered = io.BufferedReader(file, _HEADER_BYTES)
    head = buffered.peek(_HEADER_BYTES)[:_HEADER_BYTES]
    text = head.decode("utf-8-sig", errors="replace")
    dialect = dialect_of(text, is_whole=len(head) < _HEADER_BYTES)
    if not dialect.names:
        fix = "a CSV file begins with the names of its columns"
        raise TransportError("is empty", where=where, fix=fix)
    _refuse_twice(dialect.names, where)
    reader = csv.open_csv(
        buffered,
        read_options=csv.ReadOptions(block_size=_BLOCK_BYTES, skip_rows=dialect.n_skipped_lines),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(dialect.names, pa.binary()),
            strings_can_be_null=True,
            null_values=[""],
        ),
        parse_options=csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
    )
    named = [field for field in reader.schema if field.name]
    return pa.schema(named), _batches(reader, buffered, [field.name for field in named])


def _refuse_twice(names: tuple[str, ...], where: str) -> None:
    """Refuse two columns of one name, of which a row could mean either."""
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        fix = "rename or remove one of them"
        raise TransportError(f"has two columns {twice[:200]!r}", where=where, fix=fix)


def _batches(
    reader: Any, buffered: io.BufferedReader, names: list[str]
) -> Iterator[pa.RecordBatch]:
    """Read on; closed by name, since a buffer that is dropped warns of the file below it."""
    with buffered:
        for batch in reader:
            yield _without_headers(batch.select(names), names)


def _without_headers(batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    """Leave out rows in which every column holds its own name."""
    if not names:
        return batch
    is_header: Any = None
    for name in names:
        same = pc.fill_null(pc.equal(batch.column(name), name.encode()), False)
        is_header = same if is_header is None else pc.and_(is_header, same)
        if not pc.any(is_header).as_py():
            return batch
    return batch.filter(pc.invert(is_header))
