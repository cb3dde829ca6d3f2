"""Two small kernels, one calling the other, for tests of the kernel cache."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import kernel


@kernel
def double(x: float) -> float:
    return 2.0 * x


@kernel
def total(values: NDArray[np.float64]) -> float:
    result = 0.0
    for i in range(values.shape[0]):
        result += double(values[i])
    return result
