"""Integer codes of a sequential detector's settings and signals, and the test of its limits.

Here, because compiled code is kept on disk until a file of this folder changes.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import inlined

FloatArray: TypeAlias = NDArray[np.float64]
"""A detector's settings, its state, and its input values."""

NOTHING = 0
DRIFT = 1
WARNING = 2
"""Signals: bits, because both may be set."""

UP_ONLY = 0.0
DOWN_ONLY = 1.0
BOTH = 2.0
"""Directions of change that count."""


@inlined
def is_beyond(rise: float, fall: float, limit: float, mode: float) -> bool:
    """Whether a change is above the limit in a direction that counts."""
    return (rise > limit and mode != DOWN_ONLY) or (fall > limit and mode != UP_ONLY)
