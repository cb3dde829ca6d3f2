"""Rows of panes that hold too few of them to be counted: written, listed, added to counters.

A record has one number per numeric variable (the score last), then three integers (the
combination of segment values, the host, the GPU), then a byte per variable, its counter, and
one for the predicted class: 0 none, 1 negative, 2 positive. ``floats``, ``integers`` and
``octets`` are flat views of the same records. The records of a pane are a chain in the order
in which they came.

Rows are added to counters by the operations of :mod:`detectors.kernels.accumulate`, in the same
order: the bits are the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.accumulate import N_MOMENTS, N_TALLIES
from detectors.kernels.binning import find_bin
from detectors.kernels.jit import uncounted
from schemas.panes import MISSING, N_CALIBRATION, N_COUNTERS

N_NUMBERS, N_VARIABLES, N_SEGMENTS, FIRST_SEGMENT, PREDICTION, HOST, GPU, WORDS = range(8)
"""In ``shape``: numeric variables, all variables, segments; columns of codes; words a record."""
HEAD, TAIL, SIZE = range(3)
"""Columns of ``chains``, a row a pane: first and last record, number of records."""
COMBINATION, HOST_NUMBER, GPU_NUMBER, N_INTEGERS = range(4)
"""Integers of a record, behind its numbers."""
NONE = -1
"""Record behind the last of a chain."""


def record_words(n_numbers: int, n_variables: int) -> int:
    """Return how many words of eight bytes a record has.

    Examples
    --------
    >>> record_words(21, 21)
    27
    """
    return n_numbers + N_INTEGERS + (n_variables + 8) // 8


@uncounted
def append_rows(
    rows: NDArray[np.int64],
    panes: NDArray[np.int64],
    numbers: NDArray[np.float64],
    codes: NDArray[np.int32],
    shape: NDArray[np.int64],
    edges: NDArray[np.float64],
    n_edges: NDArray[np.int64],
    grids: NDArray[np.uint8],
    scales: NDArray[np.float64],
    tables: NDArray[np.int64],
    starts: NDArray[np.int64],
    radices: NDArray[np.int64],
    chains: NDArray[np.int32],
    following: NDArray[np.int32],
    free: NDArray[np.int32],
    n_free: int,
    floats: NDArray[np.float64],
    integers: NDArray[np.int64],
    octets: NDArray[np.uint8],
) -> None:
    """Append rows of one layout, each to the chain of its pane: about .4 us with 21 numbers.

    ``rows`` are columns of ``numbers`` and ``codes``, ``panes`` the chain of each. ``edges`` and
    ``grids`` are flat, with equally many places a number; ``scales`` has its origin and scale.
    ``tables`` has the tables of codes behind each other, each entered by ``code + 1``: of the
    categorical variables, the segments, the predicted classes, the hosts, the GPUs; ``starts``
    is where each begins. The upper ``rows.size`` of the ``n_free`` free records are taken.
    """
    n_numbers = shape[N_NUMBERS]
    n_variables = shape[N_VARIABLES]
    n_segments = shape[N_SEGMENTS]
    words = shape[WORDS]
    n_categorical = n_variables - n_numbers
    last = n_categorical + n_segments
    width = edges.size // max(n_numbers, 1)
    cells = grids.size // max(n_numbers, 1)
    for j in range(rows.size):
        i = rows[j]
        record = free[n_free - 1 - j]
        word = record * words
        octet = 8 * (word + n_numbers + N_INTEGERS)
        for c in range(n_numbers):
            x = numbers[c, i]
            floats[word + c] = x
            # the score is the last variable, behind the categorical ones
            v = c if c < n_numbers - 1 else n_variables - 1
            octets[octet + v] = find_bin(
                x,
                edges,
                np.uint64(c * width),
                np.uint64(n_edges[c]),
                grids,
                np.uint64(c * cells),
                scales[2 * c],
                scales[2 * c + 1],
            )
        for c in range(n_categorical):
            octets[octet + n_numbers - 1 + c] = tables[starts[c] + codes[c, i] + 1]
        combination = np.int64(0)
        for s in range(n_segments):
            code = codes[shape[FIRST_SEGMENT] + s, i]
            digit = tables[starts[n_categorical + s] + code + 1]
            combination = combination * radices[s] + digit
        word += n_numbers
        integers[word + COMBINATION] = combination
        octets[octet + n_variables] = tables[starts[last] + codes[shape[PREDICTION], i] + 1]
        integers[word + HOST_NUMBER] = tables[starts[last + 1] + codes[shape[HOST], i] + 1]
        integers[word + GPU_NUMBER] = tables[starts[last + 2] + codes[shape[GPU], i] + 1]
        following[record] = NONE
        pane = panes[j]
        if chains[pane, SIZE]:
            following[chains[pane, TAIL]] = record
        else:
            chains[pane, HEAD] = record
        chains[pane, TAIL] = record
        chains[pane, SIZE] += 1


@uncounted
def list_rows(
    head: int,
    following: NDArray[np.int32],
    shape: NDArray[np.int64],
    integers: NDArray[np.int64],
    records: NDArray[np.int32],
    found: NDArray[np.int64],
) -> None:
    """Write the records of a chain, and the integers of each to ``found`` (3, n)."""
    words = shape[WORDS]
    record = head
    for j in range(records.size):
        records[j] = record
        word = record * words + shape[N_NUMBERS]
        for k in range(N_INTEGERS):
            found[k, j] = integers[word + k]
        record = following[record]


@uncounted
def free_chains(
    panes: NDArray[np.int64],
    chains: NDArray[np.int32],
    following: NDArray[np.int32],
    free: NDArray[np.int32],
    n_free: int,
) -> int:
    """Put the records of these chains on the stack of free ones; return how many there are."""
    for j in range(panes.size):
        pane = panes[j]
        record = chains[pane, HEAD]
        for _ in range(chains[pane, SIZE]):
            free[n_free] = record
            n_free += 1
            record = following[record]
        chains[pane, SIZE] = 0
    return n_free


@uncounted
def move_rows(
    chains: NDArray[np.int32],
    following: NDArray[np.int32],
    words: int,
    integers: NDArray[np.int64],
    new_following: NDArray[np.int32],
    new_integers: NDArray[np.int64],
) -> int:
    """Copy all records to other arrays, chain by chain from the first place on; return how many."""
    n = 0
    for pane in range(chains.shape[0]):
        record = chains[pane, HEAD]
        for j in range(chains[pane, SIZE]):
            for k in range(words):
                new_integers[n * words + k] = integers[record * words + k]
            if j == 0:
                chains[pane, HEAD] = n
            else:
                new_following[n - 1] = n
            new_following[n] = NONE
            chains[pane, TAIL] = n
            record = following[record]
            n += 1
    return n


@uncounted
def pour_rows(
    records: NDArray[np.int32],
    slots: NDArray[np.int32],
    first: int,
    shape: NDArray[np.int64],
    floats: NDArray[np.float64],
    octets: NDArray[np.uint8],
    counts: NDArray[np.int64],
    moments: NDArray[np.float64],
    tallies: NDArray[np.int64],
    calibration: NDArray[np.float64],
) -> None:
    """Add each record to its slot: variables from ``first`` on, its class, its score.

    The counters are flat: of V - ``first`` variables a slot. A negative slot skips the record.
    """
    n_numbers = shape[N_NUMBERS]
    n_variables = shape[N_VARIABLES]
    words = shape[WORDS]
    n_counted = n_variables - first
    for j in range(records.size):
        slot = np.int64(slots[j])
        if slot < 0:
            continue
        word = records[j] * words
        octet = 8 * (word + n_numbers + N_INTEGERS)
        for v in range(first, n_variables):
            k = np.int64(octets[octet + v])
            cell = slot * n_counted + v - first
            counts[cell * N_COUNTERS + k] += 1
            is_score = v == n_variables - 1
            if k != MISSING and (is_score or v < n_numbers - 1):
                x = floats[word + (n_numbers - 1 if is_score else v)]
                at = cell * N_MOMENTS
                moments[at] += x
                moments[at + 1] += x * x
                if x < moments[at + 2]:
                    moments[at + 2] = x
                if x > moments[at + 3]:
                    moments[at + 3] = x
        tally = slot * N_TALLIES
        tallies[tally] += 1
        predicted = octets[octet + n_variables]
        if predicted > 0:
            tallies[tally + 1] += 1
            if predicted > 1:
                tallies[tally + 2] += 1
        if n_numbers:
            x = floats[word + n_numbers - 1]
            if x >= 0.0 and x <= 1.0:
                place = np.int64(min(x * N_CALIBRATION, N_CALIBRATION - 1.0))
                tallies[tally + 3 + place] += 1
                calibration[slot * N_CALIBRATION + place] += x


__all__ = [
    "append_rows", "free_chains", "list_rows", "move_rows", "pour_rows", "record_words",
]  # fmt: skip
