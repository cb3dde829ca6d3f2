"""How many rows, or ticks with rows, are needed for a verdict. Pure."""

from __future__ import annotations

import math

from schemas.config.values import format_duration
from schemas.time_units import MINUTE_US

ROWS_OF_LOSS = 50
"""Rule 2: rows from which a total loss is found, on the first day too."""
_LENGTHS_US = tuple(
    minutes * MINUTE_US
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1440, 2880, 10080)
)


def needed_rows(min_rows: int) -> float:
    """Return the mean rows a window must have so that 99 % of the windows reach ``min_rows``.

    Rows are taken as Poisson: mean m has min_rows as its 1 % quantile.

    Examples
    --------
    >>> round(needed_rows(30))
    46
    """
    z = 2.326
    return (z / 2 + math.sqrt(min_rows + z * z / 4)) ** 2


def propose_length_us(
    rows_per_window: float, length_us: int, min_rows: int, pane_us: int
) -> int | None:
    """Return the shortest customary window length in which nearly every window has a verdict.

    Parameters
    ----------
    rows_per_window : float
        Mean rows of today's windows.
    length_us, pane_us : int
        Today's window and pane.
    min_rows : int
        Rows that a verdict needs.

    Returns
    -------
    int or None
        A multiple of the pane, at least as long as today's; None where there are no rows.

    Examples
    --------
    >>> propose_length_us(20, 3_600_000_000, 30, 10_000_000) // 3_600_000_000
    3
    """
    if rows_per_window <= 0:
        return None
    wanted = max(length_us * needed_rows(min_rows) / rows_per_window, length_us)
    day_us = 1440 * MINUTE_US
    customary = next((x for x in _LENGTHS_US if x >= wanted), math.ceil(wanted / day_us) * day_us)
    return math.ceil(customary / pane_us) * pane_us


def length_advice(rows_per_window: float, length_us: int, min_rows: int, pane_us: int) -> str:
    """Return what to set so that windows are judged.

    Examples
    --------
    >>> length_advice(20, 3_600_000_000, 30, 10_000_000)
    'set window.length to 3h, or lower decision.min_rows'
    """
    proposed = propose_length_us(rows_per_window, length_us, min_rows, pane_us)
    if proposed is None:
        return "send events, or remove the model"
    return f"set window.length to {format_duration(proposed)}, or lower decision.min_rows"


def is_thin(rows_per_window: float, min_rows: int) -> bool:
    """Whether too few rows come for nearly every window to have a verdict.

    Examples
    --------
    >>> is_thin(20, 30), is_thin(200, 30)
    (True, False)
    """
    return rows_per_window < needed_rows(min_rows)


def traffic_text(rows_per_window: float, length_us: int, min_rows: int) -> str:
    """Return the rows per window, and how many a verdict needs.

    Examples
    --------
    >>> traffic_text(20, 3_600_000_000, 30)
    '20 rows a window of 1h; a verdict needs 30, so aim at 46'
    """
    text = f"{rows_per_window:,.0f} rows a window of {format_duration(length_us)}"
    if not is_thin(rows_per_window, min_rows):
        return text
    needed = needed_rows(min_rows)
    return f"{text}; a verdict needs {min_rows}, so aim at {needed:.0f}"


def first_verdict_text(tick_us: int) -> str:
    """Return how much traffic rule 2 needs for a verdict: rows for a total loss, or ticks.

    Examples
    --------
    >>> first_verdict_text(300_000_000)
    'a verdict needs 50 rows a window, or 15 ticks of 5m with rows before it'
    """
    # imported here: commands that state no verdict do not load the kernels
    from detectors.multiscale.rule import ticks_to_first_verdict

    n_ticks, tick = ticks_to_first_verdict(tick_us), format_duration(tick_us)
    return (
        f"a verdict needs {ROWS_OF_LOSS} rows a window, "
        f"or {n_ticks} ticks of {tick} with rows before it"
    )


def windows_to_first_verdict(tick_us: int, length_us: int) -> int:
    """Return in how many windows rule 2 gives its first verdict at the latest, in steady traffic.

    Examples
    --------
    >>> windows_to_first_verdict(300_000_000, 3_600_000_000)
    2
    """
    from detectors.multiscale.rule import ticks_to_first_verdict

    return -(-ticks_to_first_verdict(tick_us) * tick_us // length_us)
