"""Request bodies: the statement into memory, an INSERT's data into a file."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from monitor.storage.serve.codecs import Inflater
from monitor.storage.serve.limits import MAX_QUERY_BYTES, Limits
from monitor.storage.serve.refusal import Refusal
from monitor.storage.serve.statement import Insert, split_insert

SPOOL_BYTES = 1 << 20
"""Written at once: pieces come of some 100 KiB, and each was a hop to the thread that writes."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request's statement, and its data where it has some."""

    sql: str
    insert: Insert | None = None
    data: Path | None = None
    """To be deleted by who asked for it."""

    def discard(self) -> None:
        """Delete the data."""
        if self.data is not None:
            self.data.unlink(missing_ok=True)


async def receive(request: web.Request, sql: str, limits: Limits, spool: Path) -> Received:
    """Read a request's body to its end.

    Parameters
    ----------
    request : aiohttp.web.Request
        Its body is not decompressed yet.
    sql : str
        The ``query`` parameter; the body continues it, as ClickHouse has it.
    limits : Limits
    spool : Path
        Folder for data.

    Returns
    -------
    Received

    Raises
    ------
    Refusal
        307 for a body beyond the bound, 271 and 89 for its encoding, 62 for a statement
        beyond ClickHouse's own bound, 209 for one that stops coming.
    OSError
        If the folder takes no more.
    """
    pieces = _pieces(request, limits)
    text = sql.encode()
    insert = split_insert(text)
    n_own = len(text)
    if insert is None:
        text += b"\n" if text.strip() else b""
        async for piece in pieces:
            text += piece
            # Judged only once the head can be whole: a cut token would be read wrongly.
            if len(text) > MAX_QUERY_BYTES:
                break
        insert, n_own = split_insert(text[:MAX_QUERY_BYTES]), len(text)
    if insert is None:
        if len(text) > MAX_QUERY_BYTES:
            raise Refusal(62, f"Max query size exceeded: {MAX_QUERY_BYTES} bytes.")
        return Received(_decoded(text))
    data = await _spool(text[insert.data_at : n_own], pieces, spool)
    return Received(insert.head, insert, data)


async def _spool(first: bytes, pieces: AsyncIterator[bytes], spool: Path) -> Path:
    """Write the data that are here and those that still come into a new file."""
    descriptor, name = tempfile.mkstemp(suffix=".data", dir=spool)
    path = Path(name)
    loop = asyncio.get_running_loop()
    try:
        with os.fdopen(descriptor, "wb") as file:
            waiting, n_waiting = [first], len(first)
            async for piece in pieces:
                waiting.append(piece)
                n_waiting += len(piece)
                if n_waiting >= SPOOL_BYTES:
                    await loop.run_in_executor(None, file.writelines, waiting)
                    waiting, n_waiting = [], 0
            await loop.run_in_executor(None, file.writelines, waiting)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


async def _pieces(request: web.Request, limits: Limits) -> AsyncIterator[bytes]:
    """Yield the body decompressed, each wait and the whole of it bounded."""
    inflater = Inflater(request.headers.get("Content-Encoding", "").lower())
    n_bytes = 0
    while raw := await _next(request, limits):
        for piece in inflater.feed(raw):
            n_bytes += len(piece)
            if n_bytes > limits.body_bytes:
                raise Refusal(307, f"The body is longer than {limits.body_bytes} bytes.")
            yield piece
    inflater.finish()


async def _next(request: web.Request, limits: Limits) -> bytes:
    """Wait for the next piece; empty at the end."""
    try:
        return await asyncio.wait_for(request.content.readany(), limits.receive_s)
    except TimeoutError:
        raise Refusal(209, f"No more of the body came for {limits.receive_s:g} s.") from None


def _decoded(text: bytes) -> str:
    """Return a statement's text."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise Refusal(36, "The statement is not UTF-8.") from None
