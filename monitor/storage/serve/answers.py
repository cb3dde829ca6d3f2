"""Answers as they are produced: counted byte by byte, and cut at their bound.

``max_result_bytes`` is checked between blocks, before they are formatted: 64 MiB allowed
gave answers of 610 MiB and 4.9 GiB of memory. So the engine writes into a pipe
(``INTO OUTFILE '/dev/fd/N'``), and a thread reads it into memory, beyond 1 MiB into an
unnamed file of the spool. An answer is whole before its first byte is sent: an error is
never half an answer, and a slow client holds no query.
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
    """A pipe for one query to write to, and the thread that reads it.

    Parameters
    ----------
    limit_bytes : int
        Longest answer.

    Notes
    -----
    Beyond the bound the reading end closes, and the engine's next write ends its query.
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
        """Where the engine writes."""
        return f"/dev/fd/{self._writing}"

    def finish(self) -> Body:
        """Wait for the last byte and return the answer.

        Raises
        ------
        RefusedRequest
            396 if it was longer than its bound, 202 if the spool is full.
        """
        self._end()
        if self._refusal is not None:
            self._discard()
            raise self._refusal
        self._file.seek(0)
        return Body(self._file, self._claim.n_bytes, self._claim.release)

    def abandon(self) -> Exception | None:
        """Drop the answer of a query that failed; return why it was cut, if it was."""
        self._end()
        self._discard()
        return self._refusal

    def _end(self) -> None:
        """Close our end, so that the reader sees the end of the stream."""
        os.close(self._writing)
        self._thread.join()

    def _discard(self) -> None:
        self._file.close()
        self._claim.release()

    def _drain(self) -> None:
        """Read until the end or the bound."""
        try:
            while piece := os.read(self._reading, PIECE_BYTES):
                self._keep(piece)
        except Exception as error:
            self._refusal = error
        finally:
            os.close(self._reading)

    def _keep(self, piece: bytes) -> None:
        """Count a piece, then write it."""
        if self._claim.n_bytes + len(piece) > self._limit_bytes:
            raise RefusedRequest(
                396,
                f"Limit for result exceeded, max bytes: {self._limit_bytes}.",
                "TOO_MANY_ROWS_OR_BYTES",
            )
        self._claim.add(len(piece))
        self._file.write(piece)


class Body:
    """A whole answer; read it once, then close it."""

    def __init__(self, file: IO[bytes], n_bytes: int, release: Callable[[], None]) -> None:
        self._file = file
        self.n_bytes = n_bytes
        self._release = release

    def read(self, n_bytes: int = -1) -> bytes:
        """Return the next bytes; empty at the end."""
        return self._file.read(n_bytes)

    def close(self) -> None:
        """Give memory and disk back."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._release()
