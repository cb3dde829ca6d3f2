"""KSWIN: Kolmogorov-Smirnov between the newest values and a sample of older ones."""

from __future__ import annotations

import math
import random

import numpy as np
from numpy.typing import ArrayLike

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.mersenne import N_PLACES, draw_below
from detectors.kernels.sequential.signals import DRIFT, NOTHING, FloatArray
from detectors.sequential.detector import SequentialDetector, numbers, require
from schemas.errors import DomainError

LEAST_STATISTIC = 0.1
"""D must also be above this; river's."""
MAX_EXACT = 10_000
"""Values a side up to which scipy's p-value is exact."""

_SIZE, _STAT_SIZE, _LEAST_GAP, _HAS_POOL, _IS_SEEDED = range(5)
_HAS_ALARMED, _N, _GAP, _RANDOM = 0, 1, 2, 3
"""Alarm, values since the last one, largest gap of counts (-1: not tested), generator."""
_FIRST_RANDOM = _RANDOM + N_PLACES
"""Initial state of the generator."""
_WINDOW = _FIRST_RANDOM + N_PLACES
"""The window in ascending order; the place in arrival, modulo size, of each; a mark of
each by arrival, and the pool of those not drawn: both are only used within a step.
"""


@inlined
def begin(is_seeded: bool, state: FloatArray) -> None:
    """Forget all values; a seeded generator starts again, as river's does."""
    state[_HAS_ALARMED] = 0.0
    state[_N] = 0.0
    state[_GAP] = -1.0
    if is_seeded:
        for k in range(N_PLACES):
            state[_RANDOM + k] = state[_FIRST_RANDOM + k]


@inlined
def put(x: float, size: int, state: FloatArray) -> None:
    """Insert a value into the ordered window, replacing the oldest if it is full."""
    n = int(state[_N])
    places = _WINDOW + size
    last = min(n, size - 1)
    at = last
    if n >= size:
        at = 0
        while state[places + at] != n % size:
            at += 1
    while at > 0 and state[_WINDOW + at - 1] > x:
        state[_WINDOW + at] = state[_WINDOW + at - 1]
        state[places + at] = state[places + at - 1]
        at -= 1
    while at < last and state[_WINDOW + at + 1] < x:
        state[_WINDOW + at] = state[_WINDOW + at + 1]
        state[places + at] = state[places + at + 1]
        at += 1
    state[_WINDOW + at] = x
    state[places + at] = n % size
    state[_N] = n + 1.0


@uncounted
def mark(n: int, k: int, has_pool: bool, state: FloatArray, marks: int) -> None:
    """Set ``k`` of the first ``n`` marks to -1: the draws of ``Random.sample(range(n), k)``.

    Python keeps the numbers not yet drawn in a pool, or, where that would be large,
    draws again what came before. The pool lies behind the marks.
    """
    n_bits = 1
    while n >> n_bits:
        n_bits += 1
    if not has_pool:
        for _ in range(k):
            drawn = draw_below(n, n_bits, state, _RANDOM)
            while state[marks + drawn] != 0.0:
                drawn = draw_below(n, n_bits, state, _RANDOM)
            state[marks + drawn] = -1.0
        return
    pool = marks + n + k
    for i in range(n):
        state[pool + i] = i
    for left in range(n, n - k, -1):
        if left >> (n_bits - 1) == 0:
            n_bits -= 1
        drawn = draw_below(left, n_bits, state, _RANDOM)
        state[marks + int(state[pool + drawn])] = -1.0
        state[pool + drawn] = state[pool + left - 1]


