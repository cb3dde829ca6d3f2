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

Where every series is that of the same one row, the body is that row instead: 255 and 0 (a run of
no zeros, which no stream has), a byte of flags (1 predicted, 2 positive), the calibration bin (20
for none), for each variable its counter, plus 64 if it has a number, and then these numbers: 0
for the next of the floats, or 1 + 4 e + n - 1 and a whole number of n bytes (two's complement,
low byte first) that is divided by 10^e. The last variable is the score, of which the calibration
sum and the slices are.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.accumulate import N_MOMENTS, N_TALLIES
from detectors.kernels.byte_runs import BLOCK, leading_small
from detectors.kernels.jit import inlined, kernel
from schemas.panes import N_CALIBRATION, N_COUNTERS

NONE, ONE, FOUR = 0, 1, 2
FINE = 0
ENDS_EARLY, LONG_TOKEN, EMPTY_RUN, LARGE_COUNT, BAD_MASK, BAD_KIND = 1, 2, 3, 4, 5, 6
NO_FLOAT, NOT_FINITE, NO_EXTREME, LEFT_OVER, NEGATIVE, BAD_ROW = 7, 8, 9, 10, 11, 12
TOKEN_BYTES = 11
"""Of the longest token."""
_FIRST_CALIBRATION = N_TALLIES - N_CALIBRATION
_ALL_SUMS = (1 << N_CALIBRATION) - 1
_ONE = np.uint64(1)
_BLOCK = np.uint64(BLOCK)
_EXPONENT = 0x7FF << 52
"""Of a float64 that is not finite."""
_SEVEN = np.uint64(7)
_MORE = np.uint64(128)
TWO_BYTES, _LONG, _RUN, _LONG_RUN = 112, 127, 128, 255
_N_TWO_BYTES = TWO_BYTES + 256 * (_LONG - TWO_BYTES)
"""The first number that takes a varint."""
ROW_TOKENS = 4
"""Bytes of a row before its variables: two that mark it, flags, calibration bin."""
_ROW_FLAGS, _ROW_BIN = 2, 3
HAS_NUMBER, _COUNTER = 64, 63
_WHOLE = 0
_MAX_MANTISSA, _MAX_EXPONENT = 4, 9
"""Bytes, and digits behind the point, of a decimal."""
_MAX_DECIMAL = float(1 << 31)
_POWERS = np.array([float(10**e) for e in range(_MAX_EXPONENT + 1)])


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


@inlined
def _put_moments(
    total: float,
    squares: float,
    lowest: float,
    highest: float,
    row: np.uint64,
    f: int,
    floats: NDArray[np.float64],
    is_exact: bool,
) -> None:
    """Set the moments of a variable, or add to them as merging does."""
    if is_exact:
        floats[row, f] = total
        floats[row, f + 1] = squares
        floats[row, f + 2] = lowest
        floats[row, f + 3] = highest
    else:
        floats[row, f] += total
        floats[row, f + 1] += squares
        # + 0.0 turns -0.0 into 0.0
        floats[row, f + 2] = min(floats[row, f + 2], lowest) + 0.0
        floats[row, f + 3] = max(floats[row, f + 3], highest) + 0.0


@kernel
def _is_finite(numbers: NDArray[np.float64]) -> bool:
    """Return whether all numbers are finite; on their bits, which takes a tenth of the time."""
    bits = numbers.view(np.int64)
    n_other = 0
    for i in range(bits.size):
        n_other += int((bits[i] & _EXPONENT) == _EXPONENT)
    return n_other == 0


