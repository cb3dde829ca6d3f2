"""Early drift detection method: distances between errors."""

from __future__ import annotations

import math

import numpy as np

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.sequential.signals import DRIFT, NOTHING, WARNING, FloatArray
from detectors.kernels.sequential.welford import N_PLACES, add, variance
from detectors.sequential.detector import ErrorWarningDetector, require

_WARM_START, _ALPHA, _BETA = range(3)
_HAS_ALARMED, _N, _LAST_ERROR, _MOST, _IS_WARNING, _DISTANCES = range(6)
_N_STATE = _DISTANCES + N_PLACES


@inlined
def begin(state: FloatArray) -> None:
    """Forget everything."""
    state[:] = 0.0
    state[_MOST] = -1.0


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one error or success."""
    if state[_HAS_ALARMED] != 0.0:
        begin(state)
    n = state[_N] + 1.0
    state[_N] = n
    if x != 1.0:
        return WARNING if state[_IS_WARNING] != 0.0 else NOTHING
    add(n - state[_LAST_ERROR], state, _DISTANCES)
    state[_LAST_ERROR] = n
    if n > settings[_WARM_START]:
        sd = math.sqrt(variance(state, _DISTANCES))
        reach = state[_DISTANCES + 1] + 2.0 * sd
        if reach > state[_MOST]:
            state[_MOST] = reach
        elif state[_DISTANCES] > settings[_WARM_START]:
            level = reach / state[_MOST]
            if level < settings[_BETA]:
                state[_HAS_ALARMED] = 1.0
                # river keeps the warning together with the alarm that follows it
                return DRIFT | WARNING if state[_IS_WARNING] != 0.0 else DRIFT
            state[_IS_WARNING] = 1.0 if level < settings[_ALPHA] else 0.0
    return WARNING if state[_IS_WARNING] != 0.0 else NOTHING


class EDDM(ErrorWarningDetector, step=step):
    """Early drift detection method; prefer it to DDM for slow changes of rare errors.

    It looks at errors alone, so that a gradual rise shows before the rate has moved;
    it also raises more false alarms.

    Parameters
    ----------
    warm_start : int, default 30
        No signal up to this many values and this many errors.
    alpha, beta : float, default .95 and .9
        Warning and alarm below this share of the largest reach.

    Notes
    -----
    Values are errors, 1 wrong and 0 right. With mean p' and standard deviation s' of
    the distances between two errors since the last alarm (section 3 of the paper)::

        (p' + 2 s') / max (p' + 2 s') < alpha: warning, < beta: drift

    Names, parameters and signals are river 0.26.1's: a warning lasts until an error
    resets it, and is reported along with the alarm that follows. The paper's 30 errors
    are ``warm_start`` here. O(1) a value, 8 numbers of state.

    References
    ----------
    Baena-Garcia, del Campo-Avila, Fidalgo, Bifet, Gavalda, Morales-Bueno, Early drift
    detection method, StreamKDD (2006).

    Examples
    --------
    >>> EDDM.detect([0, 0, 0, 0, 1] * 40 + [0, 1] * 200).drifts
    array([315])
    """

    __slots__ = ()
    _only_whole = True

    def __init__(self, warm_start: int = 30, alpha: float = 0.95, beta: float = 0.9) -> None:
        require(warm_start >= 0, "EDDM", "warm_start", warm_start, "use 0 or more")
        require(beta > 0, "EDDM", "beta", beta, "use a number above 0")
        require(alpha >= beta, "EDDM", "alpha", alpha, f"use at least beta, {beta!r}")
        state = np.empty(_N_STATE)
        begin(state)
        parameters = {"warm_start": warm_start, "alpha": alpha, "beta": beta}
        super().__init__({**parameters}, [warm_start, alpha, beta], state)
