"""The root of Driftline's exception tree, and the errors that the SDK raises.

The other classes of the tree are defined in ``schemas/errors.py``, which exports these as well.
"""

from __future__ import annotations

from typing import ClassVar


class DriftlineError(Exception):
    """Base of all errors that Driftline raises.

    Parameters
    ----------
    what : str
        The problem, with the invalid value.
    where : str, optional
        File and line, field path, topic and offset.
    fix : str, optional
        How to fix it.

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
        """Return one line: where, what, and how to fix it."""
        prefix = f"{self.where}: " if self.where else ""
        suffix = f" ({self.fix})" if self.fix else ""
        return f"{prefix}{self.what}{suffix}"


class DomainError(DriftlineError, ValueError):
    """A value outside its domain: a negative count, a p outside [0, 1]."""


class TransportError(DriftlineError):
    """Reading or writing a log or a file failed."""

    exit_code: ClassVar[int] = 4
