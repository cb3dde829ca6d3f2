"""The sets of many cells, chosen from their counters and laid end to end."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import kernel

UNDERFLOW, OVERFLOW = 60, 61
NO_COUNTER = -1
DECIMALS = 1e12
"""Distances are compared as multiples of 1e-12, so that two edges equally far on either side
are a tie on every machine."""


@kernel
def nearest_edges(
    counts: NDArray[np.int64],
    n_bins: NDArray[np.int64],
    targets: NDArray[np.float64],
    edges: NDArray[np.int64],
    n_edges: NDArray[np.int64],
) -> None:
    """Find the inner edges nearest to given shares of the present values.

    Parameters
    ----------
    counts : ndarray of int64, shape (C, 64)
        Counters of each cell.
    n_bins : ndarray of int64, shape (C,)
        Bins of each cell; 0 for one without edges.
    targets : ndarray of float64, shape (k,)
        Shares, ascending. Of two edges equally near the lower is taken.
    edges : ndarray of int64, shape (C, k)
        Output: of each cell its distinct edges, ascending; edge e is the upper one of bin e - 1.
    n_edges : ndarray of int64, shape (C,)
        Output: how many; 0 where nothing is present or there is one bin.
    """
    shares = np.empty(counts.shape[1])
    for c in range(len(counts)):
        n_edges[c] = 0
        n_present, below = counts[c, UNDERFLOW] + counts[c, OVERFLOW], counts[c, UNDERFLOW]
        for b in range(n_bins[c]):
            n_present += counts[c, b]
        if n_present == 0:
            continue
        n_inner = n_bins[c] - 1
        for b in range(n_inner):
            below += counts[c, b]
            shares[b] = below / n_present
        is_chosen = np.zeros(max(n_inner, 0), np.bool_)
        for target in targets:
            nearest, least = -1, np.inf
            for b in range(n_inner):
                distance = math.floor(abs(shares[b] - target) * DECIMALS + 0.5)
                if distance < least:
                    nearest, least = b, distance
                if shares[b] >= target:
                    break
            if nearest >= 0:
                is_chosen[nearest] = True
        for b in range(n_inner):
            if is_chosen[b]:
                edges[c, n_edges[c]] = b + 1
                n_edges[c] += 1


@kernel
def lay_out(
    edges: NDArray[np.int64],
    n_edges: NDArray[np.int64],
    n_bins: NDArray[np.int64],
    n_categories: NDArray[np.int64],
    special: NDArray[np.int64],
    offsets: NDArray[np.int64],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    extra: NDArray[np.int64],
    is_complement: NDArray[np.bool_],
) -> None:
    """Write the sets of all cells: half-lines, or categories and complements; then special ones.

    Parameters
    ----------
    edges, n_edges, n_bins
        Of :func:`nearest_edges`.
    n_categories : ndarray of int64, shape (C,)
        Categories of each cell; 0 for one with edges.
    special : ndarray of int64
        Counters that are sets of their own in every cell.
    offsets : ndarray of int64, shape (C + 1,)
        Where each cell's sets begin.
    first, stop, extra : ndarray of int64, shape (T,)
        Output; zeros at first.
    is_complement : ndarray of bool, shape (T,)
        Output; False at first.
    """
    for c in range(len(offsets) - 1):
        t = offsets[c]
        for k in range(n_edges[c]):
            stop[t], extra[t] = edges[c, k], UNDERFLOW
            first[t + 1], stop[t + 1], extra[t + 1] = edges[c, k], n_bins[c], OVERFLOW
            t += 2
        for i in range(n_categories[c]):
            for k in range(2):
                first[t + k], stop[t + k], extra[t + k] = i, i + 1, NO_COUNTER
                is_complement[t + k] = k == 1
            t += 2
        for counter in special:
            extra[t] = counter
            t += 1
