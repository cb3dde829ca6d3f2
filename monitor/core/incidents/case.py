"""An open incident with derived data for grouping."""

from __future__ import annotations

import msgspec

from monitor.core.gpu.table import TELEMETRY_RULES
from monitor.core.incidents.text import earliest_change, name_incident
from schemas.alerts import Alert, Cause, Incident, Onset
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.time_units import HOUR_US

TOGETHER_US = 2 * HOUR_US
"""Changes of a model that are found within so long are one incident."""
KEPT_ALERTS = 256
"""Maximum number of alerts of an incident, plus the last alert of each further cell."""


class Case(msgspec.Struct, eq=False):
    """An incident with its working state."""

    incident: Incident
    open_cells: set[str]
    last_gpu_us: int = -1
    number: int = -1
    """Index in order of opening."""
    n_by_key: dict[tuple[str, ...], int] = {}
    """Number of alerts per key of the index."""


def cell_of(alert: Alert) -> str:
    """Return the key of an alert's cell, which all transitions of one alert share.

    Examples
    --------
    >>> from schemas.alerts import Severity, Transition
    >>> alert = Alert(alert_id="1", tenant="t", monitor="gpu", severity=Severity.PAGE, sequence=0,
    ...               transition=Transition.OPENED, time_us=0, opened_at_us=0, title="", host="h",
    ...               gpu_uuid="g", rule="xid_79")
    >>> cell_of(alert).split("|")
    ['t', 'gpu', '', '', '', '', 'g', 'xid_79']
    """
    if alert.monitor == Monitor.GPU:
        # By UUID, because a card may be moved to another host while its alert is open.
        place = alert.gpu_uuid or f"host={alert.host}"
        return "|".join((alert.tenant, Monitor.GPU, "", "", "", "", place, alert.rule))
    parts = (alert.tenant, alert.monitor, alert.model, alert.model_version, alert.feature)
    return "|".join((*parts, alert.segment, "", alert.rule))


def is_about_data(alert: Alert) -> bool:
    """Return whether an alert concerns a feature or the score, not a replica or the pipeline."""
    return alert.monitor not in (Monitor.GPU, Monitor.REPLICA, Monitor.PIPELINE)


def is_score(alert: Alert) -> bool:
    """Return whether an alert concerns the score, overall or in a segment."""
    return is_about_data(alert) and alert.feature == SCORE


def is_same_feature(one: Alert, other: Alert) -> bool:
    """Return whether two alerts concern the same feature of the same model."""
    return is_about_data(one) and (one.tenant, one.model, one.feature) == (
        other.tenant,
        other.model,
        other.feature,
    )


def is_together(incident: Incident, alert: Alert) -> bool:
    """Return whether a change was found within two hours of an incident, or began with it.

    Parameters
    ----------
    alert : Alert
        With a known beginning.
    """
    owner = next(a for a in incident.alerts if a.alert_id == incident.owner_alert_id)
    first, onset = owner.onset, alert.onset
    if first is None or onset is None:
        return False
    if alert.time_us - incident.opened_at_us <= TOGETHER_US:
        return True
    return _is_overlapping(first, onset)


def _is_overlapping(one: Onset, other: Onset) -> bool:
    """Return whether two intervals of a beginning have a time in common."""
    return one.onset_low_us <= other.onset_high_us and other.onset_low_us <= one.onset_high_us


def _began_together(one: Alert, other: Alert) -> bool:
    """Return whether two changes may have begun at the same time.

    Which of a cause and its effects is found first is chance where ticks are judged.
    """
    first, second = one.onset, other.onset
    return first is not None and second is not None and _is_overlapping(first, second)


def has_model(case: Case, alert: Alert) -> bool:
    """Return whether the incident has an alert of the same model."""
    key = (alert.tenant, alert.model)
    return any(a.model and (a.tenant, a.model) == key for a in case.incident.alerts)


def rank_of(alert: Alert) -> int:
    """Return the sort key of alerts; the smallest owns the incident."""
    if alert.monitor == Monitor.GPU:
        return 0
    if alert.monitor == Monitor.REPLICA:
        return 1
    return (4 if is_score(alert) else 2) + (alert.segment not in ("*", ""))


def explained_us(case: Case, alert: Alert) -> int:
    """Return the time of the incident's last alert on the model other than on its score."""
    key = (alert.tenant, alert.model)
    times = [
        a.opened_at_us
        for a in case.incident.alerts
        if (a.tenant, a.model) == key and not is_score(a)
    ]
    return max(times, default=case.incident.opened_at_us)


def specificity(case: Case) -> int:
    """Return the sort key of cases that opened together: replicas before features."""
    return -min(rank_of(a) for a in case.incident.alerts)


def choose_owner(incident: Incident, alert: Alert, window_us: int) -> None:
    """Make a more specific alert of the same window, or the same beginning, the owner."""
    owner = next(a for a in incident.alerts if a.alert_id == incident.owner_alert_id)
    is_same_window = (
        alert.time_us == owner.time_us
        or (
            Monitor.GPU in (alert.monitor, owner.monitor)
            and abs(alert.time_us - owner.time_us) < window_us
        )
        or _began_together(owner, alert)
    )
    if rank_of(alert) < rank_of(owner) and (is_same_window or alert.time_us < owner.time_us):
        incident.owner_alert_id = alert.alert_id


def describe_incident(incident: Incident) -> None:
    """Set cause and title of the incident from its alerts."""
    monitors = {alert.monitor for alert in incident.alerts}
    is_telemetry = (
        monitors == {Monitor.GPU} and {a.rule for a in incident.alerts} <= TELEMETRY_RULES
    )
    if Monitor.PIPELINE in monitors or is_telemetry:
        incident.cause = Cause.PIPELINE
    elif Monitor.GPU in monitors:
        incident.cause = Cause.HARDWARE
    else:
        incident.cause = Cause.MODEL if Monitor.REPLICA in monitors else Cause.DATA
    incident.title = name_incident(incident, min(incident.alerts, key=lambda a: rank_of(a)))
    first = earliest_change(incident.alerts)
    if first is not None:
        incident.onset_us = first.onset_us
        incident.onset_low_us = first.onset_low_us
        incident.onset_high_us = first.onset_high_us


def trim_alerts(incident: Incident) -> list[Alert]:
    """Drop alerts of a very long incident except the newest, the owner, and the last of each cell.

    Returns
    -------
    list of Alert
        The dropped alerts.
    """
    n_old = len(incident.alerts) - KEPT_ALERTS
    if n_old <= 0:
        return []
    old, new = incident.alerts[:n_old], incident.alerts[n_old:]
    last = {cell_of(alert): alert.alert_id for alert in old}
    for alert in new:
        last.pop(cell_of(alert), None)
    wanted = {incident.owner_alert_id, *last.values()}
    incident.alerts[:] = [*(a for a in old if a.alert_id in wanted), *new]
    return [a for a in old if a.alert_id not in wanted]


def copy_incident(incident: Incident) -> Incident:
    """Return a copy of an incident."""
    return msgspec.structs.replace(incident, alerts=list(incident.alerts))
