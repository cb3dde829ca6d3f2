"""p-values of many tests, adjusted so that a list of findings can be believed as a whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import DomainError, ShapeError

FloatArray = NDArray[np.float64]


def holm(p_values: ArrayLike) -> FloatArray:
    """Holm's step-down adjustment; prefer it where one false finding is one too many.

    Below .05 it keeps the chance of *any* false rejection at .05, however the tests
    depend on each other. It rejects all that Bonferroni does, and more.

    Parameters
    ----------
    p_values : array_like of float, shape (n,)
        Each in [0, 1]; NaN is a test that was not made and is not counted.

    Returns
    -------
    ndarray of float64, shape (n,)
        Adjusted p-values in the order given; NaN where there was none.

    Raises
    ------
    ShapeError
        If there is not one dimension.
    DomainError
        If a p-value is outside [0, 1].

    Notes
    -----
    Of m tests, sorted: the largest over j <= i of (m - j + 1) p_(j), at most 1.
    O(n log n). Not mergeable: all tests have to be known.

    References
    ----------
    Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6
    (1979), section 2.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p, order = _sorted(p_values)
    m = len(order)
    stepped = np.maximum.accumulate((m - np.arange(m)) * p[order])
    return _put_back(p, order, stepped)


def benjamini_yekutieli(p_values: ArrayLike) -> FloatArray:
    """Benjamini and Yekutieli's adjustment; prefer it to Holm's for long lists of findings.

    Below .05 it keeps the expected *share* of false ones among the findings at .05,
    however the tests depend on each other, as slices that overlap do. With few tests
    Holm's finds more, because this pays ln(m) for any dependence.

    Parameters
    ----------
    p_values : array_like of float, shape (n,)
        As :func:`holm` takes them, and refuses them.

    Returns
    -------
    ndarray of float64, shape (n,)
        Adjusted, in the order given.

    Notes
    -----
    Of m tests, sorted: the smallest over j >= i of p_(j) m / j times
    1 + 1/2 + ... + 1/m, at most 1. O(n log n). Not mergeable.

    References
    ----------
    Benjamini and Yekutieli, The control of the false discovery rate in multiple testing
    under dependency, Ann. Stat. 29 (2001), theorem 1.3.

    Examples
    --------
    >>> benjamini_yekutieli([0.01, 0.04, 0.03]).round(4).tolist()
    [0.055, 0.0733, 0.0733]
    """
    p, order = _sorted(p_values)
    m = len(order)
    rank = np.arange(1, m + 1)
    scaled = p[order] * (m / rank) * (1.0 / rank).sum()
    return _put_back(p, order, np.minimum.accumulate(scaled[::-1])[::-1])


def _sorted(p_values: ArrayLike) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return validated p-values, and the indices of those that exist, in ascending order."""
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1:
        raise ShapeError(f"shape is {p.shape}", where="p_values", fix="pass one dimension")
    wrong = p[(p < 0) | (p > 1)]
    if len(wrong):
        raise DomainError(f"a p-value is {wrong[0]}", where="p_values", fix="pass values in [0, 1]")
    order = np.argsort(p, kind="stable")
    return p, order[: len(p) - int(np.isnan(p).sum())]


def _put_back(p: FloatArray, order: NDArray[np.intp], adjusted: FloatArray) -> FloatArray:
    """Return adjusted values in the order of the p-values, at most 1."""
    out = np.full(p.shape, np.nan)
    out[order] = np.minimum(adjusted, 1.0)
    return out
