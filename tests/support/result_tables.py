"""Tables of statistics and of verdicts, made up."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from hypothesis import strategies as st

from schemas.monitors import Monitor
from schemas.panes import ClosedBy
from schemas.result_table import ResultColumns, ResultTable, VerdictColumns
from schemas.results import Reason, Verdict

REASONS = (Reason.DESCRIPTIVE, Reason.TOO_FEW_SAMPLES, Reason.NO_DATA)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.lists(st.text(max_size=20), min_size=1, max_size=300, unique=True)


def table_of(columns: ResultColumns, **changed: object) -> ResultTable:
    """Put columns into the table of one window."""
    fields = {
        "tenant": "default", "monitor": Monitor.DRIFT, "model": "m", "model_version": "2.1",
        "profile_id": "p", "window_us": 3_600_000_000, "start_us": 0, "end_us": 3_600_000_000,
        "closed_by": ClosedBy.WATERMARK,
    }  # fmt: skip
    return ResultTable(**{**fields, **changed}, columns=columns)


def random_columns(n_rows: int, seed: int, n_names: int = 5) -> ResultColumns:
    """Draw columns; a third of the numbers is missing."""
    rng = np.random.default_rng(seed)
    names = [tuple(f"{kind}{i}" for i in range(n_names)) for kind in ("f", "s=", "metric")]
    floats = [np.where(rng.random(n_rows) < 1 / 3, np.nan, rng.normal(size=n_rows)) for _ in "1234"]
    return ResultColumns(
        *names,
        REASONS,
        *(rng.integers(0, n_names, n_rows) for _ in range(3)),
        rng.integers(0, len(REASONS), n_rows),
        *floats,
        rng.integers(0, 1 << 40, n_rows),
        rng.integers(0, 200, n_rows),
    )


def with_verdicts(columns: ResultColumns, seed: int, wheres: tuple[str, ...]) -> VerdictColumns:
    """Add verdicts to columns; a third of the numbers is missing."""
    rng, n = np.random.default_rng(seed), len(columns)
    known = {each.name: getattr(columns, each.name) for each in fields(columns)}
    floats = [np.where(rng.random(n) < 1 / 3, np.nan, rng.normal(size=n)) for _ in "123"]
    return VerdictColumns(
        **known,
        verdicts=tuple(Verdict),
        rungs=("", "eps", ".04"),
        wheres=wheres,
        verdict=rng.integers(0, 3, n),
        rung=rng.integers(0, 3, n),
        effect_where=rng.integers(0, len(wheres), n),
        **dict(zip(("evidence", "minimum_detectable_effect", "eps"), floats, strict=True)),
    )


@st.composite
def tables(draw: st.DrawFn) -> ResultTable:
    """Draw tables of any names, numbers and sizes."""
    n_rows = draw(st.integers(0, 40))
    names = [draw(NAMES) for _ in range(3)]
    codes = [
        draw(st.lists(st.integers(0, len(n) - 1), min_size=n_rows, max_size=n_rows))
        for n in (*names, REASONS)
    ]
    numbers = st.lists(st.none() | FINITE, min_size=n_rows, max_size=n_rows)
    counts = st.lists(st.integers(0, 1 << 62), min_size=n_rows, max_size=n_rows)
    return table_of(
        ResultColumns(
            *map(tuple, names),
            REASONS,
            *(np.array(c, np.int64) for c in codes),
            *(np.array(draw(numbers), np.float64) for _ in range(4)),
            *(np.array(draw(counts), np.int64) for _ in range(2)),
        ),
        revised=draw(st.booleans()),
        start_us=draw(st.integers(0, 1 << 50)),
    )


@st.composite
def verdict_tables(draw: st.DrawFn) -> ResultTable:
    """Draw tables of verdicts."""
    table = draw(tables())
    seed, wheres = draw(st.integers(0, 1 << 20)), tuple(draw(NAMES))
    return replace(table, columns=with_verdicts(table.columns, seed, wheres))
