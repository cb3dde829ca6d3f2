"""HTTP round the engine: who asks, what, in which encoding; and the answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from monitor.storage.serve.accounts import Account, Accounts
from monitor.storage.serve.body import Received, receive
from monitor.storage.serve.codecs import choose_encoding, deflate
from monitor.storage.serve.engine import Answer, Engine, Query
from monitor.storage.serve.limits import Limits
from monitor.storage.serve.refusal import Refusal, refusal_of
from monitor.storage.serve.statement import READ_VERBS, canonical_verb

NOT_SETTINGS = frozenset(
    {
        "query", "database", "default_format", "session_id", "session_timeout", "session_check",
        "query_id", "compress", "decompress", "buffer_size", "wait_end_of_query", "user",
        "password", "role", "quota_key", "client_protocol_version", "enable_http_compression",
        "http_zlib_compression_level", "send_progress_in_http_headers", "stacktrace",
        "http_headers_progress_interval_ms", "add_http_cors_header", "close_session",
        "cancel_http_readonly_queries_on_client_close", "http_response_headers",
        "log_comment", "use_query_cache",
    }
)  # fmt: skip
"""Of the query string: what HTTP itself consumes. The rest are the engine's settings."""
GRACE_S = 2.0
"""After its time a query that the engine did not stop is killed."""
MIN_COMPRESSED_BYTES = 1024

_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_CONTENT_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "Tab": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "Pretty": "text/plain; charset=UTF-8",
    "Vertical": "text/plain; charset=UTF-8",
}


