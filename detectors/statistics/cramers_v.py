"""Cramér's V: the size of a difference between categories, free of the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from detectors.statistics.gaps import samples_of
from detectors.statistics.histogram import Numbers

USUAL_THRESHOLD = 0.2


def cramers_v(reference: ArrayLike, current: ArrayLike, *, bias_corrected: bool = False) -> Numbers:
    """Cramér's V of the table of two rows; prefer it to a chi-square p-value to judge size.

    A p-value tests for a difference, V measures its size. Against total variation it weighs a
    change of a rare category more, and it depends on how many rows each side has.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_categories)
        Counts, as :func:`detectors.statistics.chi_square.chi_square` takes them.
    bias_corrected : bool, default False
        Subtract what V is without any difference: about sqrt((K - 1) / N).

    Returns
    -------
    float64 or ndarray of float64, shape (...)
        In [0, 1]; NaN where a side holds nothing, 0 with a single category.

    Notes
    -----
    V = sqrt(chi^2 / N), chi-square uncorrected: the smaller side of the table is 2.
    V^2 = a (1 - a) sum over b of (p_b - q_b)^2 / h_b with a the current share of all
    rows and h the pooled shares, so a window of 1 % of the reference's rows has a V of at
    most .1. Compare windows of one size, or use Hellinger.
    O(n_categories); exact from merged panes.

    References
    ----------
    Cramér, Mathematical Methods of Statistics (1946), eq. 21.9.3. Bergsma, A
    bias-correction for Cramér's V and Tschuprow's T, J. Korean Stat. Soc. 42 (2013).

    Examples
    --------
    >>> print(f"{cramers_v([40, 30, 30], [30, 30, 40]):.4f}")
    0.1195
    >>> print(f"{cramers_v([40, 30, 30], [30, 30, 40], bias_corrected=True):.4f}")
    0.0652
    """
    s = samples_of(reference, current)
    total = s.n0 + s.n
    square = (s.p - s.q) ** 2
    scaled = np.divide(square, s.pooled, out=np.zeros(square.shape), where=~(s.pooled <= 0))
    phi2 = scaled.sum(axis=-1) * (s.n0 / total) * (s.n / total)
    if bias_corrected:
        k = (np.nan_to_num(s.pooled) > 0).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            less = np.maximum(phi2 - (k - 1) / (total - 1), 0.0)
            sides = np.minimum(k - (k - 1) ** 2 / (total - 1), 2 - 1 / (total - 1))
            phi2 = np.where((less == 0) & ~np.isnan(phi2), 0.0, less / (sides - 1))
    return np.sqrt(np.minimum(phi2, 1.0))[()]  # type: ignore[no-any-return]
