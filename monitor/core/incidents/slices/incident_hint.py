"""The hint of an alert, of those of its searches, and of an incident, of those of its alerts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.alerts import Incident
from schemas.slice_hints import SliceHint


def incident_hint(incident: Incident, hints: Mapping[str, SliceHint]) -> SliceHint | None:
    """Return the hint of the owner of an incident, or of the first alert that has slices.

    Parameters
    ----------
    hints : mapping of str to SliceHint
        By ID of the alert.

    Returns
    -------
    SliceHint or None
        None if no alert of the incident was searched.
    """
    own = [hints[alert.alert_id] for alert in incident.alerts if alert.alert_id in hints]
    own.sort(key=lambda hint: (not hint.slices, hint.alert_id != incident.owner_alert_id))
    return own[0] if own else None


def last_hints(hints: Iterable[SliceHint]) -> dict[str, SliceHint]:
    """Return the last hint of each alert; one with slices is preferred.

    Parameters
    ----------
    hints : iterable of SliceHint
        Of alerts, each in order of time.
    """
    found: dict[str, SliceHint] = {}
    for hint in hints:
        before = found.get(hint.alert_id)
        if before is None or hint.slices or not before.slices:
            found[hint.alert_id] = hint
    return found
