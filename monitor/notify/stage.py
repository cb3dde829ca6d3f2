"""The notify stage over a log: alerts are read in order, the notification log is a topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from monitor.core.crash_points import Reach, pass_through
from monitor.core.topics import ALERTS, DEAD_LETTERS, NOTIFICATIONS
from monitor.core.unreadable import letter_key, unreadable_letter
from monitor.notify.log import LogEntry
from monitor.notify.notifier import Notifier, Step
from monitor.transport.memory import MemoryLog, Message
from schemas.alerts import Alert, Delivery, Notification

GROUP = "driftline-notify"
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
    reach : callable, optional
        Crash points.

    Attributes
    ----------
    counters : Counter of str
        ``alerts_unreadable``: messages that are no alert; each is a dead letter.

    Notes
    -----
    What was sent before a restart is known from the notification log, and grouping is
    a function of the alerts: so the whole topic is read again and nothing is told twice.
    An alert's clock is when it came, in event time, as its record says, never how far the
    stream has come by now: else every restart would begin a group's wait anew, one after
    the last alert would never tell it, and who was told would depend on how much was read
    at once.
    """

    def __init__(self, log: MemoryLog, notifier: Notifier, *, reach: Reach = pass_through) -> None:
        self._log, self._notifier, self._reach = log, notifier, reach
        committed = log.committed(GROUP, ALERTS, 0)
        self._handled = committed.offset if committed is not None else 0
        self._position, self._clock_us = 0, 0
        self.counters: Counter[str] = Counter()

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
            try:
                alert = msgspec.msgpack.decode(message.value, type=Alert)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self._refuse(message, str(error))
            else:
                steps += await self._take(alert, message)
            self._position = message.offset + 1
            self._commit()
        steps.append(await self._notifier.tick(max(now_us, self._clock_us)))
        return steps

    async def close(self) -> None:
        """Close every receiver."""
        await self._notifier.close()

    async def _take(self, alert: Alert, message: Message) -> list[Step]:
        """Let waits end that ended before the alert came, then hand it on."""
        now_us = self._clock_us = max(self._clock_us, message.timestamp_us, alert.time_us)
        is_replayed = message.offset < self._handled
        return [
            await self._notifier.tick(now_us, is_replayed=is_replayed),
            await self._notifier.observe(alert, now_us, is_replayed=is_replayed),
        ]

    def _commit(self) -> None:
        """Note that an alert is done with: after a restart its silences are not told again."""
        if self._position > self._handled:
            self._handled = self._position
            self._log.commit(GROUP, ALERTS, 0, self._position)
            self._reach("notify:commit")

    def _refuse(self, message: Message, detail: str) -> None:
        """Put a message that is no alert aside: the alerts behind it must not wait for it."""
        letter = unreadable_letter(
            message.value,
            detail,
            source=ALERTS,
            partition=0,
            offset=message.offset,
            record_time_us=message.timestamp_us,
        )
        self._log.produce(DEAD_LETTERS, msgspec.msgpack.encode(letter), key=letter_key(letter))
        self.counters["alerts_unreadable"] += 1
        self._reach("notify:dead_letter")
