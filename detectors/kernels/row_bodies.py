"""The bodies of panes that hold rows, written without counters.

A body is that of :mod:`detectors.kernels.pane_body` and has the same bytes as one made of
counters: numbers are added in the order in which :mod:`~detectors.kernels.rows` and
:func:`~detectors.kernels.accumulate.fold` add them. Each combination of segment values is
added up by itself, in the order of its rows; combinations are added in the order of their first
rows.

Panes of several layouts are written together: ``shapes`` has the shape of each layout, see
:mod:`~detectors.kernels.rows`. ``digits`` has of each layout from ``starts`` on the radix of
every segment's values, then the rank of each of these values among the names of the layout's
series; -1 is a value that belongs to no series.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.accumulate import N_MOMENTS, N_TALLIES
from detectors.kernels.jit import kernel, uncounted
from detectors.kernels.pane_body import (
    FOUR,
    HAS_NUMBER,
    NONE,
    ONE,
    ROW_TOKENS,
    TWO_BYTES,
    kind_of,
    put_number,
    start_row,
    write_number,
    write_zeros,
)
from detectors.kernels.rows import (
    COMBINATION,
    HEAD,
    HOST_NUMBER,
    N_INTEGERS,
    N_NUMBERS,
    N_SEGMENTS,
    N_VARIABLES,
    SIZE,
    WORDS,
)
from schemas.panes import MISSING, N_CALIBRATION, N_COUNTERS

_LARGEST = float(np.finfo(np.float64).max)


@uncounted
def _write_ranks(
    combination: int,
    digits: NDArray[np.int64],
    start: int,
    n_segments: int,
    ranks: NDArray[np.int64],
    at: int,
) -> None:
    """Write the ranks of the series that a combination of segment values belongs to."""
    end = start + n_segments
    for s in range(n_segments):
        end += digits[start + s]
    for s in range(n_segments - 1, -1, -1):
        radix = digits[start + s]
        end -= radix
        ranks[at + s] = digits[end + combination % radix]
        combination //= radix


@uncounted
def _note(value: int, found: NDArray[np.int64], first: int, end: int) -> int:
    """Append a value that is not in ``found[first:end]`` yet; returns the new end."""
    for k in range(first, end):
        if found[k] == value:
            return end
    found[end] = value
    return end + 1


@kernel
def list_series(
    panes: NDArray[np.int64],
    layouts: NDArray[np.int64],
    shapes: NDArray[np.int64],
    digits: NDArray[np.int64],
    starts: NDArray[np.int64],
    chains: NDArray[np.int32],
    following: NDArray[np.int32],
    integers: NDArray[np.int64],
    segments: NDArray[np.int64],
    slices: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> None:
    """List the series that the rows of each pane belong to, beside ``*``.

    Parameters
    ----------
    panes, layouts : ndarray of int64, shape (P,)
        Chain and layout of each pane.
    segments : ndarray of int64
        Becomes the ranks of the segments of each pane, ascending.
    slices : ndarray of int64
        Becomes the hosts and GPUs of each pane in the order of their first rows: twice the
        number, for a GPU one more.
    ends : ndarray of int64, shape (P, 2)
        Becomes the end of each pane's segments and slices.
    """
    n_listed, n_sliced = 0, 0
    ranks = np.empty(64, np.int64)
    for p in range(panes.size):
        shape = shapes[layouts[p]]
        n_segments = shape[N_SEGMENTS]
        if n_segments > ranks.size:
            ranks = np.empty(n_segments, np.int64)
        first_segment, first_slice = n_listed, n_sliced
        record = chains[panes[p], HEAD]
        for _ in range(chains[panes[p], SIZE]):
            word = record * shape[WORDS] + shape[N_NUMBERS]
            if n_segments:
                start = starts[layouts[p]]
                _write_ranks(integers[word + COMBINATION], digits, start, n_segments, ranks, 0)
                for s in range(n_segments):
                    if ranks[s] >= 0:
                        n_listed = _note(ranks[s], segments, first_segment, n_listed)
            if shape[N_VARIABLES]:
                for is_gpu in range(2):
                    number = integers[word + HOST_NUMBER + is_gpu]
                    if number:
                        n_sliced = _note(2 * number + is_gpu, slices, first_slice, n_sliced)
            record = following[record]
        for i in range(first_segment + 1, n_listed):
            rank, k = segments[i], i
            while k > first_segment and segments[k - 1] > rank:
                segments[k] = segments[k - 1]
                k -= 1
            segments[k] = rank
        ends[p, 0], ends[p, 1] = n_listed, n_sliced


@uncounted
def _put(value: int, zeros: int, tokens: NDArray[np.uint8], at: int) -> tuple[int, int]:
    """Write a number; returns the zeros that wait to be written, and the place behind it."""
    if value == 0:
        return zeros + 1, at
    if zeros > 0:
        at = write_zeros(zeros, tokens, at)
    if value < TWO_BYTES:
        tokens[at] = value
        return 0, at + 1
    return 0, write_number(value, tokens, at)


@uncounted
def _finite(x: float) -> float:
    """Return a sum as it is written: the largest number there is for one beyond it."""
    if math.isfinite(x):
        return x
    return -_LARGEST if x == -np.inf else _LARGEST


@uncounted
def _write_series(
    records: NDArray[np.int32],
    slots: NDArray[np.int64],
    n: int,
    first: int,
    shape: NDArray[np.int64],
    floats: NDArray[np.float64],
    octets: NDArray[np.uint8],
    counts: NDArray[np.int64],
    tallies: NDArray[np.int64],
    partial: NDArray[np.float64],
    sums: NDArray[np.float64],
    bits: NDArray[np.int64],
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    state: NDArray[np.int64],
) -> None:
    """Append one series: of the first ``n`` records the variables from ``first`` on.

    ``slots`` is the combination of each record, equal ones behind each other. ``counts`` (64,)
    are zero before and afterwards; ``tallies`` (23,), ``partial`` (20,), ``sums`` (1, 20 + 4 V)
    and its ``bits`` are overwritten. ``state`` is [next token, next float, zeros that wait].
    """
    at, number, zeros = state[0], state[1], state[2]
    n_numbers, n_variables, words = shape[N_NUMBERS], shape[N_VARIABLES], shape[WORDS]
    for k in range(N_TALLIES):
        tallies[k] = 0
    for k in range(N_CALIBRATION):
        partial[k] = 0.0
        sums[0, k] = 0.0
    for j in range(n):
        if j and slots[j] != slots[j - 1]:
            for k in range(N_CALIBRATION):
                sums[0, k] += partial[k]
                partial[k] = 0.0
        word = records[j] * words
        predicted = octets[8 * (word + n_numbers + N_INTEGERS) + n_variables]
        tallies[1] += predicted > 0
        tallies[2] += predicted > 1
        if n_numbers:
            x = float(floats[word + n_numbers - 1])
            if x >= 0.0 and x <= 1.0:
                place = int(min(x * N_CALIBRATION, N_CALIBRATION - 1.0))
                tallies[N_TALLIES - N_CALIBRATION + place] += 1
                partial[place] += x
    tallies[0] = n
    for k in range(N_TALLIES):
        zeros, at = _put(tallies[k], zeros, tokens, at)
    counted, held = 0, 0
    for k in range(N_CALIBRATION):
        sums[0, k] = _finite(sums[0, k] + partial[k])
        counted |= (tallies[N_TALLIES - N_CALIBRATION + k] != 0) << k
        held |= (bits[0, k] != 0) << k
    for v in range(first, n_variables):
        column = n_numbers - 1 if v == n_variables - 1 else v
        is_number = v == n_variables - 1 or v < n_numbers - 1
        total, squares, own_total, own_squares = 0.0, 0.0, 0.0, 0.0
        lowest, highest = np.inf, -np.inf
        least, most = N_COUNTERS, -1
        for j in range(n):
            if j and slots[j] != slots[j - 1]:
                total, squares = total + own_total, squares + own_squares
                own_total, own_squares = 0.0, 0.0
            word = records[j] * words
            counter = int(octets[8 * (word + n_numbers + N_INTEGERS) + v])
            counts[counter] += 1
            least, most = min(least, counter), max(most, counter)
            if is_number and counter != MISSING:
                x = float(floats[word + column])
                own_total += x
                own_squares += x * x
                lowest, highest = min(lowest, x), max(highest, x)
        f = N_CALIBRATION + (v - first) * N_MOMENTS
        sums[0, f] = _finite(total + own_total)
        sums[0, f + 1] = _finite(squares + own_squares)
        # + 0.0 turns -0.0 into 0.0, as counters do
        sums[0, f + 2], sums[0, f + 3] = lowest + 0.0, highest + 0.0
        zeros += least
        for k in range(least, most + 1):
            zeros, at = _put(counts[k], zeros, tokens, at)
            counts[k] = 0
        zeros += N_COUNTERS - 1 - most
    for k in range(N_CALIBRATION):
        if bits[0, k] != 0:
            numbers[number] = sums[0, k]
            number += 1
    value = 0 if held == counted else held + 1
    for v in range(first, n_variables + 1):
        zeros, at = _put(value, zeros, tokens, at)
        if v < n_variables:
            f = N_CALIBRATION + (v - first) * N_MOMENTS
            value = kind_of(sums, bits, 0, f)
            for m in range(1 if value == ONE else (N_MOMENTS if value == FOUR else NONE)):
                numbers[number] = sums[0, f + m]
                number += 1
    state[0], state[1], state[2] = at, number, zeros


@kernel
def _write_row(
    record: int,
    shape: NDArray[np.int64],
    floats: NDArray[np.float64],
    octets: NDArray[np.uint8],
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    state: NDArray[np.int64],
) -> bool:
    """Append a pane of one record as that row; False if it cannot be written so."""
    n_numbers, n_variables = shape[N_NUMBERS], shape[N_VARIABLES]
    word = record * shape[WORDS]
    first = 8 * (word + n_numbers + N_INTEGERS)
    start, number = state[0], state[1]
    place = N_CALIBRATION
    if n_numbers:
        x = float(floats[word + n_numbers - 1])
        if x >= 0.0 and x <= 1.0:
            if n_variables == 0:
                return False
            place = int(min(x * N_CALIBRATION, N_CALIBRATION - 1.0))
    predicted = octets[first + n_variables]
    start_row(tokens, start, int(predicted > 0) + 2 * int(predicted > 1), place)
    at = start + ROW_TOKENS + n_variables
    for v in range(n_variables):
        counter = np.int64(octets[first + v])
        is_number = v == n_variables - 1 or v < n_numbers - 1
        if not is_number or counter == MISSING:
            tokens[start + ROW_TOKENS + v] = counter
            continue
        # + 0.0 turns -0.0 into 0.0, as counters do
        x = float(floats[word + (n_numbers - 1 if v == n_variables - 1 else v)]) + 0.0
        if not math.isfinite(x * x):
            return False
        tokens[start + ROW_TOKENS + v] = counter + HAS_NUMBER
        at, is_whole = put_number(x, tokens, at)
        if is_whole:
            numbers[number] = x
            number += 1
    state[0], state[1] = at, number
    return True


@kernel
def write_bodies(
    panes: NDArray[np.int64],
    layouts: NDArray[np.int64],
    shapes: NDArray[np.int64],
    digits: NDArray[np.int64],
    starts: NDArray[np.int64],
    chains: NDArray[np.int32],
    following: NDArray[np.int32],
    floats: NDArray[np.float64],
    integers: NDArray[np.int64],
    octets: NDArray[np.uint8],
    segments: NDArray[np.int64],
    slices: NDArray[np.int64],
    series_ends: NDArray[np.int64],
    tokens: NDArray[np.uint8],
    numbers: NDArray[np.float64],
    ends: NDArray[np.int64],
) -> None:
    """Write tokens and floats of every pane behind each other: 1 us a row of 21 numbers.

    Parameters
    ----------
    segments, slices, series_ends : ndarray of int64
        As of :func:`list_series`; slices in the order of their names.
    tokens, numbers : ndarray of uint8, of float64
        With room for all: see :func:`~monitor.core.windowing.held.row_bodies.row_bodies`.
    ends : ndarray of int64, shape (P, 2)
        Becomes the ends of each pane's tokens and floats.
    """
    n_most = 0
    for p in range(panes.size):
        n_most = max(n_most, int(chains[panes[p], SIZE]))
    n_columns, n_segments = 0, 0
    for layout in range(shapes.shape[0]):
        n_columns = max(n_columns, int(shapes[layout, N_VARIABLES]))
        n_segments = max(n_segments, int(shapes[layout, N_SEGMENTS]))
    came, records, chosen = (
        np.empty(n_most, np.int32),
        np.empty(n_most, np.int32),
        np.empty(n_most, np.int32),
    )
    slots, chosen_slots = np.zeros(n_most, np.int64), np.zeros(n_most, np.int64)
    combinations, tallies = np.empty(n_most, np.int64), np.empty(N_TALLIES, np.int64)
    ranks = np.empty(n_most * n_segments, np.int64)
    counts, partial = np.zeros(N_COUNTERS, np.int64), np.empty(N_CALIBRATION)
    sums = np.empty((1, N_CALIBRATION + N_MOMENTS * n_columns))
    bits = sums.view(np.int64)
    state = np.zeros(3, np.int64)
    first_segment, first_slice = 0, 0
    for p in range(panes.size):
        shape = shapes[layouts[p]]
        n_segments = shape[N_SEGMENTS]
        n = int(chains[panes[p], SIZE])
        record = chains[panes[p], HEAD]
        for j in range(n):
            came[j] = record
            record = following[record]
        is_row = n == 1 and _write_row(came[0], shape, floats, octets, tokens, numbers, state)
        if is_row:
            ends[p, 0], ends[p, 1] = state[0], state[1]
            first_segment, first_slice = series_ends[p, 0], series_ends[p, 1]
            continue
        n_slots = 0
        if n_segments == 0:
            records[:n] = came[:n]
            slots[:n] = 0
        else:
            at = 0
            start = starts[layouts[p]]
            for j in range(n):
                word = came[j] * shape[WORDS] + shape[N_NUMBERS]
                n_slots = _note(integers[word + COMBINATION], combinations, 0, n_slots)
            for slot in range(n_slots):
                _write_ranks(
                    combinations[slot], digits, start, n_segments, ranks, slot * n_segments
                )
                for j in range(n):
                    word = came[j] * shape[WORDS] + shape[N_NUMBERS]
                    if integers[word + COMBINATION] == combinations[slot]:
                        records[at], slots[at] = came[j], slot
                        at += 1
        n_listed = series_ends[p, 0] - first_segment
        n_series = 1 + n_listed + series_ends[p, 1] - first_slice
        for i in range(n_series):
            # one call for the pane, its segments and its slices: it is long, and is compiled once
            n_chosen, first = 0, 0
            if i <= n_listed:
                for j in range(n):
                    is_in = i == 0
                    for s in range(n_segments if i else 0):
                        rank = segments[first_segment + i - 1]
                        is_in = is_in or ranks[slots[j] * n_segments + s] == rank
                    if is_in:
                        chosen[n_chosen], chosen_slots[n_chosen] = records[j], slots[j]
                        n_chosen += 1
            else:
                first = shape[N_VARIABLES] - 1
                code = slices[first_slice + i - n_listed - 1]
                for j in range(n):
                    word = came[j] * shape[WORDS] + shape[N_NUMBERS] + HOST_NUMBER + code % 2
                    if integers[word] == code // 2:
                        chosen[n_chosen], chosen_slots[n_chosen] = came[j], 0
                        n_chosen += 1
            _write_series(
                chosen, chosen_slots, n_chosen, first, shape, floats, octets, counts, tallies,
                partial, sums, bits, tokens, numbers, state,
            )  # fmt: skip
        if state[2] > 0:
            state[0] = write_zeros(state[2], tokens, state[0])
            state[2] = 0
        ends[p, 0], ends[p, 1] = state[0], state[1]
        first_segment, first_slice = int(series_ends[p, 0]), int(series_ends[p, 1])


__all__ = ["list_series", "write_bodies"]
