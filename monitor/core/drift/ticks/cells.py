"""The cells of one series as rule 2 sees them: components, plan, and the ticks of windows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.multiscale.components import CellComponents, ComponentLayout, variable_components
from detectors.multiscale.plan import ScalePlan, plan_cells
from detectors.multiscale.rule import ScaleRule
from monitor.core.drift.cells import align_counts, label_of
from monitor.core.drift.ticks.closing import Tick
from monitor.core.drift.ticks.seasons import with_season_of
from monitor.core.drift.ticks.total_loss import LossPlan
from schemas.baselines import Baseline, Kind, VariableBaseline
from schemas.config.model import ModelConfig
from schemas.names import SCORE
from schemas.panes import N_COUNTERS, Window
from schemas.time_units import HOUR_US

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScaleCell:
    """One cell: a variable in a segment."""

    variable: VariableBaseline
    segment: str
    place: int
    """Segment times variables plus variable, as ``align_counts`` lays them out."""


@dataclass(frozen=True, slots=True, eq=False)
class ScaleCells:
    """What rule 2 needs of a baseline, from its counts alone.

    Segments without rows in the reference have no cell. Baselines have no products of features
    yet: pairs are not followed. The season is that of the baseline's hours of the week.
    """

    cells: tuple[ScaleCell, ...]
    segments: tuple[str, ...]
    layout: ComponentLayout
    plan: ScalePlan
    rule: ScaleRule
    losses: LossPlan
    names: tuple[str, ...]
    """Of the components, as alerts name them."""

    @staticmethod
    def of(config: ModelConfig, baseline: Baseline, n_models: int = 1) -> ScaleCells:
        """Return the cells of a baseline.

        Parameters
        ----------
        config : ModelConfig
            ``decision`` and ``smallest`` of features are used.
        baseline : Baseline
            Of any version.
        n_models : int, optional
            Among which the budget of a fleet is divided.
        """
        segments, variables = baseline.reference.segments, baseline.variables
        counts = baseline.reference.counts.reshape(-1, N_COUNTERS)
        cells = tuple(
            ScaleCell(variable, segment, s * len(variables) + v)
            for s, segment in enumerate(segments)
            for v, variable in enumerate(variables)
            if counts[s * len(variables) + v].sum() > 0
        )
        places = [cell.place for cell in cells]
        components = [variable_components(cell.variable, counts[cell.place]) for cell in cells]
        layout = ComponentLayout.of(components)
        decision = config.decision
        plan = plan_cells(
            layout,
            *layout.add_up(counts[places]),
            hours=baseline.n_reference_windows * config.window.length_us / HOUR_US,
            phi=np.maximum(baseline.phi.reshape(-1)[places], 1.0),
            smallest=np.array([_smallest(config, cell.variable.name) for cell in cells]),
        )
        if baseline.seasonal is not None:
            plan = with_season_of(plan, layout, np.array(places), baseline.seasonal)
        budget = decision.monthly_budget(n_models)
        rule = ScaleRule.of(layout.n_components, budget, decision.tick_us)
        return ScaleCells(
            cells=cells,
            segments=segments,
            layout=layout,
            plan=plan,
            rule=rule,
            losses=LossPlan.of(layout, plan),
            names=tuple(
                name
                for cell, own in zip(cells, components, strict=True)
                for name in _component_names(cell.variable, own)
            ),
        )

    def counts(self, window: Window) -> NDArray[np.int64]:
        """Return the counters of every cell in a window, shape (C, 64)."""
        places = [cell.place for cell in self.cells]
        return align_counts(window.segments, self.segments)[places]

    def tick(self, window: Window) -> Tick:
        """Return a closed tick, added up by component."""
        sums, rows = self.layout.add_up(self.counts(window))
        return Tick(window.start_us, window.end_us, sums, rows)


def _smallest(config: ModelConfig, name: str) -> float:
    """Return the smallest change of a feature, or the score, that matters."""
    own = None if name == SCORE else config.features[name].smallest
    return config.decision.smallest if own is None else own


def _component_names(variable: VariableBaseline, own: CellComponents) -> list[str]:
    """Return the names of a cell's components; a category is ``feature=category``."""
    n_categories = variable.n_bins if variable.kind is Kind.CATEGORICAL else 0
    return [
        label_of(f"{variable.name}={name}" if k < n_categories else name)
        for k, name in enumerate(own.names)
    ]
