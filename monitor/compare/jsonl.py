"""JSON lines as a table, whatever is in them: types are judged afterwards. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pyarrow as pa

from monitor.compare.values import text_of
from schemas.batch import Chunk
from schemas.errors import TransportError

_decode = msgspec.json.Decoder().decode


def table_of_lines(chunks: Iterable[Chunk]) -> pa.Table:
    """Put JSON objects below each other.

    Parameters
    ----------
    chunks : iterable of Chunk
        One object a line.

    Returns
    -------
    pyarrow.Table
        A column for each field, of nested ones ``features.age``; null where a line lacks
        it. A column whose values have several types is text, each value as JSON writes it.

    Raises
    ------
    TransportError
        Naming the line that is no JSON object.

    Notes
    -----
    About 1 us a value; Python's objects of one chunk at a time, Arrow's of all.

    Examples
    --------
    >>> import numpy as np
    >>> line = b'{"id": "a", "features": {"age": 3}}'
    >>> chunk = Chunk("f", 0, np.frombuffer(line, np.uint8), np.array([0, len(line)]),
    ...               np.array([0]), np.array([-1]))
    >>> table_of_lines([chunk]).to_pydict()
    {'id': ['a'], 'features.age': [3]}
    """
    pieces: dict[str, list[pa.Array]] = {}
    n_rows = 0
    for chunk in chunks:
        columns = _columns(chunk)
        for name in columns:
            if name not in pieces:
                pieces[name] = [pa.nulls(n_rows)] if n_rows else []
        for name, parts in pieces.items():
            parts.append(columns.get(name, pa.nulls(len(chunk))))
        n_rows += len(chunk)
    return pa.table({name: _joined(parts) for name, parts in pieces.items()})


def _columns(chunk: Chunk) -> dict[str, pa.Array]:
    """Decode one chunk, column by column."""
    values: dict[str, list[Any]] = {}
    for row, fields in enumerate(_objects(chunk)):
        for name, value in _flat(fields, ""):
            column = values.get(name)
            if column is None:
                column = values[name] = [None] * len(chunk)
            column[row] = value
    return {name: _array(column) for name, column in values.items()}


def _objects(chunk: Chunk) -> Iterator[dict[str, Any]]:
    """Decode line after line."""
    data = chunk.buffer.data
    for i, (start, stop) in enumerate(pairwise(chunk.offsets.tolist())):
        try:
            fields = _decode(data[start:stop])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _broken(chunk, i, str(error)) from None
        if not isinstance(fields, dict):
            raise _broken(chunk, i, f"a {type(fields).__name__}")
        yield fields


def _broken(chunk: Chunk, row: int, what: str) -> TransportError:
    """Name the line, counted from 1."""
    line = int(chunk.log_offset[row]) + 1
    return TransportError(
        f"line {line:,} is no JSON object: {what}", where=chunk.source, fix="mend or remove it"
    )


def _flat(fields: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield every field, those of nested objects under both names."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield prefix + name, value


def _array(values: list[Any]) -> pa.Array:
    """Choose a type that holds them all, text where there is none."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if v is None else _spelt(v) for v in values], pa.string())


def _spelt(value: Any) -> str:
    """Write a value as JSON does, text without its quotes."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _joined(parts: list[pa.Array]) -> pa.ChunkedArray:
    """Give all pieces of a column one type."""
    kinds = {part.type for part in parts if not pa.types.is_null(part.type)}
    if len(kinds) > 1 and kinds <= {pa.int64(), pa.float64()}:
        kinds = {pa.float64()}
    if len(kinds) > 1:
        return pa.chunked_array(
            [text_of(pa.chunked_array([part]))[0].combine_chunks() for part in parts]
        )
    kind = kinds.pop() if kinds else pa.null()
    return pa.chunked_array([part.cast(kind) for part in parts], kind)