@uncounted
def largest_gap(size: int, stat_size: int, has_pool: bool, state: FloatArray) -> int:
    """Return D times ``stat_size``: +1 for each recent value, -1 for each one drawn."""
    places = _WINDOW + size
    marks = places + size
    n_older = size - stat_size
    for k in range(n_older):
        state[marks + k] = 0.0
    for k in range(n_older, size):
        state[marks + k] = 1.0
    mark(n_older, stat_size, has_pool, state, marks)
    oldest = int(state[_N]) % size
    total = 0.0
    gap = 0.0
    for k in range(size):
        position = int(state[places + k]) - oldest
        total += state[marks + (position if position >= 0 else position + size)]
        # of equal values only the last one is a step of both distributions
        if k + 1 == size or state[_WINDOW + k + 1] != state[_WINDOW + k]:
            gap = max(gap, abs(total))
    return int(gap)


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one value."""
    if state[_HAS_ALARMED] != 0.0:
        begin(settings[_IS_SEEDED] != 0.0, state)
    size = int(settings[_SIZE])
    put(x, size, state)
    if state[_N] < size:
        return NOTHING
    gap = largest_gap(size, int(settings[_STAT_SIZE]), settings[_HAS_POOL] != 0.0, state)
    state[_GAP] = gap
    if gap < settings[_LEAST_GAP]:
        return NOTHING
    state[_HAS_ALARMED] = 1.0
    return DRIFT


def p_value(gap: int, n: int) -> float:
    """P-value of D = ``gap / n`` between two samples of ``n``, as scipy's ``ks_2samp``.

    Parameters
    ----------
    gap : int
        n D, in 0..n.
    n : int
        Values a side.

    Returns
    -------
    float
        Exact up to 10,000 a side, digit by digit scipy's; asymptotic beyond.

    Notes
    -----
    With A_k = C(2n, n - k gap) / C(2n, n), P = 2 (A_1 - A_2 + A_3 - ...), each A_k by
    its ratio to the one before (Hodges). O(n): no table, no lattice.

    References
    ----------
    Hodges, The significance probability of the Smirnov two-sample test, Ark. Mat. 3
    (1958), section 2.

    Examples
    --------
    >>> print(f"{p_value(12, 30):.6f}")
    0.015643
    """
    if gap == 0:
        return 1.0
    nested = 0.0
    for k in range(n // gap, -1, -1):
        ratio = 1.0
        for j in range(gap):
            ratio = (n - k * gap - j) * ratio / (n + k * gap + j + 1)
        nested = ratio * (1.0 - nested)
    if n <= MAX_EXACT and 0.0 <= 2.0 * nested <= 1.0:
        return 2.0 * nested
    from scipy.stats import kstwo

    return float(np.clip(kstwo.sf(gap / n, np.round(n / 2)), 0.0, 1.0))


def least_gap(alpha: float, n: int) -> int:
    """Return the smallest n D that is an alarm, by bisection; n + 1 if there is none."""
    low, high = 0, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        if p_value(middle, n) <= alpha and middle / n > LEAST_STATISTIC:
            high = middle
        else:
            low = middle
    return high


class KSWIN(SequentialDetector, step=step):
    """Kolmogorov-Smirnov windowing; for changes that leave the mean where it was.

    It sees spread and shape, which ADWIN and Page-Hinkley do not, and costs most. It
    tests at every value, so alpha is no bound on false alarms of a stream: .005 gives
    one in some hundred values.

    Parameters
    ----------
    alpha : float, default .005
        An alarm needs a p-value of at most this, and D above .1.
    window_size : int, default 100
        Values kept.
    stat_size : int, default 30
        The newest of them, compared with as many drawn from the others.
    seed : int, optional
        Of the draws.
    window : iterable of float, optional
        Values to begin with; the last ``window_size`` are kept.

    Attributes
    ----------
    p_value : float
        Of the last test; NaN before the first.

    Notes
    -----
    The two samples are of one size n, so p depends on n D alone, a whole number, and
    the alarm is n D >= a limit found once. The window is kept in order: O(window_size)
    a value, a p-value only on request.

    Names, parameters and p-values are river 0.26.1's (scipy's exact two-sample test).
    Alarms too, given a ``seed``: the draws are those of ``random.Random(seed).sample``
    in CPython 3.11, which river restarts after every alarm. Without a seed neither can
    be repeated, but a saved state goes on with the same draws.

    References
    ----------
    Raab, Heusinger, Schleif, Reactive soft prototype computing for concept drift
    streams, Neurocomputing 416 (2020).

    Examples
    --------
    >>> detector = KSWIN(seed=1)
    >>> for i in range(200):
    ...     detector.update(i % 7 if i < 150 else 10 + i % 7)
    ...     if detector.drift_detected:
    ...         print(i, f"{detector.p_value:.4f}")
    163 0.0025
    """

    __slots__ = ()

    def __init__(
        self,
        alpha: float = 0.005,
        window_size: int = 100,
        stat_size: int = 30,
        seed: int | None = None,
        window: ArrayLike | None = None,
    ) -> None:
        require(0 <= alpha <= 1, "KSWIN", "alpha", alpha, "use a number in [0, 1]")
        require(stat_size >= 1, "KSWIN", "stat_size", stat_size, "use 1 or more")
        fix = f"use at least twice stat_size, {2 * stat_size}"
        require(window_size >= 2 * stat_size, "KSWIN", "window_size", window_size, fix)
        state = np.zeros(_WINDOW + 4 * window_size - stat_size)
        words = random.Random(seed).getstate()[1]
        state[_RANDOM:_FIRST_RANDOM] = state[_FIRST_RANDOM:_WINDOW] = words
        begin(seed is not None, state)
        # the size of a set of stat_size numbers, below which Python takes a pool
        set_size = 21 + (4 ** math.ceil(math.log(stat_size * 3, 4)) if stat_size > 5 else 0)
        has_pool = window_size - stat_size <= set_size
        limit = least_gap(alpha, stat_size)
        # window is not among them: a saved state holds its values already
        super().__init__(
            {"alpha": alpha, "window_size": window_size, "stat_size": stat_size, "seed": seed},
            [window_size, stat_size, limit, has_pool, seed is not None],
            state,
        )
        if window is not None:
            for x in _finite(window)[-window_size:]:
                put(x, window_size, state)

    @property
    def p_value(self) -> float:
        """P-value of the last test; NaN before the first."""
        gap = int(self._state[_GAP])
        return p_value(gap, int(self._settings[_STAT_SIZE])) if gap >= 0 else math.nan


def _finite(window: ArrayLike) -> list[float]:
    """Check the values to begin with."""
    array = numbers(window, "KSWIN")
    if not np.isfinite(array).all():
        value = float(array[~np.isfinite(array)][0])
        fix = "leave missing values out"
        raise DomainError(f"a value of window is {value!r}", where="KSWIN", fix=fix)
    return array.tolist()  # type: ignore[no-any-return]
