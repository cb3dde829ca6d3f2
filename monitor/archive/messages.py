"""Messages of the archived topics, and how a range of them becomes rows.

Values are MessagePack of the structs in ``schemas``: one struct, or a list of them.
A delivery may be accompanied: ``[Delivery, Notification]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from monitor.archive.blocks import Place, PlacedRows
from monitor.core.bounds import DECODE_ERRORS
from monitor.core.topics import ALERTS, DEAD_LETTERS, LATE, NOTIFICATIONS, RESULTS
from monitor.core.unreadable import unreadable_letter
from monitor.storage.rows import (
    alert_rows,
    dead_letter_rows,
    delivery_rows,
    late_rows,
    result_rows,
)
from monitor.transport.types import Message
from schemas.alerts import Alert, Delivery, Notification
from schemas.refused import DeadLetter, LateEvent
from schemas.results import DetectorResult


@dataclass(frozen=True, slots=True)
class TopicRows:
    """How the values of one topic become rows of one table."""

    table: str
    decoder: msgspec.msgpack.Decoder[Any]
    to_rows: Callable[[list[Any]], pa.Table]


def _delivery_pairs(items: Iterable[Any]) -> pa.Table:
    """Accept bare deliveries and accompanied ones."""
    pairs = [(item, None) if isinstance(item, Delivery) else item for item in items]
    return delivery_rows(pairs)


def _one_or_many(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind | list[kind])


STRUCT_TOPICS = {
    RESULTS: TopicRows("results", _one_or_many(DetectorResult), result_rows),
    ALERTS: TopicRows("alerts", _one_or_many(Alert), alert_rows),
    NOTIFICATIONS: TopicRows(
        "notifications",
        msgspec.msgpack.Decoder(Delivery | tuple[Delivery, Notification | None]),
        _delivery_pairs,
    ),
    DEAD_LETTERS: TopicRows("dead_letters", _one_or_many(DeadLetter), dead_letter_rows),
    LATE: TopicRows("late", _one_or_many(LateEvent), late_rows),
}
"""Topic name -> its table."""


def struct_rows(
    topic: TopicRows, messages: Sequence[Message], place: Place
) -> tuple[PlacedRows, list[DeadLetter]]:
    """Decode messages into rows; what cannot be read becomes a dead letter.

    Parameters
    ----------
    messages : sequence of Message
        A tombstone, which has no bytes, is passed over.
    place : Place
        Goes into the dead letters.

    Returns
    -------
    rows : PlacedRows
    refused : list of DeadLetter
        One unreadable message must not stop the archive for good.

    Examples
    --------
    >>> rows, refused = struct_rows(STRUCT_TOPICS[LATE], [], Place("t", 0))
    >>> len(rows), refused
    (0, [])
    """
    accepted: list[tuple[Message, list[Any]]] = []
    refused = []
    for message in messages:
        if not message.value:
            continue
        try:
            value = topic.decoder.decode(message.value)
        except DECODE_ERRORS as error:
            refused.append(refuse(message, place, str(error)))
        else:
            accepted.append((message, value if isinstance(value, list) else [value]))
    try:
        return _placed(topic, accepted), refused
    except (OverflowError, pa.ArrowException):
        return _placed(topic, _fitting(topic, accepted, refused, place)), refused


def _placed(topic: TopicRows, accepted: Sequence[tuple[Message, list[Any]]]) -> PlacedRows:
    """Make the rows, and remember whose they are."""
    sizes = [len(items) for _, items in accepted]
    offsets = np.array([message.offset for message, _ in accepted], np.int64)
    numbers = [np.arange(n, dtype=np.int64) for n in sizes]
    return PlacedRows(
        topic.table,
        topic.to_rows([item for _, items in accepted for item in items]),
        np.repeat(offsets, sizes),
        np.concatenate([np.zeros(0, np.int64), *numbers]),
    )


def _fitting(
    topic: TopicRows,
    accepted: Sequence[tuple[Message, list[Any]]],
    refused: list[DeadLetter],
    place: Place,
) -> list[tuple[Message, list[Any]]]:
    """Find the messages that decode and fit no column: an integer beyond int64."""
    fitting = []
    for message, items in accepted:
        try:
            topic.to_rows(items)
        except (OverflowError, pa.ArrowException) as error:
            refused.append(refuse(message, place, str(error)))
        else:
            fitting.append((message, items))
    return fitting


def refuse(message: Message, place: Place, detail: str) -> DeadLetter:
    """Return the dead letter of one message of one of our own topics."""
    return unreadable_letter(
        message.value,
        detail,
        source=place.source,
        partition=place.partition,
        offset=message.offset,
        record_time_us=message.timestamp_us,
    )
