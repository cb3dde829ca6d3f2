"""The embedded engine, one connection a request.

Queries on one chDB connection run one after another; on several they run at once
(three of one second each: 3.0 s and 1.0 s). A connection costs .1 ms, and settings,
the current database and temporary tables die with it: that is all there is of sessions.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.storage.clickhouse import Store
from monitor.storage.serve.body import Received
from monitor.storage.serve.limits import Limits
from monitor.storage.serve.native import with_revision
from monitor.storage.serve.refusal import Refusal, refusal_of
from monitor.storage.serve.statement import (
    READ_VERBS,
    canonical_verb,
    named_format,
    refuse_settings,
    screen,
)

SPOOL_NAME = "spool"
CUSTOM_SERIALIZATION_REVISION = 54454
"""Clients from this revision on cannot read Native blocks without its framing;
older ones notice what they got."""
_FIXED_SETTINGS = {
    "input_format_values_interpret_expressions": "0",
    "input_format_values_deduce_templates_of_expressions": "0",
}
"""VALUES hold values: an expression there could read files, unseen."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """One request, as the engine gets it."""

    received: Received
    settings: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    database: str = ""
    format: str = "TabSeparated"
    """Where the statement names none."""
    is_reader: bool = False
    must_only_read: bool = False
    """A GET writes nothing, whoever asks."""
    revision: int = 0
    """The client's ``client_protocol_version``."""
    query_id: str = ""
    marker: str = field(default_factory=lambda: f"driftline {uuid.uuid4().hex}")
    """Finds the query among those that run: chDB takes no query id."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine said."""

    data: bytes
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
        The store; made, and its tables, where absent.
    limits : Limits

    Raises
    ------
    StoreLockedError, StoreFullError, StorageError
        As :meth:`Store.open`.

    Notes
    -----
    Goes into an empty folder: names of tables that look like relative paths of files
    then find none. For use by several threads.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._limits = limits
        self._folder = Path(os.path.realpath(folder))
        self._store = Store.open(self._folder)
        self._workplace = tempfile.mkdtemp(prefix="driftline-")
        try:
            self._store.migrate()
            self.spool = _empty_folder(self._folder / SPOOL_NAME)
            self._read_facts()
            os.chdir(self._workplace)
        except BaseException:
            self.close()
            raise

    def _read_facts(self) -> None:
        """Ask once what every answer says."""
        names = self._store.query("SELECT lower(name) AS name FROM system.table_functions")
        self._table_functions = frozenset(names["name"].to_pylist())
        facts = self._store.query("SELECT version() AS v, timezone() AS t, displayName() AS d")
        self.version, self.timezone, self.name = (facts[k][0].as_py() for k in ("v", "t", "d"))

    def run(self, query: Query) -> Answer:
        """Run one statement to its end.

        Parameters
        ----------
        query : Query

        Returns
        -------
        Answer

        Raises
        ------
        Refusal
            Whatever went wrong, as ClickHouse says it.
        """
        connection = None
        try:
            connection = _connect(self._folder)
            return self._run(connection, query)
        except Exception as error:
            raise refusal_of(error) from error
        finally:
            if connection is not None:
                connection.close()

    def kill(self, query: Query) -> None:
        """Stop a query that runs; returns when the engine was told."""
        connection = _connect(self._folder)
        try:
            connection.query(
                "KILL QUERY WHERE query LIKE {marker:String} ASYNC",
                "TabSeparated",
                params={"marker": f"%{query.marker}%"},
            )
        finally:
            connection.close()

    def close(self) -> None:
        """Let other processes in."""
        self._store.close()
        if Path.cwd() == Path(self._workplace):
            os.chdir("/")
        shutil.rmtree(self._workplace, ignore_errors=True)

    def _run(self, connection: Any, query: Query) -> Answer:
        """Look at the statement, set what it runs under, run it."""
        received = query.received
        canonical = _canonical(connection, received.sql)
        screen(
            canonical,
            self._table_functions,
            query.parameters,
            self._limits,
            is_reader=query.is_reader or query.must_only_read,
        )
        self._prepare(connection, query)
        if received.insert is not None and received.data is not None:
            text = received.insert.from_file(str(received.data))
        else:
            text = received.sql
        format_ = named_format(canonical) or query.format
        result = connection.query(
            f"{text}\n/* {query.marker} */", query.format, params=query.parameters
        )
        data = result.bytes() or b""
        is_question = canonical_verb(canonical) in READ_VERBS
        if format_ == "Native" and query.revision >= CUSTOM_SERIALIZATION_REVISION:
            data = with_revision(data)
        return Answer(
            data if is_question else b"",
            format_,
            result.rows_read(),
            result.storage_rows_read(),
            result.rows_written(),
            result.elapsed(),
        )

    def _prepare(self, connection: Any, query: Query) -> None:
        """Set the database, the settings, and last that nothing may be written."""
        if query.database:
            connection.query(f"USE `{_escaped(query.database, '`')}`")
        refuse_settings(query.settings)
        settings = self._limits.within(query.settings) | _FIXED_SETTINGS
        is_reading = query.is_reader or query.must_only_read
        readonly = settings.pop("readonly", "0")
        clause = ", ".join(f"{name} = '{_escaped(v, chr(39))}'" for name, v in settings.items())
        connection.query(f"SET {clause}")
        if is_reading or readonly != "0":
            connection.query(f"SET readonly = {1 if readonly == '1' else 2}")


def _connect(folder: Path) -> Any:
    """Open one more connection to the engine of this process."""
    import chdb

    return chdb.connect(str(folder))


def _canonical(connection: Any, sql: str) -> str:
    """Return a statement in the engine's own spelling."""
    if not sql.strip():
        raise Refusal(62, "Syntax error: Empty query.")
    text = connection.query(
        "SELECT formatQuerySingleLine({q:String})",
        "TSVRaw",
        params={"q": _parameter(sql)},
    )
    return str(text.bytes().decode())


def _parameter(text: str) -> str:
    """Escape a parameter's value as ClickHouse reads it."""
    for plain, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(plain, escaped)
    return text.replace("\0", "\\0")


def _escaped(text: str, quote: str) -> str:
    """Escape a text for between quotes."""
    return text.replace("\\", "\\\\").replace(quote, f"\\{quote}")


def _empty_folder(path: Path) -> Path:
    """Make a folder, and empty it of what a killed server left."""
    path.mkdir(exist_ok=True)
    for file in path.iterdir():
        file.unlink()
    return path
