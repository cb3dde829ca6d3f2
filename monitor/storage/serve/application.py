"""HTTP handler: authenticates requests, runs their statements, encodes the answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from monitor.storage.serve.accounts import Account, Accounts
from monitor.storage.serve.body import BodyReader, Received
from monitor.storage.serve.codecs import choose_encoding
from monitor.storage.serve.engine import Answer, Engine, Query
from monitor.storage.serve.limits import Limits
from monitor.storage.serve.origins import WRITE_HINT, is_from_program, refuse_pages
from monitor.storage.serve.refusal import RefusedRequest, refusal_of
from monitor.storage.serve.screening import READ_VERBS
from monitor.storage.serve.sending import ResponseSender
from monitor.storage.serve.settings import TRANSPORT
from monitor.storage.serve.statement import Statement
from monitor.storage.serve.turns import Turns

GRACE_S = 2.0
"""Grace period of a query beyond its time limit, and of a killed query before the error."""

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
    """The handler and the state that its requests share."""

    def __init__(self, engine: Engine, accounts: Accounts, limits: Limits) -> None:
        self._engine = engine
        self._accounts = accounts
        self._limits = limits
        self._turns = {True: Turns(limits, "reader"), False: Turns(limits, "writer")}
        # Separate threads: a kill must not wait for the queries that it ends, nor a body for the
        # compression of answers.
        self._killers = ThreadPoolExecutor(1, "kill")
        self._receivers = ThreadPoolExecutor(4, "body")
        self._packers = ThreadPoolExecutor(4, "answer")
        self._receiver = BodyReader(limits, engine.spool, self._receivers)
        self._sender = ResponseSender(limits, self._packers)
        self._running: set[Query] = set()
        self._n_reading = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; never raises."""
        query_id = request.query.get("query_id") or str(uuid.uuid4())
        try:
            refuse_pages(request.headers, is_open=self._accounts.is_open)
            if request.path in ("/ping", "/replicas_status") and request.method == "GET":
                return web.Response(text="Ok.\n")
            if request.path != "/":
                raise RefusedRequest(404, "There is no such path; use / or /ping.", "NOT_FOUND")
            if request.method not in ("GET", "HEAD", "POST"):
                raise RefusedRequest(36, f"{request.method[:16]} is not allowed; use GET or POST.")
            account = self._accounts.identify(request.headers, request.query)
            if request.method != "POST" and "query" not in request.query:
                return web.Response(text="Ok.\n")
            return await self._answer(request, account, query_id)
        except Exception as error:
            return self._refused(request, refusal_of(error), query_id)

    async def kill_all(self) -> None:
        """Kill all running queries; each client gets an error."""
        for query in list(self._running):
            await self._kill(query)

    def close(self) -> None:
        """Stop the threads."""
        for turns in self._turns.values():
            turns.close()
        for threads in (self._killers, self._receivers, self._packers):
            threads.shutdown(wait=False)

    async def _answer(
        self, request: web.BaseRequest, account: Account, query_id: str
    ) -> web.StreamResponse:
        """Read the request, run it, and write its answer."""
        if request.content_type == "multipart/form-data":
            raise RefusedRequest(
                48, "External data and form fields are not supported; use param_*."
            )
        for name in ("compress", "decompress"):
            if request.query.get(name, "0") not in ("0", ""):
                raise RefusedRequest(
                    48, f"{name}=1 is not supported; use Accept- and Content-Encoding."
                )
        may_write = request.method == "POST" and (
            not self._accounts.is_open or is_from_program(request.headers)
        )
        with self._place(is_reading=account.is_reader or not may_write):
            try:
                answer = await self._execute(request, account, query_id, may_write=may_write)
            except RefusedRequest as refusal:
                if refusal.code == 164 and not may_write and not account.is_reader:
                    raise RefusedRequest(164, f"{refusal.text} {WRITE_HINT}") from None
                raise
            return await self._response(request, answer, query_id)

    @contextlib.contextmanager
    def _place(self, *, is_reading: bool) -> Iterator[None]:
        """Count a request of a reader; reject it while there are too many."""
        if is_reading and self._n_reading >= self._limits.n_reading:
            raise RefusedRequest(202, f"Too many requests of readers. Maximum: {self._n_reading}.")
        self._n_reading += is_reading
        try:
            yield
        finally:
            self._n_reading -= is_reading

    async def _execute(
        self, request: web.BaseRequest, account: Account, query_id: str, *, may_write: bool
    ) -> Answer:
        """Receive a statement, wait for a free thread, and run it."""
        received = await self._receiver.receive(
            request,
            request.query.get("query", ""),
            is_reader=account.is_reader or not may_write,
        )
        try:
            query = _query_of(request, received, account, query_id, may_write=may_write)
            return await self._run(query)
        finally:
            received.discard()

    async def _run(self, query: Query) -> Answer:
        """Wait for a thread, run, and kill the query on time-out or if its client disconnects."""
        allowed_s = float(self._limits.within(query.settings)["max_execution_time"]) + GRACE_S
        turns = self._turns[query.is_reader or query.must_only_read]
        job = await turns.start(lambda: self._engine.run(query))
        self._running.add(query)
        job.add_done_callback(lambda _: self._running.discard(query))
        try:
            done, _ = await asyncio.wait({job}, timeout=allowed_s)
        except asyncio.CancelledError:
            # The client disconnected: a SELECT is killed, but a completely received INSERT is
            # finished, as on a server.
            job.add_done_callback(_close_unsent)
            if Statement(query.received.sql[:64]).verb in READ_VERBS:
                await self._kill(query)
            await asyncio.wait({job})
            raise
        if not done:
            await self._kill(query)
            await self._ended(job, query)
        return job.result()

    async def _ended(self, job: asyncio.Future[Answer], query: Query) -> None:
        """Wait for a killed query; for a SELECT with a time-out.

        The engine checks for kills between blocks of rows only, and a slow function may take long
        over one block. The thread stays occupied meanwhile.
        """
        is_question = Statement(query.received.sql[:64]).verb in READ_VERBS
        done, _ = await asyncio.wait({job}, timeout=GRACE_S if is_question else None)
        if not done:
            job.add_done_callback(_close_unsent)
            raise RefusedRequest(159, "Timeout exceeded, and the query has not stopped yet.")

    async def _kill(self, query: Query) -> None:
        """Request the engine to kill a query."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(Exception):  # it may have ended already
            await loop.run_in_executor(self._killers, self._engine.kill, query)

    async def _response(
        self, request: web.BaseRequest, answer: Answer, query_id: str
    ) -> web.StreamResponse:
        """Send the engine's answer."""
        body = answer.body
        summary = {
            "read_rows": str(answer.n_read_rows),
            "written_rows": str(answer.n_written_rows),
            "result_rows": str(answer.n_rows),
            "result_bytes": str(body.n_bytes if body else 0),
            "elapsed_ns": str(int(answer.elapsed_s * 1e9)),
        }
        headers = self._headers(query_id) | {
            "X-ClickHouse-Format": answer.format,
            "X-ClickHouse-Summary": json.dumps(summary),
            "Content-Type": _content_type(answer.format),
        }
        if body is None:
            return web.Response(headers=headers)
        return await self._sender.send(request, body, headers, _encoding(request))

    def _refused(
        self, request: web.BaseRequest, refusal: RefusedRequest, query_id: str
    ) -> web.Response:
        """Return an error response as ClickHouse does."""
        headers = self._headers(query_id) | {"X-ClickHouse-Exception-Code": str(refusal.code)}
        if refusal.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        text = f"{refusal} (version {self._engine.version})\n"
        response = web.Response(status=refusal.status, text=text, headers=headers)
        if not request.content.at_eof():
            response.force_close()  # the rest of the body is not read
        return response

    def _headers(self, query_id: str) -> dict[str, str]:
        """Return the headers of every response."""
        return {
            "X-ClickHouse-Query-Id": re.sub(r"[^\x20-\x7e]", "?", query_id)[:200],
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": self._engine.name,
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
        }


