"""Second moments: mean and co-moments of several variables, mergeable, without raw rows."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from detectors.multivariate.rows import FloatArray, Rows, rows_of
from schemas.errors import DomainError, ShapeError

_HEADER = struct.Struct("<4sIqq")
_MAGIC = b"SM01"


@dataclass(frozen=True, slots=True, eq=False)
class SecondMoments:
    """Number, mean and co-moment matrix of rows; start from :meth:`empty` or :meth:`of`.

    Prefer it to sums and sums of squares, which lose the digits of any variable whose
    mean is large against its spread: these are kept about the mean.

    Parameters
    ----------
    n : int
        Rows without a missing value.
    n_missing : int
        Rows left out because a value was NaN.
    mean : ndarray of float64, shape (n_features,)
        NaN where n = 0.
    comoment : ndarray of float64, shape (n_features, n_features)
        Sum over rows of (x - mean)(x - mean)'; symmetric.

    Notes
    -----
    A value: :meth:`add` and :meth:`merge` return a new one. Two parts A and B of the
    rows join by::

        delta = mean_B - mean_A
        mean = mean_A + delta n_B / n
        C = C_A + C_B + delta delta' n_A n_B / n

    in any order and grouping, but for rounding (1e-12 of the largest term). A column
    that never varies has a co-moment of exactly 0. Memory 8 d (d + 1) bytes: 20 kB at
    50 columns, 4.7 MB at 768, where :class:`detectors.multivariate.embedding.\
EmbeddingMoments` may do.

    References
    ----------
    Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
    sample variances, Stanford STAN-CS-79-773 (1979), for one variable. Schubert and
    Gertz, Numerically stable parallel computation of (co-)variance, SSDBM (2018), for
    several.

    Examples
    --------
    >>> whole = SecondMoments.of([[1.0, 2.0], [3.0, 6.0], [5.0, 4.0]])
    >>> parts = SecondMoments.of([[1.0, 2.0]]).merge(SecondMoments.of([[3.0, 6.0], [5.0, 4.0]]))
    >>> print(whole.mean, parts.covariance().tolist())
    [3. 4.] [[4.0, 2.0], [2.0, 4.0]]
    """

    n: int
    n_missing: int
    mean: FloatArray
    comoment: FloatArray

    @classmethod
    def empty(cls, n_features: int) -> SecondMoments:
        """Return the moments of no rows, the identity of :meth:`merge`.

        Raises
        ------
        DomainError
            If ``n_features`` is below 1.

        Examples
        --------
        >>> SecondMoments.empty(2).n
        0
        """
        if n_features < 1:
            what = f"n_features is {n_features}"
            raise DomainError(what, where="SecondMoments", fix="pass 1 or more")
        return cls(0, 0, np.full(n_features, np.nan), np.zeros((n_features, n_features)))

    @classmethod
    def of(cls, rows: ArrayLike) -> SecondMoments:
        """Return the moments of raw rows, shape (n, n_features); see :meth:`add`.

        Examples
        --------
        >>> print(SecondMoments.of([[1.0], [float("nan")], [3.0]]).sd)
        [1.]
        """
        return _moments_of(rows_of(rows, "SecondMoments.of"))

    @property
    def n_features(self) -> int:
        """Columns."""
        return len(self.mean)

    @property
    def sd(self) -> FloatArray:
        """Standard deviations, divisor n, shape (n_features,); NaN without rows."""
        variances = np.diagonal(self.comoment) / self.n if self.n else self.mean
        return np.sqrt(variances)

    def add(self, rows: ArrayLike) -> SecondMoments:
        """Return the moments of these rows and the former together.

        Parameters
        ----------
        rows : array_like of float, shape (n, n_features)
            Rows with NaN are left out and counted. Only read.

        Returns
        -------
        SecondMoments

        Raises
        ------
        ShapeError
            If there are not ``n_features`` columns of numbers.
        DomainError
            If a value is infinite, or too large to be squared (about 1e150).

        Notes
        -----
        O(n d^2), one product of matrices; a copy of the rows is made. Pass long
        streams in chunks of some thousand rows.

        Examples
        --------
        >>> SecondMoments.empty(2).add([[1.0, 2.0]]).add([[3.0, 4.0]]).n
        2
        """
        return self.merge(_moments_of(rows_of(rows, "SecondMoments.add", self.n_features)))

    def merge(self, other: SecondMoments) -> SecondMoments:
        """Return the moments of both sets of rows together, in O(d^2).

        Raises
        ------
        ShapeError
            If the numbers of columns differ.
        DomainError
            If the means lie too far apart to be squared.

        Examples
        --------
        >>> a = SecondMoments.of([[0.0], [2.0]])
        >>> print(a.merge(a).comoment)
        [[4.]]
        """
        if other.n_features != self.n_features:
            what = f"{other.n_features} columns, not {self.n_features}"
            raise ShapeError(what, where="SecondMoments.merge", fix="merge the same features")
        n, n_missing = self.n + other.n, self.n_missing + other.n_missing
        if not self.n or not other.n:
            return replace(self if self.n else other, n_missing=n_missing)
        with np.errstate(over="ignore", invalid="ignore"):
            delta = other.mean - self.mean
            between = np.outer(delta, delta) * (self.n * other.n / n)
            comoment = self.comoment + other.comoment + between
        mean = self.mean + delta * (other.n / n)
        return SecondMoments(n, n_missing, mean, _finite(comoment))

    def covariance(self, ddof: int = 1) -> FloatArray:
        """Return the covariance matrix with divisor n - ddof; NaN where that is not positive.

        Examples
        --------
        >>> print(SecondMoments.of([[0.0], [2.0]]).covariance())
        [[2.]]
        """
        if self.n <= ddof:
            return np.full(self.comoment.shape, np.nan)
        return self.comoment / (self.n - ddof)

    def to_bytes(self) -> bytes:
        """Return all of it: 24 bytes, the mean, and the upper triangle; little-endian.

        Examples
        --------
        >>> len(SecondMoments.empty(3).to_bytes())
        96
        """
        triangle = self.comoment[np.triu_indices(self.n_features)]
        header = _HEADER.pack(_MAGIC, self.n_features, self.n, self.n_missing)
        return header + np.concatenate([self.mean, triangle]).astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> SecondMoments:
        """Return what :meth:`to_bytes` was called on, to the last bit.

        Raises
        ------
        ShapeError
            If the length does not fit.
        DomainError
            If these are other bytes, or hold numbers that no rows have.

        Examples
        --------
        >>> SecondMoments.from_bytes(SecondMoments.of([[0.0], [2.0]]).to_bytes()).mean
        array([1.])
        """
        where, fix = "SecondMoments.from_bytes", "pass what to_bytes() returned"
        if data[:4] != _MAGIC or len(data) < _HEADER.size:
            raise DomainError(f"the bytes begin with {data[:4]!r}", where=where, fix=fix)
        _, d, n, n_missing = _HEADER.unpack_from(data)
        n_bytes = _HEADER.size + 8 * (d + d * (d + 1) // 2)
        if d < 1 or len(data) != n_bytes:
            what = f"{len(data)} bytes for {d} columns, not {n_bytes}"
            raise ShapeError(what, where=where, fix=fix)
        numbers = np.frombuffer(data, "<f8", offset=_HEADER.size).astype(np.float64)
        comoment = np.zeros((d, d))
        comoment[np.triu_indices(d)] = numbers[d:]
        comoment = np.triu(comoment) + np.triu(comoment, 1).T
        is_sound = np.isfinite(numbers[d:]).all() and (np.diagonal(comoment) >= 0).all()
        if min(n, n_missing) < 0 or not is_sound or np.isfinite(numbers[:d]).all() != (n > 0):
            what = f"n is {n}, and the moments are of no rows"
            raise DomainError(what, where=where, fix=fix)
        return cls(n, n_missing, numbers[:d], comoment)


def _moments_of(rows: Rows) -> SecondMoments:
    """Moments in two passes: the mean, then co-moments about it."""
    present = rows.present
    if not len(present):
        return replace(SecondMoments.empty(present.shape[1]), n_missing=rows.n_missing)
    # From a row that occurs, so that a large common part does not round the rest.
    base = present[0]
    with np.errstate(over="ignore", invalid="ignore"):
        centred = present - base
        offset = centred.mean(axis=0)
        centred -= offset
        comoment = centred.T @ centred
    return SecondMoments(len(present), rows.n_missing, base + offset, _finite(comoment))


def _finite(comoment: FloatArray) -> FloatArray:
    """Return the co-moments; raise where a square went beyond the largest float."""
    if not np.isfinite(comoment).all():
        column = int(np.isfinite(np.diagonal(comoment)).argmin())
        what = f"the squares of column {column} overflow"
        raise DomainError(what, where="SecondMoments", fix="divide the column by its scale")
    return comoment
