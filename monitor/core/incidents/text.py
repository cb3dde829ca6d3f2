"""Short titles of incidents."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monitor.core.incidents.details_text import UNSEEN_SET, new_names
from monitor.core.incidents.evidence import replica_of
from monitor.core.incidents.onset_text import onset_text
from monitor.core.incidents.shares import share_text as share_text
from schemas.alerts import NO_DETAILS, Alert, AlertDetails, Cause, Incident, Transition
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.time_text import clock_text

_SETS = {
    "above maximum": "above the baseline's range",
    "below minimum": "below the baseline's range",
    "missing": "missing",
    "unseen": "has a category the baseline never saw",
}
_NAMED_FAULTS = 3


def set_text(feature: str, where: str, details: AlertDetails = NO_DETAILS) -> str:
    """Return the text for the values of a feature that changed.

    Parameters
    ----------
    feature : str
        The feature's name, or ``score``.
    where : str
        An alert's ``effect_where``.
    details : AlertDetails, optional
        Name the new values, where the change is one of those.

    Examples
    --------
    >>> set_text("AGEP", "above maximum"), set_text("AGEP", "> 94"), set_text("ANC", "ANC=4")
    ("AGEP above the baseline's range", 'AGEP > 94', 'ANC=4')
    >>> set_text("ANC", "not ANC=4")
    'ANC other than 4'
    >>> set_text("channel", "unseen", AlertDetails(new_values=(("kiosk", 0.08),)))
    'channel has a category the baseline never saw (`kiosk`)'
    """
    if not where:
        return f"{feature} changed"
    if where.startswith(f"not {feature}="):
        return f"{feature} other than {where.partition('=')[2]}"
    if where.startswith(f"{feature}="):
        return where
    names = new_names(details) if where == UNSEEN_SET else ""
    return f"{feature} {_SETS.get(where, where)}" + (f" ({names})" if names else "")


def places_text(alert: Alert) -> str:
    """Return the places with most of a change; empty if it is uniform.

    Examples
    --------
    >>> from schemas.alerts import Severity, Transition
    >>> alert = Alert(alert_id="1", tenant="t", monitor="drift", severity=Severity.PAGE, sequence=0,
    ...               transition=Transition.OPENED, time_us=0, opened_at_us=0, title="",
    ...               contributions=(("AGEP", 0.9), ("region=eu", 0.71), ("host=node-3", 0.64)))
    >>> places_text(alert)
    'mostly region=eu (71 %), host=node-3 (64 %); of the features AGEP (90 %)'
    """
    named = [(f"{name} ({share_text(part)})", "=" in name) for name, part in alert.contributions]
    places = ", ".join(text for text, is_place in named if is_place)
    features = ", ".join(text for text, is_place in named if not is_place)
    mostly = f"mostly {places}" if places else ""
    moved = f"of the features {features}" if features else ""
    return "; ".join(part for part in (mostly, moved) if part)


def since_us(alert: Alert) -> int:
    """Return the start of the first window with evidence for the alert."""
    return alert.window_start_us or alert.opened_at_us


def began_us(incident: Incident) -> int:
    """Return the start of an incident, which all texts about it use.

    Returns
    -------
    int
        Start of the first window with evidence; the time of a GPU event inside that window, if
        there is one.

    Examples
    --------
    >>> began_us(Incident(incident_id="1", tenant="t", cause=Cause.DATA, title="", alerts=[],
    ...                   severity="page", opened_at_us=7, owner_alert_id="1"))
    7
    """
    alerts = [a for a in incident.alerts if a.transition is not Transition.RESOLVED]
    if not alerts:
        return incident.opened_at_us
    first = min(alerts, key=since_us)
    length_us = first.window_end_us - first.window_start_us
    ended_us = since_us(first) + length_us // max(first.n_windows, 1)
    exact = [
        a.opened_at_us for a in alerts if a.monitor == Monitor.GPU and a.opened_at_us < ended_us
    ]
    return min(exact, default=since_us(first))


def name_incident(incident: Incident, alert: Alert) -> str:
    """Return the title of an incident, from its most specific alert.

    Parameters
    ----------
    incident : Incident
        Incident with cause and alerts.
    alert : Alert
        The most specific one.

    Returns
    -------
    str
        ``employment: AGEP above the baseline's range, 11 % of rows (baseline 0 %), since
        14:00 UTC``; ``GPU 7 on node-2: double-bit ECC errors and XID 79; its scores are
        wrong (employment)``.
    """
    if incident.cause is Cause.HARDWARE:
        return _name_hardware(incident)
    if incident.cause is Cause.PIPELINE or not alert.model:
        return alert.title
    if alert.monitor == Monitor.REPLICA:
        host, uuid = replica_of(alert)
        who = f"GPU {uuid}" if uuid else f"host {host}"
        return f"{alert.model}: scores of {who} are wrong, one replica alone; no GPU evidence"
    together = _changed_together(incident)
    if len(together) > 1:
        return _name_together(together)
    return _name_data(alert, began_us(incident))


def size_of(alert: Alert) -> float:
    """Return how large a change is: Cohen's h of a share, standard deviations of a mean.

    Examples
    --------
    >>> from schemas.alerts import Severity, Transition
    >>> alert = Alert(alert_id="1", tenant="t", monitor="drift", severity=Severity.PAGE, sequence=0,
    ...               transition=Transition.OPENED, time_us=0, opened_at_us=0, title="",
    ...               p_reference=0.5, p_current=0.6)
    >>> round(size_of(alert), 3)
    0.201
    """
    if alert.p_current is None or alert.p_reference is None:
        return abs(alert.effect_size or 0.0)
    now, before = (math.asin(math.sqrt(p)) for p in (alert.p_current, alert.p_reference))
    return 2 * abs(now - before)


def earliest_change(alerts: Sequence[Alert]) -> Alert | None:
    """Return the alert whose change began first, of those with a known beginning."""
    known = [
        (alert.onset, i)
        for i, alert in enumerate(alerts)
        if alert.onset is not None and alert.transition is not Transition.RESOLVED
    ]
    return alerts[min(known)[1]] if known else None


def _changed_together(incident: Incident) -> list[Alert]:
    """Return the largest change of each feature with a known beginning, largest first.

    The score is among them only where nothing else is.
    """
    largest: dict[str, Alert] = {}
    for alert in incident.alerts:
        if alert.onset is None or alert.transition is Transition.RESOLVED:
            continue
        if alert.feature not in largest or size_of(alert) > size_of(largest[alert.feature]):
            largest[alert.feature] = alert
    inputs = [alert for alert in largest.values() if alert.feature != SCORE]
    return sorted(inputs or largest.values(), key=size_of, reverse=True)


def _name_together(together: list[Alert]) -> str:
    """Name several features of a model by the size of their changes."""
    first = earliest_change(together) or together[0]
    names = _list_text([alert.feature for alert in together])
    since = _since(first, since_us(first))
    return f"{first.model}: {len(together)} features changed together: {names}, {since}"


def _name_data(alert: Alert, start_us: int) -> str:
    """Return the title of a change of a feature or the score."""
    if alert.p_current is None or alert.p_reference is None:
        return alert.title
    text = f"{alert.model}: {set_text(alert.feature, alert.effect_where, alert.details)}"
    if alert.segment not in ("*", ""):
        text += f" for {alert.segment}"
    now, before = share_text(alert.p_current), share_text(alert.p_reference)
    return f"{text}, {now} of rows (baseline {before}), {_since(alert, start_us)}"


def _since(alert: Alert, start_us: int) -> str:
    """Write when it began: with an interval where the alert has one."""
    if alert.onset is None:
        return f"since {clock_text(start_us)}"
    return onset_text(*alert.onset, alert.time_us)


def _name_hardware(incident: Incident) -> str:
    """Return the title with GPU or host, faults, and affected models."""
    faults: dict[str, list[str]] = {}
    for alert in incident.alerts:
        if alert.monitor == Monitor.GPU:
            place, _, what = alert.title.partition(": ")
            short = what.split(", ")[0].split("; ")[0]
            faults.setdefault(place, [])
            if short not in faults[place]:
                faults[place].append(short)
    place, whats = next(iter(faults.items()))
    if len(faults) > 1:
        hosts = sorted({a.host for a in incident.alerts if a.monitor == Monitor.GPU})
        n_gpus = len(
            {a.gpu_uuid for a in incident.alerts if a.monitor == Monitor.GPU and a.gpu_uuid}
        )
        place = f"{n_gpus} GPU{'s' * (n_gpus != 1)} on {', '.join(hosts)}"
        whats = list(dict.fromkeys(what for named in faults.values() for what in named))
    title = f"{place}: {_list_text(whats)}"
    models = sorted({a.model for a in incident.alerts if a.model})
    return f"{title}; its scores are wrong ({', '.join(models)})" if models else title


def _list_text(parts: list[str]) -> str:
    """Join names with commas and "and", with a count of further ones."""
    if len(parts) > _NAMED_FAULTS:
        parts = [*parts[: _NAMED_FAULTS - 1], f"{len(parts) - _NAMED_FAULTS + 1} more"]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
