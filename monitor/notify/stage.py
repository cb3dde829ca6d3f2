"""The notify stage over a log: alerts are read in order, the notification log is a topic."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from monitor.core.topics import ALERTS, NOTIFICATIONS
from monitor.notify.log import LogEntry
from monitor.notify.notifier import Notifier, Step
from monitor.transport.memory import MemoryLog
from schemas.alerts import Alert, Delivery, Notification

_ENTRY = msgspec.msgpack.Decoder(tuple[Delivery, Notification])


class TopicNotificationLog:
    """Keeps the steps of notifications in their topic, where the archive finds them too.

    Parameters
    ----------
    log : MemoryLog
    """

    def __init__(self, log: MemoryLog) -> None:
        self._log = log

    async def append(self, entry: LogEntry) -> None:
        """Keep one entry."""
        value = msgspec.msgpack.encode((entry.delivery, entry.notification))
        key = entry.notification.notification_id.encode()
        self._log.produce(NOTIFICATIONS, value, key=key)

    async def read(self) -> Sequence[LogEntry]:
        """Return all entries, oldest first."""
        n = self._log.end_offset(NOTIFICATIONS, 0)
        entries = (_ENTRY.decode(m.value) for m in self._log.fetch(NOTIFICATIONS, 0, 0, n))
        return [LogEntry(notification, delivery) for delivery, notification in entries]


class NotifyStage:
    """Reads the alerts topic from its start and hands each alert on.

    Parameters
    ----------
    log : MemoryLog
    notifier : Notifier
        Whose notification log is a ``TopicNotificationLog`` of the same log.

    Notes
    -----
    What was sent before a restart is known from the notification log, and grouping is
    a function of the alerts: so the whole topic is read again and nothing is told twice.
    """

    def __init__(self, log: MemoryLog, notifier: Notifier) -> None:
        self._log, self._notifier = log, notifier
        self._position = 0

    async def start(self) -> list[Delivery]:
        """Finish what a crash interrupted."""
        return await self._notifier.start()

    async def step(self, now_us: int) -> list[Step]:
        """Take the alerts that came, then let waits come to their end.

        Parameters
        ----------
        now_us : int
            Event time: how far the slowest stream has come.
        """
        steps = []
        n = self._log.end_offset(ALERTS, 0) - self._position
        for message in self._log.fetch(ALERTS, 0, self._position, n):
            alert = msgspec.msgpack.decode(message.value, type=Alert)
            steps.append(await self._notifier.observe(alert, max(now_us, alert.time_us)))
            self._position = message.offset + 1
        steps.append(await self._notifier.tick(now_us))
        return steps

    async def close(self) -> None:
        """Close every receiver."""
        await self._notifier.close()
