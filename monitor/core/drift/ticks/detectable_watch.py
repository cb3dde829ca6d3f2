"""What would be found in each cell as the stream goes on: rows for the store, and tickets. Pure.

Rows are written every hour. A numeric cell in which no shift of half a standard deviation would be
found within a day is hardly watched: that is a ticket about the monitor, with the reason, until
such a shift would be found again. Tickets are looked at four times a day only: a look takes 4 ms
for eleven cells, which every hour would be a third of a replay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from detectors.multiscale.detectable import HORIZON_HOURS, DetectableChange, detectable_changes
from detectors.multiscale.detectable_cells import (
    LeastDetectable,
    detectable_cells,
    least_detectable,
)
from detectors.multiscale.state import ScaleState
from monitor.core.drift.ticks.cells import ScaleCells
from monitor.core.drift.ticks.least_found import TOO_LARGE_SD
from monitor.core.identity import alert_id
from monitor.core.incidents.alerting import CellState
from schemas.alerts import UNDETECTABLE, Alert, Severity, Transition
from schemas.detectable import DetectableRow
from schemas.monitors import Monitor
from schemas.panes import ALL, SeriesId, Window
from schemas.time_units import HOUR_US

MIN_US: Final = 24 * HOUR_US
"""Since the first look, before a cell can have a ticket: variances are not known sooner."""
TICKET_US: Final = 6 * HOUR_US
"""Between two looks at tickets."""
N_LOOKS: Final = 2
"""Looks in a row after which a ticket opens or resolves."""
MAX_OPEN: Final = 5
"""Tickets of one model version; of more cells the worst."""


class DetectableState(msgspec.Struct, array_like=True):
    """Tickets of a series, and looks in a row at which a cell was hardly watched."""

    open: dict[str, CellState] = {}
    """By ``feature|segment``; ``n_quiet`` counts looks at which a shift would be found."""
    n_looks: dict[str, int] = {}
    """Of cells without a ticket."""
    first_us: int = -1
    """Time of the first look; -1 before it."""


@dataclass(slots=True)
class DetectableWatch:
    """What would be found, at full hours of event time: a pure function of the judged ticks.

    Parameters
    ----------
    series : SeriesId
        Of the alerts and rows.
    state : DetectableState, optional
        State before a restart.
    """

    series: SeriesId
    cells: ScaleCells
    state: DetectableState = field(default_factory=DetectableState)

    def look(
        self, window: Window, averages: ScaleState, *, has_rows: bool
    ) -> tuple[list[DetectableRow], list[Alert]]:
        """Take a look if an hour ends in a window that has just been judged.

        Parameters
        ----------
        averages : ScaleState
            After the ticks of the window.
        has_rows : bool
            Whether rows for the store are wanted.

        Returns
        -------
        rows : list of DetectableRow
            One for each cell and horizon.
        alerts : list of Alert
            Tickets that open or resolve.
        """
        if not _ends(window, HOUR_US):
            return [], []
        if self.state.first_us < 0:
            self.state.first_us = window.end_us
        is_looking, cells = _ends(window, TICKET_US), self.cells
        if not has_rows and not is_looking:
            return [], []
        only = None if has_rows else _locations(cells)
        found = detectable_changes(cells.plan, cells.rule, averages, only)
        rows = _rows(self.series, cells, found, window.end_us) if has_rows else []
        return rows, self._advance(window, found) if is_looking else []

    def export(self) -> DetectableState:
        """Return a copy of the state, for the state message."""
        return DetectableState(dict(self.state.open), dict(self.state.n_looks), self.state.first_us)

    def retire(self, window: Window) -> list[Alert]:
        """Resolve the tickets of a version that gets no more windows."""
        alerts = [
            _alert(self.series, key, state, window, Transition.RESOLVED, "")
            for key, state in sorted(self.state.open.items())
        ]
        self.state = DetectableState()
        return alerts

    def _advance(self, window: Window, found: DetectableChange) -> list[Alert]:
        """Open and resolve tickets, those of the least watched cells first."""
        cells, alerts = self.cells, self._end_gone(window)
        if window.end_us - self.state.first_us < MIN_US:
            return alerts
        n = len(cells.cells)
        for one in least_detectable(cells.layout, cells.plan, found, n=n):
            alerts += self._advance_cell(one, window)
        return alerts

    def _end_gone(self, window: Window) -> list[Alert]:
        """Resolve the tickets of cells that the present baseline does not have."""
        known = {f"{cell.variable.name}|{cell.segment}" for cell in self.cells.cells}
        own = self.state
        own.n_looks = {key: n for key, n in own.n_looks.items() if key in known}
        gone = sorted(own.open.keys() - known)
        return [
            _alert(self.series, key, own.open.pop(key), window, Transition.RESOLVED, "")
            for key in gone
        ]

    def _advance_cell(self, one: LeastDetectable, window: Window) -> list[Alert]:
        """Update the ticket of one cell after a look."""
        cell = self.cells.cells[one.cell]
        key = f"{cell.variable.name}|{cell.segment}"
        is_hidden = not one.shift_sd <= TOO_LARGE_SD
        before = self.state.open.get(key)
        if before is None:
            return self._open(key, one, window) if self._is_due(key, is_hidden) else []
        n_quiet = 0 if is_hidden else before.n_quiet + 1
        if n_quiet < N_LOOKS:
            self.state.open[key] = msgspec.structs.replace(before, n_quiet=n_quiet)
            return []
        del self.state.open[key]
        return [_alert(self.series, key, before, window, Transition.RESOLVED, "", one.shift_sd)]

    def _is_due(self, key: str, is_hidden: bool) -> bool:
        """Count a look at a cell without a ticket; return whether one opens."""
        n_looks = self.state.n_looks.pop(key, 0) + 1
        if not is_hidden:
            return False
        if n_looks >= N_LOOKS and len(self.state.open) < MAX_OPEN:
            return True
        self.state.n_looks[key] = min(n_looks, N_LOOKS)
        return False

    def _open(self, key: str, one: LeastDetectable, window: Window) -> list[Alert]:
        """Open the ticket of a cell."""
        opened = CellState(window.end_us, window.end_us, Severity.TICKET, 0)
        self.state.open[key] = opened
        reason = one.reason(key.partition("|")[0])
        return [_alert(self.series, key, opened, window, Transition.OPENED, reason, one.shift_sd)]


def _ends(window: Window, span_us: int) -> bool:
    """Return whether a span of the clock ends in a window."""
    return window.end_us // span_us != window.start_us // span_us


def _locations(cells: ScaleCells) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the components whose changes are shifts of numbers."""
    places = zip(cells.plan.offsets.tolist(), cells.layout.cells, strict=False)
    return np.array([begin + own.location for begin, own in places if own.n_means], np.int64)


