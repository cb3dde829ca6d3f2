"""Bin edges of a numeric variable: distinct reference quantiles."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import BaselineError
from schemas.panes import N_BINS


def quantile_edges(values: ArrayLike, n_bins: int = N_BINS) -> NDArray[np.float64]:
    """Return the edges of at most ``n_bins`` bins that split the reference evenly.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        The reference; what is not finite is left out.
    n_bins : int
        At most 60.

    Returns
    -------
    ndarray of float64, shape (<= n_bins + 1,)
        ``edges[0]`` is the minimum, ``edges[-1]`` the maximum. All are distinct but
        the first two, which are equal where the minimum has a bin of its own.

    Raises
    ------
    BaselineError
        If no value is finite.

    Notes
    -----
    Sorts: O(n log n). With at most ``n_bins`` distinct values each gets its own bin;
    otherwise the edges are linearly interpolated quantiles (Hyndman and Fan's type 7)
    with equal ones dropped, so that every sixth of 60 is a decile.

    References
    ----------
    Hyndman, R. J. and Fan, Y., Sample quantiles in statistical packages, The American
    Statistician, 1996, definition 7.

    Examples
    --------
    >>> quantile_edges([3.0, 1.0, 2.0, 2.0]).tolist()
    [1.0, 1.0, 2.0, 3.0]
    >>> quantile_edges(np.arange(121.0), n_bins=4).tolist()
    [0.0, 30.0, 60.0, 90.0, 120.0]
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    ordered = np.sort(array[np.isfinite(array)])
    if not ordered.size:
        raise BaselineError(
            f"none of {array.size} values is finite",
            where="quantile_edges",
            fix="give a reference with values in it, or drop the feature",
        )
    is_first = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    if int(is_first.sum()) <= n_bins:
        return np.concatenate((ordered[:1], ordered[is_first]))
    with np.errstate(over="ignore"):
        has_range = bool(np.isfinite(ordered[-1] - ordered[0]))
    # interpolating across more than the largest float would give infinities
    method: Literal["linear", "inverted_cdf"] = "linear" if has_range else "inverted_cdf"
    shares = np.linspace(0, 1, n_bins + 1)[1:]
    upper = np.unique(np.quantile(ordered, shares, method=method))
    return np.concatenate((ordered[:1], upper)).astype(np.float64)
