"""Encodes predictions as one Arrow stream, which takes an eighth of the decoding of JSON.

Texts are dictionary-encoded: a name that every row has is sent and looked up once. Against
plain columns that is 15 % less to send and a fifth to a third less to decode.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import msgspec

from driftline.wire import PredictionEvent

_NAMES = {
    field.name: field.default
    for field in msgspec.structs.fields(PredictionEvent)
    if field.name in ("model", "tenant", "model_version", "prediction", "host", "gpu_uuid")
}
"""Text fields whose values repeat, and their defaults."""


_EXACT = 1 << 53
"""Integers up to this one are exact as float64."""


def arrow_stream(events: Sequence[PredictionEvent]) -> bytes | None:
    """Encode events as an Arrow IPC stream of one record batch.

    Returns
    -------
    bytes or None
        None if pyarrow is not installed, or if a feature is text in one event and a
        number in another; JSON can hold both.
    """
    try:
        # Imported here: services that send JSON neither load nor need it.
        pa: Any = importlib.import_module("pyarrow")
        batch = pa.RecordBatch.from_pydict(_columns(pa, events))
    except (ImportError, ValueError, TypeError, OverflowError):
        return None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _columns(pa: Any, events: Sequence[PredictionEvent]) -> dict[str, Any]:
    """Return the columns of events; a feature that an event lacks is null in its row."""
    columns = {"time_us": pa.array([event.time_us for event in events], pa.int64())}
    columns["score"] = pa.array([event.score for event in events], pa.float64())
    columns["id"] = pa.array([event.id for event in events], pa.string())
    for name, default in _NAMES.items():
        values = [getattr(event, name) for event in events]
        if any(value != default for value in values):  # as in JSON, where defaults are left out
            columns[name] = pa.array(values, _texts(pa))
    for field in ("features", "segments"):
        names = dict.fromkeys(name for event in events for name in getattr(event, field))
        for name in names:
            values = [getattr(event, field).get(name) for event in events]
            columns[f"{field}.{name}"] = _column(pa, values)
    return columns


def _column(pa: Any, values: list[Any]) -> Any:
    """Return a column of one type; integers mixed with floats become floats."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        if any(type(value) is int and abs(value) > _EXACT for value in values):
            raise TypeError("integers beyond 2^53 mixed with floats")
        return pa.array([None if value is None else float(value) for value in values])
    if bool in kinds and len(kinds) > 1:
        raise TypeError("booleans mixed with other values")
    # A column without a value has no type that a reader could rely on.
    return pa.array(values) if kinds - {str} else pa.array(values, _texts(pa))


def _texts(pa: Any) -> Any:
    """Return the dictionary type for texts that repeat."""
    return pa.dictionary(pa.int32(), pa.string())
