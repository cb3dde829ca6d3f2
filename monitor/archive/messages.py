"""Messages of the archived topics, and how a range of them becomes rows.

Values are MessagePack of the structs in ``schemas``, one struct or a list of them; actions of
persons are JSON.
A delivery may be accompanied: ``[Delivery, Notification]``. Results may also be a table of
statistics, whose columns become those of the store without an object for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
import pyarrow as pa

from monitor.archive.blocks import Place, PlacedRows
from monitor.core.bounds import DECODE_ERRORS
from monitor.core.drift.actions import ActionDecoder
from monitor.core.state.detectable_messages import DETECTABLE_PREFIX, DetectableDecoder
from monitor.core.state.result_messages import ResultDecoder
from monitor.core.topics import ACTIONS, ALERTS, DEAD_LETTERS, LATE, NOTIFICATIONS, RESULTS
from monitor.core.unreadable import unreadable_letter
from monitor.storage.result_columns import kind_of, result_message_rows
from monitor.storage.rows import (
    action_rows,
    alert_rows,
    dead_letter_rows,
    delivery_rows,
    detectable_rows,
    late_rows,
)
from monitor.transport.types import Message
from schemas.alerts import Alert, Delivery, Notification
from schemas.errors import TransportError
from schemas.refused import DeadLetter, LateEvent
from schemas.result_table import ResultTable

_Accepted = tuple[Message, Sequence[Any] | ResultTable]
"""A message, and what it holds."""


class ValueDecoder(Protocol):
    """Reads values: ``msgspec.msgpack.Decoder`` is one."""

    def decode(self, value: bytes, /) -> Any:
        """Return an item, a list of items, or a table.

        Raises
        ------
        msgspec.DecodeError, TransportError
            If it cannot be read.
        """


@dataclass(frozen=True, slots=True)
class TopicRows:
    """How the values of one topic become rows of one table."""

    table: str
    decoder: ValueDecoder
    to_rows: Callable[[list[Any]], pa.Table]
    """What several messages hold -> rows in that order."""


def _delivery_pairs(items: Iterable[Any]) -> pa.Table:
    """Accept bare deliveries and accompanied ones."""
    pairs = [(item, None) if isinstance(item, Delivery) else item for item in items]
    return delivery_rows(pairs)


def _struct_rows(table: str, types: Any, to_rows: Callable[[list[Any]], pa.Table]) -> TopicRows:
    """Describe a topic whose values are one item or a list of them."""
    return TopicRows(
        table,
        msgspec.msgpack.Decoder(types),
        lambda values: to_rows([item for items in values for item in items]),
    )


def _action_rows(values: list[Any]) -> pa.Table:
    """Return the rows of several messages of one action each."""
    return action_rows([action for actions in values for action in actions])


STRUCT_TOPICS = {
    RESULTS: TopicRows("results", ResultDecoder(), result_message_rows),
    ALERTS: _struct_rows("alerts", Alert | list[Alert], alert_rows),
    NOTIFICATIONS: _struct_rows(
        "notifications", Delivery | tuple[Delivery, Notification | None], _delivery_pairs
    ),
    DEAD_LETTERS: _struct_rows("dead_letters", DeadLetter | list[DeadLetter], dead_letter_rows),
    ACTIONS: TopicRows("actions", ActionDecoder(), _action_rows),
    LATE: _struct_rows("late", LateEvent | list[LateEvent], late_rows),
}
"""Topic name -> its table."""

_DETECTABLE = TopicRows(
    "detectable",
    DetectableDecoder(),
    lambda values: detectable_rows([row for rows in values for row in rows]),
)


def rows_by_table(
    topic: str, messages: Sequence[Message], place: Place
) -> tuple[list[PlacedRows], list[DeadLetter]]:
    """Decode the messages of one of :data:`STRUCT_TOPICS` into the rows of each table.

    Results are of two tables: verdicts and statistics, and what would be found in each cell.
    """
    if topic != RESULTS:
        placed, refused = struct_rows(STRUCT_TOPICS[topic], messages, place)
        return [placed], refused
    is_other = [message.value.startswith(DETECTABLE_PREFIX) for message in messages]
    kinds = (STRUCT_TOPICS[topic], False), (_DETECTABLE, True)
    made = [
        struct_rows(
            kind, [m for m, own in zip(messages, is_other, strict=True) if own is is_own], place
        )
        for kind, is_own in kinds
    ]
    return [placed for placed, _ in made], [letter for _, refused in made for letter in refused]


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
    accepted: list[_Accepted] = []
    refused = []
    for message in messages:
        if not message.value:
            continue
        try:
            value = topic.decoder.decode(message.value)
        except (*DECODE_ERRORS, TransportError) as error:
            refused.append(refuse(message, place, str(error)))
        else:
            is_one = not isinstance(value, list | ResultTable)
            accepted.append((message, [value] if is_one else value))
    accepted.sort(key=lambda each: kind_of(each[1]))
    try:
        return _placed(topic, accepted), refused
    except (OverflowError, pa.ArrowException):
        return _placed(topic, _fitting(topic, accepted, refused, place)), refused


def _placed(topic: TopicRows, accepted: Sequence[_Accepted]) -> PlacedRows:
    """Make the rows, and remember whose they are."""
    sizes = [len(items) for _, items in accepted]
    offsets = np.array([message.offset for message, _ in accepted], np.int64)
    numbers = [np.arange(n, dtype=np.int64) for n in sizes]
    return PlacedRows(
        topic.table,
        topic.to_rows([items for _, items in accepted]),
        np.repeat(offsets, sizes),
        np.concatenate([np.zeros(0, np.int64), *numbers]),
    )


def _fitting(
    topic: TopicRows,
    accepted: Sequence[_Accepted],
    refused: list[DeadLetter],
    place: Place,
) -> list[_Accepted]:
    """Find the messages that decode and fit no column: an integer beyond int64."""
    fitting = []
    for message, items in accepted:
        try:
            topic.to_rows([items])
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