@kernel
def count_small(tokens: NDArray[np.uint8], at: np.uint64, end: np.uint64) -> int:
    """Return how many bytes from ``at`` on are numbers by themselves; ``end`` is in the array."""
    begin, n_small = at, _BLOCK
    while n_small == _BLOCK and at < end and at + _BLOCK <= np.uint64(tokens.size):
        n_small = np.uint64(leading_small(tokens, at, TWO_BYTES))
        at += n_small
    at = min(at, end)
    while n_small == _BLOCK and at < end and tokens[at] < TWO_BYTES:
        at += _ONE
    return int(np.int64(at - begin))


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
    is_finite: bool,
    state: NDArray[np.int64],
) -> int:
    """Read one block; ``state`` = [next token, next float, zeros left of a run].

    ``is_finite``: all ``numbers`` are, and need not be looked at one by one.
    """
    at, number, zeros = np.uint64(state[0]), state[1], state[2]
    n_bytes, n_numbers = np.uint64(tokens.size), numbers.size
    n_integers = N_TALLIES + N_COUNTERS * n_variables
    n_in_series = n_integers + 1 + n_variables
    flat = integers.reshape(-1)
    n_small_values = min(TWO_BYTES, most + 1)
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
            if zeros == 0 and place < N_TALLIES:
                while place < N_TALLIES and at < n_bytes and tokens[at] < n_small_values:
                    value = np.int64(tokens[at])
                    at += _ONE
                    if place >= _FIRST_CALIBRATION:
                        counted |= int(value != 0) << (place - _FIRST_CALIBRATION)
                    if is_counted:
                        flat[first + np.uint64(place)] += value
                    place += 1
            elif zeros == 0 and place > n_integers and is_finite:
                while (
                    place < n_in_series
                    and at < n_bytes
                    and tokens[at] == FOUR
                    and number + N_MOMENTS <= n_numbers
                ):
                    if is_counted:
                        f = N_CALIBRATION + (place - n_integers - 1) * N_MOMENTS
                        _put_moments(
                            numbers[number], numbers[number + 1], numbers[number + 2],
                            numbers[number + 3], row, f, floats, is_exact,
                        )  # fmt: skip
                    at += _ONE
                    number += N_MOMENTS
                    place += 1
                if place == n_in_series:
                    break
            if zeros == 0 and N_TALLIES <= place < n_integers:
                # nearly all counters are one byte: find as many as there are, then add them
                n_ahead = min(np.int64(n_bytes - at), np.int64(n_integers - place))
                begin = at
                at += np.uint64(count_small(tokens, at, at + np.uint64(n_ahead)))
                if is_counted:
                    to = first + np.uint64(place)
                    for j in range(np.int64(at - begin)):
                        flat[to + np.uint64(j)] += np.int64(tokens[begin + np.uint64(j)])
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
                    _put_moments(total, squares, lowest, highest, row, f, floats, is_exact)
            place += 1
    state[0], state[1], state[2] = np.int64(at), number, zeros
    return FINE


@kernel
def _add_row_to(
    tokens: NDArray[np.uint8],
    found: NDArray[np.float64],
    first: int,
    rows: NDArray[np.int32],
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
    is_exact: bool,
) -> None:
    """Add a row that was read to series that have its variables from ``first`` on."""
    place = np.int64(tokens[_ROW_BIN])
    for s in range(rows.size):
        row = rows[s]
        if row < 0:
            continue
        integers[row, 0] += 1
        integers[row, 1] += tokens[_ROW_FLAGS] & 1
        integers[row, 2] += tokens[_ROW_FLAGS] >> 1
        if place < N_CALIBRATION:
            score = float(found[found.size - 1])
            integers[row, _FIRST_CALIBRATION + place] += 1
            floats[row, place] = score if is_exact else floats[row, place] + score
        for v in range(first, found.size):
            token = np.int64(tokens[ROW_TOKENS + v])
            integers[row, N_TALLIES + (v - first) * N_COUNTERS + (token & _COUNTER)] += 1
            if not token & HAS_NUMBER:
                continue
            x = float(found[v])
            f = N_CALIBRATION + (v - first) * N_MOMENTS
            if is_exact:
                floats[row, f], floats[row, f + 1] = x, x * x
                floats[row, f + 2], floats[row, f + 3] = x, x
            else:
                floats[row, f] += x
                floats[row, f + 1] += x * x
                floats[row, f + 2] = min(floats[row, f + 2], x) + 0.0
                floats[row, f + 3] = max(floats[row, f + 3], x) + 0.0


@kernel
def _read_row(
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    n_slices: int,
    found: NDArray[np.float64],
) -> int:
    """Read the numbers of a row of as many variables as ``found`` has; returns what is wrong."""
    n_variables = found.size
    if tokens.size < ROW_TOKENS + n_variables:
        return ENDS_EARLY
    if n_slices > 0 and n_variables == 0:
        return LEFT_OVER
    if tokens[_ROW_FLAGS] > 3 or tokens[_ROW_BIN] > N_CALIBRATION:
        return BAD_ROW
    at, number = ROW_TOKENS + n_variables, 0
    has_score = False
    for v in range(n_variables):
        token = np.int64(tokens[ROW_TOKENS + v])
        if token > HAS_NUMBER | _COUNTER:
            return BAD_ROW
        has_score = token & HAS_NUMBER != 0
        if not has_score:
            continue
        if at >= tokens.size:
            return ENDS_EARLY
        form = np.int64(tokens[at])
        at += 1
        if form == _WHOLE:
            if number >= numbers.size:
                return NO_FLOAT
            x = float(numbers[number])
            number += 1
        else:
            n_bytes = (form - 1) % _MAX_MANTISSA + 1
            exponent = (form - 1) // _MAX_MANTISSA
            if exponent > _MAX_EXPONENT:
                return BAD_ROW
            if at + n_bytes > tokens.size:
                return ENDS_EARLY
            mantissa = np.int64(0)
            for k in range(n_bytes):
                mantissa |= np.int64(tokens[at + k]) << (8 * k)
            if tokens[at + n_bytes - 1] >= 128:
                mantissa -= np.int64(1) << (8 * n_bytes)
            at += int(n_bytes)
            x = float(mantissa) / _POWERS[exponent]
        if not math.isfinite(x * x):
            return NOT_FINITE
        found[v] = x
    if tokens[_ROW_BIN] < N_CALIBRATION and not has_score:
        return BAD_ROW
    return FINE if at == tokens.size and number == numbers.size else LEFT_OVER


