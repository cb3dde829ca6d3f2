"""Labels in Arrow IPC streams: columns as they are.

Column names are those of the fields of ``LabelEvent``; ``scores`` and ``segments`` are structs, or
columns ``scores.<class>`` and ``segments.<name>``. Times are integers or timestamps. Null is
absent. Rows that columns of these types cannot hold (another type, null where a value is required,
maps) are decoded one by one, with the outcomes of JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.decode.arrow.expand import Room, expanded
from monitor.decode.arrow.ipc_sizes import StreamSizes
from monitor.decode.arrow.opened import check_sizes
from monitor.decode.arrow.row_stream import row_stream
from monitor.decode.arrow.stream import unreadable
from monitor.decode.arrow.text_codes import codes_of_texts
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.labels import kernel
from monitor.decode.labels.objects import batch_of_events, merged, taken
from monitor.decode.labels.suspects import suspects
from monitor.decode.records import check_label, check_time
from monitor.decode.reject_cap import EventRejects
from monitor.decode.strict import Key, RefusedEvent, failure
from schemas.batch import Float64Array, Int32Array, Int64Array, StringColumn
from schemas.events import DEFAULT_TENANT, LabelEvent, RejectReason
from schemas.labels import NO_TIME, LabelBatch, LabelRule, MapColumn
from schemas.limits import MessageLimits

_REQUIRED = ("id", "model", "time_us", "label")
_TIMES = ("time_us", "prediction_time_us")
_MAPS = ("scores", "segments")
_FIELDS = frozenset(LabelEvent.__struct_fields__)


class _OddColumn(Exception):
    """A column cannot be read as a whole."""


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
    first, n_refused = 0, 0
    for batch in batches:
        n = batch.num_rows
        is_left = np.ones(n, np.bool_)
        try:
            columns = _columns(batch, message, first)
            recorded_us = np.full(n, record_us)
            is_left = _incomplete(batch) | suspects(columns, recorded_us, rules)
            parts.append(taken(columns, np.flatnonzero(~is_left)))
        except (_OddColumn, pa.ArrowException):
            is_left[:] = True
        placed = []
        for row in np.flatnonzero(is_left).tolist():
            try:
                event = _event(batch, row)
                check_label(event, record_us, rules)
                placed.append((message, first + row, event))
            except Exception as error:  # whatever it is: one row must not end the stage
                why = error if isinstance(error, RefusedEvent) else failure(error)
                n_refused += 1
                kept = row_stream(batch, row) if n_refused <= limits.max_letters + 1 else b""
                rejects.add(message, first + row, kept, why)
        parts.append(batch_of_events(placed))
        first += n
    return [merged(parts)] if parts else []


def _opened(payload: bytes, room: Room) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a stream, with the columns that are read, plain."""
    with pa.ipc.open_stream(payload) as reader:
        names = reader.schema.names
        for name in _REQUIRED:
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
    if pa.types.is_timestamp(column.type) and name in _TIMES:
        return column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    if pa.types.is_nested(column.type):
        return column
    return expanded("id", column, room)


def _columns(batch: pa.RecordBatch, message: int, first: int) -> LabelBatch:
    """Return the columns of a batch of rows; raise where one has another type."""
    n = batch.num_rows
    known = Dictionaries(kernel.N_DICTIONARIES, verbatim=frozenset(range(kernel.N_DICTIONARIES)))
    found = {name: batch.column(name) for name in batch.schema.names}

    def text(name: str) -> StringColumn:
        place = kernel.TEXTS.index(name)
        column = found.get(name)
        codes: Int32Array = np.full(n, -1, np.int32)
        if column is not None and not (name == "label" and _is_number(column)):
            codes = _codes(column, place, known)
        if name == "tenant":
            (default,) = known.encode(place, [DEFAULT_TENANT]).tolist()
            codes = np.where(codes < 0, np.int32(default), codes)
        return StringColumn(codes, known.values[place])

    ids, spans = _spans(found["id"])
    label = found["label"]
    return LabelBatch(
        message=np.full(n, message, np.int64),
        row=np.arange(first, first + n, dtype=np.int64),
        time_us=_times(found["time_us"]),
        id_spans=spans,
        id_bytes=ids,
        value=_floats(label) if _is_number(label) else np.full(n, np.nan),
        prediction_time_us=_times(found.get("prediction_time_us", pa.nulls(n))),
        score=_finite(_floats(found.get("score", pa.nulls(n)))),
        scores=_scores(found, n, known),
        segments=_segments(found, n, known),
        **{name: text(name) for name in kernel.TEXTS},
    )


