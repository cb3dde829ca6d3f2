"""The notification log on its compacted topic."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from monitor.core.topics import NOTIFICATIONS
from monitor.metrics import NOTIFICATIONS as NOTIFICATIONS_COUNT
from monitor.notify.log import LogEntry, decode_entry, encode_entry, entry_key, last_steps
from monitor.transport.kafka.client_log import LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.faust_app import Write, send
from monitor.transport.kafka.faust_client import KafkaApp
from monitor.transport.kafka.topic_scan import scan


class KafkaNotificationLog:
    """Keeps the steps of notifications in their topic; for one life of a stage.

    Parameters
    ----------
    cluster : Cluster
    app : KafkaApp
        Running when something is appended.
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
        topic = self._cluster.topic(NOTIFICATIONS)
        write = Write(topic, encode_entry(entry), key=entry_key(entry), partition=0)
        await send(self._app, [write])
        NOTIFICATIONS_COUNT.labels(entry.delivery.receiver, entry.delivery.state).inc()

    async def read(self) -> Sequence[LogEntry]:
        """Return the last step of every notification that was to go out, oldest first.

        Raises
        ------
        TransportError
            If the broker does not answer.
        """
        return await asyncio.to_thread(self._read)

    def _read(self) -> list[LogEntry]:
        """Read the topic to its end; what was only spared is passed over."""
        return list(last_steps(self._entries()).values())

    def _entries(self) -> Iterator[LogEntry]:
        """Yield every step; what is none is passed over."""
        for message in scan(self._cluster, NOTIFICATIONS, 0):
            if not message.value:
                continue
            try:
                yield decode_entry(message.value)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                place = f"{self._cluster.topic(NOTIFICATIONS)}:0 at {message.offset}"
                LOG.warning("passed over, it is no step of a notification: %s: %s", place, error)
