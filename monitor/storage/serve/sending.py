"""Sends answers in pieces, compressed in threads, with time-outs for slow clients."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor

from aiohttp import web

from monitor.storage.serve.answers import PIECE_BYTES, Body
from monitor.storage.serve.codecs import deflater
from monitor.storage.serve.limits import Limits

MIN_COMPRESSED_BYTES = 1024
MIN_BYTES_PER_S = 100_000
"""Clients that read more slowly are disconnected, because answers occupy the spool."""


class ResponseSender:
    """Sends complete answers.

    Parameters
    ----------
    limits : Limits
        ``receive_s`` is also the time-out of a client per piece.
    """

    def __init__(self, limits: Limits, threads: Executor) -> None:
        self._limits = limits
        self._threads = threads

    async def send(
        self, request: web.BaseRequest, body: Body, headers: dict[str, str], encoding: str
    ) -> web.StreamResponse:
        """Send an answer and close it; a client that stops reading is disconnected."""
        try:
            if request.method == "HEAD":
                return web.Response(headers=headers)
            if body.n_bytes < MIN_COMPRESSED_BYTES:
                return web.Response(body=body.read(), headers=headers)
            response = web.StreamResponse(headers=headers)
            if encoding:
                response.headers["Content-Encoding"] = encoding
            else:
                response.content_length = body.n_bytes
            await response.prepare(request)
            async with asyncio.timeout(self._limits.receive_s + body.n_bytes / MIN_BYTES_PER_S):
                await self._stream(response, body, encoding)
            return response
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise
        finally:
            body.close()

    async def _stream(self, response: web.StreamResponse, body: Body, encoding: str) -> None:
        """Write every piece, with a time-out on each."""
        pack = deflater(encoding)
        loop = asyncio.get_running_loop()
        n_left = body.n_bytes

        def next_piece() -> bytes:
            nonlocal n_left
            piece = body.read(PIECE_BYTES)
            n_left -= len(piece)
            return pack(piece, n_left <= 0)

        while n_left > 0:
            piece = await loop.run_in_executor(self._threads, next_piece)
            await asyncio.wait_for(response.write(piece), self._limits.receive_s)
        await response.write_eof()
