"""STEPD: the newest errors against all older ones, by a test of equal proportions."""

from __future__ import annotations

import math

import numpy as np

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.sequential.signals import DRIFT, NOTHING, WARNING, FloatArray
from detectors.sequential.detector import ErrorWarningDetector, require

_SIZE, _ALPHA_DRIFT, _ALPHA_WARNING = range(3)
_HAS_ALARMED, _N, _N_ERRORS, _N_RECENT_ERRORS, _WINDOW = range(5)


@inlined
def begin(state: FloatArray) -> None:
    """Forget everything."""
    state[:] = 0.0


@inlined
def rise_p_value(wrong: float, n: float, wrong_before: float, n_before: float) -> float:
    """Return the two-sided p-value where errors have become more frequent, else 1."""
    gap = wrong / n - wrong_before / n_before
    parts = 1.0 / n + 1.0 / n_before
    share = (wrong + wrong_before) / (n + n_before)
    gap -= 0.5 * parts
    if gap <= 0.0:
        return 1.0
    return math.erfc(gap / math.sqrt(2.0 * share * (1.0 - share) * parts))


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one error or success; the window is a ring, initially 0."""
    if state[_HAS_ALARMED] != 0.0:
        begin(state)
    size = int(settings[_SIZE])
    at = _WINDOW + int(state[_N]) % size
    state[_N_RECENT_ERRORS] += x - state[at]
    state[at] = x
    state[_N_ERRORS] += x
    n = state[_N] + 1.0
    state[_N] = n
    if n < 2 * size:
        return NOTHING
    recent = state[_N_RECENT_ERRORS]
    p = rise_p_value(recent, float(size), state[_N_ERRORS] - recent, n - size)
    if p < settings[_ALPHA_DRIFT]:
        state[_HAS_ALARMED] = 1.0
        return DRIFT
    return WARNING if p < settings[_ALPHA_WARNING] else NOTHING


class STEPD(ErrorWarningDetector, step=step):
    """Statistical test of equal proportions; for sudden rises, soon after they begin.

    It compares the last 30 errors with all older ones, so its delay does not grow with
    the stream as DDM's does. It tests at every value: .003 is no bound on false alarms.

    Parameters
    ----------
    window_size : int, default 30
        Newest values; there is no signal before twice as many.
    alpha_drift, alpha_warning : float, default .003 and .05
        Two-sided p-values below which a rise signals.

    Notes
    -----
    Values are errors, 1 wrong and 0 right. With shares r of the newest n_r and o of the
    older n_o, and p of all of them::

        T = (|r - o| - .5 (1/n_r + 1/n_o)) / sqrt(p (1 - p) (1/n_r + 1/n_o))

    T^2 is the chi-square of the 2 x 2 table with Yates's correction; the p-value is
    two-sided, as in the paper, where r > o, and 1 elsewhere: fewer errors are no drift
    (MOA's implementation signals those too, and takes T's size where the correction
    is the larger one). O(1) a value; a window of state. No signal on a constant stream.

    References
    ----------
    Nishida, Yamauchi, Detecting concept drift using statistical testing, Discovery
    Science (2007), section 3.

    Examples
    --------
    >>> STEPD.detect([0, 0, 0, 0, 1] * 20 + [1] * 20).drifts
    array([111])
    """

    __slots__ = ()
    _only_whole = True

    def __init__(
        self, window_size: int = 30, alpha_drift: float = 0.003, alpha_warning: float = 0.05
    ) -> None:
        require(window_size >= 1, "STEPD", "window_size", window_size, "use 1 or more")
        for name, value in (("alpha_drift", alpha_drift), ("alpha_warning", alpha_warning)):
            require(0 < value < 1, "STEPD", name, value, "use a number between 0 and 1")
        super().__init__(
            {
                "window_size": window_size,
                "alpha_drift": alpha_drift,
                "alpha_warning": alpha_warning,
            },
            [window_size, alpha_drift, alpha_warning],
            np.zeros(_WINDOW + window_size),
        )
