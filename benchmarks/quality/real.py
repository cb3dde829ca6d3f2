"""The real data as streams: what was, drawn again household by household, and with a change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.quality.rows import Column

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CAR_LOAN = (
    *("car_value", "debt_to_income_ratio", "loan_length", "driver_tenure", "salary_range"),
    *("repaid_loan_on_prev_car", "size_of_downpayment", "y_pred_proba"),
)
EMPLOYMENT = (
    *("AGEP", "SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC", "NATIVITY"),
    *("DEAR", "DEYE", "DREM", "SEX", "RAC1P", "predicted_probability"),
)
Change = Callable[[str, NDArray[Any]], NDArray[Any]]


def unchanged(_name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Leave a column as it is."""
    return values


def is_there() -> bool:
    """Say whether the data lies beside the project."""
    return (DATA / "car_loan_reference.parquet").exists()


def households(table: pa.Table) -> NDArray[np.int64]:
    """Number of the household of each row; residents of group quarters are alone."""
    relation = np.array([int(value) for value in table["RELP"].to_pylist()])
    is_alone = relation >= 16
    return np.cumsum((relation == 0) | is_alone | np.roll(is_alone, 1)) - 1


def windows_of(
    table: pa.Table, groups: NDArray[np.int64], n_rows: int, n_windows: int, seed: int
) -> list[NDArray[np.int64]]:
    """Rows of each window: whole groups drawn with replacement until there are enough."""
    rng = np.random.default_rng(seed)
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    sizes = np.diff(np.append(starts, len(groups)))
    found = []
    for _ in range(n_windows):
        drawn = rng.integers(0, len(starts), n_rows)
        drawn = drawn[: int(np.searchsorted(np.cumsum(sizes[drawn]), n_rows)) + 1]
        rows = np.concatenate([np.arange(starts[d], starts[d] + sizes[d]) for d in drawn])
        found.append(rows[:n_rows])
    return found


def columns(
    name: str, n_rows: int, n_windows: int, seed: int, change: Change = unchanged
) -> list[Column]:
    """One month of ``car_loan`` or ``employment_MA``, drawn from its reference."""
    table = pq.read_table(DATA / f"{name}_reference.parquet")
    wanted = CAR_LOAN if name == "car_loan" else EMPLOYMENT
    alone = np.arange(table.num_rows)
    groups = alone if name == "car_loan" else households(table)
    rows = windows_of(table, groups, n_rows, n_windows, seed)
    found = []
    for column in wanted:
        values = table[column].to_numpy(zero_copy_only=False)
        is_numeric = bool(pa.types.is_floating(table.schema.field(column).type))
        if not is_numeric:
            values = np.array([str(v) for v in values])
        changed = change(column, values)
        found.append(Column(values, [changed[r] for r in rows], is_numeric))
    return found
