"""CUSUM: the sum of deviations beyond a slack, cut off at zero."""

from __future__ import annotations

from detectors.kernels.jit import uncounted
from detectors.kernels.sequential.phase_one import MEAN, N_GIVEN, SD, begin, is_learning
from detectors.kernels.sequential.signals import DRIFT, NOTHING, FloatArray, is_beyond
from detectors.sequential.chart import ControlChart, Mode
from detectors.sequential.detector import require

_SLACK, _THRESHOLD, _MODE = range(N_GIVEN, N_GIVEN + 3)
_HAS_ALARMED, _UP, _DOWN, _PHASE_ONE = range(4)


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one value."""
    if state[_HAS_ALARMED] != 0.0:
        begin(settings, state, _PHASE_ONE)
    if is_learning(x, settings, state, _PHASE_ONE):
        return NOTHING
    gap = x - state[_PHASE_ONE + MEAN]
    sd = state[_PHASE_ONE + SD]
    state[_UP] = max(0.0, state[_UP] + gap - settings[_SLACK] * sd)
    state[_DOWN] = max(0.0, state[_DOWN] - gap - settings[_SLACK] * sd)
    limit = settings[_THRESHOLD] * sd
    if is_beyond(state[_UP], state[_DOWN], limit, settings[_MODE]):
        state[_HAS_ALARMED] = 1.0
        return DRIFT
    return NOTHING


class CUSUM(ControlChart, step=step):
    """Cumulative sum chart; the fastest for a lasting shift of one known size.

    It works in standard deviations, which Page-Hinkley does not. Shewhart's chart sees
    large single deviations sooner, ADWIN needs neither scale nor size.

    Parameters
    ----------
    slack : float, default .5
        k: half the shift to be found, in standard deviations.
    threshold : float, default 5
        h: sum that is an alarm, in standard deviations.
    min_instances, mode, mean, sd
        As every :class:`ControlChart` has them.

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
    >>> CUSUM.detect([0.0] * 20 + [1.5] * 20, mean=0, sd=1).drifts
    array([25, 31, 37])
    """

    __slots__ = ()

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
        limits = {"slack": slack, "threshold": threshold}
        super().__init__(limits, min_instances, mode, mean, sd, _PHASE_ONE)
