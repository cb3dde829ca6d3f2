"""Correlation change: which pair of variables no longer moves together as it did."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detectors.multivariate.moments import SecondMoments
from detectors.multivariate.rows import FloatArray
from schemas.errors import ShapeError

LARGEST_CORRELATION = 1.0 - 1e-12
"""Beyond it rounding decides, and Fisher's z has no end: a copied column is not drift."""


class CorrelationChange(NamedTuple):
    """Difference of two correlation matrices; NaN if there is no pair to compare."""

    largest: float
    """Largest absolute change of a correlation, in [0, 2]."""
    pair: tuple[int, int] | None
    """Columns in which it happened."""
    frobenius: float
    """Root of the sum of squared changes over the whole matrix: every pair twice."""
    p_value: float
    """Of the most significant pair, times the number of pairs (Bonferroni)."""
    n_pairs: int
    """Pairs in which both columns vary on both sides."""


def correlations(moments: SecondMoments) -> FloatArray:
    """Pearson's correlation matrix from second moments.

    Returns
    -------
    ndarray of float64, shape (n_features, n_features)
        In [-1, 1]; NaN in the rows and columns of variables that do not vary, and
        everywhere with fewer than two rows.

    Notes
    -----
    r_ij = C_ij / sqrt(C_ii C_jj). O(d^2).

    References
    ----------
    Pearson, Regression, heredity and panmixia, Phil. Trans. A 187 (1896).

    Examples
    --------
    >>> correlations(SecondMoments.of([[0.0, 0.0, 7.0], [1.0, 2.0, 7.0]]))
    array([[ 1.,  1., nan],
           [ 1.,  1., nan],
           [nan, nan, nan]])
    """
    spread = np.sqrt(np.diagonal(moments.comoment))
    varies = spread > 0
    spread = np.where(varies, spread, np.nan)
    r = np.clip(moments.comoment / spread / spread[:, None], -1.0, 1.0)
    np.fill_diagonal(r, np.where(varies, 1.0, np.nan))
    return r


def correlation_change(reference: SecondMoments, current: SecondMoments) -> CorrelationChange:
    """Largest and total change of correlation, and a p-value for the largest.

    Prefer it for a few strong changes, which it names;
    :func:`detectors.multivariate.jennrich.jennrich` adds up many weak ones. Means and
    spreads do not enter: shift and Wasserstein see those.

    Returns
    -------
    CorrelationChange
        The p-value is NaN with three rows or fewer on a side.

    Raises
    ------
    ShapeError
        If the numbers of columns differ.

    Notes
    -----
    Fisher's z of a pair is [atanh(r) - atanh(r0)] / sqrt(1 / (n0 - 3) + 1 / (n - 3)); the
    p-value is min(1, pairs x the smallest two-sided normal tail), valid whatever the
    dependence between pairs. It supposes normal data: with heavy tails correlations
    vary more than it says, and false alarms come; judge ``largest`` or ``frobenius`` by
    :func:`detectors.multivariate.band.band_of_windows` there. Correlations are taken as
    at most 1 - 1e-12 in size. O(d^2); exact from merged moments.

    References
    ----------
    Fisher, On the "probable error" of a coefficient of correlation deduced from a small
    sample, Metron 1 (1921). Dunn, Multiple comparisons among means, JASA 56 (1961).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).normal(size=(400, 3))
    >>> mixed = np.c_[x[:, 0], x[:, 0] + x[:, 1], x[:, 2]]
    >>> change = correlation_change(SecondMoments.of(x), SecondMoments.of(mixed))
    >>> print(change.pair, f"{change.largest:.2f}", change.p_value < 1e-9)
    (0, 1) 0.73 True
    """
    check_columns(reference, current, "correlation_change")
    rows, columns = np.triu_indices(reference.n_features, 1)
    before, now = (correlations(side)[rows, columns] for side in (reference, current))
    at = np.flatnonzero(np.isfinite(before) & np.isfinite(now))
    if not len(at):
        return CorrelationChange(np.nan, None, np.nan, np.nan, 0)
    before, now = before[at], now[at]
    changes = np.abs(now - before)
    first = int(changes.argmax())
    pair = int(rows[at[first]]), int(columns[at[first]])
    frobenius = float(np.sqrt(2 * (changes**2).sum()))
    p_value = _smallest_p_value(before, now, reference.n, current.n)
    return CorrelationChange(
        float(changes[first]), pair, frobenius, min(len(at) * p_value, 1.0), len(at)
    )


def check_columns(reference: SecondMoments, current: SecondMoments, where: str) -> None:
    """Raise ShapeError unless both sides have the same number of columns."""
    if reference.n_features != current.n_features:
        what = f"{reference.n_features} and {current.n_features} columns"
        raise ShapeError(what, where=where, fix="pass the same features")


def _smallest_p_value(before: FloatArray, now: FloatArray, n_reference: int, n: int) -> float:
    """Two-sided tail of the largest |z| of Fisher's."""
    from scipy.special import ndtr

    if min(n_reference, n) <= 3:
        return float("nan")
    low, high = -LARGEST_CORRELATION, LARGEST_CORRELATION
    moved = np.arctanh(np.clip(now, low, high)) - np.arctanh(np.clip(before, low, high))
    sd = np.sqrt(1 / (n_reference - 3) + 1 / (n - 3))
    return float(2 * ndtr(-np.abs(moved).max() / sd))
