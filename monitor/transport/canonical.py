"""Maps a user's flat table to the decoder's canonical columns. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa

from driftline.canonical import WORDS_FOR_MISSING
from monitor.core.column_values import as_number, as_text, times_us
from monitor.core.table_rows import RECORD_TIME
from monitor.transport.plain_columns import flat
from monitor.transport.restamp import TIME
from monitor.transport.type_mismatches import Misfits
from schemas.baselines import Kind
from schemas.config.model import ModelConfig
from schemas.errors import ConfigError
from schemas.names import SCORE
from schemas.refused import REFUSED_COLUMN

__all__ = [
    "RECORD_TIME",
    "WORDS_FOR_MISSING",
    "as_number",
    "as_text",
    "canonical",
    "flat",
    "times_us",
]

_TEXT_COLUMNS = ("id", "prediction", "host", "gpu_uuid", "model_version")
_NESTED = ("features.", "segments.")


def canonical(
    table: pa.Table, config: ModelConfig, *, needs_time: bool = False, where: str = ""
) -> pa.Table:
    """Map a flat table to the columns ``time_us``, ``id``, ``score``, ``features.<name>``, ...

    Parameters
    ----------
    table : pyarrow.Table
        As read from a file. A column is found by the name in ``config.columns``, or by its default
        name; a feature or segment by its own name, or ``features.<name>``.
    needs_time : bool
        Reject a table without event times.
    where : str
        The file, for messages.

    Returns
    -------
    pyarrow.Table
        Numeric features and the score float64, categorical features, segments and the
        prediction strings, both in the form of :mod:`driftline.canonical`; times int64
        microseconds UTC (:mod:`driftline.times`). A value that does not have the configured type
        becomes null, and the column ``driftline.refused`` has the reason in its row: the decoder
        rejects only that row.

    Raises
    ------
    ConfigError
        If columns are missing (names all of them, and the existing ones), or if the type of a
        column can never hold the configured kind of values.

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


def _locate(
    table: pa.Table, config: ModelConfig, *, needs_time: bool, where: str
) -> dict[str, str]:
    """Return canonical name -> table's name of the columns found; raise if some are missing."""
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
    """Yield canonical name, candidate names, and whether the column is required."""
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
    for name in (SCORE, *_TEXT_COLUMNS):
        given = getattr(columns, name)
        yield name, _named(given, name), given is not None


def _named(given: str | None, ours: str) -> tuple[str, ...]:
    """Return the configured name, or the default if none is configured."""
    return (given,) if given is not None else (ours,)


def _segment_names(segment: str, config: ModelConfig) -> tuple[str, ...]:
    """Return candidate names; a segment named like a feature falls back to its column."""
    if segment in config.features:
        return (f"segments.{segment}",)
    return (f"segments.{segment}", segment)


def _converted(name: str, column: pa.ChunkedArray, config: ModelConfig) -> pa.ChunkedArray:
    """Convert one column to the type of its canonical name."""
    if name in (TIME, RECORD_TIME):
        is_ours = name == TIME and config.columns.time in (None, TIME)
        unit = config.columns.time_unit or ("us" if is_ours else None)
        return times_us(column, unit, is_small_us=name == RECORD_TIME)
    if name == SCORE:
        return as_number(column)
    feature = config.features.get(name.removeprefix("features."))
    if name.startswith("features.") and feature is not None and feature.kind is Kind.NUMERIC:
        return as_number(column)
    inside, own = name.split(".", 1) if name.startswith(_NESTED) else ("", name)
    return as_text(column, is_verbatim=config.schema_.received.is_verbatim(own, inside))
