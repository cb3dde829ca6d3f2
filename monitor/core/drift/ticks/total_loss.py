"""A total loss: most rows of a feature missing, unseen, out of range or constant. Pure.

It needs no statistics, and no history of the stream: two ticks in a row are enough, on the
first day too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import CELL, IS_SEASONAL, IS_SHARE, P
from detectors.multiscale.components import ComponentLayout
from detectors.multiscale.plan import ScalePlan
from monitor.core.drift.ticks.closing import Tick
from monitor.core.windowing.window_length import ROWS_OF_LOSS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LOST_SHARE: Final = 0.5
"""More than half of the rows."""
USUAL_SHARE: Final = 0.1
"""Where the reference had less than a tenth."""
MIN_TICKS: Final = 2
MIN_ROWS: Final = ROWS_OF_LOSS
GROSS: Final = ("below minimum", "above maximum", "missing", "unseen")
"""Components of a total loss; any other one stands for values that are all alike."""


class Streak(msgspec.Struct, array_like=True):
    """Ticks in a row in which one component of a cell had most of its rows."""

    component: int
    n_ticks: int
    n_rows: int
    phi: float
    """Design effect of the cell before the first of them."""


@dataclass(frozen=True, slots=True, eq=False)
class LossPlan:
    """Components of all cells that may hold most rows in a total loss."""

    p: Floats
    """Share in the reference, in the hour with the largest, shape (I,).

    That of out of range is of both sides.
    """
    cell: Integers
    is_share: NDArray[np.bool_]
    is_gross: NDArray[np.bool_]
    below: Integers
    above: Integers
    """Components of the two sides of each numeric cell."""

    @staticmethod
    def of(layout: ComponentLayout, plan: ScalePlan) -> LossPlan:
        """Return the plan of a model."""
        is_gross = special_components(layout)
        names = np.array([name for cell in layout.cells for name in cell.names], np.str_)
        below = np.flatnonzero(is_gross & (names == GROSS[0]))
        above = np.flatnonzero(is_gross & (names == GROSS[1]))
        p, codes = plan.constants[: len(names), P].copy(), plan.codes[: len(names)]
        if plan.has_season:
            # Of a feature such as the hour itself, most rows are alike in every hour.
            p += np.maximum(plan.season[:, : len(p)].max(axis=0), 0.0) * (
                codes[:, IS_SEASONAL] == 1
            )
        p[below] = p[above] = p[below] + p[above]
        return LossPlan(p, codes[:, CELL], codes[:, IS_SHARE] == 1, is_gross, below, above)

    def lost(self, tick: Tick) -> dict[int, int]:
        """Return, by cell, the component with most of the rows, if there is one."""
        n = np.maximum(tick.rows[self.cell], 1.0)
        share = tick.sums[: len(self.p)] / n
        outside = share[self.below] + share[self.above]
        is_below = share[self.below] > share[self.above]
        share[self.below] = np.where(is_below, outside, 0.0)
        share[self.above] = np.where(is_below, 0.0, outside)
        is_lost = self.is_share & (self.p < USUAL_SHARE) & (share > LOST_SHARE)
        found: dict[int, int] = {}
        # A missing value is missing before it is anything else.
        for i in sorted(np.flatnonzero(is_lost).tolist(), key=lambda i: (not self.is_gross[i], i)):
            found.setdefault(int(self.cell[i]), i)
        return found


def special_components(layout: ComponentLayout) -> NDArray[np.bool_]:
    """Return which components are of missing, unseen and out-of-range values.

    By their place in the cell: a category may have any name.
    """
    found = np.zeros(int(layout.offsets[len(layout.cells)]), bool)
    for offset, cell in zip(layout.offsets.tolist(), layout.cells, strict=False):
        stop = len(cell) - cell.n_means
        n_special = 2 if cell.names[stop - 2] == "unseen" else 3
        found[offset + stop - n_special : offset + stop] = True
    return found


def advance_streaks(
    plan: LossPlan, streaks: dict[int, Streak], tick: Tick, phi: Floats
) -> tuple[dict[int, Streak], dict[int, int]]:
    """Update the streaks for one tick.

    Parameters
    ----------
    streaks : dict of int to Streak
        By cell, of the ticks before.
    phi : ndarray of float64, shape (C,)
        Design effects before this tick.

    Returns
    -------
    streaks : dict of int to Streak
        A cell without rows keeps its streak.
    fired : dict of int to int
        Component of each cell that has lost most of its rows for two ticks and 50 rows. Equal
        values are counted by the cluster: a few long sessions may well fall into one bin.
    """
    lost = plan.lost(tick)
    after = {c: s for c, s in streaks.items() if tick.rows[c] <= 0}
    for c, i in lost.items():
        before = streaks.get(c)
        if before is None or before.component != i:
            before = Streak(i, 0, 0, float(phi[c]))
        n_rows = before.n_rows + int(tick.rows[c])
        after[c] = Streak(i, before.n_ticks + 1, n_rows, before.phi)
    fired = {
        c: s.component
        for c, s in after.items()
        if c in lost
        and s.n_ticks >= MIN_TICKS
        and s.n_rows >= MIN_ROWS * (1.0 if plan.is_gross[s.component] else s.phi)
    }
    return after, fired
