"""Events decoded one by one by msgspec: GPU telemetry, and labels that no kernel is certain of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec
import numpy as np

from driftline.events import open_receipt
from driftline.receipts import is_receipt
from driftline.times import EARLIEST_US, FARTHEST_US
from monitor.core.bounds import DECODE_ERRORS
from monitor.decode.cloudevents import open_envelope
from monitor.decode.gpu_values import GpuDecoder
from monitor.decode.reject_cap import EventRejects, capped
from monitor.decode.strict import Key, RefusedEvent, failure, has_bare_tokens, nulled, refusal
from monitor.decode.units import Units, joined_units, messages_of, rows_of
from schemas.batch import Chunk
from schemas.events import (
    MAX_EVENT_BYTES,
    MAX_VALUE_CHARS,
    GpuEvent,
    LabelEvent,
    Reject,
    RejectReason,
)
from schemas.labels import LabelRule
from schemas.limits import MessageLimits

T = TypeVar("T", LabelEvent, GpuEvent)
Placed = list[tuple[int, int, T]]
"""Events with their message and row."""

_MAX_TIME_US = (1 << 63) - 1
MAX_GPU = (1 << 31) - 1
"""Of a GPU's number on its host, and of an XID."""
_LARGEST_INTEGER = 1 << 64
label_decoder = msgspec.json.Decoder(LabelEvent)
_GPU = GpuDecoder()


class _Mark(msgspec.Struct):
    """Distinguishes an envelope from an event."""

    specversion: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_MARK = msgspec.json.Decoder(_Mark)


def decode_labels(
    chunk: Chunk,
    max_skew_us: Mapping[Key, int] | None = None,
    *,
    limits: MessageLimits | None = None,
    rules: Mapping[Key, LabelRule] | None = None,
) -> tuple[Placed[LabelEvent], tuple[Reject, ...]]:
    """Decode labels one by one: JSON, JSON arrays, structured CloudEvents.

    :func:`monitor.decode.labels.decode_label_batch` decodes them as columns; this is its
    reference, and reads what that leaves over.

    Parameters
    ----------
    max_skew_us : mapping of (tenant, model) to int, optional
        The models that are configured, and how far a label of each may be stamped ahead of
        its record time. Without it labels of any model are taken, up to the year 2255.
    rules : mapping of (tenant, model) to LabelRule, optional
        The same, and which labels each model accepts; in place of ``max_skew_us``.

    Returns
    -------
    (list of (message, row, LabelEvent), tuple of Reject)
        Both in source order. A label that is null or NaN is MISTYPED, and so is one with an
        empty id, which joins no prediction, an unknown class, and text where labels are numbers;
        UNKNOWN_MODEL and FUTURE as of predictions.

    Examples
    --------
    >>> from monitor.decode.chunk import chunk_of
    >>> text = b'{"id": "7", "model": "m", "time_us": 5, "label": 1}'
    >>> [(m, r, e.id, e.label) for m, r, e in decode_labels(chunk_of([text], "f"))[0]]
    [(0, 0, '7', 1.0)]
    """

    if rules is None and max_skew_us is not None:
        rules = {key: LabelRule(skew_us) for key, skew_us in max_skew_us.items()}
    check = partial(check_label, rules=rules)
    return _decode(chunk, label_decoder, check, limits or MessageLimits())


def check_label(event: LabelEvent, record_us: int, rules: Mapping[Key, LabelRule] | None) -> None:
    """Refuse a label that the rule of its model does not accept.

    Raises
    ------
    RefusedEvent
        UNKNOWN_MODEL, MISTYPED with the name of the field, or FUTURE.
    """
    key = (event.tenant, event.model)
    if rules is not None and key not in rules:
        raise RefusedEvent(RejectReason.UNKNOWN_MODEL, unknown_model(key), key)
    if is_receipt(event.id):
        try:
            open_receipt(event)
        except ValueError as error:
            raise RefusedEvent(RejectReason.MISTYPED, f"{error} - at `$.id`", key) from None
    if not event.id:
        raise RefusedEvent(RejectReason.MISTYPED, EMPTY_ID, key)
    rule = None if rules is None else rules[key]
    skew_us = None if rule is None else rule.max_skew_us
    for name, time_us in (("time_us", event.time_us), _prediction_time(event)):
        _check_unit(time_us, record_us, key, name)
        _check_skew(time_us, record_us, skew_us, key, name)
    try:
        event.label = (rule or _ANY_LABEL).accepted(event.label)
    except ValueError as error:
        raise RefusedEvent(RejectReason.MISTYPED, f"{error} - at `$.label`", key) from None


