"""Shewhart's chart of single values: three standard deviations from the mean."""

from __future__ import annotations

from detectors.kernels.jit import uncounted
from detectors.kernels.sequential.phase_one import MEAN, N_GIVEN, SD, begin, is_learning
from detectors.kernels.sequential.signals import DRIFT, NOTHING, FloatArray, is_beyond
from detectors.sequential.chart import ControlChart, Mode
from detectors.sequential.detector import require

_K, _MODE = range(N_GIVEN, N_GIVEN + 2)
_HAS_ALARMED, _PHASE_ONE = range(2)


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one value."""
    if state[_HAS_ALARMED] != 0.0:
        begin(settings, state, _PHASE_ONE)
    if is_learning(x, settings, state, _PHASE_ONE):
        return NOTHING
    gap = x - state[_PHASE_ONE + MEAN]
    limit = settings[_K] * state[_PHASE_ONE + SD]
    if is_beyond(gap, -gap, limit, settings[_MODE]):
        state[_HAS_ALARMED] = 1.0
        return DRIFT
    return NOTHING


class Shewhart(ControlChart, step=step):
    """Shewhart's individuals chart; for immediate detection of single large deviations.

    It remembers nothing, so one outlier is an alarm and a lasting shift of 1 sd takes 44
    values on average; prefer CUSUM or EWMA for those.

    Parameters
    ----------
    k : float, default 3
        Half the limits' width, in standard deviations.
    min_instances, mode, mean, sd
        As every :class:`ControlChart` has them.

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
    >>> Shewhart.detect([0.1, -2.9, 3.1, 0.4], mean=0, sd=1).drifts
    array([2])
    """

    __slots__ = ()

    def __init__(
        self,
        k: float = 3.0,
        min_instances: int = 30,
        mode: Mode = "both",
        mean: float | None = None,
        sd: float | None = None,
    ) -> None:
        require(k > 0, "Shewhart", "k", k, "use a number above 0")
        super().__init__({"k": k}, min_instances, mode, mean, sd, _PHASE_ONE)
