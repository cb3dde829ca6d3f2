"""Season of a model: expected deviations by hour of the day and kind of day, shrunk."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import N_SLOTS
from detectors.multiscale.plan import ScalePlan
from schemas.time_units import HOUR_US

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MIN_DAYS: Final = 14
MIN_KNOWN_SLOTS: Final = 24
_RARE: Final = 0.005
"""Smaller shares are not seasonal, because their slots have too few rows."""
_LEAST_KEPT: Final = 0.3
"""Shrinkage factor below which a component is not seasonal."""
_DAYS_TO_MONDAY: Final = 3
"""1970-01-01 was a Thursday."""


def slot_of(time_us: Integers) -> Integers:
    """Return the slot of times: hour of the day, plus 24 on Saturday and Sunday.

    Parameters
    ----------
    time_us : ndarray of int64, shape (T,)
        Microseconds of the local clock since 1970.

    Returns
    -------
    ndarray of int64, shape (T,)
        0 to 47.

    Examples
    --------
    >>> hour = 3_600_000_000
    >>> slot_of(np.array([5 * hour, (2 * 24 + 5) * hour])).tolist()  # a Thursday, a Saturday
    [5, 29]
    """
    hours = time_us // HOUR_US
    is_weekend = (hours // 24 + _DAYS_TO_MONDAY) % 7 >= 5
    return hours % 24 + 24 * is_weekend


def fit_season(
    plan: ScalePlan,
    sums: Floats,
    rows: Floats,
    slots: Integers,
    days: Integers,
    *,
    min_days: int = MIN_DAYS,
) -> ScalePlan:
    """Return the plan with the season of the reference's ticks, where it has one.

    Parameters
    ----------
    sums, rows : ndarray of float64, shapes (T, I) and (T, C)
        Ticks of the reference.
    slots, days : ndarray of int64, shape (T,)
        Slot and day of each tick.
    min_days : int, optional
        Days below which there is no season; fewer where a day stands for several.

    Returns
    -------
    ScalePlan
        Unchanged where there are less than ``min_days`` days, or fewer than 24 slots that have
        occurred on two days.

    Notes
    -----
    The mean deviation of a slot is kept in the part b = max(0, 1 - 2 noise / between),
    ``noise`` the variance between the days of a slot over their number, ``between`` that
    between slots. Where days differ as much as hours do, b < .3 and there is no season.

    References
    ----------
    Decision rule 2, section 1.6.
    """
    if len(np.unique(days)) < min_days:
        return plan
    cell, p = plan.codes[:, 3], plan.constants[:, 0]
    keys, place = np.unique(days * N_SLOTS + slots, return_inverse=True)
    total, n = np.zeros((len(keys), len(p))), np.zeros((len(keys), plan.n_cells))
    np.add.at(total, place, sums)
    np.add.at(n, place, rows)
    deviation = total / np.maximum(n[:, cell], 1) - p
    n_days = np.zeros(N_SLOTS)
    mean, noise = np.zeros((N_SLOTS, len(p))), np.zeros((N_SLOTS, len(p)))
    for slot in range(N_SLOTS):
        own = deviation[keys % N_SLOTS == slot]
        n_days[slot] = len(own)
        if len(own) >= 2:
            mean[slot], noise[slot] = own.mean(axis=0), own.var(axis=0, ddof=1) / len(own)
    is_known = n_days >= 2
    if is_known.sum() < MIN_KNOWN_SLOTS:
        return plan
    weight = n_days[is_known] / n_days[is_known].sum()
    between = weight @ mean[is_known] ** 2
    kept = 1 - 2 * (weight @ noise[is_known]) / np.maximum(between, 1e-300)
    has_slots = (plan.codes[:, 0] == 0) | (p > _RARE)
    kept = np.where(has_slots & (kept >= _LEAST_KEPT), kept, 0.0)
    factor = np.where(kept > 0, 1 / (1 - 1 / max(n_days[is_known].min(), 2)), 1.0)
    return plan.with_season(np.where(is_known[:, None], mean * kept, 0.0), kept > 0, factor)
