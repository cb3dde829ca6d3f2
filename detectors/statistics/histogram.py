"""Histograms that statistics compare: checked counts, and bins drawn from raw samples.

Panes arrive as counters already. The functions that bin raw samples are there to
agree with the peers on their own bins, digit by digit, and for notebooks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import DomainError, ShapeError

Numbers = np.float64 | NDArray[np.float64]
"""One number per histogram: a scalar for one, an array for a stack of them."""

SUM_TOLERANCE = 1e-6
"""How far proportions may be from summing to 1."""


class Histograms(NamedTuple):
    """Counts of two samples over the same bins."""

    reference: NDArray[np.int64]
    """Shape (n_bins,)."""
    current: NDArray[np.int64]
    """Shape (n_bins,)."""
    edges: NDArray[np.float64]
    """Shape (n_bins + 1,) of bins; (n_bins,) of atoms, the values themselves."""


def counts_of(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Check that ``values`` are counts, and return them as an array.

    Parameters
    ----------
    values : array_like of int, shape (..., n_bins)
        Events per bin.
    name : str
        What to call them in an error.

    Returns
    -------
    ndarray of int64, shape (..., n_bins)
        The same counts, not copied where they are int64 already.

    Raises
    ------
    ShapeError
        If they are not integers, or have no bins.
    DomainError
        If a count is negative.

    Examples
    --------
    >>> counts_of([3, 0, 1], "current")
    array([3, 0, 1])
    >>> counts_of([3, -1], "current")
    Traceback (most recent call last):
    driftline.errors.DomainError: current: a count is -1 (pass counts >= 0)
    """
    array = _array(values, name)
    if array.dtype.kind not in "iu":
        raise ShapeError(f"dtype is {array.dtype}", where=name, fix="pass integer counts")
    if (array < 0).any():
        raise DomainError(f"a count is {array.min()}", where=name, fix="pass counts >= 0")
    return array.astype(np.int64, copy=False)


