"""Folder of bodies and answers in transit, with a bound on its total size."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from monitor.storage.serve.refusal import RefusedRequest


class Spool:
    """A folder with a bound on its total size; thread-safe.

    Parameters
    ----------
    folder : Path
        Created if missing; files left by a killed server are deleted.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     spool = Spool(Path(folder) / "spool", limit_bytes=10)
    ...     with spool.claim() as first, spool.claim() as second:
    ...         first.add(8)
    ...         second.add(8)
    Traceback (most recent call last):
    monitor.storage.serve.refusal.RefusedRequest: Code: 202. DB::Exception: The server holds 10 \
bytes, its bound; try again. (TOO_MANY_SIMULTANEOUS_QUERIES)
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        self.folder = folder
        self._limit_bytes = limit_bytes
        self._held_bytes = 0
        self._lock = threading.Lock()

    def claim(self) -> Claim:
        """Return a claim that can grow, and is released at the end of its ``with``."""
        return Claim(self)

    def take(self, n_bytes: int) -> None:
        """Reserve bytes, or raise if the bound is exceeded; negative numbers release."""
        with self._lock:
            if n_bytes > 0 and self._held_bytes + n_bytes > self._limit_bytes:
                raise RefusedRequest(
                    202,
                    f"The server holds {self._limit_bytes} bytes, its bound; try again.",
                )
            self._held_bytes += n_bytes


class Claim:
    """Reservation of a body or an answer in a spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.n_bytes = 0

    def add(self, n_bytes: int) -> None:
        """Reserve more bytes, before they are written.

        Raises
        ------
        RefusedRequest
            202 if the spool's bound would be exceeded.
        """
        self._spool.take(n_bytes)
        self.n_bytes += n_bytes

    def release(self) -> None:
        """Release everything; idempotent."""
        self._spool.take(-self.n_bytes)
        self.n_bytes = 0

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
