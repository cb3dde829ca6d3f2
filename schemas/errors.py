"""The one exception tree.

::

    DriftlineError              everything Driftline raises on purpose
    ├── ConfigError             a configuration file is wrong: file, line, field
    ├── BaselineError           a baseline is missing, unreadable or does not fit
    ├── EventError              an event cannot be accepted (becomes a dead letter)
    ├── ShapeError              arrays whose shapes or dtypes do not fit (ValueError)
    ├── DomainError             a value outside its domain (ValueError)
    ├── TransportError          reading or writing a log or a file failed
    ├── StorageError            the store refused or failed
    │   ├── StoreLockedError    another process holds the embedded store
    │   ├── StoreFullError      no space left under the store
    │   └── QueryError          the store refused one query
    │       └── RowsRefusedError    and will refuse these rows again
    └── DeliveryError           a receiver did not take a notification
        ├── RetryableDelivery   worth another try (time-out, 429, 5xx)
        └── RefusedDelivery     will fail again (4xx)

Every message names what was wrong, where, and what to do. Values of settings
that hold secrets are never put into a message.
"""

from __future__ import annotations

from typing import ClassVar


class DriftlineError(Exception):
    """Root of everything Driftline raises on purpose.

    Parameters
    ----------
    what : str
        What was wrong, with the offending value.
    where : str, optional
        File and line, field path, topic and offset.
    fix : str, optional
        What the reader can do about it.

    Examples
    --------
    >>> print(DriftlineError("n is -1", where="window", fix="pass a count >= 0"))
    window: n is -1 (pass a count >= 0)
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        """One line: where, what, and what to do."""
        prefix = f"{self.where}: " if self.where else ""
        suffix = f" ({self.fix})" if self.fix else ""
        return f"{prefix}{self.what}{suffix}"


class ConfigError(DriftlineError):
    """A configuration file is wrong. Carries every problem found, not the first.

    Parameters
    ----------
    what : str
        One line, or several joined by newlines when there are several problems.
    problems : tuple of str
        ``file:line: field: problem`` lines.
    """

    exit_code: ClassVar[int] = 2

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.problems = problems or (str(self),)


class BaselineError(DriftlineError):
    """A baseline is missing, unreadable, or does not fit the model."""

    exit_code: ClassVar[int] = 3


class EventError(DriftlineError):
    """An event cannot be accepted; it becomes a dead letter."""


class ShapeError(DriftlineError, ValueError):
    """Arrays whose shapes or dtypes do not fit together."""


class DomainError(DriftlineError, ValueError):
    """A value outside its domain: a negative count, a p outside [0, 1]."""


class TransportError(DriftlineError):
    """Reading or writing a log or a file failed."""

    exit_code: ClassVar[int] = 4


class StorageError(DriftlineError):
    """The store refused or failed."""

    exit_code: ClassVar[int] = 5


class StoreLockedError(StorageError):
    """Another process holds the embedded store."""


class StoreFullError(StorageError):
    """No space left where the store lives."""


class QueryError(StorageError):
    """The store refused one query."""


class RowsRefusedError(QueryError):
    """The store refused the rows of one insert for what is in them, and will again."""


class DeliveryError(DriftlineError):
    """A receiver did not take a notification."""


class RetryableDelivery(DeliveryError):
    """Worth another try: a time-out, 429, a 5xx.

    Parameters
    ----------
    retry_after_s : float, optional
        How long the receiver asked to be left alone.
    """

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.retry_after_s = retry_after_s


class RefusedDelivery(DeliveryError):
    """Will fail again: a 4xx other than 408 and 429."""
