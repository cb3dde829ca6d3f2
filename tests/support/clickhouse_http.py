"""ClickHouse's HTTP interface in front of the embedded engine.

Enough of it for clickhouse-connect's ordinary client, so that the code that will talk
to a server is run against the real engine over a real socket: ``query`` with
``param_*`` and settings, bodies, compression, errors as 500 with the exception code.
"""

from __future__ import annotations

import gzip
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

_CODE = re.compile(r"Code: (\d+)")
_NOT_SETTINGS = {
    "query", "database", "default_format", "session_id", "query_id", "compress", "decompress",
    "buffer_size", "wait_end_of_query", "client_protocol_version", "enable_http_compression",
    "send_progress_in_http_headers", "http_headers_progress_interval_ms", "session_timeout",
    "cancel_http_readonly_queries_on_client_close", "user", "password", "role", "quota_key",
}  # fmt: skip
_INSERT = re.compile(r"\s*INSERT\s+INTO\s.*?\sFORMAT\s+(\w+)\s*$", re.IGNORECASE | re.DOTALL)
_RESULTLESS = re.compile(
    r"\s*(INSERT|CREATE|DROP|ALTER|OPTIMIZE|TRUNCATE|RENAME|SYSTEM|SET)\b", re.IGNORECASE
)


def _decompress(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "lz4":
        import lz4.frame

        return lz4.frame.decompress(body)
    if encoding == "zstd":
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return body


def _run(connection, asked: dict[str, str], body: bytes) -> bytes:
    """Run one request on the engine and return the body of its answer."""
    sql = asked.get("query", "")
    payload = body
    if not sql:
        sql, _, payload = (
            body.partition(b"\n")
            if _INSERT.match(body.decode(errors="ignore").split("\n")[0])
            else (body, b"", b"")
        )
        sql = sql.decode()
    settings = {
        k: v for k, v in asked.items() if k not in _NOT_SETTINGS and not k.startswith("param_")
    }
    parameters = {k[6:]: v for k, v in asked.items() if k.startswith("param_")}
    clause = ", ".join(f"{k} = '{v}'" for k, v in settings.items())
    if match := _INSERT.match(sql):
        with tempfile.NamedTemporaryFile(suffix=".body") as file:
            file.write(payload)
            file.flush()
            head = sql[: match.start(1)].rstrip()[: -len("FORMAT")]
            with_settings = f" SETTINGS {clause}" if clause else ""
            sql = f"{head} FROM INFILE '{file.name}'{with_settings} FORMAT {match[1]}"
            return connection.query(sql, "TabSeparated").bytes() or b""
    if clause and not _RESULTLESS.match(sql):
        found = re.search(r"\s+FORMAT\s+\w+\s*$", sql, re.IGNORECASE)
        cut = found.start() if found else len(sql)
        sql = f"{sql[:cut]}\nSETTINGS {clause}{sql[cut:]}"
    format_ = asked.get("default_format", "TabSeparated")
    return connection.query(sql, format_, params=parameters).bytes() or b""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"Ok.\n" if self.path == "/ping" else None, b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(None, _decompress(body, self.headers.get("Content-Encoding", "")))

    def _answer(self, ready: bytes | None, body: bytes) -> None:
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        code = 0
        try:
            with self.server.lock:
                out = ready if ready is not None else _run(self.server.connection, asked, body)
        except Exception as error:
            out = str(error).encode()
            code = int(found[1]) if (found := _CODE.search(str(error))) else 1
        self.send_response(500 if code else 200)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder's engine on a free port of loopback; yield the URL."""
    import chdb

    connection = chdb.connect(str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.connection, server.lock = connection, threading.Lock()
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/default"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        connection.close()