EMPTY_ID = "Expected a text - at `$.id`, which is empty"
_ANY_LABEL = LabelRule(0)


def unknown_model(key: Key) -> str:
    """Return the detail of an event of a model that is not configured."""
    return f"no model {key[1]!r} of tenant {key[0]!r} is configured"


def _prediction_time(event: LabelEvent) -> tuple[str, int]:
    """Return the time of the prediction that a label carries; else its own time again."""
    name, time_us = "prediction_time_us", event.prediction_time_us
    if time_us is None:
        return "time_us", event.time_us
    if not 0 <= time_us <= _MAX_TIME_US:
        raise _out_of_range(name, time_us, (event.tenant, event.model))
    return name, time_us


def _out_of_range(name: str, time_us: int, key: Key) -> RefusedEvent:
    """Return why a time outside of int64 or before 1970 is refused."""
    detail = f"Expected an int64 >= 0, got {str(time_us)[:40]} - at `$.{name}`"
    return RefusedEvent(RejectReason.MISTYPED, detail, key)


def decode_gpu(
    chunk: Chunk,
    max_skew_us: int | None = None,
    *,
    has_signs: bool = False,
    limits: MessageLimits | None = None,
) -> tuple[Placed[GpuEvent], tuple[Reject, ...]]:
    """Decode GPU telemetry: JSON, JSON arrays, structured CloudEvents.

    Parameters
    ----------
    max_skew_us : int, optional
        How far an event may be stamped ahead of its record time; without it, or where a
        message has no record time, any time up to the year 2255 is taken.
    has_probes : bool
        Whether host activity is among the events; it measures nothing.

    Returns
    -------
    (list of (message, row, GpuEvent), tuple of Reject)
        Both in source order. A field that holds no value is None, see
        :mod:`monitor.decode.gpu_values`. An event stamped
        too far ahead is a reject with the reason FUTURE.

    Examples
    --------
    >>> from monitor.decode.chunk import chunk_of
    >>> text = b'{"host": "h", "gpu_uuid": "g", "time_us": 5, "fields": {"gpu_temp": NaN}}'
    >>> decode_gpu(chunk_of([text], "f"))[0][0][2].fields
    {'gpu_temp': None}
    """

    def check(event: GpuEvent, record_us: int) -> None:
        _check_unit(event.time_us, record_us, (event.tenant, ""))
        _check_skew(event.time_us, record_us, max_skew_us, (event.tenant, ""))
        check_gpu(event)

    events, rejects = _decode(chunk, _GPU, check, limits or MessageLimits())
    if not has_signs:
        events = [placed for placed in events if not placed[2].is_host_activity]
    return events, rejects


def check_gpu(event: GpuEvent) -> None:
    """Refuse numbers and names that no GPU has; a field beyond float64 is a blank.

    Raises
    ------
    RefusedEvent
        MISTYPED, with the name of the field.
    """
    for name, limit in (("gpu", MAX_GPU), ("xid", MAX_GPU), ("xid_sequence", _MAX_TIME_US)):
        value = getattr(event, name)
        if value is not None and abs(value) > limit:
            detail = f"Expected at most {limit}, got {str(value)[:40]} - at `$.{name}`"
            raise RefusedEvent(RejectReason.MISTYPED, detail, (event.tenant, ""))
    for name in ("tenant", "host", "gpu_uuid", "gpu_model", "driver_version"):
        n_chars = len(getattr(event, name))
        if n_chars > MAX_VALUE_CHARS:
            detail = f"{n_chars} characters, and {MAX_VALUE_CHARS} are taken - at `$.{name}`"
            raise RefusedEvent(RejectReason.MISTYPED, detail)
    for name, value in event.fields.items():
        if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            event.fields[name] = None


