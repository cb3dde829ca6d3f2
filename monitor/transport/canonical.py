"""A user's flat table as the columns the decoder knows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from monitor.transport.misfits import Misfits
from monitor.transport.restamp import TIME
from schemas.config import ModelConfig
from schemas.errors import ConfigError
from schemas.profiles import Kind
from schemas.refused import REFUSED_COLUMN

RECORD_TIME = "record_time_us"
_TEXT_COLUMNS = ("id", "prediction", "host", "gpu_uuid", "model_version")
WORDS_FOR_MISSING = ("", "na", "n/a", "nan", "null", "none")
"""In text, what stands for no number."""
_US = pa.timestamp("us", tz="UTC")


def canonical(
    table: pa.Table, config: ModelConfig, *, needs_time: bool = False, where: str = ""
) -> pa.Table:
    """Map a flat table to the columns ``time_us``, ``id``, ``score``, ``features.<name>``, ...

    Parameters
    ----------
    table : pyarrow.Table
        As read from a file. A column is looked for under the name in ``config.columns``,
        else under ours; a feature or segment under its own name, or ``features.<name>``.
    config : ModelConfig
    needs_time : bool
        Refuse a table without event times.
    where : str
        The file, for messages.

    Returns
    -------
    pyarrow.Table
        Numeric features and the score float64 (booleans 0 and 1), categorical features and
        segments strings (integers as ``7``, whole floats too, booleans as ``true``),
        times int64 microseconds UTC. A time without a zone is read as UTC. If a value cannot
        be what the config says, it is null, and the column ``driftline.refused`` says so
        in its row: the decoder refuses that row, and no other.

    Raises
    ------
    ConfigError
        Names every column that is missing, and what there is; or a column of which no
        value can be what the config says, by its type.

    Notes
    -----
    Categories are spelt the same whether a column came as int64, as int64 with nulls
    (pandas makes that float64) or as text: else ``7`` and ``7.0`` would be two categories.

    Examples
    --------
    >>> config = ModelConfig(model="m", features={"age": {"kind": "numeric"}})
    >>> canonical(pa.table({"age": [1, None], "other": [0, 0]}), config).to_pydict()
    {'features.age': [1.0, None]}
    """
    table = flat(table)
    found = _locate(table, config, needs_time=needs_time, where=where)
    columns: dict[str, pa.ChunkedArray] = {}
    misfits = Misfits(table.num_rows)
    for name, source in found.items():
        try:
            columns[name] = misfits.map(
                name, table[source], partial(_converted, name, config=config)
            )
        except (pa.ArrowException, ValueError) as error:
            detail = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"column {source!r} ({table.schema.field(source).type}) "
                f"cannot be read as {name}: {detail}",
                where=where,
                fix="correct the column, or the feature's kind in the model's config",
            ) from error
    if misfits:
        columns[REFUSED_COLUMN] = misfits.column()
    return pa.table(columns)


def flat(table: pa.Table) -> pa.Table:
    """Turn struct columns (``features``, ``segments``) into ``features.<name>``."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def _locate(
    table: pa.Table, config: ModelConfig, *, needs_time: bool, where: str
) -> dict[str, str]:
    """Return our name -> the table's name of every column there is; name what is missing."""
    there = set(table.column_names)
    found: dict[str, str] = {}
    missing: list[str] = []
    for name, choices, is_needed in _wanted(config, needs_time=needs_time):
        source = next((choice for choice in choices if choice in there), None)
        if source is not None:
            found[name] = source
        elif is_needed:
            missing.append(" or ".join(repr(choice) for choice in choices))
    missing += [
        f"'{name}' or '{feature.of}'"
        for name, feature in config.features.items()
        if feature.of and not {f"features.{name}", f"features.{feature.of}"} & found.keys()
    ]
    if missing:
        listed = ", ".join(repr(name) for name in table.column_names[:40])
        fix = "name them under `columns:` or `features:` in the model's config"
        if len(missing) == 1 and TIME not in found and needs_time:
            fix = "name it under `columns.time` in the model's config, or replay the rows evenly "
            fix += "with --rows-per-window"
        raise ConfigError(
            f"no column {', '.join(missing)}; the columns are {listed}", where=where, fix=fix
        )
    return found


