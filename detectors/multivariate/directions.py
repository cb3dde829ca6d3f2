"""Random directions: histograms of the shadows that long vectors cast, mergeable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.multivariate.projection import check_projection, digest_of
from detectors.multivariate.rows import FloatArray, rows_of
from schemas.errors import DomainError


@dataclass(frozen=True, slots=True, eq=False)
class ProjectedCounts:
    """Histograms of vectors in each direction: a window, mergeable by addition.

    Parameters
    ----------
    n : int
        Vectors without a missing value.
    n_missing : int
        Vectors left out because a value was NaN.
    counts : ndarray of int64, shape (n_directions, n_bins + 2)
        Below the first edge, between edges, at or above the last.
    minima, maxima : ndarray of float64, shape (n_directions,)
        Of all vectors; infinite without any.
    excess_below, excess_above : ndarray of float64, shape (n_directions,)
        Sums over vectors of how far they lie beyond the outer edges.
    projection : str
        Which :class:`Directions` made them.
    """

    n: int
    n_missing: int
    counts: NDArray[np.int64]
    minima: FloatArray
    maxima: FloatArray
    excess_below: FloatArray
    excess_above: FloatArray
    projection: str

    def merge(self, other: ProjectedCounts) -> ProjectedCounts:
        """Return the counts of both sets of vectors.

        Raises
        ------
        DomainError
            If other directions made them.
        """
        check_projection(self.projection, other.projection)
        return ProjectedCounts(
            self.n + other.n,
            self.n_missing + other.n_missing,
            self.counts + other.counts,
            np.minimum(self.minima, other.minima),
            np.maximum(self.maxima, other.maxima),
            self.excess_below + other.excess_below,
            self.excess_above + other.excess_above,
            self.projection,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """Seeded random directions, and edges of the reference along each; made by :meth:`fit`.

    Parameters
    ----------
    vectors : ndarray of float64, shape (n_features, n_directions)
        Of length 1, uniform on the sphere.
    edges : ndarray of float64, shape (n_directions, n_bins + 1)
        Quantiles of the reference's shadows, its smallest and largest included.
    projection : str
        Digest of both.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 300))
    >>> directions = Directions.fit(x, n_directions=5)
    >>> print(directions.counts_of(1.5 * x).counts.shape)
    (5, 62)
    """

    vectors: FloatArray
    edges: FloatArray
    projection: str

    @classmethod
    def fit(
        cls, reference: ArrayLike, *, n_directions: int = 128, n_bins: int = 60, seed: int = 0
    ) -> Directions:
        """Draw directions, and edges from the reference's vectors.

        Parameters
        ----------
        reference : array_like of float, shape (n, n_features)
            Some thousand vectors; those with NaN are left out.
        n_directions : int, default 128
            The distance varies by about 1 / sqrt(n_directions) of itself with the draw.
        n_bins : int, default 60
            In each direction.

        Returns
        -------
        Directions

        Raises
        ------
        ShapeError
            If these are not vectors of numbers.
        DomainError
            If no vector is present, a value is infinite or too large, or an option is
            below 1.

        Examples
        --------
        >>> Directions.fit([[0.0, 1.0], [2.0, 3.0]], n_directions=5, n_bins=4).edges.shape
        (5, 5)
        """
        where = "Directions.fit"
        if n_directions < 1 or n_bins < 1:
            what = f"n_directions is {n_directions}, n_bins {n_bins}"
            raise DomainError(what, where=where, fix="pass 1 or more")
        present, _ = rows_of(reference, where)
        if not len(present):
            raise DomainError("no vector is present", where=where, fix="pass rows without NaN")
        vectors = random_directions(present.shape[1], n_directions, seed)
        at = np.linspace(0, 1, n_bins + 1)
        edges = np.ascontiguousarray(np.quantile(shadows_of(present, vectors), at, axis=0).T)
        return cls(vectors, edges, digest_of("directions", vectors, edges))

    def counts_of(self, rows: ArrayLike) -> ProjectedCounts:
        """Count vectors in each direction; the vectors are then not needed any more.

        Parameters
        ----------
        rows : array_like of float, shape (n, n_features)
            Vectors; those with NaN are left out and counted.

        Returns
        -------
        ProjectedCounts
            Zero without rows: the identity of its ``merge``.

        Raises
        ------
        ShapeError, DomainError
            As :func:`.rows.rows_of`, and if a value is too large to be added up.

        Notes
        -----
        O(n n_directions (n_features + log n_bins)).

        Examples
        --------
        >>> directions = Directions.fit([[0.0], [2.0]], n_directions=1, n_bins=2)
        >>> parts = [directions.counts_of([[at]]) for at in (0.5, 1.5)]
        >>> print(parts[0].merge(parts[1]).counts)
        [[0 1 1 0]]
        """
        present, n_missing = rows_of(rows, "Directions", len(self.vectors))
        n_directions, n_edges = self.edges.shape
        shadows = shadows_of(present, self.vectors)
        counts = np.zeros((n_directions, n_edges + 1), np.int64)
        for k in range(n_directions):
            bins = np.searchsorted(self.edges[k], shadows[:, k], side="right")
            counts[k] = np.bincount(bins, minlength=n_edges + 1)
        low, high = self.edges[:, 0], self.edges[:, -1]
        return ProjectedCounts(
            len(present),
            n_missing,
            counts,
            shadows.min(axis=0, initial=np.inf),
            shadows.max(axis=0, initial=-np.inf),
            np.maximum(low - shadows, 0.0).sum(axis=0),
            np.maximum(shadows - high, 0.0).sum(axis=0),
            self.projection,
        )


def random_directions(n_features: int, n_directions: int, seed: int) -> FloatArray:
    """Return directions of length 1, uniform on the sphere, shape (n_features, n_directions).

    References
    ----------
    Muller, A note on a method for generating points uniformly on n-dimensional spheres,
    Comm. ACM 2 (1959).

    Examples
    --------
    >>> print(np.abs(random_directions(1, 3, seed=0)))
    [[1. 1. 1.]]
    """
    draws = np.random.default_rng(seed).normal(size=(n_features, n_directions))
    return draws / np.linalg.norm(draws, axis=0)  # type: ignore[no-any-return]


def shadows_of(rows: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return the length of each row along each direction, shape (n, n_directions).

    Raises
    ------
    DomainError
        If a sum goes beyond the largest float.

    Examples
    --------
    >>> shadows_of(np.array([[3.0, 4.0]]), np.array([[1.0], [0.0]]))
    array([[3.]])
    """
    with np.errstate(over="ignore", invalid="ignore"):
        shadows = rows @ vectors
    if not np.isfinite(shadows).all():
        what = f"a value is {np.abs(rows).max():g}: its sums overflow"
        raise DomainError(what, where="Directions", fix="divide the vectors by their scale")
    return shadows
