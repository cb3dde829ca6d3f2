"""Evaluates a closed window of one series: results, and alerts on changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from detectors.decision_rule.decision import (
    Evidence,
    TolerancePlan,
    alpha_of,
    decide,
    plan_baseline,
    plan_cells,
)
from detectors.decision_rule.replicas import ReplicaEvidence, ReplicaRule
from detectors.decision_rule.seasonal import (
    N_SLOTS,
    best_shift,
    choose_reference,
    clock_shifts,
    slots_of_window,
)
from detectors.decision_rule.sets import SetLayout, cell_sets
from detectors.decision_rule.settings import Rule
from detectors.evaluate.plan import StatisticPlan
from monitor.core.drift.alert_details import details_of_window
from monitor.core.drift.alerts import CellGroup, CellView, build_alert
from monitor.core.drift.canary import CanaryState, ended_planting
from monitor.core.drift.canary_alerts import MONITOR
from monitor.core.drift.canary_watch import CanaryWatch
from monitor.core.drift.cells import align_counts, count_cells, family, importance_of
from monitor.core.drift.places import Place, find_places
from monitor.core.drift.season_plans import PlanOfHours, SeasonPlans
from monitor.core.drift.ticks.state import ScaleSeries
from monitor.core.drift.unjudged import by_monitor, end_unjudged, stored_tickets
from monitor.core.drift.window_results import (
    fairness_results,
    no_verdict_result,
    statistic_plan,
    statistic_table,
    verdict_table,
    without_verdicts,
)
from monitor.core.drift.windows import MAX_EMPTY
from monitor.core.incidents.alerting import (
    CellState,
    Closed,
    advance_fired,
    advance_gone,
    advance_quiet,
    choose_hold,
    is_past,
    severity_of,
)
from schemas.alerts import NO_DETAILS, Alert, AlertDetails, Transition
from schemas.baselines import Baseline, SeasonalCounts
from schemas.config.model import ModelConfig
from schemas.detectable import DetectableRow
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.panes import N_COUNTERS, SeriesId, Window
from schemas.result_table import ResultTable
from schemas.results import DetectorResult, Reason

REPLICAS: Final = ("host", "gpu_uuid")
"""Slices that are compared with each other."""


@dataclass(slots=True)
class Decided:
    """Results and alerts of one window."""

    results: list[DetectorResult] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    statistics: ResultTable | None = None
    """Descriptive statistics of the window's cells; None where they are not wanted."""
    verdicts: list[ResultTable] = field(default_factory=list)
    """Verdicts on the window's cells, where they are columns."""
    detectable: list[DetectableRow] = field(default_factory=list)
    """What would be found in each cell, where rule 2 has looked."""

    def rows(self) -> list[DetectorResult]:
        """Return results and verdicts as structs, without descriptive statistics."""
        return [*self.results, *(row for table in self.verdicts for row in table.results())]

    @property
    def tables(self) -> list[ResultTable]:
        """Everything that is columns."""
        own = [] if self.statistics is None else [self.statistics]
        return own + self.verdicts


class SeriesState(msgspec.Struct):
    """State of a series between windows, as stored in the state message."""

    evidence: bytes = b""
    replicas: dict[str, tuple[tuple[str, ...], bytes, list[int]]] = {}
    """By family: names, evidence, windows without rows."""
    open_alerts: dict[str, CellState] = {}
    """By ``monitor|feature|segment``."""
    closed_alerts: dict[str, Closed] = {}
    """Recently resolved alerts, by the same key."""
    n_empty: int = 0
    """Consecutive windows without rows."""
    canary: CanaryState | None = None
    rule: int | UnsetType = UNSET
    """Number of the decision rule of the evidence; unset under rule 1.

    The evidence of another rule than the configured one is dropped.
    """
    scale: ScaleSeries | UnsetType = UNSET
    """State of rule 2."""


