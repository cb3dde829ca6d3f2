"""The store: a ClickHouse server, or its engine embedded in this process (chDB).

One class for both, because ``clickhouse_connect`` has the same client for both; only opening
differs. chDB allows one folder per process and one process per folder. Rows survive kill -9, but
not power loss.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from monitor.storage import lock
from monitor.storage.arrow_body import ArrowBody
from monitor.storage.failures import translate
from monitor.storage.migrations import (
    VERSIONS_TABLE,
    Migration,
    TableOptions,
    load_migrations,
    pending,
    renamed_column,
)
from monitor.storage.passwords import PASSWORD_VARIABLE, USER_VARIABLE, password_of
from schemas.errors import DriftlineError, QueryError, StorageError

MAX_INSERT_ROWS = 500_000
"""Maximum rows of one insert.

The engine splits larger inserts into several blocks (at 1,048,449 rows), and blocks with the same
token are not distinguished after a crash. Longer tables are split here, each piece with its own
token.
"""
TIMEOUT_VARIABLE = "DRIFTLINE_STORE_TIMEOUT_S"
"""Time-out of a response; 300 s by default, which a long insert may take."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_INSERT_SETTINGS = {
    "async_insert": 0,
    "max_partitions_per_insert_block": 0,
    "optimize_on_insert": 0,
}
"""Settings of inserts.

Asynchronous inserts, now the server's default, would be acknowledged before they are written. The
limit of 100 partitions per insert is lifted, because an insert may hold a replayed year. Collapsing
equal rows at insert compares every map row by row: .2 M predictions a second with it, .8 to 1.3 M
without. FINAL, which exact counts use anyway, collapses them.
"""


