"""A reference read from files, under the names that events have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from monitor.transport.canonical import canonical
from monitor.transport.files import read_table
from monitor.transport.restamp import TIME
from schemas.config import ModelConfig
from schemas.errors import BaselineError, ConfigError
from schemas.refused import REFUSED_COLUMN


def read_reference(paths: Sequence[str | Path]) -> pa.Table:
    """Read the files of a reference, one below the other.

    Parameters
    ----------
    paths : sequence of path-like
        Parquet, CSV or Arrow, all with the same columns.

    Returns
    -------
    pyarrow.Table
        In file order, as it is.

    Raises
    ------
    TransportError
        If a file is missing or cannot be read.
    BaselineError
        If the files do not have the same columns.
    """
    tables = [read_table(path) for path in paths]
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
    """Map a reference to the columns of an event batch, as a replay of it would.

    Parameters
    ----------
    table : pyarrow.Table
        Named as in :func:`monitor.transport.canonical.canonical`.
    config : ModelConfig
        Which features there are, and what their columns are called.

    Returns
    -------
    table : pyarrow.Table
        Without a time column the rows are numbered, so that their order is kept.
    has_time : bool
        Whether the times are real.

    Raises
    ------
    BaselineError
        Naming every column that is missing and those there are, or one that cannot be read.
    """
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
        raise BaselineError(what, where="reference", fix="mend or remove those rows")
    return mapped, True


def _without_places(table: pa.Table, config: ModelConfig) -> ModelConfig:
    """Ask training data for no ids and hosts: nothing is learned from them."""
    columns = config.columns
    unasked = {
        name: None
        for name in ("id", "host", "gpu_uuid", "model_version")
        if getattr(columns, name) not in table.column_names
    }
    return config.model_copy(update={"columns": columns.model_copy(update=unasked)})