def proportions_of(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Turn counts into proportions; check proportions and return them.

    Parameters
    ----------
    values : array_like, shape (..., n_bins)
        Integers are counts; floats are proportions and must sum to 1.
    name : str
        What to call them in an error.

    Returns
    -------
    ndarray of float64, shape (..., n_bins)
        Proportions; NaN in every bin of a histogram that holds nothing.

    Raises
    ------
    ShapeError
        If they are neither integers nor floats, or have no bins.
    DomainError
        If one is negative or not finite, or floats do not sum to 1.

    Notes
    -----
    Whole numbers as floats are refused because they are ambiguous: 1.0 may be one event or
    a share of 100 %.

    Examples
    --------
    >>> proportions_of([3, 1], "current")
    array([0.75, 0.25])
    >>> proportions_of([0.7, 0.2], "reference")
    Traceback (most recent call last):
    driftline.errors.DomainError: reference: proportions sum to 0.9 (divide by the sum, or pass \
integer counts)
    """
    array = _array(values, name)
    if array.dtype.kind in "iu":
        counts = counts_of(array, name)
        total = counts.sum(axis=-1, keepdims=True)
        empty = np.full(counts.shape, np.nan)
        np.divide(counts, total, out=empty, where=total > 0)
        return empty
    if array.dtype.kind != "f":
        raise ShapeError(f"dtype is {array.dtype}", where=name, fix="pass counts or proportions")
    return _checked_proportions(array.astype(np.float64, copy=False), name)


def counts_pair(
    reference: ArrayLike, current: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the counts of two histograms over the same bins.

    Parameters
    ----------
    reference, current : array_like of int, shape (..., n_bins)
        Counts: a test needs the numbers of rows.

    Returns
    -------
    tuple of two ndarrays of int64, shape (..., n_bins)
        Broadcast against each other by the caller's arithmetic.

    Raises
    ------
    ShapeError
        If the numbers of bins differ, or counts are not integers.
    DomainError
        If a count is negative.

    Examples
    --------
    >>> p, q = counts_pair([1, 3], [2, 2])
    >>> p + q
    array([3, 5])
    """
    p, q = counts_of(reference, "reference"), counts_of(current, "current")
    check_pair(p, q)
    return p, q


def paired(
    reference: ArrayLike, current: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the proportions of two histograms over the same bins.

    Parameters
    ----------
    reference, current : array_like, shape (..., n_bins)
        Counts (integers) or proportions (floats that sum to 1).

    Returns
    -------
    tuple of two ndarrays of float64, shape (..., n_bins)
        NaN in every bin of a side that holds nothing.

    Raises
    ------
    ShapeError
        If the numbers of bins differ, or the input is neither counts nor floats.
    DomainError
        If a count is negative, or proportions do not sum to 1.

    Examples
    --------
    >>> p, q = paired([1, 3], [0.5, 0.5])
    >>> p
    array([0.25, 0.75])
    """
    p, q = proportions_of(reference, "reference"), proportions_of(current, "current")
    check_pair(p, q)
    return p, q


def check_pair(reference: NDArray[Any], current: NDArray[Any]) -> None:
    """Raise ShapeError unless both have the same bins and stacks that broadcast."""
    p, q = reference.shape, current.shape
    fits = p[-1] == q[-1] and all(
        a == b or 1 in (a, b) for a, b in zip(p[-2::-1], q[-2::-1], strict=False)
    )
    if not fits:
        raise ShapeError(
            f"reference has shape {p}, current {q}", where="histogram", fix="use the same bins"
        )


def ascending(values: ArrayLike, counts: NDArray[Any], where: str) -> NDArray[np.float64]:
    """Return ascending points that fit the last axis of ``counts``.

    Parameters
    ----------
    values : array_like of float, shape (n,) or (..., n)
        Points to check.
    counts : ndarray of shape (..., n)
        What is counted at the points.
    where : str
        What to call the caller in an error.

    Returns
    -------
    ndarray of float64

    Raises
    ------
    ShapeError
        If there are not as many points as counts.
    DomainError
        If a point is not finite, or smaller than the one before.

    Examples
    --------
    >>> ascending([1, 2, 2], np.zeros(3), "energy")
    array([1., 2., 2.])
    """
    points = np.asarray(values, np.float64)
    if points.ndim == 0 or points.shape[-1] != counts.shape[-1]:
        raise ShapeError(f"values have shape {points.shape}, counts {counts.shape}", where=where)
    if not np.isfinite(points).all() or (np.diff(points, axis=-1) < 0).any():
        raise DomainError("values are not finite and ascending", where=where, fix="sort")
    return points


def atoms(reference: ArrayLike, current: ArrayLike) -> Histograms:
    """Count two raw samples at each distinct value: no binning, nothing lost.

    Parameters
    ----------
    reference, current : array_like of float, shape (n,)
        Raw samples; NaN is dropped.

    Returns
    -------
    Histograms
        ``edges`` holds the distinct values, ascending.

    Raises
    ------
    ShapeError, DomainError
        If a sample is not one-dimensional, or has no finite value.

    Examples
    --------
    >>> atoms([1.0, 2.0, 2.0], [2.0, 3.0]).reference
    array([1, 2, 0])
    """
    x, y = sample_of(reference, "reference"), sample_of(current, "current")
    values, codes = np.unique(np.concatenate([x, y]), return_inverse=True)
    split = np.split(codes, [len(x)])
    counts = [np.bincount(part, minlength=len(values)).astype(np.int64) for part in split]
    return Histograms(counts[0], counts[1], values)


def sturges(reference: ArrayLike, current: ArrayLike, *, distinct: bool = False) -> Histograms:
    """Bin two raw samples as evidently does: Sturges edges over both together.

    Parameters
    ----------
    reference, current : array_like of float, shape (n,)
        Raw samples; NaN is dropped.
    distinct : bool, default False
        Draw the edges from the distinct values, as evidently's Hellinger does.

    Returns
    -------
    Histograms
        Atoms instead, with values for edges, where the reference has at most 20
        distinct values (not with ``distinct``).

    Notes
    -----
    The edges move with the current sample, so these histograms do not merge;
    panes use reference quantiles for that reason.

    References
    ----------
    Sturges, The choice of a class interval, JASA 21 (1926). evidently 0.7.23,
    ``calculations/stattests/utils.py``.

    Examples
    --------
    >>> import numpy as np
    >>> sturges(np.arange(32.0), np.arange(16.0)).reference
    array([5, 4, 5, 4, 5, 4, 5])
    """
    x, y = sample_of(reference, "reference"), sample_of(current, "current")
    if not distinct and len(np.unique(x)) <= 20:
        return atoms(x, y)
    pooled = np.concatenate([x, y])
    edges = np.histogram_bin_edges(np.unique(pooled) if distinct else pooled, bins="sturges")
    return _binned(x, y, edges)


def doane(reference: ArrayLike, current: ArrayLike) -> Histograms:
    """Bin two raw samples as nannyml does: Doane edges of the reference, and one bin beyond.

    Parameters
    ----------
    reference, current : array_like of float, shape (n,)
        As for :func:`atoms`.

    Returns
    -------
    Histograms
        The last count holds whatever lies outside the edges (none of the reference).

    References
    ----------
    Doane, Aesthetic frequency classifications, The American Statistician 30 (1976).
    nannyml 0.13.1, ``drift/univariate/methods.py``.

    Examples
    --------
    >>> import numpy as np
    >>> doane(np.arange(16.0), np.array([3.0, 99.0])).current
    array([0, 1, 0, 0, 0, 1])
    """
    x, y = sample_of(reference, "reference"), sample_of(current, "current")
    p, q, edges = _binned(x, y, np.histogram_bin_edges(x, bins="doane"))
    outside = len(x) - p.sum(), len(y) - q.sum()
    return Histograms(np.append(p, outside[0]), np.append(q, outside[1]), edges)


def reference_quantiles(
    reference: ArrayLike, current: ArrayLike, *, n_bins: int = 10
) -> Histograms:
    """Bin two raw samples by quantiles of the reference, open at both ends.

    Parameters
    ----------
    reference, current : array_like of float, shape (n,)
        Raw samples; NaN is dropped.
    n_bins : int, default 10
        Deciles; fewer come back where quantiles coincide.

    Returns
    -------
    Histograms
        The outer edges are infinite, so every value is counted.

    Raises
    ------
    DomainError
        If ``n_bins`` is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> reference_quantiles(np.arange(100.0), np.arange(50.0), n_bins=4).current
    array([25, 25,  0,  0])
    """
    if n_bins < 1:
        raise DomainError(f"n_bins is {n_bins}", where="reference_quantiles", fix="pass 1 or more")
    x, y = sample_of(reference, "reference"), sample_of(current, "current")
    inner = np.unique(np.quantile(x, np.arange(1, n_bins) / n_bins))
    return _binned(x, y, np.concatenate([[-np.inf], inner, [np.inf]]))


def sample_of(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return a raw sample as floats without NaN; raise where nothing usable is left."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ShapeError(f"shape is {array.shape}", where=name, fix="pass one dimension")
    if array.dtype.kind not in "biuf":
        raise ShapeError(f"dtype is {array.dtype}", where=name, fix="pass numbers")
    floats = array.astype(np.float64)
    kept = floats[~np.isnan(floats)]
    if not len(kept) or np.isinf(kept).any():
        what = f"{len(kept)} of {len(floats)} values are present, {np.isinf(kept).sum()} infinite"
        raise DomainError(what, where=name, fix="pass at least one value, all finite")
    return kept


def _binned(
    x: NDArray[np.float64], y: NDArray[np.float64], edges: NDArray[np.float64]
) -> Histograms:
    """Count both samples in half-open bins, the last one closed."""
    counts = [np.histogram(sample, edges)[0].astype(np.int64) for sample in (x, y)]
    return Histograms(counts[0], counts[1], edges)


def _array(values: ArrayLike, name: str) -> NDArray[Any]:
    """Return an array that has at least one bin."""
    array = np.asarray(values)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ShapeError(f"shape is {array.shape}", where=name, fix="pass at least one bin")
    return array


def _checked_proportions(array: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Return proportions unchanged if each histogram sums to 1 or is all NaN (empty)."""
    total = array.sum(axis=-1)
    wrong = array[~np.isfinite(array) & ~np.isnan(array).all(axis=-1, keepdims=True)]
    if wrong.size or (array < 0).any():
        value = wrong[0] if wrong.size else array[array < 0][0]
        raise DomainError(f"a proportion is {value}", where=name, fix="pass values in [0, 1]")
    off = np.abs(total - 1.0) > SUM_TOLERANCE
    if off.any():
        fix = "divide by the sum, or pass integer counts"
        raise DomainError(f"proportions sum to {total[off].flat[0]:.6g}", where=name, fix=fix)
    return array
