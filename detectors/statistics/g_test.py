"""G-test: the likelihood-ratio form of chi-square."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.gaps import FloatArray, samples_of
from detectors.statistics.histogram import Numbers
from schemas.errors import DomainError


class GTest(NamedTuple):
    """Result of a G-test, with an effect size."""

    statistic: Numbers
    p_value: Numbers
    dof: NDArray[np.int64]
    """Degrees of freedom: number of non-empty categories minus one."""
    effect: Numbers
    """Root of uncorrected statistic / rows; near Cramér's V, and like it free of the rows."""


def g_test(
    reference: ArrayLike,
    current: ArrayLike,
    *,
    correction: bool = True,
    convention: str = "scipy",
) -> GTest:
    """G-test on the table of two rows; prefer it to chi-square where results are added up.

    G of independent tables adds up exactly, and it is twice the rows times a mutual
    information. Chi-square keeps to its level better where categories are rare.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_categories)
        As :func:`detectors.statistics.chi_square.chi_square` takes them.
    correction : bool, default True
        Yates's, as there.
    convention : {"scipy", "evidently"}, default "scipy"
        ``"evidently"`` takes the reference's shares as exact and corrects nothing:
        p-values too small by far, and 0 with one row of an unseen category. evidently
        itself needs as many current as reference rows, and raises otherwise.

    Returns
    -------
    GTest
        Of shape (...). NaN where a side holds nothing; statistic 0 and p 1 where there
        is a single category.

    Raises
    ------
    ShapeError, DomainError
        As :func:`detectors.statistics.histogram.counts_pair`, and if the convention is unknown.

    Notes
    -----
    G = 2 sum over cells of O ln(O / E) against chi-square with K - 1 degrees of
    freedom. Each cell is taken as 2 E [(1 + t) ln(1 + t) - t], t = (O - E) / E, which
    has the same sum and does not cancel when counts are large. Below about five
    expected rows per category the p-value is approximate, and that of G too small.
    O(n_categories); exact from merged panes.

    References
    ----------
    Wilks, The likelihood test of independence in contingency tables, Ann. Math. Stat. 6
    (1935). Sokal and Rohlf, Biometry, 3rd ed. (1995), box 17.1.

    Examples
    --------
    >>> test = g_test([40, 30, 30], [30, 30, 40])
    >>> print(f"{test.statistic:.4f} {test.p_value:.4f} {test.effect:.4f}")
    2.8669 0.2385 0.1197
    """
    from scipy.special import chdtrc

    if convention not in ("scipy", "evidently"):
        what = f"convention is {convention!r}"
        raise DomainError(what, where="g_test", fix="use 'scipy' or 'evidently'")
    s = samples_of(reference, current)
    dof: NDArray[np.int64] = np.maximum((np.nan_to_num(s.pooled) > 0).sum(axis=-1) - 1, 0)
    if convention == "evidently":
        rows = s.n
        total = plain = _deviance(s.q, s.p, rows, np.zeros(dof.shape))
    else:
        rows = s.n0 + s.n
        half = np.where(correction & (dof == 1), 0.5, 0.0)
        total = _deviance(s.p, s.pooled, s.n0, half) + _deviance(s.q, s.pooled, s.n, half)
        plain = _deviance(s.p, s.pooled, s.n0, 0 * half) + _deviance(s.q, s.pooled, s.n, 0 * half)
    is_empty = np.isnan(s.n0 + s.n)
    value = np.where(is_empty, np.nan, np.maximum(total, 0.0))
    p_value = np.where(dof > 0, chdtrc(np.maximum(dof, 1), value), np.where(is_empty, np.nan, 1.0))
    effect = np.sqrt(np.where(is_empty, np.nan, np.maximum(plain, 0.0)) / rows)
    return GTest(value[()], p_value[()], dof, effect[()])


def _deviance(
    observed: FloatArray, expected: FloatArray, rows: FloatArray, half: FloatArray
) -> FloatArray:
    """Twice the sum of O ln(O / E) over one row of the table, from shares."""
    off = observed - expected
    # Yates: observed moves towards expected by half a row, never past it.
    off = np.sign(off) * np.maximum(np.abs(off) - (half / rows)[..., None], 0.0)
    t = np.divide(off, expected, out=np.zeros(off.shape), where=expected > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(t <= -1.0, 1.0, (1 + t) * np.log1p(np.maximum(t, -1.0)) - t)
    terms = np.where((expected <= 0) & (observed > 0), np.inf, terms * expected)
    return np.asarray(2 * rows * terms.sum(axis=-1))
