"""FHDDM: the share of hits in a sliding window against the best it has been."""

from __future__ import annotations

import math

import numpy as np

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.sequential.signals import DRIFT, NOTHING, FloatArray
from detectors.sequential.detector import ErrorDetector, require

_SIZE, _EPSILON, _SHORT_SIZE, _SHORT_EPSILON = range(4)
_HAS_ALARMED, _N, _N_HITS, _BEST, _N_SHORT_HITS, _SHORT_BEST, _WINDOW = range(7)


@inlined
def begin(state: FloatArray) -> None:
    """Forget everything."""
    state[:] = 0.0


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one hit or miss; the window is a ring, initially 0."""
    if state[_HAS_ALARMED] != 0.0:
        begin(state)
    size = int(settings[_SIZE])
    n = int(state[_N])
    at = _WINDOW + n % size
    state[_N_HITS] += x - state[at]
    short = int(settings[_SHORT_SIZE])
    if short > 0:
        gone = state[_WINDOW + (n - short) % size] if n >= short else 0.0
        state[_N_SHORT_HITS] += x - gone
    state[at] = x
    state[_N] = n + 1.0
    if n + 1 < size:
        return NOTHING
    signals = NOTHING
    share = state[_N_HITS] / size
    state[_BEST] = max(state[_BEST], share)
    if state[_BEST] - share > settings[_EPSILON]:
        signals = DRIFT
    if short > 0:
        share = state[_N_SHORT_HITS] / short
        state[_SHORT_BEST] = max(state[_SHORT_BEST], share)
        if state[_SHORT_BEST] - share > settings[_SHORT_EPSILON]:
            signals = DRIFT
    if signals == DRIFT:
        state[_HAS_ALARMED] = 1.0
    return signals


class FHDDM(ErrorDetector, step=step):
    """Fast Hoeffding drift detection; a short memory, so prefer it for sudden failures.

    Its delay is bounded by the window, where DDM's and HDDMA's grow with the stream;
    in return it sees nothing that is smaller than about .26 at the defaults.

    Parameters
    ----------
    sliding_window_size : int, default 100
        Newest values, whose share of hits is compared with the best one so far.
    confidence_level : float, default .000001
        Probability of a false alarm at one comparison.
    short_window_size : int, optional
        A second window inside the first, compared alike: the stacked form, FHDDMS.

    Notes
    -----
    Values are hits, 1 right and 0 wrong: a fall of their share p is an alarm. river
    0.26.1 documents errors, and with them would find improvement::

        max p - p > sqrt(ln(1 / confidence_level) / (2 sliding_window_size))

    Names, parameters and alarms are river 0.26.1's. O(1) a value; a window of state.

    References
    ----------
    Pesaranghader, Viktor, Fast Hoeffding drift detection method for evolving data
    streams, ECML PKDD (2016). Pesaranghader, Viktor, Paquet, Reservoir of diverse
    adaptive learners and stacking fast Hoeffding drift detection methods for evolving
    data streams, Mach. Learn. 107 (2018).

    Examples
    --------
    >>> FHDDM.detect([1] * 200 + [0] * 100).drifts
    array([226])
    """

    __slots__ = ()
    _only_whole = True
    _unit = "a hit"

    def __init__(
        self,
        sliding_window_size: int = 100,
        confidence_level: float = 0.000001,
        short_window_size: int | None = None,
    ) -> None:
        size, short, where = sliding_window_size, short_window_size or 0, "FHDDM"
        require(size >= 1, where, "sliding_window_size", size, "use 1 or more")
        is_level = 0 < confidence_level < 1
        fix = "use a number between 0 and 1"
        require(is_level, where, "confidence_level", confidence_level, fix)
        is_inside = short_window_size is None or 1 <= short <= size
        require(is_inside, where, "short_window_size", short, f"use 1 to {size}, or None")
        nats = math.log(1 / confidence_level)
        short_epsilon = math.sqrt(nats / (2 * short)) if short else 0.0
        super().__init__(
            {
                "sliding_window_size": sliding_window_size,
                "confidence_level": confidence_level,
                "short_window_size": short_window_size,
            },
            [size, math.sqrt(nats / (2 * size)), short, short_epsilon],
            np.zeros(_WINDOW + size),
        )
