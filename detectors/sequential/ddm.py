"""Drift detection method: the error rate against the best it has been."""

from __future__ import annotations

import math

import numpy as np

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.sequential.signals import DRIFT, NOTHING, WARNING, FloatArray
from detectors.sequential.detector import ErrorWarningDetector, require

_WARM_START, _WARNING, _DRIFT = range(3)
_HAS_ALARMED, _N, _P, _P_MIN, _S_MIN = range(5)
_N_STATE = 5


@inlined
def begin(state: FloatArray) -> None:
    """Forget everything."""
    state[_HAS_ALARMED] = 0.0
    state[_N] = 0.0
    state[_P] = 0.0
    state[_P_MIN] = np.inf
    state[_S_MIN] = 0.0


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one error or success."""
    if state[_HAS_ALARMED] != 0.0:
        begin(state)
    n = state[_N] + 1.0
    p = state[_P] + (1.0 / n) * (x - state[_P])
    state[_N] = n
    state[_P] = p
    if n <= settings[_WARM_START]:
        return NOTHING
    s = math.sqrt(p * (1.0 - p) / n)
    if p + s <= state[_P_MIN] + state[_S_MIN]:
        state[_P_MIN] = p
        state[_S_MIN] = s
    if p + s > state[_P_MIN] + settings[_DRIFT] * state[_S_MIN]:
        state[_HAS_ALARMED] = 1.0
        return DRIFT
    if p + s > state[_P_MIN] + settings[_WARNING] * state[_S_MIN]:
        return WARNING
    return NOTHING


class DDM(ErrorWarningDetector, step=step):
    """Drift detection method; the plain choice where errors are few and changes abrupt.

    EDDM sees slow changes of small error rates earlier; RDDM recovers where a long
    stable stretch has made DDM deaf; HDDM_A comes with a bound on false alarms.

    Parameters
    ----------
    warm_start : int, default 30
        No signal up to this many values.
    warning_threshold, drift_threshold : float, default 2 and 3
        In standard deviations at the best moment so far.

    Notes
    -----
    Values are errors, 1 wrong and 0 right, or losses in [0, 1]. With the error rate
    p_i of the i values since the last alarm, s_i = sqrt(p_i (1 - p_i) / i), and p_min,
    s_min where p + s was least (section 3 of the paper)::

        warning: p_i + s_i > p_min + 2 s_min        drift: p_i + s_i > p_min + 3 s_min

    Names, parameters and signals are those of river 0.26.1. O(1) a value, 5 numbers of
    state. No signal on a stream of only 0 or only 1.

    References
    ----------
    Gama, Medas, Castillo, Rodrigues, Learning with drift detection, SBIA (2004).

    Examples
    --------
    >>> DDM.detect([0, 0, 0, 0, 1] * 20 + [1] * 20).drifts
    array([109])
    """

    __slots__ = ()

    def __init__(
        self, warm_start: int = 30, warning_threshold: float = 2.0, drift_threshold: float = 3.0
    ) -> None:
        require(warm_start >= 0, "DDM", "warm_start", warm_start, "use 0 or more")
        for name, value in (("warning", warning_threshold), ("drift", drift_threshold)):
            require(value > 0, "DDM", f"{name}_threshold", value, "use a number above 0")
        state = np.empty(_N_STATE)
        begin(state)
        super().__init__(
            {
                "warm_start": warm_start,
                "warning_threshold": warning_threshold,
                "drift_threshold": drift_threshold,
            },
            [warm_start, warning_threshold, drift_threshold],
            state,
        )
