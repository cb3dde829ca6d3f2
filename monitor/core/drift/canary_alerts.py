"""Alerts about missed canaries. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from monitor.core.drift.alerts import finite
from monitor.core.drift.canary import CanaryOutcome, CanarySchedule, Sighting
from monitor.core.identity import alert_id
from monitor.core.incidents.alerting import REMEMBERED_HOLDS, CellState, Closed
from schemas.alerts import CANARY_MISSED, Alert, Severity, Transition
from schemas.monitors import Monitor
from schemas.panes import ALL, SeriesId, Window

MONITOR: Final = Monitor.PIPELINE
"""``monitor`` of these alerts: they cause no retraining and no incident of the model."""
MAX_FOUNDS: Final = 8


def cell_key(feature: str) -> str:
    """Return the key of an open alert."""
    return f"{MONITOR}|{feature}|{ALL}"


def advance(
    sighting: Sighting, before: CellState | None, window: Window, n_hold: int
) -> tuple[CellState | None, Transition | None]:
    """Return the state after one planting, and the transition, if any.

    Parameters
    ----------
    before : CellState or None
        The open alert, if there is one; ``n_quiet`` counts shifts found since.
    window : Window
        Window in which the planting ended.
    n_hold : int
        Consecutive detections after which a newly opened alert resolves.

    Returns
    -------
    after : CellState or None
        None if no alert is open.
    change : Transition or None
    """
    if sighting.outcome is CanaryOutcome.SKIPPED:
        return before, None
    if sighting.outcome is CanaryOutcome.MISSED:
        if before is not None:
            return msgspec.structs.replace(before, n_quiet=0), None
        return _opened(sighting, window, n_hold), Transition.OPENED
    if before is None:
        return None, None
    after = msgspec.structs.replace(before, n_quiet=before.n_quiet + 1)
    return (None, Transition.RESOLVED) if after.n_quiet >= after.n_hold else (after, None)


def choose_founds(closed: Closed | None) -> int:
    """Return the number of detections after which an alert resolves; doubles each time.

    A shift near the detection limit is found intermittently, and each change would be a message.
    """
    return 2 if closed is None else min(2 * closed.n_hold, MAX_FOUNDS)


def is_forgotten(closed: Closed, now_us: int, every_us: int) -> bool:
    """Return whether a resolved alert no longer affects the next one."""
    return now_us - closed.resolved_at_us > REMEMBERED_HOLDS * closed.n_hold * every_us


def _opened(sighting: Sighting, window: Window, n_hold: int) -> CellState:
    """Return the state of a new alert, with the first planted window."""
    length_us = window.end_us - window.start_us
    return CellState(
        window.end_us,
        window.end_us - sighting.n_windows * length_us,
        Severity.TICKET,
        0,
        n_windows=sighting.n_windows,
        n_hold=n_hold,
    )


def build_canary_alert(
    canary: CanarySchedule,
    sighting: Sighting,
    series: SeriesId,
    window: Window,
    state: CellState,
    transition: Transition,
) -> Alert:
    """Return the alert for a missed shift, or its resolution.

    Notes
    -----
    Without counters: a chart of planted rows could be mistaken for the model's.
    """
    decision = sighting.decision
    alert = _alert(canary.feature, series, window, state, transition)
    return msgspec.structs.replace(
        alert,
        title=_title(canary, sighting, series),
        action=_action(canary, sighting) if transition is Transition.OPENED else "",
        n=int(decision.n[0]) if decision else 0,
        n_reference=sighting.n_reference,
        evidence=finite(decision.log_m[0]) if decision else None,
        threshold=decision.threshold if decision else None,
        effect_size=finite(decision.effect[0]) if decision else None,
        minimum_detectable_effect=finite(decision.mde[0]) if decision else None,
    )


def end_canary_alert(key: str, state: CellState, series: SeriesId, window: Window) -> Alert:
    """Resolve the alert of a canary that was removed from the config or has no version."""
    feature = key.split("|")[1]
    alert = _alert(feature, series, window, state, Transition.RESOLVED)
    title = f"{series.model}: nothing is planted into {feature} any more"
    return msgspec.structs.replace(alert, title=title)


def _alert(
    feature: str, series: SeriesId, window: Window, state: CellState, transition: Transition
) -> Alert:
    """Build the alert of a transition."""
    cell = (series.tenant, series.model, series.model_version, feature, CANARY_MISSED)
    return Alert(
        alert_id=alert_id(MONITOR, cell, (window.start_us, window.end_us), transition.value),
        tenant=series.tenant,
        monitor=MONITOR,
        transition=transition,
        severity=state.severity,
        time_us=window.end_us,
        opened_at_us=state.opened_at_us,
        sequence=state.sequence + (transition is Transition.RESOLVED),
        title="",
        model=series.model,
        model_version=series.model_version,
        feature=feature,
        segment=ALL,
        rule=CANARY_MISSED,
        window_start_us=state.first_positive_us,
        window_end_us=window.end_us,
        n_windows=state.n_windows,
        profile_id=series.profile_id,
    )


def _title(canary: CanarySchedule, sighting: Sighting, series: SeriesId) -> str:
    """Return the title: shift, feature, and outcome."""
    shift, feature = f"{canary.settings.shift:g} sd", canary.feature
    n = f"{sighting.n_windows} window{'s' * (sighting.n_windows != 1)}"
    if sighting.outcome is CanaryOutcome.FOUND:
        return f"{series.model}: shifts of {shift} planted into {feature} are found again, in {n}"
    return (
        f"{series.model}: the monitor did not see a shift of {shift} that was planted into "
        f"a shadow of {feature} for {n}"
    )


def _action(canary: CanarySchedule, sighting: Sighting) -> str:
    """Return the first action, depending on the cause: tolerance, window size, or rule."""
    if sighting.action:
        return sighting.action
    decision, moved = sighting.decision, f"the shift moves {sighting.effect:.1%} of the rows"
    if decision is None:
        return "Windows did not come: look whether detect keeps up, and at its watermark."
    eps, mde = finite(decision.eps[0]), finite(decision.mde[0])
    if eps is not None and eps >= sighting.effect:
        return (
            f"Up to {eps:.1%} of {canary.feature} may move before it counts, and {moved}: raise "
            "canary.shift to what matters, or lower decision.eps; a tolerance that was learned "
            "needs a quieter reference."
        )
    if mde is None or mde > sighting.effect:
        least = "nothing at all" if mde is None else f"no less than {mde:.1%} at once"
        return (
            f"A window of {int(decision.n[0]):,} rows shows {least}, and {moved}: lengthen the "
            "window, or raise canary.shift to what matters."
        )
    return (
        f"A real drift of {canary.feature} of this size would be missed too: run driftline "
        "backtest, and check decision.phi and the baseline."
    )
