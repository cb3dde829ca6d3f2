"""evidently's report on the same rows, where the library is installed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
from markupsafe import Markup

from monitor.optional_modules import show_unused_modules
from monitor.report.templating import render
from schemas.names import SCORE

MAX_ROWS = 5_000
"""Sampled from each side: evidently's page holds its data, and grows with it."""


def write_evidently(path: Path, reference: pa.Table, current: pa.Table, seed: int = 0) -> Markup:
    """Write evidently's data drift report; return the HTML line that speaks of it.

    Parameters
    ----------
    path : Path
        Where its page goes.
    reference, current : pa.Table
        Columns ``features.<name>`` and ``score``; other columns are left out.
    seed : int, optional
        Of the sample of at most 5,000 rows.

    Returns
    -------
    Markup
        HTML: a link, or how to get the library, or why it failed. An error of the
        library does not propagate.

    Notes
    -----
    Measured: 4.6 s for 5,000 rows each of 17 columns on one core, half of it the import.
    """
    show_unused_modules()  # it needs pandas
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from evidently import Report
            from evidently.presets import DataDriftPreset
    except ModuleNotFoundError:
        return _line()
    except Exception as error:
        # evidently 0.7 breaks in its own imports beside pandas 3.
        return _line(problem=_failure("cannot be imported", error))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            snapshot = Report([DataDriftPreset()]).run(
                _frame(current, seed), _frame(reference, seed)
            )
            snapshot.save_html(str(path))
    except Exception as error:
        # A foreign library may raise anything; the page is kept and reports it.
        path.unlink(missing_ok=True)
        return _line(problem=_failure("failed", error))
    rows = (min(MAX_ROWS, table.num_rows) for table in (reference, current))
    return _line(path.name, *rows)


def _line(file: str = "", n_reference: int = 0, n_current: int = 0, problem: str = "") -> Markup:
    return render(
        "evidently.html", file=file, n_reference=n_reference, n_current=n_current, problem=problem
    )


def _failure(what: str, error: Exception) -> str:
    return f"{what}: {type(error).__name__}: {str(error)[:300]}"


def _frame(table: pa.Table, seed: int) -> object:
    """Sampled rows as pandas: features and score, categories as text."""
    names = [n for n in table.column_names if n.startswith("features.") or n == SCORE]
    table = table.select(names).rename_columns([n.removeprefix("features.") for n in names])
    if table.num_rows > MAX_ROWS:
        rows = np.random.default_rng(seed).choice(table.num_rows, MAX_ROWS, replace=False)
        table = table.take(pa.array(np.sort(rows)))
    columns = [
        column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names).to_pandas()
