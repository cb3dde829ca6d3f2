"""The folder where bodies and answers wait, and one bound over all of it."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from monitor.storage.serve.refusal import RefusedRequest


class Spool:
    """A folder with a bound over everything that lies in it; for several threads.

    Parameters
    ----------
    folder : Path
        Made where absent, and emptied of what a killed server left.

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
        """Return a claim that grows, and is given back at the end of its ``with``."""
        return Claim(self)

    def take(self, n_bytes: int) -> None:
        """Count bytes, or refuse them; negative to give back."""
        with self._lock:
            if n_bytes > 0 and self._held_bytes + n_bytes > self._limit_bytes:
                raise RefusedRequest(
                    202,
                    f"The server holds {self._limit_bytes} bytes, its bound; try again.",
                )
            self._held_bytes += n_bytes


class Claim:
    """The part of a spool that one body or one answer takes."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.n_bytes = 0

    def add(self, n_bytes: int) -> None:
        """Claim more, before it is written.

        Raises
        ------
        RefusedRequest
            202 if the spool's bound would be exceeded.
        """
        self._spool.take(n_bytes)
        self.n_bytes += n_bytes

    def release(self) -> None:
        """Give everything back; more than once is harmless."""
        self._spool.take(-self.n_bytes)
        self.n_bytes = 0

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
