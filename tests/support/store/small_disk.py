"""A small file system, and a way to fill it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_PIECE_BYTES = 1 << 16


@contextlib.contextmanager
def small_disk_at(place: Path, size: str = "24m") -> Iterator[Path]:
    """Mount a file system of that size; skip the test without the permission to mount."""
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("not permitted here: mounting a small file system needs root")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True
    )
    if done.returncode:
        pytest.skip("not permitted here: mounting a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def fill(path: Path, *, keep_bytes: int = 0) -> None:
    """Write until the disk is full, or until so many bytes are free.

    Notes
    -----
    ClickHouse refuses an insert with less than 1 MiB free. Of an insert in progress while the last
    byte is taken, it may acknowledge a part whose file of marks is empty, which no query can read
    (26.9; also with ``fsync_after_insert``). With ``keep_bytes`` of half a MiB, an insert in
    progress can end, and all later ones are refused.
    """
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while (n_left := _n_free(path.parent) - keep_bytes) > 0:
            file.write(b"\0" * min(n_left, _PIECE_BYTES))


def _n_free(folder: Path) -> int:
    """Return how many bytes can be written."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
