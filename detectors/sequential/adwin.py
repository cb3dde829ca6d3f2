"""ADWIN: a window that grows without change and is cut at a change."""

from __future__ import annotations

import math

import numpy as np

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.sequential.signals import DRIFT, NOTHING, FloatArray
from detectors.sequential.detector import SequentialDetector, require

_DELTA, _CLOCK, _MAX_BUCKETS, _MIN_LENGTH, _GRACE = range(5)
_HAS_ALARMED, _TICK, _WIDTH, _TOTAL, _VARIANCE, _N_ROWS, _COUNTS = range(7)
_MAX_ROWS = 48
"""Buckets of up to 2^47 values: a millennium of a thousand a second."""
_N_SCALARS = _COUNTS + _MAX_ROWS
"""Behind them, by row and place, the bucket's total and its sum of squared deviations."""


@inlined
def begin(state: FloatArray) -> None:
    """Reset the state; the content of buckets is not read."""
    state[:_N_SCALARS] = 0.0
    state[_N_ROWS] = 1.0


@inlined
def drop_first(state: FloatArray, row: int, n_dropped: int, n_places: int) -> None:
    """Remove the oldest buckets of a row."""
    n = int(state[_COUNTS + row])
    at = _N_SCALARS + 2 * n_places * row
    for k in range(at, at + 2 * (n - n_dropped)):
        state[k] = state[k + 2 * n_dropped]
    state[_COUNTS + row] = n - n_dropped


@inlined
def insert(x: float, state: FloatArray, max_buckets: int) -> None:
    """Insert a value; merge the two oldest buckets of a row that is full."""
    n_places = max_buckets + 1
    width = state[_WIDTH] + 1.0
    if width > 1.0:
        gap = x - state[_TOTAL] / (width - 1.0)
        state[_VARIANCE] += (width - 1.0) * gap * gap / width
    state[_WIDTH] = width
    state[_TOTAL] += x
    row = 0
    size = 1.0
    total = x
    variance = 0.0
    while True:
        n = int(state[_COUNTS + row])
        at = _N_SCALARS + 2 * n_places * row
        state[at + 2 * n] = total
        state[at + 2 * n + 1] = variance
        state[_COUNTS + row] = n + 1
        if n < max_buckets:
            break
        gap = state[at] / size - state[at + 2] / size
        total = state[at] + state[at + 2]
        variance = state[at + 1] + state[at + 3] + size * size * gap * gap / (size + size)
        drop_first(state, row, 2, n_places)
        row += 1
        size *= 2.0
        if row == state[_N_ROWS]:
            state[_N_ROWS] = row + 1


@inlined
def remove_oldest(state: FloatArray, max_buckets: int) -> None:
    """Remove the oldest bucket."""
    n_places = max_buckets + 1
    row = int(state[_N_ROWS]) - 1
    at = _N_SCALARS + 2 * n_places * row
    size = float(1 << row)
    state[_WIDTH] -= size
    state[_TOTAL] -= state[at]
    gap = state[at] / size - state[_TOTAL] / state[_WIDTH]
    change = size * state[_WIDTH] * gap * gap / (size + state[_WIDTH])
    state[_VARIANCE] -= state[at + 1] + change
    drop_first(state, row, 1, n_places)
    if state[_COUNTS + row] == 0.0:
        state[_N_ROWS] = row


