"""What is counted of rows that have a label: additive, so that windows and segments merge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.performance.grid import bins_of
from schemas.errors import ShapeError

N_CALIBRATION_BINS = 20
"""Equal bins of [0, 1] for the expected calibration error; the last one is closed."""
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class BinaryOutcomes:
    """Counters of labelled rows of a binary model.

    Attributes
    ----------
    counts : ndarray of int64, shape (2, 2, n_bins)
        Rows by true class, predicted class and bin of the score; the last bin has the rows
        without a score.
    calibration : ndarray of float64, shape (3, 20)
        Rows, sum of scores and positives, by equal bins of the score.
    sums : ndarray of float64, shape (2,)
        Squared error of the score (Brier) and its log loss, over rows with a score in [0, 1].
    """

    counts: NDArray[np.int64]
    calibration: NDArray[np.float64]
    sums: NDArray[np.float64]

    @classmethod
    def of(
        cls, labels: ArrayLike, predicted: ArrayLike, scores: ArrayLike, edges: NDArray[np.float64]
    ) -> Self:
        """Count rows.

        Parameters
        ----------
        labels, predicted : array_like of bool, shape (n,)
            Whether a row is, and was predicted to be, of the positive class.
        scores : array_like of float, shape (n,)
            NaN without one. Beyond [0, 1] a score is counted in ``counts`` alone.
        edges : ndarray of float64
            Of :func:`~detectors.performance.grid.balanced_edges`.

        Raises
        ------
        ShapeError
            If the three are not of one length.

        Notes
        -----
        The log loss clips scores by the machine epsilon of float64, as sklearn does. O(n).

        Examples
        --------
        >>> rows = BinaryOutcomes.of([1, 0, 1], [1, 1, 0], [0.9, 0.6, 0.2], np.array([0.5]))
        >>> rows.confusion
        array([[0, 1],
               [1, 1]])
        """
        truth, guess = np.asarray(labels, bool), np.asarray(predicted, bool)
        values = np.asarray(scores, np.float64)
        if not truth.shape == guess.shape == values.shape or truth.ndim != 1:
            what = f"{truth.shape} labels, {guess.shape} predictions, {values.shape} scores"
            raise ShapeError(what, where="BinaryOutcomes", fix="pass arrays of one length")
        n_bins = len(edges) + 2
        places = (truth * 2 + guess.astype(np.int64)) * n_bins + bins_of(values, edges)
        counts = np.bincount(places, minlength=4 * n_bins).reshape(2, 2, n_bins)
        within = (values >= 0) & (values <= 1)
        s, y = values[within], truth[within].astype(np.float64)
        equal = np.minimum((s * N_CALIBRATION_BINS).astype(np.int64), N_CALIBRATION_BINS - 1)
        sums = [np.bincount(equal, w, N_CALIBRATION_BINS) for w in (np.ones(len(s)), s, y)]
        clipped = np.clip(s, _EPSILON, 1 - _EPSILON)
        loss = -np.log(np.where(y > 0, clipped, 1 - clipped)).sum()
        return cls(counts, np.stack(sums), np.array([((s - y) ** 2).sum(), loss]))

    def __add__(self, other: BinaryOutcomes) -> BinaryOutcomes:
        """Return the counters of both sets of rows, counted by the same edges."""
        if self.counts.shape != other.counts.shape:
            what = f"{self.counts.shape[2]} bins and {other.counts.shape[2]}"
            raise ShapeError(what, where="BinaryOutcomes", fix="count both by the same edges")
        return BinaryOutcomes(
            self.counts + other.counts,
            self.calibration + other.calibration,
            self.sums + other.sums,
        )

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Rows by true and predicted class, shape (2, 2): [[tn, fp], [fn, tp]]."""
        return np.asarray(self.counts.sum(axis=2))

    @property
    def by_score(self) -> NDArray[np.int64]:
        """Negatives and positives by bin of the score, shape (2, n_bins - 1), ascending."""
        return np.asarray(self.counts.sum(axis=1)[:, :-1])
