"""State of the multi-scale rule for a model, a pure function of its closed ticks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import (
    AGE,
    CONFIRMED,
    N_BACK,
    N_CELL_VALUES,
    N_COMPONENT_VALUES,
    N_MODEL_VALUES,
    N_SCALE_VALUES,
    N_SCALES,
    PREVIOUS,
    PREVIOUS_ROWS,
    SQUARES,
    SUM,
    T_CONFIRMED,
    TODAY,
    UNEXPLAINED,
    W_TODAY,
    WEIGHT,
)
from detectors.multiscale.plan import ScalePlan

Singles = NDArray[np.float32]


@dataclass(slots=True)
class ScaleState:
    """Averages, learned variances and open alerts; columns: ``detectors.kernels.scale_state``."""

    components: Singles
    """Shape (I, 19)."""
    scales: Singles
    """Shape (C, 6, 4)."""
    cells: Singles
    """Shape (C, 16)."""
    model: Singles
    """Shape (7,)."""

    @staticmethod
    def start(plan: ScalePlan) -> ScaleState:
        """Return the state before any tick."""
        components = np.zeros((plan.n_components, N_COMPONENT_VALUES), np.float32)
        components[:, UNEXPLAINED] = 1.0
        return ScaleState(
            components,
            np.zeros((plan.n_cells, N_SCALES, N_SCALE_VALUES), np.float32),
            np.zeros((plan.n_cells, N_CELL_VALUES), np.float32),
            np.zeros(N_MODEL_VALUES, np.float32),
        )

    def copy(self) -> ScaleState:
        """Return a checkpoint."""
        return ScaleState(
            self.components.copy(), self.scales.copy(), self.cells.copy(), self.model.copy()
        )

    def restart(self) -> None:
        """Forget averages, sums of days and alerts; keep what was learned about
        variances and the mean rows of a tick.

        Between the ticks of the reference and those of the stream.
        """
        self.components[:, SUM : SUM + N_SCALES] = 0.0
        self.components[:, PREVIOUS] = 0.0
        self.components[:, TODAY : CONFIRMED + 1] = 0.0
        self.scales[:, :, WEIGHT] = 0.0
        self.scales[:, :, SQUARES] = 0.0
        self.cells[:, [PREVIOUS_ROWS, AGE]] = 0.0
        self.cells[:, W_TODAY : T_CONFIRMED + 1] = 0.0
        self.cells[:, T_CONFIRMED + 1 : N_BACK + 1] = 0.0
        self.model[:] = 0.0

    @property
    def n_bytes(self) -> int:
        """Size of the whole state."""
        return sum(a.nbytes for a in (self.components, self.scales, self.cells, self.model))
