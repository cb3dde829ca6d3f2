"""Collects answers as they are produced, with an exact bound on their size.

``max_result_bytes`` is checked between blocks, before they are formatted: with a limit of 64 MiB,
answers of 610 MiB used 4.9 GiB of memory. So the engine writes into a pipe (``INTO OUTFILE
'/dev/fd/N'``), and a thread reads it into memory, or above 1 MiB into an unnamed file of the spool.
An answer is complete before its first byte is sent: an error never truncates an answer, and a slow
client does not keep a query running.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable
from typing import IO

from monitor.storage.serve.refusal import RefusedRequest
from monitor.storage.serve.spool import Spool

PIECE_BYTES = 1 << 18
IN_MEMORY_BYTES = 1 << 20


class Outlet:
    """A pipe that one query writes to, and the thread that reads it.

    Parameters
    ----------
    limit_bytes : int
        Maximum size of the answer.

    Notes
    -----
    When the bound is exceeded the reading end is closed, and the engine's next write fails.
    """

    def __init__(self, spool: Spool, limit_bytes: int) -> None:
        self._claim = spool.claim()
        self._limit_bytes = limit_bytes
        self._refusal: Exception | None = None
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - the body closes it
            IN_MEMORY_BYTES, dir=str(spool.folder)
        )
        self._reading, self._writing = os.pipe()
        self._thread = threading.Thread(target=self._drain, name="answer", daemon=True)
        self._thread.start()

    @property
    def path(self) -> str:
        """Path that the engine writes to."""
        return f"/dev/fd/{self._writing}"

    def finish(self) -> Body:
        """Wait for the last byte and return the answer.

        Raises
        ------
        RefusedRequest
            396 if it exceeded its bound, 202 if the spool is full.
        """
        self._end()
        if self._refusal is not None:
            self._discard()
            raise self._refusal
        self._file.seek(0)
        return Body(self._file, self._claim.n_bytes, self._claim.release)

    def abandon(self) -> Exception | None:
        """Drop the answer of a failed query; return the reason if it exceeded a bound."""
        self._end()
        self._discard()
        return self._refusal

    def _end(self) -> None:
        """Close the writing end, so that the reader sees the end of the stream."""
        os.close(self._writing)
        self._thread.join()

    def _discard(self) -> None:
        self._file.close()
        self._claim.release()

    def _drain(self) -> None:
        """Read until the end of the stream or the bound."""
        try:
            while piece := os.read(self._reading, PIECE_BYTES):
                self._keep(piece)
        except Exception as error:
            self._refusal = error
        finally:
            os.close(self._reading)

    def _keep(self, piece: bytes) -> None:
        """Count and store a piece."""
        if self._claim.n_bytes + len(piece) > self._limit_bytes:
            raise RefusedRequest(
                396,
                f"Limit for result exceeded, max bytes: {self._limit_bytes}.",
                "TOO_MANY_ROWS_OR_BYTES",
            )
        self._claim.add(len(piece))
        self._file.write(piece)


class Body:
    """A complete answer; read it once, then close it."""

    def __init__(self, file: IO[bytes], n_bytes: int, release: Callable[[], None]) -> None:
        self._file = file
        self.n_bytes = n_bytes
        self._release = release

    def read(self, n_bytes: int = -1) -> bytes:
        """Return the next bytes; empty at the end."""
        return self._file.read(n_bytes)

    def close(self) -> None:
        """Free memory and disk space."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._release()
