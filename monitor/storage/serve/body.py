"""Receives request bodies: statements in memory, data of INSERTs in a file."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from aiohttp import HttpVersion11, web

from monitor.storage.serve.codecs import Inflater
from monitor.storage.serve.inserts import Insert, split_insert
from monitor.storage.serve.limits import MAX_QUERY_BYTES, Limits
from monitor.storage.serve.refusal import RefusedRequest
from monitor.storage.serve.spool import Claim, Spool

SPOOL_BYTES = 1 << 20
"""Size of writes: pieces arrive with some 100 KiB, and each write is a switch to another thread."""
PIECES_AT_ONCE = 4
"""Pieces of at most 1 MiB that are decompressed per switch to a thread."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request's statement, and its data if there are any."""

    sql: str
    insert: Insert | None = None
    data: Path | None = None
    """File of the data; the caller deletes it."""
    claim: Claim | None = None

    def discard(self) -> None:
        """Delete the data."""
        if self.data is not None:
            self.data.unlink(missing_ok=True)
        if self.claim is not None:
            self.claim.release()


class BodyReader:
    """Reads bodies; decompresses and writes in threads."""

    def __init__(self, limits: Limits, spool: Spool, threads: Executor) -> None:
        self._limits = limits
        self._spool = spool
        self._threads = threads

    async def receive(self, request: web.BaseRequest, sql: str, *, is_reader: bool) -> Received:
        """Read a request's body to its end.

        Parameters
        ----------
        request : aiohttp.web.BaseRequest
            Request with a body that is not yet decompressed.
        sql : str
            The ``query`` parameter; the body is appended to it, as in ClickHouse.
        is_reader : bool
            Whether to reject an INSERT before its data are read.

        Returns
        -------
        Received

        Raises
        ------
        RefusedRequest
            164 for a reader's INSERT, 307 for a body above the limit, 271 and 89 for its encoding,
            62 for a statement above ClickHouse's limit, 209 for a time-out, 202 if the spool is
            full.
        OSError
            If the file cannot be written.
        """
        if not is_reader:
            return await self._receive(request, sql, is_reader=False)
        try:
            # A statement is short: the time-out is for all of it, not per piece.
            async with asyncio.timeout(self._limits.receive_s):
                return await self._receive(request, sql, is_reader=True)
        except TimeoutError:
            raise RefusedRequest(
                209, f"No more of the body came for {self._limits.receive_s:g} s."
            ) from None

    async def _receive(self, request: web.BaseRequest, sql: str, *, is_reader: bool) -> Received:
        """Read a statement, or the head of an INSERT and its data."""
        pieces = self._pieces(request)
        text = sql.encode()
        insert = split_insert(text)
        n_own = len(text)
        if insert is None:
            text += b"\n" if text.strip() else b""
            async for piece in pieces:
                text += piece
                # Parsed only when the head can be complete: a truncated token would be misread.
                if len(text) > MAX_QUERY_BYTES:
                    break
            insert, n_own = split_insert(text[:MAX_QUERY_BYTES]), len(text)
        if insert is None:
            if len(text) > MAX_QUERY_BYTES:
                raise RefusedRequest(62, f"Max query size exceeded: {MAX_QUERY_BYTES} bytes.")
            return Received(_decoded(text))
        if is_reader:
            raise RefusedRequest(164, "Cannot execute query in readonly mode: INSERT.")
        claim = self._spool.claim()
        data = await self._write(text[insert.data_at : n_own], pieces, claim)
        return Received(insert.head, insert, data, claim)

    async def _write(self, first: bytes, pieces: AsyncIterator[bytes], claim: Claim) -> Path:
        """Write the data received so far and the remaining data into a new file."""
        descriptor, name = tempfile.mkstemp(suffix=".data", dir=self._spool.folder)
        path = Path(name)
        loop = asyncio.get_running_loop()
        try:
            with os.fdopen(descriptor, "wb") as file:
                waiting, n_waiting = [first], len(first)
                claim.add(len(first))
                async for piece in pieces:
                    claim.add(len(piece))
                    waiting.append(piece)
                    n_waiting += len(piece)
                    if n_waiting >= SPOOL_BYTES:
                        await loop.run_in_executor(self._threads, file.writelines, waiting)
                        waiting, n_waiting = [], 0
                await loop.run_in_executor(self._threads, file.writelines, waiting)
        except BaseException:
            path.unlink(missing_ok=True)
            claim.release()
            raise
        return path

    async def _pieces(self, request: web.BaseRequest) -> AsyncIterator[bytes]:
        """Yield the decompressed body, with bounds on each wait and on its size."""
        _ask_for_body(request)
        encoding = request.headers.get("Content-Encoding", "").lower()
        inflater = Inflater(encoding)
        is_packed = encoding not in ("", "identity")
        loop = asyncio.get_running_loop()
        n_bytes = 0
        while raw := await self._next(request):
            found = inflater.feed(raw)
            while some := (
                await loop.run_in_executor(self._threads, _take, found)
                if is_packed
                else _take(found)
            ):
                n_bytes += sum(map(len, some))
                if n_bytes > self._limits.body_bytes:
                    raise RefusedRequest(
                        307, f"The body is longer than {self._limits.body_bytes} bytes."
                    )
                for piece in some:
                    yield piece
        inflater.finish()

    async def _next(self, request: web.BaseRequest) -> bytes:
        """Wait for the next piece; empty at the end."""
        wait_s = self._limits.receive_s
        try:
            return await asyncio.wait_for(request.content.readany(), wait_s)
        except TimeoutError:
            raise RefusedRequest(209, f"No more of the body came for {wait_s:g} s.") from None


def _ask_for_body(request: web.BaseRequest) -> None:
    """Answer ``Expect: 100-continue``: curl waits a second for it before 1 MB or more."""
    is_asked = request.headers.get("Expect", "").lower() == "100-continue"
    if is_asked and request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _decoded(text: bytes) -> str:
    """Return a statement's text."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise RefusedRequest(36, "The statement is not UTF-8.") from None


def _take(pieces: Iterator[bytes]) -> list[bytes]:
    """Return the next few pieces; empty at the end."""
    return list(islice(pieces, PIECES_AT_ONCE))