class SeriesDecider:
    """Applies the rule to one series, window by window.

    Parameters
    ----------
    baseline : Baseline
        Baseline with the layout of the series.
    state : SeriesState, optional
        State before a restart.
    has_statistics : bool, optional
        False omits descriptive statistics, on which no verdict depends, from the results.
    plans : SeasonPlans, optional
        Cache of the plans per hour of the week, shared by several series; by default only the last
        plan is kept.
    n_models : int, optional
        Models of the installation, among which the budget of a fleet is divided.
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
        self._has_statistics, self._plans = has_statistics, plans or SeasonPlans()
        self.series, self.config, self.baseline = series, config, baseline
        rule = config.decision
        self.rule = Rule(
            alpha=alpha_of(config.window.length_us, rule.monthly_budget(n_models)),
            n_cells=count_cells(config, baseline),
            m=rule.persistence,
            eps_floor=rule.eps,
            min_rows=rule.min_rows,
        )
        self.plan = plan_baseline(self.rule, baseline, rule.phi)
        self.score_sets = cell_sets(baseline.variables[-1], baseline.reference.counts[0, -1])
        self.evidence = Evidence.start(self.plan.layout)
        self.replicas: dict[str, ReplicaEvidence] = {}
        effect = rule.phi or float(baseline.phi[0, -1])
        self._replica_rules = {
            name: ReplicaRule(self.rule, self.score_sets, effect) for name in REPLICAS
        }
        self._importances = tuple(importance_of(config, v.name) for v in baseline.variables)
        self.open_alerts: dict[str, CellState] = {}
        self.closed_alerts: dict[str, Closed] = {}
        self.n_empty = 0
        self._statistic_plan: StatisticPlan | None = None
        self._season: tuple[bytes, TolerancePlan, NDArray[np.int64]] | None = None
        self._slots: tuple[tuple[int, int], tuple[int, ...]] | None = None
        self.canary = self._canary_watch(state)
        if state is not None:
            self._restore(state)

    def _canary_watch(self, state: SeriesState | None) -> CanaryWatch:
        """Return the canary of the series, which continues its planting under the same rule."""
        planted = state.canary if state is not None else None
        if state is not None and state.rule is not UNSET:
            planted = ended_planting(planted)
        return CanaryWatch(self.series, self.config, self.baseline, self.rule, planted)

    @property
    def is_retired(self) -> bool:
        """Whether the version has had no rows for so long that it gets no more windows."""
        return self.n_empty >= MAX_EMPTY

    @property
    def alert_states(self) -> dict[str, CellState]:
        """All open alerts, by a key that begins with the monitor."""
        return by_monitor(self.open_alerts)

    def decide(self, window: Window) -> Decided:
        """Evaluate one window, update the evidence, and return results and alerts."""
        results = self._fairness(window)
        before = self.canary.evidence_before(window, self.evidence, self.plan.layout)
        groups, alerts = self._judge(window)
        if self.open_alerts and (window.segments.n_rows.any() or self.is_retired):
            judged = {key for group in groups for key in group.alert_keys()}
            alerts += end_unjudged(self.open_alerts, judged, self.series, window)
        planted, more = self.canary.watch(
            window,
            before,
            None if before is None else self.reference_at(window),
            self.open_alerts,
            self.closed_alerts,
            is_retired=self.is_retired,
        )
        verdicts = [verdict_table(group, window) for group in groups]
        return Decided(results + planted, alerts + more, self._statistics(window), verdicts)

    def withhold(self, window: Window, reason: Reason) -> Decided:
        """Return the results of a window with incomplete rows: no verdict, evidence unchanged.

        Parameters
        ----------
        reason : Reason
            Reason reported instead of the verdicts.

        Notes
        -----
        As in a window without rows, open alerts neither escalate nor resolve.
        """
        if self.n_empty + 1 >= MAX_EMPTY and not window.segments.n_rows.any():
            return self.decide(window)  # the version has ended, and so its alerts
        self.n_empty = 0 if window.segments.n_rows.any() else self.n_empty + 1
        evidence = self.evidence
        before = self.canary.evidence_before(window, evidence, self.plan.layout)
        replicas, self.evidence = dict(self.replicas), evidence.copy()
        groups = [*self._baseline_groups(window), *self._replica_groups(window)]
        self.evidence, self.replicas = evidence, replicas
        planted, alerts = self.canary.watch(
            window,
            before,
            None if before is None else self.reference_at(window),
            self.open_alerts,
            self.closed_alerts,
            is_retired=False,
            is_withheld=True,
        )
        verdicts = [without_verdicts(verdict_table(group, window), reason) for group in groups]
        found = [*self._fairness(window), *planted]
        return Decided(found, alerts, self._statistics(window), verdicts)

    def judge(self, window: Window) -> tuple[list[CellView], list[Alert]]:
        """As :meth:`decide`, without the descriptive statistics.

        Returns
        -------
        views : list of CellView
            Every cell's verdict.
        alerts : list of Alert
            Changes of alerts.
        """
        groups, alerts = self._judge(window)
        return [group.view(i) for group in groups for i in range(len(group))], alerts

    def _judge(self, window: Window) -> tuple[list[CellGroup], list[Alert]]:
        """Evaluate every cell, and advance the alerts of those that fired or have one open."""
        self.n_empty = 0 if window.segments.n_rows.any() else self.n_empty + 1
        now_us, length_us = window.end_us, window.end_us - window.start_us
        self.closed_alerts = {
            k: c
            for k, c in self.closed_alerts.items()
            if k.startswith(f"{MONITOR}|") or not is_past(c, now_us, length_us)
        }
        groups = [*self._baseline_groups(window), *self._replica_groups(window)]
        ranked = sorted(self._changing(groups), key=_specificity)
        return groups, [alert for view in ranked for alert in self._advance(view, window)]

    def _changing(self, groups: Iterable[CellGroup]) -> list[CellView]:
        """Return the cells that fired or have an open alert."""
        found: list[CellView] = []
        for group in groups:
            is_changing = group.decision.has_fired
            if self.open_alerts:
                is_changing = is_changing | [key in self.open_alerts for key in group.alert_keys()]
            found += [group.view(i) for i in np.flatnonzero(is_changing).tolist()]
        return found

    def revise(self, window: Window) -> Decided:
        """Recompute the statistics of a closed window; evidence and alerts are unchanged."""
        results = [*self._fairness(window), no_verdict_result(window, Reason.LATE)]
        revised = [msgspec.structs.replace(r, revised=True) for r in results]
        return Decided(revised, statistics=self._statistics(window))

    def _statistics(self, window: Window) -> ResultTable | None:
        """Return the descriptive statistics of a window's cells, if enabled."""
        if not self._has_statistics:
            return None
        if self._statistic_plan is None:
            self._statistic_plan = statistic_plan(self.baseline, self.config)
        return statistic_table(window, self._statistic_plan)

    def _fairness(self, window: Window) -> list[DetectorResult]:
        """Return the statistics of protected groups, if they are wanted."""
        return fairness_results(window, self.config) if self._has_statistics else []

    def inherit(self, other: SeriesDecider) -> None:
        """Take over the open alerts of the same model version under its previous baseline."""
        self.open_alerts.update(other.open_alerts)
        self.closed_alerts.update(other.closed_alerts)

    def export(self) -> SeriesState:
        """Return the state, for the state message."""
        return SeriesState(
            evidence=self.evidence.to_bytes(),
            replicas={
                name: (past.names, past.evidence.to_bytes(), past.n_idle.tolist())
                for name, past in self.replicas.items()
            },
            open_alerts=dict(self.open_alerts),
            closed_alerts=dict(self.closed_alerts),
            n_empty=self.n_empty,
            canary=self.canary.state,
        )

    def _restore(self, state: SeriesState) -> None:
        if state.rule is UNSET:
            self.evidence = Evidence.from_bytes(state.evidence, self.plan.layout)
        self.open_alerts = dict(state.open_alerts)
        if state.scale is not UNSET:
            self.open_alerts |= stored_tickets(state.scale)
        self.closed_alerts, self.n_empty = dict(state.closed_alerts), state.n_empty
        for name, (names, evidence, n_idle) in state.replicas.items():
            layout = SetLayout.of([self.score_sets] * len(names))
            self.replicas[name] = ReplicaEvidence(
                tuple(names), Evidence.from_bytes(evidence, layout), np.array(n_idle, np.int64)
            )

    def _baseline_groups(self, window: Window) -> list[CellGroup]:
        """Judge every declared cell against the baseline."""
        segments, variables = self.baseline.reference.segments, self.baseline.variables
        counts = align_counts(window.segments, segments)
        plan, reference = self._plan_at(window)
        decision = decide(plan, self.evidence, counts)
        names = self.plan.layout.names
        importances = self._importances
        group = (Monitor.DRIFT, variables, importances, segments, decision, names)
        return [CellGroup(*group, reference, counts)]

    def reference_at(self, window: Window) -> NDArray[np.int64]:
        """Return the reference of each cell for a window, shape (S * V, 64)."""
        return self._plan_at(window)[1]

    def _plan_at(self, window: Window) -> PlanOfHours:
        """Return the plan of a window, and its reference.

        The plan of the last window is cached: every firing cell needs it again, and planning 200
        cells takes 7 ms.
        """
        seasonal = self.baseline.seasonal
        if seasonal is None:
            return self.plan, self.baseline.reference.counts.reshape(-1, N_COUNTERS)
        slots = np.array(self.slots_at(window), np.int64)
        key = slots.tobytes()
        if self._season is None or self._season[0] != key:
            build = partial(self._plan_of, seasonal, slots)
            self._season = key, *self._plans.find((self.series, key), build)
        return self._season[1:]

    def _plan_of(self, seasonal: SeasonalCounts, slots: NDArray[np.int64]) -> PlanOfHours:
        """Plan every cell against given hours of the week."""
        by_slot = seasonal.counts.reshape(N_SLOTS, -1, N_COUNTERS)
        is_seasonal = seasonal.is_seasonal.reshape(-1)
        chosen = choose_reference(by_slot, seasonal.n_weeks, slots, is_seasonal).counts
        learned = self.baseline.eps_learned.reshape(-1)
        return plan_cells(self.rule, self.plan.layout, chosen, self.plan.phi, learned), chosen

    def slots_at(self, window: Window) -> tuple[int, ...]:
        """Return the hours of the week that a window is compared with; empty without seasons.

        If the model's time zone is unknown and local clocks may have changed since the reference,
        the best match of the hour, the one before and the one after is used.
        """
        seasonal = self.baseline.seasonal
        if seasonal is None:
            return ()
        key = window.start_us, window.end_us
        if self._slots is None or self._slots[0] != key:
            length_us = window.end_us - window.start_us
            slots = slots_of_window(window.start_us, length_us, seasonal.timezone)
            if seasonal.unzoned_us is not None:
                slots = (slots + self._clock_shift(window, slots)) % N_SLOTS
            self._slots = key, tuple(slots.tolist())
        return self._slots[1]

    def _clock_shift(self, window: Window, slots: NDArray[np.int64]) -> int:
        """Return the shift of local clocks since the reference, in hours."""
        seasonal = self.baseline.seasonal
        if seasonal is None or seasonal.unzoned_us is None:
            return 0
        shifts = clock_shifts(seasonal.unzoned_us, window.start_us)
        if len(shifts) == 1:
            return 0
        follows = seasonal.is_seasonal.reshape(-1)
        counts = align_counts(window.segments, self.baseline.reference.segments)[follows]
        by_slot = seasonal.counts.reshape(N_SLOTS, -1, N_COUNTERS)
        return best_shift(by_slot, slots, shifts, counts, follows)

    def _replica_groups(self, window: Window) -> list[CellGroup]:
        """Judge each host's and GPU's score against the others of the window."""
        groups: list[CellGroup] = []
        for name in REPLICAS:
            segments, counts = family(window.slices, name)
            past = self.replicas.get(name)
            if not segments and (past is None or not past.names):
                continue
            seen, self.replicas[name] = self._replica_rules[name].decide(
                past or ReplicaEvidence.start(), segments, counts
            )
            groups.append(
                CellGroup(
                    Monitor.REPLICA,
                    self.baseline.variables[-1:],
                    self._importances[-1:],
                    seen.names,
                    seen.decision,
                    seen.plan.layout.names,
                    seen.reference_counts,
                    seen.counts,
                )
            )
        return groups

    def _advance(self, view: CellView, window: Window) -> list[Alert]:
        """Update the alert of one cell."""
        key = f"{view.monitor}|{view.variable.name}|{view.segment}"
        before, i, decision = self.open_alerts.get(key), view.index, view.decision
        if decision.has_fired[i]:
            closed = self.closed_alerts.pop(key, None) if before is None else None
            after, change = self._fired(view, window, before, closed)
        elif before is not None and self._is_gone(view):
            after, change = advance_gone(before)
        elif before is not None:
            # An hour without reference does not count as quiet.
            n_rows = int(decision.n[i]) if decision.set_index[i] >= 0 else 0
            is_positive = bool(decision.is_positive[i])
            after, change = advance_quiet(before, is_positive, n_rows)
        else:
            return []
        if change is Transition.RESOLVED:
            del self.open_alerts[key]
            self.closed_alerts[key] = Closed(window.end_us, after.n_hold)
        else:
            self.open_alerts[key] = after
        if change is None:
            return []
        places, details = self._places(view, window), self._details(view, window)
        return [build_alert(view, self.series, window, after, change, places, details)]

    def _details(self, view: CellView, window: Window) -> AlertDetails:
        """Return the new values, range and kinds of missing values of a cell of the window."""
        if view.monitor != Monitor.DRIFT:
            return NO_DETAILS
        return details_of_window(window, self.baseline.variables, view.variable.name, view.segment)

    def _places(self, view: CellView, window: Window) -> tuple[Place, ...]:
        """Return the location of a drift; a fired cell has a set that changed."""
        if not view.decision.has_fired[view.index]:
            return ()
        if view.monitor != Monitor.DRIFT:
            return ()
        plan, reference = self._plan_at(window)
        by_cell = reference.reshape(self.baseline.reference.counts.shape)
        phi = float(plan.phi[view.index])
        return find_places(view, window, self.baseline, by_cell, plan.layout, phi)

    def _is_gone(self, view: CellView) -> bool:
        """Return whether the version is retired, or a replica has just been removed."""
        if self.is_retired:
            return True
        past = self.replicas.get(view.segment.partition("=")[0])
        return (
            view.monitor == Monitor.REPLICA and past is not None and view.segment not in past.names
        )

    def _fired(
        self, view: CellView, window: Window, before: CellState | None, closed: Closed | None
    ) -> tuple[CellState, Transition | None]:
        """Return the alert of a fired cell, if it opens or escalates."""
        rung = int(view.decision.rung[view.index])
        n_windows = int(view.decision.n_windows[view.index])
        length_us = window.end_us - window.start_us
        return advance_fired(
            before,
            severity_of(rung, view.variable.name, view.importance),
            rung,
            window.end_us - n_windows * length_us,
            window.end_us,
            n_windows,
            choose_hold(closed, window.end_us, length_us, self.rule.m),
        )


def _specificity(view: CellView) -> int:
    """Return the sort key of cells, causes first: replicas, then features, then the score."""
    if view.monitor == Monitor.REPLICA:
        return 0 if view.segment.startswith("gpu_uuid=") else 1
    return 2 if view.variable.name != SCORE else 3
