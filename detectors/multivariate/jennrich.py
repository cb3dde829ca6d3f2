"""Jennrich's test: whether two whole correlation matrices are one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from detectors.multivariate.correlation import check_columns, correlations
from detectors.multivariate.moments import SecondMoments

SMALLEST_EIGENVALUE = 1e-9
"""Of the pooled correlation matrix: below it some column is a sum of others."""


class JennrichTest(NamedTuple):
    """A test of equal correlation matrices; NaN where they cannot be compared."""

    statistic: float
    p_value: float
    dof: int
    """Pairs of columns that vary on both sides."""


def jennrich(reference: SecondMoments, current: SecondMoments) -> JennrichTest:
    """Chi-square test of equal correlation matrices; prefer it for many weak changes.

    It weighs all pairs together, with their dependence;
    :func:`detectors.multivariate.correlation.correlation_change` names a single strong
    one, and needs no inverse.

    Returns
    -------
    JennrichTest
        NaN with fewer than two columns that vary on both sides, or where they are
        linearly dependent: a column that is a sum of others, or hardly more rows than
        columns.

    Raises
    ------
    ShapeError
        If the numbers of columns differ.

    Notes
    -----
    With R the mean of both matrices weighted by rows, c = n0 n / (n0 + n), D = R1 - R2,
    Z = sqrt(c) R^-1 D and S = I + R * R^-1, element by element::

        chi2 = tr(Z Z) / 2 - diag(Z)' S^-1 diag(Z)

    which is D's quadratic form in the inverse of its covariance under normality: chi-square
    with d (d - 1) / 2 degrees of freedom, from about ten rows a pair on. Heavy tails make
    it too large. ``cortest.jennrich`` of R's psych has tr(Z Z') and leaves I out of S: its
    numbers are others. O(d^3); exact from merged moments.

    References
    ----------
    Jennrich, An asymptotic chi-square test for the equality of two correlation matrices,
    JASA 65 (1970), p. 908.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).normal(size=(400, 3))
    >>> before = SecondMoments.of(x[:200])
    >>> print(f"{jennrich(before, SecondMoments.of(x[200:])).p_value:.2f}")
    0.12
    >>> mixed = SecondMoments.of(x[200:] @ [[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> jennrich(before, mixed).p_value < 1e-4
    True
    """
    from scipy.special import chdtrc

    check_columns(reference, current, "jennrich")
    first, second = correlations(reference), correlations(current)
    at = np.flatnonzero(np.isfinite(np.diagonal(first) + np.diagonal(second)))
    dof = len(at) * (len(at) - 1) // 2
    if not dof:
        return JennrichTest(np.nan, np.nan, dof)
    first, second = first[np.ix_(at, at)], second[np.ix_(at, at)]
    n0, n = reference.n, current.n
    pooled = first * (n0 / (n0 + n)) + second * (n / (n0 + n))
    if np.linalg.eigvalsh(pooled)[0] < SMALLEST_EIGENVALUE:
        return JennrichTest(np.nan, np.nan, dof)
    inverse = np.linalg.inv(pooled)
    z = inverse @ (first - second)
    diagonal = np.diagonal(z)
    correction = diagonal @ np.linalg.solve(np.eye(len(at)) + pooled * inverse, diagonal)
    # n0 n as floats: the product of two counts may exceed 64 bits.
    c = n0 / (n0 + n) * n
    statistic = max(float(c * ((z * z.T).sum() / 2 - correction)), 0.0)
    return JennrichTest(statistic, float(chdtrc(dof, statistic)), dof)
