"""Kernels for the body of a pane: written once, and added to totals without being unpacked.

Statistics are two rows of numbers a series here (a segment, a host or a GPU): integers (rows,
predicted, positive, 20 calibration counts, then 64 counters a variable) and floats (20
calibration sums, then sum, sum of squares, minimum and maximum a variable).

A body is a stream of tokens and a list of floats. Tokens begin with a byte b:

========  ======================================================================
0-111     the number b
112-126   the number 112 + 256 (b - 112) + the next byte
127       a number, in the varint that follows (7 bits a byte, low bits first)
128-254   b - 127 zeros
255       as many zeros as the varint that follows
========  ======================================================================

Each series has its row of integers, a mask of its calibration sums (0: those whose count is
not 0; else the mask plus 1), and for each variable how its moments are written: ``NONE``,
``ONE`` float x (for x, x*x, x, x: of one row), or ``FOUR``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.accumulate import N_MOMENTS, N_TALLIES
from detectors.kernels.jit import kernel
from schemas.panes import N_CALIBRATION, N_COUNTERS

NONE, ONE, FOUR = 0, 1, 2
FINE = 0
ENDS_EARLY, LONG_TOKEN, EMPTY_RUN, LARGE_COUNT, BAD_MASK, BAD_KIND = 1, 2, 3, 4, 5, 6
NO_FLOAT, NOT_FINITE, NO_EXTREME, LEFT_OVER, NEGATIVE = 7, 8, 9, 10, 11
TOKEN_BYTES = 11
"""Of the longest token."""
_FIRST_CALIBRATION = N_TALLIES - N_CALIBRATION
_ALL_SUMS = (1 << N_CALIBRATION) - 1
_ONE = np.uint64(1)
_SEVEN = np.uint64(7)
_MORE = np.uint64(128)
TWO_BYTES, _LONG, _RUN, _LONG_RUN = 112, 127, 128, 255
_N_TWO_BYTES = TWO_BYTES + 256 * (_LONG - TWO_BYTES)
"""The first number that takes a varint."""


def n_places(n_series: int, n_variables: int) -> int:
    """Return how many numbers the tokens of a block describe.

    Examples
    --------
    >>> n_places(1, 2)
    154
    """
    return n_series * (N_TALLIES + 1 + (N_COUNTERS + 1) * n_variables)


@kernel
def _read_varint(tokens: NDArray[np.uint8], at: np.uint64) -> tuple[int, np.uint64, np.int64]:
    """Read a varint below 2^63; returns what is wrong, the place behind it, and its value."""
    value = np.uint64(0)
    shift = np.uint64(0)
    n_bytes = np.uint64(tokens.size)
    while True:
        if at >= n_bytes:
            return ENDS_EARLY, at, np.int64(0)
        part = np.uint64(tokens[at])
        at += _ONE
        value |= (part & np.uint64(127)) << shift
        if part < _MORE:
            return FINE, at, np.int64(value)
        shift += _SEVEN
        if shift >= np.uint64(63):
            return LONG_TOKEN, at, np.int64(0)


@kernel
def _read_block(
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    n_variables: int,
    rows: NDArray[np.int32],
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
    most: int,
    is_exact: bool,
    state: NDArray[np.int64],
) -> int:
    """Read one block; ``state`` = [next token, next float, zeros left of a run]."""
    at, number, zeros = np.uint64(state[0]), state[1], state[2]
    n_bytes, n_numbers = np.uint64(tokens.size), numbers.size
    n_integers = N_TALLIES + N_COUNTERS * n_variables
    n_in_series = n_integers + 1 + n_variables
    flat = integers.reshape(-1)
    for s in range(rows.size):
        is_counted = rows[s] >= 0
        row = np.uint64(max(rows[s], 0))
        first = row * np.uint64(integers.shape[1])
        counted = 0
        place = 0
        while place < n_in_series:
            if zeros > 0 and place != n_integers:
                n_left = (n_integers if place < n_integers else n_in_series) - place
                step = min(zeros, n_left)
                zeros -= step
                place += step
                continue
            if zeros == 0 and N_TALLIES <= place < n_integers:
                # nearly all counters are one byte: read them without any other question
                n_ahead = min(np.int64(n_bytes - at), np.int64(n_integers - place))
                end = at + np.uint64(n_ahead)
                begin = at
                if is_counted:
                    to = first + np.uint64(place)
                    while at < end and tokens[at] < TWO_BYTES:
                        flat[to] += tokens[at]
                        to += _ONE
                        at += _ONE
                else:
                    while at < end and tokens[at] < TWO_BYTES:
                        at += _ONE
                place += int(np.int64(at - begin))
                if place == n_integers:
                    continue
            value = np.int64(0)
            if zeros > 0:
                zeros -= 1
            else:
                if at >= n_bytes:
                    return ENDS_EARLY
                value = np.int64(tokens[at])
                at += _ONE
                if value >= _RUN:
                    zeros = value - (_RUN - 1)
                    if value == _LONG_RUN:
                        fault, at, zeros = _read_varint(tokens, at)
                        if fault != FINE:
                            return fault
                    if zeros == 0:
                        return EMPTY_RUN
                    continue
                if value == _LONG:
                    fault, at, value = _read_varint(tokens, at)
                    if fault != FINE:
                        return fault
                elif value >= TWO_BYTES:
                    if at >= n_bytes:
                        return ENDS_EARLY
                    value = TWO_BYTES + 256 * (value - TWO_BYTES) + np.int64(tokens[at])
                    at += _ONE
            if place < n_integers:
                if value > most:
                    return LARGE_COUNT
                if place < N_TALLIES and place >= _FIRST_CALIBRATION and value:
                    counted |= 1 << (place - _FIRST_CALIBRATION)
                if is_counted:
                    flat[first + np.uint64(place)] += value
            elif place == n_integers:
                if value > _ALL_SUMS + 1:
                    return BAD_MASK
                mask = counted if value == 0 else value - 1
                for k in range(N_CALIBRATION):
                    if mask >> k & 1:
                        if number >= n_numbers:
                            return NO_FLOAT
                        x = numbers[number]
                        number += 1
                        if not math.isfinite(x):
                            return NOT_FINITE
                        if is_counted:
                            if is_exact:
                                floats[row, k] = x
                            else:
                                floats[row, k] += x
            elif value != NONE:
                if value > FOUR:
                    return BAD_KIND
                if number + (1 if value == ONE else N_MOMENTS) > n_numbers:
                    return NO_FLOAT
                # float: a number of NumPy warns of an overflow where this is not compiled
                total = float(numbers[number])
                squares, lowest, highest = total * total, total, total
                number += 1
                if value == FOUR:
                    squares, lowest = float(numbers[number]), float(numbers[number + 1])
                    highest = float(numbers[number + 2])
                    number += N_MOMENTS - 1
                if not (math.isfinite(total) and math.isfinite(squares)):
                    return NOT_FINITE
                if math.isnan(lowest) or math.isnan(highest):
                    return NO_EXTREME
                if is_counted:
                    f = N_CALIBRATION + (place - n_integers - 1) * N_MOMENTS
                    if is_exact:
                        floats[row, f] = total
                        floats[row, f + 1] = squares
                        floats[row, f + 2] = lowest
                        floats[row, f + 3] = highest
                    else:
                        floats[row, f] += total
                        floats[row, f + 1] += squares
                        # + 0.0 turns -0.0 into 0.0, as merging does
                        floats[row, f + 2] = min(floats[row, f + 2], lowest) + 0.0
                        floats[row, f + 3] = max(floats[row, f + 3], highest) + 0.0
            place += 1
    state[0], state[1], state[2] = np.int64(at), number, zeros
    return FINE


@kernel
def add_body(
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    n_variables: int,
    rows: NDArray[np.int32],
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
    slice_rows: NDArray[np.int32],
    slice_integers: NDArray[np.int64],
    slice_floats: NDArray[np.float64],
    most: int,
    is_exact: bool,
) -> int:
    """Add a body's segments and slices to the rows named for them.

    ``rows[i]`` is the row of ``integers`` and ``floats`` to which series i is added; -1 only
    checks it, and each row there is must be one of the arrays'. A counter above ``most`` is
    refused. With ``is_exact`` numbers are set, not added. Returns ``FINE``, or what is wrong:
    what was read before has been added then, so check a body before it is added.
    """
    state = np.zeros(3, np.int64)
    found = _read_block(tokens, numbers, n_variables, rows, integers, floats, most, is_exact, state)
    if found != FINE:
        return found
    found = _read_block(
        tokens, numbers, 1, slice_rows, slice_integers, slice_floats, most, is_exact, state
    )
    if found != FINE:
        return found
    if state[0] != tokens.size or state[1] != numbers.size or state[2] != 0:
        return LEFT_OVER
    return FINE


@kernel
def add_rows(
    rows: NDArray[np.int32],
    from_integers: NDArray[np.int64],
    from_floats: NDArray[np.float64],
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
) -> None:
    """Add row i of the one to row ``rows[i]`` of the other, as merging does."""
    for s in range(rows.size):
        row = rows[s]
        for k in range(from_integers.shape[1]):
            integers[row, k] += from_integers[s, k]
        for k in range(N_CALIBRATION):
            floats[row, k] += from_floats[s, k]
        for f in range(N_CALIBRATION, from_floats.shape[1], N_MOMENTS):
            floats[row, f] += from_floats[s, f]
            floats[row, f + 1] += from_floats[s, f + 1]
            floats[row, f + 2] = min(floats[row, f + 2], from_floats[s, f + 2]) + 0.0
            floats[row, f + 3] = max(floats[row, f + 3], from_floats[s, f + 3]) + 0.0


@kernel
def _write_varint(value: int, out: NDArray[np.uint8], at: int) -> int:
    """Write a varint; returns the place behind it."""
    while value >= 128:
        out[at] = value & 127 | 128
        value >>= 7
        at += 1
    out[at] = value
    return at + 1


@kernel
def write_zeros(n: int, out: NDArray[np.uint8], at: int) -> int:
    """Write a run of zeros; returns the place behind it."""
    if n <= _LONG_RUN - _RUN:
        out[at] = n + _RUN - 1
        return at + 1
    out[at] = _LONG_RUN
    return _write_varint(n, out, at + 1)


@kernel
def write_number(value: int, out: NDArray[np.uint8], at: int) -> int:
    """Write a number from 112 on; returns the place behind it."""
    if value >= _N_TWO_BYTES:
        out[at] = _LONG
        return _write_varint(value, out, at + 1)
    out[at] = TWO_BYTES + (value - TWO_BYTES >> 8)
    out[at + 1] = value - TWO_BYTES & 255
    return at + 2


@kernel
def kind_of(moments: NDArray[np.float64], bits: NDArray[np.int64], s: int, f: int) -> int:
    """Return how the moments at column ``f`` are written."""
    x = float(moments[s, f])
    has_no_sum = bits[s, f] == 0 and bits[s, f + 1] == 0
    if has_no_sum and moments[s, f + 2] == np.inf and moments[s, f + 3] == -np.inf:
        return NONE
    is_one = bits[s, f + 2] == bits[s, f] and bits[s, f + 3] == bits[s, f]
    # what is read is x * x, which is never -0.0
    if is_one and math.isfinite(x * x) and moments[s, f + 1] == x * x and bits[s, f + 1] >= 0:
        return ONE
    return FOUR


@kernel
def _write_block(
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    state: NDArray[np.int64],
) -> int:
    """Append a block, one row a series; ``state`` as of reading. Returns FINE or NEGATIVE."""
    at, number, zeros = state[0], state[1], state[2]
    bits = floats.view(np.int64)
    n_integers = integers.shape[1]
    n_variables = (n_integers - N_TALLIES) // N_COUNTERS
    for s in range(integers.shape[0]):
        for place in range(n_integers + 1 + n_variables):
            if place < n_integers:
                value = integers[s, place]
            elif place == n_integers:
                counted, held = 0, 0
                for k in range(N_CALIBRATION):
                    if integers[s, _FIRST_CALIBRATION + k] != 0:
                        counted |= 1 << k
                    if bits[s, k] != 0:
                        held |= 1 << k
                        numbers[number] = floats[s, k]
                        number += 1
                # the mask 0 where there are counts is written as 1
                value = np.int64(0 if held == counted else held + 1)
            else:
                f = N_CALIBRATION + (place - n_integers - 1) * N_MOMENTS
                value = np.int64(kind_of(floats, bits, s, f))
                n = 1 if value == ONE else (N_MOMENTS if value == FOUR else 0)
                for m in range(n):
                    numbers[number + m] = floats[s, f + m]
                number += n
            if value == 0:
                zeros += 1
                continue
            if value < 0:
                return NEGATIVE
            if zeros > 0:
                at = write_zeros(zeros, tokens, at)
                zeros = 0
            if value < TWO_BYTES:
                tokens[at] = value
                at += 1
            else:
                at = write_number(value, tokens, at)
    state[0], state[1], state[2] = at, number, zeros
    return FINE


@kernel
def write_body(
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
    slice_integers: NDArray[np.int64],
    slice_floats: NDArray[np.float64],
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    lengths: NDArray[np.int64],
) -> int:
    """Write segments, then slices; ``lengths`` becomes [bytes of tokens, floats].

    ``tokens`` has room for ``TOKEN_BYTES`` a place and once more, ``numbers`` for every float.
    Returns ``FINE`` or ``NEGATIVE``.
    """
    state = np.zeros(3, np.int64)
    found = _write_block(integers, floats, tokens, numbers, state)
    if found == FINE:
        found = _write_block(slice_integers, slice_floats, tokens, numbers, state)
    if found == FINE and state[2] > 0:
        state[0] = write_zeros(state[2], tokens, state[0])
    lengths[0], lengths[1] = state[0], state[1]
    return found
