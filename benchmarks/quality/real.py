"""The real data as streams: one half is the baseline, the other is drawn again and again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
Rows = NDArray[np.int64]


def is_there() -> bool:
    """Return whether the data lies beside the project."""
    return (DATA / "car_loan_reference.parquet").exists()


def households(table: pa.Table) -> Rows:
    """Number of the household of each row; residents of group quarters are alone."""
    relation = np.array([int(value) for value in table["RELP"].to_pylist()])
    is_alone = relation >= 16
    return np.cumsum((relation == 0) | is_alone | np.roll(is_alone, 1)) - 1


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows that belong together: the first of each group, and how many follow it."""

    starts: Rows
    sizes: Rows

    @classmethod
    def of(cls, number: Rows) -> Groups:
        """Take the number of each row's group, ascending."""
        starts = np.flatnonzero(np.diff(number, prepend=-1))
        return cls(starts, np.diff(np.append(starts, len(number))))

    def rows(self, which: Rows) -> Rows:
        """Return the rows of some groups, one group after the other."""
        sizes = self.sizes[which]
        before = np.cumsum(sizes) - sizes
        rows: Rows = np.arange(sizes.sum()) + np.repeat(self.starts[which] - before, sizes)
        return rows


def halves(groups: Groups, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Deal whole groups out at random: those of the baseline, and those windows come from."""
    order = rng.permutation(len(groups.starts))
    middle = len(order) // 2
    return order[:middle], order[middle:]


def windows_of(
    groups: Groups, pool: Rows, n_rows: int, n_windows: int, rng: np.random.Generator
) -> list[Rows]:
    """Rows of each window: whole groups of the pool, with replacement, until there are enough."""
    found = []
    for _ in range(n_windows):
        drawn = rng.choice(pool, n_rows)
        drawn = drawn[: int(np.searchsorted(np.cumsum(groups.sizes[drawn]), n_rows)) + 1]
        found.append(groups.rows(drawn)[:n_rows])
    return found


def columns(name: str, n_rows: int, n_windows: int, seed: int) -> list[Column]:
    """Make one model of ``car_loan`` or ``employment_MA`` from its reference year.

    Parameters
    ----------
    n_rows, n_windows : int
        Of the windows.
    seed : int
        Of the halves and of the windows.

    Returns
    -------
    list of Column

    Notes
    -----
    No row is in both the baseline and a window, nor is a member of its household: windows
    drawn from the baseline's own rows would differ from it by less than new data does.
    Households of the baseline are in random order, as those of the stream are.
    """
    table = pq.read_table(DATA / f"{name}_reference.parquet")
    wanted, number = (
        (CAR_LOAN, np.arange(table.num_rows))
        if name == "car_loan"
        else (EMPLOYMENT, households(table))
    )
    rng, groups = np.random.default_rng(seed), Groups.of(number)
    baseline, pool = halves(groups, rng)
    reference, windows = groups.rows(baseline), windows_of(groups, pool, n_rows, n_windows, rng)
    return [_column(table, column, reference, windows) for column in wanted]


def _column(table: pa.Table, name: str, reference: Rows, windows: list[Rows]) -> Column:
    values = table[name].to_numpy(zero_copy_only=False)
    is_numeric = bool(pa.types.is_floating(table.schema.field(name).type))
    if not is_numeric:
        values = np.array([str(v) for v in values])
    return Column(values[reference], [values[rows] for rows in windows], is_numeric)
