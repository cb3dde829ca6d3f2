"""Performance without labels, from calibrated scores (CBPE), by bins of the score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from detectors.performance.metric import Metric, undefined
from detectors.statistics.histogram import counts_of
from schemas.errors import ShapeError


@dataclass(frozen=True, slots=True)
class CalibrationMap:
    """Chance that a row of each bin of the score is positive, as in the reference."""

    chances: NDArray[np.float64]

    @classmethod
    def of(cls, by_score: ArrayLike) -> CalibrationMap:
        """Learn it by isotonic regression over bins.

        Parameters
        ----------
        by_score : array_like of int, shape (2, n_bins)
            Negatives and positives of the reference by bin of the score, ascending.

        Notes
        -----
        Pools adjacent violators (scipy). A bin without rows takes the chance of its
        neighbours, interpolated by their numbers. O(n_bins).

        Examples
        --------
        >>> CalibrationMap.of([[8, 0, 6, 2], [2, 0, 1, 8]]).chances.round(3)
        array([0.176, 0.176, 0.176, 0.8  ])
        """
        counts = counts_of(by_score, "by_score").astype(np.float64)
        if counts.ndim != 2 or len(counts) != 2:
            raise ShapeError(f"shape {counts.shape}", where="CalibrationMap", fix="(2, n_bins)")
        n = counts.sum(axis=0)
        some = np.flatnonzero(n)
        if not len(some):
            return cls(np.full(counts.shape[1], np.nan))
        fitted = isotonic_regression(counts[1][some] / n[some], weights=n[some]).x
        return cls(np.interp(np.arange(counts.shape[1]), some, fitted))


def estimated_confusion(by_prediction: ArrayLike, known: CalibrationMap) -> NDArray[np.float64]:
    """Return the expected confusion matrix of rows without labels.

    Parameters
    ----------
    by_prediction : array_like of int, shape (2, n_bins)
        Rows predicted negative and positive by bin of the score.

    Returns
    -------
    ndarray of float64, shape (2, 2)
        [[tn, fp], [fn, tp]], expected.

    Notes
    -----
    Valid while the scores keep their meaning: no change of P(y | x) can be seen. Ratios of
    these counts are the estimates of precision, recall and F1. O(n_bins).

    Examples
    --------
    >>> known = CalibrationMap.of([[90, 10], [10, 90]])
    >>> estimated_confusion([[100, 0], [0, 50]], known)
    array([[90.,  5.],
           [10., 45.]])
    """
    counts = counts_of(by_prediction, "by_prediction").astype(np.float64)
    if counts.shape != (2, len(known.chances)):
        what = f"shape {counts.shape}, {len(known.chances)} bins of the reference"
        raise ShapeError(what, where="estimated_confusion", fix="pass (2, n_bins)")
    positive = counts * known.chances
    return np.array([(counts - positive).sum(axis=1), positive.sum(axis=1)])


def estimated_auc(rows: ArrayLike, known: CalibrationMap) -> Metric:
    """Return the expected area under the ROC curve of rows without labels.

    Parameters
    ----------
    rows : array_like of int, shape (n_bins,)
        Rows by bin of the score, ordered by the raw score.

    Examples
    --------
    >>> known = CalibrationMap.of([[90, 10], [10, 90]])
    >>> print(f"{estimated_auc([100, 100], known).value:.2f}")
    0.90
    """
    n = counts_of(rows, "rows").astype(np.float64)
    if n.shape != known.chances.shape:
        what = f"shape {n.shape}, {len(known.chances)} bins of the reference"
        raise ShapeError(what, where="estimated_auc", fix="pass (n_bins,)")
    positives = n * known.chances
    negatives = n - positives
    p, q = positives.sum(), negatives.sum()
    if not (p > 0 and q > 0):
        return undefined("one class only is expected", float(n.sum()))
    below = np.cumsum(negatives) - negatives / 2
    return Metric(float((positives * below).sum() / (p * q)), float(n.sum()))
