"""EWMA chart: a weighted mean that forgets, against limits that widen to their final width."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.phase_one import IS_KNOWN, MEAN, N_PLACES, SD, learn, take_given
from detectors.kernels.signals import DOWN_ONLY, DRIFT, NOTHING, UP_ONLY
from detectors.sequential.chart import Mode, mode_number, phase_one
from detectors.sequential.detector import Detections, FloatArray, SequentialDetector, require

_MIN_INSTANCES, _GIVEN_MEAN, _GIVEN_SD, _LAMBDA, _THRESHOLD, _MODE = range(6)
_HAS_ALARMED, _GAP, _REST, _PHASE_ONE = range(4)
"""Alarm, weighted mean less the mean in control, (1 - lambda)^2t, phase I."""
_N_STATE = _PHASE_ONE + N_PLACES


@inlined
def begin(settings: FloatArray, state: FloatArray) -> None:
    """Forget everything, and learn again what was not given."""
    state[:] = 0.0
    state[_REST] = 1.0
    take_given(settings[_GIVEN_MEAN], settings[_GIVEN_SD], state, _PHASE_ONE)


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Take one value; deviations are averaged, so that a constant stream gives exact zeros."""
    if state[_HAS_ALARMED] != 0.0:
        begin(settings, state)
    if state[_PHASE_ONE + IS_KNOWN] == 0.0:
        learn(x, settings[_MIN_INSTANCES], state, _PHASE_ONE)
        return NOTHING
    lambda_ = settings[_LAMBDA]
    state[_GAP] += lambda_ * (x - state[_PHASE_ONE + MEAN] - state[_GAP])
    state[_REST] *= (1.0 - lambda_) * (1.0 - lambda_)
    share = lambda_ / (2.0 - lambda_) * (1.0 - state[_REST])
    limit = settings[_THRESHOLD] * state[_PHASE_ONE + SD] * math.sqrt(share)
    rises = state[_GAP] > limit and settings[_MODE] != DOWN_ONLY
    falls = -state[_GAP] > limit and settings[_MODE] != UP_ONLY
    if rises or falls:
        state[_HAS_ALARMED] = 1.0
        return DRIFT
    return NOTHING


@uncounted
def run(
    values: FloatArray, settings: FloatArray, state: FloatArray, out: NDArray[np.uint8]
) -> None:
    """Take many, and write what each signalled."""
    for i in range(values.size):
        out[i] = step(values[i], settings, state)


class EWMA(SequentialDetector):
    """Exponentially weighted moving average chart; for small lasting shifts.

    About as fast as CUSUM for shifts of .5 to 2 sd, and easier to plot: the statistic
    is in the stream's unit. Shewhart's chart is the case lambda = 1.

    Parameters
    ----------
    lambda_ : float, default .2
        Weight of the newest value.
    threshold : float, default 3
        L: half the limits' width, in standard deviations of the weighted mean.
    min_instances : int, default 30
        Values from which mean and standard deviation are learned, where not given.
    mode : {"both", "up", "down"}, default "both"
        Which changes count.
    mean, sd : float, optional
        Of the stream in control; given together, nothing is learned.

    Raises
    ------
    DomainError
        If a parameter is out of its domain.

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
    >>> detector = EWMA(mean=0, sd=1)
    >>> for i in range(40):
    ...     detector.update(0.0 if i < 20 else 1.5)
    ...     if detector.drift_detected:
    ...         print(i)
    24
    29
    34
    39
    """

    __slots__ = ()
    _step = staticmethod(step)
    _run = staticmethod(run)

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
        known = phase_one(min_instances, mean, sd, "EWMA")
        settings = [*known, lambda_, threshold, mode_number(mode, "EWMA")]
        state = np.empty(_N_STATE)
        begin(np.array(settings), state)
        super().__init__(
            {
                "lambda_": lambda_,
                "threshold": threshold,
                "min_instances": min_instances,
                "mode": mode,
                "mean": mean,
                "sd": sd,
            },
            settings,
            state,
        )


def ewma(
    values: ArrayLike,
    lambda_: float = 0.2,
    threshold: float = 3.0,
    min_instances: int = 30,
    mode: Mode = "both",
    mean: float | None = None,
    sd: float | None = None,
) -> Detections:
    """Find the drifts of a stream by :class:`EWMA`.

    Parameters
    ----------
    values : array_like, shape (n,)
        Any numbers.
    lambda_, threshold, min_instances, mode, mean, sd
        Of :class:`EWMA`.

    Returns
    -------
    Detections

    Examples
    --------
    >>> ewma([0.0] * 20 + [1.5] * 20, mean=0, sd=1).drifts
    array([24, 29, 34, 39])
    """
    return EWMA(lambda_, threshold, min_instances, mode, mean, sd).run(values)
