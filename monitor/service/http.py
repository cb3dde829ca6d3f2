"""What a stage shows of itself: ``/healthz``, ``/readyz`` and ``/metrics``, for machines."""

from __future__ import annotations

import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from monitor import metrics
from monitor.service.address import Address
from monitor.service.life import Life
from schemas.errors import ConfigError

_N_AT_ONCE = 8
_REQUEST_S = 5.0
_PLAIN = "text/plain; charset=utf-8"


class SignsOfLife:
    """A small HTTP server in threads of its own, for as long as a stage lives.

    Parameters
    ----------
    life : Life
        What is shown.
    address : Address
        Loopback unless somebody else has to look; there is no login, and nothing to be
        changed here.

    Raises
    ------
    ConfigError
        If the port is taken or the host is not ours.

    Notes
    -----
    At most eight requests at once, of 5 s each: more wait in the kernel's queue. It answers
    while the stage computes, because its kernels and clients let go of the interpreter.

    Examples
    --------
    >>> with SignsOfLife(Life("ingest"), Address("127.0.0.1", 0)) as signs:
    ...     signs.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self, life: Life, address: Address) -> None:
        self._server = _listen(life, address)
        bound = Address(address.host, self._server.server_address[1])
        self.url = f"http://{bound}"
        _show_life(life)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="signs-of-life", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _show_life(life: Life) -> None:
    """Let the metrics tell what the two signs tell."""
    metrics.READY.labels(life.stage).set_function(lambda: float(life.is_ready))
    metrics.SILENT_SECONDS.labels(life.stage).set_function(lambda: life.silent_s)


def _listen(life: Life, address: Address) -> _Server:
    """Open the socket, or say why it cannot be."""
    try:
        return _Server(life, address)
    except OSError as error:
        # Name resolution has error numbers of its own, negative ones.
        number = error.errno or 0
        reason = os.strerror(number).lower() if number > 0 else str(error.strerror or error)
        raise ConfigError(
            f"cannot listen: {reason}",
            where=f"--http {address}",
            fix="name another port, or port 0 for a free one, or --http off",
        ) from None


class _Server(ThreadingHTTPServer):
    """Threads without number would be one more way to fall over."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, life: Life, address: Address) -> None:
        self.life = life
        self._slots = threading.BoundedSemaphore(_N_AT_ONCE)
        if ":" in address.host:
            self.address_family = socket.AF_INET6
        super().__init__((address.host, address.port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server who we are, as the base class does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a request when a slot is free; a full house is left to its own time-outs."""
        if not self._slots.acquire(timeout=_REQUEST_S):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Give the slot back however the request ended."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no event of ours."""


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server: _Server
    timeout = _REQUEST_S
    server_version, sys_version = "driftline", ""

    def do_GET(self) -> None:
        """Answer one of the three, or name them."""
        life, path = self.server.life, self.path.partition("?")[0]
        if path == "/healthz":
            why = f"no beat for {life.silent_s:.0f} s"
            self._answer_state(life.is_live, "live", why)
        elif path == "/readyz":
            self._answer_state(life.is_ready, "ready", life.why_unready)
        elif path == "/metrics":
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            self._answer(200, kind, encode(REGISTRY))
        else:
            self._answer(404, _PLAIN, b"there are /healthz, /readyz and /metrics\n")

    do_HEAD = do_GET  # noqa: N815

    def _answer_state(self, is_so: bool, yes: str, why_not: str) -> None:
        """Say yes with 200, or why not with 503."""
        words = yes if is_so else why_not
        self._answer(200 if is_so else 503, _PLAIN, f"{words}\n".encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        """Write head and, unless only the head was asked for, body."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: somebody asks every few seconds."""
