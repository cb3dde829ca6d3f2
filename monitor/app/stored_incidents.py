"""Shows the incidents of a store, with the slices in which their changes are concentrated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.app.installation import load_installation
from monitor.core.incidents.slices.incident_hint import incident_hint
from monitor.core.incidents.slices.text import hint_text
from monitor.notify.receivers.message import NotificationText, describe
from monitor.storage.clickhouse import Store
from monitor.storage.stored_alerts import alerts_by_id
from monitor.storage.stored_hints import hints_of_alerts
from monitor.storage.stored_incidents import (
    StoredAction,
    StoredIncident,
    actions_of,
    stored_incidents,
)
from schemas.alerts import (
    Cause,
    Incident,
    Notification,
    NotificationKind,
    Severity,
    Transition,
    onset_fields,
)
from schemas.errors import ConfigError
from schemas.slice_hints import SliceHint


@dataclass(frozen=True, slots=True)
class ShownIncident:
    """An incident with all that the store has on it."""

    incident: Incident
    hint: SliceHint | None
    actions: tuple[StoredAction, ...]

    @property
    def text(self) -> NotificationText:
        """What a receiver is sent about it."""
        return describe(
            Notification(
                notification_id="",
                dedup_key="",
                receiver="",
                kind=NotificationKind.INCIDENT,
                incident=self.incident,
                time_us=self.incident.opened_at_us,
                reason="opened",
            )
        )

    @property
    def hint_text(self) -> str:
        """Where the change is concentrated, or why that is unknown; empty if not searched yet."""
        return "" if self.hint is None else hint_text(self.hint)

    def as_document(self) -> dict[str, Any]:
        """Return the incident for ``--json``; times are microseconds."""
        incident = self.incident
        return {
            "incident_id": incident.incident_id,
            "title": incident.title,
            "cause": incident.cause.value,
            "severity": incident.severity.value,
            "opened_at_us": incident.opened_at_us,
            "resolved_at_us": incident.resolved_at_us,
            **onset_fields(incident.onset),
            "alerts": [
                {
                    "alert_id": alert.alert_id,
                    "time_us": alert.time_us,
                    "transition": alert.transition.value,
                    "severity": alert.severity.value,
                    "title": alert.title,
                }
                for alert in incident.alerts
            ],
            "hint": self.hint_text,
            "slices": [] if self.hint is None else [one._asdict() for one in self.hint.slices],
            "actions": [action._asdict() for action in self.actions],
        }


def store_of(config: Path, store: str | None) -> str:
    """Return the store to read: the given one, or that of a configuration file."""
    return store or load_installation(config).store


def list_incidents(target: str, limit: int) -> list[StoredIncident]:
    """Return the newest incidents of a store, newest first.

    Raises
    ------
    StorageError
        If the store cannot be opened or read.
    """
    with Store.open(target, is_read_only=True) as store:
        return stored_incidents(store, limit=limit)


def show_incident(target: str, incident_id: str) -> ShownIncident:
    """Return an incident by its ID, or the beginning of it.

    Raises
    ------
    ConfigError
        If none has this ID, or several begin with it.
    StorageError
        If the store cannot be opened or read.
    """
    with Store.open(target, is_read_only=True) as store:
        found = stored_incidents(store, incident_id, limit=2)
        if len(found) != 1 or not incident_id:
            what = "several incidents begin with" if found else "the store has no incident"
            raise ConfigError(
                f"{what} {incident_id}",
                where="incident",
                fix="driftline incident list shows the newest",
            )
        own = found[0]
        hints = hints_of_alerts(store, own.alert_ids)
        incident = _incident_of(store, own)
        return ShownIncident(
            incident, incident_hint(incident, hints), tuple(actions_of(store, own.incident_id))
        )


def _incident_of(store: Store, own: StoredIncident) -> Incident:
    """Return the incident with its alerts; its beginning is the first of theirs."""
    alerts = alerts_by_id(store, own.alert_ids)
    onsets = [
        alert.onset
        for alert in alerts
        if alert.onset is not None and alert.transition is not Transition.RESOLVED
    ]
    onset = {} if not onsets else onset_fields(min(onsets))
    return Incident(
        incident_id=own.incident_id,
        tenant=own.tenant,
        cause=Cause(own.cause),
        severity=Severity(own.severity),
        opened_at_us=own.opened_at_us,
        title=own.title,
        owner_alert_id=own.owner_alert_id,
        alerts=alerts,
        resolved_at_us=own.resolved_at_us,
        **onset,  # type: ignore[arg-type]
    )
