"""PCA reconstruction error: distance of rows from the principal subspace of the reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.multivariate.moments import SecondMoments
from detectors.multivariate.rows import FloatArray, scales_of
from schemas.errors import DomainError, ShapeError

USUAL_SHARE = 0.65
"""Share of the variance that is kept, as in nannyml."""


@dataclass(frozen=True, slots=True, eq=False)
class PrincipalComponents:
    """Principal subspace of the reference; created by :meth:`fit`.

    Prefer it for tens to hundreds of correlated features, of which it watches all
    relations at once; :func:`detectors.multivariate.correlation.correlation_change` names
    the pair and gives a p-value. It is blind to changes along the plane that is kept.

    Parameters
    ----------
    mean, scale : ndarray of float64, shape (n_features,)
        Of the reference; a constant column has scale 1.
    left_out : ndarray of float64, shape (n_features, n_features - n_components)
        Orthonormal directions that the plane leaves out.
    share : float
        Of the reference's standardised variance in the plane.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(500, 1))
    >>> plane = PrincipalComponents.fit(SecondMoments.of(np.hstack([x, 2 * x])))
    >>> together = SecondMoments.of([[1.0, 2.0], [2.0, 4.0]])
    >>> apart = SecondMoments.of([[1.0, 0.0], [0.0, 4.0]])
    >>> print(f"{plane.reconstruction_error(together):.6f}")
    0.000000
    >>> plane.reconstruction_error(apart) > 1
    True
    """

    mean: FloatArray
    scale: FloatArray
    left_out: FloatArray
    share: float

    @property
    def n_components(self) -> int:
        """Number of components kept."""
        return len(self.mean) - int(self.left_out.shape[1])

    @classmethod
    def fit(
        cls,
        reference: SecondMoments,
        *,
        share: float = USUAL_SHARE,
        n_components: int | None = None,
    ) -> PrincipalComponents:
        """Find the plane of a reference from its second moments.

        Parameters
        ----------
        reference : SecondMoments
            Two or more rows and columns; ten rows a column are better.
        share : float, default .65
            In (0, 1): as many components as keep more than this of the variance, but
            never all: without one left out the error is always 0 (nannyml's is then).
        n_components : int, optional
            So many instead, from 1 to n_features - 1.

        Returns
        -------
        PrincipalComponents

        Raises
        ------
        DomainError
            If there are fewer than two rows or columns, no column varies, or an option
            is out of its domain.

        Notes
        -----
        Eigenvectors of the correlation matrix. Where the eigenvalues on either side of
        the cut are equal the plane is not determined. O(d^3), once.

        References
        ----------
        Jolliffe, Principal component analysis, 2nd ed. (2002), sections 2.3 and 6.1.1.
        sklearn 1.9.1, ``PCA`` with a fractional ``n_components``, for the cut.
        """
        where = "PrincipalComponents.fit"
        d = reference.n_features
        if reference.n < 2 or d < 2:
            what = f"{reference.n} rows of {d} columns"
            raise DomainError(what, where=where, fix="pass two or more of both")
        if not 0 < share < 1:
            raise DomainError(f"share is {share}", where=where, fix="pass a number in (0, 1)")
        if n_components is not None and not 1 <= n_components < d:
            what = f"n_components is {n_components}"
            raise DomainError(what, where=where, fix=f"pass 1 to {d - 1}")
        if not reference.sd.any():
            raise DomainError("no column varies", where=where, fix="pass other columns")
        scale = scales_of(reference.sd)
        values, vectors = np.linalg.eigh(_standardised(reference, scale))
        kept = np.cumsum(np.maximum(values[::-1], 0.0))
        kept /= kept[-1]
        if n_components is None:
            n_components = min(int(np.searchsorted(kept, share, side="right")) + 1, d - 1)
        left_out = np.ascontiguousarray(vectors[:, : d - n_components])
        return cls(reference.mean, scale, left_out, float(kept[n_components - 1]))

    def reconstruction_error(self, window: SecondMoments) -> float:
        """Mean squared distance of a window's rows from the subspace, from moments only.

        Returns
        -------
        float
            In squared standard deviations of the reference, >= 0; NaN without rows. About
            n_features (1 - share) on the reference. Judge it by
            :func:`detectors.multivariate.band.band_of_windows` over reference windows,
            nannyml's rule: it drops where rows come closer to the plane than they did.

        Raises
        ------
        ShapeError
            If the number of columns is not the reference's.

        Notes
        -----
        With z = (x - mean) / scale, W the directions left out, S the window's covariance
        (divisor n) and m the mean of z::

            mean of |z - V V' z|^2 = mean of |W' z|^2 = tr(W' S W) + |W' m|^2

        exactly, because the square of a distance is a quadratic form: no raw row is
        needed, and windows merge. nannyml averages the distance itself, which no moments
        give; by Jensen's inequality the root of this one is at least that. O(d^3).

        References
        ----------
        Jackson and Mudholkar, Control procedures for residuals associated with principal
        component analysis, Technometrics 21 (1979): Q. nannyml 0.13.1,
        ``drift/multivariate/data_reconstruction``.

        Examples
        --------
        >>> plane = PrincipalComponents.fit(SecondMoments.of([[0.0, 1.0], [2.0, 3.0], [4.0, 5.1]]))
        >>> plane.reconstruction_error(SecondMoments.empty(2))
        nan
        """
        return float(self.contributions(window).sum())

    def contributions(self, window: SecondMoments) -> FloatArray:
        """Each column's part of the reconstruction error: where to look.

        Returns
        -------
        ndarray of float64, shape (n_features,)
            Mean squares of z - V V' z, column by column; their sum is the error. NaN
            without rows. A column's partners share its error with it.

        Raises
        ------
        ShapeError
            If the number of columns is not the reference's.

        Examples
        --------
        >>> import numpy as np
        >>> x = np.arange(6.0)
        >>> plane = PrincipalComponents.fit(SecondMoments.of(np.c_[x, x, x[[1, 0, 3, 2, 5, 4]]]))
        >>> parts = plane.contributions(SecondMoments.of([[0.0, 5.0, 2.5]]))
        >>> int(parts.argmin())
        2
        """
        if window.n_features != len(self.mean):
            what = f"{window.n_features} columns, not {len(self.mean)}"
            raise ShapeError(what, where="PrincipalComponents", fix="pass the same features")
        if not window.n:
            return np.full(len(self.mean), np.nan)
        with np.errstate(over="ignore", invalid="ignore"):
            # The mean is projected before it is squared: its part in the plane may be huge.
            gap = self.left_out.T @ ((window.mean - self.mean) / self.scale)
            inner = self.left_out.T @ _standardised(window, self.scale) @ self.left_out
            inner += np.outer(gap, gap)
            parts = ((self.left_out @ inner) * self.left_out).sum(axis=1)
        # Where a square overflowed, sums of both signs are no number: it is far away.
        return np.where(np.isnan(parts), np.inf, np.maximum(parts, 0.0))


def _standardised(moments: SecondMoments, scale: FloatArray) -> FloatArray:
    """Covariance, divisor n, in units of ``scale``."""
    return moments.comoment / moments.n / scale / scale[:, None]
