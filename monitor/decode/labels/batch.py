"""Labels, many at a time, as columns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from monitor.decode.arrow.ipc_sizes import StreamSizes, stream_sizes
from monitor.decode.dictionaries import HAS_KERNELS
from monitor.decode.labels.fast import fast_labels
from monitor.decode.labels.objects import batch_of_events, merged, taken
from monitor.decode.labels.suspects import suspects
from monitor.decode.records import check_label, decode_units, label_decoder
from monitor.decode.reject_cap import EventRejects, capped
from monitor.decode.strict import Key
from monitor.decode.units import Units, joined_units, messages_of, rows_of
from monitor.decode.work import ARROW_MARK
from schemas.batch import Chunk, Int64Array, Uint8Array
from schemas.events import Reject
from schemas.labels import LabelBatch, LabelRule
from schemas.limits import MessageLimits

_ARRAY = ord("[")
_BLANKS = np.frombuffer(b" \t\r\n", np.uint8)


def decode_label_batch(
    chunk: Chunk,
    rules: Mapping[Key, LabelRule] | None = None,
    *,
    limits: MessageLimits | None = None,
) -> tuple[LabelBatch, tuple[Reject, ...]]:
    """Decode labels: JSON, JSON arrays, structured CloudEvents, Arrow IPC streams.

    Parameters
    ----------
    rules : mapping of (tenant, model) to LabelRule, optional
        The models that are configured, and which labels each accepts; without it labels of any
        model are taken, up to the year 2255.

    Returns
    -------
    (LabelBatch, tuple of Reject)
        Both in source order; what is refused, and why, as by
        :func:`monitor.decode.records.decode_labels`.

    Notes
    -----
    A kernel takes the events it is certain of, without an object per event; what it leaves, and
    what does not fit its model's rule, is decoded one by one.
    """
    limits = limits or MessageLimits()
    rejects = EventRejects(limits.max_letters)
    messages = messages_of(chunk)
    first = _first_bytes(chunk, messages)
    is_stream = _are_streams(chunk, messages, first)
    parts = _streams(chunk, np.flatnonzero(is_stream), rules, limits, rejects)
    units = _units(chunk, messages, is_stream, first == _ARRAY, limits, rejects)
    is_left: NDArray[np.bool_] = np.ones(len(units), np.bool_)
    if HAS_KERNELS and len(units):
        found = fast_labels(np.ascontiguousarray(chunk.buffer), units)
        recorded_us = chunk.record_time_us[units.message]
        is_left = ~found.is_taken | suspects(found.batch, recorded_us, rules)
        parts.append(taken(found.batch, np.flatnonzero(~is_left)) if is_left.any() else found.batch)
    if is_left.any() or not parts:
        rest = units.take(np.flatnonzero(is_left))
        check = partial(check_label, rules=rules)
        placed = decode_units(chunk, rest, label_decoder, check, rejects)
        parts.append(batch_of_events(placed))
    return merged(parts), tuple(capped(rejects.found(), limits.max_letters))


def _streams(
    chunk: Chunk,
    messages: Int64Array,
    rules: Mapping[Key, LabelRule] | None,
    limits: MessageLimits,
    rejects: EventRejects,
) -> list[LabelBatch]:
    """Decode the messages that are Arrow streams."""
    if not len(messages):
        return []
    from monitor.decode.labels.arrow import labels_of_stream

    starts, ends = chunk.offsets[messages], chunk.offsets[messages + 1]
    sizes = stream_sizes(chunk.buffer, starts, ends).tolist()
    parts: list[LabelBatch] = []
    for message, start, end, declared in zip(
        messages.tolist(), starts.tolist(), ends.tolist(), sizes, strict=True
    ):
        payload, record_us = chunk.buffer[start:end].tobytes(), int(chunk.record_time_us[message])
        size = StreamSizes(*declared)
        parts += labels_of_stream(message, payload, size, record_us, rules, limits, rejects)
    return parts


def _units(
    chunk: Chunk,
    messages: Units,
    is_stream: NDArray[np.bool_],
    is_array: NDArray[np.bool_],
    limits: MessageLimits,
    rejects: EventRejects,
) -> Units:
    """Return the JSON events of a chunk in source order; arrays refused whole are rejects."""
    if not is_array.any():
        return messages.take(np.flatnonzero(~is_stream)) if is_stream.any() else messages
    rows, refused = rows_of(chunk, np.flatnonzero(is_array).tolist(), limits.max_rows)
    for message, fault in refused:
        start, end = int(chunk.offsets[message]), int(chunk.offsets[message + 1])
        rejects.add(message, 0, chunk.buffer[start:end].tobytes(), fault)
    return joined_units(messages.take(np.flatnonzero(~is_array & ~is_stream)), rows)


def _are_streams(chunk: Chunk, messages: Units, first: Uint8Array) -> NDArray[np.bool_]:
    """Return which messages begin as Arrow streams do."""
    found: NDArray[np.bool_] = first == ARROW_MARK[0]
    for message in np.flatnonzero(found).tolist():
        start, end = int(messages.starts[message]), int(messages.ends[message])
        found[message] = chunk.buffer[start:end][: len(ARROW_MARK)].tobytes() == ARROW_MARK
    return found


def _first_bytes(chunk: Chunk, messages: Units) -> Uint8Array:
    """Return the first byte of each message that is no blank; 0 where there is none."""
    first = np.zeros(len(messages), np.uint8)
    has_bytes = messages.starts < messages.ends
    first[has_bytes] = chunk.buffer[messages.starts[has_bytes]]
    for message in np.flatnonzero(has_bytes & np.isin(first, _BLANKS)).tolist():
        start, end = int(messages.starts[message]), int(messages.ends[message])
        bare = chunk.buffer[start:end].tobytes().lstrip(b" \t\r\n")
        first[message] = bare[0] if bare else 0
    return first
