"""Reads references from files, and maps columns to the names of events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.baseline.event_table import table_of_events
from monitor.transport.canonical import as_text, canonical
from monitor.transport.files import read_table
from monitor.transport.inputs import Progress
from monitor.transport.restamp import TIME
from schemas.batch import Chunk
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError, ConfigError, TransportError
from schemas.events import DEFAULT_TENANT
from schemas.refused import REFUSED_COLUMN

Note = Callable[[str], None]
ModelKey = tuple[str, str]
"""Tenant and model."""


def read_rows(
    path: str | Path,
    model: ModelKey | None = None,
    on_progress: Progress | None = None,
    note: Note | None = None,
) -> pa.Table:
    """Read a file as ``driftline replay`` does, without a model's column mapping.

    Parameters
    ----------
    path : path-like
        A table (Parquet, CSV, Arrow, ORC), JSON events, a folder of parts, or ``-``.
    model : (str, str), optional
        Keeps only this model's events of JSON events that name a model.
    on_progress : callable, optional
        Called with the share that has been read, if known, and its rows.
    note : callable, optional
        Called with one sentence if malformed events are omitted; see
        :func:`monitor.baseline.event_table.table_of_events`.

    Returns
    -------
    pyarrow.Table
        As in the file; for JSON events as
        :func:`monitor.baseline.event_table.table_of_events` returns them.

    Raises
    ------
    TransportError
        If the file cannot be read, or all of its events are of other models.
    """

    def events(chunks: Iterator[Chunk]) -> pa.Table:
        return _of_model(table_of_events(chunks, note), model, str(path))

    return read_table(path, events, on_progress)


def _of_model(table: pa.Table, model: ModelKey | None, where: str) -> pa.Table:
    """Keep the events of one model and rows without a model, like a replay."""
    names = table.column_names
    if model is None or not holds_events(table) or not table.num_rows:
        return table
    is_own = _is_value(table["model"], model[1])
    if "tenant" in names:
        is_own = pc.and_(is_own, _is_value(table["tenant"], model[0]))
    elif model[0] != DEFAULT_TENANT:
        is_own = pc.and_(is_own, False)
    own = table.filter(is_own)
    if not own.num_rows:
        there = ", ".join(map(repr, pc.unique(table["model"]).drop_null().to_pylist()[:8]))
        what = f"holds no event of model {model[1]!r}, tenant {model[0]!r}; its models are {there}"
        raise TransportError(what, where=where, fix="name another file, or correct the names")
    return own


def holds_events(table: pa.Table) -> bool:
    """Return whether the rows of a table are events, by their column names.

    Examples
    --------
    >>> holds_events(pa.table({"model": ["m"], "features.age": [41]}))
    True
    """
    names = table.column_names
    return "model" in names and any(name.startswith("features.") for name in names)


def _is_value(column: pa.ChunkedArray, value: str) -> pa.ChunkedArray:
    """Return whether each value is equal to the given one, or missing."""
    text = as_text(column)
    return pc.fill_null(pc.equal(text, value), True)


def read_reference(
    paths: Sequence[str | Path],
    model: ModelKey | None = None,
    on_progress: Callable[[int], Progress] | None = None,
    note: Note | None = None,
) -> pa.Table:
    """Read and concatenate the files of a reference.

    Parameters
    ----------
    paths : sequence of path-like
        As for :func:`read_rows`; all tables must have the same columns.
    model : (str, str), optional
        Tenant and model of the events to read.
    on_progress : callable, optional
        Maps the index of a path to the callback for :func:`read_rows`.
    note : callable, optional
        As for :func:`read_rows`.

    Returns
    -------
    pyarrow.Table
        In file order, unconverted.

    Raises
    ------
    TransportError
        If a file is missing or cannot be read, or has no events of the model.
    BaselineError
        If the files do not have the same columns.
    """
    tables = [
        read_rows(path, model, on_progress(i) if on_progress is not None else None, note)
        for i, path in enumerate(paths)
    ]
    for path, table in zip(paths, tables, strict=True):
        odd = sorted(set(table.column_names) ^ set(tables[0].column_names))
        if odd:
            what = f"{odd[0]} is a column of only one of {paths[0]} and {path}"
            raise BaselineError(what, fix="give files with the same columns")
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise BaselineError(
            f"the files do not fit together: {' '.join(str(error).split())[:200]}",
            where=", ".join(map(str, paths)),
            fix="give files with the same columns and types",
        ) from None


def event_columns(table: pa.Table, config: ModelConfig) -> tuple[pa.Table, bool]:
    """Map a reference to the columns of an event batch, like a replay.

    Parameters
    ----------
    table : pyarrow.Table
        Columns as in :func:`monitor.transport.canonical.canonical`.
    config : ModelConfig
        Features and their columns.

    Returns
    -------
    table : pyarrow.Table
        Without a time column row numbers are used as times, which keeps the order.
    has_time : bool
        Whether the times are event times.

    Raises
    ------
    BaselineError
        If columns are missing (names all of them, and the existing ones), or one cannot be read.
    """
    if holds_events(table):
        config = _for_events(table, config)
    try:
        mapped = canonical(table, _without_places(table, config), where="reference")
    except ConfigError as error:
        raise BaselineError(error.what, where=error.where, fix=error.fix) from None
    if TIME not in mapped.column_names:
        return mapped.append_column(TIME, pa.array(np.arange(table.num_rows))), False
    n_missing = mapped[TIME].null_count
    if n_missing:
        what = f"{n_missing:,} of {table.num_rows:,} times are missing or cannot be read"
        if REFUSED_COLUMN in mapped.column_names:
            first = mapped.filter(mapped[TIME].is_null())[REFUSED_COLUMN].drop_null()
            what += f": {first[0]}" if len(first) else ""
        raise BaselineError(what, where="reference", fix="correct or remove those rows")
    return mapped, True


def _for_events(table: pa.Table, config: ModelConfig) -> ModelConfig:
    """Return a config for events, whose names are fixed; ``columns`` applies to flat tables."""
    columns = config.columns
    given = columns.model_dump(exclude_none=True)
    absent = {name: None for name, value in given.items() if value not in table.column_names}
    return config.model_copy(update={"columns": columns.model_copy(update=absent)})


def _without_places(table: pa.Table, config: ModelConfig) -> ModelConfig:
    """Return a config without IDs and hosts, which are not used from training data."""
    columns = config.columns
    unasked = {
        name: None
        for name in ("id", "host", "gpu_uuid", "model_version")
        if getattr(columns, name) not in table.column_names
    }
    return config.model_copy(update={"columns": columns.model_copy(update=unasked)})
