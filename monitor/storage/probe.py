"""Checks before the start that the store is writable, without leaving changes."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from monitor.storage.clickhouse import Store
from schemas.errors import StorageError


def probe(target: str) -> str:
    """Open a store, write one row and delete it again.

    Parameters
    ----------
    target : str
        Folder or ``http(s)://host:port/database``.

    Returns
    -------
    str
        Result as text for the user. A missing folder is not created, only checked to be creatable.

    Raises
    ------
    StorageError
        If the store cannot be opened or written.
    """
    if "://" not in target and not Path(target).exists():
        return _could_be_made(Path(target))
    with Store.open(target) as store:
        table = f"driftline_check_{uuid.uuid4().hex}"
        store.command(f"CREATE TABLE {table} (n UInt8) ENGINE = MergeTree ORDER BY n")
        try:
            store.command(f"INSERT INTO {table} VALUES (1)")
        finally:
            store.command(f"DROP TABLE {table}")
    return "opened and written to"


def _could_be_made(folder: Path) -> str:
    """Check that the nearest existing parent folder is writable."""
    nearest = next(parent for parent in folder.absolute().parents if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise StorageError(
            f"{nearest} cannot be written to",
            where=str(folder),
            fix="choose another place under store, or change its permissions",
        )
    return "not there yet; the first run makes it"
