"""What the multi-scale rule needs of a baseline, for use outside the monitor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.multiscale.components import ComponentLayout
from detectors.multiscale.plan import SMALLEST, ScalePlan, plan_cells
from detectors.multiscale.reference_cells import reference_cells
from detectors.multiscale.rule import BUDGET, TICK_US, ScaleRule, Verdicts, judge
from detectors.multiscale.state import ScaleState
from schemas.baselines import Baseline
from schemas.errors import ShapeError
from schemas.panes import N_COUNTERS


@dataclass(frozen=True, slots=True, eq=False)
class TickPlan:
    """Cells of a baseline under rule 2, without season, pairs and what the reference taught."""

    places: NDArray[np.int64]
    """Of the C cells that are judged, among the baseline's segments times variables."""
    n_places: int
    layout: ComponentLayout
    plan: ScalePlan
    rule: ScaleRule

    @staticmethod
    def of(
        baseline: Baseline,
        *,
        budget: float = BUDGET,
        tick_us: int = TICK_US,
        smallest: float = SMALLEST,
        phi: float | None = None,
    ) -> TickPlan:
        """Return the plan of every cell that the baseline describes.

        Parameters
        ----------
        baseline : Baseline
            Baseline with S segments and V variables.
        budget : float, optional
            Incidents without cause a month of 730 hours.
        tick_us : int, optional
            Length of a tick, microseconds.
        smallest : float, optional
            Smallest change that matters, in standard deviations, of a share Cohen's h.
        phi : float, optional
            Design effect of the reference; overrides the baseline's estimate.
        """
        counts = baseline.reference.counts
        places, components = reference_cells(baseline.variables, counts)
        layout = ComponentLayout.of(components)
        own = np.maximum(baseline.phi.reshape(-1)[places], 1.0)
        effect = own if phi is None else np.full(len(places), float(phi))
        sums, rows = layout.add_up(counts.reshape(-1, N_COUNTERS)[places])
        plan = plan_cells(layout, sums, rows, phi=effect, smallest=smallest)
        n_places = counts.shape[0] * counts.shape[1]
        rule = ScaleRule.of(layout.n_components, budget, tick_us)
        return TickPlan(np.array(places, np.int64), n_places, layout, plan, rule)

    def start(self) -> ScaleState:
        """Return the state before the first tick."""
        return ScaleState.start(self.plan)

    def judge(self, state: ScaleState, counts: NDArray[np.int64]) -> Verdicts:
        """Evaluate one tick of every cell, and update the state.

        Parameters
        ----------
        state : ScaleState
            Of the ticks before; updated in place.
        counts : ndarray of int64, shape (S x V, 64)
            Counters of the tick, in the baseline's order.

        Raises
        ------
        ShapeError
            If counts or state do not fit the plan.
        """
        if counts.shape != (self.n_places, N_COUNTERS) or len(state.cells) != self.plan.n_cells:
            raise ShapeError(
                f"counts of shape {counts.shape}, a state of {len(state.cells)} cells",
                where="decide",
                fix=f"pass ({self.n_places}, {N_COUNTERS}), and the state of this plan",
            )
        return judge(self.plan, self.rule, state, *self.layout.add_up(counts[self.places]))
