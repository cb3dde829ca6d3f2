"""The text of a notification, independent of its receiver."""

from __future__ import annotations

import json
from dataclasses import dataclass

from monitor.core.incidents.details_text import details_text
from monitor.core.incidents.text import began_us, places_text, set_text, share_text
from schemas.alerts import Alert, Cause, Incident, Notification, NotificationKind, Transition
from schemas.monitors import Monitor
from schemas.spelling import spell_controls
from schemas.time_text import clock_text, minute_text, weekday_text
from schemas.time_units import MINUTE_US

_MAX_ALERTS = 4

_CAUSES = {
    Cause.DATA: "data: the inputs changed, the GPUs are not involved",
    Cause.HARDWARE: "hardware: a GPU is at fault, the inputs are not",
    Cause.MODEL: "model: one replica differs from the others, no GPU evidence",
    Cause.PIPELINE: "pipeline: the monitoring data are incomplete, the model may be fine",
}
_ADVICE = {
    "above maximum": "Check upstream of {feature} for a changed unit or an overflow.",
    "below minimum": "Check upstream of {feature} for a changed unit or sign.",
    "missing": "Check upstream of {feature} for a broken join or field.",
    "unseen": "Find out upstream what the new value of {feature} means; map it or retrain with it.",
}
_OPENINGS = {
    "opened": "",
    "escalated": "Worse: ",
    "cause_changed": "Cause found: ",
    "model_affected": "Model affected: ",
    "still_open": "Still open: ",
    "resolved": "Resolved: ",
    "merged": "Part of another incident: ",
    "retraining": "Retraining requested: ",
}


@dataclass(frozen=True, slots=True)
class NotificationText:
    """The parts of a notification that every receiver can show."""

    headline: str
    """Severity and title, one line."""
    lines: tuple[str, ...]
    """Facts, one each."""
    actions: tuple[str, ...]
    """Actions, most urgent first; empty for a resolved incident."""


def describe(notification: Notification) -> NotificationText:
    """Return the text of a notification.

    Parameters
    ----------
    notification : Notification
        Notification to render.

    Returns
    -------
    NotificationText
        Control characters in names are escaped: every part is one line of plain text.

    Examples
    --------
    >>> from schemas.alerts import Severity
    >>> incident = Incident(incident_id="1", tenant="t", cause=Cause.DATA, severity=Severity.PAGE,
    ...                     title="m: x > 9", opened_at_us=0, owner_alert_id="1")
    >>> describe(Notification(notification_id="n", dedup_key="k", receiver="console", time_us=0,
    ...                       kind=NotificationKind.INCIDENT, incident=incident,
    ...                       reason="opened")).headline
    'PAGE  m: x > 9'
    """
    message = _written(notification)
    return NotificationText(
        spell_controls(message.headline),
        tuple(map(spell_controls, message.lines)),
        tuple(map(spell_controls, message.actions)),
    )


def _written(notification: Notification) -> NotificationText:
    """Return the text with unescaped names."""
    incident = notification.incident
    is_retraining = notification.kind is NotificationKind.RETRAINING
    opening = _OPENINGS["retraining" if is_retraining else notification.reason]
    headline = f"{incident.severity.value.upper()}  {opening}{incident.title}"
    if is_retraining:
        return NotificationText(headline, tuple(_retraining_lines(notification)), ())
    if notification.kind is NotificationKind.RESOLVED:
        ended_us = incident.resolved_at_us or notification.time_us
        lasted = _duration(ended_us - began_us(incident))
        return NotificationText(
            headline, (f"Resolved {weekday_text(ended_us)}, after {lasted}",), ()
        )
    return NotificationText(headline, tuple(_lines(incident)), tuple(_actions(incident)))


def chief_alert(incident: Incident) -> Alert | None:
    """Return the alert to plot: the owner, or else the first with counts.

    Examples
    --------
    >>> from schemas.alerts import Severity
    >>> chief_alert(Incident(incident_id="1", tenant="t", cause=Cause.DATA, title="",
    ...                      severity=Severity.PAGE, opened_at_us=0, owner_alert_id="1")) is None
    True
    """
    pictured = [alert for alert in incident.alerts if alert.current_counts]
    own = (alert for alert in pictured if alert.alert_id == incident.owner_alert_id)
    return next(own, pictured[0] if pictured else None)


