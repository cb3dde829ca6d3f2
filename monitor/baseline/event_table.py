"""Converts events in JSON lines to a table, without a model's schema. Pure.

Lines are parsed as by the decoder: arrays are split into elements, CloudEvents are unwrapped, bare
NaN and infinities are missing. Types are determined afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from monitor.core.bounds import DECODE_ERRORS
from monitor.decode.cloudevents import open_envelope
from monitor.decode.strict import RefusedEvent, has_bare_tokens, nulled
from monitor.decode.units import messages_of, rows_of
from monitor.transport.canonical import as_text
from schemas.batch import Chunk
from schemas.errors import TransportError

MAX_NESTING = 16
"""Maximum nesting of objects whose fields become columns."""

_decode = msgspec.json.Decoder().decode
_SPACE = b" \t\r\n"


class _Refusals:
    """Counts malformed events; without ``note`` the first one is raised."""

    def __init__(self, note: Callable[[str], None] | None) -> None:
        self._note = note
        self._n = 0
        self._first: TransportError | None = None

    def add(self, error: TransportError) -> None:
        """Count or raise one malformed event."""
        if self._note is None:
            raise error
        self._n += 1
        self._first = self._first or error

    def report(self, n_events: int) -> None:
        """Report the omitted events; raise if they are at least half of all."""
        if self._first is None:
            return
        if self._n >= n_events:
            raise self._first
        if self._note is not None:
            self._note(
                f"{self._first.where}: {self._n:,} of {self._n + n_events:,} events are malformed "
                f"and left out; the first: {self._first.what}"
            )


def table_of_events(chunks: Iterable[Chunk], note: Callable[[str], None] | None = None) -> pa.Table:
    """Return the events of JSON lines as one table.

    Parameters
    ----------
    chunks : iterable of Chunk
        One object, array of objects, or CloudEvents envelope per line.
    note : callable, optional
        Called with one sentence if events are malformed; they are omitted, as a replay rejects
        them. Without it malformed events are an error.

    Returns
    -------
    pyarrow.Table
        One column per field, for nested ones ``features.age``; null if an event lacks it. A column
        of integers and fractions is float64; one with values of several types is text in JSON form.

    Raises
    ------
    TransportError
        With the first malformed line, without ``note`` or if at least half of all are malformed.

    Notes
    -----
    About 1 us per value. Python objects exist for one chunk at a time, Arrow arrays for all.

    Examples
    --------
    >>> import numpy as np
    >>> line = b'[{"id": "a", "features": {"age": 3}}, {"features": {"age": NaN}}]'
    >>> chunk = Chunk("f", 0, np.frombuffer(line, np.uint8), np.array([0, len(line)]),
    ...               np.array([0]), np.array([-1]))
    >>> table_of_events([chunk]).to_pydict()
    {'id': ['a', None], 'features.age': [3, None]}
    """
    pieces: dict[str, list[pa.Array]] = {}
    n_rows, refusals = 0, _Refusals(note)
    for chunk in chunks:
        events = list(_events(chunk, refusals))
        columns = _columns(events)
        for name in columns:
            if name not in pieces:
                pieces[name] = [pa.nulls(n_rows)] if n_rows else []
        for name, parts in pieces.items():
            parts.append(columns.get(name, pa.nulls(len(events))))
        n_rows += len(events)
    refusals.report(n_rows)
    return pa.table({name: _joined(parts) for name, parts in pieces.items()})


def _columns(events: list[dict[str, Any]]) -> dict[str, pa.Array]:
    """Return the columns of one chunk's events."""
    values: dict[str, list[Any]] = {}
    for row, fields in enumerate(events):
        for name, value in _flat(fields, "", MAX_NESTING):
            column = values.get(name)
            if column is None:
                column = values[name] = [None] * len(events)
            column[row] = value
    return {name: _array(column) for name, column in values.items()}


def _events(chunk: Chunk, refusals: _Refusals) -> Iterator[dict[str, Any]]:
    """Yield the events of a chunk in order."""
    units = messages_of(chunk)
    for message, (start, stop) in enumerate(
        zip(units.starts.tolist(), units.ends.tolist(), strict=True)
    ):
        for text in _texts_of(chunk, message, start, stop, refusals):
            try:
                event = _event(text, chunk, message)
            except TransportError as error:
                refusals.add(error)
            else:
                yield event