@kernel
def put_number(x: float, tokens: NDArray[np.uint8], at: int) -> tuple[int, bool]:
    """Write a number of a row as a decimal, or that it is among the floats.

    Most events have decimals of few digits, and dividing a whole number below 2^53 by a power
    of ten up to 10^22 gives the nearest float, which is the one that the text stands for
    (Clinger, How to read floating point numbers accurately, PLDI 1990). Returns the place
    behind it, and whether it is to be put among the floats.
    """
    for exponent in range(_MAX_EXPONENT + 1):
        scaled = x * _POWERS[exponent]
        if not -_MAX_DECIMAL < scaled < _MAX_DECIMAL:
            break
        mantissa = np.int64(round(scaled))
        if float(mantissa) / _POWERS[exponent] != x or (
            mantissa == 0 and math.copysign(1.0, x) < 0
        ):
            continue
        n_bytes = 1
        while not -(1 << (8 * n_bytes - 1)) <= mantissa < 1 << (8 * n_bytes - 1):
            n_bytes += 1
        tokens[at] = 1 + exponent * _MAX_MANTISSA + n_bytes - 1
        for k in range(n_bytes):
            tokens[at + 1 + k] = mantissa >> (8 * k) & 255
        return at + 1 + n_bytes, False
    tokens[at] = _WHOLE
    return at + 1, True


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
    if tokens.size >= ROW_TOKENS and tokens[0] == _LONG_RUN and tokens[1] == 0:
        values = np.empty(n_variables)
        found = _read_row(tokens, numbers, slice_rows.size, values)
        if found == FINE:
            last = n_variables - 1
            _add_row_to(tokens, values, 0, rows, integers, floats, is_exact)
            _add_row_to(tokens, values, last, slice_rows, slice_integers, slice_floats, is_exact)
        return found
    state = np.zeros(3, np.int64)
    is_finite = _is_finite(numbers)
    found = _read_block(
        tokens, numbers, n_variables, rows, integers, floats, most, is_exact, is_finite, state
    )
    if found != FINE:
        return found
    found = _read_block(
        tokens, numbers, 1, slice_rows, slice_integers, slice_floats, most, is_exact, is_finite,
        state,
    )  # fmt: skip
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


@kernel
def check_body(
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    n_segments: int,
    n_variables: int,
    n_slices: int,
    most: int,
) -> int:
    """Check a body of so many segments, variables and slices; ``FINE``, or what is wrong."""
    integers, floats = np.zeros((0, N_TALLIES), np.int64), np.zeros((0, N_CALIBRATION))
    nowhere = np.full(max(n_segments, n_slices), -1, np.int32)
    segments, slices = nowhere[:n_segments], nowhere[:n_slices]
    return add_body(
        tokens, numbers, n_variables, segments, integers, floats, slices, integers, floats,
        most, False,
    )  # fmt: skip


@kernel
def check_bodies(
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    shapes: NDArray[np.int64],
    most: int,
    faults: NDArray[np.int64],
) -> None:
    """Check bodies that lie behind each other.

    Parameters
    ----------
    shapes : ndarray of int64, shape (P, 5)
        Segments, variables and slices of each body; bytes of its tokens, and its floats.
    faults : ndarray of int64, shape (P,)
        Becomes ``FINE``, or what is wrong.
    """
    integers, floats = np.zeros((0, N_TALLIES), np.int64), np.zeros((0, N_CALIBRATION))
    n_most = 0
    for p in range(shapes.shape[0]):
        n_most = max(n_most, shapes[p, 0], shapes[p, 2])
    nowhere = np.full(n_most, -1, np.int32)
    token, number = 0, 0
    for p in range(shapes.shape[0]):
        token_end, number_end = token + shapes[p, 3], number + shapes[p, 4]
        faults[p] = add_body(
            tokens[token:token_end],
            numbers[number:number_end],
            shapes[p, 1],
            nowhere[: shapes[p, 0]],
            integers,
            floats,
            nowhere[: shapes[p, 2]],
            integers,
            floats,
            most,
            False,
        )
        token, number = token_end, number_end


