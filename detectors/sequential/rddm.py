"""RDDM: DDM that forgets old instances, so that a long quiet stretch does not deafen it."""

from __future__ import annotations

import math

import numpy as np

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.sequential.signals import DRIFT, NOTHING, WARNING, FloatArray
from detectors.sequential.detector import ErrorWarningDetector, require

_WARM_START, _WARNING, _DRIFT, _SIZE, _MAX_SIZE, _LIMIT = range(6)
_HAS_ALARMED, _IS_TOO_LONG, _N, _P, _P_MIN, _S_MIN, _N_SEEN, _N_KEPT, _SINCE, _WINDOW = range(10)
"""Alarm; statistics are to be counted again; values in them, their error rate, the best
one and its standard deviation; values seen; newest of them kept; ordinal of the value
with which the present warning began, 0 for none; the kept values, a ring.
"""


@inlined
def begin(state: FloatArray) -> None:
    """Forget everything."""
    state[:] = 0.0
    state[_P_MIN] = np.inf
    state[_S_MIN] = np.inf


@inlined
def count(x: float, n_least: float, state: FloatArray) -> float:
    """Add one value, keep the best rate of ``n_least`` values or more, return its s."""
    n = state[_N] + 1.0
    p = state[_P] + (x - state[_P]) / n
    # if every value was an error, p may have been rounded above 1
    s = math.sqrt(max(p * (1.0 - p), 0.0) / n)
    state[_N] = n
    state[_P] = p
    if n >= n_least and p + s < state[_P_MIN] + state[_S_MIN]:
        state[_P_MIN] = p
        state[_S_MIN] = s
    return s


@inlined
def count_again(settings: FloatArray, state: FloatArray) -> None:
    """Recompute the statistics from kept values: those since the warning began, or all."""
    is_new_concept = state[_HAS_ALARMED] != 0.0
    if is_new_concept:
        state[_P_MIN] = np.inf
        state[_S_MIN] = np.inf
    seen = int(state[_N_SEEN])
    if state[_SINCE] > 0.0:
        state[_N_KEPT] = min(seen - state[_SINCE] + 1.0, settings[_SIZE])
    size = int(settings[_SIZE])
    # the authors' program requires one value more here than while counting
    n_least = settings[_WARM_START] + 1.0 if is_new_concept else np.inf
    state[_N] = 0.0
    state[_P] = 0.0
    for ordinal in range(seen - int(state[_N_KEPT]), seen):
        count(state[_WINDOW + ordinal % size], n_least, state)
    state[_SINCE] = 0.0
    state[_HAS_ALARMED] = 0.0
    state[_IS_TOO_LONG] = 0.0


@inlined
def alarm(state: FloatArray, is_sudden: bool) -> int:
    """Record an alarm; without a preceding warning only its value is kept."""
    state[_HAS_ALARMED] = 1.0
    if is_sudden:
        state[_N_KEPT] = 1.0
        state[_SINCE] = 0.0
    return DRIFT


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one error or success."""
    if state[_HAS_ALARMED] != 0.0 or state[_IS_TOO_LONG] != 0.0:
        count_again(settings, state)
    size = int(settings[_SIZE])
    state[_WINDOW + int(state[_N_SEEN]) % size] = x
    state[_N_SEEN] += 1.0
    state[_N_KEPT] = min(state[_N_KEPT] + 1.0, settings[_SIZE])
    s = count(x, settings[_WARM_START], state)
    if state[_N] < settings[_WARM_START]:
        return NOTHING
    reach = state[_P] + s
    if reach > state[_P_MIN] + settings[_DRIFT] * state[_S_MIN]:
        return alarm(state, state[_SINCE] == 0.0)
    if reach > state[_P_MIN] + settings[_WARNING] * state[_S_MIN]:
        if state[_SINCE] == 0.0:
            state[_SINCE] = state[_N_SEEN]
        elif state[_N_SEEN] - state[_SINCE] >= settings[_LIMIT]:
            return alarm(state, True)
        return WARNING
    state[_SINCE] = 0.0
    if state[_N] >= settings[_MAX_SIZE]:
        state[_IS_TOO_LONG] = 1.0
    return NOTHING


class RDDM(ErrorWarningDetector, step=step):
    """Reactive drift detection method; DDM for long concepts.

    After a hundred thousand quiet values DDM needs thousands of errors to move its rate.
    RDDM counts again from the newest 7,000 now and then, and ends a warning that lasts.

    Parameters
    ----------
    warm_start : int, default 129
        Values the statistics must hold before anything signals.
    warning_threshold, drift_threshold : float, default 1.773 and 2.258
        In standard deviations at the best moment so far.
    buffer_size : int, default 7000
        Newest values that are kept, to count again from.
    max_concept_size : int, default 40000
        Statistics of this many values are counted again from those kept.
    warning_limit : int, default 1400
        A warning this many values old becomes an alarm.

    Notes
    -----
    Values are errors, 1 wrong and 0 right. Rates and thresholds are those of DDM. At the
    value after an alarm p, s and their minimum come from the values since the warning
    began (from the alarm's own where there was none, or it had lasted too long); at the
    one after an over-long concept from the values kept, with the minimum as it was. So
    an alarm does not forget everything, as it does elsewhere.

    Where the paper leaves room it does what the authors' program does (MOA,
    ``RDDM.java``): tests begin with the ``warm_start``-th value, and among values counted
    again the best rate is sought after that one. river 0.26.1 has no RDDM. O(1) a value,
    O(buffer_size) after an alarm; 56 kB of state.

    References
    ----------
    Barros, Cabral, Goncalves, Santos, RDDM: reactive drift detection method, Expert
    Syst. Appl. 90 (2017).

    Examples
    --------
    >>> RDDM.detect([0, 0, 0, 0, 1] * 40 + [1] * 20).drifts
    array([207])
    """

    __slots__ = ()
    _only_whole = True

    def __init__(
        self,
        warm_start: int = 129,
        warning_threshold: float = 1.773,
        drift_threshold: float = 2.258,
        buffer_size: int = 7000,
        max_concept_size: int = 40000,
        warning_limit: int = 1400,
    ) -> None:
        for name, size in (
            ("warm_start", warm_start),
            ("buffer_size", buffer_size),
            ("max_concept_size", max_concept_size),
            ("warning_limit", warning_limit),
        ):
            require(size >= 1, "RDDM", name, size, "use 1 or more")
        fix = "use a number above 0"
        require(warning_threshold > 0, "RDDM", "warning_threshold", warning_threshold, fix)
        fix = f"use more than warning_threshold, {warning_threshold!r}"
        is_above = drift_threshold > warning_threshold
        require(is_above, "RDDM", "drift_threshold", drift_threshold, fix)
        state = np.empty(_WINDOW + buffer_size)
        begin(state)
        super().__init__(
            {
                "warm_start": warm_start,
                "warning_threshold": warning_threshold,
                "drift_threshold": drift_threshold,
                "buffer_size": buffer_size,
                "max_concept_size": max_concept_size,
                "warning_limit": warning_limit,
            },
            [
                warm_start,
                warning_threshold,
                drift_threshold,
                buffer_size,
                max_concept_size,
                warning_limit,
            ],
            state,
        )
