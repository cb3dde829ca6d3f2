"""When the change of a cell began, from the ticks that were judged. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import CORRECTION, IS_SEASONAL, IS_SHARE, N_REFERENCE, P
from detectors.multiscale.onset import look_back_ticks, onset
from detectors.multiscale.state import ScaleState
from monitor.core.drift.ticks.cells import ScaleCells
from monitor.core.drift.ticks.history import Past, TickHistory
from monitor.core.drift.ticks.slots import slot_at
from schemas.config.model import ModelConfig
from schemas.time_units import HOUR_US

Floats = NDArray[np.float64]


class Beginning(NamedTuple):
    """Beginning of a change, microseconds, and its mean size since."""

    onset_us: int
    low_us: int
    """Start of the first likely tick."""
    high_us: int
    """End of the last likely tick: the change began within a tick."""
    change: float
    """Mean deviation of the share or mean from the baseline since then."""


def find_onset(
    cells: ScaleCells,
    state: ScaleState,
    history: TickHistory,
    config: ModelConfig,
    cell: int,
    component: int,
    scale: int,
    inflation: float,
    now_us: int,
) -> Beginning:
    """Search when the change of a cell began.

    Parameters
    ----------
    history : TickHistory
        With the tick in which the alert opened.
    scale : int
        That fired: six of its time constants are searched.
    inflation : float
        Variance of ticks over that of independent rows, at least 1.
    now_us : int
        End of the tick in which the alert opened.

    Returns
    -------
    Beginning
        Older ticks are added up to hours: see :class:`TickHistory`.
    """
    n_ticks = look_back_ticks(scale, cells.rule.tick_hours)
    since_us = now_us - round(n_ticks * cells.rule.tick_hours * HOUR_US)
    past = history.past(component, cell, since_us)
    expected = _expected(cells, state, past, config, component)
    found = onset(
        past.sums,
        past.rows,
        expected,
        is_share=bool(cells.plan.codes[component, IS_SHARE]),
        n_reference=float(cells.plan.references[cell, N_REFERENCE]),
        inflation=inflation,
    )
    after = slice(found.tick, None)
    rows = past.rows[after]
    moved = float((past.sums[after] - rows * expected[after]).sum() / rows.sum())
    return Beginning(
        int(past.start_us[found.tick]),
        int(past.start_us[found.low]),
        int(past.end_us[found.high]),
        moved,
    )


def _expected(
    cells: ScaleCells, state: ScaleState, past: Past, config: ModelConfig, component: int
) -> Floats:
    """Return the expected mean of a component, with season and live correction."""
    plan = cells.plan
    level = float(plan.constants[component, P]) + float(state.components[component, CORRECTION])
    expected = np.full(len(past.rows), level)
    if plan.has_season and plan.codes[component, IS_SEASONAL]:
        slots = [slot_at(int(t), config) for t in past.start_us]
        expected += plan.season[slots, component]
    return expected
