"""Areas under the ROC and the precision-recall curve, from counts by bin of the score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma

from detectors.performance.confusion import NO_NEGATIVES, NO_POSITIVES
from detectors.performance.metric import Metric, normal_metric, undefined
from detectors.statistics.histogram import counts_of
from schemas.errors import ShapeError


@dataclass(frozen=True, slots=True)
class Area:
    """An area, and how far the bins may have moved it."""

    metric: Metric
    low: float
    high: float
    """Bounds over all orders of the rows within each bin."""


def roc_auc(by_score: ArrayLike, *, phi: float = 1.0) -> Area:
    """Area under the ROC curve: chance that a positive has a higher score than a negative.

    Parameters
    ----------
    by_score : array_like of int, shape (2, n_bins)
        Negatives and positives by bin of the score, ascending.
    phi : float, default 1
        Design effect, which widens the interval.

    Returns
    -------
    Area
        Rows of one bin count as ties. Undefined without rows of either class.

    Notes
    -----
    AUC = sum_b P_b (sum_{a<b} N_a + N_b / 2) / (P N). The interval is DeLong's with placements
    by bin; its bounds are at most sum_b P_b N_b / (2 P N) away. O(n_bins).

    References
    ----------
    DeLong, DeLong, Clarke-Pearson, Biometrics 44 (1988) 837-845. Sun, Xu, IEEE Signal Process.
    Lett. 21 (2014) 1389-1393.

    Examples
    --------
    >>> area = roc_auc([[6, 3, 1], [1, 2, 5]])
    >>> print(f"{area.metric.value:.4f} ({area.low:.4f} to {area.high:.4f})")
    0.8187 (0.7125 to 0.9250)
    """
    negatives, positives = _sides(by_score)
    p, n = positives.sum(), negatives.sum()
    if p == 0 or n == 0:
        none = undefined(NO_POSITIVES if p == 0 else NO_NEGATIVES, float(p + n))
        return Area(none, 0.0, 1.0)
    below = (np.cumsum(negatives) - negatives / 2) / n
    above = (np.cumsum(positives[::-1])[::-1] - positives / 2) / p
    value = float((positives * below).sum() / p)
    off = float((positives * negatives).sum() / (2 * p * n))
    variance = np.inf
    if p > 1 and n > 1:
        first = (positives * (below - value) ** 2).sum() / (p - 1)
        second = (negatives * (above - value) ** 2).sum() / (n - 1)
        variance = phi * float(first / p + second / n)
    metric = normal_metric(value, variance, float(p + n), low=0.0, high=1.0)
    return Area(metric, value - off, value + off)


def average_precision(by_score: ArrayLike) -> Area:
    """Mean of the precisions at each positive, by descending score.

    Parameters
    ----------
    by_score : array_like of int, shape (2, n_bins)
        As of :func:`roc_auc`.

    Returns
    -------
    Area
        Within a bin both classes are taken to be spread evenly; ``low`` and ``high`` place its
        positives last and first. Without an interval. Undefined without positives.

    Notes
    -----
    Definition of scikit-learn, without interpolation, for scores without ties. O(n_bins).

    Examples
    --------
    >>> area = average_precision([[6, 3, 1], [1, 2, 5]])
    >>> print(f"{area.metric.value:.3f} ({area.low:.3f} to {area.high:.3f})")
    0.791 (0.654 to 0.925)
    """
    negatives, positives = (side[::-1] for side in _sides(by_score))
    p = positives.sum()
    if p == 0:
        return Area(undefined(NO_POSITIVES, float(negatives.sum())), 0.0, 1.0)
    hits = np.cumsum(positives) - positives
    misses = np.cumsum(negatives) - negatives
    first = _steps(hits, positives, misses)
    last = _steps(hits, positives, misses + negatives)
    value = _spread(hits, misses, positives, negatives)
    metric = Metric(float(value.sum() / p), float(p + negatives.sum()))
    return Area(metric, float(last.sum() / p), float(first.sum() / p))


def _sides(by_score: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return negatives and positives as floats."""
    counts = counts_of(by_score, "by_score")
    if counts.ndim != 2 or len(counts) != 2:
        what = f"shape {counts.shape}"
        raise ShapeError(what, where="by_score", fix="pass negatives and positives: (2, n_bins)")
    return counts[0].astype(np.float64), counts[1].astype(np.float64)


def _steps(
    hits: NDArray[np.float64], positives: NDArray[np.float64], misses: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return sum_j (hits + j) / (hits + misses + j), j from 1 to the positives of a bin."""
    start = hits + misses + 1
    return np.asarray(positives - misses * (digamma(start + positives) - digamma(start)))


def _spread(
    hits: NDArray[np.float64],
    misses: NDArray[np.float64],
    positives: NDArray[np.float64],
    negatives: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the sum of precisions of each bin, its negatives evenly between its positives.

    Notes
    -----
    The j-th positive has negatives / positives * (j - 1/2) negatives of its bin before it, so
    its precision is (hits + j) / (c + j slope), summed as in :func:`_steps`.
    """
    some = positives > 0
    slope = 1 + np.divide(negatives, positives, out=np.zeros_like(negatives), where=some)
    start = (hits + misses - (slope - 1) / 2) / slope
    # (hits + j) / (slope (start + j)) = (1 + (hits - start) / (start + j)) / slope
    tail = digamma(start + positives + 1) - digamma(start + 1)
    return np.where(some, (positives + (hits - start) * tail) / slope, 0.0)