class Front:
    """The handlers, and what they share.

    Parameters
    ----------
    engine : Engine
    accounts : Accounts
    limits : Limits
    """

    def __init__(self, engine: Engine, accounts: Accounts, limits: Limits) -> None:
        self._engine = engine
        self._accounts = accounts
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.n_concurrent)
        self._threads = ThreadPoolExecutor(limits.n_concurrent, "query")
        # Beside them: a kill must not wait for the queries it is meant for.
        self._killers = ThreadPoolExecutor(1, "kill")
        self._running: set[Query] = set()

    def application(self) -> web.Application:
        """Return the application: ``/``, ``/ping``, ``/replicas_status``."""
        app = web.Application(handler_args={"auto_decompress": False})
        app.router.add_get("/ping", self._ping)
        app.router.add_get("/replicas_status", self._ping)
        app.router.add_route("*", "/", self._query)
        return app

    async def kill_all(self) -> None:
        """Stop what still runs; each gets its error."""
        for query in list(self._running):
            await self._kill(query)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)
        self._killers.shutdown(wait=False)

    async def _ping(self, _: web.Request) -> web.Response:
        """Say that the server is there; the engine is not asked."""
        return web.Response(text="Ok.\n")

    async def _query(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whatever happens."""
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        try:
            if request.method not in ("GET", "HEAD", "POST"):
                raise Refusal(36, f"{request.method[:16]} is not taken; use GET or POST.")
            self._accounts.refuse_browsers(request.headers)
            account = self._accounts.identify(request.headers, request.query)
            if request.method != "POST" and "query" not in request.query:
                return web.Response(text="Ok.\n")
            return await self._answer(request, account, query_id)
        except Exception as error:
            return self._refused(request, refusal_of(error), query_id)

    async def _answer(self, request: web.Request, account: Account, query_id: str) -> web.Response:
        """Read the request, run it, and write its answer."""
        if request.content_type == "multipart/form-data":
            raise Refusal(48, "External data and form fields are not taken; use param_*.")
        for name in ("compress", "decompress"):
            if request.query.get(name, "0") not in ("0", ""):
                raise Refusal(48, f"{name}=1 is not taken; use Accept- and Content-Encoding.")
        sql = request.query.get("query", "")
        received = await receive(request, sql, self._limits, self._engine.spool)
        try:
            answer = await self._run(_query_of(request, received, account, query_id))
        finally:
            received.discard()
        return await self._response(request, answer, query_id)

    async def _run(self, query: Query) -> Answer:
        """Wait for a turn, run, and stop what takes too long or whose client is gone."""
        allowed_s = float(self._limits.within(query.settings)["max_execution_time"]) + GRACE_S
        try:
            await asyncio.wait_for(self._turns.acquire(), self._limits.queue_s)
        except TimeoutError:
            n = self._limits.n_concurrent
            raise Refusal(202, f"Too many simultaneous queries. Maximum: {n}.") from None
        self._running.add(query)
        loop = asyncio.get_running_loop()
        job = asyncio.ensure_future(loop.run_in_executor(self._threads, self._engine.run, query))
        job.add_done_callback(lambda done: self._ended(query, done))
        try:
            done, _ = await asyncio.wait({job}, timeout=allowed_s)
        except asyncio.CancelledError:
            # The client is gone: nobody waits for a question's answer, but an INSERT
            # that came whole is finished, as on a server.
            if canonical_verb(query.received.sql) in READ_VERBS:
                await self._kill(query)
            await asyncio.wait({job})
            raise
        if not done:
            await self._kill(query)
            await asyncio.wait({job})
        return job.result()

    def _ended(self, query: Query, job: asyncio.Future[Answer]) -> None:
        """Give the turn to the next one."""
        self._running.discard(query)
        self._turns.release()
        if not job.cancelled():
            job.exception()

    async def _kill(self, query: Query) -> None:
        """Tell the engine to stop a query."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(Exception):  # it may have ended by itself
            await loop.run_in_executor(self._killers, self._engine.kill, query)

    async def _response(self, request: web.Request, answer: Answer, query_id: str) -> web.Response:
        """Write the engine's answer."""
        summary = {
            "read_rows": str(answer.n_read_rows),
            "written_rows": str(answer.n_written_rows),
            "result_rows": str(answer.n_rows),
            "result_bytes": str(len(answer.data)),
            "elapsed_ns": str(int(answer.elapsed_s * 1e9)),
        }
        headers = self._headers(query_id) | {
            "X-ClickHouse-Format": answer.format,
            "X-ClickHouse-Summary": json.dumps(summary),
            "Content-Type": _content_type(answer.format),
        }
        data = answer.data
        encoding = _encoding(request)
        if encoding and len(data) >= MIN_COMPRESSED_BYTES:
            headers["Content-Encoding"] = encoding
            loop = asyncio.get_running_loop()
            data = await loop.run_in_executor(None, deflate, data, encoding)
        return web.Response(body=data, headers=headers)

    def _refused(self, request: web.Request, refusal: Refusal, query_id: str) -> web.Response:
        """Write an error as ClickHouse does."""
        headers = self._headers(query_id) | {"X-ClickHouse-Exception-Code": str(refusal.code)}
        if refusal.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        text = f"{refusal} (version {self._engine.version})\n"
        response = web.Response(status=refusal.status, text=text, headers=headers)
        if not request.content.at_eof():
            response.force_close()  # the rest of the body is not read any more
        return response

    def _headers(self, query_id: str) -> dict[str, str]:
        """What every answer carries."""
        return {
            "X-ClickHouse-Query-Id": re.sub(r"[^\x20-\x7e]", "?", query_id)[:200],
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": self._engine.name,
        }


def _query_of(request: web.Request, received: Received, account: Account, query_id: str) -> Query:
    """Sort the query string into what it is."""
    asked = request.query
    settings = {}
    for name, value in asked.items():
        if name in NOT_SETTINGS or name.startswith("param_"):
            continue
        if not _SETTING.fullmatch(name):
            raise Refusal(115, f"Unknown setting {name[:64]!r}.", "UNKNOWN_SETTING")
        settings[name] = value
    revision = asked.get("client_protocol_version", "0")
    return Query(
        received=received,
        settings=settings,
        parameters={k[len("param_") :]: v for k, v in asked.items() if k.startswith("param_")},
        database=asked.get("database") or request.headers.get("X-ClickHouse-Database") or "",
        format=_first_word(
            asked.get("default_format")
            or request.headers.get("X-ClickHouse-Format")
            or "TabSeparated"
        ),
        is_reader=account.is_reader,
        must_only_read=request.method != "POST",
        revision=int(revision) if revision.isdigit() else 0,
        query_id=query_id,
    )


def _first_word(format_: str) -> str:
    """Refuse what is no format's name: it is pasted behind the statement by the engine."""
    if not re.fullmatch(r"\w{1,64}", format_):
        raise Refusal(73, f"Unknown format {format_[:64]}.", "UNKNOWN_FORMAT")
    return format_


def _encoding(request: web.Request) -> str:
    """Choose the answer's encoding: as accepted, unless the request switches it off."""
    if request.query.get("enable_http_compression", "1") == "0":
        return ""
    return choose_encoding(request.headers.get("Accept-Encoding", ""))


def _content_type(format_: str) -> str:
    """Return the media type of a format."""
    if format_.startswith("JSON") and "EachRow" in format_:
        return "application/x-ndjson; charset=UTF-8"
    for prefix, kind in _CONTENT_TYPES.items():
        if format_.startswith(prefix):
            return kind
    return "application/octet-stream"
