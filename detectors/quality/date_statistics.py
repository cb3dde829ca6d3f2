"""Dates as numbers and categories that can be compared with the past: age, hour, weekday.

An instant itself cannot: it grows without limit, so every window would be beyond the
reference's maximum. What matters of a birthday, a contract's start or a last visit is how
long ago it was (:func:`age_days`); of a moment within the traffic, where in the day and the
week it lies (:func:`hour_of_day`, :func:`weekday`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import ShapeError
from schemas.time_units import DAY_US, HOUR_US

_EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday."""


def age_days(times_us: ArrayLike, event_us: ArrayLike) -> NDArray[np.float64]:
    """Days from a date to its event; preferable to hour and weekday for dates in the past.

    Parameters
    ----------
    times_us : array_like of int or float, shape (n,)
        Microseconds UTC since 1970; NaN is missing.
    event_us : array_like of int or float, shape (n,) or ()
        Event times.

    Returns
    -------
    ndarray of float64, shape (n,)
        Negative for dates after the event; NaN if either is missing.

    Raises
    ------
    ShapeError
        If an array does not hold numbers, or the shapes do not fit.

    Notes
    -----
    O(n). Each row by itself: split and merged rows give the same numbers.

    Examples
    --------
    >>> age_days([0, 43_200_000_000, np.nan], 86_400_000_000).tolist()
    [1.0, 0.5, nan]
    """
    times, events = _times(times_us), _times(event_us)
    if events.ndim and events.shape != times.shape:
        what = f"{times.shape} times and {events.shape} event times"
        raise ShapeError(what, where="age_days", fix="pass one event time, or one a row")
    return (events - times) / DAY_US


def hour_of_day(times_us: ArrayLike) -> NDArray[np.float64]:
    """Hour of the day in UTC, 0 to 23; a category, because hour 23 is next to hour 0.

    Parameters
    ----------
    times_us : array_like of int or float, shape (n,)
        Microseconds UTC since 1970; NaN is missing.

    Returns
    -------
    ndarray of float64, shape (n,)
        Whole numbers; NaN where missing.

    Raises
    ------
    ShapeError
        If the array does not hold numbers.

    Notes
    -----
    O(n). A window shorter than a day holds only some hours: compare whole days, or the
    same hour of the week.

    Examples
    --------
    >>> hour_of_day([0, 3_600_000_000, -1, np.nan]).tolist()
    [0.0, 1.0, 23.0, nan]
    """
    return np.floor(np.mod(_times(times_us), DAY_US) / HOUR_US)


def weekday(times_us: ArrayLike) -> NDArray[np.float64]:
    """Day of the week in UTC: Monday 0 to Sunday 6, as Python counts; a category.

    Parameters
    ----------
    times_us : array_like of int or float, shape (n,)
        As :func:`hour_of_day` takes them, and refuses them.

    Returns
    -------
    ndarray of float64, shape (n,)
        Whole numbers; NaN where missing.

    Notes
    -----
    O(n). See :func:`hour_of_day` on windows that do not hold every day.

    Examples
    --------
    >>> weekday([0, 4 * 86_400_000_000, -1]).tolist()
    [3.0, 0.0, 2.0]
    """
    days: NDArray[np.float64] = np.floor(_times(times_us) / DAY_US)
    return np.asarray(np.mod(days + _EPOCH_WEEKDAY, 7), np.float64)


def _times(times_us: ArrayLike) -> NDArray[np.float64]:
    """Return times as float64, exact to the microsecond until 2255; infinity is missing."""
    array = np.asarray(times_us)
    if array.dtype.kind not in "iuf":
        what = f"dtype is {array.dtype}"
        raise ShapeError(what, where="times", fix="pass microseconds since 1970 as numbers")
    times = array.astype(np.float64)
    return np.where(np.isfinite(times), times, np.nan)