def _wanted(
    config: ModelConfig, *, needs_time: bool
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Yield our name, the names to look for, and whether the table must have it."""
    for name, feature in config.features.items():
        yield f"features.{name}", (name, f"features.{name}"), not feature.of
    for source in dict.fromkeys(f.of for f in config.features.values() if f.of):
        yield f"features.{source}", (source, f"features.{source}"), False
    for segment in config.segments:
        is_own = segment not in config.features
        yield f"segments.{segment}", _segment_names(segment, config), is_own
    columns = config.columns
    yield TIME, _named(columns.time, TIME), needs_time or columns.time is not None
    if columns.record_time is not None:
        yield RECORD_TIME, (columns.record_time,), True
    for name in ("score", *_TEXT_COLUMNS):
        given = getattr(columns, name)
        yield name, _named(given, name), given is not None


def _named(given: str | None, ours: str) -> tuple[str, ...]:
    """A name the config gives is the only one; else ours."""
    return (given,) if given is not None else (ours,)


def _segment_names(segment: str, config: ModelConfig) -> tuple[str, ...]:
    """A segment named like a feature is that feature's, unless the table says otherwise."""
    if segment in config.features:
        return (f"segments.{segment}",)
    return (f"segments.{segment}", segment)


def _converted(name: str, column: pa.ChunkedArray, config: ModelConfig) -> pa.ChunkedArray:
    """Turn one column into the type its name asks for."""
    if name in (TIME, RECORD_TIME):
        return times_us(column)
    if name == "score":
        return as_number(column)
    feature = config.features.get(name.removeprefix("features."))
    if name.startswith("features.") and feature is not None and feature.kind is Kind.NUMERIC:
        return as_number(column)
    return as_text(column)


def as_number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return float64; of text, numbers, booleans and the usual words for missing are taken.

    Examples
    --------
    >>> as_number(pa.chunked_array([["1.5", "NA", "true"]])).to_pylist()
    [1.5, None, 1.0]
    """
    column = _plain(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _number_text(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if pa.types.is_integer(column.type):
        return column.cast(pa.float64(), safe=False)  # beyond 2**53 the nearest double
    return column.cast(pa.float64())


def _number_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Replace words for missing by null, and booleans by digits."""
    bare = pc.utf8_trim_whitespace(column)
    lower = pc.utf8_lower(bare)
    bare = pc.if_else(
        pc.is_in(lower, value_set=pa.array(WORDS_FOR_MISSING, lower.type)), None, bare
    )
    bare = pc.if_else(pc.equal(lower, "true"), "1", bare)
    return pc.if_else(pc.equal(lower, "false"), "0", bare)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return strings; whole floats are spelt like integers.

    Examples
    --------
    >>> as_text(pa.chunked_array([[7.0, 0.5, None]])).to_pylist()
    ['7', '0.5', None]
    """
    column = _plain(column)
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        finite = pc.if_else(pc.is_finite(column), column, None)
        whole = pc.equal(pc.floor(finite), finite)
        small = pc.less(pc.abs(finite), 2.0**53)
        integers = pc.if_else(pc.and_(whole, small), finite, None).cast(pa.int64())
        return pc.coalesce(integers.cast(pa.string()), finite.cast(pa.string()))
    return column.cast(pa.string())


def times_us(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return int64 microseconds UTC of timestamps, dates, ISO text or microseconds.

    Examples
    --------
    >>> times_us(pa.chunked_array([["2016-01-01T00:00:00Z", "2016-01-01 00:00:01"]])).to_pylist()
    [1451606400000000, 1451606401000000]
    """
    column = _plain(column)
    kind = column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind):
        return column.cast(pa.int64())
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64())
    return _iso_times_us(column.cast(pa.string()))


def _iso_times_us(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read ISO text, with and without a zone in one column; without one it is UTC."""
    has_zone = pc.match_substring_regex(column, r"(Z|[+-]\d{2}:?\d{2})\s*$")
    zoned = pc.if_else(has_zone, column, None).cast(_US).cast(pa.int64())
    plain = pc.if_else(has_zone, None, column).cast(pa.timestamp("us")).cast(pa.int64())
    return pc.coalesce(zoned, plain)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Undo a dictionary; text must be UTF-8, which no reader of files has looked at."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type):
        column = column.cast(pa.binary())  # no copy; the way back checks the bytes
    elif pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())
    if pa.types.is_binary(column.type):
        return column.cast(pa.string())
    return column.cast(pa.large_string()) if pa.types.is_large_binary(column.type) else column