class Store:
    """Driftline's tables in ClickHouse.

    Create with :meth:`open`; a context manager.

    Notes
    -----
    Measured on two cores with chDB 4.4: opening .2 s after a second of imports, a query
    2 ms, an insert of predictions with 10 features and two segments .8 to 1.5 us of CPU a
    row in blocks of 100,000 to 20,000.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder + "/s") as store:
    ...     store.migrate()
    ...     store.query("SELECT count() AS n FROM results").to_pydict()
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    {'n': [0]}
    """

    def __init__(self, client: Any, where: str, folder: Path | None = None) -> None:
        self._client = client
        self._where = where
        self._folder = folder
        self._body = ArrowBody()

    @staticmethod
    def open(
        target: str | Path,
        *,
        is_read_only: bool = False,
        configure: Callable[[], dict[str, str]] | None = None,
    ) -> Store:
        """Open a folder (embedded) or ``http(s)://host:port/database`` (a server).

        Parameters
        ----------
        target : str or Path
            User and password of a server come from the environment only:
            ``DRIFTLINE_STORE_USER`` and ``DRIFTLINE_STORE_PASSWORD`` (or ``..._FILE``).
        is_read_only : bool
            Reject every statement that writes; an embedded store must exist.
        configure : callable, optional
            Called after an embedded store is locked; returns options of its engine, such as
            ``config-file``, which are valid for the whole process.

        Returns
        -------
        Store

        Raises
        ------
        StoreLockedError
            If another process holds the folder.
        StoreFullError
            If there is no space to open it.
        StorageError
            If chDB is missing, the folder is not a store, the server does not answer, or the URL
            contains a password.
        """
        text = str(target)
        if text.startswith(("http://", "https://")):
            store = _open_server(text)
        elif "://" in text:
            raise StorageError(
                f"{text.split('://')[0]}:// is no store", fix="name a folder or an http(s) URL"
            )
        else:
            store = _open_folder(Path(target), configure, must_exist=is_read_only)
        if is_read_only:
            store._make_read_only()
        return store

    @property
    def where(self) -> str:
        """The folder, or host and port; safe to print."""
        return self._where

    def migrate(self, options: TableOptions | None = None) -> list[int]:
        """Create missing tables; return the versions of the migrations that were applied.

        Parameters
        ----------
        options : TableOptions, optional
            TTLs, engine and partitions of tables created now. By default rows are kept forever;
            new tables of an embedded store are partitioned by month, others by day.

        Raises
        ------
        StorageError
            If the store is newer than this code, or an applied migration has changed.

        Notes
        -----
        Statements are idempotent, so the next run completes an interrupted migration.
        """
        options = options or (TableOptions() if self._folder is None else TableOptions.embedded())
        for text in options.statements(VERSIONS_TABLE):
            self.command(text)
        ran = self.query("SELECT version, checksum FROM schema_migrations FINAL").to_pydict()
        applied = dict(zip(ran["version"], ran["checksum"], strict=True))
        todo = pending(load_migrations(), applied, self._where)
        for migration in todo:
            self._apply(migration, options)
        return [migration.version for migration in todo]

    def insert(self, table: str, rows: pa.Table, token: str | None = None) -> int:
        """Write rows as one block; return the number of rows sent.

        Parameters
        ----------
        table : str
            Name of the table.
        rows : pyarrow.Table
            Columns by name; missing columns get their defaults.
        token : str, optional
            ``topic_id:partition:lo:hi``. A second insert with the same token has no effect,
            regardless of its rows: use a token for the same rows only.

        Raises
        ------
        StoreFullError, RowsRefusedError, QueryError, StorageError
            No row is written, unless only the response was lost. An insert that spans partitions
            may be written in part; repeating the call completes it without duplicates.
        """
        for index, start in enumerate(range(0, rows.num_rows, MAX_INSERT_ROWS)):
            block = rows.slice(start, MAX_INSERT_ROWS).combine_chunks()
            settings: dict[str, Any] = dict(_INSERT_SETTINGS)
            if token is not None:
                settings["insert_deduplication_token"] = f"{token}#{index}" if index else token
            try:
                self._send(table, block, settings)
            except Exception as error:  # the client raises its own errors, chDB's and OSError
                raise translate(error, f"{self._where}: {table}", is_insert=True) from error
        return int(rows.num_rows)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run a SELECT and return its complete result.

        Parameters
        ----------
        sql : str
            Query with parameters as ``{name:Type}``.
        parameters : mapping, optional
            Values of the parameters; sent separately, never inserted into the text.

        Raises
        ------
        QueryError
            With ClickHouse's message, shortened.
        """
        try:
            table = self._client.query_arrow(
                sql.strip().rstrip(";"), parameters=dict(parameters or {}), use_strings=True
            )
        except Exception as error:
            raise translate(error, self._where) from error
        return table.combine_chunks()

    def command(self, sql: str) -> None:
        """Run a statement that returns nothing.

        Raises
        ------
        QueryError, StoreFullError, StorageError
        """
        try:
            self._client.command(sql)
        except Exception as error:
            raise translate(error, self._where) from error

    def close(self) -> None:
        """Close the client and release the lock; closing twice has no effect."""
        client, self._client = self._client, None
        if client is None:
            return
        client.close()
        if self._folder is not None:
            lock.release(self._folder)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, table: str, block: pa.Table, settings: dict[str, Any]) -> None:
        """Send one block, compressed if it is sent over a network."""
        if self._client.write_compression:
            self._client.insert_arrow(table, block, settings=settings)
            return
        name = table if "." in table else f"`{table}`"
        with self._body.write(block) as body:
            self._client.raw_insert(name, block.column_names, body, settings, fmt="Arrow")

    def _apply(self, migration: Migration, options: TableOptions) -> None:
        """Run one migration, then record it: in this order, because it can be repeated."""
        for text in options.statements(migration.sql):
            self._run_migration(text)
        record = {
            "version": pa.array([migration.version], pa.uint32()),
            "name": [migration.name],
            "checksum": [migration.checksum],
        }
        self.insert("schema_migrations", pa.table(record))

    def _run_migration(self, text: str) -> None:
        """Run one statement; a column that was already renamed is not an error."""
        try:
            self.command(text)
        except QueryError:
            # RENAME COLUMN has no IF NOT EXISTS.
            renamed = renamed_column(text)
            if renamed is None or not self._has_column(*renamed):
                raise

    def _has_column(self, table: str, name: str) -> bool:
        """Return whether a table of this database has a column."""
        found = self.query(
            "SELECT count() AS n FROM system.columns WHERE database = currentDatabase() "
            "AND table = {table:String} AND name = {name:String}",
            {"table": table, "name": name},
        )
        return bool(found["n"][0].as_py())

    def _make_read_only(self) -> None:
        """Make ClickHouse reject writes: level 2 lets other settings change, level 1 does not."""
        try:
            self._client.set_client_setting("readonly", 2)
        except Exception as error:
            self.close()
            raise translate(error, self._where) from error


def _open_folder(
    folder: Path, configure: Callable[[], dict[str, str]] | None, *, must_exist: bool
) -> Store:
    """Open or create the store in a folder."""
    if find_spec("chdb") is None:
        raise StorageError(
            "the embedded store needs chdb, which is not installed",
            where=str(folder),
            fix="pip install 'driftline[embedded]'",
        )
    _check_folder(folder, must_exist=must_exist)
    # chDB changes the working directory while it loads; an interrupt may leave it changed.
    place = folder.absolute()
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock.acquire(place)
    except OSError as error:
        raise translate(error, str(folder)) from error
    try:
        _drop_empty_definitions(place)
        options = configure() if configure else None
        client = _connect(interface="chdb", path=str(place), chdb_options=options)
    except BaseException as error:
        lock.release(place)
        if isinstance(error, DriftlineError) or not isinstance(error, Exception):
            raise
        raise translate(error, str(folder)) from error
    return Store(client, str(folder), place)


def _drop_empty_definitions(place: Path) -> None:
    """Remove empty table definitions, which remain if the disk was full at creation.

    The engine does not start with one of them. Such a table never had a row, and the next migration
    creates it.
    """
    for definition in place.glob("store/*/*/*.sql"):
        if not definition.stat().st_size:
            definition.unlink()


def _check_folder(folder: Path, *, must_exist: bool) -> None:
    """Raise if the folder is not a store, before the engine creates files in it."""
    if folder.is_dir():
        names = {entry.name for entry in folder.iterdir()}
        if names and not names & {lock.LOCK_NAME, "metadata"}:
            raise StorageError(
                "the folder holds other files and no store",
                where=str(folder),
                fix="name the store's folder" if must_exist else "name an empty or a new folder",
            )
        if names or not must_exist:
            return
    elif folder.exists():
        raise StorageError("a file, not a folder", where=str(folder), fix="name a folder")
    if must_exist:
        raise StorageError(
            "there is no store here",
            where=str(folder),
            fix="run `driftline demo` or `driftline replay` first, or name one with --store",
        )


def _open_server(url: str) -> Store:
    """Connect to a server; a password in the URL is an error, and never shown."""
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.hostname}:{parts.port or _default_port(parts.scheme)}"
    if parts.username or parts.password:
        raise StorageError(
            "the store's URL contains a user or a password",
            where=where,
            fix=f"put them into {USER_VARIABLE} and {PASSWORD_VARIABLE}",
        )
    try:
        client = _connect(
            interface=parts.scheme,
            host=parts.hostname,
            port=parts.port or _default_port(parts.scheme),
            username=os.environ.get(USER_VARIABLE, "default"),
            password=password_of(PASSWORD_VARIABLE),
            database=parts.path.strip("/") or "default",
            autogenerate_session_id=False,
            # On one machine compression does not pay: it costs .3 us of CPU per prediction.
            compress=parts.hostname not in _LOOPBACK,
            send_receive_timeout=float(os.environ.get(TIMEOUT_VARIABLE, "300")),
        )
    except Exception as error:
        raise translate(error, where) from error
    return Store(client, where)


def _default_port(scheme: str) -> int:
    """Return ClickHouse's default HTTP(S) port."""
    return 8443 if scheme == "https" else 8123


def _connect(**options: Any) -> Any:
    """Import the client on use: it takes .2 s, chDB with pandas a second."""
    import clickhouse_connect

    # Errors that it logs are also raised; without a handler Python would print them too.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    return clickhouse_connect.get_client(**options)
