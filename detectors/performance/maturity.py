"""How much of the labels of a window is known at an age, learned from older windows.

Labels of one class may come later than those of another; a metric of a young window is then
wrong, not only uncertain. Weights by class correct it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import ShapeError

LAST_WINDOWS = 30
"""Delays change: only the latest windows of which the next age is known are used."""
LEAST_SHARE = 0.1
LEAST_LABELS = 30
"""A smaller share, or fewer labels it was learned from, corrects nothing: it is too early."""


@dataclass(frozen=True, slots=True)
class KnownShares:
    """Share of the labels that will ever come, by age and class.

    Attributes
    ----------
    shares : ndarray of float64, shape (n_ages, n_classes)
        1 at the last age; NaN where no window is old enough.
    n_labels : ndarray of float64, shape (n_ages, n_classes)
        Labels at that age in the windows that the next step was learned from.
    """

    shares: NDArray[np.float64]
    n_labels: NDArray[np.float64]

    def weights(self, age: int) -> NDArray[np.float64] | None:
        """Return what a labelled row of each class stands for at an age; None if too early.

        Examples
        --------
        >>> learned = known_shares([[[40, 90], [80, 100]]])
        >>> learned.weights(0).round(3)
        array([2.   , 1.111])
        """
        share = self.shares[age]
        is_known = (share >= LEAST_SHARE) & (self.n_labels[age] >= LEAST_LABELS)
        return 1 / share if bool(is_known.all()) else None


def known_shares(triangle: ArrayLike, *, last: int = LAST_WINDOWS) -> KnownShares:
    """Learn from older windows which share of the labels is known at each age (chain ladder).

    Parameters
    ----------
    triangle : array_like of float, shape (n_windows, n_ages, n_classes)
        Labels of each window that were known at each age, ascending in time and age; NaN where
        a window has not reached the age.
    last : int, default 30
        How many windows, the latest of which both ages are known, each step uses.

    Returns
    -------
    KnownShares

    Raises
    ------
    ShapeError
        If the triangle has not three dimensions.

    Notes
    -----
    f[k, c] = sum_w C[w, k+1, c] / sum_w C[w, k, c] over windows old enough for k + 1, and the
    known share is prod_{j >= k} 1 / f[j, c]. A step without labels at its beginning has no
    factor: earlier ages are NaN. O(windows x ages x classes).

    References
    ----------
    Mack, ASTIN Bulletin 23 (1993) 213-225.

    Examples
    --------
    >>> nan = float("nan")
    >>> known_shares([[[50], [80], [100]], [[60], [96], [nan]]]).shares.ravel()
    array([0.5, 0.8, 1. ])
    """
    counts = np.asarray(triangle, np.float64)
    if counts.ndim != 3:
        what = f"shape {counts.shape}"
        raise ShapeError(what, where="known_shares", fix="pass (windows, ages, classes)")
    n_ages, n_classes = counts.shape[1:]
    shares, n_labels = np.ones((n_ages, n_classes)), np.full((n_ages, n_classes), np.inf)
    for age in range(n_ages - 2, -1, -1):
        before, after = counts[:, age], counts[:, age + 1]
        is_known = np.flatnonzero(np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1))
        begin, end = (side[is_known[-last:]].sum(axis=0) for side in (before, after))
        with np.errstate(divide="ignore", invalid="ignore"):
            shares[age] = shares[age + 1] * np.where(begin > 0, begin / end, np.nan)
        n_labels[age] = np.minimum(begin, n_labels[age + 1])
    return KnownShares(shares, n_labels)
