"""Chi-square: whether two sets of category counts can have one origin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.cramers_v import cramers_v
from detectors.statistics.histogram import Numbers, counts_pair


class ChiSquare(NamedTuple):
    """Result of a chi-square test, with an effect size."""

    statistic: Numbers
    p_value: Numbers
    dof: NDArray[np.int64]
    """Degrees of freedom: number of non-empty categories minus one."""
    cramers_v: Numbers
    """In [0, 1], uncorrected; unlike the statistic it does not grow with the rows."""


def chi_square(reference: ArrayLike, current: ArrayLike, *, correction: bool = True) -> ChiSquare:
    """Chi-square test on the table of two rows: both sides are samples.

    Prefer it to :func:`chi_square_exact_reference` always but to agree with
    evidently; prefer an effect (Cramér's V, L-infinity) to judge, because with
    enough rows any difference is significant.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_categories)
        Counts. Categories neither side holds are left out.
    correction : bool, default True
        Yates's, with one degree of freedom only, as scipy has it.

    Returns
    -------
    ChiSquare
        Of shape (...). NaN where a side holds nothing; statistic 0 and p 1 where
        there is a single category.

    Raises
    ------
    ShapeError, DomainError
        As :func:`detectors.statistics.histogram.counts_pair`.

    Notes
    -----
    Sum over cells of (observed - expected)^2 / expected against chi-square with
    K - 1 degrees of freedom. Below about five expected rows per category the p-value is
    approximate; it is reported nevertheless, because the decision rule does not use it.
    O(n_categories); exact from merged panes. nannyml and Alibi Detect use this form.

    References
    ----------
    Pearson, On the criterion..., Phil. Mag. 50 (1900). Yates, Contingency tables
    involving small numbers, J. R. Stat. Soc. Suppl. 1 (1934). Cramér, Mathematical
    Methods of Statistics (1946), section 21.9, eq. 21.9.3 for V.

    Examples
    --------
    >>> test = chi_square([40, 30, 30], [30, 30, 40])
    >>> print(f"{test.statistic:.4f} {test.p_value:.4f} {test.cramers_v:.4f}")
    2.8571 0.2397 0.1195
    """
    p, q, n0, n = _counts(reference, current)
    pooled = (p + q) / (n0 + n)
    dof = _dof(p, q)
    half = np.where(correction & (dof == 1), 0.5, 0.0)[..., None]
    total = np.zeros(dof.shape)
    for observed, rows in ((p, n0), (q, n)):
        expected = pooled * rows
        off = np.maximum(np.abs(observed - expected) - half, 0.0)
        total = total + np.divide(
            off * off, expected, out=np.zeros(off.shape), where=expected > 0
        ).sum(-1)
    test = _result(total, dof, n0[..., 0], n[..., 0], n0[..., 0] + n[..., 0])
    # The effect is that without Yates's half row, or it would grow with the rows.
    return test._replace(cramers_v=cramers_v(reference, current))


def chi_square_exact_reference(reference: ArrayLike, current: ArrayLike) -> ChiSquare:
    """Chi-square goodness of fit to the reference's shares, taken as exact.

    Only to agree with evidently: it ignores that the reference is a sample too, so
    its p-values are too small by far unless the reference is many times larger, and
    one row of an unseen category makes p zero.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_categories)
        Counts. Categories neither side holds are left out.

    Returns
    -------
    ChiSquare
        Of shape (...); statistic infinite and p 0 with an unseen category.
        ``cramers_v`` is the root of statistic / (n (K - 1)), at most 1.

    Raises
    ------
    ShapeError, DomainError
        As :func:`chi_square`.

    References
    ----------
    Pearson (1900). evidently 0.7.23, ``calculations/stattests/chisquare_stattest.py``.

    Examples
    --------
    >>> test = chi_square_exact_reference([40, 30, 30], [30, 30, 40])
    >>> print(f"{test.statistic:.4f} {test.p_value:.4f}")
    5.8333 0.0541
    >>> print(chi_square_exact_reference([40, 60, 0], [40, 59, 1]).p_value)
    0.0
    """
    p, q, n0, n = _counts(reference, current)
    expected = p * n / n0
    off = (q - expected) ** 2
    terms = np.divide(off, expected, out=np.where(q > 0, np.inf, 0.0), where=expected > 0)
    dof = _dof(p, q)
    return _result(terms.sum(axis=-1), dof, n0[..., 0], n[..., 0], n[..., 0] * np.maximum(dof, 1))


def chi_square_critical(dof: ArrayLike, *, significance: float = 0.05) -> Numbers:
    """Statistic above which the p-value is below ``significance``; NaN without freedom.

    Parameters
    ----------
    dof : array_like of int
        Degrees of freedom; NaN results where they are below 1.
    significance : float, default .05
        In (0, 1).

    Returns
    -------
    float64 or ndarray of float64

    Examples
    --------
    >>> print(f"{chi_square_critical(3):.4f}")
    7.8147
    """
    from scipy.special import chdtri

    freedom = np.asarray(dof, np.float64)
    return chdtri(np.where(freedom > 0, freedom, np.nan), significance)  # type: ignore[no-any-return]


def _counts(
    reference: ArrayLike, current: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return both counts as floats, and their totals (NaN where empty) with a last axis."""
    p, q = counts_pair(reference, current)
    totals = [c.sum(axis=-1, keepdims=True).astype(np.float64) for c in (p, q)]
    n0, n = (np.where(total > 0, total, np.nan) for total in totals)
    return p.astype(np.float64), q.astype(np.float64), n0, n


def _dof(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of non-empty categories minus one."""
    n_held: NDArray[np.int64] = ((p + q) > 0).sum(axis=-1)
    return np.maximum(n_held - 1, 0)


def _result(
    statistic: Numbers,
    dof: NDArray[np.int64],
    n0: NDArray[np.float64],
    n: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> ChiSquare:
    """Add the p-value and the effect; NaN where a side is empty."""
    from scipy.special import chdtrc

    is_empty = np.isnan(n0) | np.isnan(n)
    value = np.where(is_empty, np.nan, statistic)
    p_value = np.where(dof > 0, chdtrc(np.maximum(dof, 1), value), np.where(is_empty, np.nan, 1.0))
    effect = np.minimum(np.sqrt(value / scale), 1.0)
    return ChiSquare(value[()], p_value[()], dof, effect[()])
