"""Kernels that add rows to the counters of their slots.

A slot is one row of the arrays of ``monitor.core.windowing.slots``; a negative slot skips the
row. Values are added one by one in row order into the running sums, so that cutting
the input elsewhere gives the same bits. Indices are unsigned and arrays flattened:
a signed index costs a test for negative ones, a strided array a multiplication.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import kernel
from schemas.panes import MISSING, N_CALIBRATION

N_MOMENTS = 4
"""Sum, sum of squares, minimum, maximum."""
N_TALLIES = 3 + N_CALIBRATION
"""Rows, rows with a predicted class, rows with the positive one, then the score's bins."""
EMPTY = -1
"""Marker of an empty entry of the hash table."""
SKIPPED = -1
"""Slot of a row that is not counted."""
OVERFLOWED = -2
"""Slot of a row whose key did not fit into the full pane."""


@kernel
def add_numeric(
    values: NDArray[np.float64],
    bins: NDArray[np.uint8],
    slots: NDArray[np.int32],
    variable: int,
    counts: NDArray[np.int64],
    moments: NDArray[np.float64],
) -> None:
    """Add one numeric column where slots alternate: 1.4 ns a value.

    ``counts`` has shape (slots, V, 64), ``moments`` (slots, V, 4).
    """
    v = np.uint64(variable)
    n_variables = np.uint64(counts.shape[1])
    flat = counts.reshape(-1)
    moment = moments.reshape(-1)
    for i in range(values.size):
        slot = slots[i]
        if slot >= 0:
            cell = np.uint64(slot) * n_variables + v
            k = np.uint64(bins[i])
            flat[(cell << np.uint64(6)) + k] += 1
            if k != np.uint64(MISSING):
                x = values[i]
                at = cell << np.uint64(2)
                moment[at] += x
                moment[at + np.uint64(1)] += x * x
                if x < moment[at + np.uint64(2)]:
                    moment[at + np.uint64(2)] = x
                if x > moment[at + np.uint64(3)]:
                    moment[at + np.uint64(3)] = x


@kernel
def add_numeric_runs(
    values: NDArray[np.float64],
    bins: NDArray[np.uint8],
    slots: NDArray[np.int32],
    variable: int,
    counts: NDArray[np.int64],
    moments: NDArray[np.float64],
) -> None:
    """Like :func:`add_numeric`, for slots that last for many rows.

    The running sums stay in registers: 1.2 ns a value where the other needs 3.3
    (each addition waits for the store of the one before), but 2.2 against 1.4 when
    slots alternate.
    """
    v = np.uint64(variable)
    n_variables = np.uint64(counts.shape[1])
    flat = counts.reshape(-1)
    moment = moments.reshape(-1)
    i = 0
    n = values.size
    while i < n:
        slot = slots[i]
        if slot < 0:
            i += 1
            continue
        cell = np.uint64(slot) * n_variables + v
        base = cell << np.uint64(6)
        at = cell << np.uint64(2)
        total = moment[at]
        squares = moment[at + np.uint64(1)]
        lowest = moment[at + np.uint64(2)]
        highest = moment[at + np.uint64(3)]
        while i < n and slots[i] == slot:
            k = np.uint64(bins[i])
            flat[base + k] += 1
            if k != np.uint64(MISSING):
                x = values[i]
                total += x
                squares += x * x
                if x < lowest:
                    lowest = x
                if x > highest:
                    highest = x
            i += 1
        moment[at] = total
        moment[at + np.uint64(1)] = squares
        moment[at + np.uint64(2)] = lowest
        moment[at + np.uint64(3)] = highest


@kernel
def add_categorical(
    codes: NDArray[np.int32],
    table: NDArray[np.int64],
    slots: NDArray[np.int32],
    variable: int,
    counts: NDArray[np.int64],
) -> None:
    """Add one categorical column; ``table[code + 1]`` is the counter, ``table[0]`` that of null."""
    v = np.uint64(variable)
    n_variables = np.uint64(counts.shape[1])
    flat = counts.reshape(-1)
    for i in range(codes.size):
        slot = slots[i]
        if slot >= 0:
            k = np.uint64(table[np.uint64(codes[i] + 1)])
            flat[((np.uint64(slot) * n_variables + v) << np.uint64(6)) + k] += 1


@kernel
def add_rows(
    predictions: NDArray[np.int32],
    table: NDArray[np.int64],
    slots: NDArray[np.int32],
    tallies: NDArray[np.int64],
) -> None:
    """Count rows and predicted classes; ``table[code + 1]``: 0 null, 1 negative, 2 positive."""
    for i in range(slots.size):
        slot = slots[i]
        if slot >= 0:
            row = np.uint64(slot)
            tallies[row, 0] += 1
            kind = table[np.uint64(predictions[i] + 1)]
            if kind > 0:
                tallies[row, 1] += 1
                if kind > 1:
                    tallies[row, 2] += 1


