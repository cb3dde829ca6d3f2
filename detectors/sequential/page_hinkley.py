"""Page-Hinkley: the faded sum of deviations from the running mean."""

from __future__ import annotations

import numpy as np

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.sequential.signals import DRIFT, NOTHING, FloatArray, is_beyond
from detectors.sequential.chart import Mode, mode_number
from detectors.sequential.detector import SequentialDetector, require

_MIN_INSTANCES, _DELTA, _THRESHOLD, _ALPHA, _MODE = range(5)
_HAS_ALARMED, _N, _MEAN, _UP, _DOWN, _LEAST_UP, _MOST_DOWN = range(7)
_N_STATE = 7


@inlined
def begin(state: FloatArray) -> None:
    """Forget everything; the two extremes begin where river's do."""
    state[:] = 0.0
    state[_LEAST_UP] = np.inf
    state[_MOST_DOWN] = -1.0


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one value."""
    if state[_HAS_ALARMED] != 0.0:
        begin(state)
    n = state[_N] + 1.0
    mean = state[_MEAN] + (1.0 / n) * (x - state[_MEAN])
    state[_N] = n
    state[_MEAN] = mean
    gap = x - mean
    up = settings[_ALPHA] * state[_UP] + gap - settings[_DELTA]
    down = settings[_ALPHA] * state[_DOWN] + gap + settings[_DELTA]
    state[_UP] = up
    state[_DOWN] = down
    state[_LEAST_UP] = min(state[_LEAST_UP], up)
    state[_MOST_DOWN] = max(state[_MOST_DOWN], down)
    if n < settings[_MIN_INSTANCES]:
        return NOTHING
    rise, fall = up - state[_LEAST_UP], state[_MOST_DOWN] - down
    if is_beyond(rise, fall, settings[_THRESHOLD], settings[_MODE]):
        state[_HAS_ALARMED] = 1.0
        return DRIFT
    return NOTHING


class PageHinkley(SequentialDetector, step=step):
    """Page-Hinkley test; for a lasting shift of the mean in a stream of known scale.

    Sooner than ADWIN where delta and threshold fit the stream's unit, blind or loud
    where they do not; CUSUM measures in standard deviations instead.

    Parameters
    ----------
    min_instances : int, default 30
        No alarm before this many values.
    delta : float, default .005
        Tolerated deviation, in the stream's unit.
    threshold : float, default 50
        Sum of deviations that is an alarm, in the stream's unit.
    alpha : float, default .9999
        Decay factor of the sum per value.
    mode : {"both", "up", "down"}, default "both"
        Which changes count.

    Notes
    -----
    With the mean m_t of the values since the last alarm (Gama's form of Page's test)::

        U_t = alpha U_{t-1} + (x_t - m_t) - delta     rise: U_t - min U > threshold
        L_t = alpha L_{t-1} + (x_t - m_t) + delta     fall: max L - L_t > threshold

    Names, parameters and alarms are river 0.26.1's. O(1) a value, 7 numbers of state.
    On a constant stream U falls and L rises by delta a value: no alarm.

    References
    ----------
    Page, Continuous inspection schemes, Biometrika 41 (1954). Gama, Sebastiao,
    Rodrigues, On evaluating stream learning algorithms, Mach. Learn. 90 (2013).

    Examples
    --------
    >>> PageHinkley.detect([0.0] * 100 + [1.0] * 100, threshold=10).drifts
    array([110])
    """

    __slots__ = ()

    def __init__(
        self,
        min_instances: int = 30,
        delta: float = 0.005,
        threshold: float = 50.0,
        alpha: float = 1 - 0.0001,
        mode: Mode = "both",
    ) -> None:
        where = "PageHinkley"
        require(min_instances >= 1, where, "min_instances", min_instances, "use 1 or more")
        require(delta >= 0, where, "delta", delta, "use 0 or more")
        require(threshold > 0, where, "threshold", threshold, "use a number above 0")
        require(0 < alpha <= 1, where, "alpha", alpha, "use a number above 0, at most 1")
        state = np.empty(_N_STATE)
        begin(state)
        super().__init__(
            {
                "min_instances": min_instances,
                "delta": delta,
                "threshold": threshold,
                "alpha": alpha,
                "mode": mode,
            },
            [min_instances, delta, threshold, alpha, mode_number(mode, where)],
            state,
        )
