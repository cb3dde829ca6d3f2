"""Passes alerts from their topic to the notifier, on the clock of the alert stream."""

from __future__ import annotations

import msgspec

from monitor.core.bounds import DECODE_ERRORS
from monitor.core.incidents.alert_checks import check_alert
from monitor.core.topics import ALERTS
from monitor.core.unreadable import unreadable_letter
from monitor.notify.delivery.notifier import Notifier, NotifyStep
from monitor.transport.types import Message
from schemas.alerts import Alert
from schemas.errors import DomainError
from schemas.refused import DeadLetter
from schemas.time_units import DAY_US

_LATEST_US = 1 << 60
GROUP = "driftline-notify"
_DEFECTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors that a malformed alert may cause; errors of the log or of the cluster are not among
them.
"""
_ALERT = msgspec.msgpack.Decoder(Alert)


def read_alert(message: Message) -> Alert | DeadLetter:
    """Decode one message of the alerts topic.

    Returns
    -------
    Alert or DeadLetter
        A dead letter if it is not a valid alert, or its time would set the clock wrongly.

    Examples
    --------
    >>> read_alert(Message(7, b"", b"?", -1)).offset
    7
    """
    try:
        alert = _ALERT.decode(message.value)
        check_alert(alert)
    except (*DECODE_ERRORS, DomainError) as error:
        return letter_of(message, str(error))
    latest_us = message.timestamp_us + DAY_US if message.timestamp_us >= 0 else _LATEST_US
    if not 0 <= alert.time_us <= latest_us:
        return letter_of(message, f"time_us {alert.time_us} is not a possible time of an alert")
    return alert


def letter_of(message: Message, detail: str, source: str = ALERTS) -> DeadLetter:
    """Return the dead letter of an unusable message."""
    return unreadable_letter(
        message.value,
        detail,
        source=source,
        partition=0,
        offset=message.offset,
        record_time_us=message.timestamp_us,
    )


class AlertIntake:
    """Passes alerts to the notifier in order, after the notifications that were due before each.

    Attributes
    ----------
    clock_us : int
        Event time of the last alert's record, or the time to which ``tick`` has advanced since.
        Never decreases.

    Notes
    -----
    The clock of an alert is the time of its record, not the current position of the stream.
    Otherwise every restart would restart group waits, and notifications would depend on how many
    messages were read at once.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self.clock_us = 0

    async def take(self, message: Message, *, is_replayed: bool) -> list[NotifyStep] | DeadLetter:
        """Process one message.

        Parameters
        ----------
        message : Message
            In the order of the log.
        is_replayed : bool
            The message was processed before a restart: its suppressions are not logged again.

        Returns
        -------
        list of NotifyStep, or DeadLetter
            A dead letter for a message that is not an alert or cannot be processed, so that it does
            not block later alerts.
        """
        alert = read_alert(message)
        if isinstance(alert, DeadLetter):
            return alert
        now_us = max(self.clock_us, message.timestamp_us, alert.time_us)
        steps = [await self.tick(now_us, is_replayed=is_replayed)]
        try:
            steps.append(await self._notifier.observe(alert, now_us, is_replayed=is_replayed))
        except _DEFECTS as error:
            return letter_of(message, f"{type(error).__name__}: {error}")
        return steps

    def rest(self, now_us: int) -> None:
        """Do what ``tick`` does where there has been no alert, and so nothing is due."""
        self.clock_us = max(self.clock_us, now_us)
        self._notifier.rest(self.clock_us)

    async def tick(self, now_us: int, *, is_replayed: bool = False) -> NotifyStep:
        """Send the notifications that are due at ``now_us``."""
        self.clock_us = max(self.clock_us, now_us)
        return await self._notifier.tick(self.clock_us, is_replayed=is_replayed)
