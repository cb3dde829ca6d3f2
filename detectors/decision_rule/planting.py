"""Plants a shift of known size into histograms."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.edges import has_own_minimum, is_constant
from schemas.baselines import Baseline, Kind
from schemas.errors import BaselineError, DomainError
from schemas.panes import N_COUNTERS, OVERFLOW, UNDERFLOW

RELIABLE = 1e-6
"""Minimum variance from sums relative to the mean square, of which 1e-10 may be rounding."""
EULER_GAMMA = 0.5772156649015329


def reference_sd(baseline: Baseline, variable: int) -> float:
    """Return the standard deviation of a numeric variable in the whole reference.

    From its sums, which are exact; where they are nothing but rounding (the mean is a
    thousand times the spread, and more), or have overflowed, from the bins.

    Parameters
    ----------
    variable : int
        Index into ``baseline.variables``.

    Returns
    -------
    float
        Of the population, missing values left out; 0 for a constant, infinite where even
        the bins are too wide for a square.

    Raises
    ------
    BaselineError
        If the variable is categorical, or the reference has no value of it.
    """
    known, reference = baseline.variables[variable], baseline.reference
    counts = reference.counts[0, variable]
    n = int(counts[: known.n_bins].sum() + counts[UNDERFLOW] + counts[OVERFLOW])
    if known.kind is not Kind.NUMERIC or n == 0:
        raise BaselineError(
            f"{known.name!r} has no standard deviation in baseline {baseline.profile_id}",
            where=f"model {baseline.model!r}",
            fix="plant shifts into numeric features that the reference holds values of",
        )
    if is_constant(known.edges):
        return 0.0
    mean = float(reference.sums[0, variable]) / n
    square = float(reference.sums_sq[0, variable]) / n
    variance = square - mean * mean
    if math.isfinite(variance) and variance > RELIABLE * square:
        return math.sqrt(variance)
    return _binned_sd(known.edges, counts[: known.n_bins])


def _binned_sd(edges: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Return the standard deviation of rows that are uniform within their bins."""
    with np.errstate(over="ignore", invalid="ignore"):
        middle = ((edges[:-1] - edges[0]) + (edges[1:] - edges[0])) / 2
        mean = np.average(middle, weights=counts)
        within = np.diff(edges) ** 2 / 12
        variance = float(np.average((middle - mean) ** 2 + within, weights=counts))
    return math.sqrt(variance) if math.isfinite(variance) else math.inf


def shift_matrix(
    edges: NDArray[np.float64], reference_counts: NDArray[np.int64], shift: float
) -> NDArray[np.float64]:
    """Return the share of each counter's rows that a shift moves to each other counter.

    Parameters
    ----------
    edges : ndarray of float64, shape (n_bins + 1,)
        Of a numeric variable.
    reference_counts : ndarray of int64, shape (64,)
        Its reference; the counts of the outermost bins determine the length of the tails.
    shift : float
        Added to every value; not 0, finite.

    Returns
    -------
    ndarray of float64, shape (64, 64)
        Rows sum to 1. Missing, unseen, and what was beyond the reference already stay.

    Raises
    ------
    DomainError
        If the shift is 0 or not finite.

    Notes
    -----
    Rows lie evenly in their bin, but for the outermost two: quantile bins end at the
    reference's extremes, and the density falls towards them. There it falls
    exponentially, with the scale ``w / (ln m + gamma)`` at which the largest of the m
    reference rows of a bin of width w lies where it does (mean of the maximum of m
    exponentials). On 10,000 normal values a shift of .5 sd then puts .03 % of the rows
    above the maximum, as it should be; evenly spread it would be .5 %, and a set that the
    reference hardly knows would be found before the shift itself.

    A value of its own (few distinct values, a spike at the minimum) represents the
    interval below it: a share of its rows moves on, so that the mean moves by the shift.

    Examples
    --------
    >>> counts = np.zeros(64, np.int64)
    >>> counts[:4] = 100
    >>> moved = shift_matrix(np.array([0.0, 1, 2, 3, 4]), counts, 0.25)
    >>> moved[1, 1:3].tolist(), float(moved[60:, 60:].trace())
    ([0.75, 0.25], 4.0)
    """
    if not math.isfinite(shift) or shift == 0:
        raise DomainError(f"a shift of {shift}", where="plant", fix="pass a finite size, not 0")
    n_bins = len(edges) - 1
    has_spike = has_own_minimum(edges)
    matrix = np.eye(N_COUNTERS)
    for i in range(n_bins):
        below = _shares_below(edges, reference_counts, i, edges - shift)
        row = np.zeros(N_COUNTERS)
        row[:n_bins] = np.diff(below)
        row[UNDERFLOW], row[OVERFLOW] = below[0], 1.0 - below[-1]
        if has_spike:
            row[0], row[UNDERFLOW] = row[0] + row[UNDERFLOW], 0.0
        matrix[i] = row
    return matrix


def _shares_below(
    edges: NDArray[np.float64],
    reference_counts: NDArray[np.int64],
    i: int,
    at: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the shares of bin i's rows at or below given points."""
    low, high, n_bins = float(edges[i]), float(edges[i + 1]), len(edges) - 1
    if i == 0 and has_own_minimum(edges):
        # The spike at the minimum: as wide as the interval its rows would have to cross.
        low -= float(edges[2]) - high if n_bins > 1 else 1.0
        return np.clip((at - low) / (high - low), 0.0, 1.0)
    share = np.clip((at - low) / (high - low), 0.0, 1.0)
    if n_bins < 3 or i not in (0, n_bins - 1):
        return share
    rate = math.log(max(int(reference_counts[i]), 2)) + EULER_GAMMA
    if i == 0:
        return 1.0 - np.expm1(-rate * (1.0 - share)) / math.expm1(-rate)
    return np.expm1(-rate * share) / math.expm1(-rate)


def plant(counts: NDArray[np.int64], matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """Apply a shift matrix to the counters of windows.

    Parameters
    ----------
    counts : ndarray of int64, shape (..., 64)
        Counters of a window.
    matrix : ndarray of float64, shape (64, 64)
        Of :func:`shift_matrix`.

    Returns
    -------
    ndarray of int64, shape (..., 64)
        Expected counts, rounded so that totals are unchanged. Deterministic: the noise of the
        windows is kept.

    Examples
    --------
    >>> swap = np.eye(64)[[1, 0, *range(2, 64)]]
    >>> counts = np.arange(64)
    >>> plant(counts, swap)[:3].tolist()
    [1, 0, 2]
    """
    running = np.rint(np.cumsum(counts @ matrix, axis=-1)).astype(np.int64)
    return np.diff(running, axis=-1, prepend=0)
