"""Schema migrations: numbered SQL files, applied once each in order, never changed later."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

from schemas.errors import StorageError

VERSIONS_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version    UInt32,
    name       String,
    checksum   String,
    applied_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ${replacing}(applied_at)
ORDER BY version
"""

_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_RENAME = re.compile(r"ALTER TABLE (\w+) RENAME COLUMN IF EXISTS \w+ TO (\w+)")
_BY_DAY, _BY_MONTH = "PARTITION BY toYYYYMMDD(", "PARTITION BY toYYYYMM("


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file, before its template values are filled in."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, so that options (a TTL) do not count as changes."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TableOptions:
    """Options of an installation for creating tables.

    A TTL is relative to ``ingest_time``: relative to event time, a backfill older than the TTL
    would be deleted silently at the first merge. None, the default, which the embedded store uses,
    keeps everything.

    Examples
    --------
    >>> TableOptions(predictions_days=30).values()["predictions_ttl"]
    'TTL toDateTime(ingest_time) + INTERVAL 30 DAY'
    """

    predictions_days: int | None = None
    panes_days: int | None = None
    gpu_days: int | None = None
    dead_letters_days: int | None = None
    is_replicated: bool = False
    deduplication_window: int = 10_000
    """Number of deduplication tokens kept per table.

    Must exceed the number of inserts of all partitions during the longest outage; with 10, rows
    were duplicated after twelve other inserts.
    """
    has_monthly_partitions: bool = False
    """Partition events and panes by month instead of by day.

    Each partition of an insert is a part of its own, which costs the embedded store about 10 ms of
    CPU. A part is dropped when its last row has passed the TTL, so tables with a TTL need days.
    """

    @staticmethod
    def embedded() -> TableOptions:
        """Return the options of an embedded store, which keeps its rows forever."""
        return TableOptions(has_monthly_partitions=True)

    def values(self) -> dict[str, str]:
        """Return the template values of the SQL files."""
        return {
            "replacing": "ReplicatedReplacingMergeTree"
            if self.is_replicated
            else "ReplacingMergeTree",
            "window": str(self.deduplication_window),
            "predictions_ttl": _ttl(self.predictions_days),
            "panes_ttl": _ttl(self.panes_days),
            "gpu_ttl": _ttl(self.gpu_days),
            "dead_letters_ttl": _ttl(self.dead_letters_days),
        }

    def statements(self, sql: str) -> list[str]:
        """Return the statements of one SQL file with these options.

        Examples
        --------
        >>> sql = "CREATE TABLE t PARTITION BY toYYYYMMDD(time);"
        >>> TableOptions.embedded().statements(sql)
        ['CREATE TABLE t PARTITION BY toYYYYMM(time)']
        >>> TableOptions().statements(sql)
        ['CREATE TABLE t PARTITION BY toYYYYMMDD(time)']
        """
        found = statements(sql, self.values())
        if not self.has_monthly_partitions:
            return found
        return [text.replace(_BY_DAY, _BY_MONTH) for text in found]


def _ttl(days: int | None) -> str:
    """Return a TTL clause; empty for None."""
    return "" if days is None else f"TTL toDateTime(ingest_time) + INTERVAL {int(days)} DAY"


def load_migrations() -> tuple[Migration, ...]:
    """Read ``schemas/migrations/*.sql`` in order.

    Raises
    ------
    StorageError
        If the numbers are not 1, 2, 3, ...: a file is missing or misnamed.
    """
    folder = resources.files("schemas") / "migrations"
    found = []
    for entry in folder.iterdir():
        if match := _FILE_NAME.fullmatch(entry.name):
            found.append(Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.version)
    numbers = [migration.version for migration in found]
    if not numbers or numbers != list(range(1, len(numbers) + 1)):
        raise StorageError(
            f"migrations are numbered {numbers}", where="schemas/migrations", fix="reinstall"
        )
    return tuple(found)


def statements(sql: str, values: Mapping[str, str]) -> list[str]:
    """Fill in the template and split it into statements, without comments.

    Examples
    --------
    >>> statements("-- a; b\\nCREATE ${x};\\nDROP y;", {"x": "TABLE t"})
    ['CREATE TABLE t', 'DROP y']
    """
    bare = re.sub(r"^\s*--.*$", "", sql, flags=re.MULTILINE)
    filled = Template(bare).substitute(values)
    return [text.strip() for text in filled.split(";") if text.strip()]


def renamed_column(statement: str) -> tuple[str, str] | None:
    """Return the table and the new column name if a statement renames a column, else None.

    Examples
    --------
    >>> renamed_column("ALTER TABLE t RENAME COLUMN IF EXISTS a TO b"), renamed_column("DROP t")
    (('t', 'b'), None)
    """
    found = _RENAME.fullmatch(statement)
    return (found[1], found[2]) if found else None


def pending(known: Sequence[Migration], applied: Mapping[int, str], where: str) -> list[Migration]:
    """Return the migrations to apply; raise if the store does not match this code.

    Parameters
    ----------
    known : sequence of Migration
        Migrations of this version of Driftline, in order.
    applied : mapping of int to str
        Version and checksum of the applied migrations.
    where : str
        The store, for the message.

    Raises
    ------
    StorageError
        If the store is newer than the code, or an applied migration has changed.

    Examples
    --------
    >>> one = Migration(1, "a", "CREATE TABLE a")
    >>> pending([one], {}, "store") == [one], pending([one], {1: one.checksum}, "store")
    (True, [])
    """
    newest = max(applied, default=0)
    if newest > len(known):
        raise StorageError(
            f"the store is at schema version {newest}, this Driftline knows {len(known)}",
            where=where,
            fix="upgrade Driftline, or name another store",
        )
    for migration in known:
        ran = applied.get(migration.version)
        if ran is not None and ran != migration.checksum:
            raise StorageError(
                f"migration {migration.version:04d}_{migration.name} changed after it ran "
                f"(checksum {ran[:12]}, now {migration.checksum[:12]})",
                where=where,
                fix="reinstall the version that made this store, or name another store",
            )
    return [migration for migration in known if migration.version not in applied]