def _lines(incident: Incident) -> list[str]:
    """Return the cause, then the alerts, the owner first."""
    alerts = [a for a in incident.alerts if a.transition is not Transition.RESOLVED]
    newest = {(a.monitor, a.model, a.feature, a.segment, a.gpu_uuid, a.rule): a for a in alerts}
    shown = sorted(
        newest.values(), key=lambda a: (a.alert_id != incident.owner_alert_id, a.time_us)
    )
    lines = [f"Cause: {_CAUSES[incident.cause]}"]
    lines += [_fact(alert) for alert in shown[:_MAX_ALERTS]]
    if len(shown) > _MAX_ALERTS:
        lines.append(f"and {len(shown) - _MAX_ALERTS} more alerts")
    versions = sorted({a.model_version for a in alerts if a.model_version})
    if versions:
        lines.append(f"Model version: {', '.join(versions)}")
    lines.append(_since(incident))
    return lines


def _since(incident: Incident) -> str:
    """Return when an incident began, with an interval where it is known."""
    onset = incident.onset
    if onset is None:
        return f"Since {weekday_text(began_us(incident))}"
    interval = f"{minute_text(onset.onset_low_us)} to {minute_text(onset.onset_high_us)}"
    return f"Since about {weekday_text(onset.onset_us)} ({interval})"


def _fact(alert: Alert) -> str:
    """Return one alert with its numbers."""
    is_one_line = alert.monitor in (Monitor.GPU, Monitor.PIPELINE)
    if is_one_line or alert.p_current is None or alert.p_reference is None:
        return f"{alert.title} ({clock_text(alert.time_us)})"
    place = "" if alert.segment in ("*", "") else f" for {alert.segment}"
    reference = "the other replicas" if alert.monitor == Monitor.REPLICA else "baseline"
    text = f"{set_text(alert.feature, alert.effect_where)}{place}: {share_text(alert.p_current)}"
    text += f" of {alert.n:,} rows, {reference} {share_text(alert.p_reference)}"
    if alert.evidence is not None and alert.threshold is not None:
        text += f"; evidence {alert.evidence:.1f}, threshold {alert.threshold:.1f}"
    for more in (details_text(alert), places_text(alert)):
        text += f"; {more}" if more else ""
    return f"{text}; {alert.n_windows} window{'s' * (alert.n_windows != 1)}"


def _actions(incident: Incident) -> list[str]:
    """Return the recommended actions."""
    alerts = [a for a in incident.alerts if a.transition is not Transition.RESOLVED]
    graver = sorted(alerts, key=lambda a: a.severity, reverse=True)
    actions = [a.action[:1].upper() + a.action[1:] for a in graver if a.action]
    if incident.cause is Cause.HARDWARE and any(a.model for a in alerts):
        actions.append("Do not retrain: exclude this replica's scores from the training data.")
    if incident.cause is Cause.MODEL:
        actions.append("Compare the replica's build and model file with the others; restart it.")
    if incident.cause is Cause.DATA:
        # Before the general advice for every alert of a feature.
        actions[:0] = [
            _ADVICE[a.effect_where].format(feature=a.feature)
            for a in alerts
            if a.effect_where in _ADVICE
        ]
        actions = actions or ["Check what changed upstream; retrain if the change is real."]
    return list(dict.fromkeys(actions))[:3]


def _retraining_lines(notification: Notification) -> list[str]:
    """Return the lines of a retraining request: its key and the windows to exclude."""
    evidence = json.loads(notification.evidence or "{}")
    spans = evidence.get("windows_to_exclude", [])
    lines = [f"Idempotency key: {notification.notification_id}"]
    for span in spans:
        start, end = weekday_text(span["start_us"]), weekday_text(span["end_us"])
        who = f" ({', '.join(span['segments'])})" if span["segments"] else ""
        lines.append(f"Exclude {start} to {end}{who}: {span['cause']}")
    return lines


def _duration(length_us: int) -> str:
    """Format a duration in its two largest units."""
    minutes = max(length_us, 0) // MINUTE_US
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
