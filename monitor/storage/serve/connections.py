"""Bounds on the number of connections and on their idle time."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from monitor.storage.serve.limits import Limits

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
SPARE_FILES = 256
"""File descriptors reserved for the engine's parts, spools and pipes."""


class Connections(web.Server):
    """aiohttp's server with bounds on idle connections.

    Parameters
    ----------
    handler : callable
        Answers one request.
    **options
        Options of aiohttp's server.

    Notes
    -----
    When there are more than ``n_connections``, the connection that has been idle for the longest
    time is closed; clients reconnect when needed. So idle connections never block a client, even
    behind three thousand of them.
    """

    def __init__(self, handler: Handler, limits: Limits, **options: Any) -> None:
        super().__init__(self._handle, keepalive_timeout=limits.idle_s, **options)
        self._answer = handler
        self._limits = limits
        self._bound = min(limits.n_connections, _files_allowed() - SPARE_FILES)
        # In order of idle time: a dict keeps the order of insertion.
        self._waiting: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self._n_busy = 0

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Register a connection, and close an idle one if there are too many."""
        super().connection_made(handler, transport)
        self._wait(transport)
        if len(self._waiting) + self._n_busy > self._bound:
            oldest = next(iter(self._waiting))
            self._stop_waiting(oldest)  # its end is reported later, after further ones
            _close(oldest)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Unregister a connection."""
        transport = self._connections.get(handler)
        super().connection_lost(handler, exc)
        if transport is not None:
            self._stop_waiting(transport)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; its connection is not idle meanwhile."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        self._stop_waiting(transport)
        self._n_busy += 1
        try:
            return await self._answer(request)
        finally:
            self._n_busy -= 1
            if not transport.is_closing():
                self._wait(transport)

    def _wait(self, transport: asyncio.BaseTransport) -> None:
        """Start the time-out for receiving a complete request head."""
        self._stop_waiting(transport)
        loop = asyncio.get_running_loop()
        self._waiting[transport] = loop.call_later(self._limits.idle_s, _close, transport)

    def _stop_waiting(self, transport: asyncio.BaseTransport) -> None:
        """Cancel the time-out of a connection."""
        if clock := self._waiting.pop(transport, None):
            clock.cancel()


def _close(transport: asyncio.BaseTransport) -> None:
    """Close a connection immediately; it has no request in progress."""
    if isinstance(transport, asyncio.Transport):
        transport.abort()


def _files_allowed() -> int:
    """Raise the soft limit of open files to the hard one; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft if soft != resource.RLIM_INFINITY else wanted
