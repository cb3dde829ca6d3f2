"""The embedded engine, with one connection per request.

Queries on one chDB connection run sequentially, on several concurrently (three of one second each:
3.0 s and 1.0 s). A connection costs .1 ms. Settings, current database and temporary tables end with
it, so there are no sessions.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.storage.clickhouse import Store
from monitor.storage.serve import rights
from monitor.storage.serve.answers import Body, Outlet
from monitor.storage.serve.body import Received
from monitor.storage.serve.inserts import split_insert
from monitor.storage.serve.limits import Limits
from monitor.storage.serve.memory import Retained
from monitor.storage.serve.native import framed
from monitor.storage.serve.refusal import RefusedRequest, refusal_of
from monitor.storage.serve.screening import READ_VERBS, Facts, screen
from monitor.storage.serve.settings import refuse_settings
from monitor.storage.serve.spool import Spool
from monitor.storage.serve.statement import Statement
from monitor.storage.serve.system_tables import mentions_system, screen_tree, tree_query

SPOOL_NAME, WORKPLACE_NAME, EMPTY_NAME = "spool", "serving", "empty"
CUSTOM_SERIALIZATION_REVISION = 54454
"""From this revision on clients require framed Native blocks; older ones detect the format."""
_MAX_CANONICAL_BYTES = 1 << 20
"""Added to the limit, because the engine's formatting of a statement may be longer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """One request, as passed to the engine."""

    received: Received
    settings: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    database: str = ""
    format: str = "TabSeparated"
    """Default output format, if the statement has none."""
    is_reader: bool = False
    must_only_read: bool = False
    """Whether the request may not write; set for GET, for all accounts."""
    revision: int = 0
    """The client's ``client_protocol_version``."""
    query_id: str = ""
    marker: str = field(default_factory=lambda: f"driftline {uuid.uuid4().hex}")
    """Comment that identifies the running query: chDB has no query IDs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The engine's answer; the caller must close its body."""

    body: Body | None
    format: str
    n_rows: int
    n_read_rows: int
    n_written_rows: int
    elapsed_s: float


