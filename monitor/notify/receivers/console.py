"""Receiver that prints notifications; coloured on a terminal, plain text otherwise."""

from __future__ import annotations

import sys
from typing import Literal, TextIO

from monitor.logs.guarded_stream import unguarded
from monitor.notify.receivers.message import describe
from monitor.notify.receivers.protocol import ReceiverSettings
from schemas.alerts import Notification, NotificationKind, Severity
from schemas.errors import RefusedDelivery

_COLOURS = {Severity.PAGE: "31", Severity.TICKET: "33", Severity.RECORD: "36"}
_GREEN = "32"


class ConsoleConfig(ReceiverSettings):
    """Notifications on standard output."""

    kind: Literal["console"]

    def build(self, name: str) -> ConsoleReceiver:
        """Build the receiver of this name."""
        return ConsoleReceiver(name)


class ConsoleReceiver:
    """Writes each notification as a headline and indented lines.

    Parameters
    ----------
    name : str
        Its name in the config.
    stream : TextIO, optional
        Standard output by default; coloured only if it is a terminal.
    """

    def __init__(self, name: str = "console", stream: TextIO | None = None) -> None:
        self._name = name
        self._stream = stream

    async def send(self, notification: Notification) -> str:
        """Write one notification.

        Raises
        ------
        RefusedDelivery
            If the stream is closed.
        """
        stream = unguarded(sys.stdout if self._stream is None else self._stream)
        try:
            stream.write(render(notification, is_coloured=stream.isatty()))
            stream.flush()
        except (OSError, ValueError):
            raise RefusedDelivery("the output is closed", where=f"receiver {self._name}") from None
        return "printed"

    def remember(self, notification: Notification, detail: str) -> None:
        """Do nothing: printed lines have no state."""

    async def close(self) -> None:
        """Do nothing: the caller owns the stream."""


def render(notification: Notification, *, is_coloured: bool = False) -> str:
    """Format a notification as text.

    Parameters
    ----------
    notification : Notification
        Notification to print.
    is_coloured : bool
        Whether the severity is coloured.

    Returns
    -------
    str
        Lines, each ended by a newline.
    """
    message = describe(notification)
    headline = message.headline
    if is_coloured:
        is_over = notification.kind is NotificationKind.RESOLVED
        colour = _GREEN if is_over else _COLOURS[notification.incident.severity]
        headline = f"\x1b[1;{colour}m{headline}\x1b[0m"
    body = [f"      {line}" for line in message.lines]
    body += [f"   -> {action}" for action in message.actions]
    return "\n".join([headline, *body]) + "\n"
