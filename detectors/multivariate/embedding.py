"""Embedding drift: how far the centre of long vectors has moved, in O(n_features)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from detectors.multivariate.rows import FloatArray, rows_of
from schemas.errors import DomainError, ShapeError

USUAL_THRESHOLD = 0.2
"""evidently's, of the Euclidean distance, whatever the vectors' unit."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingMoments:
    """Number, mean and total spread of vectors; start from :meth:`empty` or :meth:`of`.

    Prefer it to :class:`detectors.multivariate.moments.SecondMoments` for hundreds of
    dimensions: d + 1 numbers rather than d (d + 1).

    Parameters
    ----------
    n : int
        Vectors without a missing value.
    n_missing : int
        Vectors left out because a value was NaN.
    mean : ndarray of float64, shape (n_features,)
        The centroid; NaN where n = 0.
    spread : float
        Sum over vectors of the squared distance to the mean: the trace of the co-moments.

    References
    ----------
    Chan, Golub and LeVeque (1979), as for :class:`~detectors.multivariate.moments.\
SecondMoments`.

    Examples
    --------
    >>> EmbeddingMoments.of([[1.0, 0.0], [3.0, 0.0]]).spread
    2.0
    """

    n: int
    n_missing: int
    mean: FloatArray
    spread: float

    @classmethod
    def empty(cls, n_features: int) -> EmbeddingMoments:
        """Return the moments of no vectors, the identity of :meth:`merge`.

        Raises
        ------
        DomainError
            If ``n_features`` is below 1.
        """
        if n_features < 1:
            what = f"n_features is {n_features}"
            raise DomainError(what, where="EmbeddingMoments", fix="pass 1 or more")
        return cls(0, 0, np.full(n_features, np.nan), 0.0)

    @classmethod
    def of(cls, vectors: ArrayLike) -> EmbeddingMoments:
        """Return the moments of vectors, shape (n, n_features).

        Raises
        ------
        ShapeError
            If these are not vectors of numbers.
        DomainError
            If a value is infinite, or too large to be squared.

        Examples
        --------
        >>> EmbeddingMoments.of([[1.0, 2.0], [3.0, 4.0]]).mean
        array([2., 3.])
        """
        present, n_missing = rows_of(vectors, "EmbeddingMoments")
        if not len(present):
            return replace(cls.empty(present.shape[1]), n_missing=n_missing)
        base = present[0]
        with np.errstate(over="ignore", invalid="ignore"):
            centred = present - base
            offset = centred.mean(axis=0)
            centred -= offset
            spread = float(np.vdot(centred, centred))
        return cls(len(present), n_missing, base + offset, _finite(spread))

    def add(self, vectors: ArrayLike) -> EmbeddingMoments:
        """Return the moments of these vectors and the former together, in O(n n_features).

        Examples
        --------
        >>> EmbeddingMoments.empty(2).add([[1.0, 0.0]]).add([[3.0, 0.0]]).spread
        2.0
        """
        return self.merge(EmbeddingMoments.of(vectors))

    def merge(self, other: EmbeddingMoments) -> EmbeddingMoments:
        """Return the moments of both sets of vectors together, in O(n_features).

        Raises
        ------
        ShapeError
            If the numbers of dimensions differ.
        DomainError
            If the means lie too far apart to be squared.

        Examples
        --------
        >>> one, other = EmbeddingMoments.of([[0.0]]), EmbeddingMoments.of([[4.0]])
        >>> print(one.merge(other).mean, one.merge(other).spread)
        [2.] 8.0
        """
        _check_dimensions(self, other)
        n, n_missing = self.n + other.n, self.n_missing + other.n_missing
        if not self.n or not other.n:
            return replace(self if self.n else other, n_missing=n_missing)
        with np.errstate(over="ignore", invalid="ignore"):
            delta = other.mean - self.mean
            between = float(delta @ delta) * (self.n * other.n / n)
        spread = _finite(self.spread + other.spread + between)
        return EmbeddingMoments(n, n_missing, self.mean + delta * (other.n / n), spread)


