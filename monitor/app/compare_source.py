"""Reads the tables of a comparison: files, stores, and time ranges of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from driftline.times import TimeUnit
from monitor.app.progress import OnNote, PhaseProgress, ignore_note
from monitor.app.row_progress import RowProgress
from monitor.baseline.source import ModelKey, holds_events, read_rows
from monitor.baseline.traffic import read_traffic
from monitor.compare.values import is_text
from monitor.decode.derive import quantity_of
from monitor.storage.lock import is_store_folder
from monitor.transport.canonical import as_text, times_us
from monitor.transport.restamp import TIME
from schemas.baselines import Kind
from schemas.config.model import ModelConfig
from schemas.errors import ConfigError, TransportError
from schemas.names import SCORE
from schemas.time_text import iso_text

_FEATURE = "features."
_TIME_NAMES = ("time", "timestamp", "datetime", "date")
_END_OF_TIME_US = 253_402_300_800_000_000
"""The year 10000."""


@dataclass(frozen=True, slots=True)
class TableSide:
    """One side of a comparison: a file, a folder of parts or a store, or a time range of it."""

    text: str
    """As written by the user; names the side in results and errors."""
    target: str
    since_us: int | None = None
    until_us: int | None = None

    @property
    def is_range(self) -> bool:
        """Return whether the side is limited to a time range."""
        return self.since_us is not None or self.until_us is not None

    @property
    def is_store(self) -> bool:
        """Whether it is a store; any other folder has the parts of a table."""
        return "://" in self.target or is_store_folder(Path(self.target))


class ReadSides(NamedTuple):
    """Tables of both sides."""

    tables: tuple[pa.Table, pa.Table]
    times: tuple[str, ...]
    """Columns that were omitted because they only hold row times."""


def read_sides(
    sides: tuple[TableSide, TableSide],
    config: ModelConfig | None,
    time: str | None,
    shown: PhaseProgress | None = None,
    on_note: OnNote = ignore_note,
) -> ReadSides:
    """Read both sides; a file that is on both sides is read once.

    Parameters
    ----------
    config : ModelConfig or None
        Needed for a store.
    time : str or None
        Time column of a range.
    shown : PhaseProgress, optional
        Receives the progress of reading.
    on_note : callable, optional
        Receives notes on how a file was read.

    Returns
    -------
    ReadSides
        Features under their own names, without columns of row times.

    Raises
    ------
    TransportError
        If a file cannot be read, or has no rows or none in the range.
    ConfigError
        If a range has no time column, or a store has no model.
    StorageError
        If the store cannot be read.
    """
    files: dict[str, pa.Table] = {}
    paths = list(dict.fromkeys(side.target for side in sides if not side.is_store))
    rows = RowProgress(shown, paths) if shown is not None else None
    tables, times = [], []
    has_range = any(side.is_range for side in sides)
    for side in sides:
        if side.is_store:
            table = _stored(side, config)
        else:
            if side.target not in files:
                report = rows.of(paths.index(side.target)) if rows is not None else None
                files[side.target] = read_rows(side.target, _key(config), report, on_note)
            table = files[side.target]
            name = _time_column(table, side, config, time)
            if name is not None:
                table = _in_range(table, name, side, config)
                if _is_only_time(table, name, config, is_named=has_range or time is not None):
                    times.append(name)
        if not table.num_rows:
            fix = "an empty side would pass any check"
            raise TransportError("holds no rows", where=side.text, fix=fix)
        tables.append(table)
    first, second = (
        _with_derived(_named(_without(table, times, config), config, side.text), config)
        for table, side in zip(tables, sides, strict=True)
    )
    kept = {*first.column_names, *second.column_names}
    return ReadSides((first, second), tuple(n for n in dict.fromkeys(times) if n not in kept))


def _key(config: ModelConfig | None) -> ModelKey | None:
    """Return the tenant and model whose events are read."""
    return None if config is None else (config.tenant, config.model)


def kinds_of(config: ModelConfig, tables: tuple[pa.Table, pa.Table]) -> dict[str, Kind]:
    """Return the variables of a model: features, and score and prediction if present.

    Features derived from a column that neither table has are omitted, as is the age of a time,
    which depends on the row time.

    Parameters
    ----------
    tables : tuple of two pyarrow.Table
        As :func:`read_sides` returns them.

    Returns
    -------
    dict of str to Kind
    """
    there = {name for table in tables for name in table.column_names}
    features = config.features.items()
    kinds = {name: f.kind for name, f in features if not f.of or name in there}
    more = {SCORE: Kind.NUMERIC, "prediction": Kind.CATEGORICAL}
    return kinds | {name: kind for name, kind in more.items() if name in there}


def _with_derived(table: pa.Table, config: ModelConfig | None) -> pa.Table:
    """Add the features that a model derives from texts and times."""
    for derived in config.schema_.derived if config is not None else ():
        names = table.column_names
        if derived.name not in names and derived.source in names and derived.quantity != "age_days":
            texts = as_text(table[derived.source]).to_pylist()
            made = pa.array(
                quantity_of(derived.quantity, texts, derived.timezone), from_pandas=True
            )
            table = table.append_column(derived.name, made)
    return table


def _stored(side: TableSide, config: ModelConfig | None) -> pa.Table:
    """Read a model's predictions of a range from a store."""
    if config is None:
        raise ConfigError("a store holds many models", where=side.text, fix="name one: --model")
    since = 0 if side.since_us is None else side.since_us
    until = _END_OF_TIME_US if side.until_us is None else side.until_us
    return read_traffic(side.target, config, since, until)