def _rows(
    series: SeriesId, cells: ScaleCells, found: DetectableChange, time_us: int
) -> list[DetectableRow]:
    """Return what would be found in each cell within each horizon."""
    own = detectable_cells(cells.layout, cells.plan, found)
    return [
        DetectableRow(
            tenant=series.tenant,
            model=series.model,
            model_version=series.model_version,
            profile_id=series.profile_id,
            feature=cell.variable.name,
            segment=cell.segment,
            time_us=time_us,
            horizon_s=round(hours * 3600),
            shift_sd=_known(own.shift_sd[h, c]),
            missing=_known(own.missing[h, c]),
            category=_known(own.category[h, c]),
            average_s=_known(own.average_hours[h, c] * 3600),
            natural_sd=_known(own.natural_sd[h, c]),
            is_natural=bool(own.is_natural[h, c]),
        )
        for c, cell in enumerate(cells.cells)
        for h, hours in enumerate(HORIZON_HOURS)
    ]


def _known(number: float) -> float | None:
    """Return a number, None for NaN."""
    return None if math.isnan(number) else float(number)


def _alert(
    series: SeriesId,
    key: str,
    state: CellState,
    window: Window,
    transition: Transition,
    reason: str,
    shift_sd: float = math.nan,
) -> Alert:
    """Return the ticket on a cell that is hardly watched, or its resolution."""
    feature, _, segment = key.partition("|")
    is_over = transition is Transition.RESOLVED
    cell = (series.tenant, series.model, series.model_version, feature, segment, UNDETECTABLE)
    return Alert(
        alert_id=alert_id(
            Monitor.PIPELINE, cell, (window.start_us, window.end_us), transition.value
        ),
        tenant=series.tenant,
        monitor=Monitor.PIPELINE,
        transition=transition,
        severity=state.severity,
        time_us=window.end_us,
        opened_at_us=state.opened_at_us,
        sequence=state.sequence + is_over,
        title=_title(series.model, feature, segment, is_over, reason, shift_sd),
        model=series.model,
        model_version=series.model_version,
        feature=feature,
        segment=segment,
        rule=UNDETECTABLE,
        action="" if is_over else _ACTION,
        window_start_us=state.first_positive_us,
        window_end_us=window.end_us,
        minimum_detectable_effect=_known(shift_sd),
        profile_id=series.profile_id,
    )


_ACTION: Final = (
    "Rule 2 finds only large changes here. Give the cell more rows (fewer segments), or a baseline "
    "of more weeks with times; declare a calendar if working days and holidays differ."
)


def _title(
    model: str, feature: str, segment: str, is_over: bool, reason: str, shift_sd: float
) -> str:
    """Return the title: how large a shift has to be, and why."""
    subject = f"{model}: {feature}" + ("" if segment == ALL else f" for {segment}")
    if is_over:
        if math.isnan(shift_sd):
            return f"{subject} is gone: it has had no rows for a long time"
        return f"{subject}: a shift of {shift_sd:.2g} sd would be found within a day again"
    if math.isnan(shift_sd):
        return f"{subject}: no shift would be found within a day: {reason}"
    return f"{subject}: only a shift from {shift_sd:.2g} sd on would be found in a day: {reason}"
