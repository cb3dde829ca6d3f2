"""Computes components from counters: shares, polynomial means, products of two features."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import uncounted

N_BINS: Final = 60
N_COUNTERS: Final = 64
NO_COUNTER: Final = -1
NO_BASIS: Final = -1


@uncounted
def add_up(
    counts: NDArray[np.int64],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    extra: NDArray[np.int64],
    basis: NDArray[np.int64],
    polynomials: NDArray[np.float64],
    n_groups: NDArray[np.int64],
    offsets: NDArray[np.int64],
    prefix: NDArray[np.int64],
    sums: NDArray[np.float64],
    rows: NDArray[np.float64],
) -> None:
    """Turn the counters of every cell into the sums of its components.

    Parameters
    ----------
    counts : ndarray of int64, shape (C, 64)
        Counters of a tick.
    first, stop, extra : ndarray of int64, shape (I,)
        A share is the counters first to stop (excluded) and ``extra``, -1 for none.
    basis : ndarray of int64, shape (I,)
        Row of ``polynomials`` of a mean, -1 for a share.
    polynomials : ndarray of float64, shape (K, 20)
        Value of each group of a cell under an orthonormal polynomial.
    n_groups : ndarray of int64, shape (C,)
        Groups of each cell; they are its first components.
    offsets : ndarray of int64, shape (C + 1,)
        Where the components of each cell begin.
    prefix : ndarray of int64, shape (61,)
        Scratch.
    sums : ndarray of float64, shape (I,)
        Filled.
    rows : ndarray of float64, shape (C,)
        Filled: sum of the counters of the cell.
    """
    for c in range(len(offsets) - 1):
        prefix[0] = 0
        for b in range(N_BINS):
            prefix[b + 1] = prefix[b] + counts[c, b]
        n = prefix[N_BINS]
        for b in range(N_BINS, N_COUNTERS):
            n += counts[c, b]
        rows[c] = n
        for i in range(offsets[c], offsets[c + 1]):
            k = basis[i]
            if k == NO_BASIS:
                inside = prefix[stop[i]] - prefix[first[i]]
                if extra[i] != NO_COUNTER:
                    inside += counts[c, extra[i]]
                sums[i] = inside
                continue
            total = 0.0
            for g in range(n_groups[c]):
                total += sums[offsets[c] + g] * polynomials[k, g]
            sums[i] = total


BLOCK_ROWS: Final = 256
"""Rows of one pane whose products are summed at a time, pair by pair: 65 ns a row of ten features
became 20.
"""


@uncounted
def add_products(
    bins: NDArray[np.uint8],
    steps: NDArray[np.int32],
    ordinals: NDArray[np.int32],
    block: NDArray[np.int32],
    sums: NDArray[np.int64],
) -> None:
    """Add the products of every two features to the pane of each row, as integers.

    Parameters
    ----------
    bins : ndarray of uint8, shape (F, n)
        Counter of each row, feature by feature.
    steps : ndarray of int32, shape (F, 64)
        Value of each counter under the feature's first polynomial, in units of 2^-10.
    ordinals : ndarray of int32, shape (n,)
        Pane of each row; negative ones are left out.
    block : ndarray of int32, shape (F, BLOCK_ROWS)
        Scratch.
    sums : ndarray of int64, shape (panes, F (F - 1) / 2)
        Updated, in units of 2^-20: features (1, 0), (2, 0), (2, 1), (3, 0), ...
    """
    n = bins.shape[1]
    start = 0
    while start < n:
        pane, stop = ordinals[start], start + 1
        while stop < n and stop - start < BLOCK_ROWS and ordinals[stop] == pane:
            stop += 1
        if pane >= 0:
            k = 0
            for a in range(len(bins)):
                for i in range(stop - start):
                    block[a, i] = steps[a, bins[a, start + i]]
                for b in range(a):
                    total = np.int64(0)
                    for i in range(stop - start):
                        total += np.int64(block[a, i]) * np.int64(block[b, i])
                    sums[pane, k] += total
                    k += 1
        start = stop
