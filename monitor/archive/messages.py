"""What stands in the archived topics, and how a range of it becomes rows.

Values are MessagePack of the structs in ``schemas``: one struct, or a list of them.
A delivery may be accompanied: ``[Delivery, Notification]``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import pyarrow as pa

from monitor.core.topics import ALERTS, DEAD_LETTERS, LATE, NOTIFICATIONS, RESULTS
from monitor.core.unreadable import unreadable_letter
from monitor.storage.rows import (
    alert_rows,
    dead_letter_rows,
    delivery_rows,
    late_rows,
    result_rows,
)
from schemas.alerts import Alert, Delivery, Notification
from schemas.refused import DeadLetter, LateEvent
from schemas.results import DetectorResult


class Message(Protocol):
    """One record of one partition."""

    @property
    def offset(self) -> int:
        """Its position."""
        ...

    @property
    def key(self) -> bytes:
        """Empty where it has none."""
        ...

    @property
    def value(self) -> bytes:
        """Its bytes."""
        ...

    @property
    def timestamp_us(self) -> int:
        """Record time; -1 where unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a range of messages was read."""

    source: str
    """Topic id."""
    partition: int


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
) -> tuple[pa.Table, list[DeadLetter]]:
    """Decode messages into rows; what cannot be read becomes a dead letter.

    Parameters
    ----------
    topic : TopicRows
    messages : sequence of Message
    place : Place
        Goes into the dead letters.

    Returns
    -------
    rows : pyarrow.Table
    refused : list of DeadLetter
        One unreadable message must not stop the archive for good.

    Examples
    --------
    >>> rows, refused = struct_rows(STRUCT_TOPICS[LATE], [], Place("t", 0))
    >>> rows.num_rows, refused
    (0, [])
    """
    accepted: list[tuple[Message, list[Any]]] = []
    refused = []
    for message in messages:
        try:
            value = topic.decoder.decode(message.value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            refused.append(refuse(message, place, str(error)))
        else:
            accepted.append((message, value if isinstance(value, list) else [value]))
    try:
        return topic.to_rows([item for _, items in accepted for item in items]), refused
    except (OverflowError, pa.ArrowException):
        return _rows_one_by_one(topic, accepted, refused, place)


def _rows_one_by_one(
    topic: TopicRows,
    accepted: Sequence[tuple[Message, list[Any]]],
    refused: list[DeadLetter],
    place: Place,
) -> tuple[pa.Table, list[DeadLetter]]:
    """Find the messages that decode and fit no column: an integer beyond int64."""
    fitting: list[Any] = []
    for message, items in accepted:
        try:
            topic.to_rows(items)
        except (OverflowError, pa.ArrowException) as error:
            refused.append(refuse(message, place, str(error)))
        else:
            fitting.extend(items)
    return topic.to_rows(fitting), refused


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
