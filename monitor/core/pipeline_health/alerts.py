"""Builds alerts of the pipeline rules. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from monitor.core.identity import alert_id
from monitor.core.incidents.alerting import CellState
from monitor.core.incidents.text import share_text
from monitor.core.pipeline_health.state import SharePool, UnjudgedRun
from monitor.core.pipeline_health.volume_watch import VolumeChange
from monitor.core.windowing.window_length import first_verdict_text, length_advice
from schemas.alerts import LATE_EVENTS, REJECTED_EVENTS, Alert, Transition
from schemas.config.model import ModelConfig
from schemas.monitors import Monitor
from schemas.panes import ALL
from schemas.results import Reason
from schemas.time_units import HOUR_US

_CONSEQUENCE = "until then drift verdicts of this model are withheld."
_VOLUME_ACTION = (
    "Find out whether the callers of the model stopped or repeat their requests, "
    "or what forwards its events does."
)
EQUAL_SHARE: Final = 0.5
_WORDS = {
    Reason.NO_BASELINE: "there is no baseline",
    Reason.PROFILE_CHANGED: "the baseline changed within the window",
    Reason.NO_DATA: "its baseline has no rows for this hour of the week",
    Reason.SEGMENT_UNKNOWN: "no segment of the baseline has rows",
}


class AlertChange(NamedTuple):
    """Transition of the alert of one rule, with its window."""

    rule: str
    state: CellState
    transition: Transition
    start_us: int
    end_us: int


def share_alert(
    change: AlertChange, config: ModelConfig, pool: SharePool, limit: float, reason: str
) -> Alert:
    """Return the alert on a share of rejected or late events.

    Parameters
    ----------
    pool : SharePool
        Events of the change; for a resolution those of its last window.
    limit : float
        Allowed share.
    reason : str
        Most frequent reject reason, or "".
    """
    share = pool.n_hits / pool.n_events if pool.n_events else 0.0
    return _alert(
        change,
        config,
        title=_share_title(change, config.model, pool, share, reason),
        action=_share_action(change.rule, config.model, reason),
        n=pool.n_events,
        p_reference=limit,
        p_current=share,
        effect_where=reason if change.rule == REJECTED_EVENTS else "late",
    )


def no_verdict_alert(change: AlertChange, config: ModelConfig, run: UnjudgedRun) -> Alert:
    """Return the alert on windows without verdicts."""
    if change.transition is Transition.RESOLVED:
        return _alert(change, config, title=f"{config.model}: windows have verdicts again")
    rows = run.n_rows / run.n_windows
    title = f"{config.model}: no verdict in {run.n_windows} window{'s' * (run.n_windows != 1)}"
    if run.reason == Reason.TOO_FEW_SAMPLES and config.decision.rule != 1:
        title += f", {rows:.3g} rows a window"
        action = first_verdict_text(config.tick_us)
    elif run.reason == Reason.TOO_FEW_SAMPLES:
        min_rows = config.decision.min_rows
        title += f", {rows:.0f} rows a window where a verdict needs {min_rows}"
        window = config.window
        action = length_advice(rows, window.length_us, min_rows, window.pane_us)
    else:
        title += f", {_WORDS.get(Reason(run.reason), run.reason.replace('_', ' '))}"
        action = "build a baseline with driftline baseline build, and run driftline check"
    return _alert(change, config, title=title, action=action[:1].upper() + action[1:] + ".")


def volume_alert(
    change: AlertChange, config: ModelConfig, volume: VolumeChange, p_equal: float = 0.0
) -> Alert:
    """Return the alert on less or more traffic than expected.

    Parameters
    ----------
    p_equal : float, optional
        Upper bound of the share of rows that are equal, in the tick that changed the alert.
    """
    return _alert(
        change,
        config,
        title=f"{config.model}: {_volume_text(change.transition, volume, p_equal)}",
        action=_VOLUME_ACTION,
        n=round(volume.rate * (change.end_us - change.start_us) / HOUR_US),
        effect_where="volume",
    )


def _volume_text(transition: Transition, volume: VolumeChange, p_equal: float) -> str:
    """Return what became of the traffic, in rows an hour.

    Equal rows are named from half of the rows on: the bound of ordinary traffic is far lower.
    """
    now, usual = _rate_text(volume.rate), _rate_text(volume.expected_rate)
    if transition is Transition.RESOLVED:
        if volume.kind == "settled":
            return f"the traffic of the last week, {now} rows an hour now, is expected from now on"
        return f"traffic is back, {now} rows an hour"
    if volume.rate == 0:
        return f"no traffic; {usual} rows an hour are expected"
    share = volume.rate / volume.expected_rate
    if share < 1:
        return f"{share_text(1 - share)} less traffic, {now} rows an hour instead of {usual}"
    equal = f", up to {share_text(p_equal)} of the rows equal" if p_equal >= EQUAL_SHARE else ""
    return f"{share:.3g} times the traffic, {now} rows an hour instead of {usual}{equal}"


def _rate_text(rate: float) -> str:
    """Format rows an hour with three significant digits, or all before the point."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


def _share_title(
    change: AlertChange, model: str, pool: SharePool, share: float, reason: str
) -> str:
    """Return the title, with the share of missing events."""
    is_late = change.rule == LATE_EVENTS
    if change.transition is Transition.RESOLVED:
        what, again = ("late", "on time") if is_late else ("rejected", "accepted")
        return f"{model}: events are {again} again, {share_text(share)} {what}"
    counted = f"{pool.n_hits:,} of {pool.n_events:,}"
    if is_late:
        return f"{model}: {share_text(share)} of events came too late to be counted, {counted}"
    why = f" as {reason.replace('_', ' ')}" if reason else ""
    return f"{model}: {share_text(share)} of events were rejected{why}, {counted}"


def _share_action(rule: str, model: str, reason: str) -> str:
    """Return the recommended action."""
    if rule == LATE_EVENTS:
        return (
            "Find the producer whose events are delayed, or raise window.bound and "
            f"window.lateness; {_CONSEQUENCE}"
        )
    if reason == "future":
        return f"Check the clocks of the producers; {_CONSEQUENCE}"
    query = f"SELECT detail, count() FROM dead_letters FINAL WHERE model = '{model}' GROUP BY 1"
    return f'Run driftline sql "{query}" and fix the producer; {_CONSEQUENCE}'


def _alert(
    change: AlertChange,
    config: ModelConfig,
    *,
    title: str,
    action: str = "",
    n: int = 0,
    p_reference: float | None = None,
    p_current: float | None = None,
    effect_where: str = "",
) -> Alert:
    """Build an alert with the common fields."""
    state, is_over = change.state, change.transition is Transition.RESOLVED
    cell = (config.tenant, config.model, change.rule)
    window_us = (change.start_us, change.end_us)
    return Alert(
        alert_id=alert_id(Monitor.PIPELINE, cell, window_us, change.transition.value),
        tenant=config.tenant,
        monitor=Monitor.PIPELINE,
        transition=change.transition,
        severity=state.severity,
        time_us=change.end_us,
        opened_at_us=state.opened_at_us,
        sequence=state.sequence,
        title=title,
        model=config.model,
        segment=ALL,
        rule=change.rule,
        action="" if is_over else action,
        window_start_us=state.first_positive_us,
        window_end_us=change.end_us,
        n_windows=state.n_windows,
        n=n,
        effect_where=effect_where,
        p_reference=p_reference,
        p_current=p_current,
    )
