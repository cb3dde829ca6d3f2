"""What a receiver is, whatever it speaks."""

from __future__ import annotations

import os
from typing import Protocol

from schemas.alerts import Notification
from schemas.errors import ConfigError, RetryableDelivery


class ErrorAnswer(RetryableDelivery):
    """It is there and answered this message with an error (5xx): others it may well take."""


class Receiver(Protocol):
    """Takes notifications to the outside world."""

    async def send(self, notification: Notification) -> str:
        """Deliver one notification.

        Returns
        -------
        str
            What the other side called it (Slack's ``ts``), or what it answered; kept in
            the log and handed back to ``remember``.

        Raises
        ------
        RetryableDelivery
            Worth another try; nothing else would be taken now either.
        ErrorAnswer
            Worth another try; what is about another incident need not wait for it.
        RefusedDelivery
            Will fail again.
        """
        ...

    def remember(self, notification: Notification, detail: str) -> None:
        """Take over from the log what ``send`` returned before a restart."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


def secret_from(variable: str | None, where: str) -> str:
    """Read a secret from the environment variable the config names.

    Parameters
    ----------
    variable : str or None
        The variable's name; None where no secret is configured.
    where : str
        The setting, for the error.

    Returns
    -------
    str
        Empty where no variable is named.

    Raises
    ------
    ConfigError
        If the variable is not set. Names the variable, never a value.

    Examples
    --------
    >>> secret_from(None, "receivers.hook.secret_env")
    ''
    """
    if variable is None:
        return ""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise ConfigError(
            f"environment variable {variable} is not set", where=where, fix=f"export {variable}=..."
        )
    return value
