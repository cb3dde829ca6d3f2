"""Quantile shift: how far the median, or any other quantile, has moved."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.gaps import FloatArray
from detectors.statistics.histogram import Numbers, ascending, counts_pair
from detectors.statistics.wasserstein import Distance
from schemas.errors import DomainError, ShapeError


def quantile_shift(
    values: ArrayLike, reference: ArrayLike, current: ArrayLike, *, quantile: float = 0.5
) -> Numbers:
    """Difference of one quantile between two samples; prefer it where a limit is promised.

    "The 99 % quantile of the latency rose by 40 ms" needs no reading; no distance says
    it. The mean shift is steadier where tails are light.

    Parameters
    ----------
    values : array_like of float, shape (n,) or (..., n)
        Ascending points.
    reference, current : array_like of int, shape (..., n)
        Counts at those points; for raw samples those of
        :func:`detectors.statistics.histogram.atoms`.
    quantile : float, default .5
        In (0, 1).

    Returns
    -------
    float64 or ndarray of float64, shape (...)
        Current minus reference, in the unit of ``values``; divide by the reference's
        standard deviation with :func:`detectors.statistics.wasserstein.normed` to compare features.
        NaN where a side holds nothing.

    Raises
    ------
    ShapeError
        If the lengths differ.
    DomainError
        If the points are not finite or do not ascend, or the quantile is outside (0, 1).

    Notes
    -----
    Each quantile is the first point at which the cumulative share reaches it: Hyndman
    and Fan's type 1, a value that occurred. O(n).

    References
    ----------
    Hyndman and Fan, Sample quantiles in statistical packages, The American
    Statistician 50 (1996), definition 1.

    Examples
    --------
    >>> print(quantile_shift([1.0, 2.0, 9.0], [2, 1, 1], [1, 1, 3]))
    8.0
    """
    counts = _counts(reference, current)
    points = ascending(values, counts[0], "quantile_shift")
    found = []
    for rows in counts:
        at = _first_reached(rows, quantile)
        full = np.broadcast_to(points, rows.shape)
        there = np.take_along_axis(full, at[..., None], axis=-1)[..., 0]
        found.append(np.where(rows.sum(axis=-1) > 0, there, np.nan))
    return (found[1] - found[0])[()]


def quantile_shift_binned(
    edges: ArrayLike, reference: ArrayLike, current: ArrayLike, *, quantile: float = 0.5
) -> Distance:
    """Difference of one quantile from bins, and where that of the raw rows must lie.

    Parameters
    ----------
    edges : array_like of float, shape (..., n_bins + 1)
        Ascending and finite; values beyond the outer ones clip to them.
    reference, current : array_like of int, shape (..., n_bins)
        Rows between neighbouring edges.
    quantile : float, default .5
        In (0, 1).

    Returns
    -------
    Distance
        Current minus reference, drawn straight within bins, and bounds: the edges of
        both bins. NaN where a side holds nothing.

    Raises
    ------
    ShapeError
        If there is not one edge more than bins.
    DomainError
        As :func:`quantile_shift`.

    Notes
    -----
    O(n_bins); mergeable. The width is that of two bins, so it is best where reference
    quantiles are the edges and the quantile is one of them.

    Examples
    --------
    >>> moved = quantile_shift_binned([0.0, 1.0, 2.0, 3.0], [5, 4, 1], [1, 4, 5])
    >>> print(moved.value, moved.low, moved.high)
    1.0 0.0 2.0
    """
    counts = _counts(reference, current)
    points = np.asarray(edges, np.float64)
    if points.ndim == 0 or points.shape[-1] != counts[0].shape[-1] + 1:
        what = f"edges have shape {points.shape}, counts {counts[0].shape}"
        raise ShapeError(what, where="quantile_shift_binned", fix="pass one edge more than bins")
    ascending(points, points, "quantile_shift_binned")
    inside, low, high = zip(*(_within(points, rows, quantile) for rows in counts), strict=True)
    return Distance((inside[1] - inside[0])[()], (low[1] - high[0])[()], (high[1] - low[0])[()])


def _counts(reference: ArrayLike, current: ArrayLike) -> list[FloatArray]:
    """Both counts as floats of one shape."""
    pair = counts_pair(reference, current)
    return [c.astype(np.float64) for c in np.broadcast_arrays(*pair)]


def _first_reached(rows: FloatArray, quantile: float) -> NDArray[np.intp]:
    """Index of the first bin at which the cumulative count reaches the quantile."""
    if not 0 < quantile < 1:
        what = f"quantile is {quantile}"
        raise DomainError(what, where="quantile_shift", fix="pass a number in (0, 1)")
    upto = np.cumsum(rows, axis=-1)
    # Counts are whole, so a millionth of a row is rounding (.7 of 10 rows is 7).
    target = quantile * upto[..., -1:]
    slack = np.minimum(1e-6, 1e-12 * np.maximum(target, 1.0))
    at: NDArray[np.intp] = (upto >= target - slack).argmax(axis=-1)
    return at


def _within(
    edges: FloatArray, rows: FloatArray, quantile: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Interpolated quantile, and the edges of its bin."""
    at = _first_reached(rows, quantile)[..., None]
    full = np.broadcast_to(edges, (*rows.shape[:-1], edges.shape[-1]))
    low, high = (np.take_along_axis(full, at + k, axis=-1)[..., 0] for k in (0, 1))
    here = np.take_along_axis(rows, at, axis=-1)[..., 0]
    before = np.take_along_axis(np.cumsum(rows, axis=-1), at, axis=-1)[..., 0] - here
    total = rows.sum(axis=-1)
    part = np.divide(
        quantile * total - before, here, out=np.full(here.shape, np.nan), where=here > 0
    )
    empty = np.where(total > 0, 0.0, np.nan)
    return low + np.clip(part, 0, 1) * (high - low), low + empty, high + empty
