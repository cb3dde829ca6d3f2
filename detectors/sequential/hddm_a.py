"""HDDM-A: Hoeffding's bound on the difference of two means."""

from __future__ import annotations

import math

import numpy as np

from detectors.kernels.jit import inlined, uncounted
from detectors.kernels.sequential.signals import DRIFT, NOTHING, WARNING, FloatArray
from detectors.sequential.detector import ErrorWarningDetector, require

_CUT, _DRIFT, _WARNING, _IS_TWO_SIDED = range(4)
"""ln(1 / drift), ln(2 / drift), ln(2 / warning), 1 or 0."""
_HAS_ALARMED, _N, _MEAN, _N_LOW, _LOW, _N_HIGH, _HIGH = range(7)
_N_STATE = 7


@inlined
def begin(state: FloatArray) -> None:
    """Forget everything."""
    state[:] = 0.0


@inlined
def bound(n: float, n_cut: float, log_term: float) -> float:
    """Return the bound on the difference of the overall mean and the mean before the cut."""
    return math.sqrt((n - n_cut) / n_cut * (1.0 / n) / 2.0 * log_term)


@inlined
def follow(
    n: float, here: float, sign: float, settings: FloatArray, state: FloatArray, side: int
) -> int:
    """Move the cut of one side, or compare the mean with that at the cut."""
    mean, n_cut, cut = state[_MEAN], state[side], state[side + 1]
    there = math.sqrt(1.0 / (2.0 * n_cut) * settings[_CUT])
    if sign * cut + there >= sign * mean + here:
        state[side] = n
        state[side + 1] = mean
        return NOTHING
    gap = sign * (mean - cut)
    if gap >= bound(n, n_cut, settings[_DRIFT]):
        return DRIFT
    return WARNING if gap >= bound(n, n_cut, settings[_WARNING]) else NOTHING


@uncounted
def step(x: float, settings: FloatArray, state: FloatArray) -> int:
    """Process one error or success."""
    if state[_HAS_ALARMED] != 0.0:
        begin(state)
    n = state[_N] + 1.0
    mean = state[_MEAN] + (1.0 / n) * (x - state[_MEAN])
    state[_N] = n
    state[_MEAN] = mean
    if n == 1.0:
        state[_N_LOW] = 1.0
        state[_LOW] = mean
        state[_N_HIGH] = 1.0
        state[_HIGH] = mean
    here = math.sqrt(1.0 / (2.0 * n) * settings[_CUT])
    signals = follow(n, here, 1.0, settings, state, _N_LOW)
    if settings[_IS_TWO_SIDED] != 0.0:
        signals |= follow(n, here, -1.0, settings, state, _N_HIGH)
    if signals & DRIFT:
        state[_HAS_ALARMED] = 1.0
    return signals


class HDDMA(ErrorWarningDetector, step=step):
    """HDDM with moving averages; for abrupt changes, with a bound on false alarms.

    Its bound needs no distribution, only values in [0, 1]. HDDMW sees gradual changes
    sooner, DDM is more sensitive and promises nothing.

    Parameters
    ----------
    drift_confidence, warning_confidence : float, default .001 and .005
        Probability of a false signal at one cut.
    two_sided_test : bool, default False
        Whether a falling mean signals too.

    Notes
    -----
    Values are errors, 1 wrong and 0 right, or losses in [0, 1]. The cut is where mean
    plus Hoeffding's bound was least; with n_c values up to it and n in all, an alarm is
    (the paper's A-test, with 2 / alpha as in MOA and river)::

        mean_n - mean_c >= sqrt((n - n_c) / (2 n n_c) ln(2 / alpha))

    Names, parameters and signals are river 0.26.1's, two-sided ones too. O(1) a value,
    7 numbers of state.

    References
    ----------
    Frias-Blanco, del Campo-Avila, Ramos-Jimenez, Morales-Bueno, Ortiz-Diaz,
    Caballero-Mota, Online and non-parametric drift detection methods based on
    Hoeffding's bounds, IEEE TKDE 27 (2015).

    Examples
    --------
    >>> HDDMA.detect([0, 0, 0, 0, 1] * 40 + [1] * 40).drifts
    array([205])
    """

    __slots__ = ()

    def __init__(
        self,
        drift_confidence: float = 0.001,
        warning_confidence: float = 0.005,
        two_sided_test: bool = False,
    ) -> None:
        for name, value in (("drift", drift_confidence), ("warning", warning_confidence)):
            fix = "use a number between 0 and 1"
            require(0 < value < 1, "HDDMA", f"{name}_confidence", value, fix)
        logs = [math.log(1.0 / drift_confidence), math.log(2.0 / drift_confidence)]
        state = np.empty(_N_STATE)
        begin(state)
        super().__init__(
            {
                "drift_confidence": drift_confidence,
                "warning_confidence": warning_confidence,
                "two_sided_test": two_sided_test,
            },
            [*logs, math.log(2.0 / warning_confidence), two_sided_test],
            state,
        )
