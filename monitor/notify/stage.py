"""Alerts out of their log into the notifier, on the clock of their stream."""

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
"""What one strange alert may lead to; an error of the log or of the cluster is none of them."""
_ALERT = msgspec.msgpack.Decoder(Alert)


def read_alert(message: Message) -> Alert | DeadLetter:
    """Read one message of the alerts topic.

    Returns
    -------
    Alert or DeadLetter
        A dead letter where it is none, or names a time that would put the clock wrong.

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
        return letter_of(message, f"time_us {alert.time_us} is no time an alert can be from")
    return alert


def letter_of(message: Message, detail: str, source: str = ALERTS) -> DeadLetter:
    """Return the dead letter of a message that cannot be used."""
    return unreadable_letter(
        message.value,
        detail,
        source=source,
        partition=0,
        offset=message.offset,
        record_time_us=message.timestamp_us,
    )


class AlertIntake:
    """Hands alerts on in order, and lets waits end that ended before each.

    Attributes
    ----------
    clock_us : int
        When the last alert came, in event time, as its record says; or how far the waits
        have advanced since. It never decreases.

    Notes
    -----
    An alert's clock is when it came, as its record says, never how far the stream has come
    by now: else every restart would restart a group's wait, and notifications would depend
    on how much was read at once.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self.clock_us = 0

    async def take(self, message: Message, *, is_replayed: bool) -> list[NotifyStep] | DeadLetter:
        """Take one message.

        Parameters
        ----------
        message : Message
            In the order of the log.
        is_replayed : bool
            It was taken before a restart: what was not sent then is not noted again.

        Returns
        -------
        list of NotifyStep, or DeadLetter
            A dead letter for what is no alert, or an alert that nothing can be made of: those
            behind it must not wait for it.
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

    async def tick(self, now_us: int, *, is_replayed: bool = False) -> NotifyStep:
        """Send what is due."""
        self.clock_us = max(self.clock_us, now_us)
        return await self._notifier.tick(self.clock_us, is_replayed=is_replayed)
