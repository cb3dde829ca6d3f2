"""Products of the locations of two features, summed as integers, to detect changed correlations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.components import BLOCK_ROWS, NO_COUNTER, add_products
from detectors.multiscale.components import NO_COMPONENT, PRODUCT_UNIT, CellComponents
from schemas.errors import ShapeError
from schemas.panes import N_COUNTERS


def counter_values(cells: Sequence[CellComponents]) -> NDArray[np.float64]:
    """Return the value of every counter under the first polynomial of numeric cells.

    Parameters
    ----------
    cells : sequence of CellComponents
        F cells.

    Returns
    -------
    ndarray of float64, shape (F, 64)
        0 for missing values and for bins that are not in use.

    Raises
    ------
    ShapeError
        If a cell has no polynomial.

    Examples
    --------
    >>> from detectors.multiscale.components import numeric_components
    >>> counts = np.zeros(64, np.int64)
    >>> counts[:2] = 10
    >>> x = numeric_components(np.array([0.0, 1.0, 2.0]), counts)
    >>> counter_values([x])[0, [0, 1, 60, 61, 62]].tolist()
    [-1.0, 1.0, -1.0, 1.0, 0.0]
    """
    values = np.zeros((len(cells), N_COUNTERS))
    for own, cell in zip(values, cells, strict=True):
        if cell.location == NO_COMPONENT:
            raise ShapeError("no location", where="products", fix="leave constant features out")
        for g in range(cell.n_groups):
            own[cell.first[g] : cell.stop[g]] = cell.polynomials[0, g]
            if cell.extra[g] != NO_COUNTER:
                own[cell.extra[g]] = cell.polynomials[0, g]
    return values


def product_sums(bins: NDArray[np.uint8], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sum g1(a) g1(b) over rows, for every two of F features.

    Parameters
    ----------
    bins : ndarray of uint8, shape (F, n)
        Counter of each row, 0 to 63, feature by feature.
    values : ndarray of float64, shape (F, 64)
        Of :func:`counter_values`.

    Returns
    -------
    ndarray of int64, shape (F (F - 1) / 2,)
        Sums in units of 2^-20: (1, 0), (2, 0), (2, 1), (3, 0), ... Adding the results of
        disjoint rows gives the result of all, bit by bit, in any order. Each factor is rounded to
        2^-10, so that a row costs multiplications of integers only.

    Raises
    ------
    ShapeError
        If there is not one row of bins for each row of values.

    Examples
    --------
    >>> values = np.zeros((2, 64))
    >>> values[:, :2] = -1.0, 1.0
    >>> product_sums(np.array([[0, 1, 1], [0, 1, 0]], np.uint8), values) / 2**20
    array([1.])
    """
    parts = np.zeros(bins.shape[1], np.int32)
    found: NDArray[np.int64] = product_sums_of_parts(bins, values, parts, 1)[0]
    return found


def product_sums_of_parts(
    bins: NDArray[np.uint8],
    values: NDArray[np.float64],
    parts: NDArray[np.int32],
    n_parts: int,
) -> NDArray[np.int64]:
    """Sum the products of each part of the rows: see :func:`product_sums`.

    Parameters
    ----------
    parts : ndarray of int32, shape (n,)
        Part of each row; negative ones are left out.

    Returns
    -------
    ndarray of int64, shape (n_parts, F (F - 1) / 2)
    """
    if len(bins) != len(values):
        raise ShapeError(f"{len(bins)} x {len(values)}", where="products", fix="expected equal")
    n = len(values)
    sums = np.zeros((n_parts, n * (n - 1) // 2), np.int64)
    block = np.empty((n, BLOCK_ROWS), np.int32)
    add_products(np.ascontiguousarray(bins), product_steps(values), parts, block, sums)
    return sums


def product_steps(values: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return values of counters as the integers that are multiplied, in units of 2^-10."""
    steps: NDArray[np.int32] = np.rint(values / PRODUCT_UNIT**0.5).astype(np.int32)
    return steps
