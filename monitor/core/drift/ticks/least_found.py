"""The cells of a baseline in which only large changes would be found within a day, and why. Pure.

Under steady traffic of the reference's rate: the variances are those that its ticks have shown.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from detectors.kernels.scale_state import MEAN_ROWS, SQUARES, WEIGHT
from detectors.multiscale.detectable import detectable_changes
from detectors.multiscale.detectable_cells import least_detectable
from detectors.multiscale.state import ScaleState
from monitor.core.drift.ticks.cells import ScaleCells
from schemas.panes import ALL

TOO_LARGE_SD: Final = 0.5
"""Shift from which on a cell is hardly watched."""


class LeastFound(NamedTuple):
    """The smallest shift of a numeric cell that would be found within a day."""

    feature: str
    segment: str
    shift_sd: float
    """NaN if none would be."""
    reason: str

    @property
    def is_too_large(self) -> bool:
        """Whether a shift of half a standard deviation would not be found within a day."""
        return not self.shift_sd <= TOO_LARGE_SD

    def text(self) -> str:
        """Return a line for people.

        Examples
        --------
        >>> LeastFound("price", "*", 0.4, "`price` has too few rows").text()
        'price from 0.4 sd on: `price` has too few rows'
        """
        where = "" if self.segment == ALL else f" for {self.segment}"
        size = "not at all" if math.isnan(self.shift_sd) else f"from {self.shift_sd:.2g} sd on"
        return f"{self.feature}{where} {size}: {self.reason}"


def least_found(cells: ScaleCells, n: int = 5) -> list[LeastFound]:
    """Return the cells that are watched least, the worst first.

    Parameters
    ----------
    cells : ScaleCells
        Of a baseline.
    n : int, optional
        Cells to return.

    Returns
    -------
    list of LeastFound
        Empty where nothing was learned from ticks of the reference.
    """
    if cells.learned is None:
        return []
    found = detectable_changes(cells.plan, cells.rule, _steady(cells, cells.start()))
    least = least_detectable(cells.layout, cells.plan, found, n=n)
    return [
        LeastFound(name, cells.cells[one.cell].segment, one.shift_sd, one.reason(name))
        for one in least
        for name in (cells.cells[one.cell].variable.name,)
    ]


def _steady(cells: ScaleCells, state: ScaleState) -> ScaleState:
    """Return a state whose averages have followed the mean rows of a tick for a long time."""
    decay = cells.rule.decay
    rows = np.maximum(state.cells[:, MEAN_ROWS, None], np.float32(1e-9))
    state.scales[:, :, WEIGHT] = rows / (1 - decay)
    state.scales[:, :, SQUARES] = rows / (1 - decay**2)
    return state
