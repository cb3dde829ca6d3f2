"""Kernels that count the different values of each pane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.accumulate import EMPTY
from detectors.kernels.jit import inlined, kernel

RADIX = 1 << 32
"""A key is pane * RADIX + value; that of value 0 holds how many values the pane has."""


@inlined
def _find(key: int, keys: NDArray[np.int64]) -> np.uint64:
    """Return the place of a key, or the empty one where it belongs."""
    mask = np.uint64(keys.size - 1)
    # folded to 32 bits first, so that the product never overflows: plain Python warns
    folded = ((key >> 32) * 0x9E3779B1 ^ key) & 0xFFFFFFFF
    place = ((np.uint64(folded) * np.uint64(0x9E3779B1)) >> np.uint64(16)) & mask
    while keys[place] != key and keys[place] != EMPTY:
        place = (place + np.uint64(1)) & mask
    return place


@kernel
def admit(
    panes: NDArray[np.int64],
    numbers: NDArray[np.int64],
    start: int,
    capacity: int,
    keys: NDArray[np.int64],
    sizes: NDArray[np.int64],
    state: NDArray[np.int64],
    out: NDArray[np.bool_],
) -> int:
    """Write which rows have a value beyond the first ``capacity`` of their pane.

    ``keys`` is an open hash table whose size is a power of two, ``sizes`` holds the number
    of values at the key of value 0; ``state`` = [keys in the table]. Returns the row at
    which places ran out, or the number of rows.
    """
    for i in range(start, panes.size):
        if numbers[i] == 0:
            continue
        head = panes[i] * RADIX
        place = _find(head + numbers[i], keys)
        if keys[place] != EMPTY:
            continue
        if (state[0] + 2) * 2 >= keys.size:
            return i
        count = _find(head, keys)
        if keys[count] == EMPTY:
            keys[count] = head
            sizes[count] = 0
            state[0] += 1
            place = _find(head + numbers[i], keys)
        if sizes[count] >= capacity:
            out[i] = True
            continue
        sizes[count] += 1
        keys[place] = head + numbers[i]
        state[0] += 1
    return panes.size


@kernel
def refill(
    live_keys: NDArray[np.int64],
    live_sizes: NDArray[np.int64],
    keys: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> None:
    """Insert keys and their sizes into an empty table."""
    for i in range(live_keys.size):
        place = _find(live_keys[i], keys)
        keys[place] = live_keys[i]
        sizes[place] = live_sizes[i]
