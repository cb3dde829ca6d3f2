"""Labels that were decoded as objects, as columns; and columns of several origins as one batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from schemas.batch import NULL_CODE, Float64Array, Int64Array, StringColumn
from schemas.events import LabelEvent
from schemas.labels import NO_TIME, LabelBatch, MapColumn


def batch_of_events(placed: Sequence[tuple[int, int, LabelEvent]]) -> LabelBatch:
    """Return labels with their message and row as columns.

    Examples
    --------
    >>> event = LabelEvent(id="7", model="m", time_us=5, label=1.0, scores={"a": 0.5})
    >>> batch = batch_of_events([(0, 0, event)])
    >>> batch.value.tolist(), batch.scores.keys.values, batch.is_complete.tolist()
    ([1.0], ['a'], [False])
    """
    events = [event for _, _, event in placed]
    ids = [event.id.encode() for event in events]
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    ends = np.cumsum(lengths)
    times = [e.prediction_time_us for e in events]
    return LabelBatch(
        message=np.array([m for m, _, _ in placed], np.int64),
        row=np.array([row for _, row, _ in placed], np.int64),
        time_us=np.array([e.time_us for e in events], np.int64),
        tenant=coded(e.tenant for e in events),
        model=coded(e.model for e in events),
        id_spans=np.stack((ends - lengths, lengths), axis=1),
        id_bytes=np.frombuffer(b"".join(ids), np.uint8),
        label=coded(e.label if isinstance(e.label, str) else None for e in events),
        value=_floats([None if isinstance(e.label, str) else e.label for e in events]),
        prediction_time_us=np.array([NO_TIME if t is None else t for t in times], np.int64),
        model_version=coded(e.model_version for e in events),
        score=_floats([e.score for e in events]),
        scores=_map(
            [e.scores for e in events], _floats([v for e in events for v in e.scores.values()])
        ),
        prediction=coded(e.prediction for e in events),
        segments=_map(
            [e.segments for e in events], coded(v for e in events for v in e.segments.values())
        ),
        group=coded(e.group for e in events),
        host=coded(e.host for e in events),
        gpu_uuid=coded(e.gpu_uuid for e in events),
    )


def coded(texts: Iterable[str | None]) -> StringColumn:
    """Return texts dictionary-coded, the values in order of first occurrence.

    Examples
    --------
    >>> coded(["b", None, "b"]).codes.tolist()
    [0, -1, 0]
    """
    known: dict[str, int] = {}
    codes = [NULL_CODE if t is None else known.setdefault(t, len(known)) for t in texts]
    return StringColumn(np.array(codes, np.int32), list(known))


def merged(parts: Sequence[LabelBatch]) -> LabelBatch:
    """Return labels of one chunk in source order.

    Parameters
    ----------
    parts : sequence of LabelBatch
        At least one.
    """
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.id_bytes) for part in parts)])
    moved = [
        part.id_spans + np.array([start, 0]) for part, start in zip(parts, starts, strict=False)
    ]
    columns = {
        field.name: _joined([getattr(part, field.name) for part in parts])
        for field in fields(LabelBatch)
    }
    columns["id_spans"] = np.concatenate(moved)
    batch = LabelBatch(**columns)
    return taken(batch, np.lexsort((batch.row, batch.message)))


def taken(batch: LabelBatch, rows: Int64Array) -> LabelBatch:
    """Return the rows given, in this order."""
    columns = {
        field.name: _rows_of(getattr(batch, field.name), rows) for field in fields(LabelBatch)
    }
    return LabelBatch(**{**columns, "id_bytes": batch.id_bytes})


def _floats(values: Sequence[float | None]) -> Float64Array:
    """Return numbers; None becomes NaN."""
    return np.array(values, np.float64)


def _map(maps: Sequence[Mapping[str, object]], values: StringColumn | Float64Array) -> MapColumn:
    """Return maps as one column, with their values, flattened."""
    offsets = np.cumsum([0, *map(len, maps)]).astype(np.int32)
    return MapColumn(offsets, coded(name for one in maps for name in one), values)


def _joined(columns: Sequence[Any]) -> Any:
    """Concatenate columns of one kind."""
    if isinstance(columns[0], StringColumn):
        return _joined_texts(columns)
    if isinstance(columns[0], MapColumn):
        starts = np.cumsum([0, *(column.offsets[-1] for column in columns)])
        moved = [c.offsets[1:] + s for c, s in zip(columns, starts, strict=False)]
        return MapColumn(
            np.concatenate([[0], *moved]).astype(np.int32),
            _joined_texts([column.keys for column in columns]),
            _joined([column.values for column in columns]),
        )
    return np.concatenate(columns)


def _joined_texts(columns: Sequence[StringColumn]) -> StringColumn:
    """Concatenate dictionary-coded texts under one dictionary."""
    known: dict[str, int] = {}
    codes = []
    for column in columns:
        places = [known.setdefault(text, len(known)) for text in column.values]
        codes.append(np.array([*places, NULL_CODE], np.int32)[column.codes])
    return StringColumn(np.concatenate(codes), list(known))


def _rows_of(column: Any, rows: Int64Array) -> Any:
    """Return rows of one column."""
    if isinstance(column, StringColumn):
        return StringColumn(column.codes[rows], column.values)
    if isinstance(column, MapColumn):
        lengths = np.diff(column.offsets)[rows]
        ends = np.cumsum(lengths)
        entries = np.arange(int(lengths.sum())) + np.repeat(
            column.offsets[:-1][rows] - (ends - lengths), lengths
        )
        offsets = np.concatenate(([0], ends)).astype(np.int32)
        return MapColumn(offsets, _rows_of(column.keys, entries), _rows_of(column.values, entries))
    return column[rows]
