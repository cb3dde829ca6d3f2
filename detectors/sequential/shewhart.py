"""Shewhart's chart of single values: three standard deviations from the mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.phase_one import IS_KNOWN, MEAN, N_PLACES, SD, learn, take_given
from detectors.kernels.signals import DOWN_ONLY, DRIFT, NOTHING, UP_ONLY
from detectors.sequential.chart import Mode, mode_number, phase_one
from detectors.sequential.detector import Detections, FloatArray, SequentialDetector, require

_MIN_INSTANCES, _GIVEN_MEAN, _GIVEN_SD, _K, _MODE = range(5)
_HAS_ALARMED, _PHASE_ONE = range(2)
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
    limit = settings[_K] * state[_PHASE_ONE + SD]
    rises = gap > limit and settings[_MODE] != DOWN_ONLY
    falls = -gap > limit and settings[_MODE] != UP_ONLY
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


class Shewhart(SequentialDetector):
    """Shewhart's individuals chart; for single large deviations, at once.

    It remembers nothing, so one outlier is an alarm and a lasting shift of 1 sd takes 44
    values on average; prefer CUSUM or EWMA for those.

    Parameters
    ----------
    k : float, default 3
        Half the limits' width, in standard deviations.
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
    Alarm: |x_t - mean| > k sd (Montgomery, eq. 5.1), sd with n - 1 rather than from
    moving ranges, so that a slow wave in phase I widens the limits. For normal values
    with known mean and sd, alarms under no drift are 370 values apart on average.
    Learned again after an alarm. A constant stream gives none; after one, any other
    value does. O(1) a value, 6 numbers of state.

    References
    ----------
    Shewhart, Economic control of quality of manufactured product (1931). Montgomery,
    Introduction to statistical quality control, 6th ed. (2009), sections 5.3 and 6.4.

    Examples
    --------
    >>> detector = Shewhart(mean=0, sd=1)
    >>> for i, x in enumerate([0.1, -2.9, 3.1, 0.4]):
    ...     detector.update(x)
    ...     if detector.drift_detected:
    ...         print(i)
    2
    """

    __slots__ = ()
    _step = staticmethod(step)
    _run = staticmethod(run)

    def __init__(
        self,
        k: float = 3.0,
        min_instances: int = 30,
        mode: Mode = "both",
        mean: float | None = None,
        sd: float | None = None,
    ) -> None:
        require(k > 0, "Shewhart", "k", k, "use a number above 0")
        known = phase_one(min_instances, mean, sd, "Shewhart")
        settings = [*known, k, mode_number(mode, "Shewhart")]
        state = np.empty(_N_STATE)
        begin(np.array(settings), state)
        super().__init__(
            {"k": k, "min_instances": min_instances, "mode": mode, "mean": mean, "sd": sd},
            settings,
            state,
        )


def shewhart(
    values: ArrayLike,
    k: float = 3.0,
    min_instances: int = 30,
    mode: Mode = "both",
    mean: float | None = None,
    sd: float | None = None,
) -> Detections:
    """Find the drifts of a stream by :class:`Shewhart`.

    Parameters
    ----------
    values : array_like, shape (n,)
        Any numbers.
    k, min_instances, mode, mean, sd
        Of :class:`Shewhart`.

    Returns
    -------
    Detections

    Examples
    --------
    >>> shewhart([0.1, -2.9, 3.1, 0.4], mean=0, sd=1).drifts
    array([2])
    """
    return Shewhart(k, min_instances, mode, mean, sd).run(values)