@kernel
def start_row(tokens: NDArray[np.uint8], at: int, flags: int, place: int) -> None:
    """Write what comes before the variables of a row."""
    tokens[at], tokens[at + 1] = _LONG_RUN, 0
    tokens[at + _ROW_FLAGS], tokens[at + _ROW_BIN] = flags, place


@kernel
def _row_tokens(
    integers: NDArray[np.int64], floats: NDArray[np.float64], tokens: NDArray[np.uint8]
) -> bool:
    """Write the tokens of one series if it is that of one row."""
    bits = floats.view(np.int64)
    n_variables = (integers.shape[1] - N_TALLIES) // N_COUNTERS
    if integers[0, 0] != 1 or not 0 <= integers[0, 1] <= 1 or not 0 <= integers[0, 2] <= 1:
        return False
    start_row(tokens, 0, integers[0, 1] + 2 * integers[0, 2], N_CALIBRATION)
    for v in range(n_variables):
        counter = -1
        for k in range(N_COUNTERS):
            n = integers[0, N_TALLIES + v * N_COUNTERS + k]
            if n != 0 and (n != 1 or counter >= 0):
                return False
            counter = k if n == 1 else counter
        kind = kind_of(floats, bits, 0, N_CALIBRATION + v * N_MOMENTS)
        if counter < 0 or kind == FOUR:
            return False
        tokens[ROW_TOKENS + v] = counter + (HAS_NUMBER if kind == ONE else 0)
    last = N_CALIBRATION + (n_variables - 1) * N_MOMENTS
    for k in range(N_CALIBRATION):
        n = integers[0, _FIRST_CALIBRATION + k]
        if n == 0 and bits[0, k] == 0:
            continue
        is_other = n != 1 or tokens[_ROW_BIN] < N_CALIBRATION
        if is_other or n_variables == 0 or tokens[ROW_TOKENS + n_variables - 1] < HAS_NUMBER:
            return False
        if bits[0, k] != bits[0, last]:
            return False
        tokens[_ROW_BIN] = k
    return True


@kernel
def put_numbers(
    floats: NDArray[np.float64],
    tokens: NDArray[np.uint8],
    n_variables: int,
    numbers: NDArray[np.float64],
) -> tuple[int, int]:
    """Write the numbers of a row behind its variables; returns bytes of tokens, and floats."""
    at, number = ROW_TOKENS + n_variables, 0
    for v in range(n_variables):
        if tokens[ROW_TOKENS + v] & HAS_NUMBER:
            x = float(floats[0, N_CALIBRATION + v * N_MOMENTS])
            at, is_whole = put_number(x, tokens, at)
            if is_whole:
                numbers[number] = x
                number += 1
    return at, number


@kernel
def write_row(
    integers: NDArray[np.int64],
    floats: NDArray[np.float64],
    slice_integers: NDArray[np.int64],
    slice_floats: NDArray[np.float64],
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    lengths: NDArray[np.int64],
) -> bool:
    """Write statistics as one row, if every series is that of the same row.

    Parameters and results as of :func:`write_body`; False if they are of other rows.
    """
    n_integers, n_floats = integers.shape[1], floats.shape[1]
    n_variables = (n_integers - N_TALLIES) // N_COUNTERS
    if integers.shape[0] == 0 or (slice_integers.shape[0] > 0 and n_variables == 0):
        return False
    if not _row_tokens(integers, floats, tokens):
        return False
    bits, slice_bits = floats.view(np.int64), slice_floats.view(np.int64)
    for s in range(1, integers.shape[0]):
        for k in range(n_integers):
            if integers[s, k] != integers[0, k]:
                return False
        for k in range(n_floats):
            if bits[s, k] != bits[0, k]:
                return False
    for s in range(slice_integers.shape[0]):
        for k in range(N_TALLIES + N_COUNTERS):
            column = k if k < N_TALLIES else n_integers - N_COUNTERS + k - N_TALLIES
            if slice_integers[s, k] != integers[0, column]:
                return False
        for k in range(N_CALIBRATION + N_MOMENTS):
            column = k if k < N_CALIBRATION else n_floats - N_MOMENTS + k - N_CALIBRATION
            if slice_bits[s, k] != bits[0, column]:
                return False
    lengths[0], lengths[1] = put_numbers(floats, tokens, n_variables, numbers)
    return True
