"""Data quality: shares of rows that are missing, unseen, out of range or mistyped."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.histogram import Numbers
from schemas.errors import DomainError, ShapeError
from schemas.panes import MISSING, N_COUNTERS, OVERFLOW, UNDERFLOW, UNSEEN


class ShareChange(NamedTuple):
    """A share of rows now and in the reference, and whether the difference is chance."""

    share: Numbers
    """In [0, 1]; NaN for a window without rows."""
    reference_share: Numbers
    effect: Numbers
    """``share - reference_share``."""
    p_value: Numbers
    """Two-sided."""


class RangeExcess(NamedTuple):
    """How far beyond the allowed range values went, in the variable's unit."""

    below: Numbers
    """0 where none was."""
    above: Numbers


def share_change(
    n_hits: ArrayLike, n_rows: ArrayLike, n_hits_reference: ArrayLike, n_reference: ArrayLike
) -> ShareChange:
    """Compare a share of rows with the reference's; prefer it to chi-square for one yes-or-no.

    Use it for type errors too: mistyped events of a window, all its events, and the
    same of the reference (0 of 0 where it was not counted: then there is no p-value).

    Parameters
    ----------
    n_hits, n_rows : array_like of int
        Rows with the fault, and all rows, of the window.
    n_hits_reference, n_reference : array_like of int
        The same of the reference.

    Returns
    -------
    ShareChange
        NaN where a side has no rows; p 1 where all rows, or none, have the fault.

    Raises
    ------
    ShapeError
        If a number is not an integer.
    DomainError
        If a number is negative, or hits outnumber rows.

    Notes
    -----
    Pooled two-proportion z without continuity correction; z^2 is the chi-square of
    the 2 x 2 table. With fewer than about five hits expected the p-value is rough.

    References
    ----------
    Fleiss, Levin, Paik, Statistical Methods for Rates and Proportions, 3rd ed.
    (2003), eq. 3.14 without its correction.

    Examples
    --------
    >>> change = share_change(30, 1_000, 100, 10_000)
    >>> print(f"{change.share:.3f} {change.effect:+.3f} p = {change.p_value:.1e}")
    0.030 +0.020 p = 2.4e-08
    """
    from scipy.special import ndtr

    x, n = _rows(n_hits, n_rows, "window")
    x0, n0 = _rows(n_hits_reference, n_reference, "reference")
    with np.errstate(divide="ignore", invalid="ignore"):
        share, reference_share = x / n, x0 / n0
        pooled = (x + x0) / (n + n0)
        sd = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n0))
        effect = share - reference_share
        z = np.where(sd > 0, effect / sd, np.where(np.isnan(effect), np.nan, 0.0))
    return ShareChange(share, reference_share, effect, 2 * ndtr(-np.abs(z)))


def missing_share(current: ArrayLike, reference: ArrayLike) -> ShareChange:
    """Rows where the value was absent, null or not finite.

    Prefer it to any distance over the values: those that drop missing rows, as
    peers do, see nothing when 80 % of a feature disappears.

    Parameters
    ----------
    current, reference : array_like of int, shape (..., 64)
        Counters of a window and of the baseline.

    Returns
    -------
    ShareChange
        Of shape (...).

    Raises
    ------
    ShapeError, DomainError
        As :func:`share_change`, and if there are not 64 counters.

    Examples
    --------
    >>> import numpy as np
    >>> now, before = np.zeros(64, np.int64), np.zeros(64, np.int64)
    >>> now[[0, 62]], before[0] = (60, 40), 100
    >>> print(missing_share(now, before).share)
    0.4
    """
    return _counter_share(current, reference, (MISSING,))


def unseen_share(current: ArrayLike, reference: ArrayLike) -> ShareChange:
    """Share of rows whose category is not in the baseline.

    Prefer it to L-infinity for new categories: together they count even where each
    is rare.

    Takes, returns and refuses what :func:`missing_share` does.

    Examples
    --------
    >>> import numpy as np
    >>> now, before = np.zeros(64, np.int64), np.zeros(64, np.int64)
    >>> now[[0, 63]], before[0] = (95, 5), 100
    >>> print(unseen_share(now, before).effect)
    0.05
    """
    return _counter_share(current, reference, (UNSEEN,))


