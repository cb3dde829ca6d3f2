"""Interprets a broker's log: readiness, or the reason of a failed start."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.errors import TransportError

READY = "Kafka Server started"
READ_THE_FILE = "read the file"
"""Hint if the log has no known reason."""

_KNOWN = (
    (r"Address already in use", "a port is taken", "stop what uses it, or name another port"),
    (
        r"Failed to acquire lock",
        "another broker uses this folder",
        "stop that one, or name another folder",
    ),
    (r"No space left on device", "the disk is full", "free some space, then start it again"),
    (
        r"OutOfMemoryError|Could not reserve enough space",
        "not enough memory for the heap",
        "allow it more, or end what uses the machine's memory",
    ),
    (r"AccessDeniedException|Permission denied", "no permission to write", "name another folder"),
)


def explain_failure(said: str, where: Path, otherwise: str) -> TransportError:
    """Convert the log of a failed start to an error.

    Parameters
    ----------
    said : str
        The log since the start.
    where : Path
        Log file or folder, for the error.
    otherwise : str
        Reason to report if the log has none.

    Returns
    -------
    TransportError

    Examples
    --------
    >>> print(explain_failure("java.net.BindException: Address already in use", Path("k.log"), ""))
    k.log: Kafka did not start: a port is taken (stop what uses it, or name another port)
    >>> print(explain_failure("", Path("k.log"), "it ended"))
    k.log: Kafka did not start: it ended (read the file)
    """
    for pattern, what, fix in _KNOWN:
        if re.search(pattern, said):
            return TransportError(f"Kafka did not start: {what}", where=str(where), fix=fix)
    reason = _complaint(said)
    what = f"{otherwise}: {reason}" if reason else otherwise
    return TransportError(f"Kafka did not start: {what}", where=str(where), fix=READ_THE_FILE)


def _complaint(said: str) -> str:
    """Return the innermost cause, else the last error or exception; empty if there is none."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for sign in ("Caused by: ", "Exception: ", " ERROR ", "Error: "):
        found = [line for line in lines if sign in line]
        if found:
            return found[-1].removeprefix("Caused by: ")[:300]
    return ""


def explain_end(status: int | None, log_file: Path) -> TransportError:
    """Return the error of a broker that exited unexpectedly, with its last output.

    Parameters
    ----------
    status : int or None
        Exit status; negative for a signal number.
    log_file : Path
        Log file of the broker.

    Returns
    -------
    TransportError
    """
    with log_file.open("rb") as log:
        log.seek(max(0, log_file.stat().st_size - 65_536))
        reason = _complaint(log.read().decode(errors="replace"))
    how = f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"
    what = f"Kafka exited unexpectedly ({how})"
    return TransportError(f"{what}: {reason}" if reason else what, where=str(log_file))
