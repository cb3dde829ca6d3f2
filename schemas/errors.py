"""The exception tree.

::

    DriftlineError              base of all errors that Driftline raises
    ├── ConfigError             a configuration file is invalid: file, line, field
    ├── BaselineError           a baseline is missing, unreadable or does not match
    ├── EventError              an event cannot be accepted (becomes a dead letter)
    ├── ShapeError              arrays whose shapes or dtypes do not match (ValueError)
    ├── DomainError             a value outside its domain (ValueError)
    ├── TransportError          reading or writing a log or a file failed
    ├── StorageError            the store rejected a request or failed
    │   ├── StoreLockedError    another process holds the embedded store
    │   ├── StoreFullError      no space left under the store
    │   └── QueryError          the store rejected one query
    │       └── RowsRefusedError    the rows are invalid; permanent
    └── DeliveryError           a receiver did not accept a notification
        ├── RetryableDelivery   temporary (time-out, 429, 5xx)
        └── RefusedDelivery     permanent (4xx)

Every message has what is wrong, where, and how to fix it. Messages never contain values of settings
that hold secrets. The root, ``DomainError`` and ``TransportError`` are defined in
``driftline/errors.py``: the SDK raises them.
"""

from __future__ import annotations

from typing import ClassVar

from driftline.errors import DomainError as DomainError
from driftline.errors import DriftlineError as DriftlineError
from driftline.errors import TransportError as TransportError


class ConfigError(DriftlineError):
    """A configuration file is invalid. Has all problems, not only the first.

    Parameters
    ----------
    what : str
        One line per problem, joined by newlines.
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
    """A baseline is missing, unreadable, or does not match the model."""

    exit_code: ClassVar[int] = 3


class EventError(DriftlineError):
    """An event cannot be accepted; it becomes a dead letter."""


class ShapeError(DriftlineError, ValueError):
    """Arrays whose shapes or dtypes do not match."""


class StorageError(DriftlineError):
    """The store rejected a request or failed."""

    exit_code: ClassVar[int] = 5


class StoreLockedError(StorageError):
    """Another process holds the embedded store."""


class StoreFullError(StorageError):
    """No space left on the store's disk."""


class QueryError(StorageError):
    """The store rejected one query."""


class RowsRefusedError(QueryError):
    """The store rejected the rows of one insert because of their values; permanent."""


class DeliveryError(DriftlineError):
    """A receiver did not accept a notification."""


class RetryableDelivery(DeliveryError):
    """A temporary failure: a time-out, 429, a 5xx.

    Parameters
    ----------
    retry_after_s : float, optional
        Wait that the receiver requested.
    """

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.retry_after_s = retry_after_s


class RefusedDelivery(DeliveryError):
    """A permanent failure: a 4xx other than 408 and 429."""
