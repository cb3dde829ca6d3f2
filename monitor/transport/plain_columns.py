"""Converts Arrow's column types to the few that later steps support. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.core.column_values import as_number, as_text
from schemas.errors import TransportError

_UUID_BYTES = 16
_INDEX_NAME = re.compile(r"__index_level_\d+__")
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_UUID_HYPHENS = (8, 13, 18, 23)
_UUID_CHARACTERS = 36


def plain(table: pa.Table, where: str) -> pa.Table:
    """Return a table whose columns have plain types and unique names.

    Parameters
    ----------
    table : pyarrow.Table
        As read from a file.
    where : str
        The file, for messages.

    Returns
    -------
    pyarrow.Table
        Struct columns are flattened to ``outer.inner``; each column is converted as by
        :func:`plain_column`. The unnamed index that pandas stores beside the data
        (``__index_level_0__``) is dropped; a named index is a column like any other.

    Raises
    ------
    TransportError
        If two columns have the same name.

    Examples
    --------
    >>> rows = pa.table({"at": pa.array([{"x": 1}]), "__index_level_0__": [7]})
    >>> plain(rows, "f.parquet").to_pydict()
    {'at.x': [1]}
    """
    table = flat(table)
    table = table.drop_columns(index_columns(table.schema))
    names: list[str] = table.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        fix = "rename or remove one of them"
        raise TransportError(f"has two columns {twice[:200]!r}", where=where, fix=fix)
    return pa.table([plain_column(column) for column in table.columns], names=names)


def flat(table: pa.Table) -> pa.Table:
    """Flatten struct columns (``features``, ``segments``) to ``features.<name>``."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def index_columns(schema: pa.Schema) -> list[str]:
    """Return the columns that hold only an unnamed pandas index.

    Some writers keep the column and drop pandas' metadata, so the name alone suffices too.

    Examples
    --------
    >>> index_columns(pa.schema([("x", pa.int64()), ("__index_level_0__", pa.int64())]))
    ['__index_level_0__']
    """
    found = {name for name in schema.names if _INDEX_NAME.fullmatch(name)}
    try:
        described = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        unnamed = {
            column["field_name"] for column in described["columns"] if column["name"] is None
        }
        indexes = {name for name in described["index_columns"] if isinstance(name, str)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return sorted(found)  # damaged metadata is ignored
    return sorted((found | (unnamed & indexes)) & set(schema.names))


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as the nearest type that every later step supports.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Of any type.

    Returns
    -------
    pyarrow.ChunkedArray
        UUIDs, also untyped ones of 16 bytes, as text; other fixed-size binary values that are not
        text as hexadecimal digits; other extension types as their storage type; views as plain text
        and bytes; run-end encoding expanded; half floats as floats; durations as seconds (float64);
        times of day as text. Types without a counterpart (lists, maps, unions) are returned
        unchanged and rejected when a feature uses them.

    Examples
    --------
    >>> plain_column(pa.chunked_array([pa.array([90_500], pa.duration("ms"))])).to_pylist()
    [90.5]
    """
    while (converted := _step(column)) is not column:
        column = converted
    return column


def _step(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Remove one layer of a type; return the same column if there is none."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _stored(column)
    if pa.types.is_run_end_encoded(kind):
        return _by_chunk(column, pc.run_end_decode, kind.value_type)
    if pa.types.is_dictionary(kind):
        return _decoded(column)
    if pa.types.is_float16(kind):
        return as_number(column)  # the decimal value as written, not its binary approximation
    if pa.types.is_time(kind):
        return as_text(column)
    if pa.types.is_fixed_size_binary(kind):
        return _by_chunk(column, _bytes_or_digits, pa.binary())
    target = _plain_type(kind)
    if pa.types.is_duration(kind):
        ticks = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[kind.unit]
        return pc.divide(column.cast(pa.int64()).cast(target, safe=False), float(ticks))
    return column if target == kind else column.cast(target)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the plain type to which a type is cast."""
    if kind == pa.string_view():
        return pa.large_string()
    if kind == pa.binary_view():
        return pa.large_binary()
    if pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_duration(kind):
        return pa.float64()
    return kind


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a dictionary column with plain values; ``take`` does not support views."""
    inner = column.type.value_type
    if _is_plain(inner):
        return column
    if not column.num_chunks:
        return pa.chunked_array([], inner)

    def expanded(chunk: pa.Array) -> pa.Array:
        values = plain_column(pa.chunked_array([chunk.dictionary])).combine_chunks()
        return values.take(chunk.indices)

    parts = [expanded(chunk) for chunk in column.chunks]
    return pa.chunked_array(parts)


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether a type needs no conversion."""
    is_wrapped = isinstance(kind, pa.BaseExtensionType) or pa.types.is_run_end_encoded(kind)
    return not is_wrapped and not pa.types.is_dictionary(kind) and _plain_type(kind) == kind


def _stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the storage of an extension type; UUIDs as text, 8-bit booleans as booleans."""
    kind = column.type
    parts = [chunk.storage for chunk in column.chunks]
    stored = pa.chunked_array(parts, kind.storage_type)
    name = kind.extension_name
    if name == "arrow.uuid" and kind.storage_type == pa.binary(_UUID_BYTES):
        return _by_chunk(stored, uuid_text, pa.string())
    return stored.cast(pa.bool_()) if name == "arrow.bool8" else stored


def _bytes_or_digits(column: pa.Array) -> pa.Array:
    """Return bytes unchanged if they are text, else as UUIDs or hexadecimal digits."""
    raw = column.cast(pa.binary())
    try:
        raw.cast(pa.string())
    except pa.ArrowInvalid:
        if column.type.byte_width == _UUID_BYTES:
            return uuid_text(column).cast(pa.binary())
        digits = [None if value is None else value.hex().encode() for value in raw.to_pylist()]
        return pa.array(digits, pa.binary())
    return raw


def _by_chunk(column: pa.ChunkedArray, convert: Any, kind: pa.DataType) -> pa.ChunkedArray:
    """Convert every chunk; ``kind`` is the type of a column without chunks."""
    return pa.chunked_array([convert(chunk) for chunk in column.chunks], kind)


def uuid_text(column: pa.Array) -> pa.Array:
    """Format 16-byte values as UUIDs.

    Returns
    -------
    pyarrow.Array of string
        In lower case with hyphens; null stays null.

    Examples
    --------
    >>> uuid_text(pa.array([bytes(range(16)), None], pa.binary(16))).to_pylist()
    ['00010203-0405-0607-0809-0a0b0c0d0e0f', None]
    """
    n = len(column)
    present = column.fill_null(bytes(_UUID_BYTES))
    raw = np.frombuffer(b"".join(present.to_pylist()), np.uint8).reshape(n, _UUID_BYTES)
    digits = _HEX[np.stack((raw >> 4, raw & 15), axis=2).reshape(n, 2 * _UUID_BYTES)]
    text = np.full((n, _UUID_CHARACTERS), ord("-"), np.uint8)
    text[:, [i for i in range(_UUID_CHARACTERS) if i not in _UUID_HYPHENS]] = digits
    offsets = np.arange(n + 1, dtype=np.int32) * _UUID_CHARACTERS
    made = pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(text))
    return pc.if_else(column.is_valid(), made, None)
