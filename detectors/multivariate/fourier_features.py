"""Random Fourier features: a Gaussian kernel as a product of bounded features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from detectors.multivariate.bandwidth import median_bandwidth
from detectors.multivariate.moments import SecondMoments
from detectors.multivariate.projection import check_projection, digest_of
from detectors.multivariate.rows import FloatArray, rows_of, scales_of
from schemas.errors import DomainError

_ROWS_AT_ONCE = 4096
"""Bounds the memory: 17 MB of angles at 512 frequencies."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSums:
    """Sums of Fourier features over rows: a window, mergeable by addition.

    Parameters
    ----------
    n : int
        Rows without a missing value.
    n_missing : int
        Rows left out because a value was NaN.
    sums : ndarray of float64, shape (2 n_frequencies,)
        Of cosines, then of sines.
    projection : str
        Which :class:`FourierFeatures` made them; sums of two do not mix.
    """

    n: int
    n_missing: int
    sums: FloatArray
    projection: str

    def merge(self, other: FeatureSums) -> FeatureSums:
        """Return the sums over both sets of rows.

        Raises
        ------
        DomainError
            If other features made them.
        """
        check_projection(self.projection, other.projection)
        return FeatureSums(
            self.n + other.n,
            self.n_missing + other.n_missing,
            self.sums + other.sums,
            self.projection,
        )


@dataclass(frozen=True, slots=True, eq=False)
class FourierFeatures:
    """A seeded projection whose features multiply to a Gaussian kernel; made by :meth:`fit`.

    Parameters
    ----------
    centre, scale : ndarray of float64, shape (n_features,)
        Of the reference: what is projected is (x - centre) / scale.
    frequencies : ndarray of float64, shape (n_features, n_frequencies)
        Normal, with standard deviation 1 / bandwidth.
    bandwidth : float
        Of the kernel, in units of the scaled rows.
    projection : str
        Digest of all of the above.

    Examples
    --------
    >>> features = FourierFeatures.fit([[0.0], [1.0], [2.0]], n_frequencies=64)
    >>> window = features.sums_of([[0.5], [float("nan")]])
    >>> print(window.n, window.n_missing, window.sums.shape)
    1 1 (128,)
    """

    centre: FloatArray
    scale: FloatArray
    frequencies: FloatArray
    bandwidth: float
    projection: str

    @property
    def n_frequencies(self) -> int:
        """Frequencies; each gives a cosine and a sine."""
        return int(self.frequencies.shape[1])

    @classmethod
    def fit(
        cls,
        reference: ArrayLike,
        *,
        n_frequencies: int = 512,
        bandwidth: float | None = None,
        standardise: bool = True,
        seed: int = 0,
    ) -> FourierFeatures:
        """Draw features for a reference.

        Parameters
        ----------
        reference : array_like of float, shape (n, n_features)
            Rows; a thousand will do. Rows with NaN are left out.
        n_frequencies : int, default 512
            The standard deviation of the kernel is at most 1 / sqrt(2 n_frequencies); for
            that of the discrepancy see :func:`detectors.multivariate.mmd.mmd_squared`.
        bandwidth : float, optional
            In units of the scaled rows; the median distance of the reference if left out.
        standardise : bool, default True
            Divide columns by the reference's standard deviation; False for embeddings,
            whose columns have one unit.
        seed : int, default 0
            The same seed and reference give the same features.

        Returns
        -------
        FourierFeatures

        Raises
        ------
        ShapeError
            If these are not rows of numbers.
        DomainError
            If no row is present, all are the same and no bandwidth is given, or an
            option is out of its domain.

        Notes
        -----
        Pairs of cosine and sine rather than cosines with a random phase: less variance
        for this kernel, and a row's product with itself is exactly 1. Rows are centred
        first: it changes no difference, and keeps the digits of large values.

        References
        ----------
        Rahimi and Recht, Random features for large-scale kernel machines, NIPS (2007),
        theorem 1. Sutherland and Schneider, On the error of random Fourier features, UAI
        (2015), for the pairs.

        Examples
        --------
        >>> FourierFeatures.fit([[0.0], [2.0]], bandwidth=0.5).n_frequencies
        512
        """
        where = "FourierFeatures.fit"
        if n_frequencies < 1:
            what = f"n_frequencies is {n_frequencies}"
            raise DomainError(what, where=where, fix="pass 1 or more")
        if bandwidth is not None and not 0 < bandwidth < np.inf:
            raise DomainError(f"bandwidth is {bandwidth}", where=where, fix="pass a positive one")
        present, _ = rows_of(reference, where)
        if not len(present):
            raise DomainError("no row is present", where=where, fix="pass rows without NaN")
        moments = SecondMoments.of(present)
        scale = scales_of(moments.sd) if standardise else np.ones(moments.n_features)
        if bandwidth is None:
            bandwidth = median_bandwidth((present - moments.mean) / scale, seed=seed)
        draws = np.random.default_rng(seed).normal(size=(moments.n_features, n_frequencies))
        frequencies = draws / bandwidth
        digest = digest_of("fourier", moments.mean, scale, frequencies)
        return cls(moments.mean, scale, frequencies, bandwidth, digest)

    def sums_of(self, rows: ArrayLike) -> FeatureSums:
        """Sum the features of rows; the rows themselves are then not needed any more.

        Parameters
        ----------
        rows : array_like of float, shape (n, n_features)
            Rows with NaN are left out and counted.

        Returns
        -------
        FeatureSums
            Zero without rows: the identity of its ``merge``.

        Raises
        ------
        ShapeError, DomainError
            As :func:`.rows.rows_of`, and if a value is beyond 1e300 scales.

        Notes
        -----
        O(n n_features n_frequencies): 10,000 rows of 20 columns at 512 frequencies take
        5 million cosines and sines.

        Examples
        --------
        >>> features = FourierFeatures.fit([[0.0], [2.0]], n_frequencies=8)
        >>> features.sums_of([[1.0]]).merge(features.sums_of([[2.0], [0.0]])).n
        3
        """
        present, n_missing = rows_of(rows, "FourierFeatures", len(self.centre))
        sums = np.zeros(2 * self.n_frequencies)
        for start in range(0, len(present), _ROWS_AT_ONCE):
            with np.errstate(over="ignore", invalid="ignore"):
                part = (present[start : start + _ROWS_AT_ONCE] - self.centre) / self.scale
                angles = part @ self.frequencies
            if not np.isfinite(angles).all():
                what = f"a value is {np.abs(present).max():g}: its angle overflows"
                raise DomainError(what, where="FourierFeatures", fix="leave such values out")
            sums[: self.n_frequencies] += np.cos(angles).sum(axis=0)
            sums[self.n_frequencies :] += np.sin(angles).sum(axis=0)
        return FeatureSums(len(present), n_missing, sums, self.projection)
