"""Gaps between two cumulative distributions: at the edges, at midranks, and in between."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.histogram import counts_pair

FloatArray = NDArray[np.float64]


class Samples(NamedTuple):
    """Two histograms as shares, with their numbers of rows; NaN where a side is empty."""

    p: FloatArray
    """Shares of the reference, shape (..., n_bins)."""
    q: FloatArray
    """Shares of the current."""
    n0: FloatArray
    """Rows of the reference, shape (...)."""
    n: FloatArray
    """Rows of the current."""
    pooled: FloatArray
    """Shares of both together, shape (..., n_bins)."""


def samples_of(reference: ArrayLike, current: ArrayLike) -> Samples:
    """Return checked counts of two samples as shares, without overflow at any count.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_bins)
        Counts: tests need the numbers of rows.

    Returns
    -------
    Samples

    Raises
    ------
    ShapeError, DomainError
        As :func:`detectors.statistics.histogram.counts_pair`.

    Examples
    --------
    >>> samples_of([1, 3], [2, 0]).pooled
    array([0.5, 0.5])
    """
    counts = counts_pair(reference, current)
    x, y = (c.astype(np.float64) for c in np.broadcast_arrays(*counts))
    totals = x.sum(axis=-1), y.sum(axis=-1)
    n0, n = (np.where(total > 0, total, np.nan) for total in totals)
    both = (n0 + n)[..., None]
    return Samples(x / n0[..., None], y / n[..., None], n0, n, (x + y) / both)


def edge_gaps(p: FloatArray, q: FloatArray) -> FloatArray:
    """Return F - G at the upper edge of each bin.

    Parameters
    ----------
    p, q : ndarray of float64, shape (..., n_bins)
        Shares of the reference and of the current.

    Returns
    -------
    ndarray of float64, shape (..., n_bins)
        The last is 0 but for rounding.

    Examples
    --------
    >>> edge_gaps(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    array([0.5, 0. ])
    """
    return np.cumsum(p - q, axis=-1)


def middle_gaps(p: FloatArray, q: FloatArray) -> FloatArray:
    """Return F - G where half of each bin's rows are counted: the gap at midranks.

    Takes and returns arrays as :func:`edge_gaps` does.

    Examples
    --------
    >>> middle_gaps(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    array([0.25, 0.25])
    """
    return edge_gaps(p, q) - (p - q) / 2
