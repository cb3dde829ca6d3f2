"""Columns of an Arrow record batch as those of a batch of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.decode.arrow.text_codes import codes_of_texts
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.labels import kernel
from schemas.batch import Float64Array, Int32Array, Int64Array, StringColumn
from schemas.events import DEFAULT_TENANT
from schemas.labels import NO_TIME, LabelBatch, MapColumn

REQUIRED = ("id", "model", "time_us", "label")
TIMES = ("time_us", "prediction_time_us")


class OddColumnError(Exception):
    """A column cannot be read as a whole."""


def columns_of(batch: pa.RecordBatch, message: int, first: int) -> LabelBatch:
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


def incomplete(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which rows lack a required value."""
    return (lacking(batch) > 0) | _negative(batch)


def lacking(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return which required values each row lacks, a bit for each; 0 where none."""
    masks = [batch.column(name).is_null().to_numpy(zero_copy_only=False) for name in REQUIRED]
    return np.packbits(np.stack(masks, axis=1), axis=1)[:, 0]


def _negative(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which rows have a time before 1970."""
    found = np.zeros(batch.num_rows, np.bool_)
    for name in TIMES:
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
        raise OddColumnError
    return codes_of_texts(column.cast(pa.large_string()), place, known)


def _times(column: pa.Array) -> Int64Array:
    """Return a column of times; ``NO_TIME`` for null."""
    if not pa.types.is_integer(column.type) and not pa.types.is_null(column.type):
        raise OddColumnError
    found: Int64Array = column.cast(pa.int64()).fill_null(NO_TIME).to_numpy()
    return found


def _floats(column: pa.Array) -> Float64Array:
    """Return a column of numbers; NaN for null."""
    if not _is_number(column) and not pa.types.is_null(column.type):
        raise OddColumnError
    cast = column.cast(pa.float64(), safe=False)
    found: Float64Array = cast.fill_null(np.nan).to_numpy()
    return found


def _finite(values: Float64Array) -> Float64Array:
    """Return numbers with NaN in place of infinities."""
    return np.where(np.isfinite(values), values, np.nan)


def _spans(column: pa.Array) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], Int64Array]:
    """Return the bytes of a column of texts, and start and length of each."""
    if not _is_text(column):
        raise OddColumnError
    column = column.cast(pa.large_string())
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    spans = np.stack((bounds[:-1], np.diff(bounds)), axis=1)
    # one byte more, so that there is something to look at where all ids are empty
    raw = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return np.append(raw, np.uint8(0)), spans


def _members(found: Mapping[str, pa.Array], name: str) -> dict[str, pa.Array]:
    """Return the columns of a struct and those named like its members, by member.

    Members of type null are left out: they take no bytes, so there may be any number of them.
    """
    members: dict[str, pa.Array] = {}
    struct = found.get(name)
    if struct is not None and not pa.types.is_null(struct.type):
        if not pa.types.is_struct(struct.type):
            raise OddColumnError
        for k in range(struct.type.num_fields):
            members[struct.type.field(k).name] = pc.struct_field(struct, [k])
    prefix = f"{name}."
    flat = {key.removeprefix(prefix): c for key, c in found.items() if key.startswith(prefix)}
    return {key: c for key, c in (members | flat).items() if not pa.types.is_null(c.type)}


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