def _texts_of(
    chunk: Chunk, message: int, start: int, stop: int, refusals: _Refusals
) -> Iterator[bytes]:
    """Yield the events of one message: the object, or the elements of an array."""
    line = bytes(chunk.buffer.data[start:stop])
    if line.lstrip(_SPACE)[:1] != b"[":
        yield line
        return
    rows, broken = rows_of(chunk, [message])
    if broken:
        refusals.add(_refused(chunk, message, "the array's brackets do not match"))
        return
    for first, last in zip(rows.starts.tolist(), rows.ends.tolist(), strict=True):
        yield bytes(chunk.buffer.data[first:last])


def _event(text: bytes, chunk: Chunk, message: int) -> dict[str, Any]:
    """Decode one event, unwrapping its envelope if it has one."""
    try:
        fields = _fields(text)
        if isinstance(fields, dict) and isinstance(fields.get("specversion"), str):
            inner, event_id, time_us = open_envelope(nulled(text))
            fields = _fields(inner)
            if isinstance(fields, dict):
                fields = {"id": event_id, "time_us": time_us} | fields
    except (*DECODE_ERRORS, RefusedEvent) as error:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _refused(chunk, message, detail) from None
    if not isinstance(fields, dict):
        raise _refused(chunk, message, f"a {type(fields).__name__}")
    return fields


def _fields(text: bytes) -> Any:
    """Decode JSON; bare NaN and infinities, which JSON does not allow, become null."""
    try:
        return _decode(text)
    except msgspec.DecodeError:
        if not has_bare_tokens(text):
            raise
        return _decode(nulled(text))


def _refused(chunk: Chunk, message: int, what: str) -> TransportError:
    """Return the error of a line, counted from 1."""
    line = int(chunk.log_offset[message]) + 1
    return TransportError(
        f"line {line:,} is no JSON object: {what}"[:300],
        where=chunk.source,
        fix="correct or remove it",
    )


def _flat(fields: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield every field; those of nested objects under dotted names."""
    for name, value in fields.items():
        if isinstance(value, dict):
            if depth:
                yield from _flat(value, f"{prefix}{name}.", depth - 1)
            else:
                yield prefix + name, _spelt(value)
        elif value is not None:
            yield prefix + name, value


def _array(values: list[Any]) -> pa.Array:
    """Return an array of a common type: float64 for mixed numbers, else text."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        kinds = {type(value) for value in values if value is not None}
        if kinds <= {int, float} and float in kinds:
            return pa.array([_number(value) for value in values], pa.float64())
        return pa.array([None if v is None else _spelt(v) for v in values], pa.string())


def _number(value: float | None) -> float | None:
    """Return the nearest double; integers above the largest become infinite."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return float("inf")


def _spelt(value: Any) -> str:
    """Format a value as JSON, text without quotes."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _joined(parts: list[pa.Array]) -> pa.ChunkedArray:
    """Return all pieces of a column with one type."""
    kinds = {part.type for part in parts if not pa.types.is_null(part.type)}
    if len(kinds) <= 1:
        kind = kinds.pop() if kinds else pa.null()
    elif kinds == {pa.int64(), pa.float64()}:
        kind = pa.float64()
    elif all(map(pa.types.is_list, kinds)) and _is_numeric({k.value_type for k in kinds}):
        kind = pa.list_(pa.float64())
    else:
        return pa.chunked_array([_text(part) for part in parts], pa.string())
    return pa.chunked_array([part.cast(kind, safe=False) for part in parts], kind)


def _is_numeric(kinds: set[pa.DataType]) -> bool:
    """Return whether all types are numeric or null."""
    return kinds <= {pa.int64(), pa.float64(), pa.null()}


def _text(part: pa.Array) -> pa.Array:
    """Return the values of one piece as text."""
    try:
        return as_text(pa.chunked_array([part])).combine_chunks()
    except pa.ArrowException:  # lists have no text form
        return pa.array([None if v is None else _spelt(v) for v in part.to_pylist()], pa.string())
