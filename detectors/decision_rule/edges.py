"""Bin edges of a numeric variable: distinct reference quantiles."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import BaselineError
from schemas.panes import N_BINS

MARGIN = 2.0**-23
"""Relative distance between an edge and a value: twice the rounding of float32."""


def quantile_edges(values: ArrayLike, n_bins: int = N_BINS) -> NDArray[np.float64]:
    """Return the edges of at most ``n_bins`` bins that split the reference evenly.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        The reference; non-finite values are ignored.
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


def between_values(edges: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    """Move edges off the reference's values, to where rounding cannot cross them.

    A copy of the reference in float32 differs by up to 2**-24 of each value. On an edge that
    is one of the values, half of its rows would change their bin.

    Parameters
    ----------
    edges : array_like of float, shape (n_bins + 1,)
        From :func:`quantile_edges`.
    values : array_like of float, shape (n,)
        The reference; non-finite values are ignored.

    Returns
    -------
    ndarray of float64, shape (<= n_bins + 1,)
        Each edge at least ``MARGIN`` from the values beside it, or in their middle where they
        are closer; the first below the minimum, the last above the maximum. Every value is
        in the bin that it was in. Values that float32 holds exactly, such as whole numbers
        below 2**24, need no margin: edges on them stay.

    Examples
    --------
    >>> moved = between_values([0.1, 0.1, 0.3], [0.1, 0.3])
    >>> bool(moved[0] < np.float32(0.1) < moved[1] < np.float32(0.3) < moved[2])
    True
    >>> between_values([0.0, 0.0, 1.0], [0.0, 1.0]).tolist()
    [0.0, 0.0, 1.0]
    """
    given = np.asarray(edges, dtype=np.float64)
    array = np.asarray(values, dtype=np.float64).ravel()
    distinct = np.unique(array[np.isfinite(array)])
    largest = np.finfo(np.float64).max
    place = np.searchsorted(distinct, given[1:], side="right")
    lower = distinct[place - 1]
    upper = np.append(distinct, largest)[place]
    # beyond the extremes no farther than half the way to the next value within
    outer = np.diff(distinct[[0, 1, -2, -1]])[::2] / 2 if len(distinct) > 1 else [np.inf, np.inf]
    with np.errstate(over="ignore"):
        margin = _margins(lower)
        margin = np.where(upper == largest, np.minimum(margin, outer[1]), margin)
        lowest = np.minimum(lower + margin, largest)
        highest = upper - _margins(upper)
        middle = lower / 2 + upper / 2
        first = max(given[0] - min(_margins(given[:1])[0], outer[0]), -largest)
    has_room = (lowest <= highest) | (upper == largest)
    moved = np.where(has_room, np.maximum(given[1:], lowest), middle)
    moved = np.where(has_room & (upper < largest), np.minimum(moved, highest), moved)
    # the sum of two halves may round below a value whose neighbour is the next float
    moved = np.where((moved < lower) | (moved >= upper), np.minimum(lower, largest), moved)
    return np.concatenate(([first], np.unique(moved)))


def _margins(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the minimum distance of an edge from each value."""
    with np.errstate(over="ignore"):
        copy = values.astype(np.float32).astype(np.float64)
    is_rounded = np.isfinite(copy) & (copy != values)
    return np.where(is_rounded, np.abs(values) * MARGIN, 0.0)


def has_own_minimum(edges: ArrayLike) -> bool:
    """Return whether the first bin has only the minimum.

    Its edges are equal in baselines from before :func:`between_values`, which moves them apart
    by twice ``MARGIN``.

    Examples
    --------
    >>> has_own_minimum([0.1, 0.1, 0.3]), has_own_minimum(between_values([0.1, 0.1], [0.1]))
    (True, True)
    >>> has_own_minimum([0.0, 1.0, 2.0])
    False
    """
    given = np.asarray(edges, dtype=np.float64)
    width = given[1] - given[0]
    is_narrow = bool(width <= 4 * MARGIN * np.abs(given[:2]).max())
    # large numbers such as 1.7e9 may have ordinary bins that are as narrow
    return is_narrow and (len(given) == 2 or bool(width <= (given[2] - given[1]) / 2))


def is_constant(edges: ArrayLike) -> bool:
    """Return whether the reference has a single value.

    Examples
    --------
    >>> is_constant(between_values([7.0, 7.0], [7.0])), is_constant([0.0, 1.0])
    (True, False)
    """
    return len(np.asarray(edges)) == 2 and has_own_minimum(edges)
