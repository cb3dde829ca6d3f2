"""EWMA chart: a weighted mean that forgets, against limits that widen to their final width."""

from __future__ import annotations

import math

from detectors.kernels.jit import uncounted
from detectors.kernels.sequential.phase_one import MEAN, N_GIVEN, SD, begin, is_learning
from detectors.kernels.sequential.signals import DRIFT, NOTHING, FloatArray, is_beyond
from detectors.sequential.chart import ControlChart, Mode
from detectors.sequential.detector import require

_LAMBDA, _THRESHOLD, _MODE = range(N_GIVEN, N_GIVEN + 3)
_HAS_ALARMED, _GAP, _REST, _PHASE_ONE = range(4)
"""Alarm, weighted mean less the mean in control, (1 - lambda)^2t, phase I."""


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one value; deviations are averaged, so that a constant stream gives exact zeros."""
    if state[_HAS_ALARMED] != 0.0:
        begin(settings, state, _PHASE_ONE)
        state[_REST] = 1.0
    if is_learning(x, settings, state, _PHASE_ONE):
        return NOTHING
    lambda_ = settings[_LAMBDA]
    state[_GAP] += lambda_ * (x - state[_PHASE_ONE + MEAN] - state[_GAP])
    state[_REST] *= (1.0 - lambda_) * (1.0 - lambda_)
    share = lambda_ / (2.0 - lambda_) * (1.0 - state[_REST])
    limit = settings[_THRESHOLD] * state[_PHASE_ONE + SD] * math.sqrt(share)
    if is_beyond(state[_GAP], -state[_GAP], limit, settings[_MODE]):
        state[_HAS_ALARMED] = 1.0
        return DRIFT
    return NOTHING


class EWMA(ControlChart, step=step):
    """Exponentially weighted moving average chart; for small lasting shifts.

    About as fast as CUSUM for shifts of .5 to 2 sd, and easier to plot: the statistic
    is in the stream's unit. Shewhart's chart is the case lambda = 1.

    Parameters
    ----------
    lambda_ : float, default .2
        Weight of the newest value.
    threshold : float, default 3
        L: half the limits' width, in standard deviations of the weighted mean.
    min_instances, mode, mean, sd
        As every :class:`ControlChart` has them.

    Notes
    -----
    z_0 = mean, z_t = lambda x_t + (1 - lambda) z_{t-1} (Montgomery, eq. 9.22); an alarm
    is (eq. 9.25 and 9.26)::

        |z_t - mean| > L sd sqrt(lambda / (2 - lambda) (1 - (1 - lambda)^2t))

    Learned again after an alarm. A constant stream gives none; after one, any other
    value does. O(1) a value, 8 numbers of state.

    References
    ----------
    Roberts, Control chart tests based on geometric moving averages, Technometrics 1
    (1959). Montgomery, Introduction to statistical quality control, 6th ed. (2009),
    section 9.2.

    Examples
    --------
    >>> EWMA.detect([0.0] * 20 + [1.5] * 20, mean=0, sd=1).drifts
    array([24, 29, 34, 39])
    """

    __slots__ = ()

    def __init__(
        self,
        lambda_: float = 0.2,
        threshold: float = 3.0,
        min_instances: int = 30,
        mode: Mode = "both",
        mean: float | None = None,
        sd: float | None = None,
    ) -> None:
        require(0 < lambda_ <= 1, "EWMA", "lambda_", lambda_, "use a number in (0, 1]")
        require(threshold > 0, "EWMA", "threshold", threshold, "use a number above 0")
        limits = {"lambda_": lambda_, "threshold": threshold}
        super().__init__(limits, min_instances, mode, mean, sd, _PHASE_ONE)
        self._state[_REST] = 1.0
