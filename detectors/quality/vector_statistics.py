"""Vectors as two numbers each: their norm, and their cosine to the reference's centroid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import DomainError, ShapeError


class VectorStatistics(NamedTuple):
    """Two numeric variables of each vector."""

    norm: NDArray[np.float64]
    """Euclidean; shape (n,)."""
    cosine: NDArray[np.float64]
    """To the centroid, in [-1, 1]; shape (n,)."""


@dataclass(frozen=True, slots=True)
class Centroid:
    """Mean of the reference's vectors, stored as a mergeable sum.

    Parameters
    ----------
    total : ndarray of float64, shape (d,)
        Sum of the vectors that are complete.
    n : int
        How many they are.
    """

    total: NDArray[np.float64]
    n: int

    @staticmethod
    def of(vectors: ArrayLike) -> Centroid:
        """Add up vectors.

        Parameters
        ----------
        vectors : array_like of float, shape (n, d)
            One that holds NaN or infinity is missing as a whole.

        Raises
        ------
        ShapeError
            If it is not a matrix of numbers.

        Examples
        --------
        >>> Centroid.of([[1.0, 0.0], [3.0, 2.0], [np.nan, 0.0]]).mean.tolist()
        [2.0, 1.0]
        """
        rows = _matrix(vectors)
        complete = rows[np.isfinite(rows).all(axis=1)]
        return Centroid(complete.sum(axis=0), len(complete))

    def merge(self, other: Centroid) -> Centroid:
        """Return the centroid of both; the empty sum is the identity.

        Raises
        ------
        ShapeError
            If the dimensions differ.
        """
        if self.total.shape != other.total.shape:
            what = f"{len(self.total)} and {len(other.total)} dimensions"
            raise ShapeError(what, where="Centroid", fix="merge vectors of one embedding")
        return Centroid(self.total + other.total, self.n + other.n)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Return the mean; NaN of no vectors."""
        return self.total / self.n if self.n else np.full(self.total.shape, np.nan)


def vector_statistics(vectors: ArrayLike, centroid: Centroid) -> VectorStatistics:
    """Reduce each vector to its norm and its cosine to where the reference's lay.

    Prefer them to a distance of whole distributions where vectors must be watched with the
    means for numbers: quantile bins, missing shares, verdicts by segment. They see a changed
    scale, another encoder, and traffic that turns away from the old centre; they do not see
    what moves on the cone around it.

    Parameters
    ----------
    vectors : array_like of float, shape (n, d)
        One that holds NaN or infinity is missing as a whole.
    centroid : Centroid
        Of the reference, of the same d.

    Returns
    -------
    VectorStatistics
        NaN where a vector is missing. The cosine is NaN of a vector of zeros, and
        everywhere where the centroid is zero or of no vectors: there is no direction.

    Raises
    ------
    ShapeError
        If it is not a matrix, or the dimensions differ.
    DomainError
        If the centroid is not finite.

    Notes
    -----
    norm = |x|, cosine = x . m / (|x| |m|), with m the centroid's mean. Scaled by the
    largest entry first, so that neither overflows where the vector does not. The
    reference's own cosines hold each vector's pull on the mean, of order 1 / n.
    O(n d); rows by themselves, so pieces give the same numbers, and the centroid merges.

    Examples
    --------
    >>> reference = [[1.0, 0.0], [3.0, 0.0]]
    >>> found = vector_statistics([[3.0, 4.0], [0.0, 0.0]], Centroid.of(reference))
    >>> found.norm.tolist(), found.cosine.tolist()
    ([5.0, 0.0], [0.6, nan])
    """
    rows = _matrix(vectors)
    if rows.shape[1] != len(centroid.total):
        what = f"vectors of {rows.shape[1]} dimensions, a centroid of {len(centroid.total)}"
        raise ShapeError(what, where="vector_statistics", fix="pass the same embedding's vectors")
    if not np.isfinite(centroid.total).all():
        raise DomainError(
            "the centroid is not finite", where="vector_statistics", fix="build it with Centroid.of"
        )
    unit, length = _directions(np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, np.nan))
    direction, _ = _directions(centroid.mean[None])
    with np.errstate(invalid="ignore"):
        return VectorStatistics(length, np.clip(unit @ direction[0], -1.0, 1.0))


def _directions(
    rows: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors, NaN of zeros, and norms."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        scaled = rows / largest[:, None]
        length = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
        return scaled / length[:, None], np.where(largest == 0, 0.0, length * largest)


def _matrix(vectors: ArrayLike) -> NDArray[np.float64]:
    """Rows of numbers, of one length."""
    try:
        array = np.asarray(vectors)
    except ValueError:  # rows of different lengths
        raise ShapeError("rows differ in length", where="vectors", fix="pass one d") from None
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        what = f"shape {array.shape}, dtype {array.dtype}"
        raise ShapeError(what, where="vectors", fix="pass numbers of shape (n, d)")
    return array.astype(np.float64)
