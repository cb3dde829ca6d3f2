"""Alerts and results of the replicas of one series under rule 2. Pure."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from detectors.kernels.scale_evidence import BACK_MARGIN
from detectors.kernels.scale_state import (
    CORRECTION,
    IS_OPEN,
    OPEN_COMPONENT,
    PHI_REFERENCE,
    SMALLEST,
)
from detectors.multiscale.replicas import ReplicaPlan, ReplicaRule
from detectors.multiscale.thresholds import SCALE_HOURS
from monitor.core.drift.alerts import finite
from monitor.core.drift.cells import family
from monitor.core.drift.ticks.alerts import (
    CellNews,
    Finding,
    build_scale_alert,
    finding,
    severity_of_change,
)
from monitor.core.drift.ticks.cells import ScaleCell, ScaleCells
from monitor.core.drift.ticks.onset import Beginning
from monitor.core.drift.ticks.replicas import JudgedReplicas, ReplicaFamily
from monitor.core.drift.ticks.results import RULE
from monitor.core.drift.ticks.state import CellFinding, StoredReplicas
from monitor.core.drift.ticks.total_loss import special_components
from monitor.core.drift.ticks.transitions import advance_foreign, advance_open, resolved
from monitor.core.drift.window_results import DECISION, shared_fields
from monitor.core.incidents.alerting import CellState
from schemas.alerts import Alert, Onset, Transition
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.panes import ALL, N_COUNTERS, SeriesId, Window
from schemas.results import DetectorResult, Reason, Verdict

Counts = NDArray[np.int64]
OpenAlerts = dict[str, CellState]
Onsets = dict[str, tuple[int, int, int]]

FAMILIES: Final = ("gpu_uuid", "host")
"""Slices that are compared with each other, causes first."""


def replica_key(name: str) -> str:
    """Return the key of the alert of a replica: ``monitor|feature|segment``."""
    return f"{Monitor.REPLICA}|{SCORE}|{name}"


class ReplicaWatch:
    """Follows the hosts and GPUs of one series, each against the others in the same tick.

    Parameters
    ----------
    series, config, baseline
        Of the model version.
    cells : ScaleCells
        Its other cells. Without rows of the score in the baseline no replica is judged.
    """

    def __init__(
        self, series: SeriesId, config: ModelConfig, baseline: Baseline, cells: ScaleCells
    ) -> None:
        self._series, self._config, self._variable = series, config, baseline.variables[-1]
        self._rule = _rule_of(config, baseline, cells)
        self._families = (
            {} if self._rule is None else {name: ReplicaFamily(self._rule) for name in FAMILIES}
        )

    def take(self, window: Window, open_alerts: OpenAlerts, onsets: Onsets) -> list[Alert]:
        """Judge a closed tick, and update the alerts of replicas."""
        alerts = []
        for name, own in self._families.items():
            segments, counts = family(window.slices, name)
            rows = {s: c for s, c in zip(segments, counts, strict=True) if c.any()}
            for judged in own.take(window.start_us, window.end_us, rows):
                alerts += self._advance(own, judged, open_alerts, onsets)
            for gone in own.drop_forgotten(window.end_us):
                alerts += self._end(gone, window, open_alerts, onsets)
        return alerts

    def retire(self, window: Window, open_alerts: OpenAlerts, onsets: Onsets) -> list[Alert]:
        """Resolve the alerts of a version that gets no more windows."""
        prefix = f"{Monitor.REPLICA}|"
        names = [key.split("|", 2)[2] for key in open_alerts if key.startswith(prefix)]
        return [a for name in names for a in self._end(name, window, open_alerts, onsets)]

    def results(
        self, window: Window, open_alerts: OpenAlerts, onsets: Onsets
    ) -> list[DetectorResult]:
        """Return the verdict on each known replica of a window, and begin the next window."""
        found = []
        for name, own in self._families.items():
            segments, counts = family(window.slices, name)
            of = dict(zip(segments, counts.sum(axis=1).tolist(), strict=True))
            total = sum(of.values())
            for replica in own.state.names:
                n, peak = of.get(replica, 0), own.peaks.get(replica)
                key = replica_key(replica)
                verdict, reason = _verdict(n, peak, key in open_alerts)
                found.append(
                    DetectorResult(
                        **shared_fields(window),
                        **self._figures(own, peak),
                        **_onset_fields(onsets.get(key)),
                        monitor=Monitor.REPLICA,
                        feature=SCORE,
                        segment=replica,
                        metric=DECISION,
                        n=n,
                        n_reference=total - n,
                        verdict=verdict,
                        reason=reason,
                        rule=RULE,
                    )
                )
            own.peaks = {}
        return found

    def export(self) -> dict[str, StoredReplicas] | UnsetType:
        """Return the stored form, by family; unset before the first replica."""
        found = {name: own.export() for name, own in self._families.items() if own.is_used}
        return found or UNSET

    def restore(self, stored: Mapping[str, StoredReplicas]) -> None:
        """Restore what :meth:`export` returned.

        Raises
        ------
        DriftlineError
            If it does not fit the score of the baseline.
        """
        if self._rule is None:
            return
        for name in FAMILIES:
            if name in stored:
                self._families[name] = ReplicaFamily(self._rule, stored[name])

    def _advance(
        self, own: ReplicaFamily, judged: JudgedReplicas, open_alerts: OpenAlerts, onsets: Onsets
    ) -> list[Alert]:
        """Update the alerts of one judged tick."""
        alerts = []
        for r in np.flatnonzero(judged.tick.rows > 0).tolist():
            alerts += self._advance_one(own, judged, r, open_alerts, onsets)
        return alerts

    def _advance_one(
        self,
        own: ReplicaFamily,
        judged: JudgedReplicas,
        r: int,
        open_alerts: OpenAlerts,
        onsets: Onsets,
    ) -> list[Alert]:
        """Update the alert of one replica."""
        name, tick = judged.names[r], judged.tick
        key, cell = replica_key(name), own.state.averages.cells[r]
        before = open_alerts.get(key)
        if cell[IS_OPEN]:
            begun = judged.opened.get(r) if before is None else None
            found = self._found(own, judged, r, begun)
            if begun is not None:
                onsets[key] = begun[:3]
            onset_us = _onset_of(onsets, key, before)[0]
            severity = severity_of_change(found, self._config.score_importance)
            n_windows = self._n_windows(onset_us, judged.end_us)
            after, change = advance_open(before, severity, onset_us, judged.end_us, n_windows)
        elif tick.verdicts.has_closed[r] and before is not None:
            found = self._found(own, judged, r)
            after, change = resolved(before), Transition.RESOLVED
        elif before is not None:
            is_quiet = float(tick.verdicts.margin[r]) < -BACK_MARGIN
            hours = own.rule.parts(len(judged.names))[2].tick_hours
            found = None
            after, change = advance_foreign(before, is_quiet, hours)
        else:
            return []
        counts = tick.others[r], tick.counts[r]
        span = judged.start_us, judged.end_us
        return self._changed(name, after, change, found, span, counts, open_alerts, onsets)

    def _changed(
        self,
        name: str,
        after: CellState,
        change: Transition | None,
        found: Finding | None,
        tick_us: tuple[int, int],
        counts: tuple[Counts, Counts],
        open_alerts: OpenAlerts,
        onsets: Onsets,
        *,
        is_gone: bool = False,
    ) -> list[Alert]:
        """Store the state of an alert; return the alert if it changed."""
        key = replica_key(name)
        onset_us = _onset_of(onsets, key, after)
        if change is Transition.RESOLVED:
            del open_alerts[key]
            onsets.pop(key, None)
        else:
            open_alerts[key] = after
        if change is None:
            return []
        news = CellNews(
            series=self._series,
            cell=ScaleCell(self._variable, name, -1),
            importance=self._config.score_importance,
            state=after,
            onset_us=onset_us,
            found=found,
            tick_us=tick_us,
            n_windows=self._n_windows(onset_us[0], tick_us[1]),
            n_reference=int(counts[0].sum()),
            reference_counts=counts[0],
            current_counts=counts[1],
            is_gone=is_gone,
            monitor=Monitor.REPLICA,
        )
        return [build_scale_alert(news, change)]

    def _end(
        self, name: str, window: Window, open_alerts: OpenAlerts, onsets: Onsets
    ) -> list[Alert]:
        """Resolve the alert of a replica that has no more rows."""
        before = open_alerts.get(replica_key(name))
        if before is None:
            return []
        nothing = np.zeros(N_COUNTERS, np.int64)
        span, counts = (window.start_us, window.end_us), (nothing, nothing)
        after, change = resolved(before), Transition.RESOLVED
        return self._changed(
            name, after, change, None, span, counts, open_alerts, onsets, is_gone=True
        )

    def _found(
        self,
        own: ReplicaFamily,
        judged: JudgedReplicas,
        r: int,
        begun: Beginning | None = None,
    ) -> Finding:
        """Describe the change of a replica."""
        tick, n = judged.tick, len(judged.names)
        component = int(own.state.averages.cells[r, OPEN_COMPONENT])
        layout, _, _ = own.rule.parts(n)
        change = own.followed(r, tick) if begun is None else begun.change
        evidence, margin = float(tick.verdicts.evidence[r]), float(tick.verdicts.margin[r])
        found = finding(
            tick.plan,
            own.rule.plan.components.names * n,
            special_components(layout),
            component,
            change,
            evidence,
            evidence - margin,
        )
        usual = float(own.state.averages.components[component, CORRECTION])
        return replace(found, p=min(max(found.p + usual, 0.0), 1.0)) if found.is_share else found

    def _figures(self, own: ReplicaFamily, peak: CellFinding | None) -> dict[str, Any]:
        """Return the fields of the strongest evidence against a replica."""
        if peak is None:
            return {"statistic": None}
        name = own.rule.plan.components.names[peak.component]
        return {
            "statistic": finite(peak.change),
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


def _rule_of(config: ModelConfig, baseline: Baseline, cells: ScaleCells) -> ReplicaRule | None:
    """Return the rule of the replicas; None if the baseline has no rows of the score."""
    at = [
        c
        for c, cell in enumerate(cells.cells)
        if cell.variable.name == SCORE and cell.segment == ALL
    ]
    if not at:
        return None
    c, references = at[0], cells.plan.references
    plan = ReplicaPlan(
        cells.layout.cells[c],
        baseline.reference.counts.reshape(-1, N_COUNTERS)[cells.cells[c].place],
        phi=float(references[c, PHI_REFERENCE]),
        smallest=float(references[c, SMALLEST]),
    )
    tick_us = config.tick_us
    return ReplicaRule(plan, cells.rule.budget, tick_us, cells.layout.n_components)


def _onset_of(onsets: Onsets, key: str, state: CellState | None) -> tuple[int, int, int]:
    """Return the beginning of an alert; that of rule 1 has no interval."""
    first_us = state.first_positive_us if state is not None else 0
    return onsets.get(key, (first_us, first_us, first_us))


def _onset_fields(onset: tuple[int, int, int] | None) -> dict[str, Any]:
    """Return the beginning of an open alert by field name; nothing is set without an alert."""
    return {} if onset is None else dict(zip(Onset._fields, onset, strict=True))


def _verdict(n: int, peak: CellFinding | None, is_open: bool) -> tuple[Verdict, Reason]:
    """Return the verdict on a replica and its reason."""
    if n == 0:
        return Verdict.NONE, Reason.NO_DATA
    if peak is not None and peak.margin >= 0:
        return Verdict.DRIFT, Reason.EVIDENCE
    if is_open:
        return Verdict.DRIFT, Reason.STILL_FIRING
    return Verdict.NORMAL, Reason.WITHIN_TOLERANCE