def _check_unit(time_us: int, record_us: int, key: Key, name: str = "time_us") -> None:
    """Refuse a time of 1970 whose record was written later: it is in another unit."""
    if 0 <= time_us < EARLIEST_US <= record_us:
        what = f"{name} {time_us} lies in 1970 to 1973; microseconds are expected"
        raise RefusedEvent(RejectReason.MISTYPED, f"{what} - at `$.{name}`", key)


def _check_skew(
    time_us: int, record_us: int, max_skew_us: int | None, key: Key, name: str = "time_us"
) -> None:
    """Refuse a time further ahead of its record time than is allowed."""
    if time_us > FARTHEST_US:
        what = f"{name} {time_us} lies beyond the year 2255: is it in nanoseconds?"
    elif record_us < 0 or max_skew_us is None or time_us - record_us <= max_skew_us:
        return
    else:
        what = f"{name} is {(time_us - record_us) / 1e6:.0f} s ahead of the record time"
    raise RefusedEvent(RejectReason.FUTURE, what, key)


def _decode(
    chunk: Chunk, decoder: Any, check: Callable[[Any, int], None], limits: MessageLimits
) -> tuple[list[Any], tuple[Reject, ...]]:
    """Every message, and every row of those that are arrays."""
    units = messages_of(chunk)
    view = chunk.buffer.data
    spans = list(zip(units.starts.tolist(), units.ends.tolist(), strict=True))
    arrays = [
        m for m, (i, j) in enumerate(spans) if bytes(view[i:j]).lstrip(b" \t\r\n")[:1] == b"["
    ]
    rows, refused = rows_of(chunk, arrays, limits.max_rows)
    rejects = EventRejects(limits.max_letters)
    for message, fault in refused:
        rejects.add(message, 0, bytes(view[slice(*spans[message])]), fault)
    apart = np.ones(len(units), np.bool_)
    apart[arrays] = False
    every = joined_units(units.take(np.flatnonzero(apart)), rows)
    accepted = decode_units(chunk, every, decoder, check, rejects)
    return accepted, tuple(capped(rejects.found(), limits.max_letters))


def decode_units(
    chunk: Chunk,
    units: Units,
    decoder: Any,
    check: Callable[[Any, int], None],
    rejects: EventRejects,
) -> list[Any]:
    """Decode and check events one by one.

    Returns
    -------
    list of (message, row, event)
        Those that are accepted; the others are added to ``rejects``.
    """
    view = chunk.buffer.data
    columns = (units.message, units.row, units.starts, units.ends)
    accepted: list[Any] = []
    for message, row, start, end in zip(*(column.tolist() for column in columns), strict=True):
        payload = bytes(view[start:end])
        try:
            event = _decode_one(payload, decoder)
            check(event, int(chunk.record_time_us[message]))
            accepted.append((message, row, event))
        except Exception as error:  # whatever it is: one message must not end the stage
            fault = error if isinstance(error, RefusedEvent) else failure(error)
            rejects.add(message, row, payload, fault)
    return accepted


def check_time(event: GpuEvent | LabelEvent) -> None:
    """Refuse an event before 1970, or beyond int64.

    Raises
    ------
    RefusedEvent
        MISTYPED.
    """
    if not 0 <= event.time_us <= _MAX_TIME_US:
        raise _out_of_range("time_us", event.time_us, (event.tenant, getattr(event, "model", "")))


def _decode_one(payload: bytes, decoder: Any) -> Any:
    """One event, out of its envelope if it has one."""
    if len(payload) > MAX_EVENT_BYTES:
        detail = f"{len(payload)} bytes, and {MAX_EVENT_BYTES} are taken"
        raise RefusedEvent(RejectReason.OVERSIZED, detail)
    try:
        mark = _MARK.decode(payload)
    except DECODE_ERRORS as error:
        if has_bare_tokens(payload) and (clean := nulled(payload)) != payload:
            return _decode_one(clean, decoder)
        raise refusal(error) from None
    if mark.specversion is not msgspec.UNSET:
        payload = open_envelope(payload)[0]
    try:
        event = decoder.decode(payload)
    except DECODE_ERRORS as error:
        raise refusal(error) from None
    check_time(event)
    return event
