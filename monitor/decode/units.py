"""Events to decode, one by one, wherever they stand in a chunk's buffer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.decode.rows import MAX_ROWS, split_array
from monitor.decode.strict import RefusedEvent
from schemas.batch import Chunk, Int64Array
from schemas.events import RejectReason


@dataclass(frozen=True, slots=True)
class Units:
    """Events by place and span; all arrays contiguous, ``ends`` not decreasing."""

    message: Int64Array
    row: Int64Array
    starts: Int64Array
    ends: Int64Array

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, index: Int64Array) -> Units:
        """Return some of the events."""
        return Units(self.message[index], self.row[index], self.starts[index], self.ends[index])


def joined_units(first: Units, second: Units) -> Units:
    """Return the events of both in source order."""
    if not len(first) or not len(second):
        return first if len(first) else second
    columns = [
        np.concatenate([getattr(first, name), getattr(second, name)])
        for name in ("message", "row", "starts", "ends")
    ]
    order = np.lexsort((columns[1], columns[0]))
    return Units(*(np.ascontiguousarray(column[order]) for column in columns))


def messages_of(chunk: Chunk) -> Units:
    """Each message as one event."""
    n = len(chunk)
    offsets = np.ascontiguousarray(chunk.offsets, dtype=np.int64)
    message = np.arange(n, dtype=np.int64)
    return Units(message, np.zeros(n, dtype=np.int64), offsets[:-1], offsets[1:])


def rows_of(
    chunk: Chunk, arrays: list[int], max_rows: int = MAX_ROWS
) -> tuple[Units, list[tuple[int, RefusedEvent]]]:
    """Elements of the messages that are JSON arrays, and the messages that are refused whole."""
    refused: list[tuple[int, RefusedEvent]] = []
    found: list[Int64Array] = []
    messages: list[Int64Array] = []
    for message in arrays:
        start, end = int(chunk.offsets[message]), int(chunk.offsets[message + 1])
        try:
            spans = split_array(chunk.buffer, start, end, max_rows)
        except RefusedEvent as fault:
            refused.append((message, fault))
            continue
        if spans is None:
            detail = "the array's brackets do not match"
            refused.append((message, RefusedEvent(RejectReason.MALFORMED, detail)))
        else:
            found.append(spans)
            messages.append(np.full(len(spans), message, dtype=np.int64))
    spans = np.concatenate([*found, np.empty((0, 2), dtype=np.int64)])
    rows = [np.arange(len(s), dtype=np.int64) for s in found]
    units = Units(
        np.concatenate([*messages, np.empty(0, dtype=np.int64)]),
        np.concatenate([*rows, np.empty(0, dtype=np.int64)]),
        np.ascontiguousarray(spans[:, 0]),
        np.ascontiguousarray(spans[:, 1]),
    )
    return units, refused
