"""Converts results, alerts and other small objects to Arrow tables with the store's columns.

Events, of which there are millions, are converted by column: see ``monitor.storage.event_columns``.
All functions are pure; rows keep their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET

from schemas.actions import Action
from schemas.alerts import Alert, Delivery, Notification
from schemas.detectable import DetectableRow
from schemas.events import GpuEvent
from schemas.refused import DeadLetter, LateEvent
from schemas.results import DetectorResult
from schemas.slice_hints import HintSlice, SliceHint

_TEXT = pa.string()
_INT = pa.int64()
_FLOAT = pa.float64()
_NUMBERS = pa.map_(_TEXT, _FLOAT)


def _schema(text: str = "", ints: str = "", floats: str = "", **others: pa.DataType) -> pa.Schema:
    """Build a schema from column names by type."""
    fields = [(name, _TEXT) for name in text.split()]
    fields += [(name, _INT) for name in ints.split()]
    fields += [(name, _FLOAT) for name in floats.split()]
    return pa.schema([*fields, *others.items()])


RESULTS = _schema(
    "tenant monitor model model_version profile_id feature segment metric effect_where rung "
    "verdict reason closed_by component context",
    "window_us start_us end_us n n_reference result_version rule onset_us onset_low_us "
    "onset_high_us",
    "statistic p_value evidence effect_size threshold minimum_detectable_effect eps phi scale_s "
    "natural_sd",
    revised=pa.bool_(),
)
ALERTS = _schema(
    "alert_id tenant monitor transition severity title model model_version feature segment "
    "importance host gpu_uuid rule action effect_where rung profile_id",
    "time_us opened_at_us sequence window_start_us window_end_us n_windows n n_reference",
    "evidence threshold effect_size p_reference p_current minimum_detectable_effect p_absent "
    "p_null",
    reference_counts=pa.list_(_INT),
    current_counts=pa.list_(_INT),
    bin_labels=pa.list_(_TEXT),
    contributions=_NUMBERS,
    onset_us=_INT,
    onset_low_us=_INT,
    onset_high_us=_INT,
    new_values=_NUMBERS,
    seen_range=pa.list_(_FLOAT),
    baseline_range=pa.list_(_FLOAT),
)
DELIVERIES = _schema(
    "notification_id receiver state detail dedup_key kind reason tenant incident_id cause "
    "severity title",
    "time_us attempts opened_at_us",
    alert_ids=pa.list_(_TEXT),
)
DEAD_LETTERS = _schema(
    "source reason detail sha256 tenant model",
    "offset row record_time_us n_bytes",
    partition=pa.int32(),
    payload=pa.binary(),
)
LATE = _schema("source tenant model", "offset row time_us watermark_us", partition=pa.int32())
DETECTABLE = _schema(
    "tenant model model_version profile_id feature segment",
    "time_us horizon_s",
    "shift_sd missing category average_s natural_sd",
    is_natural=pa.bool_(),
)
SLICE_HINTS = _schema(
    "tenant model model_version kind alert_id feature segment effect_where reason",
    "time_us since_us n_before n_since n_tested",
    "phi",
    left_out=pa.list_(_TEXT),
    slices=pa.list_(_TEXT),
    **dict.fromkeys(
        ("change_shares", "row_shares", "p_before", "p_since", "p_values"), pa.list_(_FLOAT)
    ),
)
_OF_SLICES: Final = dict(
    zip(
        HintSlice._fields,
        ("slices", "change_shares", "row_shares", "p_before", "p_since", "p_values"),
        strict=True,
    )
)
"""Fields of the slices of a hint, and their columns."""
ACTIONS = _schema("action_id kind label by incident_id tenant model comment", "time_us")
GPU = _schema(
    "tenant host gpu_uuid gpu_model driver_version", "time_us gpu xid xid_sequence", fields=_NUMBERS
)


UNSET_VALUES: Final[Mapping[str, int | str | tuple[()] | None]] = {
    "rule": 1,
    "component": "",
    "context": "",
    **dict.fromkeys(("scale_s", "natural_sd", "onset_us", "onset_low_us", "onset_high_us")),
    **dict.fromkeys(("p_absent", "p_null")),
    **dict.fromkeys(("new_values", "seen_range", "baseline_range"), ()),
}
"""Fields that may be unset, and their value in the store; None is NULL."""


def result_rows(results: Sequence[DetectorResult]) -> pa.Table:
    """Return rows of table ``results``; NaN becomes NULL, because one NaN makes an average NaN.

    Returns
    -------
    pyarrow.Table

    Examples
    --------
    >>> result_rows([]).num_rows
    0
    """
    return _struct_rows(results, RESULTS)


def alert_rows(alerts: Sequence[Alert]) -> pa.Table:
    """Return rows of table ``alerts``.

    Examples
    --------
    >>> alert_rows([]).column_names[:2]
    ['alert_id', 'tenant']
    """
    return _struct_rows(alerts, ALERTS)


def dead_letter_rows(letters: Sequence[DeadLetter]) -> pa.Table:
    """Return rows of table ``dead_letters``; the payload is binary.

    Examples
    --------
    >>> dead_letter_rows([]).num_rows
    0
    """
    return _struct_rows(letters, DEAD_LETTERS)


def late_rows(events: Sequence[LateEvent]) -> pa.Table:
    """Return rows of table ``late``.

    Examples
    --------
    >>> late_rows([]).num_rows
    0
    """
    return _struct_rows(events, LATE)


def detectable_rows(rows: Sequence[DetectableRow]) -> pa.Table:
    """Return rows of table ``detectable``.

    Examples
    --------
    >>> detectable_rows([]).num_rows
    0
    """
    return _struct_rows(rows, DETECTABLE)


def slice_hint_rows(hints: Sequence[SliceHint]) -> pa.Table:
    """Return rows of table ``slice_hints``.

    Examples
    --------
    >>> slice_hint_rows([]).num_rows
    0
    """
    rows = [
        {name: getattr(hint, name) for name in hint.__struct_fields__ if name != "slices"}
        | {
            column: [getattr(one, name) for one in hint.slices]
            for name, column in _OF_SLICES.items()
        }
        for hint in hints
    ]
    return pa.Table.from_pylist(rows, schema=SLICE_HINTS)


def slice_hint_of(row: Mapping[str, Any]) -> SliceHint:
    """Return the hint of a row of table ``slice_hints``; the inverse of the above."""
    own = {name: row[name] for name in SliceHint.__struct_fields__ if name != "slices"}
    columns = [row[column] for column in _OF_SLICES.values()]
    slices = [HintSlice(*values) for values in zip(*columns, strict=True)]
    return msgspec.convert(own | {"slices": slices}, SliceHint)


def action_rows(actions: Sequence[Action]) -> pa.Table:
    """Return rows of table ``actions``.

    Examples
    --------
    >>> action_rows([]).num_rows
    0
    """
    return _struct_rows(actions, ACTIONS)


def delivery_rows(deliveries: Iterable[tuple[Delivery, Notification | None]]) -> pa.Table:
    """Return rows of table ``notifications``: one per step of a delivery.

    Parameters
    ----------
    deliveries : iterable of (Delivery, Notification or None)
        With None the columns of the notification are empty.

    Examples
    --------
    >>> step = Delivery(notification_id="n", receiver="console", state="done", time_us=1)
    >>> delivery_rows([(step, None)]).to_pylist()[0]["state"]
    'done'
    """
    return pa.Table.from_pylist(
        [_delivery_row(delivery, sent) for delivery, sent in deliveries], schema=DELIVERIES
    )


def gpu_rows(events: Sequence[GpuEvent]) -> pa.Table:
    """Return rows of table ``gpu``.

    Examples
    --------
    >>> event = GpuEvent(host="h", gpu_uuid="GPU-1", time_us=1, fields={"gpu_temp": 40})
    >>> gpu_rows([event]).to_pylist()[0]["fields"]
    [('gpu_temp', 40.0)]
    """
    columns = [
        _telemetry(events) if field.name == "fields" else _column(events, field) for field in GPU
    ]
    return pa.Table.from_arrays(columns, schema=GPU)


def _telemetry(events: Sequence[GpuEvent]) -> pa.Array:
    """Return a map of the measurements per event; NaN becomes NULL."""
    names = [name for event in events for name in event.fields]
    values = [value for event in events for value in event.fields.values()]
    numbers = pa.array(np.array(values, np.float64), from_pandas=True)  # None becomes NaN
    offsets = np.cumsum([0, *(len(event.fields) for event in events)]).astype(np.int32)
    return pa.MapArray.from_arrays(pa.array(offsets), pa.array(names, _TEXT), numbers)


def _struct_rows(structs: Sequence[Any], schema: pa.Schema) -> pa.Table:
    """Build columns from the attributes with the schema's names.

    Notes
    -----
    A field that is not set gets the value of :data:`UNSET_VALUES`.

    Transposing structs as tuples takes a third of the time of reading each attribute.
    """
    if not structs:
        return schema.empty_table()
    turned = zip(*map(msgspec.structs.astuple, structs), strict=True)
    found = dict(zip(structs[0].__struct_fields__, turned, strict=True))
    for name, value in UNSET_VALUES.items():
        if UNSET in found.get(name, ()):
            found[name] = tuple(value if v is UNSET else v for v in found[name])
    columns = [_array(found[field.name], field) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(structs: Sequence[Any], field: pa.Field) -> pa.Array:
    """Return one attribute of every struct as a column; NaN becomes NULL."""
    return _array([getattr(struct, field.name) for struct in structs], field)


def _array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    """Return values as a column; NaN becomes NULL."""
    return pa.array(values, field.type, from_pandas=field.type == _FLOAT)


def _delivery_row(delivery: Delivery, sent: Notification | None) -> dict[str, Any]:
    """Return the columns of a delivery and its notification."""
    row: dict[str, Any] = dict.fromkeys(DELIVERIES.names, "")
    row |= {"opened_at_us": 0, "alert_ids": []}
    for name in ("notification_id", "receiver", "state", "time_us", "attempts", "detail"):
        row[name] = getattr(delivery, name)
    if sent is not None:
        incident = sent.incident
        row |= {"dedup_key": sent.dedup_key, "kind": sent.kind, "reason": sent.reason}
        row |= {"alert_ids": [alert.alert_id for alert in incident.alerts]}
        for name in ("tenant", "incident_id", "cause", "severity", "title", "opened_at_us"):
            row[name] = getattr(incident, name)
    return row
