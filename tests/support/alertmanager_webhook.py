"""A receiver of Alertmanager's webhook: keeps every alert that is posted to it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class AlertmanagerWebhook:
    """Accepts every POST on a free port of loopback; a context manager."""

    def __enter__(self) -> Self:
        self.alerts: list[dict[str, Any]] = []
        """Alerts of all messages, in order of arrival."""
        received = self.alerts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.extend(json.loads(body)["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """URL to post to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def statuses(self, alertname: str, **labels: str) -> list[str]:
        """Return ``firing`` or ``resolved`` of each such alert that arrived, in order."""
        wanted = {"alertname": alertname, **labels}.items()
        return [a["status"] for a in list(self.alerts) if wanted <= a["labels"].items()]
