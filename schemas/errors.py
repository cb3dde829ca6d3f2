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
that hold secrets are never put into a message. The root, ``DomainError`` and
``TransportError`` are defined in ``driftline/errors.py``: the SDK raises them.
"""

from __future__ import annotations

from typing import ClassVar

from driftline.errors import DomainError as DomainError
from driftline.errors import DriftlineError as DriftlineError
from driftline.errors import TransportError as TransportError


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
