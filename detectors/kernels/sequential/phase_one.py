"""Mean and standard deviation of a control chart: given, or learned once.

Five neighbouring places of a state: three of Welford's, then the standard deviation,
and whether both are known. They are frozen when ``min_instances`` values were seen: a
running mean would follow the shift that is looked for.
"""

from __future__ import annotations

import math

from detectors.kernels.jit import inlined
from detectors.kernels.sequential.signals import FloatArray
from detectors.kernels.sequential.welford import N_PLACES as _N_WELFORD
from detectors.kernels.sequential.welford import add, variance

MIN_INSTANCES, GIVEN_MEAN, GIVEN_SD = range(3)
N_GIVEN = 3
"""Where a chart's settings begin; behind them are those of the chart itself."""

MEAN = 1
SD = _N_WELFORD
IS_KNOWN = _N_WELFORD + 1
N_PLACES = _N_WELFORD + 2


@inlined
def begin(settings: FloatArray, state: FloatArray, at: int) -> None:
    """Reset, and learn the figures that were not given."""
    state[:] = 0.0
    if not math.isnan(settings[GIVEN_MEAN]):
        state[at + MEAN] = settings[GIVEN_MEAN]
        state[at + SD] = settings[GIVEN_SD]
        state[at + IS_KNOWN] = 1.0


@inlined
def is_learning(x: float, settings: FloatArray, state: FloatArray, at: int) -> bool:
    """Add one value while the figures are being learned; freeze them at the last one."""
    if state[at + IS_KNOWN] != 0.0:
        return False
    add(x, state, at)
    if state[at] >= settings[MIN_INSTANCES]:
        state[at + SD] = math.sqrt(variance(state, at))
        state[at + IS_KNOWN] = 1.0
    return True
