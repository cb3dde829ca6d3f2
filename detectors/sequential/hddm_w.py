"""HDDM-W: McDiarmid's bound on the difference of two exponentially weighted means."""

from __future__ import annotations

import math

import numpy as np

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.sequential.signals import DRIFT, NOTHING, WARNING, FloatArray
from detectors.sequential.detector import ErrorWarningDetector, require

_DRIFT, _WARNING, _LAMBDA, _IS_TWO_SIDED = range(4)
"""ln(1 / drift), ln(1 / warning), weight of the newest, 1 or 0."""
_HAS_ALARMED, _ALL, _UP, _DOWN = 0, 1, 4, 12
"""Where everything, the rise and the fall begin."""
_N, _MEAN, _WEIGHT = range(3)
"""A sample: values, weighted mean, sum of squared weights."""
_BEFORE, _AFTER, _CUT, _N_SIDE = 0, 3, 6, 8
"""A side: the samples before and after the cut, and the bound at the cut."""
_N_STATE = _DOWN + _N_SIDE


@inlined
def begin_sample(state: FloatArray, at: int) -> None:
    """Empty one sample."""
    state[at + _N] = 0.0
    state[at + _MEAN] = 0.0
    state[at + _WEIGHT] = 1.0


@inlined
def begin(state: FloatArray) -> None:
    """Forget everything."""
    state[_HAS_ALARMED] = 0.0
    begin_sample(state, _ALL)
    for side in (_UP, _DOWN):
        begin_sample(state, side + _BEFORE)
        begin_sample(state, side + _AFTER)
        state[side + _CUT] = np.inf
        state[side + _CUT + 1] = 0.0


@inlined
def add(x: float, lambda_: float, state: FloatArray, at: int) -> None:
    """Add one value to a sample; the first one is its mean."""
    mean = state[at + _MEAN]
    state[at + _MEAN] = x if state[at + _N] == 0.0 else lambda_ * x + (1.0 - lambda_) * mean
    rest = 1.0 - lambda_
    state[at + _WEIGHT] = lambda_ * lambda_ + rest * rest * state[at + _WEIGHT]
    state[at + _N] += 1.0


@inlined
def follow(x: float, sign: float, settings: FloatArray, state: FloatArray, side: int) -> int:
    """Update the cut of one side, and compare the values before and after it."""
    epsilon = math.sqrt(state[_ALL + _WEIGHT] * settings[_DRIFT] / 2.0)
    reach = sign * state[_ALL + _MEAN] + epsilon
    if reach < state[side + _CUT]:
        state[side + _CUT] = reach
        for k in range(3):
            state[side + _BEFORE + k] = state[_ALL + k]
        begin_sample(state, side + _AFTER)
        return NOTHING
    add(x, settings[_LAMBDA], state, side + _AFTER)
    gap = sign * (state[side + _AFTER + _MEAN] - state[side + _BEFORE + _MEAN])
    weight = state[side + _BEFORE + _WEIGHT] + state[side + _AFTER + _WEIGHT]
    if gap > math.sqrt(weight * settings[_DRIFT] / 2.0):
        return DRIFT
    if gap > math.sqrt(weight * settings[_WARNING] / 2.0):
        return WARNING
    return NOTHING


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one error or success."""
    if state[_HAS_ALARMED] != 0.0:
        begin(state)
    add(x, settings[_LAMBDA], state, _ALL)
    signals = follow(x, 1.0, settings, state, _UP)
    if settings[_IS_TWO_SIDED] != 0.0:
        signals |= follow(x, -1.0, settings, state, _DOWN)
    if signals & DRIFT:
        state[_HAS_ALARMED] = 1.0
    return signals


class HDDMW(ErrorWarningDetector, step=step):
    """HDDM with weighted averages; for gradual changes, with a bound on false alarms.

    Recent values weigh more than in HDDMA, which is better at abrupt changes.

    Parameters
    ----------
    drift_confidence, warning_confidence : float, default .001 and .005
        Probability of a false signal at one cut.
    lambda_val : float, default .05
        Weight of the newest value.
    two_sided_test : bool, default False
        Whether a falling mean signals too.

    Notes
    -----
    Values are errors, 1 wrong and 0 right, or losses in [0, 1]. Before and after the
    cut, where weighted mean plus bound was least, stand two weighted means whose squared
    weights sum to w; an alarm is (the paper's W-test, one side)::

        mean_after - mean_before > sqrt((w_before + w_after) / 2 ln(1 / alpha))

    Names, parameters and signals are river 0.26.1's, two-sided ones too. O(1) a value,
    20 numbers of state.

    References
    ----------
    Frias-Blanco, del Campo-Avila, Ramos-Jimenez, Morales-Bueno, Ortiz-Diaz,
    Caballero-Mota, Online and non-parametric drift detection methods based on
    Hoeffding's bounds, IEEE TKDE 27 (2015).

    Examples
    --------
    >>> HDDMW.detect([0, 0, 0, 0, 1] * 40 + [1] * 40).drifts
    array([212])
    """

    __slots__ = ()

    def __init__(
        self,
        drift_confidence: float = 0.001,
        warning_confidence: float = 0.005,
        lambda_val: float = 0.05,
        two_sided_test: bool = False,
    ) -> None:
        fix = "use a number between 0 and 1"
        for name, value in (("drift", drift_confidence), ("warning", warning_confidence)):
            require(0 < value < 1, "HDDMW", f"{name}_confidence", value, fix)
        require(0 < lambda_val <= 1, "HDDMW", "lambda_val", lambda_val, fix)
        logs = [math.log(1 / drift_confidence), math.log(1 / warning_confidence)]
        state = np.empty(_N_STATE)
        begin(state)
        super().__init__(
            {
                "drift_confidence": drift_confidence,
                "warning_confidence": warning_confidence,
                "lambda_val": lambda_val,
                "two_sided_test": two_sided_test,
            },
            [*logs, lambda_val, two_sided_test],
            state,
        )
