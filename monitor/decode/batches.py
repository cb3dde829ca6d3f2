"""Decoded columns of one chunk, and the event batches made of them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from msgspec import UnsetType

from driftline.canonical import category_of
from monitor.decode.columns import NAMES, Columns
from monitor.decode.dictionaries import Dictionaries
from schemas.batch import (
    ABSENT_BITS,
    ABSENT_CODE,
    NULL_CODE,
    Absent,
    EventBatch,
    Int32Array,
    Int64Array,
    MixedBatch,
    StringColumn,
    Uint8Array,
)

_AS_THEY_ARE = (str, UnsetType)
_OWN_VALUES = attrgetter("time_us", "score", *NAMES)

UNDECIDED, REJECTED = -1, -2
"""In ``Scratch.fits``; from 0 on, the number of the layout or of the strict path."""


class Scratch:
    """Columns for n events of any models, filled at the event's index by both paths.

    Shared by all models of a chunk, because an event has one model: its size does
    not depend on how many models are configured. A chunk of one model without
    rejects becomes a batch without copying.
    """

    def __init__(self, n: int, n_numbers: int, n_codes: int) -> None:
        self.fits: Int64Array = np.full(n, UNDECIDED, dtype=np.int64)
        self.time_us: Int64Array = np.empty(n, dtype=np.int64)
        self.numbers = np.empty((n_numbers, n), dtype=np.float64)
        self.codes = np.empty((n_codes, n), dtype=np.int32)
        self.ids: Int64Array = np.empty((n, 2), dtype=np.int64)
        self.lacks_number: Uint8Array = np.zeros(n_numbers, dtype=np.uint8)
        """Whether some event lacks a value in a column of ``numbers``."""
        self.lacks_code: Uint8Array = np.zeros(n_codes, dtype=np.uint8)

    def take_absent(self, codes: Sequence[Int32Array] | Int32Array, n_numbers: int) -> Absent:
        """Return what events lack; from now on their codes are those of null.

        Parameters
        ----------
        codes : sequence of ndarray of int32
            Categorical features of the events, which may share memory with ``self.codes``.
        """
        numbers = np.flatnonzero(self.lacks_number[:n_numbers]).tolist()
        categories = {}
        for c in np.flatnonzero(self.lacks_code[: len(codes)]).tolist():
            is_absent = codes[c] == ABSENT_CODE
            if is_absent.any():
                categories[c] = is_absent
                codes[c][is_absent] = NULL_CODE
        return Absent(tuple(numbers), categories)

    def fill(
        self, at: Sequence[int], events: Sequence[Any], columns: Columns, known: Dictionaries
    ) -> None:
        """Write strictly decoded events of one model, column by column.

        Row by row would cost four times as much.
        """
        index = np.array(at, dtype=np.int64)
        n = len(columns.numeric)
        features = list(zip(*(msgspec.structs.astuple(e.features) for e in events), strict=True))
        segments = zip(*(msgspec.structs.astuple(e.segments) for e in events), strict=True)
        time_us, score, *names = zip(*map(_OWN_VALUES, events), strict=True)
        self.time_us[index] = time_us
        numbers = np.array([*features[:n], score], dtype=np.float64)  # None becomes NaN
        self.numbers[: n + 1, index] = numbers
        self.lacks_number[: n + 1] |= (numbers.view(np.int64) == ABSENT_BITS).any(axis=1)
        texts = (list(map(text_of, column)) for column in (*features[n:], *segments, *names))
        codes = [
            known.encode(dictionary, strings)
            for dictionary, strings in zip(columns.dictionaries, texts, strict=True)
        ]
        self.codes[: len(codes), index] = codes
        for c in range(len(columns.categorical)):
            self.lacks_code[c] |= bool((codes[c] == ABSENT_CODE).any())


def text_of(value: str | float | bool | UnsetType | None) -> str | UnsetType | None:
    """The text of a categorical value; one that is text is put into its form by its dictionary.

    Examples
    --------
    >>> [text_of(v) for v in ("a", 12, 3.0, True, None)]
    ['a', '12', '3', 'true', None]
    """
    if value is None or isinstance(value, _AS_THEY_ARE):
        return value
    return category_of(value)


def batch_of(
    scratch: Scratch,
    rows: Int64Array | None,
    place: tuple[Int64Array, Int64Array],
    columns: Columns,
    known: Dictionaries,
    id_bytes: Uint8Array,
) -> EventBatch:
    """Make the batch of one model.

    Parameters
    ----------
    rows : ndarray of int64, or None
        The model's events; None for all, which copies nothing.
    place : (message, row)
        Place of every event of ``scratch`` in its chunk.

    Returns
    -------
    EventBatch
    """

    def of(column: Any) -> Any:
        return column if rows is None else column[rows]

    schema = columns.schema
    found = [of(scratch.codes[c]) for c in range(len(columns.dictionaries))]
    absent = scratch.take_absent(found[: len(columns.categorical)], columns.n_numeric)
    codes = [known.settled(d, c) for c, d in zip(found, columns.dictionaries, strict=True)]
    for name, column in columns.segments.items():
        if name in columns.categorical:
            codes[column] = either(codes[column], codes[columns.categorical[name]])
    strings = [
        StringColumn(c, known.values[d]) for c, d in zip(codes, columns.dictionaries, strict=True)
    ]
    first, following = len(schema.categorical), len(schema.categorical) + len(schema.segments)
    model_version, prediction, host, gpu_uuid = strings[following:]
    return EventBatch(
        schema=schema,
        message=of(place[0]),
        row=of(place[1]),
        time_us=of(scratch.time_us),
        numeric=tuple(of(scratch.numbers[c]) for c in range(len(columns.numeric))),
        categorical=tuple(strings[:first]),
        segments=tuple(strings[first:following]),
        score=of(scratch.numbers[columns.score]),
        model_version=model_version,
        prediction=prediction,
        host=host,
        gpu_uuid=gpu_uuid,
        id_spans=of(scratch.ids),
        id_bytes=id_bytes,
        absent=absent,
    )


def either(own: Int32Array, feature: Int32Array) -> Int32Array:
    """A segment's own codes, or where it names none the feature's."""
    is_absent = own < 0
    return feature if is_absent.all() else np.where(is_absent, feature, own)


def merge_batches(batches: Sequence[EventBatch]) -> EventBatch:
    """Join batches of one model and one chunk, in (message, row) order.

    Their string columns must share dictionaries, as those of one decoder do.
    """
    if len(batches) == 1:
        return batches[0]
    message = np.concatenate([b.message for b in batches])
    row = np.concatenate([b.row for b in batches])
    order = np.lexsort((row, message))

    def joined(get: Any) -> Any:
        return np.concatenate([get(b) for b in batches])[order]

    def strings(get: Any) -> StringColumn:
        return StringColumn(joined(lambda b: get(b).codes), get(batches[0]).values)

    id_spans, id_bytes = joined_ids(batches)
    first = batches[0]
    return EventBatch(
        schema=first.schema,
        message=message[order],
        row=row[order],
        time_us=joined(attrgetter("time_us")),
        numeric=tuple(joined(lambda b, i=i: b.numeric[i]) for i in range(len(first.numeric))),
        categorical=tuple(
            strings(lambda b, i=i: b.categorical[i]) for i in range(len(first.categorical))
        ),
        segments=tuple(strings(lambda b, i=i: b.segments[i]) for i in range(len(first.segments))),
        score=joined(attrgetter("score")),
        model_version=strings(attrgetter("model_version")),
        prediction=strings(attrgetter("prediction")),
        host=strings(attrgetter("host")),
        gpu_uuid=strings(attrgetter("gpu_uuid")),
        id_spans=id_spans[order],
        id_bytes=id_bytes,
        absent=Absent.joined([(len(b), b.absent) for b in batches]).take(order),
    )


def joined_ids(
    batches: Sequence[EventBatch] | Sequence[MixedBatch],
) -> tuple[Int64Array, Uint8Array]:
    """Spans into one buffer; buffers that are the same stay one."""
    buffers: list[Uint8Array] = []
    starts: list[int] = []
    spans = []
    for batch in batches:
        known = [s for b, s in zip(buffers, starts, strict=True) if b is batch.id_bytes]
        if not known:
            known = [sum(map(len, buffers))]
            buffers.append(batch.id_bytes)
            starts.append(known[0])
        shifted = batch.id_spans.copy()
        shifted[:, 0] += known[0]
        spans.append(shifted)
    return np.concatenate(spans), buffers[0] if len(buffers) == 1 else np.concatenate(buffers)
