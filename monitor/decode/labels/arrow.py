"""Labels in Arrow IPC streams: columns as they are.

Column names are those of the fields of ``LabelEvent``; ``scores`` and ``segments`` are structs, or
columns ``scores.<class>`` and ``segments.<name>``. Times are integers or timestamps. Null is
absent. Rows that columns of these types cannot hold (another type, null where a value is required,
maps) are decoded one by one, with the outcomes of JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from monitor.decode.arrow.expand import Room, expanded
from monitor.decode.arrow.ipc_sizes import StreamSizes
from monitor.decode.arrow.opened import check_sizes
from monitor.decode.arrow.row_stream import row_stream
from monitor.decode.arrow.stream import unreadable
from monitor.decode.labels.arrow_columns import (
    REQUIRED,
    TIMES,
    OddColumnError,
    columns_of,
    incomplete,
    lacking,
)
from monitor.decode.labels.objects import batch_of_events, merged, taken
from monitor.decode.labels.suspects import suspects
from monitor.decode.records import check_label, check_time
from monitor.decode.reject_cap import EventRejects
from monitor.decode.strict import Key, RefusedEvent, failure
from schemas.batch import Int64Array
from schemas.events import DEFAULT_TENANT, LabelEvent, RejectReason
from schemas.labels import LabelBatch, LabelRule
from schemas.limits import MessageLimits

_MAPS = ("scores", "segments")
_FIELDS = frozenset(LabelEvent.__struct_fields__)


def labels_of_stream(
    message: int,
    payload: bytes,
    declared: StreamSizes,
    record_us: int,
    rules: Mapping[Key, LabelRule] | None,
    limits: MessageLimits,
    rejects: EventRejects,
) -> list[LabelBatch]:
    """Decode one stream.

    Parameters
    ----------
    message : int
        Its number in the chunk.
    declared : StreamSizes
        What the stream declares, of :func:`monitor.decode.arrow.ipc_sizes.stream_sizes`.

    Returns
    -------
    list of LabelBatch
        A stream that cannot be read, or lacks a required column, is one reject.
    """
    try:
        check_sizes(declared, limits, limits.max_rows)
        batches = list(_opened(payload, Room(limits.max_bytes)))
    except RefusedEvent as fault:
        rejects.add(message, 0, payload, fault)
        return []
    except (pa.ArrowException, OSError, ValueError) as error:
        rejects.add(message, 0, payload, unreadable(error))
        return []
    parts: list[LabelBatch] = []
    rows = _OneByOne(message, record_us, rules, limits.max_letters, rejects)
    first = 0
    for batch in batches:
        n = batch.num_rows
        is_left = np.ones(n, np.bool_)
        try:
            columns = columns_of(batch, message, first)
            recorded_us = np.full(n, record_us)
            is_left = incomplete(batch) | suspects(columns, recorded_us, rules)
            parts.append(taken(columns, np.flatnonzero(~is_left)))
        except (OddColumnError, pa.ArrowException, ValueError):
            is_left[:] = True
        placed = rows.read(batch, np.flatnonzero(is_left), first)
        parts.append(batch_of_events(placed))
        first += n
    return [merged(parts)] if parts else []


class _OneByOne:
    """Decodes rows one by one, and refuses those at fault."""

    def __init__(
        self,
        message: int,
        record_us: int,
        rules: Mapping[Key, LabelRule] | None,
        max_letters: int,
        rejects: EventRejects,
    ) -> None:
        self._message, self._record_us, self._rules = message, record_us, rules
        self._max_letters, self._rejects = max_letters, rejects
        self._n_refused = 0

    def read(
        self, batch: pa.RecordBatch, rows: Int64Array, first: int
    ) -> list[tuple[int, int, LabelEvent]]:
        """Return the rows that are accepted; ``first`` is the number of the batch's first row."""
        placed, counted = [], []
        lacks = lacking(batch).tolist()
        for row in rows.tolist():
            if lacks[row] and self._n_refused > self._max_letters:
                counted.append(row)
                continue
            try:
                event = _event(batch, row)
                check_label(event, self._record_us, self._rules)
                placed.append((self._message, first + row, event))
            except Exception as error:  # whatever it is: one row must not end the stage
                self._refuse(batch, row, first, error)
        if counted:
            self._count(batch, counted, lacks, first)
        return placed

    def _count(self, batch: pa.RecordBatch, rows: list[int], lacks: list[int], first: int) -> None:
        """Refuse rows that lack a value; the detail is that of the first one of each kind.

        Columns of type null take no bytes: a stream of some hundred may have a million rows.
        """
        tenants, models = _texts(batch, "tenant", DEFAULT_TENANT), _texts(batch, "model", "")
        kinds = [(lacks[row], tenants[row], models[row]) for row in rows]
        of_kind = dict(zip(reversed(kinds), reversed(rows), strict=True))
        for kind, n in Counter(kinds).items():
            try:
                _event(batch, of_kind[kind])
            except Exception as error:  # whatever it is, as in `read`
                self._refuse(batch, of_kind[kind], first, error, n)

    def _refuse(
        self, batch: pa.RecordBatch, row: int, first: int, error: Exception, n_events: int = 1
    ) -> None:
        """Add a reject; only those that become letters of their own keep the row."""
        fault = error if isinstance(error, RefusedEvent) else failure(error)
        self._n_refused += n_events
        kept = row_stream(batch, row) if self._n_refused <= self._max_letters + 1 else b""
        self._rejects.add(self._message, first + row, kept, fault, n_events)


