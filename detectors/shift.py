"""Mean and spread: how many standard deviations a variable moved, and how it widened."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.histogram import Numbers
from detectors.wasserstein import SMALLEST_SD


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
    sd^2 = sums_sq / n - mean^2 loses digits where the mean is large against the sd:
    at a mean of 1e6 sd it is good to about 1e-3. Panes keep sums because they merge
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


def shift(reference: Moments, current: Moments) -> Shift:
    """Standardised difference of means, and ratio of spreads; prefer it to explain a drift.

    It says which way, which no distance does; it is blind to changes of shape that
    leave both alone.

    Parameters
    ----------
    reference, current : Moments

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
