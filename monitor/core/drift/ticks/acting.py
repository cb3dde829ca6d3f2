"""What the actions of persons on incidents change in a series that rule 2 judges. Pure."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from detectors.kernels.scale_state import IS_OPEN, N_BACK
from detectors.multiscale.excursion_state import kind_states
from detectors.multiscale.excursion_watch import ExcursionWatch
from detectors.multiscale.state import ScaleState
from monitor.core.drift.cells import importance_of
from monitor.core.drift.decide import SeriesDecider
from monitor.core.drift.ticks.alerts import CellNews, build_scale_alert
from monitor.core.drift.ticks.cells import ScaleCells
from monitor.core.drift.ticks.history import TickHistory
from monitor.core.drift.ticks.marks import (
    MAX_SPANS,
    AlertSpan,
    Mark,
    MarksState,
    kept_marks,
    kind_state,
    known_excursion,
    learned_bytes,
    level_bytes,
    restore_learned,
    with_known,
)
from monitor.core.drift.ticks.transitions import resolved
from schemas.actions import Action, ActionCell, ActionKind, Label
from schemas.alerts import Alert, Transition
from schemas.config.model import Importance
from schemas.monitors import Monitor
from schemas.panes import N_COUNTERS


class ActingDecider(SeriesDecider):
    """A series of rule 2 as far as actions concern it."""

    cells: ScaleCells
    averages: ScaleState
    history: TickHistory
    watch: ExcursionWatch
    marks: MarksState
    onsets: dict[str, tuple[int, int, int]]

    def take_action(self, action: Action) -> list[Alert]:
        """Apply what a person did to an incident; return the alerts that it resolves.

        An incident that is closed as normal resolves the alerts of its cells, which learn again,
        and its excursion is known from now on. One that is closed as a fault resolves them too:
        the cells learn nothing before they have returned. The last action on an incident holds;
        an undo takes it back, with what has been learned since.
        """
        again = self._still_out(action.incident_id)
        self._unmark(action.incident_id)
        version = self.series.model_version
        named = [cell for cell in action.cells if cell.model_version == version]
        if action.kind is not ActionKind.CLOSE or not named:
            return []
        keys = {f"{Monitor.DRIFT}|{cell.feature}|{cell.segment}": cell for cell in named}
        opened = [key for key in keys if self._is_named(key, keys[key])]
        out = opened + [key for key in keys if key in again and key not in opened]
        spans = [self.marks.spans[key] for key in opened if key in self.marks.spans]
        places = {(self._cell_of.get(key), cell.opened_at_us) for key, cell in keys.items()}
        spans += [s for s in self.marks.past if (s.cell, s.opened_at_us) in places]
        mark = Mark(
            action.incident_id, action.action_id, action.label, action.by, action.time_us, out
        )
        if action.label is Label.FAULT:
            self.marks.faults |= {key: self._level_of(key, keys[key].opened_at_us) for key in out}
        elif spans:
            kind = known_excursion(
                spans, self.cells.plan, self.cells.rule, self.averages, is_over=not out
            )
            mark.kind = kind_state(kind)
            self._accept(mark, spans)
        self.marks.marks = kept_marks([*self.marks.marks, mark])
        self._know()
        return [alert for key in opened for alert in self._close_by(action, key)]

    @cached_property
    def _cell_of(self) -> dict[str, int]:
        """Number of the cell of each alert's key."""
        return {self.cell_key(c): c for c in range(len(self.cells.cells))}

    def _is_named(self, key: str, cell: ActionCell) -> bool:
        """Whether the alert of a cell is open and is that of an action."""
        own = self.open_alerts.get(key)
        return own is not None and own.opened_at_us == cell.opened_at_us and key in self._cell_of

    def _still_out(self, incident_id: str) -> set[str]:
        """Return the cells that were closed with an incident before, and have not returned."""
        return {
            key
            for mark in self.marks.marks
            if mark.incident_id == incident_id
            for key in mark.keys
            if key not in self.open_alerts and key in self._cell_of
            if self.averages.cells[self._cell_of[key], IS_OPEN] != 0
        }

    def _level_of(self, key: str, opened_at_us: int) -> bytes:
        """Return the level of a cell before its alert opened; that of rule 1 has none."""
        if key in self.marks.spans:
            return self.marks.spans[key].level
        place = self._cell_of[key], opened_at_us
        for span in reversed(self.marks.past):
            if (span.cell, span.opened_at_us) == place:
                return span.level
        return level_bytes(self.cells.plan, self.averages, self._cell_of[key])

    def _accept(self, mark: Mark, spans: list[AlertSpan]) -> None:
        """Let the cells of an incident learn again; keep what is known of them so far."""
        for c in sorted({span.cell for span in spans}):
            mark.before[c] = learned_bytes(self.cells.plan, self.averages, c)
        for key in mark.keys:
            own = self.averages.cells[self._cell_of[key]]
            own[IS_OPEN], own[N_BACK] = 0.0, 1.0  # as one that has closed: its day is left out

    def _unmark(self, incident_id: str) -> None:
        """Forget what a person said of an incident, and what has been learned by it."""
        gone = [mark for mark in self.marks.marks if mark.incident_id == incident_id]
        if not gone:
            return
        self.marks.marks = [m for m in self.marks.marks if m.incident_id != incident_id]
        for mark in gone:
            for key in mark.keys:
                self.marks.faults.pop(key, None)
            for c, data in mark.before.items():
                restore_learned(self.cells.plan, self.averages, c, data)
        self._know()

    def _know(self) -> None:
        """Follow the excursions that the reference has or persons have marked as normal."""
        known = with_known(self.cells.kinds, self.marks.marks, self.cells.plan)
        if kind_states(known) != kind_states(self.watch.kinds):
            self.watch.know(known)

    def _close_by(self, action: Action, key: str) -> list[Alert]:
        """Resolve the alert of a cell that a person closed."""
        c, span = self._cell_of[key], self.marks.spans.pop(key, None)
        if span is not None:
            self.marks.past = [*self.marks.past, span][-MAX_SPANS:]
        state = resolved(self.open_alerts.pop(key))
        onset_us = self.onsets.pop(key, (state.first_positive_us,) * 3)
        now_us = max(self.history.last_us, state.opened_at_us)
        no_rows = np.zeros(N_COUNTERS, np.int64)
        news = CellNews(
            series=self.series,
            cell=self.cells.cells[c],
            importance=self._importance(c),
            state=state,
            onset_us=onset_us,
            found=None,
            tick_us=(now_us, now_us),
            n_windows=self._n_windows(onset_us[0], now_us),
            n_reference=0,
            reference_counts=no_rows,
            current_counts=no_rows,
            closed_as=f"{action.label.value} by {action.by}",
        )
        return [build_scale_alert(news, Transition.RESOLVED)]

    def cell_key(self, c: int) -> str:
        """Return the key of a cell's alert: ``monitor|feature|segment``."""
        cell = self.cells.cells[c]
        return f"{Monitor.DRIFT}|{cell.variable.name}|{cell.segment}"

    def _n_windows(self, onset_us: int, now_us: int) -> int:
        return max(1, -(-(now_us - onset_us) // self.config.window.length_us))

    def _importance(self, c: int) -> Importance:
        return importance_of(self.config, self.cells.cells[c].variable.name)
