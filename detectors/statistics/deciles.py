"""Merges sixty bins into ten groups, for distances that are noisy with many bins."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.histogram import counts_pair

N_GROUPS = 10


def group_by_quantile(
    reference: ArrayLike, current: ArrayLike, *, n_groups: int = N_GROUPS
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Join neighbouring bins into groups of about equal reference mass.

    Prefer the groups to the bins for PSI, Jensen-Shannon, Hellinger and total
    variation: their mean without drift grows with the number of bins, and their
    usual thresholds were set on about ten. Kolmogorov-Smirnov and Wasserstein keep
    every bin.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_bins)
        Counts of ordered bins, which :func:`detectors.statistics.histogram.counts_pair` checks;
        underflow belongs to the first and overflow to the last.
    n_groups : int, default 10
        Requested number of groups.

    Returns
    -------
    tuple of two ndarrays of int64, shape (..., n_groups)
        Groups of the reference and of the current. Each histogram of a stack is cut
        by its own reference. Where ties leave fewer groups, the rest hold 0 in both.

    Notes
    -----
    A cut is the edge whose reference mass is nearest to k / n_groups, but never an edge with
    no mass on one side. No group is therefore empty in the reference, and sixty bins without
    ties give the deciles. O(n_bins n_groups).

    Examples
    --------
    >>> before, now = group_by_quantile([10, 10, 20, 60], [0, 5, 5, 90], n_groups=4)
    >>> print(before, now)
    [20 20  0 60] [ 5  5  0 90]
    """
    p, q = counts_pair(reference, current)
    cuts = cuts_of(p, n_groups=n_groups)
    return _between(np.cumsum(p, axis=-1), cuts), _between(np.cumsum(q, axis=-1), cuts)


def cuts_of(reference: NDArray[np.int64], *, n_groups: int = N_GROUPS) -> NDArray[np.intp]:
    """Return the last bin of each group but the last, shape (..., n_groups - 1), ascending.

    Parameters
    ----------
    reference : ndarray of int64, shape (..., n_bins)
        Checked counts.

    Examples
    --------
    >>> cuts_of(np.array([10, 10, 20, 60]), n_groups=4).tolist()
    [1, 2, 2]
    """
    upto = np.cumsum(reference, axis=-1)
    total = upto[..., -1:]
    # n_groups * mass against k * total, in integers: no share to round.
    targets = np.arange(1, n_groups) * total
    off = np.abs(upto[..., None, :] * n_groups - targets[..., None])
    is_outer = (upto == 0) | (upto == total)
    off[np.broadcast_to(is_outer[..., None, :], off.shape)] = np.iinfo(np.int64).max
    cuts: NDArray[np.intp] = off.argmin(axis=-1)
    # Without a cut that has mass on both sides, everything is one group: the first.
    cuts[is_outer.all(axis=-1)] = reference.shape[-1] - 1
    return cuts


def _between(upto: NDArray[np.int64], cuts: NDArray[np.intp]) -> NDArray[np.int64]:
    """Counts between cuts, from cumulative counts."""
    at_cuts = np.take_along_axis(upto, cuts, axis=-1)
    zero = np.zeros_like(upto[..., :1])
    return np.diff(np.concatenate([zero, at_cuts, upto[..., -1:]], axis=-1), axis=-1)