def _incomplete(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which rows lack a required value."""
    masks = [batch.column(name).is_null().to_numpy(zero_copy_only=False) for name in _REQUIRED]
    return np.logical_or.reduce([*masks, _negative(batch)])


def _negative(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which rows have a time before 1970."""
    found = np.zeros(batch.num_rows, np.bool_)
    for name in _TIMES:
        if name in batch.schema.names and pa.types.is_integer(batch.column(name).type):
            is_negative = pc.less(batch.column(name), 0).fill_null(False)
            found |= is_negative.to_numpy(zero_copy_only=False)
    return found


def _is_number(column: pa.Array) -> bool:
    """Return whether a column has numbers."""
    return bool(pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def _is_text(column: pa.Array) -> bool:
    """Return whether a column has texts, or nothing."""
    kind = column.type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    )


def _codes(column: pa.Array, place: int, known: Dictionaries) -> Int32Array:
    """Return the codes of a column of texts."""
    if not _is_text(column):
        raise _OddColumn
    return codes_of_texts(column.cast(pa.large_string()), place, known)


def _times(column: pa.Array) -> Int64Array:
    """Return a column of times; ``NO_TIME`` for null."""
    if not pa.types.is_integer(column.type) and not pa.types.is_null(column.type):
        raise _OddColumn
    found: Int64Array = column.cast(pa.int64()).fill_null(NO_TIME).to_numpy()
    return found


def _floats(column: pa.Array) -> Float64Array:
    """Return a column of numbers; NaN for null."""
    if not _is_number(column) and not pa.types.is_null(column.type):
        raise _OddColumn
    cast = column.cast(pa.float64(), safe=False)
    found: Float64Array = cast.fill_null(np.nan).to_numpy()
    return found


def _finite(values: Float64Array) -> Float64Array:
    """Return numbers with NaN in place of infinities."""
    return np.where(np.isfinite(values), values, np.nan)


def _spans(column: pa.Array) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], Int64Array]:
    """Return the bytes of a column of texts, and start and length of each."""
    if not _is_text(column):
        raise _OddColumn
    column = column.cast(pa.large_string())
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    spans = np.stack((bounds[:-1], np.diff(bounds)), axis=1)
    # one byte more, so that there is something to look at where all ids are empty
    raw = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return np.append(raw, np.uint8(0)), spans


def _members(found: Mapping[str, pa.Array], name: str) -> dict[str, pa.Array]:
    """Return the columns of a struct and those named like its members, by member."""
    members: dict[str, pa.Array] = {}
    struct = found.get(name)
    if struct is not None and not pa.types.is_null(struct.type):
        if not pa.types.is_struct(struct.type):
            raise _OddColumn
        for k in range(struct.type.num_fields):
            members[struct.type.field(k).name] = pc.struct_field(struct, [k])
    prefix = f"{name}."
    flat = {key.removeprefix(prefix): c for key, c in found.items() if key.startswith(prefix)}
    return members | flat


def _scores(found: Mapping[str, pa.Array], n: int, known: Dictionaries) -> MapColumn:
    """Return the scores by class; those that are null or not finite are absent."""
    members = _members(found, "scores")
    stacked = np.stack(
        [np.zeros(n), *(_finite(_floats(column)) for column in members.values())], axis=1
    )[:, 1:]
    present = ~np.isnan(stacked)
    return _map(list(members), present, kernel.SCORE_KEYS, known, stacked[present])


def _segments(found: Mapping[str, pa.Array], n: int, known: Dictionaries) -> MapColumn:
    """Return the segments by name; those that are null are absent."""
    members = _members(found, "segments")
    codes = [_codes(column, kernel.SEGMENT_VALUES, known) for column in members.values()]
    stacked = np.stack([np.zeros(n, np.int32), *codes], axis=1)[:, 1:]
    present = stacked >= 0
    values = StringColumn(stacked[present], known.values[kernel.SEGMENT_VALUES])
    return _map(list(members), present, kernel.SEGMENT_KEYS, known, values)


def _map(
    names: list[str],
    present: np.ndarray[Any, np.dtype[np.bool_]],
    place: int,
    known: Dictionaries,
    values: StringColumn | Float64Array,
) -> MapColumn:
    """Return the entries of the (n, F) cells that are present."""
    keys = known.encode(place, names)
    offsets = np.concatenate(([0], np.cumsum(present.sum(axis=1)))).astype(np.int32)
    codes = np.broadcast_to(keys, present.shape)[present]
    return MapColumn(offsets, StringColumn(codes, known.values[place]), values)


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
    if isinstance(score, float) and not np.isfinite(score):
        del fields["score"]
    try:
        event = msgspec.convert(fields, LabelEvent)
    except msgspec.ValidationError as error:
        raise RefusedEvent(RejectReason.MISTYPED, str(error), _key(fields)) from None
    check_time(event)
    return event


def _key(fields: Mapping[str, Any]) -> Key:
    """Return tenant and model of a row, where they are texts."""
    tenant, model = fields.get("tenant", DEFAULT_TENANT), fields.get("model", "")
    return (tenant, model) if isinstance(tenant, str) and isinstance(model, str) else ("", "")
