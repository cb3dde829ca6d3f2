"""The notify stage over the in-memory log; the notification log is a topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from monitor.core.failpoints import Hit, pass_through
from monitor.core.topics import ALERTS, NOTIFICATIONS
from monitor.core.unreadable import letter_write
from monitor.notify.delivery.log import LogEntry, decode_entry, entry_write
from monitor.notify.delivery.notifier import Notifier, NotifyStep
from monitor.notify.stage import GROUP, AlertIntake
from monitor.transport.types import ReadableLog
from schemas.alerts import Delivery
from schemas.refused import DeadLetter


class TopicNotificationLog:
    """Notification log in a topic, which the archive stage reads too."""

    def __init__(self, log: ReadableLog) -> None:
        self._log = log

    async def append(self, entry: LogEntry) -> None:
        """Append one entry."""
        self._log.append(entry_write(entry))

    async def read(self) -> Sequence[LogEntry]:
        """Return all entries, oldest first."""
        n = self._log.end_offset(NOTIFICATIONS, 0)
        return [decode_entry(m.value) for m in self._log.fetch(NOTIFICATIONS, 0, 0, n)]


class NotifyStage:
    """Reads the alerts topic from its start and passes each alert to the notifier.

    Parameters
    ----------
    notifier : Notifier
        Its notification log must be a ``TopicNotificationLog`` on the same log.
    hit : callable, optional
        Called with the name of each failpoint.

    Attributes
    ----------
    counters : Counter of str
        ``alerts_unreadable``: messages that cannot be decoded as an alert; each becomes a dead
        letter.

    Notes
    -----
    Notifications sent before a restart are read from the notification log, and grouping is a
    function of the alerts. So the whole topic is read again and nothing is sent twice.
    """

    def __init__(self, log: ReadableLog, notifier: Notifier, *, hit: Hit = pass_through) -> None:
        self._log, self._notifier, self._hit = log, notifier, hit
        self._intake = AlertIntake(notifier)
        committed = log.committed(GROUP, ALERTS, 0)
        self._handled = committed.offset if committed is not None else 0
        self._position = 0
        self.counters: Counter[str] = Counter()

    async def start(self) -> list[Delivery]:
        """Finish what a crash interrupted."""
        return await self._notifier.start()

    def rests(self, now_us: int) -> bool:
        """Advance the clock, and return True, if there has been no alert: nothing can be due."""
        if self._log.end_offset(ALERTS, 0):
            return False
        self._intake.rest(now_us)
        return True

    async def step(self, now_us: int) -> list[NotifyStep]:
        """Process new alerts, then send notifications whose wait has ended.

        Parameters
        ----------
        now_us : int
            Event time of the slowest stream.
        """
        steps = []
        n = self._log.end_offset(ALERTS, 0) - self._position
        for message in self._log.fetch(ALERTS, 0, self._position, n):
            taken = await self._intake.take(message, is_replayed=message.offset < self._handled)
            if isinstance(taken, DeadLetter):
                self._refuse(taken)
            else:
                steps += taken
            self._position = message.offset + 1
            self._commit()
        steps.append(await self._intake.tick(now_us))
        return steps

    async def close(self) -> None:
        """Close every receiver."""
        await self._notifier.close()

    def _commit(self) -> None:
        """Commit an alert's offset: after a restart its suppressions are not logged again."""
        if self._position > self._handled:
            self._handled = self._position
            self._log.commit(GROUP, ALERTS, 0, self._position)
            self._hit("notify:commit")

    def _refuse(self, letter: DeadLetter) -> None:
        """Dead-letter a message that is not an alert, so that it does not block later alerts."""
        self._log.append(letter_write(letter))
        self.counters["alerts_unreadable"] += 1
        self._hit("notify:dead_letter")
