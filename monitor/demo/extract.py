"""Cuts the demo's data out of the ACS employment files: years 2015 and 2016, what is needed.

Run when the extract changes; the result is committed::

    python -m monitor.demo.extract FOLDER_WITH_THE_EMPLOYMENT_FILES
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import TransportError

DATA = Path(__file__).with_name("data")
NUMERIC = ("AGEP",)
CATEGORICAL = (
    *("SCHL", "MAR", "RELP", "DIS", "ESP", "CIT", "MIG", "MIL", "ANC"),
    *("NATIVITY", "DEAR", "DEYE", "DREM", "SEX", "RAC1P"),
)
ATTRIBUTES = NUMERIC + CATEGORICAL


def extract(folder: Path) -> pa.Table:
    """Join the attributes with the true employment, 2015 and 2016, in file order.

    Parameters
    ----------
    folder : Path
        Holds ``employment_MA_reference.parquet``, ``_analysis`` and ``_analysis_target``.

    Returns
    -------
    pa.Table
        uint8 columns: the 16 attributes and ``employed``; int16 ``year``.

    Raises
    ------
    TransportError
        If a file is missing.

    Notes
    -----
    File order is kept, because a household is the run of rows that starts at RELP = 0.
    """
    names = ("reference", "analysis", "analysis_target")
    paths = [folder / f"employment_MA_{name}.parquet" for name in names]
    for path in paths:
        if not path.is_file():
            raise TransportError(
                "the file is missing", where=str(path), fix="pass the folder that holds it"
            )
    reference, analysis, target = (pq.read_table(path) for path in paths)
    analysis = analysis.append_column("employed", _labels(analysis, target))
    columns = [*ATTRIBUTES, "employed", "year"]
    table = pa.concat_tables(
        [reference.select(columns), analysis.select(columns)], promote_options="none"
    )
    return _narrow(table.filter(pc.less_equal(table["year"], 2016)))


def _labels(analysis: pa.Table, target: pa.Table) -> pa.ChunkedArray:
    """Look up the labels by ID; the two files need not be in the same order."""
    position = pc.index_in(analysis["id"], target["id"])
    return target["employed"].take(position)


def _narrow(table: pa.Table) -> pa.Table:
    """Store each value in a byte: every attribute of this survey is a small whole number."""
    columns = {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        kind = pa.int16() if name == "year" else pa.uint8()
        columns[name] = pa.array(column.cast(kind).to_numpy(), kind)
    return pa.table(columns)


def write_extract(table: pa.Table, folder: Path = DATA) -> list[Path]:
    """Write one file a year, as small as Parquet makes them.

    Parameters
    ----------
    table : pa.Table
        What ``extract`` returned.
    folder : Path
        Where the files go.

    Returns
    -------
    list of Path
        ``employment_2015.parquet`` and ``employment_2016.parquet``.
    """
    paths = []
    for year in np.unique(table["year"].to_numpy()):
        path = folder / f"employment_{year}.parquet"
        rows = table.filter(pc.equal(table["year"], int(year))).drop_columns(["year"])
        pq.write_table(
            rows, path, compression="zstd", compression_level=19, use_dictionary=True,
            write_statistics=False, store_schema=False, data_page_size=1 << 24,
        )  # fmt: skip
        paths.append(path)
    return paths


if __name__ == "__main__":
    for written in write_extract(extract(Path(sys.argv[1]))):
        print(f"{written}  {written.stat().st_size} bytes")
