"""Mean and spread: how many standard deviations a variable moved, and how it widened."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.histogram import Numbers, counts_of
from detectors.statistics.wasserstein import SMALLEST_SD
from schemas.errors import DomainError, ShapeError


class Moments(NamedTuple):
    """Mean and standard deviation (divisor n); NaN where there are no values."""

    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]


class Shift(NamedTuple):
    """How the current moments differ from the reference's."""

    mean_shift: Numbers
    """In standard deviations of the reference, at least .001; signed."""
    p_value: Numbers
    """Two-sided, of the mean."""
    sd_ratio: Numbers
    """Current over reference standard deviation."""


def moments_of(n: ArrayLike, sums: ArrayLike, sums_sq: ArrayLike) -> Moments:
    """Return mean and standard deviation from what panes keep.

    Parameters
    ----------
    n : array_like of int
        Values that are not missing.
    sums, sums_sq : array_like of float
        Sum of the values, and of their squares.

    Returns
    -------
    Moments

    Notes
    -----
    sd^2 = sums_sq / n - mean^2 loses digits where the mean is large compared with the sd: at
    a mean of 1e6 sd its relative error is about 1e-3. Panes keep sums because they merge
    by addition.

    Examples
    --------
    >>> m = moments_of(4, 10.0, 30.0)
    >>> print(f"{m.mean:.2f} {m.sd:.4f}")
    2.50 1.1180
    """
    rows = np.asarray(n, np.int64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = np.asarray(np.asarray(sums, np.float64) / rows)
        variance = np.asarray(sums_sq, np.float64) / rows - mean * mean
        sd = np.asarray(np.sqrt(np.maximum(variance, 0.0)))
    return Moments(rows, mean, sd)


def moments_of_points(values: ArrayLike, counts: ArrayLike) -> Moments:
    """Return mean and standard deviation of counted points, about the mean: no digits lost.

    Prefer it to :func:`moments_of` where the values themselves are at hand, or for the
    middles of bins when no sums were kept (then off by up to half a bin).

    Parameters
    ----------
    values : array_like of float, shape (n,) or (..., n)
        Ascending points.
    counts : array_like of int, shape (..., n)
        Rows at each point.

    Returns
    -------
    Moments
        Of shape (...).

    Raises
    ------
    ShapeError
        If the lengths differ, or counts are not integers.
    DomainError
        If a count is negative, or a value not finite.

    Examples
    --------
    >>> m = moments_of_points([1.0, 2.0, 3.0, 4.0], [1, 1, 1, 1])
    >>> print(m.n, m.mean, f"{m.sd:.4f}")
    4 2.5 1.1180
    """
    rows = counts_of(counts, "counts")
    points = np.asarray(values, np.float64)
    if points.shape[-1:] != rows.shape[-1:]:
        what = f"values have shape {points.shape}, counts {rows.shape}"
        raise ShapeError(what, where="moments_of_points")
    if not np.isfinite(points).all():
        what = f"a value is {points[~np.isfinite(points)][0]}"
        raise DomainError(what, where="moments_of_points", fix="leave missing rows out")
    n = rows.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = rows / np.where(n > 0, n, np.nan)[..., None]
        # From any value that occurs, so that a large common part does not round the mean.
        base = points[..., :1]
        mean = (shares * (points - base)).sum(axis=-1)
        sd = np.sqrt((shares * (points - base - mean[..., None]) ** 2).sum(axis=-1))
    return Moments(n, np.asarray(mean + base[..., 0]), np.asarray(sd))


def moments_of_sample(values: ArrayLike) -> Moments:
    """Return mean and standard deviation of raw rows; NaN is dropped.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        Raw rows; NaN is dropped.

    Returns
    -------
    Moments
        NaN without rows.

    Raises
    ------
    ShapeError
        If there is not one dimension, or no numbers.
    DomainError
        If a value is infinite.

    Examples
    --------
    >>> print(moments_of_sample([1.0, float("nan"), 3.0]).mean)
    2.0
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise ShapeError(
            f"shape is {array.shape}", where="moments_of_sample", fix="pass one dimension"
        )
    kept = array[~np.isnan(array)]
    if not kept.size:
        nothing = np.array(np.nan)
        return Moments(np.array(0), nothing, nothing)
    return moments_of_points(kept, np.ones(kept.shape, np.int64))


def shift(reference: Moments, current: Moments) -> Shift:
    """Standardised difference of means, and ratio of spreads; prefer it to explain a drift.

    It has a direction, which no distance has; it is blind to changes of shape that
    leave both alone.

    Parameters
    ----------
    reference, current : Moments
        Count, mean and variance of each side, of any shape that broadcasts.

    Returns
    -------
    Shift
        NaN where a side has no values; p is NaN where neither varies and they differ.

    Notes
    -----
    Glass's delta: the divisor is the reference's sd, so that it means the same in
    every window. The p-value is Welch's z, fit for about 30 rows and more.

    References
    ----------
    Glass, Primary, secondary, and meta-analysis of research, Educ. Researcher 5
    (1976). Welch, The generalization of Student's problem, Biometrika 34 (1947).

    Examples
    --------
    >>> before, now = moments_of(1_000, 0.0, 1_000.0), moments_of(400, 80.0, 416.0)
    >>> moved = shift(before, now)
    >>> print(f"{moved.mean_shift:.2f} {moved.p_value:.4f} {moved.sd_ratio:.2f}")
    0.20 0.0007 1.00
    """
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        difference = current.mean - reference.mean
        scale = np.maximum(reference.sd, SMALLEST_SD)
        error = np.sqrt(reference.sd**2 / reference.n + current.sd**2 / current.n)
        z = np.where(difference == 0, 0.0, np.where(error > 0, difference / error, np.nan))
        return Shift(difference / scale, 2 * ndtr(-np.abs(z)), current.sd / scale)
