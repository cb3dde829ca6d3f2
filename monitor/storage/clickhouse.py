"""The store: ClickHouse on a server, or its engine inside this process (chDB).

One class for both, because ``clickhouse_connect`` gives both the same client; what
differs is how a store is opened. chDB serves one folder per process and one process
per folder. Rows survive kill -9, not power loss.
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
    statements,
)
from monitor.storage.passwords import PASSWORD_VARIABLE, USER_VARIABLE, password_of
from schemas.errors import DriftlineError, QueryError, StorageError

MAX_INSERT_ROWS = 500_000
"""More would be cut into several blocks by the engine (at 1,048,449 rows), and blocks
that share one token are not distinguished after a crash. Longer tables are cut here, each
piece under its own token."""
TIMEOUT_VARIABLE = "DRIFTLINE_STORE_TIMEOUT_S"
"""How long a server may be silent; 300 s by default, as a long insert may be."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_INSERT_SETTINGS = {
    "async_insert": 0,
    "max_partitions_per_insert_block": 0,
    "optimize_on_insert": 0,
}
"""Asynchronous inserts are on by default now and would acknowledge before writing.
A replayed year in one insert is meant: the limit of 100 partitions is for accidents.
Collapsing equal rows while inserting goes row by row through every map: .2 M predictions
a second with it, .8 to 1.3 M without. FINAL, which exact counts use anyway, collapses them."""


class Store:
    """Tables of Driftline in ClickHouse, behind five verbs.

    Open with :meth:`open`; a context manager that closes itself.

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
    [1, 2, 3, 4, 5, 6, 7]
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
            Refuse every statement that writes; an embedded store must exist already.
        configure : callable, optional
            Called once an embedded store is locked; returns options of its engine, such as
            ``config-file``. They hold for the process.

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
            If chDB is missing, the folder is no store, the server does not answer, or
            the URL carries a password.
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
        """Make the tables that are missing; return the versions that ran now.

        Parameters
        ----------
        options : TableOptions, optional
            TTLs and engine of tables made now; default keeps everything.

        Raises
        ------
        StorageError
            If the store is newer than this code, or a migration changed after it ran.

        Notes
        -----
        Every statement can be repeated, so the next run completes one that was interrupted.
        """
        values = (options or TableOptions()).values()
        for text in statements(VERSIONS_TABLE, values):
            self.command(text)
        ran = self.query("SELECT version, checksum FROM schema_migrations FINAL").to_pydict()
        applied = dict(zip(ran["version"], ran["checksum"], strict=True))
        todo = pending(load_migrations(), applied, self._where)
        for migration in todo:
            self._apply(migration, values)
        return [migration.version for migration in todo]

    def insert(self, table: str, rows: pa.Table, token: str | None = None) -> int:
        """Write rows as one block; return how many rows were handed over.

        Parameters
        ----------
        table : str
            Its name.
        rows : pyarrow.Table
            Columns by name; columns left out take their defaults.
        token : str, optional
            ``topic_id:partition:lo:hi``. A second insert under the same token adds
            nothing, whatever it holds: give the same token only to the same rows.

        Raises
        ------
        StoreFullError, RowsRefusedError, QueryError, StorageError
            Nothing of the block is there then, unless only the answer was lost. A table that
            spans partitions may have been written in part; the same call again completes it,
            and doubles nothing.
        """
        for index, start in enumerate(range(0, rows.num_rows, MAX_INSERT_ROWS)):
            block = rows.slice(start, MAX_INSERT_ROWS).combine_chunks()
            settings: dict[str, Any] = dict(_INSERT_SETTINGS)
            if token is not None:
                settings["insert_deduplication_token"] = f"{token}#{index}" if index else token
            try:
                self._send(table, block, settings)
            except Exception as error:  # the client raises its own, chDB's and OSError
                raise translate(error, f"{self._where}: {table}", is_insert=True) from error
        return int(rows.num_rows)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Run a SELECT and return all of it.

        Parameters
        ----------
        sql : str
            With ``{name:Type}`` where parameters go.
        parameters : mapping, optional
            Their values; sent beside the text, never pasted into it.

        Raises
        ------
        QueryError
            With ClickHouse's own words, shortened.
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
        """Close the client and let other processes in; closing twice is harmless."""
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
        """Hand one block over; packed where it goes over a network."""
        if self._client.write_compression:
            self._client.insert_arrow(table, block, settings=settings)
            return
        name = table if "." in table else f"`{table}`"
        with self._body.write(block) as body:
            self._client.raw_insert(name, block.column_names, body, settings, fmt="Arrow")

    def _apply(self, migration: Migration, values: Mapping[str, str]) -> None:
        """Run one file, then record it: in this order, because it can be repeated."""
        for text in statements(migration.sql, values):
            self._run_migration(text)
        record = {
            "version": pa.array([migration.version], pa.uint32()),
            "name": [migration.name],
            "checksum": [migration.checksum],
        }
        self.insert("schema_migrations", pa.table(record))

    def _run_migration(self, text: str) -> None:
        """Run one statement; a column that an earlier or another run renamed is no error."""
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
        """Make ClickHouse itself refuse writes: 2 allows other settings to change, 1 none."""
        try:
            self._client.set_client_setting("readonly", 2)
        except Exception as error:
            self.close()
            raise translate(error, self._where) from error


def _open_folder(
    folder: Path, configure: Callable[[], dict[str, str]] | None, *, must_exist: bool
) -> Store:
    """Open, or make, the store in a folder."""
    if find_spec("chdb") is None:
        raise StorageError(
            "the embedded store needs chdb, which is not installed",
            where=str(folder),
            fix="pip install 'driftline[embedded]'",
        )
    _check_folder(folder, must_exist=must_exist)
    # chDB changes the working folder while it loads; an interrupt may leave it there.
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
    """Remove table definitions of no bytes: the disk was full when the table was to be made.

    The engine refuses to start over one of them. Such a table never held a row, and the
    next migration makes it.
    """
    for definition in place.glob("store/*/*/*.sql"):
        if not definition.stat().st_size:
            definition.unlink()


def _check_folder(folder: Path, *, must_exist: bool) -> None:
    """Refuse what is no store before the engine fills it with files."""
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
    """Connect to a server; the URL's password is refused, and never shown."""
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
            # On one machine bytes are cheaper than packing them: .3 us of CPU a prediction.
            compress=parts.hostname not in _LOOPBACK,
            send_receive_timeout=float(os.environ.get(TIMEOUT_VARIABLE, "300")),
        )
    except Exception as error:
        raise translate(error, where) from error
    return Store(client, where)


def _default_port(scheme: str) -> int:
    """ClickHouse's HTTP ports."""
    return 8443 if scheme == "https" else 8123


def _connect(**options: Any) -> Any:
    """Import late: the client costs .2 s, chDB with pandas a second."""
    import clickhouse_connect

    # What it logs it also raises; without a handler Python would print it beside our line.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    return clickhouse_connect.get_client(**options)
