"""What an alert names besides its numbers: new values, the range seen, absent or null. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.alerts import AlertDetails
from schemas.baselines import Kind, VariableBaseline
from schemas.panes import MISSING, OVERFLOW, UNDERFLOW, UNSEEN, CellDetails, Window


def details_of_cell(
    variable: VariableBaseline,
    counts: NDArray[np.int64],
    extremes: tuple[float, float],
    details: CellDetails | None,
) -> AlertDetails:
    """Return the details of an alert on one cell.

    Parameters
    ----------
    counts : ndarray of int64, shape (64,)
        Of the cell in the window.
    extremes : tuple of float
        Smallest and largest number in the window; infinite without any.
    details : CellDetails or None
        None where panes of the window were counted without them: whether missing values were
        absent or null is unknown then.

    Examples
    --------
    >>> counts = np.zeros(64, np.int64)
    >>> counts[[0, 61, 62]] = 90, 5, 5
    >>> age = VariableBaseline("age", Kind.NUMERIC, np.array([0.0, 94.0]))
    >>> found = details_of_cell(age, counts, (0.0, 412.0), CellDetails(n_absent=5))
    >>> found.seen_range, found.baseline_range, found.p_absent, found.p_null
    ((0.0, 412.0), (0.0, 94.0), 0.05, 0.0)
    """
    n, n_missing = int(counts.sum()), int(counts[MISSING])
    is_outside = variable.kind is Kind.NUMERIC and bool(counts[[UNDERFLOW, OVERFLOW]].any())
    has_range = is_outside and bool(np.isfinite(extremes).all())
    n_absent = min(details.n_absent, n_missing) if details is not None and n_missing else None
    return AlertDetails(
        new_values=tuple((text, rows / n) for text, rows in details.new_values) if details else (),
        seen_range=extremes if has_range else None,
        baseline_range=(float(variable.edges[0]), float(variable.edges[-1])) if has_range else None,
        p_absent=None if n_absent is None else n_absent / n,
        p_null=None if n_absent is None else (n_missing - n_absent) / n,
    )


def details_of_window(
    window: Window, variables: tuple[VariableBaseline, ...], feature: str, segment: str
) -> AlertDetails:
    """Return the details of an alert on a cell of a window."""
    stats, names = window.segments, [variable.name for variable in variables]
    if segment not in stats.segments or stats.counts.shape[1] != len(names):
        return AlertDetails()
    s, v = stats.segments.index(segment), names.index(feature)
    counts = stats.counts[s, v]
    if not counts[[UNDERFLOW, OVERFLOW, MISSING, UNSEEN]].any():
        return AlertDetails()
    details = window.details.get((segment, v), CellDetails()) if window.has_details else None
    extremes = (float(stats.minima[s, v]), float(stats.maxima[s, v]))
    return details_of_cell(variables[v], counts, extremes, details)