def _opened(payload: bytes, room: Room) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a stream, with the columns that are read, plain."""
    with pa.ipc.open_stream(payload) as reader:
        names = reader.schema.names
        for name in REQUIRED:
            if names.count(name) != 1:
                n = names.count(name)
                detail = f"Arrow stream: {n or 'no'} column{'s'[: n > 1]} `{name}`"
                raise RefusedEvent(RejectReason.UNSUPPORTED, detail)
        read = [name for name in names if name in _FIELDS or name.startswith(_PREFIXES)]
        if len(set(read)) < len(read):
            raise RefusedEvent(RejectReason.UNSUPPORTED, "Arrow stream: a column name is repeated")
        for batch in reader:
            batch.validate(full=True)
            columns = [_plain(name, batch.column(name), room) for name in read]
            yield pa.RecordBatch.from_arrays(columns, names=read)


_PREFIXES = tuple(f"{name}." for name in _MAPS)


def _plain(name: str, column: pa.Array, room: Room) -> pa.Array:
    """Return a column that is not encoded; a time as an integer."""
    if pa.types.is_timestamp(column.type) and name in TIMES:
        return column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    if pa.types.is_nested(column.type):
        return column
    return expanded("id", column, room)


def _event(batch: pa.RecordBatch, row: int) -> LabelEvent:
    """Return one row as an event.

    Raises
    ------
    RefusedEvent
        If a value has another type, or a time is out of range.
    """
    (values,) = batch.slice(row, 1).to_pylist()
    fields: dict[str, Any] = {}
    for name, value in values.items():
        outer, _, inner = name.partition(".")
        if value is None:
            continue
        if inner and outer in _MAPS:
            fields.setdefault(outer, {})[inner] = value
        elif name in _MAPS:
            members = {k: v for k, v in dict(value).items() if v is not None}
            fields[name] = members | fields.get(name, {})
        else:
            fields[name] = value
    score = fields.get("score")
    if _is_infinite(score):
        del fields["score"]
    scores = fields.get("scores", {})
    fields["scores"] = {k: v for k, v in scores.items() if not _is_infinite(v)}
    try:
        event = msgspec.convert(fields, LabelEvent)
    except msgspec.ValidationError as error:
        raise RefusedEvent(RejectReason.MISTYPED, str(error), _key(fields)) from None
    check_time(event)
    return event


def _is_infinite(value: object) -> bool:
    """Return whether a value is a number that is not finite."""
    return isinstance(value, float) and not np.isfinite(value)


def _texts(batch: pa.RecordBatch, name: str, default: str) -> list[str | None]:
    """Return the texts of a column, with a default for null; None for values of another type."""
    n = batch.num_rows
    if name not in batch.schema.names or pa.types.is_null(batch.column(name).type):
        return [default] * n
    column = batch.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return [None] * n
    return [default if text is None else text for text in column.to_pylist()]


def _key(fields: Mapping[str, Any]) -> Key:
    """Return tenant and model of a row, where they are texts."""
    tenant, model = fields.get("tenant", DEFAULT_TENANT), fields.get("model", "")
    return (tenant, model) if isinstance(tenant, str) and isinstance(model, str) else ("", "")
