"""Lock of an embedded store: one process holds it, others get an error that names it.

chDB rejects a second process too, but with an empty message ("Error initializing EmbeddedServer:
."), and after a second of loading. The kernel releases this lock when the process ends, even by
kill -9, so it is never stale.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from pathlib import Path

from schemas.errors import StorageError, StoreLockedError

LOCK_NAME = "driftline.lock"

_guard = threading.Lock()
_held: dict[str, tuple[int, int]] = {}
"""Real path -> (file descriptor, number of stores of this process that use it)."""


def is_store_folder(folder: Path) -> bool:
    """Return whether a folder is an embedded store, open or not."""
    is_engine = (folder / "metadata").is_dir() and (folder / "store").is_dir()
    return is_engine or (folder / LOCK_NAME).exists()


def acquire(folder: Path) -> None:
    """Acquire the store's lock for this process; reentrant by counting.

    Raises
    ------
    StoreLockedError
        If another process holds it; the message names the process.
    StorageError
        If this process already holds another store: chDB runs one engine per process.
    """
    key = os.path.realpath(folder)
    with _guard:
        descriptor, count = _held.get(key, (-1, 0))
        if count == 0:
            _refuse_second_store(key)
            descriptor = _open_locked(folder)
        _held[key] = (descriptor, count + 1)


def release(folder: Path) -> None:
    """Release the lock; the last release opens the store to other processes."""
    key = os.path.realpath(folder)
    with _guard:
        descriptor, count = _held[key]
        if count > 1:
            _held[key] = (descriptor, count - 1)
            return
        del _held[key]
        os.close(descriptor)


def _refuse_second_store(key: str) -> None:
    """Return the error that names the store that is already open."""
    if _held:
        raise StorageError(
            f"this process already holds the store {next(iter(_held))}",
            where=key,
            fix="close it first: the embedded engine serves one folder a process",
        )


def _open_locked(folder: Path) -> int:
    """Open and lock the file, and write the holder into it."""
    path = folder / LOCK_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 200).decode(errors="replace").strip()
        os.close(descriptor)
        raise StoreLockedError(
            f"another process holds the store ({holder or 'unknown process'})",
            where=str(folder),
            fix="wait for it to end, or name another folder",
        ) from None
    _write_holder(descriptor)
    return descriptor


def _write_holder(descriptor: int) -> None:
    """Write the holder's name; an error of a full disk is ignored here."""
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}, {Path(sys.argv[0]).name}".encode(), 0)
    except OSError:
        return
