"""evidently's report on the same rows, where the library is installed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa

from schemas.names import SCORE
from schemas.spelling import spell_html as escape

MAX_ROWS = 5_000
"""Sampled from each side: evidently's page holds its data, and grows with it."""
HOW_TO_GET_IT = (
    "<p>Not written: evidently is not installed. "
    "<code>pip install 'driftline[report]'</code> adds it.</p>"
)


def write_evidently(path: Path, reference: pa.Table, current: pa.Table, seed: int = 0) -> str:
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
    str
        A link, or how to get the library, or why it failed: a report that fails
        never breaks Driftline's report.

    Notes
    -----
    Measured: 4.6 s for 5,000 rows each of 17 columns on one core, half of it the import.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from evidently import Report
            from evidently.presets import DataDriftPreset
    except ModuleNotFoundError:
        return HOW_TO_GET_IT
    except Exception as error:
        # evidently 0.7 breaks in its own imports beside pandas 3.
        return _failure("cannot be imported", error)
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
        return _failure("failed", error)
    return (
        f'<p><a href="{escape(path.name)}">{escape(path.name)}</a>: '
        f"its DataDriftPreset on a sample of {min(MAX_ROWS, reference.num_rows):,} "
        f"reference rows against {min(MAX_ROWS, current.num_rows):,} rows of the windows "
        "that drifted. It compares once, after the fact, and keeps no evidence between windows.</p>"
    )


def _failure(what: str, error: Exception) -> str:
    """Return why there is no report of theirs."""
    words = escape(f"{type(error).__name__}: {str(error)[:300]}")
    return f"<p>Not written: evidently {what}: {words}</p>"


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
