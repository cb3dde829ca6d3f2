"""Reads incidents from the store: of what receivers were sent, or were not, about them."""

from __future__ import annotations

from typing import NamedTuple

from monitor.storage.clickhouse import Store

_INCIDENTS = (
    "SELECT incident_id, any(n.tenant) AS tenant, argMax(n.title, latest) AS title, "
    "argMax(n.cause, latest) AS cause, argMax(n.severity, latest) AS severity, "
    "min(n.opened_at_us) AS opened_at_us, groupUniqArrayArray(n.alert_ids) AS alert_ids, "
    "maxIf(n.time_us, n.kind = 'resolved') AS resolved_at_us, "
    "argMax(n.alert_ids, latest)[1] AS owner_alert_id "
    "FROM (SELECT *, (length(alert_ids), time_us) AS latest FROM notifications FINAL "
    "WHERE kind IN ('incident', 'resolved') AND incident_id != '' "
    "AND startsWith(incident_id, {prefix:String})) AS n GROUP BY incident_id "
    "ORDER BY opened_at_us DESC, incident_id LIMIT {limit:UInt32}"
)
_ACTIONS = (
    "SELECT time_us, kind, label, by, comment FROM actions FINAL "
    "WHERE incident_id = {id:String} ORDER BY time_us"
)


class StoredIncident(NamedTuple):
    """An incident in its last state."""

    incident_id: str
    tenant: str
    title: str
    cause: str
    severity: str
    opened_at_us: int
    alert_ids: tuple[str, ...]
    resolved_at_us: int | None
    owner_alert_id: str


class StoredAction(NamedTuple):
    """What a person did about an incident."""

    time_us: int
    kind: str
    label: str
    by: str
    comment: str


def stored_incidents(store: Store, prefix: str = "", limit: int = 20) -> list[StoredIncident]:
    """Return the newest incidents whose ID begins with a text, newest first."""
    rows = store.query(_INCIDENTS, {"prefix": prefix, "limit": limit}).to_pylist()
    return [
        StoredIncident(
            **row
            | {
                "alert_ids": tuple(sorted(row["alert_ids"])),
                "resolved_at_us": row["resolved_at_us"] or None,
            }
        )
        for row in rows
    ]


def actions_of(store: Store, incident_id: str) -> list[StoredAction]:
    """Return what persons did about an incident, in order of time."""
    return [StoredAction(**row) for row in store.query(_ACTIONS, {"id": incident_id}).to_pylist()]
