"""Welch's t: whether two means differ, each with its own spread."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from detectors.statistics.histogram import Numbers
from detectors.statistics.shift import Moments
from schemas.errors import DomainError

Convention = Literal["scipy", "evidently"]


class WelchT(NamedTuple):
    """Result of a t-test, with an effect size."""

    statistic: Numbers
    """t; positive where the current mean is the larger one."""
    p_value: Numbers
    """Two-sided."""
    dof: Numbers
    """Degrees of freedom; not whole."""
    effect: Numbers
    """Difference of the means in standard deviations of the reference (divisor n)."""


def welch_t(reference: Moments, current: Moments, *, convention: Convention = "scipy") -> WelchT:
    """Welch's t-test; prefer it where the mean itself is the question, as for a score.

    It has a direction and a size. A single outlier changes it: prefer Mann-Whitney
    for heavy tails. :func:`detectors.statistics.shift.shift` has the normal limit of it.

    Parameters
    ----------
    reference, current : Moments
        Of :func:`detectors.statistics.shift.moments_of` (sums of panes),
        :func:`detectors.statistics.shift.moments_of_points` or
        :func:`detectors.statistics.shift.moments_of_sample`.
    convention : {"scipy", "evidently"}, default "scipy"
        ``"scipy"`` is Welch's (``equal_var=False``); ``"evidently"`` is Student's, which
        pools both variances: with a smaller sample of larger spread its p-value is far
        too small.

    Returns
    -------
    WelchT
        NaN with fewer than two rows on a side; infinite t and p 0 where neither side
        varies and they differ, t 0 and p 1 where they agree.

    Raises
    ------
    DomainError
        If the convention has another name.

    Notes
    -----
    t = (m - m0) / sqrt(s0^2 / n0 + s^2 / n), dof by Satterthwaite's formula. Exact from
    merged panes but for the digits that sums of squares lose. O(1).

    References
    ----------
    Welch, The generalization of Student's problem when several different population
    variances are involved, Biometrika 34 (1947). Satterthwaite, An approximate
    distribution of estimates of variance components, Biometrics 2 (1946).

    Examples
    --------
    >>> from detectors.statistics.shift import moments_of_sample
    >>> before, now = moments_of_sample([1.0, 2.0, 3.0, 4.0]), moments_of_sample([3.0, 4.0, 8.0])
    >>> test = welch_t(before, now)
    >>> print(f"{test.statistic:.4f} {test.p_value:.4f} {test.dof:.4f}")
    1.5076 0.2378 2.7202
    """
    from scipy.special import stdtr

    if convention not in ("scipy", "evidently"):
        what = f"convention is {convention!r}"
        raise DomainError(what, where="welch_t", fix="use 'scipy' or 'evidently'")
    n0, n = (np.where(m.n >= 2, m.n, np.nan).astype(np.float64) for m in (reference, current))
    difference = current.mean - reference.mean
    # Moments divide by n.
    squares = n0 * reference.sd**2, n * current.sd**2
    if convention == "scipy":
        parts = squares[0] / (n0 - 1) / n0, squares[1] / (n - 1) / n
        error = np.sqrt(parts[0] + parts[1])
        shares = [
            np.divide(p, error**2, out=np.full(error.shape, 0.5), where=error > 0) for p in parts
        ]
        dof = 1 / (shares[0] ** 2 / (n0 - 1) + shares[1] ** 2 / (n - 1))
    else:
        dof = n0 + n - 2
        error = np.sqrt((squares[0] + squares[1]) / dof * (1 / n0 + 1 / n))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where((difference == 0) & ~np.isnan(error), 0.0, difference / error)
        effect = np.where(difference == 0, 0.0, difference / reference.sd)
    p_value = 2 * stdtr(dof, -np.abs(t))
    return WelchT(t[()], p_value[()], np.asarray(dof)[()], effect[()])
