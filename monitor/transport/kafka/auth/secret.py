"""Secrets: read from the environment or a file at the last moment, and never printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError


class SecretText(str):
    """Text whose ``repr`` hides it.

    Notes
    -----
    What prints a whole configuration (a debug line of a client, a traceback with its
    locals, a dataclass) goes through ``repr``; clients that need the text get it, because
    it *is* the text. kafka-python logs its configuration at level DEBUG this way.

    Examples
    --------
    >>> {"sasl.password": SecretText("hunter2")}
    {'sasl.password': '[redacted]'}
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[redacted]'"


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where a secret is: an environment variable or a file, never the secret itself.

    Parameters
    ----------
    variable : str, optional
        Name of an environment variable.
    file : Path, optional
        A file with nothing else in it; a line end at its end does not count.

    Raises
    ------
    ConfigError
        If neither or both are given.
    """

    variable: str = ""
    file: Path | None = None

    def __post_init__(self) -> None:
        if bool(self.variable) == (self.file is not None):
            raise ConfigError(
                "a secret needs either an environment variable or a file",
                where="Kafka security",
            )

    def read(self, environment: Mapping[str, str]) -> SecretText:
        """Read it now; a file is read each time, because it may have been rotated.

        Raises
        ------
        ConfigError
            If it is not there or empty; names the source, never the value.
        """
        text = environment.get(self.variable, "") if self.file is None else self._from_file()
        if not text:
            where = f"environment variable {self.variable}" if self.variable else str(self.file)
            raise ConfigError("a secret is missing or empty", where=where, fix="set it")
        return SecretText(text)

    def _from_file(self) -> str:
        """Read the file, without the line end that editors add."""
        try:
            return Path(str(self.file)).read_text(encoding="utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            reason = "is not UTF-8 text"
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
        raise ConfigError(f"a secret's file {reason}", where=str(self.file))


def secret_from(environment: Mapping[str, str], variable: str) -> SecretSource | None:
    """Find a secret under ``variable``, or under the file that ``variable_FILE`` names.

    Parameters
    ----------
    environment : mapping of str to str
        Such as ``os.environ``.
    variable : str
        Name of the variable.

    Returns
    -------
    SecretSource or None
        None if neither is set; an empty variable counts as not set.

    Raises
    ------
    ConfigError
        If both are set: one of them is out of date.

    Examples
    --------
    >>> secret_from({"P_FILE": "/run/secrets/p"}, "P")
    SecretSource(variable='', file=PosixPath('/run/secrets/p'))
    """
    has_text, file = bool(environment.get(variable)), environment.get(f"{variable}_FILE")
    if has_text and file:
        raise ConfigError(
            f"{variable} and {variable}_FILE are both set", where="environment", fix="unset one"
        )
    if file:
        return SecretSource(file=Path(file))
    return SecretSource(variable=variable) if has_text else None
