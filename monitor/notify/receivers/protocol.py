"""Interface of receivers: settings, and delivery of notifications."""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import Protocol

from pydantic import ConfigDict

from schemas.alerts import Notification
from schemas.config.monitor import ReceiverConfig
from schemas.errors import ConfigError, RetryableDelivery


class ErrorAnswer(RetryableDelivery):
    """The receiver answered this message with an error (5xx); it may accept others."""


class Receiver(Protocol):
    """Delivers notifications to one destination."""

    async def send(self, notification: Notification) -> str:
        """Deliver one notification.

        Returns
        -------
        str
            Identifier assigned by the destination (Slack's ``ts``), or its answer; stored in the
            log and passed to ``remember`` after a restart.

        Raises
        ------
        RetryableDelivery
            Temporary failure of the receiver: retry; other messages would fail too.
        ErrorAnswer
            Failure of this message: retry; messages of other incidents need not wait.
        RefusedDelivery
            Permanent failure.
        """
        ...

    def remember(self, notification: Notification, detail: str) -> None:
        """Restore from the log what ``send`` returned before a restart."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class ReceiverSettings(ReceiverConfig):
    """Settings of one kind of receiver. A subclass sets ``kind: Literal[...]`` and adds fields.

    Unknown keys are rejected. Fields of type ``EnvironmentName`` are checked by
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
    """Read a secret from the environment variable that the config names.

    Parameters
    ----------
    variable : str or None
        The variable's name; None where no secret is configured.
    where : str
        Name of the setting, for the error.

    Returns
    -------
    str
        Empty if no variable is named.

    Raises
    ------
    ConfigError
        If the variable is not set. The message contains the variable's name, never a value.

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
