"""The health server of a stage: ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from contextlib import suppress
from typing import Self

from monitor import metrics
from monitor.service.address import Address
from monitor.service.health_response import answer_to
from monitor.service.lifecycle import Lifecycle
from schemas.errors import ConfigError

REQUEST_S = 5.0
"""Time-out of a connection, from accept to the last byte of its response."""
MAX_CONNECTIONS = 128
"""Maximum number of connections; above it the oldest is closed."""
MAX_HEAD_BYTES = 8_192
"""Maximum size of a request line and its headers."""


class HealthServer:
    """A small HTTP server in a separate thread, for the lifetime of a stage.

    Parameters
    ----------
    lifecycle : Lifecycle
        Lifecycle to report.
    address : Address
        Use loopback unless other hosts need access; there is no authentication, and the server is
        read-only.

    Raises
    ------
    ConfigError
        If the port is in use or the host is not local.

    Notes
    -----
    One event loop serves all connections, so slow ones do not delay others: each has 5 s in total,
    a head of at most 8 KiB, and is closed in favour of newer ones when there are too many. A
    connection serves one request. The server answers while the stage computes, because kernels and
    clients release the GIL.

    Examples
    --------
    >>> with HealthServer(Lifecycle("ingest"), Address("127.0.0.1", 0)) as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self, lifecycle: Lifecycle, address: Address) -> None:
        listener = _listen(address)
        bound = Address(address.host, listener.getsockname()[1])
        self.url = f"http://{bound}"
        _export_lifecycle(lifecycle)
        self._server = _Server(lifecycle, listener)
        self._thread = threading.Thread(target=self._server.run, name="health-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        self._server.stop()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _export_lifecycle(lifecycle: Lifecycle) -> None:
    """Export readiness and liveness as metrics."""
    metrics.READY.labels(lifecycle.stage).set_function(lambda: float(lifecycle.is_ready))
    metrics.SILENT_SECONDS.labels(lifecycle.stage).set_function(lambda: lifecycle.silent_s)


def _listen(address: Address) -> socket.socket:
    """Open the listening socket; raise a config error if that fails."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=128)
    except OSError as error:
        # Name resolution has its own, negative error numbers.
        number = error.errno or 0
        reason = os.strerror(number).lower() if number > 0 else str(error.strerror or error)
        raise ConfigError(
            f"cannot listen: {reason}",
            where=f"--http {address}",
            fix="name another port, or port 0 for a free one, or --http off",
        ) from None


class _Server:
    """Event loop of one listener."""

    def __init__(self, lifecycle: Lifecycle, listener: socket.socket) -> None:
        self._lifecycle, self._listener = lifecycle, listener
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._open: dict[asyncio.StreamWriter, None] = {}
        """Connections in order of arrival."""

    def run(self) -> None:
        """Serve until stopped."""
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    def stop(self) -> None:
        """End the loop, from another thread."""
        with suppress(RuntimeError):  # the loop has already ended
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self) -> None:
        """Accept connections until stopped, then close the open ones."""
        server = await asyncio.start_server(self._take, sock=self._listener, limit=MAX_HEAD_BYTES)
        async with server:
            await self._stopping.wait()
            # Closing a server fails connections that are accepted but not yet passed to the
            # handler, and leaks their sockets; the hand-over takes three iterations of the loop.
            self._loop.remove_reader(self._listener)
            for _ in range(3):
                await asyncio.sleep(0)
            for writer in self._open:
                writer.transport.abort()
            while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(tasks)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection within its time-out."""
        if len(self._open) >= MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()
        self._open[writer] = None
        try:
            async with asyncio.timeout(REQUEST_S):
                writer.write(answer_to(await _head(reader), self._lifecycle))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # a slow or disconnected client is not an error
        finally:
            self._open.pop(writer, None)
            writer.transport.abort()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Read a request up to the blank line; empty if it is too long."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return b""
