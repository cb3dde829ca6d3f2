"""Assigns evenly spaced event times to tables. Pure."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from schemas.errors import DomainError

TIME = "time_us"


def stamp_evenly(
    table: pa.Table, rows_per_window: int, window_us: int, start_us: int, first_row: int = 0
) -> pa.Table:
    """Return the table with times such that each window has ``rows_per_window`` rows.

    Parameters
    ----------
    table : pyarrow.Table
        Rows in the order of their new times.
    rows_per_window : int
        Rows in each [start_us + k window_us, start_us + (k + 1) window_us).
    window_us : int
        Length of a window, at least one microsecond per row.
    start_us : int
        Start of the first window; must be a multiple of ``window_us`` to match the monitor's
        windows.
    first_row : int
        Number of rows before this table, for files that are processed piece by piece.

    Returns
    -------
    pyarrow.Table
        With ``time_us`` (int64) set or replaced. Times are strictly increasing, also across
        windows.

    Raises
    ------
    DomainError
        If a window cannot hold that many distinct microseconds.

    Examples
    --------
    >>> stamp_evenly(pa.table({"x": [1, 2, 3]}), 2, 100, 1_000)["time_us"].to_pylist()
    [1000, 1050, 1100]
    """
    if rows_per_window < 1 or window_us < rows_per_window:
        raise DomainError(
            f"{rows_per_window} rows in a window of {window_us} us",
            where="rows_per_window",
            fix="pass at least 1, and at most one row a microsecond",
        )
    row = np.arange(first_row, first_row + table.num_rows, dtype=np.int64)
    window, place = np.divmod(row, rows_per_window)
    # Split, so that place * (window_us % rows) cannot overflow int64 for any real window.
    step, rest = divmod(window_us, rows_per_window)
    times = start_us + window * window_us + place * step + place * rest // rows_per_window
    stamped = pa.array(times)
    if TIME in table.column_names:
        return table.set_column(table.column_names.index(TIME), TIME, stamped)
    return table.append_column(TIME, stamped)
