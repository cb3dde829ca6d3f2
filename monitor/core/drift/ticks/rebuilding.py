"""Averages and movement of a series, rebuilt from its stored panes at the change to rule 2. Pure.

Rule 1 leaves no averages. Without them the first days under rule 2 would find no small change,
and what the stream does by itself would have to be learned again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import CELL
from detectors.multiscale.rule import judge
from monitor.core.drift.ticks.closing import Tick, merge_thin
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.drift.ticks.slots import slot_at
from schemas.panes import ClosedBy, Pane, SeriesId, SeriesStats, Window
from schemas.time_units import DAY_US, HOUR_US

REBUILT_US: Final = 14 * DAY_US
"""Time before the change of the rule from which panes are used."""


class RebuildRequest(NamedTuple):
    """A model whose averages are to be rebuilt."""

    tenant: str
    model: str
    tick_us: int
    since_us: int
    until_us: int
    """End of the last window that was judged by rule 1."""


class OpenSpan(NamedTuple):
    """Time in which an alert of a cell was open."""

    model_version: str
    feature: str
    segment: str
    start_us: int
    end_us: int


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild of one series has used."""

    series: SeriesId
    n_ticks: int = 0
    n_rows: int = 0
    left_out_us: Counter[str] = field(default_factory=Counter)
    """By ``feature|segment``: time with rows in which an alert of the cell was open."""
    has_pairs: bool = False
    """Whether the baseline has products of features."""

    def as_document(self) -> dict[str, Any]:
        """Return the facts, for the record of the rebuild."""
        facts: dict[str, Any] = {
            "profile_id": self.series.profile_id,
            "ticks": self.n_ticks,
            "rows": self.n_rows,
            "left_out_hours": {
                name: round(us / HOUR_US, 2) for name, us in sorted(self.left_out_us.items())
            },
        }
        if self.has_pairs:
            facts["correlations"] = "not rebuilt: stored panes have no products of features"
        return facts


def rebuild(
    decider: ScaleDecider,
    panes: Iterable[Pane],
    spans: Sequence[OpenSpan],
    until_us: int,
    found: Rebuilt,
) -> None:
    """Learn averages and movement of a series from its panes; no alert opens.

    Parameters
    ----------
    decider : ScaleDecider
        With open alerts of rule 1 and no averages of its own; updated.
    panes : iterable of Pane
        One for each tick, of any series, in order of time for each series.
    spans : sequence of OpenSpan
        Alerts of any cells. The alerts that are open in ``decider`` need not be among them.
    until_us : int
        Ticks that end later are not used.
    found : Rebuilt
        What was used so far; updated. Panes may be given in several calls.

    Notes
    -----
    While an alert of a cell was open, the tick has no rows for that cell: neither its averages
    nor its variances follow a fault. Correlations are not rebuilt, because stored panes have no
    products of features: they begin with the movement that the baseline has learned.
    """
    found.has_pairs = decider.pair_watch.cells is not None
    own = [*_own_spans(decider, spans), *_open_spans(decider, until_us)]
    for tick in _ticks(decider, panes, until_us):
        used = _without_open(decider, tick, own, found)
        slot = slot_at(used.start_us, decider.config)
        cells = decider.cells
        args = (cells.plan, cells.rule, decider.averages, used.sums, used.rows, slot)
        judge(*args, is_firing=False)
        decider.history.add(used)
        found.n_ticks += 1
        found.n_rows += tick.n_rows


def _ticks(decider: ScaleDecider, panes: Iterable[Pane], until_us: int) -> Iterator[Tick]:
    """Yield the ticks of a series; what is held back at the end waits for the stream."""
    width = len(decider.baseline.variables)
    for pane in panes:
        is_own = pane.series == decider.series and pane.end_us <= until_us
        if not is_own or pane.segments.counts.shape[1] != width:
            continue
        ready, decider.held = merge_thin(decider.held, decider.cells.tick(_window_of(pane)))
        yield from ready


def _window_of(pane: Pane) -> Window:
    """Return a pane as the window that it is all of."""
    empty = SeriesStats.empty((), 1)
    return Window(
        pane.series, pane.start_us, pane.end_us, pane.segments, empty, 1, ClosedBy.WATERMARK
    )


def _own_spans(decider: ScaleDecider, spans: Sequence[OpenSpan]) -> Iterator[tuple[int, int, int]]:
    """Yield cell, start and end of the alerts of a series."""
    cells = decider.cells.cells
    place = {(cell.variable.name, cell.segment): c for c, cell in enumerate(cells)}
    for span in spans:
        c = place.get((span.feature, span.segment))
        if c is not None and span.model_version == decider.series.model_version:
            yield c, span.start_us, span.end_us


def _open_spans(decider: ScaleDecider, until_us: int) -> Iterator[tuple[int, int, int]]:
    """Yield cell, start and end of the alerts that are open."""
    for c in range(len(decider.cells.cells)):
        state = decider.open_alerts.get(decider.cell_key(c))
        if state is not None:
            yield c, state.first_positive_us, until_us


def _without_open(
    decider: ScaleDecider, tick: Tick, spans: Sequence[tuple[int, int, int]], found: Rebuilt
) -> Tick:
    """Return a tick without the rows of cells whose alert was open at some time of it."""
    is_open: NDArray[np.bool_] = np.zeros(len(tick.rows), np.bool_)
    for c, start_us, end_us in spans:
        is_open[c] |= start_us < tick.end_us and tick.start_us < end_us
    is_open &= tick.rows > 0
    if not is_open.any():
        return tick
    for c in np.flatnonzero(is_open).tolist():
        cell = decider.cells.cells[c]
        found.left_out_us[f"{cell.variable.name}|{cell.segment}"] += tick.end_us - tick.start_us
    of_cell = is_open[decider.cells.plan.codes[:, CELL]]
    sums, rows = np.where(of_cell, 0.0, tick.sums), np.where(is_open, 0.0, tick.rows)
    return replace(tick, sums=sums, rows=rows)
