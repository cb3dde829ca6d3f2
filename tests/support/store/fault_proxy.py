"""A proxy that simulates network faults between a client and its store.

Bytes of TCP are forwarded; what the client sends after an answer is the next request,
and each request meets the next fault of ``faults``, or ``standing`` when there is none.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import enum
import threading
from dataclasses import dataclass, field
from urllib.parse import urlsplit


class Fault(enum.Enum):
    """Fault of one request."""

    NONE = "forwarded"
    OUTAGE = "the connection is closed, nothing was forwarded"
    SILENCE = "taken, and never answered"
    UNAVAILABLE = "answered with 503, nothing was forwarded"
    GATEWAY = "answered with 502 and a page of HTML, as a load balancer does"
    CUT_REQUEST = "the first bytes are forwarded, then both sides are closed"
    DROPPED_ANSWER = "forwarded and done; the answer never comes"
    HALF_ANSWER = "the answer breaks off after its head"
    SLOW = "the answer comes late"


_CANNED = {
    Fault.UNAVAILABLE: b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n"
    b"Connection: close\r\n\r\ngo away.\n",
    Fault.GATEWAY: b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 38\r\nContent-Type: text/html\r\n"
    b"Connection: close\r\n\r\n<html><body>Bad Gateway</body></html>\n\n",
}


@dataclass
class _Line:
    """One client's connection, and the fault of its current request."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    fault: Fault = Fault.NONE
    is_answering: bool = True
    n_sent: int = 0


@dataclass
class FaultProxy:
    """Forwards to ``target`` and injects faults on demand; a context manager.

    Set ``standing`` and ``faults`` from any thread; they hold from the next request on.
    """

    target: str
    standing: Fault = Fault.NONE
    faults: collections.deque[Fault] = field(default_factory=collections.deque)
    slow_s: float = 0.3
    n_requests: int = 0
    met: list[Fault] = field(default_factory=list)

    def __enter__(self) -> FaultProxy:
        parts = urlsplit(self.target)
        self._to = (parts.hostname, parts.port)
        self._path = parts.path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: set[asyncio.Task] = set()
        self._server = self._call(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The target's URL, by way of the proxy."""
        return f"http://127.0.0.1:{self._port}{self._path}"

    def go_down(self) -> None:
        """Stop listening and drop every connection: connections are refused."""
        self._call(self._shut())

    def come_back(self) -> None:
        """Listen again, on the same port."""
        self._server = self._call(asyncio.start_server(self._connected, "127.0.0.1", self._port))

    def _call(self, coroutine):
        """Run a coroutine on the proxy's own loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    async def _shut(self) -> None:
        """Close the listener and all of its connections.

        A server that is closed fails connections that it has accepted and not yet handed
        over, and leaves their sockets open: so accepting ends some rounds earlier.
        """
        for listener in self._server.sockets:
            self._loop.remove_reader(listener.fileno())
        await self._rounds()
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        await self._rounds()

    async def _rounds(self) -> None:
        """Run scheduled callbacks: transports are created and closed in up to three rounds."""
        for _ in range(3):
            await asyncio.sleep(0)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client in a task; its connection ends with the task, even one never begun."""
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(lambda _: writer.transport.abort())
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until one side ends."""
        try:
            from_server, to_server = await asyncio.open_connection(*self._to)
        except OSError:
            return
        line = _Line(writer, to_server)
        pumps = [
            asyncio.ensure_future(self._upward(line, reader)),
            asyncio.ensure_future(self._downward(line, from_server)),
        ]
        try:
            # Cancelled is ended: a task that is, asyncio would report as a fault of ours.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_server.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _upward(self, line: _Line, reader: asyncio.StreamReader) -> None:
        """Forward requests of the client, unless a fault is scheduled."""
        while data := await reader.read(1 << 16):
            if line.is_answering:
                line.is_answering, line.n_sent = False, 0
                line.fault = self.faults.popleft() if self.faults else self.standing
                self.n_requests += 1
                self.met.append(line.fault)
            if line.fault is Fault.OUTAGE:
                return
            if line.fault is Fault.SILENCE:
                continue
            if line.fault in _CANNED:
                line.client.write(_CANNED[line.fault])
                await line.client.drain()
                # Closing with unread bytes would reset the connection before it is read.
                line.client.write_eof()
                with contextlib.suppress(ConnectionError):
                    while await reader.read(1 << 16):
                        pass
                return
            if line.fault is Fault.CUT_REQUEST:
                line.server.write(data[: len(data) // 2])
                await line.server.drain()
                return
            line.server.write(data)
            await line.server.drain()

    async def _downward(self, line: _Line, reader: asyncio.StreamReader) -> None:
        """Forward responses of the server, unless a fault is scheduled."""
        while data := await reader.read(1 << 16):
            line.is_answering = True
            if line.fault is Fault.DROPPED_ANSWER:
                return
            if line.fault is Fault.SLOW:
                await asyncio.sleep(self.slow_s)
            if line.fault is Fault.HALF_ANSWER:
                head_end = data.find(b"\r\n\r\n") + 4
                cut = head_end + max(0, len(data) - head_end) // 2
                line.client.write(data[:cut])
                await line.client.drain()
                return
            line.client.write(data)
            await line.client.drain()