@inlined
def has_cut(state: FloatArray, delta: float, max_buckets: int, min_length: float) -> bool:
    """Return whether the window has a cut between parts with different means."""
    width = state[_WIDTH]
    if width < 2.0:
        return False
    log_term = math.log(2.0 * math.log(width) / delta)
    spread = state[_VARIANCE] / width
    n0 = 0.0
    n1 = width
    u0 = 0.0
    u1 = state[_TOTAL]
    for row in range(int(state[_N_ROWS]) - 1, -1, -1):
        size = float(1 << row)
        at = _N_SCALARS + 2 * (max_buckets + 1) * row
        for k in range(int(state[_COUNTS + row])):
            n0 += size
            n1 -= size
            u0 += state[at + 2 * k]
            u1 -= state[at + 2 * k]
            if n0 < min_length or n1 < min_length:
                continue
            m = 1.0 / (n0 - min_length + 1.0) + 1.0 / (n1 - min_length + 1.0)
            epsilon = math.sqrt(2.0 * m * spread * log_term) + 2.0 / 3.0 * log_term * m
            if abs(u0 / n0 - u1 / n1) > epsilon:
                return True
    return False


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one value."""
    if state[_HAS_ALARMED] != 0.0:
        begin(state)
    max_buckets = int(settings[_MAX_BUCKETS])
    insert(x, state, max_buckets)
    tick = state[_TICK] + 1.0
    state[_TICK] = tick
    if tick % settings[_CLOCK] != 0.0 or state[_WIDTH] <= settings[_GRACE]:
        return NOTHING
    while has_cut(state, settings[_DELTA], max_buckets, settings[_MIN_LENGTH]):
        remove_oldest(state, max_buckets)
        state[_HAS_ALARMED] = 1.0
    return DRIFT if state[_HAS_ALARMED] != 0.0 else NOTHING


class ADWIN(SequentialDetector, step=step):
    """Adaptive windowing; for changes of unknown kind and size.

    It follows the mean of any bounded or light-tailed stream, forgets by itself, and has
    a bound on false alarms. Page-Hinkley and CUSUM see one known size of shift sooner,
    KSWIN also changes that leave the mean where it was.

    Parameters
    ----------
    delta : float, default .002
        Bound on the false-alarm probability of one check.
    clock : int, default 32
        Values between two checks.
    max_buckets : int, default 5
        Buckets of one size; more make finer cuts and more state.
    min_window_length : int, default 5
        Values either part of a cut must have.
    grace_period : int, default 10
        No check while the window is not longer.

    Notes
    -----
    The window is an exponential histogram: buckets of 1, 2, 4, ... values. It is cut
    where the means of older and newer part differ by more than (section 3 of the paper,
    the bound with the variance s^2; n is the window's length, m as river has it)::

        e = sqrt(2 m s^2 ln(2 ln(n) / delta)) + 2/3 m ln(2 ln(n) / delta)
        m = 1 / (n0 - min + 1) + 1 / (n1 - min + 1)

    The oldest bucket goes until no cut is left, and that is an alarm. Alarms and window
    are river 0.26.1's to the last bit; as there, the value after an alarm begins a new
    window. O(log n) a value at most; O(max_buckets log n) numbers of state, 5 kB.

    References
    ----------
    Bifet, Gavalda, Learning from time-changing data with adaptive windowing, SDM (2007).

    Examples
    --------
    >>> detector = ADWIN()
    >>> for i in range(400):
    ...     detector.update(0.2 if i < 200 else 0.9)
    ...     if detector.drift_detected:
    ...         print(i, detector.width)
    223 80
    """

    __slots__ = ()

    def __init__(
        self,
        delta: float = 0.002,
        clock: int = 32,
        max_buckets: int = 5,
        min_window_length: int = 5,
        grace_period: int = 10,
    ) -> None:
        require(0 < delta < 1, "ADWIN", "delta", delta, "use a number between 0 and 1")
        require(clock >= 1, "ADWIN", "clock", clock, "use 1 or more")
        require(max_buckets >= 2, "ADWIN", "max_buckets", max_buckets, "use 2 or more")
        fix = "use 1 or more"
        require(min_window_length >= 1, "ADWIN", "min_window_length", min_window_length, fix)
        require(grace_period >= 1, "ADWIN", "grace_period", grace_period, fix)
        state = np.zeros(_N_SCALARS + 2 * _MAX_ROWS * (max_buckets + 1))
        begin(state)
        super().__init__(
            {
                "delta": delta,
                "clock": clock,
                "max_buckets": max_buckets,
                "min_window_length": min_window_length,
                "grace_period": grace_period,
            },
            [delta, clock, max_buckets, min_window_length, grace_period],
            state,
        )

    @property
    def width(self) -> int:
        """Values in the window."""
        return int(self._state[_WIDTH])

    @property
    def total(self) -> float:
        """Their sum."""
        return float(self._state[_TOTAL])

    @property
    def variance(self) -> float:
        """Sum of squared deviations from the mean, which river calls variance."""
        return float(self._state[_VARIANCE])

    @property
    def estimation(self) -> float:
        """Their mean; 0 in an empty window."""
        return self.total / self.width if self.width else 0.0
