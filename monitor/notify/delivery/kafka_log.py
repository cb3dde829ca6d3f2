"""The notification log in a compacted topic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from monitor.core.bounds import check_time
from monitor.core.topics import NOTIFICATIONS
from monitor.core.unreadable import letter_write
from monitor.metrics import DEAD_LETTERS as DEAD_LETTERS_COUNT
from monitor.metrics import NOTIFICATIONS as NOTIFICATIONS_COUNT
from monitor.metrics import REJECTED
from monitor.notify.delivery.log import LogEntry, decode_entry, entry_write, last_steps
from monitor.notify.stage import letter_of
from monitor.transport.kafka.client_log import LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.faust.app import send
from monitor.transport.kafka.faust.client import KafkaApp
from monitor.transport.kafka.readers.topic_scan import scan
from monitor.transport.types import Message
from schemas.errors import DomainError
from schemas.refused import DeadLetter

MAX_LETTERS = 100
"""Dead letters written per read of the topic; further unreadable messages are only counted."""


class KafkaNotificationLog:
    """Notification log in a Kafka topic, for one run of a stage.

    Parameters
    ----------
    app : KafkaApp
        Must be running when an entry is appended.
    """

    def __init__(self, cluster: Cluster, app: KafkaApp) -> None:
        self._cluster, self._app = cluster, app

    async def append(self, entry: LogEntry) -> None:
        """Write one entry; returns when it is acknowledged.

        Raises
        ------
        TransportError
            If it could not be written.
        """
        await send(self._app, self._cluster, [entry_write(entry)])
        NOTIFICATIONS_COUNT.labels(entry.delivery.receiver, entry.delivery.state).inc()

    async def read(self) -> Sequence[LogEntry]:
        """Return the last step of every notification that was not suppressed, oldest first.

        Raises
        ------
        TransportError
            If the broker does not answer.
        """
        letters: list[DeadLetter] = []
        found = await asyncio.to_thread(self._read, letters)
        if letters:
            await send(self._app, self._cluster, map(letter_write, letters))
            DEAD_LETTERS_COUNT.labels("notify").inc(len(letters))
        return found

    def _read(self, letters: list[DeadLetter]) -> list[LogEntry]:
        """Read the topic to its end, without suppressions."""
        return list(last_steps(self._entries(letters)).values())

    def _entries(self, letters: list[DeadLetter]) -> Iterator[LogEntry]:
        """Yield every step; the first hundred unreadable messages become dead letters."""
        for message in scan(self._cluster, NOTIFICATIONS, 0):
            if not message.value:
                continue
            try:
                yield read_entry(message)
            except DomainError as error:
                REJECTED.labels("notify", NOTIFICATIONS, "malformed").inc()
                if len(letters) < MAX_LETTERS:
                    place = f"{self._cluster.topic(NOTIFICATIONS)}:0 at {message.offset}"
                    LOG.warning("skipped an unreadable notification step at %s: %s", place, error)
                    letters.append(letter_of(message, str(error), NOTIFICATIONS))


def read_entry(message: Message) -> LogEntry:
    """Read one message of the notifications topic.

    Raises
    ------
    DomainError
        If the message is not a valid notification step.
    """
    entry = decode_entry(message.value)
    check_time("time_us", entry.notification.time_us, message.timestamp_us)
    return entry
