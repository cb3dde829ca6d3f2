"""Mean and standard deviation that a control chart judges by: given, or learned once.

Five neighbouring places of a state: three of Welford's, then the standard deviation,
and whether both are known. They are frozen when ``min_instances`` values were seen: a
running mean would follow the shift that is looked for.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import inlined
from detectors.kernels.welford import N_PLACES as _N_WELFORD
from detectors.kernels.welford import add, variance

MEAN = 1
SD = _N_WELFORD
IS_KNOWN = _N_WELFORD + 1
N_PLACES = _N_WELFORD + 2


@inlined
def learn(x: float, min_instances: float, state: NDArray[np.float64], at: int) -> None:
    """Add one value; freeze both figures when it is the last that was wanted."""
    add(x, state, at)
    if state[at] >= min_instances:
        state[at + SD] = math.sqrt(variance(state, at))
        state[at + IS_KNOWN] = 1.0


@inlined
def take_given(mean: float, sd: float, state: NDArray[np.float64], at: int) -> None:
    """Use given figures; NaN where they are to be learned."""
    if not math.isnan(mean):
        state[at + MEAN] = mean
        state[at + SD] = sd
        state[at + IS_KNOWN] = 1.0
