"""Two distances on 10,000 bins of equal width, as nannyml takes them from 10,000 rows on."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.statistics.histogram import sample_of

N_WIDE_BINS = 10_000
"""And the number of reference rows from which nannyml uses them."""


def ks_equal_width(reference: ArrayLike, current: ArrayLike, *, n_bins: int = N_WIDE_BINS) -> float:
    """Kolmogorov-Smirnov statistic at the edges of equal bins over the reference's range.

    Only to agree with nannyml; prefer :func:`detectors.statistics.ks.ks` of atoms, which is exact,
    or of reference quantiles: one wild reference value widens every bin here.

    Parameters
    ----------
    reference, current : array_like of float, shape (n,)
        Raw samples; NaN is dropped.
    n_bins : int, default 10,000
        Bins over the reference's range.

    Returns
    -------
    float
        At most the statistic of the raw samples.

    Raises
    ------
    ShapeError, DomainError
        If a sample is not one-dimensional, or has no finite value.

    References
    ----------
    nannyml 0.13.1, ``drift/univariate/methods.py``.

    Examples
    --------
    >>> print(ks_equal_width([0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 9.0], n_bins=3))
    0.5
    """
    x, y = sample_of(reference, "reference"), sample_of(current, "current")
    edges = np.linspace(x.min(), x.max(), n_bins + 1)
    gap = _upto(x, edges) - _upto(y, edges) - (y < edges[0]).mean()
    return float(np.abs(gap).max())


def wasserstein_equal_width(
    reference: ArrayLike, current: ArrayLike, *, n_bins: int = N_WIDE_BINS
) -> float:
    """Wasserstein-1 distance by equal bins over the reference's range, as nannyml has it.

    Only to agree with nannyml; prefer :func:`detectors.statistics.wasserstein.wasserstein` of
    atoms, or :func:`detectors.statistics.wasserstein.wasserstein_binned`, which has bounds.

    Parameters
    ----------
    reference, current, n_bins
        As :func:`ks_equal_width` takes them.

    Returns
    -------
    float
        In the variable's unit.

    Raises
    ------
    ShapeError, DomainError
        As :func:`ks_equal_width`.

    Notes
    -----
    Rows beyond the range count with their full distance. If any row is below the range,
    nannyml counts one row too many as below, so the result is too large or too small by up to
    the range divided by the number of rows. This function reproduces that.

    References
    ----------
    nannyml 0.13.1, ``drift/univariate/methods.py``.

    Examples
    --------
    >>> print(f"{wasserstein_equal_width([0.0, 1.0, 2.0], [1.0, 2.0, 3.0], n_bins=2):.4f}")
    1.0000
    """
    x, y = sample_of(reference, "reference"), sample_of(current, "current")
    edges = np.histogram_bin_edges(x, bins=n_bins)
    below, above = y[y < edges[0]], y[y > edges[-1]]
    tails = (edges[0] - below).sum() + (above - edges[-1]).sum()
    extra = (len(below) + 1) / len(y) if len(below) else 0.0
    gap = _upto(x, edges) - (_upto(y, edges) + extra)
    return float(np.abs(gap).sum() * (edges[1] - edges[0]) + tails / len(y))


def _upto(sample: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the rows from the first edge up to the end of each bin."""
    upto: NDArray[np.float64] = np.cumsum(np.histogram(sample, edges)[0] / len(sample))
    return upto