def out_of_range_share(current: ArrayLike, reference: ArrayLike) -> ShareChange:
    """Rows beyond the smallest or largest value of the baseline.

    Prefer it to Wasserstein for unit errors that touch few rows. A few rows beyond
    are normal: of n rows about n / n0 exceed either end of n0.

    Takes, returns and refuses what :func:`missing_share` does.

    Examples
    --------
    >>> import numpy as np
    >>> now, before = np.zeros(64, np.int64), np.zeros(64, np.int64)
    >>> now[[0, 60, 61]], before[0] = (96, 1, 3), 100
    >>> print(out_of_range_share(now, before).share)
    0.04
    """
    return _counter_share(current, reference, (UNDERFLOW, OVERFLOW))


def range_excess(
    minima: ArrayLike, maxima: ArrayLike, low: ArrayLike, high: ArrayLike
) -> RangeExcess:
    """Distance of a window's extremes from the configured range.

    Panes hold extremes, not counts, at limits that are not edges, so this shows *that*
    and *how far*, never how often. :func:`out_of_range_share` counts, against the
    baseline's own range.

    Parameters
    ----------
    minima, maxima : array_like of float
        Extremes of the window; +inf and -inf where nothing was seen.
    low, high : array_like of float
        The allowed range, both ends included; infinite means no limit.

    Returns
    -------
    RangeExcess
        0 within the range, and without values.

    Raises
    ------
    DomainError
        If a range is NaN or upside down.

    Examples
    --------
    >>> print(*range_excess(-3.0, 95.0, 0.0, 120.0))
    3.0 0.0
    """
    bottom, top = np.asarray(low, np.float64), np.asarray(high, np.float64)
    wrong = ~(bottom <= top)
    if wrong.any():
        what = f"range is [{np.extract(wrong, bottom)[0]}, {np.extract(wrong, top)[0]}]"
        raise DomainError(what, where="range_excess", fix="pass low <= high")
    smallest, largest = np.asarray(minima, np.float64), np.asarray(maxima, np.float64)
    # inf - inf, of an absent limit and an empty window, is never chosen.
    with np.errstate(invalid="ignore"):
        below = np.where(smallest < bottom, bottom - smallest, 0.0)
        above = np.where(largest > top, largest - top, 0.0)
    return RangeExcess(below[()], above[()])


def _rows(
    n_hits: ArrayLike, n_rows: ArrayLike, where: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return hits and rows, checked."""
    x, n = np.asarray(n_hits), np.asarray(n_rows)
    for array in (x, n):
        if array.dtype.kind not in "iu":
            raise ShapeError(f"dtype is {array.dtype}", where=where, fix="pass integer counts")
    if (x < 0).any() or (x > n).any():
        at = np.argmax((x < 0) | (x > n))
        hits, rows = (np.broadcast_to(a, np.broadcast(x, n).shape).flat[at] for a in (x, n))
        raise DomainError(f"{hits} hits of {rows} rows", where=where, fix="pass 0 <= hits <= rows")
    return x, n


def _counter_share(
    current: ArrayLike, reference: ArrayLike, counters: tuple[int, ...]
) -> ShareChange:
    """Compare the share of some of the 64 counters."""
    arrays = [np.asarray(current), np.asarray(reference)]
    for array in arrays:
        if array.ndim == 0 or array.shape[-1] != N_COUNTERS:
            what = f"shape is {array.shape}"
            raise ShapeError(what, where="counters", fix=f"pass {N_COUNTERS} on the last axis")
    (x, n), (x0, n0) = ((a[..., list(counters)].sum(-1), a.sum(-1)) for a in arrays)
    return share_change(x, n, x0, n0)
