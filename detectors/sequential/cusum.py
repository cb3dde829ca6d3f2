"""CUSUM: the sum of deviations beyond a slack, cut off at zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.phase_one import IS_KNOWN, MEAN, N_PLACES, SD, learn, take_given
from detectors.kernels.signals import DOWN_ONLY, DRIFT, NOTHING, UP_ONLY
from detectors.sequential.chart import Mode, mode_number, phase_one
from detectors.sequential.detector import Detections, FloatArray, SequentialDetector, require

_MIN_INSTANCES, _GIVEN_MEAN, _GIVEN_SD, _SLACK, _THRESHOLD, _MODE = range(6)
_HAS_ALARMED, _UP, _DOWN, _PHASE_ONE = range(4)
_N_STATE = _PHASE_ONE + N_PLACES


@inlined
def begin(settings: FloatArray, state: FloatArray) -> None:
    """Forget everything, and learn again what was not given."""
    state[:] = 0.0
    take_given(settings[_GIVEN_MEAN], settings[_GIVEN_SD], state, _PHASE_ONE)


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Take one value."""
    if state[_HAS_ALARMED] != 0.0:
        begin(settings, state)
    if state[_PHASE_ONE + IS_KNOWN] == 0.0:
        learn(x, settings[_MIN_INSTANCES], state, _PHASE_ONE)
        return NOTHING
    gap = x - state[_PHASE_ONE + MEAN]
    sd = state[_PHASE_ONE + SD]
    state[_UP] = max(0.0, state[_UP] + gap - settings[_SLACK] * sd)
    state[_DOWN] = max(0.0, state[_DOWN] - gap - settings[_SLACK] * sd)
    limit = settings[_THRESHOLD] * sd
    rises = state[_UP] > limit and settings[_MODE] != DOWN_ONLY
    falls = state[_DOWN] > limit and settings[_MODE] != UP_ONLY
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


class CUSUM(SequentialDetector):
    """Cumulative sum chart; the fastest for a lasting shift of one known size.

    It works in standard deviations, which Page-Hinkley does not. Shewhart's chart sees
    large single deviations sooner, ADWIN needs neither scale nor size.

    Parameters
    ----------
    min_instances : int, default 30
        Values from which mean and standard deviation are learned, where not given.
    slack : float, default .5
        k: half the shift to be found, in standard deviations.
    threshold : float, default 5
        h: sum that is an alarm, in standard deviations.
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
    Page's scheme, two-sided and tabular (Montgomery, eq. 9.2 and 9.3)::

        C+_t = max(0, C+_{t-1} + (x_t - mean) - k sd)       alarm: C+ > h sd
        C-_t = max(0, C-_{t-1} - (x_t - mean) - k sd)       alarm: C- > h sd

    For normal values with known mean and sd, k = .5 and h = 5, alarms under no drift
    are 465 values apart on average, and a shift of 1 sd is found after 10.4 (Montgomery,
    table 9.3); figures learned from 30 values make both uncertain. Learned again after
    an alarm. A constant stream gives none; after one, any other value does.
    O(1) a value, 8 numbers of state.

    References
    ----------
    Page, Continuous inspection schemes, Biometrika 41 (1954). Montgomery, Introduction
    to statistical quality control, 6th ed. (2009), section 9.1.

    Examples
    --------
    >>> detector = CUSUM(mean=0, sd=1)
    >>> for i in range(40):
    ...     detector.update(0.0 if i < 20 else 1.5)
    ...     if detector.drift_detected:
    ...         print(i)
    25
    31
    37
    """

    __slots__ = ()
    _step = staticmethod(step)
    _run = staticmethod(run)

    def __init__(
        self,
        min_instances: int = 30,
        slack: float = 0.5,
        threshold: float = 5.0,
        mode: Mode = "both",
        mean: float | None = None,
        sd: float | None = None,
    ) -> None:
        require(slack >= 0, "CUSUM", "slack", slack, "use 0 or more")
        require(threshold > 0, "CUSUM", "threshold", threshold, "use a number above 0")
        known = phase_one(min_instances, mean, sd, "CUSUM")
        settings = [*known, slack, threshold, mode_number(mode, "CUSUM")]
        state = np.empty(_N_STATE)
        begin(np.array(settings), state)
        super().__init__(
            {
                "min_instances": min_instances,
                "slack": slack,
                "threshold": threshold,
                "mode": mode,
                "mean": mean,
                "sd": sd,
            },
            settings,
            state,
        )


def cusum(
    values: ArrayLike,
    min_instances: int = 30,
    slack: float = 0.5,
    threshold: float = 5.0,
    mode: Mode = "both",
    mean: float | None = None,
    sd: float | None = None,
) -> Detections:
    """Find the drifts of a stream by :class:`CUSUM`.

    Parameters
    ----------
    values : array_like, shape (n,)
        Any numbers.
    min_instances, slack, threshold, mode, mean, sd
        Of :class:`CUSUM`.

    Returns
    -------
    Detections

    Examples
    --------
    >>> cusum([0.0] * 20 + [1.5] * 20, mean=0, sd=1).drifts
    array([25, 31, 37])
    """
    return CUSUM(min_instances, slack, threshold, mode, mean, sd).run(values)
