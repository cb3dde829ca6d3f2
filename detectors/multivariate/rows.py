"""Raw rows of several variables: complete rows, and the number of incomplete ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from schemas.errors import DomainError, ShapeError

FloatArray = NDArray[np.float64]


class Rows(NamedTuple):
    """Rows that can be computed with, and how many could not."""

    present: FloatArray
    """Shape (n, n_features); the caller's array if no conversion was needed."""
    n_missing: int
    """Rows left out because a value was NaN."""


def rows_of(values: ArrayLike, name: str, n_features: int | None = None) -> Rows:
    """Check raw rows, leave out those with a missing value, and count them.

    Parameters
    ----------
    values : array_like of float, int or bool, shape (n, n_features)
        Only read. float64 is not copied unless a row is left out.
    name : str
        Name for errors.
    n_features : int, optional
        Columns that there must be.

    Returns
    -------
    Rows

    Raises
    ------
    ShapeError
        If there are not two dimensions, no columns or another number of them, or if
        they hold no numbers.
    DomainError
        If a value is infinite.

    Notes
    -----
    Whole rows: a covariance of pairs that are present need not be one of any rows, with
    eigenvalues below 0. Many missing rows are themselves a drift, which the count shows.

    Examples
    --------
    >>> rows_of([[1.0, 2.0], [3.0, float("nan")]], "current")
    Rows(present=array([[1., 2.]]), n_missing=1)
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ShapeError(f"shape is {array.shape}", where=name, fix="pass (n, n_features)")
    if array.dtype.kind not in "biuf":
        raise ShapeError(f"dtype is {array.dtype}", where=name, fix="pass numbers")
    if n_features is not None and array.shape[1] != n_features:
        raise ShapeError(f"{array.shape[1]} columns, not {n_features}", where=name)
    floats = array.astype(np.float64, copy=False)
    is_missing = np.isnan(floats).any(axis=1)
    present = floats[~is_missing] if is_missing.any() else floats
    is_infinite = np.isinf(present)
    if is_infinite.any():
        row, column = (int(at[0]) for at in np.nonzero(is_infinite))
        what = f"{present[row, column]} in column {column}"
        raise DomainError(what, where=name, fix="leave infinite values out, or pass NaN")
    return Rows(present, int(is_missing.sum()))


def scales_of(sd: FloatArray) -> FloatArray:
    """Divisors that give every column spread 1; 1 for a column that does not vary.

    Parameters
    ----------
    sd : ndarray of float64, shape (n_features,)
        Standard deviations of the reference.

    Returns
    -------
    ndarray of float64, shape (n_features,)

    Notes
    -----
    A constant column keeps its unit, as in sklearn's ``StandardScaler`` and so in
    nannyml: there is no better one, and its first other value is then seen.

    Examples
    --------
    >>> scales_of(np.array([2.0, 0.0]))
    array([2., 1.])
    """
    return np.where(sd > 0, sd, 1.0)