class CentroidShift(NamedTuple):
    """How a centroid has moved; NaN where a side has no vectors."""

    euclidean: float
    """Distance between the centroids. It is not 0 without drift, see ``expected``."""
    expected: float
    """Root mean square of that distance without drift; NaN with one vector on a side."""
    effect: float
    """Unbiased squared distance over the reference's mean squared distance to its centroid:
    about 0 without drift, on either side of it."""
    cosine: float
    """1 - cosine of the angle between the centroids, in [0, 2]; NaN where one is 0."""


def centroid_shift(reference: EmbeddingMoments, current: EmbeddingMoments) -> CentroidShift:
    """Distances between the centroids of two sets of vectors; the first thing to look at.

    Cheap and mergeable, and it sees a moved topic mix; it is blind to vectors that spread
    or part around the same centre, which
    :mod:`detectors.multivariate.sliced_energy` sees.

    Returns
    -------
    CentroidShift

    Raises
    ------
    ShapeError
        If the numbers of dimensions differ.

    Notes
    -----
    With s^2 = spread / (n - 1) of a side, the squared distance of two centroids without
    drift has mean s0^2 / n0 + s^2 / n: at 768 dimensions of unit variance and 1,000
    vectors a side that is 1.5, so a fixed threshold on the distance judges n and not
    drift. ``effect`` subtracts it and divides by s0^2. For a verdict take ``effect``
    over reference windows, :func:`detectors.multivariate.band.band_of_windows`. The
    cosine is taken from the gap between unit vectors, |u0 - u|^2 / 2, which keeps the
    digits that 1 - u0'u loses; vectors with a common mean have centroids that hardly
    turn. O(n_features); exact from merged moments.

    References
    ----------
    Bai and Saranadasa, Effect of high dimension: by an example of a two sample problem,
    Statistica Sinica 6 (1996), for the unbiased square. evidently 0.7.23,
    ``metrics/data_drift/embedding_drift_methods.py``, for the distances.

    Examples
    --------
    >>> before = EmbeddingMoments.of([[1.0, 0.0], [1.0, 0.2], [1.0, -0.2]])
    >>> now = EmbeddingMoments.of([[0.0, 1.0], [0.2, 1.0], [-0.2, 1.0]])
    >>> moved = centroid_shift(before, now)
    >>> print(f"{moved.euclidean:.3f} {moved.expected:.3f} {moved.cosine:.1f}")
    1.414 0.163 1.0
    """
    _check_dimensions(reference, current)
    euclidean = _length(reference.mean - current.mean)
    expected = effect = np.nan
    if min(reference.n, current.n) > 1:
        variances = [side.spread / (side.n - 1) for side in (reference, current)]
        noise = variances[0] / reference.n + variances[1] / current.n
        expected = float(np.sqrt(noise))
        if variances[0] > 0:
            # In units of the reference before squaring, so that nothing overflows.
            scaled = euclidean / float(np.sqrt(variances[0]))
            effect = scaled * scaled - noise / variances[0]
    return CentroidShift(euclidean, expected, effect, _cosine(reference.mean, current.mean))


def _cosine(one: FloatArray, other: FloatArray) -> float:
    """1 - cosine, from the gap between unit vectors."""
    lengths = _length(one), _length(other)
    if 0.0 in lengths:
        return float("nan")
    gap = one / lengths[0] - other / lengths[1]
    return float(gap @ gap) / 2


def _length(vector: FloatArray) -> float:
    """Euclidean length; by the largest entry first, for squares of 1e200 have no float."""
    largest = float(np.abs(vector).max())
    return largest and largest * float(np.linalg.norm(vector / largest))


def _check_dimensions(one: EmbeddingMoments, other: EmbeddingMoments) -> None:
    if len(one.mean) != len(other.mean):
        what = f"{len(one.mean)} and {len(other.mean)} dimensions"
        raise ShapeError(what, where="EmbeddingMoments", fix="compare vectors of one model")


def _finite(spread: float) -> float:
    """Return the spread; raise where a square went beyond the largest float."""
    if not np.isfinite(spread):
        what = f"the spread is {spread}: a square overflows"
        raise DomainError(what, where="EmbeddingMoments", fix="divide the vectors by their scale")
    return spread
