"""Products of the locations of two features, summed as integers: what correlations move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.components import add_products
from detectors.multiscale.components import NO_COMPONENT, PRODUCT_UNIT, CellComponents
from schemas.errors import ShapeError
from schemas.panes import N_COUNTERS


def counter_values(cell: CellComponents) -> NDArray[np.float64]:
    """Return the value of every counter under the first polynomial of a numeric cell.

    Returns
    -------
    ndarray of float64, shape (64,)
        0 for missing values and for bins that are not in use.

    Raises
    ------
    ShapeError
        If the cell has no polynomial.

    Examples
    --------
    >>> from detectors.multiscale.components import numeric_components
    >>> counts = np.zeros(64, np.int64)
    >>> counts[:2] = 10
    >>> x = numeric_components(np.array([0.0, 1.0, 2.0]), counts)
    >>> counter_values(x)[[0, 1, 60, 61, 62]].tolist()
    [-1.0, 1.0, -1.0, 1.0, 0.0]
    """
    if cell.location == NO_COMPONENT:
        raise ShapeError("no location", where="products", fix="leave constant features out")
    values = np.zeros(N_COUNTERS)
    for g in range(cell.n_groups):
        values[cell.first[g] : cell.stop[g]] = cell.polynomials[0, g]
        if cell.extra[g] >= 0:
            values[cell.extra[g]] = cell.polynomials[0, g]
    return values


def product_sums(bins: NDArray[np.uint8], cells: Sequence[CellComponents]) -> NDArray[np.int64]:
    """Sum g1(a) g1(b) over rows, for every two of F features.

    Parameters
    ----------
    bins : ndarray of uint8, shape (F, n)
        Counter of each row, 0 to 63, feature by feature.
    cells : sequence of CellComponents
        F numeric cells.

    Returns
    -------
    ndarray of int64, shape (F (F - 1) / 2,)
        Sums in units of 2^-20: (1, 0), (2, 0), (2, 1), (3, 0), ... Adding the results of
        disjoint rows gives the result of all, bit by bit, in any order.

    Raises
    ------
    ShapeError
        If there is not one row of bins for each cell.

    Examples
    --------
    >>> from detectors.multiscale.components import numeric_components
    >>> counts = np.zeros(64, np.int64)
    >>> counts[:2] = 10
    >>> x = numeric_components(np.array([0.0, 1.0, 2.0]), counts)
    >>> product_sums(np.array([[0, 1, 1], [0, 1, 0]], np.uint8), [x, x]) / 2**20
    array([1.])
    """
    if len(bins) != len(cells):
        raise ShapeError(f"{len(bins)} x {len(cells)}", where="products", fix="expected equal")
    sums = np.zeros(len(cells) * (len(cells) - 1) // 2, np.int64)
    if len(sums):
        values = np.stack([counter_values(cell) for cell in cells])
        add_products(bins, values, 1.0 / PRODUCT_UNIT, sums)
    return sums