def _close_unsent(job: asyncio.Future[Answer]) -> None:
    """Close an answer whose client has disconnected."""
    if not job.cancelled() and job.exception() is None and (body := job.result().body):
        body.close()


def _query_of(
    request: web.BaseRequest,
    received: Received,
    account: Account,
    query_id: str,
    *,
    may_write: bool,
) -> Query:
    """Parse the query string into database, settings and parameters."""
    asked = request.query
    settings = {}
    for name, value in asked.items():
        if name in TRANSPORT or name.startswith("param_"):
            continue
        if not _SETTING.fullmatch(name):
            raise RefusedRequest(115, f"Unknown setting {name[:64]!r}.", "UNKNOWN_SETTING")
        settings[name] = value
    revision = asked.get("client_protocol_version", "0")
    return Query(
        received=received,
        settings=settings,
        parameters={k[len("param_") :]: v for k, v in asked.items() if k.startswith("param_")},
        database=asked.get("database") or request.headers.get("X-ClickHouse-Database") or "",
        format=asked.get("default_format")
        or request.headers.get("X-ClickHouse-Format")
        or "TabSeparated",
        is_reader=account.is_reader,
        must_only_read=not may_write,
        revision=int(revision) if revision.isdigit() else 0,
        query_id=query_id,
    )


def _encoding(request: web.BaseRequest) -> str:
    """Choose the answer's encoding from those accepted, unless the request disables it."""
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
