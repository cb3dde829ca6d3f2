"""Passwords of the store: read once, then removed from the process's environment.

``/proc/PID/environ`` shows the initial environment of a running process, and children inherit it.
So the value is overwritten in place, and kept in this module.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import ConfigError

USER_VARIABLE = "DRIFTLINE_STORE_USER"
PASSWORD_VARIABLE = "DRIFTLINE_STORE_PASSWORD"
READER_PASSWORD_VARIABLE = "DRIFTLINE_STORE_READER_PASSWORD"

_kept: dict[str, str] = {}


def take_passwords() -> None:
    """Remove the store's passwords from this process's environment; keep them in memory.

    For long-running commands only: a library must not remove variables of its host process.

    Examples
    --------
    >>> os.environ[PASSWORD_VARIABLE] = "s3cret"
    >>> take_passwords()
    >>> password_of(PASSWORD_VARIABLE), PASSWORD_VARIABLE in os.environ
    ('s3cret', False)
    >>> _kept.clear()
    """
    for variable in (PASSWORD_VARIABLE, READER_PASSWORD_VARIABLE):
        if variable in os.environ:
            _kept[variable] = os.environ[variable]
            _wipe(variable)


def password_of(variable: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a password from a variable, the file named by ``<variable>_FILE``, or memory.

    Parameters
    ----------
    environment : mapping, optional
        Replaces the process's environment.

    Returns
    -------
    str
        Empty if none is set.

    Raises
    ------
    ConfigError
        If variable and file are both set, or the file cannot be read; never contains the value.

    Examples
    --------
    >>> password_of("P", {"P": "s3cret"}), password_of("P", {})
    ('s3cret', '')
    """
    env = os.environ if environment is None else environment
    file = env.get(f"{variable}_FILE", "")
    if file and env.get(variable):
        raise ConfigError(
            f"{variable} and {variable}_FILE are both set", where="environment", fix="unset one"
        )
    if file:
        return _of_file(Path(file), variable)
    return env.get(variable) or (_kept.get(variable, "") if env is os.environ else "")


def passwords_for_child(*variables: str) -> dict[str, str]:
    """Return the environment variables of a child's passwords.

    Parameters
    ----------
    *variables : str
        Variables that this child needs; passwords in files are read by the child itself.

    Examples
    --------
    >>> passwords_for_child("NO_PASSWORD_OF_THIS_NAME")
    {}
    """
    found = {name: password_of(name) for name in variables if f"{name}_FILE" not in os.environ}
    return {name: value for name, value in found.items() if value}


def _of_file(file: Path, variable: str) -> str:
    """Read a file, without the line end that editors add."""
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    except OSError as error:
        reason = f"cannot be read: {(error.strerror or '').lower()}"
    raise ConfigError(f"a password's file {reason}", where=f"{variable}_FILE={file}")


def _wipe(variable: str) -> None:
    """Overwrite a variable's value in memory, then unset it."""
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    if at := libc.getenv(os.fsencode(variable)):
        ctypes.memset(at, 0, len(ctypes.string_at(at)))
    del os.environ[variable]
