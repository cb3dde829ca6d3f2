"""When a change began: the most likely tick, and an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.onset import scan
from detectors.multiscale.thresholds import SCALE_HOURS
from schemas.errors import DomainError, ShapeError

Floats = NDArray[np.float64]

INTERVAL_NATS: Final = 3.0
"""Beginnings within 3 nats of the most likely one are in the interval."""
LOOK_BACK: Final = 6.0
"""Time constants of the scale that fired to search."""
LEAST_HOURS: Final = 6.0
_LEAST_ROWS: Final = 0.5
"""Assumed rows of the reference in an empty share."""


@dataclass(frozen=True, slots=True)
class Onset:
    """Ticks by their index in the arrays that were searched."""

    tick: int
    """The first tick after the change, most likely."""
    low: int
    high: int
    """First and last likely beginning."""
    nats: float
    """Log-likelihood ratio of the most likely beginning."""


def look_back_ticks(scale: int, tick_hours: float) -> int:
    """Return how many ticks before an alert are searched: six time constants, 6 hours at least.

    Parameters
    ----------
    scale : int
        Index of the scale that fired.
    tick_hours : float
        Length of a tick.

    Examples
    --------
    >>> look_back_ticks(0, 1 / 12), look_back_ticks(3, 1 / 12)
    (72, 576)
    """
    hours = max(LOOK_BACK * SCALE_HOURS[scale], LEAST_HOURS)
    return int(np.rint(hours / tick_hours))


def onset(
    sums: Floats,
    rows: Floats,
    expected: Floats | float,
    *,
    is_share: bool,
    n_reference: float,
    inflation: float = 1.0,
) -> Onset:
    """Find the most likely beginning of a change that lasts to the last tick.

    Parameters
    ----------
    sums, rows : ndarray of float64, shape (T,)
        Counts (or sums) of the component that fired and rows of the stored ticks, in order
        of time; the last one is the tick in which the alert opened.
    expected : ndarray of float64, shape (T,), or float
        The baseline's share or mean, with season and live correction.
    is_share : bool
        Share, otherwise a mean of variance 1.
    n_reference : float
        Rows of the reference: a share that it has none of is taken for 1 / (2 n0).
    inflation : float, optional
        Variance that ticks show over that of independent rows, at least 1. It widens the
        interval; the most likely beginning does not depend on it.

    Returns
    -------
    Onset
        nu* = argmax of the likelihood ratio of "the baseline before nu, a mean of its own
        from nu on", and all nu within 3 nats of it. Ticks without rows are no beginning.

    Raises
    ------
    ShapeError
        If there is no tick with rows, or the lengths differ.
    DomainError
        If the inflation is below 1.

    Notes
    -----
    One pass from the end, O(T). For shares the exact Bernoulli likelihood; "since" is nu*,
    and never the first tick in which the evidence grew. A ramp has no beginning: its
    interval is too narrow.

    References
    ----------
    Decision rule 2, section 1.3 step 11; Hinkley, Inference about the change-point in a
    sequence of random variables, Biometrika 57, 1970.

    Examples
    --------
    >>> counts = np.array([5.0, 5, 5, 5, 50, 50, 50])
    >>> found = onset(counts, np.full(7, 100.0), 0.05, is_share=True, n_reference=1e5)
    >>> found.tick, found.low, found.high, round(found.nats, 1)
    (4, 4, 4, 249.1)
    """
    if len(sums) != len(rows) or not (rows > 0).any():
        raise ShapeError(
            f"{len(sums)} sums, {len(rows)} rows", where="onset", fix="expected ticks with rows"
        )
    if not inflation >= 1:
        raise DomainError(f"inflation {inflation:g}", where="onset", fix="expected at least 1")
    nats = np.empty(len(sums))
    wanted = np.broadcast_to(np.asarray(expected, np.float64), sums.shape).copy()
    best = scan(sums, rows, wanted, is_share, _LEAST_ROWS / n_reference, inflation, nats)
    likely = np.flatnonzero((nats >= nats[best] - INTERVAL_NATS) & (rows > 0))
    return Onset(int(best), int(likely[0]), int(likely[-1]), float(nats[best]))
