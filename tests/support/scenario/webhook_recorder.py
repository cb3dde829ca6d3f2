"""A webhook server that outlives every worker and records what it receives."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from monitor.clock import now_us

REFUSING = "deaf"
"""What is posted to this path is refused for good."""


class ReceivedPost(NamedTuple):
    """One received message."""

    notification_id: str
    dedup_key: str
    idempotency_key: str
    alert_ids: frozenset[str]
    came_us: int
    """By the wall clock."""


class _WebhookServer(ThreadingHTTPServer):
    """A client may be killed in the middle of a request."""

    def handle_error(self, *_: Any) -> None:
        """Log nothing."""


class WebhookRecorder:
    """Records every POST on a free port of loopback; a context manager."""

    def __enter__(self) -> Self:
        self.received: list[ReceivedPost] = []
        self.refused: set[str] = set()
        """Ids of the notifications that were not taken."""
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                came = now_us()
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                received = _received(body, self.headers.get("Idempotency-Key", ""), came)
                is_refused = self.path.endswith(REFUSING)
                if is_refused:
                    webhook.refused.add(received.notification_id)
                webhook.received.append(received)
                self.send_response(410 if is_refused else 200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _WebhookServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    @property
    def url(self) -> str:
        """URL to post to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _received(body: dict[str, Any], key: str, came_us: int) -> ReceivedPost:
    alerts = frozenset(alert["alert_id"] for alert in body["incident"]["alerts"])
    return ReceivedPost(body["notification_id"], body["dedup_key"], key, alerts, came_us)
