"""Responses of the health server, as a function of request head and lifecycle."""

from __future__ import annotations

import io
from http.server import BaseHTTPRequestHandler

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from monitor.service.lifecycle import Lifecycle
from schemas.spelling import spell_controls

_PLAIN = "text/plain; charset=utf-8"


def answer_to(head: bytes, lifecycle: Lifecycle) -> bytes:
    """Return the response to a request, headers and body.

    Parameters
    ----------
    head : bytes
        Request line and headers up to the blank line; empty if it was too long.
    lifecycle : Lifecycle
        Lifecycle to report.

    Examples
    --------
    >>> answer = answer_to(b"GET /healthz HTTP/1.1\\r\\n\\r\\n", Lifecycle("ingest"))
    >>> answer.split(b"\\r\\n")[0], answer.split(b"\\r\\n")[-1]
    (b'HTTP/1.0 200 OK', b'live\\n')
    >>> answer_to(b"", Lifecycle("ingest")).split(b"\\r\\n")[0]
    b'HTTP/1.0 431 Request Header Fields Too Large'
    """
    return _Handler(head, lifecycle).answer


class _Handler(BaseHTTPRequestHandler):
    """Handles GET and HEAD on bytes; connections are handled by the server."""

    server_version, sys_version = "driftline", ""

    def __init__(self, head: bytes, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self.rfile, self.wfile = io.BufferedReader(io.BytesIO(head)), io.BytesIO()
        self.client_address, self.requestline = ("", 0), ""
        self.request_version, self.command = self.protocol_version, ""
        if head:
            self.handle_one_request()
        else:
            self.send_error(431)
        self.answer = self.wfile.getvalue()

    def do_GET(self) -> None:
        """Answer one of the three paths; for others list them."""
        lifecycle, path = self._lifecycle, self.path.partition("?")[0]
        if path == "/healthz":
            why = f"no heartbeat for {lifecycle.silent_s:.0f} s"
            self._answer_state(lifecycle.is_live, "live", why)
        elif path == "/readyz":
            self._answer_state(lifecycle.is_ready, "ready", lifecycle.why_unready)
        elif path == "/metrics":
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            self._answer(200, kind, encode(REGISTRY))
        else:
            self._answer(404, _PLAIN, b"there are /healthz, /readyz and /metrics\n")

    do_HEAD = do_GET  # noqa: N815

    def _answer_state(self, is_so: bool, yes: str, why_not: str) -> None:
        """Answer 200, or 503 with the reason."""
        words = yes if is_so else why_not
        self._answer(200 if is_so else 503, _PLAIN, f"{spell_controls(words)}\n".encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        """Write the head and, except for HEAD, the body."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing, because probes arrive every few seconds."""
