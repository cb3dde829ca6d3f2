"""The target of the demo's retraining requests: an HTTP endpoint on loopback that checks them."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import msgspec

from monitor.clock import now_us

SIGNATURE_HEADER = "Driftline-Signature"
KEY_HEADER = "Idempotency-Key"
MAX_BODY_BYTES = 8 << 20
TOLERANCE_S = 300
"""A signature older than this is a recording."""


class RetrainingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted request for a retraining."""

    idempotency_key: str
    body: dict[str, object]
    """The evidence bundle."""

    @property
    def incident_id(self) -> str:
        """The incident that requested the retraining; empty if the bundle names none."""
        incident = self.body.get("incident")
        return str(incident.get("incident_id", "")) if isinstance(incident, dict) else ""


class RetrainingInbox:
    """Accepts retraining requests that are signed, recent, valid JSON and new.

    Parameters
    ----------
    secret : str
        HMAC-SHA256 key shared with the sender.

    Notes
    -----
    A wrong, old or missing signature gets 401, a repeated key 200 without a second
    retraining, a new one 202. It checks signatures with code of its own, as another
    team's service would. Safe to call from several threads.

    Examples
    --------
    >>> RetrainingInbox("key").accept(b"{}", "t=1,v1=forged", "k")
    401
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._accepted: dict[str, RetrainingRequest] = {}
        self._lock = threading.Lock()
        self.n_refused = 0
        self.n_repeated = 0

    @property
    def requests(self) -> tuple[RetrainingRequest, ...]:
        """Accepted requests, one per idempotency key, in the order they came."""
        with self._lock:
            return tuple(self._accepted.values())

    def accept(self, body: bytes, signature: str, key: str) -> int:
        """Check one request and keep it.

        Parameters
        ----------
        signature : str
            ``t=<seconds>,v1=<hex>``: HMAC-SHA256 over ``<seconds>.<body>``.
        key : str
            Idempotency key.

        Returns
        -------
        int
            HTTP status: 202, 200 for a repetition, 400, 401.
        """
        content = _read_object(body) if key else None
        with self._lock:
            if not self._is_signed(body, signature) or content is None:
                self.n_refused += 1
                return 400 if self._is_signed(body, signature) else 401
            if key in self._accepted:
                self.n_repeated += 1
                return 200
            self._accepted[key] = RetrainingRequest(idempotency_key=key, body=content)
            return 202

    def _is_signed(self, body: bytes, signature: str) -> bool:
        """Return whether the body has a valid, recent signature."""
        match = re.fullmatch(r"t=(\d{1,12}),v1=([0-9a-f]{64})", signature)
        if match is None or abs(now_us() // 1_000_000 - int(match[1])) > TOLERANCE_S:
            return False
        signed = match[1].encode() + b"." + body
        expected = hmac.new(self._secret.encode(), signed, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected, match[2])


def _read_object(body: bytes) -> dict[str, object] | None:
    """Decode a JSON object; None for anything else."""
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except msgspec.DecodeError:
        return None


class DemoRetrainingTarget:
    """A training service's endpoint on loopback, on its own thread.

    Parameters
    ----------
    secret : str, optional
        HMAC-SHA256 key; drawn at random when absent.

    Raises
    ------
    OSError
        If no port can be had.
    """

    def __init__(self, secret: str | None = None) -> None:
        self.secret = secret or secrets.token_hex(32)
        self.inbox = RetrainingInbox(self.secret)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.inbox))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """URL of the endpoint."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/retrain"

    @property
    def requests(self) -> tuple[RetrainingRequest, ...]:
        """Accepted requests, one per idempotency key, in the order they came."""
        return self.inbox.requests

    def close(self) -> None:
        """Stop serving; accepted requests can still be read."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        """Return the serving target."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self.close()


def _handler(inbox: RetrainingInbox) -> type[BaseHTTPRequestHandler]:
    """Bind the request handler to its inbox."""

    class Handler(BaseHTTPRequestHandler):
        """Reads one request, passes it to the inbox and answers."""

        timeout = 10

        def do_POST(self) -> None:
            """Answer a retraining request."""
            try:
                n_bytes = int(self.headers.get("Content-Length", ""))
            except ValueError:
                n_bytes = -1
            if not 0 <= n_bytes <= MAX_BODY_BYTES:
                self._answer(413 if n_bytes > MAX_BODY_BYTES else 411)
                return
            body = self.rfile.read(n_bytes)
            self._answer(
                inbox.accept(
                    body,
                    self.headers.get(SIGNATURE_HEADER, ""),
                    self.headers.get(KEY_HEADER, ""),
                )
            )

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Write nothing: the console belongs to the demo."""

    return Handler
