"""Applies rule 2 to one series, tick by tick, and reports its results by window. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from detectors.kernels.scale_evidence import BACK_MARGIN
from detectors.kernels.scale_state import (
    IS_OPEN,
    N_BACK,
    OPEN_CHANGE,
    OPEN_COMPONENT,
    OPEN_SCALE,
    P,
    average,
    cell_phi,
)
from detectors.multiscale.averages import can_fire
from detectors.multiscale.excursion_state import watch_of, watch_state
from detectors.multiscale.excursion_watch import ExcursionWatch
from detectors.multiscale.rule import Verdicts
from detectors.multiscale.rule import judge as judge_cells
from monitor.core.drift.alert_details import details_of_window
from monitor.core.drift.alerts import CellGroup
from monitor.core.drift.canary import CanarySchedule, ended_planting
from monitor.core.drift.canary_watch import CanaryWatch
from monitor.core.drift.decide import Decided, SeriesDecider, SeriesState
from monitor.core.drift.season_plans import SeasonPlans
from monitor.core.drift.ticks.acting import ActingDecider
from monitor.core.drift.ticks.alerts import (
    CellNews,
    Finding,
    build_scale_alert,
    finding,
    severity_of_change,
)
from monitor.core.drift.ticks.canary import TickCanary, TickCanaryWatch
from monitor.core.drift.ticks.cells import ScaleCell, ScaleCells
from monitor.core.drift.ticks.closing import HeldTick, Tick, merge_thin
from monitor.core.drift.ticks.detectable_watch import DetectableWatch
from monitor.core.drift.ticks.history import TickHistory
from monitor.core.drift.ticks.marks import (
    MAX_SPANS,
    AlertSpan,
    MarksState,
    follow_spans,
    level_bytes,
    restore_level,
)
from monitor.core.drift.ticks.onset import Beginning, find_onset
from monitor.core.drift.ticks.pair_watch import PairWatch
from monitor.core.drift.ticks.replica_watch import ReplicaWatch
from monitor.core.drift.ticks.results import RULE, scale_results
from monitor.core.drift.ticks.slots import slot_at
from monitor.core.drift.ticks.state import (
    CellFinding,
    ScaleSeries,
    check_faults,
    check_scale,
    state_bytes,
    state_of,
)
from monitor.core.drift.ticks.total_loss import MIN_ROWS as LOSS_ROWS
from monitor.core.drift.ticks.total_loss import Streak, advance_streaks
from monitor.core.drift.ticks.transitions import advance_foreign, advance_open, resolved
from monitor.core.drift.unjudged import pop_tickets
from monitor.core.drift.window_results import verdict_table
from monitor.core.drift.windows import MAX_EMPTY
from monitor.core.incidents.alerting import CellState
from schemas.actions import Action
from schemas.alerts import NO_DETAILS, UNDETECTABLE, Alert, AlertDetails, Transition
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.detectable import DetectableRow
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.panes import ALL, SeriesId, Window
from schemas.results import DetectorResult, Reason, Verdict
from schemas.time_units import HOUR_US

Counts = NDArray[np.int64]

_LOSS_SCALE = 1
"""Scale of the average that an alert on a total loss follows: half an hour."""


class ScaleDecider(ActingDecider):
    """Rule 2 for one series: :meth:`take_tick` judges, :meth:`decide` describes a window.

    Parameters are those of :class:`SeriesDecider`. A state of rule 1 leaves its open alerts,
    with their beginning; its evidence is dropped.
    """

    def __init__(
        self,
        series: SeriesId,
        config: ModelConfig,
        baseline: Baseline,
        state: SeriesState | None = None,
        *,
        has_statistics: bool = True,
        plans: SeasonPlans | None = None,
        n_models: int = 1,
    ) -> None:
        self.cells = ScaleCells.of(config, baseline, n_models)
        self.averages = self.cells.start()
        n_components, n_cells = self.cells.plan.n_components, self.cells.plan.n_cells
        self.history = TickHistory(n_components, n_cells)
        self.watch = ExcursionWatch(self.cells.kinds)
        self.held: Tick | None = None
        self.streaks: dict[int, Streak] = {}
        self.onsets: dict[str, tuple[int, int, int]] = {}
        self.peaks: dict[int, CellFinding] = {}
        self.detectable = DetectableWatch(series, self.cells)
        self.replica_watch = ReplicaWatch(series, config, baseline, self.cells)
        beside = self.cells.layout.n_components
        budget = self.cells.rule.budget
        self.pair_watch = PairWatch(series, config, baseline, budget, beside)
        self.marks = MarksState()
        self._shown: Window | None = None
        self.shadow: TickCanary | None = None
        super().__init__(
            series,
            config,
            baseline,
            state,
            has_statistics=has_statistics,
            plans=plans,
            n_models=n_models,
        )

    def _canary_watch(self, state: SeriesState | None) -> CanaryWatch:
        if CanarySchedule.fits(self.config, self.baseline):
            planted = state.canary if state is not None else None
            if state is not None and state.rule != RULE:
                planted = ended_planting(planted)
            self.shadow = TickCanary(self.series, self.config, self.baseline, self.cells, planted)
        return TickCanaryWatch(self.series, self.shadow)

    def take_tick(self, window: Window) -> list[Alert]:
        """Judge a closed tick, or hold it back until there are more rows."""
        self._shown = window
        alerts = self.replica_watch.take(window, self.open_alerts, self.onsets)
        planted = self._planted(window)
        ready, self.held = merge_thin(self.held, self.cells.tick(window))
        counts = self.cells.counts(window)
        for k, tick in enumerate(ready):
            if self.shadow is not None and planted:
                slot = slot_at(tick.start_us, self.config)
                self.shadow.judge(planted[k], self.averages, slot)
            alerts += self._judge_tick(tick, counts)
        return alerts + self.pair_watch.take(window, self.open_alerts, self.onsets)

    def take_action(self, action: Action) -> list[Alert]:
        """Apply what a person did to an incident; return the alerts that it resolves."""
        alerts = super().take_action(action)
        return alerts + self.pair_watch.take_action(action, self.open_alerts, self.onsets)

    def _planted(self, window: Window) -> list[Tick]:
        """Return the ticks that the canary judges now: those of the series, with its shift."""
        if self.shadow is None:
            return []
        is_firing = f"{Monitor.DRIFT}|{self.shadow.feature}|{ALL}" in self.open_alerts
        self.shadow.begin(window, self.averages, self.held, is_firing=is_firing)
        return self.shadow.ready(window)

    def decide(self, window: Window) -> Decided:
        """Return the results of a window: strongest evidence of its ticks, statistics."""
        groups, alerts = self._judge(window)
        results = [*self._fairness(window), *self._cell_results(window)]
        results += self.replica_watch.results(window, self.open_alerts, self.onsets)
        results += self.pair_watch.results(window, self.onsets)
        verdicts = [verdict_table(group, window) for group in groups]
        rows: list[DetectableRow] = []
        planted, missed = self.canary.watch(
            window, None, None, self.open_alerts, self.closed_alerts, is_retired=self.is_retired
        )
        results += planted
        alerts += missed
        if self.is_retired:
            alerts += [*self._retire(window), *self.detectable.retire(window)]
        elif window.segments.n_rows.any():
            wanted = self._has_statistics
            rows, tickets = self.detectable.look(window, self.averages, has_rows=wanted)
            alerts += tickets
        self.peaks = {}
        return Decided(results, alerts, self._statistics(window), verdicts, rows)

    @property
    def alert_states(self) -> dict[str, CellState]:
        """All open alerts, by a key that begins with the monitor."""
        tickets = self.detectable.state.open.items()
        own = {f"{Monitor.PIPELINE}|{key}|{UNDETECTABLE}": state for key, state in tickets}
        return self.open_alerts | own

    def withhold(self, window: Window, reason: Reason) -> Decided:
        """Return the results of a window with incomplete rows, whose ticks were not evaluated."""
        if self.n_empty + 1 >= MAX_EMPTY and not window.segments.n_rows.any():
            return self.decide(window)
        decided = super().withhold(window, reason)
        own = [
            msgspec.structs.replace(result, verdict=Verdict.NONE, reason=reason)
            for result in [
                *self._cell_results(window),
                *self.replica_watch.results(window, self.open_alerts, self.onsets),
                *self.pair_watch.results(window, self.onsets),
            ]
        ]
        self.peaks = {}
        return replace(decided, results=[*decided.results, *own])

    def inherit(self, other: SeriesDecider) -> None:
        """Take over the open alerts of the same model version under its previous baseline."""
        super().inherit(other)
        if isinstance(other, ScaleDecider):
            self.onsets.update(other.onsets)
            self.detectable.state = other.detectable.state

    def export(self) -> SeriesState:
        """Return the state, for the state message."""
        scale = ScaleSeries(
            averages=state_bytes(self.averages),
            history=self.history.export(),
            held=None if self.held is None else HeldTick.of(self.held),
            streaks=dict(self.streaks),
            onsets=dict(self.onsets),
            peaks=dict(self.peaks),
            watch=watch_state(self.watch) if self._is_watching else UNSET,
            detectable=self.detectable.export(),
            replicas=self.replica_watch.export(),
            pairs=self.pair_watch.export(),
            marks=self.marks,
        )
        own = super().export()
        return msgspec.structs.replace(own, evidence=b"", replicas={}, rule=RULE, scale=scale)

    def _restore(self, state: SeriesState) -> None:
        # the evidence of replicas is that of rule 1, also in states of earlier versions
        super()._restore(msgspec.structs.replace(state, replicas={}, scale=UNSET))
        self.detectable.state.open |= pop_tickets(self.open_alerts)
        scale = state.scale
        if state.rule != RULE or scale is UNSET:
            return
        self.averages = state_of(scale.averages, self.cells.plan)
        check_scale(scale, self.averages, self.cells.plan)
        if scale.watch is not UNSET:
            self.watch = watch_of(scale.watch, self.cells.plan)
        if scale.replicas is not UNSET:
            self.replica_watch.restore(scale.replicas)
        if scale.pairs is not UNSET:
            self.pair_watch.restore(scale.pairs)
        self.history.restore(scale.history)
        self.held = None if scale.held is None else scale.held.tick()
        self.streaks, self.onsets = dict(scale.streaks), dict(scale.onsets)
        self.peaks = dict(scale.peaks)
        if scale.detectable is not UNSET:
            self.detectable.state = scale.detectable
        if scale.marks is not UNSET:
            check_faults(scale.marks.faults, self._cell_of, self.cells.plan)
            self.marks = scale.marks

    def _baseline_groups(self, window: Window) -> list[CellGroup]:
        """Return nothing: rule 1 does not evaluate these cells."""
        return []

    def _replica_groups(self, window: Window) -> list[CellGroup]:
        """Return nothing: replicas are judged by ticks."""
        return []

    def _cell_results(self, window: Window) -> list[DetectorResult]:
        onsets = {
            c: self._onset_of(key, self.open_alerts[key])
            for c in range(len(self.cells.cells))
            if (key := self.cell_key(c)) in self.open_alerts
        }
        is_judged = can_fire(self.cells.rule, self.averages)
        is_waiting = self.held is not None and self.held.start_us <= window.start_us
        if is_waiting or self.history.is_single:
            is_judged[:] = False  # rows are held back, or a single tick, which never fires
        is_judged |= self.cells.counts(window).sum(axis=1) >= LOSS_ROWS
        unjudged = Reason.TOO_FEW_SAMPLES
        if not is_waiting and self.history.last_us <= window.start_us:
            # none of its ticks was judged: they ended while a pipeline alert was open
            is_judged[:], unjudged = False, Reason.PIPELINE
        judged = is_judged, unjudged
        return scale_results(window, self.baseline, self.cells, self.peaks, onsets, *judged)

    @property
    def _is_watching(self) -> bool:
        """Whether excursions are known, or one that was known is under way."""
        return bool(self.watch.kinds) or self.watch.episode is not None

    def _judge_tick(self, tick: Tick, counts: Counts) -> list[Alert]:
        """Evaluate one tick of all cells; return the changes of alerts."""
        cells, state = self.cells, self.averages
        references = cells.plan.references
        phi = np.array([cell_phi(state.cells, references, c) for c in range(len(cells.cells))])
        slot = slot_at(tick.start_us, self.config)
        verdicts = judge_cells(
            cells.plan, cells.rule, state, tick.sums, tick.rows, slot, is_guessed=cells.is_guessed
        )
        if self._is_watching:
            verdicts = self.watch.follow(cells.plan, cells.rule, state, verdicts, slot)
        self.history.add(tick)
        follow_spans(self.marks.spans.values(), cells.plan, state)
        self.streaks, lost = advance_streaks(cells.losses, self.streaks, tick, phi)
        present = np.flatnonzero(tick.rows > 0).tolist()
        # Features before the score, which they may explain.
        present.sort(key=lambda c: cells.cells[c].variable.name == SCORE)
        alerts = []
        for c in present:
            self._note_peak(c, verdicts)
            alerts += self._advance_cell(c, verdicts, tick, counts[c], lost.get(c))
        return alerts

    def _note_peak(self, c: int, verdicts: Verdicts) -> None:
        """Keep the strongest evidence of a cell until its window closes."""
        margin, before = float(verdicts.margin[c]), self.peaks.get(c)
        if verdicts.component[c] >= 0 and (before is None or margin > before.margin):
            self.peaks[c] = CellFinding(
                int(verdicts.component[c]),
                float(verdicts.change[c]),
                float(verdicts.evidence[c]),
                margin,
                int(verdicts.scale[c]),
                float(verdicts.natural[c]),
                int(verdicts.context[c]),
            )

    def _advance_cell(
        self, c: int, verdicts: Verdicts, tick: Tick, counts: Counts, lost: int | None
    ) -> list[Alert]:
        """Update the alert of one cell for one tick."""
        key, own = self.cell_key(c), self.averages.cells[c]
        before = self.open_alerts.get(key)
        if key in self.marks.faults:
            if own[IS_OPEN]:
                return []
            restore_level(self.cells.plan, self.averages, c, self.marks.faults.pop(key))
        if lost is not None and not own[IS_OPEN]:
            self._open_lost(c, lost, tick)
        held = self.watch.held
        if own[IS_OPEN] and (held is None or not held[c]):
            component = int(own[OPEN_COMPONENT])
            if before is None:
                begun = self._begin(c, component, verdicts, tick)
                self.onsets[key] = begun[:3]
                self._begin_span(key, c, begun.onset_us, tick)
                found = self._finding(c, component, begun.change, verdicts)
            else:
                found = self._finding(c, component, self._followed(c), verdicts)
            onset_us = self._onset_of(key, before)[0]
            n_windows = self._n_windows(onset_us, tick.end_us)
            severity = severity_of_change(found, self._importance(c))
            after, change = advance_open(before, severity, onset_us, tick.end_us, n_windows)
        elif verdicts.has_closed[c] and before is not None:
            found = self._finding(c, int(own[OPEN_COMPONENT]), self._followed(c), verdicts)
            after, change = resolved(before), Transition.RESOLVED
        elif before is not None:
            found = None
            is_quiet = float(verdicts.margin[c]) < -BACK_MARGIN
            after, change = advance_foreign(before, is_quiet, self.cells.rule.tick_hours)
        else:
            return []
        return self._changed(c, after, change, found, (tick.start_us, tick.end_us), counts)

    def _changed(
        self,
        c: int,
        after: CellState,
        change: Transition | None,
        found: Finding | None,
        tick_us: tuple[int, int],
        counts: Counts,
    ) -> list[Alert]:
        """Store the state of a cell's alert; return the alert if it changed."""
        key, cell = self.cell_key(c), self.cells.cells[c]
        if change is None:
            self.open_alerts[key] = after
            return []
        onset_us = self._onset_of(key, after)
        if change is Transition.RESOLVED:
            del self.open_alerts[key]
            self.onsets.pop(key, None)
            span = self.marks.spans.pop(key, None)
            if span is not None:
                self.marks.past = [*self.marks.past, span][-MAX_SPANS:]
        else:
            self.open_alerts[key] = after
        reference = self.baseline.reference.counts.reshape(-1, counts.shape[-1])[cell.place]
        news = CellNews(
            series=self.series,
            cell=cell,
            importance=self._importance(c),
            state=after,
            onset_us=onset_us,
            found=found,
            tick_us=tick_us,
            is_gone=self.is_retired,
            n_windows=self._n_windows(onset_us[0], tick_us[1]),
            n_reference=int(reference.sum()),
            reference_counts=reference,
            current_counts=counts,
            details=self._details_of(cell),
        )
        return [build_scale_alert(news, change)]

    def _details_of(self, cell: ScaleCell) -> AlertDetails:
        """Return the details of a cell in the tick, or window, that is judged."""
        if self._shown is None:
            return NO_DETAILS
        names = cell.variable.name, cell.segment
        return details_of_window(self._shown, self.baseline.variables, *names)

    def _open_lost(self, c: int, component: int, tick: Tick) -> None:
        """Open the alert of a cell with a total loss; it closes by evidence like others."""
        change = float(
            tick.sums[component] / tick.rows[c] - self.cells.plan.constants[component, P]
        )
        own = self.averages.cells[c]
        own[IS_OPEN], own[OPEN_COMPONENT], own[OPEN_SCALE] = 1.0, component, _LOSS_SCALE
        own[OPEN_CHANGE], own[N_BACK] = change, 0.0

    def _followed(self, c: int) -> float:
        """Return the current change of an open cell, from the average that it follows."""
        plan, state, own = self.cells.plan, self.averages, self.averages.cells[c]
        values = plan.constants, plan.codes, state.components, state.scales
        return float(average(*values, int(own[OPEN_COMPONENT]), int(own[OPEN_SCALE])))

    def _finding(self, c: int, component: int, change: float, verdicts: Verdicts) -> Finding:
        """Describe the change of a cell."""
        evidence, margin = float(verdicts.evidence[c]), float(verdicts.margin[c])
        cells = self.cells
        return finding(
            cells.plan,
            cells.names,
            cells.losses.is_gross,
            component,
            change,
            evidence,
            evidence - margin,
        )

    def _begin(self, c: int, component: int, verdicts: Verdicts, tick: Tick) -> Beginning:
        """Search the beginning of a change whose alert opens."""
        sampling, natural = float(verdicts.sampling[c]), float(verdicts.natural[c])
        return find_onset(
            self.cells,
            self.averages,
            self.history,
            self.config,
            c,
            component,
            max(int(verdicts.scale[c]), 0),
            1.0 + natural / sampling if sampling > 0 else 1.0,
            tick.end_us,
        )

    def _begin_span(self, key: str, c: int, onset_us: int, tick: Tick) -> None:
        """Follow the averages of a cell whose alert opens at the end of a tick."""
        tick_us = round(self.cells.rule.tick_hours * HOUR_US)
        n_before = max(1, (tick.end_us - onset_us) // tick_us)
        level = level_bytes(self.cells.plan, self.averages, c)
        self.marks.spans[key] = AlertSpan(c, tick.end_us, n_before, 0, onset_us, level=level)
        follow_spans([self.marks.spans[key]], self.cells.plan, self.averages)

    def _onset_of(self, key: str, state: CellState | None) -> tuple[int, int, int]:
        """Return the beginning of a cell's alert; that of rule 1 has no interval."""
        first_us = state.first_positive_us if state is not None else 0
        return self.onsets.get(key, (first_us, first_us, first_us))

    def _retire(self, window: Window) -> list[Alert]:
        """Resolve the alerts of a version that gets no more windows."""
        self._shown = window
        alerts = self.replica_watch.retire(window, self.open_alerts, self.onsets)
        alerts += self.pair_watch.retire(window, self.open_alerts, self.onsets)
        counts = self.cells.counts(window)
        for c in range(len(self.cells.cells)):
            before = self.open_alerts.get(self.cell_key(c))
            if before is not None:
                span = window.start_us, window.end_us
                after = resolved(before)
                alerts += self._changed(c, after, Transition.RESOLVED, None, span, counts[c])
        return alerts


DECIDERS: Final[Mapping[int, type[SeriesDecider]]] = {1: SeriesDecider, RULE: ScaleDecider}
"""By ``decision.rule``."""
