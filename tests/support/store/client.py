"""A client of the store's HTTP front that sends exactly the given bytes."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from monitor.storage.passwords import PASSWORD_VARIABLE, READER_PASSWORD_VARIABLE

WRITER_PASSWORD, READER_PASSWORD = "writer-s3cret", "reader-s3cret"
PASSWORDS = {PASSWORD_VARIABLE: WRITER_PASSWORD, READER_PASSWORD_VARIABLE: READER_PASSWORD}


@dataclass(frozen=True)
class Reply:
    """Status, body and ClickHouse's code of one answer."""

    status: int
    body: bytes
    code: int

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


def send(
    url: str,
    body: bytes | None = None,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 90.0,
    **parameters: str,
) -> Reply:
    """Send one request with these headers only (and Host, Content-Length)."""
    parts = urlsplit(url)
    client = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    try:
        client.request(method, f"/?{urlencode(parameters)}", body, dict(headers or {}))
        answer = client.getresponse()
        code = int(answer.headers.get("X-ClickHouse-Exception-Code", "0"))
        return Reply(answer.status, answer.read(), code)
    finally:
        client.close()


def ask(url: str, sql: str, user: str = "reader", **parameters: str) -> Reply:
    """Send a statement under an account of a store with :data:`PASSWORDS`."""
    key = READER_PASSWORD if user == "reader" else WRITER_PASSWORD
    headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": key}
    return send(url, sql.encode(), headers=headers, **parameters)
