"""Cells of one series under rule 2: components, plan, and conversion of windows to ticks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import N_MODEL_VALUES
from detectors.multiscale.components import CellComponents, ComponentLayout
from detectors.multiscale.excursion_state import kinds_of, read_kinds
from detectors.multiscale.excursions import ExcursionKind
from detectors.multiscale.plan import ScalePlan, plan_cells
from detectors.multiscale.reference_cells import reference_cells
from detectors.multiscale.rule import ScaleRule, guessed_contexts
from detectors.multiscale.state import ScaleState
from monitor.core.drift.cells import align_counts, label_of
from monitor.core.drift.ticks.closing import Tick
from monitor.core.drift.ticks.seasons import with_season_of
from monitor.core.drift.ticks.total_loss import LossPlan
from schemas.baselines import Baseline, Kind, ReferenceTicks, VariableBaseline
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
    """What rule 2 needs of a baseline.

    Segments without rows in the reference have no cell. Baselines have no products of features
    yet: pairs are not followed. Movement and season are those of the reference's ticks; without
    them the season is that of the baseline's hours of the week, and nothing is known of movement.
    """

    cells: tuple[ScaleCell, ...]
    segments: tuple[str, ...]
    layout: ComponentLayout
    plan: ScalePlan
    rule: ScaleRule
    losses: LossPlan
    names: tuple[str, ...]
    """Of the components, as alerts name them."""
    is_guessed: NDArray[np.bool_]
    """Contexts that may explain a tick: what a declared clock or calendar leaves to guess."""
    kinds: tuple[ExcursionKind, ...] = ()
    """Short excursions that the reference contains more than once."""
    learned: ScaleState | None = None
    """State after the ticks of the reference."""

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
        places, components = reference_cells(variables, baseline.reference.counts)
        n = len(variables)
        cells = tuple(ScaleCell(variables[p % n], segments[p // n], p) for p in places)
        layout = ComponentLayout.of(components)
        decision = config.decision
        plan = plan_cells(
            layout,
            *layout.add_up(counts[places]),
            hours=baseline.n_reference_windows * config.window.length_us / HOUR_US,
            phi=np.maximum(baseline.phi.reshape(-1)[places], 1.0),
            smallest=np.array([_smallest(config, cell.variable.name) for cell in cells]),
        )
        ticks = baseline.ticks
        if ticks is not None and ticks.tick_us != config.tick_us:
            ticks = None
        if ticks is not None:
            plan = plan.with_season(
                ticks.season.astype(np.float64), ticks.is_seasonal, ticks.season_factor
            )
        elif baseline.seasonal is not None:
            plan = with_season_of(plan, layout, np.array(places), baseline.seasonal)
        budget = decision.monthly_budget(n_models)
        rule = ScaleRule.of(layout.n_components, budget, config.tick_us)
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
            is_guessed=guessed_contexts(
                has_timezone=config.timezone is not None,
                has_holidays=config.calendar is not None and bool(config.calendar.holidays),
            ),
            kinds=() if ticks is None else _kinds(ticks, plan),
            learned=None if ticks is None else _learned(ticks),
        )

    def start(self) -> ScaleState:
        """Return the state before the first tick of the stream."""
        return ScaleState.start(self.plan) if self.learned is None else self.learned.copy()

    def counts(self, window: Window) -> NDArray[np.int64]:
        """Return the counters of every cell in a window, shape (C, 64)."""
        places = [cell.place for cell in self.cells]
        return align_counts(window.segments, self.segments)[places]

    def tick(self, window: Window) -> Tick:
        """Return a closed tick, added up by component."""
        sums, rows = self.layout.add_up(self.counts(window))
        return Tick(window.start_us, window.end_us, sums, rows)


def _learned(ticks: ReferenceTicks) -> ScaleState:
    """Return the state after the ticks of the reference."""
    model = np.zeros(N_MODEL_VALUES, np.float32)
    return ScaleState(ticks.components, ticks.scales, ticks.cells, model)


def _kinds(ticks: ReferenceTicks, plan: ScalePlan) -> tuple[ExcursionKind, ...]:
    """Return the excursions that the reference contains more than once."""
    return kinds_of(read_kinds(ticks.excursions, plan.n_components, plan.n_cells), plan)


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
