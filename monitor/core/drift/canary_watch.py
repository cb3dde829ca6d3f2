"""Runs the canary of a series: results, and transitions of its alert. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.decision import Evidence
from detectors.decision_rule.sets import SetLayout
from detectors.decision_rule.settings import Rule
from monitor.core.drift.canary import Canary, CanarySchedule, CanaryState, Sighting
from monitor.core.drift.canary_alerts import (
    MONITOR,
    advance,
    build_canary_alert,
    cell_key,
    choose_founds,
    end_canary_alert,
    is_forgotten,
)
from monitor.core.drift.cells import align_counts
from monitor.core.drift.window_results import canary_result
from monitor.core.incidents.alerting import CellState, Closed
from schemas.alerts import Alert, Transition
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.panes import ALL, SeriesId, Window
from schemas.results import DetectorResult

OpenAlerts = dict[str, CellState]
ClosedAlerts = dict[str, Closed]


class CanaryWatch:
    """Runs the canary of one series; does nothing without a canary.

    Parameters
    ----------
    rule : Rule
        Rule of the series.
    state : CanaryState, optional
        State before a restart.
    """

    def __init__(
        self,
        series: SeriesId,
        config: ModelConfig,
        baseline: Baseline,
        rule: Rule,
        state: CanaryState | None,
    ) -> None:
        self._series, self._baseline = series, baseline
        has_canary = Canary.fits(config, baseline)
        self.canary = Canary(series, config, baseline, rule, state) if has_canary else None

    @property
    def state(self) -> CanaryState | None:
        """State for the state message."""
        return None if self.canary is None else self.canary.state

    def evidence_before(
        self, window: Window, evidence: Evidence, layout: SetLayout
    ) -> Evidence | None:
        """Return the evidence of the shadowed cell before a planted window, else None."""
        if self.canary is None or not self.canary.is_planted(window.start_us):
            return None
        return evidence.of_cell(layout, self.canary.variable)

    def watch(
        self,
        window: Window,
        before: Evidence | None,
        reference: NDArray[np.int64] | None,
        open_alerts: OpenAlerts,
        closed_alerts: ClosedAlerts,
        *,
        is_retired: bool,
        is_withheld: bool = False,
    ) -> tuple[list[DetectorResult], list[Alert]]:
        """Process the planted shift of one window; return results and alerts.

        Parameters
        ----------
        window : Window
            Window that the series has just evaluated.
        before : Evidence or None
            Result of :meth:`evidence_before`.
        reference : ndarray of int64, shape (S * V, 64), or None
            Reference of the window; None if ``before`` is None.
        open_alerts, closed_alerts : dict
            Alerts of the series; **updated in place**.
        is_retired : bool
            Whether no more windows will arrive.
        is_withheld : bool, optional
            Whether verdicts on the window are withheld; a shift planted into it is skipped.
        """
        canary = self.canary
        own = None if canary is None or is_retired else cell_key(canary.feature)
        ended = self.end_others(own, window, open_alerts, closed_alerts)
        if canary is None:
            return [], ended
        sightings, v = canary.leave(window), canary.variable
        if before is not None and reference is not None:
            counts = align_counts(window.segments, self._baseline.reference.segments)[v]
            is_firing = is_withheld or f"drift|{canary.feature}|{ALL}" in open_alerts
            sightings += canary.take(window, counts, reference[v], before, is_firing=is_firing)
        results, alerts = self.report(canary, sightings, window, open_alerts, closed_alerts)
        return results, [*alerts, *ended]

    def report(
        self,
        canary: CanarySchedule,
        sightings: Sequence[Sighting],
        window: Window,
        open_alerts: OpenAlerts,
        closed_alerts: ClosedAlerts,
    ) -> tuple[list[DetectorResult], list[Alert]]:
        """Return the results of plantings that ended with a window, and the changes of the alert.

        Parameters
        ----------
        open_alerts, closed_alerts : dict
            Alerts of the series; **updated in place**.
        """
        results = [canary_result(sighting, canary, window) for sighting in sightings]
        alerts = [
            alert
            for sighting in sightings
            for alert in self._advance(canary, sighting, window, open_alerts, closed_alerts)
        ]
        return results, alerts

    def _advance(
        self,
        canary: CanarySchedule,
        sighting: Sighting,
        window: Window,
        open_alerts: OpenAlerts,
        closed_alerts: ClosedAlerts,
    ) -> list[Alert]:
        """Update the alert after a planting."""
        key = cell_key(canary.feature)
        before, closed = open_alerts.pop(key, None), closed_alerts.get(key)
        if closed is not None and is_forgotten(closed, window.end_us, canary.settings.every_us):
            closed = None
        after, change = advance(sighting, before, window, choose_founds(closed))
        if after is not None:
            open_alerts[key] = after
        state = after or before
        if change is None or state is None:
            return []
        if change is Transition.RESOLVED:
            closed_alerts[key] = Closed(window.end_us, state.n_hold)
        return [build_canary_alert(canary, sighting, self._series, window, state, change)]

    def end_others(
        self, own: str | None, window: Window, open_alerts: OpenAlerts, closed_alerts: ClosedAlerts
    ) -> list[Alert]:
        """Resolve the alerts of all other canaries, which nothing else would resolve."""
        for key in [k for k in closed_alerts if k.startswith(f"{MONITOR}|") and k != own]:
            del closed_alerts[key]
        gone = [k for k in open_alerts if k.startswith(f"{MONITOR}|") and k != own]
        return [end_canary_alert(k, open_alerts.pop(k), self._series, window) for k in gone]
