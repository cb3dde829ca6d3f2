"""Secrets: read from the environment or a file on use, and never printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError


class SecretText(str):
    """Text whose ``repr`` hides it.

    Notes
    -----
    Code that prints a whole configuration (a client's debug log, a traceback with locals, a
    dataclass) uses ``repr``. Clients get the text itself, because this is a ``str``. kafka-python
    logs its configuration at level DEBUG this way.

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
    """Location of a secret: an environment variable or a file, never the secret itself.

    Parameters
    ----------
    variable : str, optional
        Name of an environment variable.
    file : Path, optional
        A file that contains only the secret; a trailing line end is ignored.

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
        """Return the secret; a file is read each time, because it may have been rotated.

        Raises
        ------
        ConfigError
            If the secret is missing or empty; the message names the source, never the value.
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
    """Return the source of a secret: ``variable``, or the file named by ``variable_FILE``.

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
        If both are set, because one of them is then outdated.

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
