"""Correlations of a series under rule 2: judged by ticks, alerts by pair. Pure."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from detectors.kernels.scale_evidence import BACK_MARGIN
from detectors.kernels.scale_state import (
    ACCEPTED,
    CORRECTION,
    FIRST,
    IS_OPEN,
    N_BACK,
    N_REFERENCE,
    OPEN,
    OPEN_COMPONENT,
    OPEN_SCALE,
    SECOND,
    P,
    average,
)
from detectors.multiscale.averages import can_fire
from detectors.multiscale.onset import look_back_ticks, onset
from detectors.multiscale.pairs import PairCells
from detectors.multiscale.rule import ScaleRule, Verdicts, judge
from detectors.multiscale.state import ScaleState
from detectors.multiscale.thresholds import SCALE_HOURS
from monitor.core.drift.alerts import finite
from monitor.core.drift.cells import align_counts, importance_of
from monitor.core.drift.ticks.alerts import Finding, severity_of_change
from monitor.core.drift.ticks.closing import HeldTick, Tick, merge_thin
from monitor.core.drift.ticks.history import TickHistory
from monitor.core.drift.ticks.onset import Beginning
from monitor.core.drift.ticks.results import RULE
from monitor.core.drift.ticks.state import CellFinding, StoredPairs, read_state, state_bytes
from monitor.core.drift.ticks.transitions import advance_foreign, advance_open, resolved
from monitor.core.drift.window_results import DECISION, shared_fields
from monitor.core.identity import alert_id
from monitor.core.incidents.alerting import CellState
from monitor.core.incidents.onset_text import onset_text
from schemas.actions import Action, ActionKind, Label
from schemas.alerts import Alert, Onset, Transition
from schemas.baselines import Baseline
from schemas.config.model import Importance, ModelConfig
from schemas.errors import DomainError
from schemas.monitors import Monitor
from schemas.panes import ALL, SeriesId, Window
from schemas.results import DetectorResult, Reason, Verdict
from schemas.time_units import HOUR_US

OpenAlerts = dict[str, CellState]
Onsets = dict[str, tuple[int, int, int]]

_RANK: Final = (Importance.LOW, Importance.MEDIUM, Importance.HIGH)
CORRELATIONS: Final = "correlations"
"""Feature of the results of the cell of products."""


def pair_name(pair: tuple[str, str]) -> str:
    """Return the name of a pair, as alerts and results have it.

    Examples
    --------
    >>> pair_name(("age", "income"))
    'age x income'
    """
    return " x ".join(pair)


class PairWatch:
    """Follows the products of the most important features of one series.

    Parameters
    ----------
    series, config, baseline
        Of the model version; of a baseline without products nothing is followed.
    budget : float
        Incidents without cause a month.
    n_beside : int
        Components of the other cells.

    Notes
    -----
    Ticks of which a pane has no products, because an earlier version counted it, are left out.
    The alert names the pair that changed most; while it is open no other pair opens one. It
    resolves after 24 hours of ticks with rows of which none has products.
    """

    def __init__(
        self,
        series: SeriesId,
        config: ModelConfig,
        baseline: Baseline,
        budget: float,
        n_beside: int,
    ) -> None:
        self._series, self._config = series, config
        hours = baseline.n_reference_windows * config.window.length_us / HOUR_US
        self.cells = PairCells.of(baseline, hours, config.decision.smallest)
        self.peak: CellFinding | None = None
        self._n_left_out = 0
        self._closed_by = ""
        """Incident that a person closed while its change has not returned."""
        if self.cells is None:
            return
        plan = self.cells.plan
        self._rule = ScaleRule.of(n_beside + plan.n_components, budget, config.tick_us)
        self.averages = self.cells.start(config.tick_us)
        self._held: Tick | None = None
        self._history = TickHistory(plan.n_components, plan.n_cells)

    def take(self, window: Window, open_alerts: OpenAlerts, onsets: Onsets) -> list[Alert]:
        """Judge a closed tick, and update the alert of the pair that changed most."""
        cells, products = self.cells, window.products
        if cells is None:
            return self._end_unjudged(window, open_alerts, onsets)
        if not window.segments.n_rows.any():
            products = np.zeros(cells.n_pairs, np.int64)
        if products is None or len(products) != cells.n_pairs:
            self._n_left_out += 1
            return self._end_unjudged(window, open_alerts, onsets)
        sums, rows = cells.add_up(align_counts(window.segments, (ALL,)), products)
        tick = Tick(window.start_us, window.end_us, sums, rows)
        ready, self._held = merge_thin(self._held, tick)
        alerts: list[Alert] = []
        for each in ready:
            verdicts = judge(cells.plan, self._rule, self.averages, each.sums, each.rows)
            self._history.add(each)
            self._note_peak(verdicts)
            alerts += self._advance(cells, verdicts, each, open_alerts, onsets)
        return alerts

    def take_action(self, action: Action, open_alerts: OpenAlerts, onsets: Onsets) -> list[Alert]:
        """Close the alert of a pair that a person closed; the change is not reported again.

        Closed as normal the cell learns while the change lasts, closed as a fault it does not. An
        undo has it reported again if it is still there.
        """
        if self.cells is None:
            return []
        own, key = self.averages.cells[-1], self._key(self.cells)
        is_again = bool(self._closed_by) and self._closed_by == action.incident_id
        if is_again:
            self._closed_by = ""
            own[IS_OPEN] = OPEN if own[IS_OPEN] else 0.0
        named = {
            f"{Monitor.DRIFT}|{cell.feature}|{cell.segment}": cell.opened_at_us
            for cell in action.cells
            if cell.model_version == self._series.model_version
        }
        if action.kind is not ActionKind.CLOSE or key not in named or not own[IS_OPEN]:
            return []
        before = open_alerts.get(key)
        if not is_again and (before is None or before.opened_at_us != named[key]):
            return []
        self._closed_by = action.incident_id
        own[IS_OPEN] = ACCEPTED if action.label is Label.NORMAL else OPEN
        if before is None:
            return []
        now_us = max(self._history.last_us, before.opened_at_us)
        (alert,) = self._changed(
            key, resolved(before), Transition.RESOLVED, None, (now_us, now_us), 0,
            open_alerts, onsets,
        )  # fmt: skip
        subject = _subject(self._series.model, alert.feature)
        title = f"{subject} was closed as {action.label.value} by {action.by}"
        return [msgspec.structs.replace(alert, title=title)]

    def retire(self, window: Window, open_alerts: OpenAlerts, onsets: Onsets) -> list[Alert]:
        """Resolve the alert of a version that gets no more windows."""
        keys = [key for key in open_alerts if self._is_pair_key(key)]
        tick_us = window.start_us, window.end_us
        return [
            alert
            for key in keys
            for alert in self._changed(
                key, resolved(open_alerts[key]), Transition.RESOLVED, None, tick_us, 0,
                open_alerts, onsets,
            )
        ]  # fmt: skip

    def _end_unjudged(self, window: Window, open_alerts: OpenAlerts, onsets: Onsets) -> list[Alert]:
        """Advance the alerts of pairs in a tick without products; none of them is judged."""
        if not window.segments.n_rows.any():
            return []
        tick_us, tick_hours = (window.start_us, window.end_us), self._config.tick_us / HOUR_US
        own = None if self.cells is None else self._key(self.cells)
        alerts: list[Alert] = []
        for key in [k for k in open_alerts if self._is_pair_key(k)]:
            after, change = advance_foreign(open_alerts[key], True, tick_hours)
            if change is not None and key == own:
                # A change that is still there when products return opens a new alert.
                self.averages.cells[-1, [IS_OPEN, N_BACK]] = 0.0
            alerts += self._changed(key, after, change, None, tick_us, 0, open_alerts, onsets)
        return [
            msgspec.structs.replace(
                alert, title=f"{_subject(self._series.model, alert.feature)} is no longer judged"
            )
            for alert in alerts
        ]

    def results(self, window: Window, onsets: Onsets) -> list[DetectorResult]:
        """Return the verdict on the correlations of a window, and begin the next one."""
        cells, peak = self.cells, self.peak
        if cells is None:
            return []
        n, is_open = int(window.segments.n_rows[0]), bool(self.averages.cells[-1, IS_OPEN])
        key = self._key(cells)
        onset_us = onsets.get(key) if key is not None else None
        begun: dict[str, Any] = {} if onset_us is None else Onset(*onset_us)._asdict()
        verdict, reason = Verdict.NORMAL, Reason.WITHIN_TOLERANCE
        if n == 0 or (peak is None and self._n_left_out):
            verdict, reason = Verdict.NONE, Reason.NO_DATA
        elif peak is not None and peak.margin >= 0:
            verdict, reason = Verdict.DRIFT, Reason.EVIDENCE
        elif is_open:
            verdict, reason = Verdict.DRIFT, Reason.STILL_FIRING
        elif not can_fire(self._rule, self.averages)[-1]:
            verdict, reason = Verdict.NONE, Reason.TOO_FEW_SAMPLES
        elif self._held is None and self._history.last_us <= window.start_us:
            verdict, reason = Verdict.NONE, Reason.PIPELINE
        self.peak, self._n_left_out = None, 0
        return [
            DetectorResult(
                **shared_fields(window),
                **self._figures(cells, peak),
                **begun,
                monitor=Monitor.DRIFT,
                feature=CORRELATIONS,
                segment=ALL,
                metric=DECISION,
                n=n,
                n_reference=int(cells.plan.references[-1, N_REFERENCE]),
                verdict=verdict,
                reason=reason,
                rule=RULE,
            )
        ]

    def export(self) -> StoredPairs | UnsetType:
        """Return the stored form; unset without products."""
        if self.cells is None:
            return UNSET
        history = self._history.export()
        return StoredPairs(
            averages=state_bytes(self.averages),
            history=history,
            peak=self.peak,
            n_left_out=self._n_left_out,
            held=None if self._held is None else HeldTick.of(self._held),
            closed_by=self._closed_by,
        )

    def restore(self, stored: StoredPairs) -> None:
        """Restore what :meth:`export` returned.

        Raises
        ------
        DriftlineError
            If it does not fit the products of the baseline.
        """
        if self.cells is None:
            return
        plan = self.cells.plan
        self.averages = read_state(stored.averages, ScaleState.start(plan))
        own = self.averages.cells[-1]
        n_features = len(self.cells.features)
        if own[IS_OPEN] and not n_features <= own[OPEN_COMPONENT] < plan.n_components:
            raise DomainError("an open alert of a pair that there is not")
        if not 0 <= own[OPEN_SCALE] < len(SCALE_HOURS):
            raise DomainError("an open alert of a scale that there is not")
        peak = stored.peak
        if peak is not None and not (
            n_features <= peak.component < plan.n_components and 0 <= peak.scale < len(SCALE_HOURS)
        ):
            raise DomainError("evidence of a pair that there is not")
        held, shape = stored.held, (8 * plan.n_components, 8 * plan.n_cells)
        if held is not None and (len(held.sums), len(held.rows)) != shape:
            raise DomainError("a tick of another baseline")
        self._held = None if held is None else held.tick()
        self._closed_by = stored.closed_by
        self._history.restore(stored.history)
        self.peak, self._n_left_out = peak, stored.n_left_out

    def _note_peak(self, verdicts: Verdicts) -> None:
        """Keep the strongest evidence until the window closes."""
        margin = float(verdicts.margin[-1])
        if verdicts.component[-1] >= 0 and (self.peak is None or margin > self.peak.margin):
            self.peak = CellFinding(
                int(verdicts.component[-1]),
                float(verdicts.change[-1]),
                float(verdicts.evidence[-1]),
                margin,
                int(verdicts.scale[-1]),
                float(verdicts.natural[-1]),
            )

    def _key(self, cells: PairCells) -> str | None:
        """Return the key of the alert that is open, or was last."""
        component = int(self.averages.cells[-1, OPEN_COMPONENT])
        if component < len(cells.features):
            return None
        return f"{Monitor.DRIFT}|{pair_name(cells.pair(component))}|{ALL}"

    def _advance(
        self,
        cells: PairCells,
        verdicts: Verdicts,
        tick: Tick,
        open_alerts: OpenAlerts,
        onsets: Onsets,
    ) -> list[Alert]:
        """Update the alert for one judged tick, and those that it did not open."""
        own, key = self.averages.cells[-1], self._key(cells)
        tick_us, n = (tick.start_us, tick.end_us), int(tick.rows[-1])
        alerts: list[Alert] = []
        before = open_alerts.get(key) if key is not None else None
        found = None if key is None else self._found(cells, verdicts)
        if not own[IS_OPEN]:
            self._closed_by = ""
        if own[IS_OPEN] and not self._closed_by and key is not None and found is not None:
            if before is None:
                begun = self._begin(cells, verdicts, tick.end_us)
                onsets[key] = begun[:3]
                found = replace(found, change=begun.change, size=abs(begun.change))
            onset_us = onsets.get(key, (0, 0, 0))[0] or (before.first_positive_us if before else 0)
            severity = severity_of_change(found, self._importance(cells))
            n_windows = self._n_windows(onset_us, tick.end_us)
            after, change = advance_open(before, severity, onset_us, tick.end_us, n_windows)
            alerts += self._changed(key, after, change, found, tick_us, n, open_alerts, onsets)
        elif verdicts.has_closed[-1] and key is not None and before is not None:
            after, change = resolved(before), Transition.RESOLVED
            alerts += self._changed(key, after, change, found, tick_us, n, open_alerts, onsets)
        is_quiet = float(verdicts.margin[-1]) < -BACK_MARGIN
        for other in [
            k for k in open_alerts if self._is_pair_key(k) and not (own[IS_OPEN] and k == key)
        ]:
            after, change = advance_foreign(open_alerts[other], is_quiet, self._rule.tick_hours)
            alerts += self._changed(other, after, change, None, tick_us, n, open_alerts, onsets)
        return alerts

    def _found(self, cells: PairCells, verdicts: Verdicts) -> Finding:
        """Describe the change of the pair whose alert is open, or was last."""
        own, plan, state = self.averages.cells[-1], cells.plan, self.averages
        component, scale = int(own[OPEN_COMPONENT]), int(own[OPEN_SCALE])
        values = plan.constants, plan.codes, state.components, state.scales
        change = float(average(*values, component, scale))
        evidence, margin = float(verdicts.evidence[-1]), float(verdicts.margin[-1])
        p = float(plan.constants[component, P]) + float(state.components[component, CORRECTION])
        return Finding(
            component=component,
            name=pair_name(cells.pair(component)),
            is_share=False,
            p=p,
            change=change,
            size=abs(change),
            is_gross=False,
            evidence=evidence,
            threshold=evidence - margin,
        )

    def _begin(self, cells: PairCells, verdicts: Verdicts, now_us: int) -> Beginning:
        """Search the beginning of a change whose alert opens."""
        component = int(self.averages.cells[-1, OPEN_COMPONENT])
        tick_hours = self._rule.tick_hours
        n_ticks = look_back_ticks(max(int(verdicts.scale[-1]), 0), tick_hours)
        since_us = now_us - round(n_ticks * tick_hours * HOUR_US)
        past = self._history.past(component, cells.plan.n_cells - 1, since_us)
        sampling, natural = float(verdicts.sampling[-1]), float(verdicts.natural[-1])
        level = float(cells.plan.constants[component, P])
        level += float(self.averages.components[component, CORRECTION])
        found = onset(
            past.sums,
            past.rows,
            level,
            is_share=False,
            n_reference=float(cells.plan.references[-1, N_REFERENCE]),
            inflation=1.0 + natural / sampling if sampling > 0 else 1.0,
        )
        begin_us = int(past.start_us[found.tick])
        moved = self._mean(component, begin_us) - level
        apart = [
            self._mean(location, begin_us) - float(cells.plan.constants[location, P])
            for location in cells.plan.codes[component, [FIRST, SECOND]].tolist()
        ]
        return Beginning(
            begin_us,
            int(past.start_us[found.low]),
            int(past.end_us[found.high]),
            moved - math.prod(apart),
        )

    def _mean(self, component: int, begin_us: int) -> float:
        """Return the mean of a component since a tick."""
        cell = min(component, len(self.averages.cells) - 1)
        past = self._history.past(component, cell, begin_us)
        own = past.start_us >= begin_us
        return float(past.sums[own].sum() / max(past.rows[own].sum(), 1.0))

    def _changed(
        self,
        key: str,
        after: CellState,
        change: Transition | None,
        found: Finding | None,
        tick_us: tuple[int, int],
        n: int,
        open_alerts: OpenAlerts,
        onsets: Onsets,
    ) -> list[Alert]:
        """Store the state of an alert; return the alert if it changed."""
        first_us = after.first_positive_us
        onset_us = onsets.get(key, (first_us, first_us, first_us))
        if change is Transition.RESOLVED:
            del open_alerts[key]
            onsets.pop(key, None)
        else:
            open_alerts[key] = after
        if change is None:
            return []
        return [self._alert(key, after, change, found, tick_us, n, onset_us)]

    def _alert(
        self,
        key: str,
        state: CellState,
        change: Transition,
        found: Finding | None,
        tick_us: tuple[int, int],
        n: int,
        onset_us: tuple[int, int, int],
    ) -> Alert:
        """Return the alert on a changed correlation."""
        series, name = self._series, key.split("|")[1]
        cell = (series.tenant, series.model, series.model_version, name, ALL)
        onset_likely_us, low_us, high_us = onset_us
        return Alert(
            alert_id=alert_id(Monitor.DRIFT, cell, tick_us, change.value),
            tenant=series.tenant,
            monitor=Monitor.DRIFT,
            transition=change,
            severity=state.severity,
            time_us=tick_us[1],
            opened_at_us=state.opened_at_us,
            sequence=state.sequence,
            title=_title(series.model, name, change, found, onset_us, tick_us[1]),
            model=series.model,
            model_version=series.model_version,
            feature=name,
            segment=ALL,
            action=f"Ask the producers of {' and '.join(name.split(' x '))} what changed upstream.",
            window_start_us=onset_likely_us,
            window_end_us=tick_us[1],
            n_windows=self._n_windows(onset_likely_us, tick_us[1]),
            n=n,
            n_reference=int(self.cells.plan.references[-1, N_REFERENCE]) if self.cells else 0,
            evidence=finite(found.evidence) if found else None,
            threshold=finite(found.threshold) if found else None,
            effect_size=finite(found.change) if found else None,
            effect_where="correlation" if found else "",
            profile_id=series.profile_id,
            onset_us=onset_likely_us,
            onset_low_us=low_us,
            onset_high_us=high_us,
        )

    def _is_pair_key(self, key: str) -> bool:
        """Return whether the key of an alert is that of a pair, also of an earlier baseline."""
        monitor, name, segment = key.split("|", 2)
        is_feature = name in self._config.features
        return monitor == Monitor.DRIFT and " x " in name and segment == ALL and not is_feature

    def _importance(self, cells: PairCells) -> Importance:
        """Return the lower importance of the two features."""
        pair = cells.pair(int(self.averages.cells[-1, OPEN_COMPONENT]))
        return min((importance_of(self._config, name) for name in pair), key=_RANK.index)

    def _figures(self, cells: PairCells, peak: CellFinding | None) -> dict[str, Any]:
        """Return the fields of the strongest evidence of a window."""
        if peak is None:
            return {"statistic": None}
        name = pair_name(cells.pair(peak.component))
        return {
            "statistic": finite(float(cells.plan.constants[peak.component, P]) + peak.change),
            "evidence": finite(peak.evidence),
            "threshold": finite(peak.evidence - peak.margin),
            "effect_size": finite(peak.change),
            "effect_where": name,
            "component": name,
            "scale_s": SCALE_HOURS[peak.scale] * 3600,
            "natural_sd": math.sqrt(min(max(peak.natural, 0.0), sys.float_info.max)),
        }

    def _n_windows(self, onset_us: int, now_us: int) -> int:
        return max(1, -(-(now_us - onset_us) // self._config.window.length_us))


def _title(
    model: str,
    name: str,
    change: Transition,
    found: Finding | None,
    onset_us: tuple[int, int, int],
    now_us: int,
) -> str:
    """Return the title: which correlation changed, from what to what, since when."""
    subject = _subject(model, name)
    if change is Transition.RESOLVED:
        return f"{subject} is back at its baseline"
    if found is None:
        return f"{subject} changed, {onset_text(*onset_us, now_us)}"
    before, now = (min(max(r, -1.0), 1.0) for r in (found.p, found.p + found.change))
    return f"{subject} changed from {before:.2f} to {now:.2f}, {onset_text(*onset_us, now_us)}"


def _subject(model: str, name: str) -> str:
    """Return whose correlation an alert is about."""
    a, b = name.split(" x ", 1)
    return f"{model}: correlation of {a} and {b}"
