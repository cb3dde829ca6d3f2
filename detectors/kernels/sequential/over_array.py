"""The loop over an array, compiled once for the step of each sequential detector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import uncounted
from detectors.kernels.sequential.signals import FloatArray

Step: TypeAlias = Callable[[float, FloatArray, FloatArray], int]
Run: TypeAlias = Callable[[FloatArray, FloatArray, FloatArray, NDArray[np.uint8]], None]


def over_array(step: Step) -> Run:
    """Return the compiled loop that calls ``step`` for each value of an array.

    Parameters
    ----------
    step : callable
        Compiled. Takes a value, the settings and the state; returns the signals.

    Returns
    -------
    callable
        Takes the values, the settings, the state and the array of uint8 to which the
        signals of each value are written.

    Notes
    -----
    The step is a constant of the loop: LLVM can inline it, and a value costs no call
    through a pointer.
    """

    def run(values: FloatArray, settings: FloatArray, state: FloatArray, out: Any) -> None:
        for i in range(values.size):
            out[i] = step(values[i], settings, state)

    # the cache names a kernel's file by this
    run.__qualname__ = f"{step.__module__}.{step.__qualname__}"
    return uncounted(run)