def _in_range(table: pa.Table, name: str, side: TableSide, config: ModelConfig | None) -> pa.Table:
    """Keep the rows of a range; the unit of numeric times is the same as in a replay."""
    if not side.is_range or not table.num_rows:
        return table
    declared = config.columns.time_unit if config is not None else None
    declared = None if holds_events(table) else declared
    unit: TimeUnit | None = declared or ("us" if name == TIME else None)
    return table.filter(_is_within(table[name], name, side, unit))


def _is_only_time(
    table: pa.Table, name: str, config: ModelConfig | None, *, is_named: bool
) -> bool:
    """Return whether a column only holds row times, by range option, reserved name, or type.

    A column with a reserved name counts only if there is also a feature of that name, or if it is
    text that can be parsed as times.
    """
    if _is_feature(table, name, config):
        return False
    has_namesake = f"{_FEATURE}{name}" in table.column_names
    is_typed = any(f.name == name and pa.types.is_timestamp(f.type) for f in table.schema)
    is_sure = is_named or name == TIME or has_namesake or is_typed
    return is_sure or (name in table.column_names and _reads_as_times(table[name]))


def _reads_as_times(column: pa.ChunkedArray) -> bool:
    """Return whether a column is text and all values can be parsed as times."""
    if not is_text(column.type) or column.null_count == len(column):
        return False
    try:
        times_us(column)
    except (pa.ArrowException, ValueError):
        return False
    return True


def _is_feature(table: pa.Table, name: str, config: ModelConfig | None) -> bool:
    """Return whether a model declares a column as a feature."""
    is_declared = config is not None and name in config.features
    return is_declared and f"{_FEATURE}{name}" not in table.column_names


def _without(table: pa.Table, names: list[str], config: ModelConfig | None) -> pa.Table:
    """Omit time columns from both sides, so that neither seems to have lost a column."""
    there = [name for name in set(names) if name in table.column_names]
    return table.drop_columns([name for name in there if not _is_feature(table, name, config)])


def _is_within(
    column: pa.ChunkedArray, name: str, side: TableSide, unit: TimeUnit | None
) -> pa.ChunkedArray:
    """Return whether the time of each row is in the range; False for missing times."""
    try:
        times = times_us(column, unit)
    except (pa.ArrowException, ValueError) as error:
        detail = " ".join(str(error).split())[:200]
        what = f"column {name!r} cannot be read as times: {detail}"
        raise ConfigError(what, where=side.text, fix="name another column: --time") from None
    since = 0 if side.since_us is None else side.since_us
    until = _END_OF_TIME_US if side.until_us is None else side.until_us
    within = pc.and_(pc.greater_equal(times, since), pc.less(times, until))
    if not pc.any(within).as_py():
        first, last = (pc.min_max(times)[k].as_py() for k in ("min", "max"))
        run = (
            "it has no times"
            if first is None
            else f"its times run {iso_text(first)} to {iso_text(last)}"
        )
        raise TransportError("holds no rows in that range", where=side.text, fix=run)
    return within


def _time_column(
    table: pa.Table, side: TableSide, config: ModelConfig | None, time: str | None
) -> str | None:
    """Find the time column: the one named, else ``time_us``, else the only candidate."""
    there: list[str] = table.column_names
    named = time or (config.columns.time if config else None)
    if time is None and named not in there and holds_events(table):
        named = None
    if named is None and TIME in there:
        return TIME
    if named is not None and named in there:
        return named
    if named is None:
        typed = [f.name for f in table.schema if pa.types.is_timestamp(f.type)]
        spelt = [name for name in there if name.lower() in _TIME_NAMES]
        found = typed if len(typed) == 1 else spelt
        if len(found) == 1:
            return found[0]
    if not side.is_range and time is None:
        return None
    what = "no column of times" if named is None else f"no column {named!r}"
    listed = ", ".join(repr(name) for name in there[:40])
    raise ConfigError(f"{what}; the columns are {listed}", where=side.text, fix="name it: --time")


def _named(table: pa.Table, config: ModelConfig | None, where: str) -> pa.Table:
    """Rename features and score to the names that are common to all sources."""
    names = table.column_names
    ours: dict[str, str] = {}
    if config is not None:
        for name in (SCORE, "prediction"):
            given = getattr(config.columns, name)
            ours |= {given: name} if given is not None and given in names else {}
    renamed = [ours.get(n, n.removeprefix(_FEATURE)) for n in names]
    twice = sorted({n for n in renamed if renamed.count(n) > 1})
    if twice:
        what = f"has two columns {twice[0]!r}"
        raise TransportError(what, where=where, fix="rename or remove one")
    return table.rename_columns(renamed)
