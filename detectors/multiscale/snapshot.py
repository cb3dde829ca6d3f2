"""The averages of a model at one tick, to which it returns after a known excursion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import scale_state as at
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.state import ScaleState

Singles = NDArray[np.float32]

_SUMS: Final = slice(at.SUM, at.SUM + at.N_SCALES)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Averages, the sums of the day and the mean rows of I components and C cells."""

    sums: Singles
    """Shape (I, 6)."""
    today: Singles
    correction: Singles
    weights: Singles
    """Shape (C, 6, 2)."""
    mean_rows: Singles
    day_weight: Singles
    day_ticks: Singles

    @staticmethod
    def of(state: ScaleState) -> Snapshot:
        """Copy the averages of a state."""
        return Snapshot(
            sums=state.components[:, _SUMS].copy(),
            today=state.components[:, at.TODAY].copy(),
            correction=state.components[:, at.CORRECTION].copy(),
            weights=state.scales[:, :, : at.SAMPLES].copy(),
            mean_rows=state.cells[:, at.MEAN_ROWS].copy(),
            day_weight=state.cells[:, at.W_TODAY].copy(),
            day_ticks=state.cells[:, at.T_TODAY].copy(),
        )

    def restore(self, plan: ScalePlan, state: ScaleState) -> None:
        """Put the averages back, as if no tick had come since.

        What was learned since is kept: variances, and a live correction, by which the
        averages are moved. If the day has ended since, the sums of the present one are
        dropped.
        """
        cell = plan.codes[:, at.CELL]
        moved = self.correction.astype(np.float64) - state.components[:, at.CORRECTION]
        weight = self.weights[cell, :, at.WEIGHT].astype(np.float64)
        state.components[:, _SUMS] = self.sums + moved[:, None] * weight
        state.scales[:, :, : at.SAMPLES] = self.weights
        state.cells[:, at.MEAN_ROWS] = self.mean_rows
        is_same_day = state.cells[:, at.T_TODAY] >= self.day_ticks
        state.components[:, at.TODAY] = np.where(is_same_day[cell], self.today, 0.0)
        state.cells[:, at.W_TODAY] = np.where(is_same_day, self.day_weight, 0.0)
        state.cells[:, at.T_TODAY] = np.where(is_same_day, self.day_ticks, 0.0)