class Engine:
    """A store's engine, held by this process until :meth:`close`.

    Parameters
    ----------
    folder : Path
        Folder of the store; created with its tables if missing.

    Raises
    ------
    StoreLockedError, StoreFullError, StorageError
        As :meth:`Store.open`.

    Notes
    -----
    Changes the working directory to an empty folder, so that table names that look like relative
    paths match no file. Thread-safe.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._limits = limits
        self._folder = Path(os.path.realpath(folder))
        self._workplace = self._folder / WORKPLACE_NAME
        self._store: Store | None = None
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Start the engine with its access rights, and read the values that every answer has."""
        self._store = Store.open(self._folder, configure=self._configure)
        self._store.migrate()
        self._facts = Facts(
            table_functions=self._names("lower(name)", "table_functions"),
            settings=self._names("name", "settings") | self._names("name", "merge_tree_settings"),
        )
        facts = self._store.query("SELECT version() AS v, timezone() AS t, displayName() AS d")
        self.version, self.timezone, self.name = (facts[k][0].as_py() for k in ("v", "t", "d"))
        self._retained = Retained(self._limits.memory_bytes)
        os.chdir(self._workplace / EMPTY_NAME)

    def _configure(self) -> dict[str, str]:
        """Prepare folders after the store is locked; return the engine's options."""
        self.spool = Spool(self._folder / SPOOL_NAME, self._limits.spool_bytes)
        shutil.rmtree(self._workplace, ignore_errors=True)
        (self._workplace / EMPTY_NAME).mkdir(parents=True)
        # Separate bounds: slow readers of answers must not block the archive's inserts.
        self._answers = Spool(self._workplace / "answers", self._limits.spool_bytes)
        os.environ["TMPDIR"] = str(self._workplace)  # in which the engine creates a folder
        file = rights.write_configuration(self._workplace, self._limits)
        return {"config-file": str(file)}

    def _names(self, expression: str, table: str) -> frozenset[str]:
        """Read one column of a table of ``system``."""
        assert self._store is not None
        found = self._store.query(f"SELECT {expression} AS name FROM system.{table}")
        return frozenset(found["name"].to_pylist())

    def run(self, query: Query) -> Answer:
        """Run one statement to its end.

        Returns
        -------
        Answer

        Raises
        ------
        RefusedRequest
            Any error, in ClickHouse's form, without paths of this machine.
        """
        connection = None
        try:
            connection = _connect(self._folder)
            return self._run(connection, query)
        except Exception as error:
            raise refusal_of(error, self._folder) from error
        finally:
            if connection is not None:
                connection.close()
            if self._retained.is_due():
                self._as_owner("SYSTEM JEMALLOC PURGE")

    def kill(self, query: Query) -> None:
        """Request the kill of a running query, without waiting for it to end."""
        self._as_owner(
            "KILL QUERY WHERE query LIKE {marker:String} ASYNC", marker=f"%{query.marker}%"
        )

    def close(self) -> None:
        """Release the store for other processes."""
        if self._store is not None:
            self._store.close()
        os.chdir("/")
        shutil.rmtree(self._workplace, ignore_errors=True)

    def _as_owner(self, sql: str, **parameters: str) -> None:
        """Run a statement of the server itself."""
        connection = _connect(self._folder)
        try:
            connection.query(sql, "TabSeparated", params=parameters)
        finally:
            connection.close()

    def _run(self, connection: Any, query: Query) -> Answer:
        """Apply role and settings, screen the statement, and run it."""
        is_reader = query.is_reader or query.must_only_read
        refuse_settings(query.settings, self._facts.settings)
        readonly = self._prepare(connection, query)
        statement = Statement(_canonical(connection, query.received.sql))
        screen(statement, self._facts, query.parameters, self._limits, is_reader=is_reader)
        # Without the right to read files every table of the default database "exists".
        has_files = not is_reader or statement.verb == "EXISTS"
        connection.query(f"SET ROLE {rights.WRITER if has_files else rights.READER}")
        if readonly:
            connection.query(f"SET readonly = {readonly}")
        if is_reader:
            self._screen_system(connection, statement, query)
        if statement.verb in READ_VERBS:
            return self._ask(connection, statement, query)
        return self._tell(connection, statement, query)

    def _prepare(self, connection: Any, query: Query) -> int:
        """Set database and settings; return the level of ``readonly``, which is set last."""
        if query.database:
            connection.query(f"USE `{_escaped(query.database, '`')}`")
        settings = self._limits.within(query.settings)
        asked = settings.pop("readonly", "0")
        settings.pop("max_result_bytes", None)  # bounded at the output instead of between blocks
        settings["output_format_parallel_formatting"] = "0"  # uses several times the memory
        settings["max_query_size"] = str(_MAX_CANONICAL_BYTES)
        clause = ", ".join(f"{name} = '{_escaped(v, chr(39))}'" for name, v in settings.items())
        connection.query(f"SET {clause}")
        if query.is_reader or query.must_only_read or asked != "0":
            return 1 if asked == "1" else 2
        return 0

    def _screen_system(self, connection: Any, statement: Statement, query: Query) -> None:
        """Reject columns and tables of ``system`` that a reader may not read."""
        if not mentions_system(statement, query.parameters, query.database):
            return
        if text := tree_query(statement):
            marked = f"{text}\n/* {query.marker} */"
            tree = connection.query(marked, "TSVRaw", params=query.parameters)
            screen_tree((tree.bytes() or b"").decode(errors="replace"))

    def _ask(self, connection: Any, statement: Statement, query: Query) -> Answer:
        """Run a query with a result, which is read through a pipe."""
        format_ = statement.format or query.format
        if not re.fullmatch(r"\w{1,64}", format_):
            raise RefusedRequest(73, f"Unknown format {format_[:64]!r}.", "UNKNOWN_FORMAT")
        outlet = Outlet(self._answers, int(self._limits.within(query.settings)["max_result_bytes"]))
        text = (
            f"{statement.body} INTO OUTFILE '{outlet.path}' APPEND "
            f"FORMAT {format_}{statement.tail}\n/* {query.marker} */"
        )
        try:
            result = connection.query(text, "TabSeparated", params=query.parameters)
        except BaseException as error:
            raise outlet.abandon() or error from None
        body = outlet.finish()
        if format_ == "Native" and query.revision >= CUSTOM_SERIALIZATION_REVISION:
            body = framed(body)
        return _answer(result, body, format_)

    def _tell(self, connection: Any, statement: Statement, query: Query) -> Answer:
        """Run a statement without a result."""
        text, data = statement.text, query.received.data
        if data is not None:
            insert = split_insert(text.encode())
            if insert is None:
                raise RefusedRequest(62, "Syntax error: the head of this INSERT cannot be read.")
            text = insert.from_file(str(data))
        text += f"\n/* {query.marker} */"
        result = connection.query(text, "TabSeparated", params=query.parameters)
        return _answer(result, None, query.format)


def _answer(result: Any, body: Body | None, format_: str) -> Answer:
    """Return the answer with the engine's counts."""
    return Answer(
        body,
        format_,
        result.rows_read(),
        result.storage_rows_read(),
        result.rows_written(),
        result.elapsed(),
    )


def _connect(folder: Path) -> Any:
    """Open a new connection to the engine of this process."""
    import chdb

    return chdb.connect(str(folder))


def _canonical(connection: Any, sql: str) -> str:
    """Return a statement as the engine formats it."""
    if not sql.strip():
        raise RefusedRequest(62, "Syntax error: Empty query.")
    text = connection.query(
        "SELECT formatQuerySingleLine({q:String})",
        "TSVRaw",
        params={"q": _parameter(sql)},
    )
    return str(text.bytes().decode()).removesuffix("\n")


def _parameter(text: str) -> str:
    """Escape a parameter's value as ClickHouse expects it."""
    for plain, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return text.replace("\0", "\\0")


def _escaped(text: str, quote: str) -> str:
    """Escape a text for use between quotes."""
    return text.replace("\\", "\\\\").replace(quote, f"\\{quote}")