@kernel
def add_calibration(
    scores: NDArray[np.float64],
    slots: NDArray[np.int32],
    tallies: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    """Count and add scores in equally wide bins on [0, 1]; others are left out."""
    for i in range(slots.size):
        slot = slots[i]
        x = scores[i]
        if slot >= 0 and x >= 0.0 and x <= 1.0:
            row = np.uint64(slot)
            k = np.uint64(np.int64(min(x * N_CALIBRATION, N_CALIBRATION - 1.0)))
            tallies[row, k + np.uint64(3)] += 1
            sums[row, k] += x


@kernel
def mix(
    codes: NDArray[np.int32], table: NDArray[np.int64], radix: int, joint: NDArray[np.int64]
) -> None:
    """Append a digit to every joint key: ``table[code + 1]`` in base ``radix``."""
    for i in range(codes.size):
        joint[i] = joint[i] * radix + table[np.uint64(codes[i] + 1)]


@kernel
def assign_slots(
    ordinals: NDArray[np.int32],
    joint: NDArray[np.int64],
    start: int,
    radix: int,
    capacity: int,
    keys: NDArray[np.int64],
    places: NDArray[np.int32],
    n_keys: NDArray[np.int64],
    free: NDArray[np.int32],
    state: NDArray[np.int64],
    out: NDArray[np.int32],
    new_keys: NDArray[np.int64],
) -> int:
    """Give each row the slot of its key ``ordinal * radix + joint``, new keys the next free one.

    ``keys`` and ``places`` are an open hash table whose size is a power of two,
    ``n_keys[ordinal]`` how many keys a pane has: from ``capacity`` on, new ones
    overflow. ``state`` = [free slots left, keys in the table, changes of slot,
    overflowed rows, new keys of this call]; ``free`` is a stack. Returns the row at
    which slots or places ran out, or the number of rows. 1.5 ns a row, 3 where keys alternate.
    """
    mask = np.uint64(keys.size - 1)
    last_key = np.int64(EMPTY)
    last_slot = np.int32(SKIPPED)
    for i in range(start, ordinals.size):
        ordinal = ordinals[i]
        if ordinal < 0:
            out[i] = SKIPPED
            continue
        key = np.int64(ordinal) * radix + joint[i]
        if key != last_key:
            # folded to 32 bits first, so that the product never overflows: plain Python warns
            folded = (key ^ (key >> 32)) & 0xFFFFFFFF
            place = ((np.uint64(folded) * np.uint64(0x9E3779B1)) >> np.uint64(16)) & mask
            while keys[place] != key and keys[place] != EMPTY:
                place = (place + np.uint64(1)) & mask
            if keys[place] == key:
                last_slot = places[place]
            elif n_keys[ordinal] >= capacity:
                last_slot = np.int32(OVERFLOWED)
            elif state[0] == 0 or state[1] * 2 >= keys.size:
                return i
            else:
                state[0] -= 1
                last_slot = free[state[0]]
                keys[place] = key
                places[place] = last_slot
                n_keys[ordinal] += 1
                new_keys[state[4]] = key
                state[1] += 1
                state[4] += 1
            last_key = key
            state[2] += 1
        if last_slot == OVERFLOWED:
            state[3] += 1
        out[i] = last_slot
    return ordinals.size


@kernel
def fill_table(
    live_keys: NDArray[np.int64],
    live_places: NDArray[np.int32],
    keys: NDArray[np.int64],
    places: NDArray[np.int32],
) -> None:
    """Insert keys and their slots into an empty hash table."""
    mask = np.uint64(keys.size - 1)
    for i in range(live_keys.size):
        folded = (live_keys[i] ^ (live_keys[i] >> 32)) & 0xFFFFFFFF
        place = ((np.uint64(folded) * np.uint64(0x9E3779B1)) >> np.uint64(16)) & mask
        while keys[place] != EMPTY:
            place = (place + np.uint64(1)) & mask
        keys[place] = live_keys[i]
        places[place] = live_places[i]


@kernel
def fold(
    slots: NDArray[np.int32],
    targets: NDArray[np.int32],
    counts: NDArray[np.int64],
    moments: NDArray[np.float64],
    tallies: NDArray[np.int64],
    calibration: NDArray[np.float64],
    out_counts: NDArray[np.int64],
    out_moments: NDArray[np.float64],
    out_tallies: NDArray[np.int64],
    out_calibration: NDArray[np.float64],
) -> None:
    """Add each slot to its target series, in the given order.

    ``targets`` has shape (slots, T); -1 is none.
    """
    for j in range(slots.size):
        s = slots[j]
        for d in range(targets.shape[1]):
            t = targets[j, d]
            if t < 0:
                continue
            for v in range(counts.shape[1]):
                for k in range(counts.shape[2]):
                    out_counts[t, v, k] += counts[s, v, k]
                out_moments[t, v, 0] += moments[s, v, 0]
                out_moments[t, v, 1] += moments[s, v, 1]
                out_moments[t, v, 2] = min(out_moments[t, v, 2], moments[s, v, 2])
                out_moments[t, v, 3] = max(out_moments[t, v, 3], moments[s, v, 3])
            for k in range(tallies.shape[1]):
                out_tallies[t, k] += tallies[s, k]
            for k in range(calibration.shape[1]):
                out_calibration[t, k] += calibration[s, k]
