"""Running mean and squared deviations, one value at a time.

Three neighbouring places of a state: how many, their mean, and the sum of squared
deviations from it (Welford, Technometrics 4, 1962). The factor is 1 / n, not a
division by n, because that is how river rounds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import inlined

N_PLACES = 3


@inlined
def add(x: float, state: NDArray[np.float64], at: int) -> None:
    """Add one value to the three numbers that begin at ``at``."""
    n = state[at] + 1.0
    before = state[at + 1]
    mean = before + (1.0 / n) * (x - before)
    state[at] = n
    state[at + 1] = mean
    state[at + 2] += (x - before) * (x - mean)


@inlined
def variance(state: NDArray[np.float64], at: int) -> float:
    """Return the unbiased variance; 0 of a single value."""
    return state[at + 2] / (state[at] - 1.0) if state[at] > 1.0 else 0.0
