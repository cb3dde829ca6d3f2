"""What every kind of receiver implements: its settings, and the delivery of notifications."""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import Protocol

from pydantic import ConfigDict

from schemas.alerts import Notification
from schemas.config.monitor import ReceiverConfig
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


class ReceiverSettings(ReceiverConfig):
    """Settings of one kind of receiver. A subclass sets ``kind: Literal[...]`` and adds fields.

    Unknown keys are refused. Fields of type ``EnvironmentName`` are checked by
    ``driftline check``, and the values of their variables are redacted in logs.
    """

    model_config = ConfigDict(extra="forbid")

    @abstractmethod
    def build(self, name: str) -> Receiver:
        """Build the receiver of this name; secrets come from the environment.

        Raises
        ------
        ConfigError
            If an environment variable that the settings name is not set.
        """


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
