"""Makes the extracts in ``tests/data`` from the large files; the result is committed::

python -m tests.support.extracts FOLDER_WITH_THE_LARGE_FILES
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tests.support.data import EXTRACTS, SHARED

CAR_LOAN_STEP = 4
HOUSEHOLD_STEPS = {"reference": 4, "analysis": 8}
DECIMALS = {"debt_to_income_ratio": 3, "driver_tenure": 2, "predicted_probability": 3}
"""Digits after the point that are kept: full doubles would be most of the file."""

ENCODINGS = {"id": "DELTA_BINARY_PACKED", "timestamp": "DELTA_BYTE_ARRAY"}


def extracts(folder: Path = SHARED) -> dict[str, pa.Table]:
    """Return every extract by its file name."""
    found = {}
    for part, step in HOUSEHOLD_STEPS.items():
        loans = pq.read_table(folder / f"car_loan_{part}.parquet")
        found[f"car_loan_{part}.parquet"] = _rounded(
            loans.take(np.arange(0, loans.num_rows, CAR_LOAN_STEP))
        )
        people = pq.read_table(folder / f"employment_MA_{part}.parquet")
        is_kept = household_numbers(people) % step == 0
        found[f"employment_MA_{part}.parquet"] = _rounded(people.filter(pa.array(is_kept)))
    return found


def household_numbers(people: pa.Table) -> NDArray[np.int64]:
    """Return each row's household: one starts at RELP 0; group quarters (16, 17) are single."""
    relation = np.array([int(value) for value in people["RELP"].to_pylist()])
    year = people["year"].to_numpy()
    starts = (relation == 0) | (relation >= 16)
    starts |= np.diff(year, prepend=year[0] - 1) != 0
    starts |= np.roll(relation, 1) >= 16
    return np.cumsum(starts) - 1


def _rounded(table: pa.Table) -> pa.Table:
    for name in DECIMALS.keys() & set(table.column_names):
        values = np.round(table[name].to_numpy(), DECIMALS[name])
        table = table.set_column(table.column_names.index(name), name, [values])
    return table.combine_chunks()


def write_extracts(tables: dict[str, pa.Table], folder: Path = EXTRACTS) -> list[Path]:
    """Write the extracts as small as Parquet makes them; return their paths."""
    for name, table in tables.items():
        encodings = {k: v for k, v in ENCODINGS.items() if k in table.column_names}
        pq.write_table(
            table, folder / name, compression="zstd", compression_level=22,
            use_dictionary=[c for c in table.column_names if c not in encodings],
            column_encoding=encodings, write_statistics=False, data_page_size=1 << 24,
        )  # fmt: skip
    return [folder / name for name in tables]


if __name__ == "__main__":
    for written in write_extracts(extracts(Path(sys.argv[1]))):
        print(f"{written}  {written.stat().st_size} bytes")
