"""Evidence that the same scores mean something else: labels given the score's bin.

A shift of the scores' distribution alone cannot raise it, because rows are compared within
bins of the score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from detectors.statistics.histogram import counts_of
from schemas.errors import DomainError, ShapeError

CHANGES = (0.02, 0.05, 0.1, 0.25)
"""Of the share of positives beyond the tolerance: what is bet on."""
SMALLEST_TOLERANCE = 0.02
_MOST = 0.999


@dataclass(frozen=True, slots=True)
class MeaningOfScores:
    """What the bins of the score meant in the reference.

    Attributes
    ----------
    shares : ndarray of float64, shape (n_bins,)
        Positives of each bin.
    tolerances : ndarray of float64, shape (n_bins,)
        Change of a share that is not evidence: at least .02, and the reference's own error.
    """

    shares: NDArray[np.float64]
    tolerances: NDArray[np.float64]

    @classmethod
    def of(cls, by_score: ArrayLike, *, n_cells: int, phi: float = 1.0) -> MeaningOfScores:
        """Learn the meaning from the reference.

        Parameters
        ----------
        by_score : array_like of int, shape (2, n_bins)
            Negatives and positives of the reference by bin; deciles of its scores.
        n_cells : int
            Cells that are judged, over which errors of the reference are shared.
        phi : float, default 1
            Design effect of the reference.

        Notes
        -----
        Tolerance max(.02, sqrt(ln(200 n_cells) phi / (2 n_b))) (Hoeffding). A bin without
        rows takes no part: its tolerance is 1.

        Examples
        --------
        >>> meaning = MeaningOfScores.of([[900, 0], [100, 0]], n_cells=10)
        >>> print(meaning.shares, meaning.tolerances.round(4))
        [0.1 0. ] [0.0616 1.    ]
        """
        counts = counts_of(by_score, "by_score").astype(np.float64)
        if counts.ndim != 2 or len(counts) != 2:
            raise ShapeError(f"shape {counts.shape}", where="MeaningOfScores", fix="(2, n_bins)")
        if n_cells < 1 or phi <= 0:
            raise DomainError(f"{n_cells} cells, phi {phi}", where="MeaningOfScores")
        n = counts.sum(axis=0)
        some = n > 0
        shares = np.divide(counts[1], n, out=np.zeros_like(n), where=some)
        spread = np.sqrt(math.log(200 * n_cells) * phi / (2 * np.maximum(n, 1)))
        tolerances = np.where(some, np.maximum(SMALLEST_TOLERANCE, spread), 1.0)
        return cls(shares, np.minimum(tolerances, 1.0))


def label_log_evidence(
    by_score: ArrayLike, meaning: MeaningOfScores
) -> np.float64 | NDArray[np.float64]:
    """Return the log e-value that labels exceed, or fall short of, what their score meant.

    Parameters
    ----------
    by_score : array_like of int, shape (..., 2, n_bins)
        Negatives and positives of a window by the bins of ``meaning``.

    Returns
    -------
    float64 or ndarray of float64
        In nats. Its exponential has a mean of at most 1 while every share is within its
        tolerance, conditional on the scores.

    Notes
    -----
    Mean over the sets {all bins, lower half, upper half, each bin}, both signs and
    :data:`CHANGES` of prod_b (q1/q0)^k (1-q1 / 1-q0)^(n-k), q0 = share + tolerance and
    q1 = q0 + change, for falling shares mirrored. A sign and bin whose q0 reaches .999 takes
    no part. O(n_bins^2).

    Examples
    --------
    >>> meaning = MeaningOfScores.of([[9_000, 1_000], [1_000, 9_000]], n_cells=10)
    >>> same = label_log_evidence([[450, 50], [50, 450]], meaning)
    >>> other = label_log_evidence([[300, 50], [200, 450]], meaning)
    >>> print(f"{same:.1f} {other:.1f}")
    -4.8 121.9
    """
    counts = counts_of(by_score, "by_score").astype(np.float64)
    n_bins = len(meaning.shares)
    if counts.ndim < 2 or counts.shape[-2:] != (2, n_bins):
        what = f"shape {counts.shape}, {n_bins} bins of the reference"
        raise ShapeError(what, where="label_log_evidence", fix="pass (..., 2, n_bins)")
    negatives, positives = counts[..., 0, :], counts[..., 1, :]
    sides = [
        _log_ratios(positives, negatives, meaning.shares + meaning.tolerances),
        _log_ratios(negatives, positives, 1 - meaning.shares + meaning.tolerances),
    ]
    # (..., sign, change, bin) times (bin, set)
    logs = np.stack(sides, axis=-3) @ _sets(n_bins)
    flat = logs.reshape(*logs.shape[:-3], -1)
    return np.asarray(logsumexp(flat, axis=-1) - math.log(flat.shape[-1]))[()]


def _log_ratios(
    hits: NDArray[np.float64], misses: NDArray[np.float64], null: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the log likelihood ratio of each change and bin, 0 where no bet is possible."""
    q0 = np.minimum(null, _MOST)
    q1 = np.minimum(q0 + np.array(CHANGES)[:, None], _MOST)
    up, down = np.log(q1 / q0), np.log((1 - q1) / (1 - q0))
    found = hits[..., None, :] * up + misses[..., None, :] * down
    return np.asarray(np.where(null < _MOST, found, 0.0))


def _sets(n_bins: int) -> NDArray[np.float64]:
    """Return which bins are in which set, shape (n_bins, n_bins + 3)."""
    half = n_bins // 2
    lower = np.arange(n_bins) < half
    columns = [np.ones(n_bins), lower, ~lower, *np.eye(n_bins)]
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
