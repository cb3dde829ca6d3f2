"""Close an incident as normal or as a fault, and take that back."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from monitor.app.stages import load_site
from monitor.clock import now_us
from monitor.core.bounds import MAX_VALUE_BYTES, check_number
from monitor.core.drift.actions import MAX_CELLS, ActionDecoder, encode_action
from monitor.core.topics import ACTIONS, NOTIFICATIONS
from monitor.core.write import Write
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.kafka.readers.topic_scan import scan
from schemas.actions import Action, ActionCell, ActionKind, Label
from schemas.alerts import Delivery, Incident, Notification
from schemas.errors import ConfigError, DomainError, TransportError
from schemas.monitors import Monitor

MIN_PREFIX = 8
"""Characters of an incident's ID that name it."""
_ACK_S = 60.0
_DECODER = msgspec.msgpack.Decoder(Delivery | tuple[Delivery, Notification | None])


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What a person does to an incident."""

    config: Path
    incident: str
    """Its ID, or the beginning of it."""
    kind: ActionKind
    label: Label
    by: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The actions that were written, one for each model of the incident."""

    incident: Incident
    actions: tuple[Action, ...]

    def as_document(self) -> dict[str, Any]:
        """Return the result for ``--json``."""
        return {
            "incident_id": self.incident.incident_id,
            "title": self.incident.title,
            "actions": [msgspec.to_builtins(action) for action in self.actions],
        }


def act_on_incident(request: ActionRequest) -> ActionResult:
    """Write the actions of a person to their topic, from which detect and the archive take them.

    Raises
    ------
    ConfigError
        If the configuration is invalid, or no incident has this ID.
    TransportError
        If the cluster is not available, or does not acknowledge.
    """
    cluster = load_site(request.config).cluster
    incident = find_incident(cluster, request.incident)
    actions = actions_on(incident, request, now_us())
    if not actions:
        raise ConfigError(
            f"incident {incident.incident_id} has no drift of a model",
            where=incident.title,
            fix="only drift can be normal or a fault of the data; this one resolves by itself",
        )
    values = [checked_value(action) for action in actions]
    key = incident.incident_id.encode()
    with LogProducer(cluster.client(), message_timeout_s=_ACK_S) as producer:
        for value in values:
            producer.append(cluster, Write(ACTIONS, key, value, 0))
        producer.flush_acks(_ACK_S)
    return ActionResult(incident, tuple(actions))


def checked_value(action: Action) -> bytes:
    """Return an action as a message value that detect does not reject.

    Raises
    ------
    ConfigError
        If a text is too long, empty or not UTF-8, or the message too large for Kafka.
    """
    try:
        value = encode_action(action)
        ActionDecoder().decode(value)
        check_number("bytes of the action", len(value), 0, MAX_VALUE_BYTES)
    except (TransportError, DomainError, UnicodeEncodeError) as error:
        raise ConfigError(
            str(error), where="incident", fix="shorten --by or --comment; --by is not empty"
        ) from None
    return value


def find_incident(cluster: Cluster, incident_id: str) -> Incident:
    """Return the last state of an incident that was notified of, or could have been.

    Raises
    ------
    ConfigError
        If none has this ID, or several begin with it.
    TransportError
        If the broker does not answer, or there is no such topic.
    """
    if len(incident_id) < MIN_PREFIX:
        fix = f"give at least {MIN_PREFIX} characters"
        raise ConfigError(f"{incident_id!r} is too short", where="incident", fix=fix)
    found: dict[str, Incident] = {}
    for message in scan(cluster, NOTIFICATIONS, 0):
        incident = _incident_in(message.value)
        if incident is not None and incident.incident_id.startswith(incident_id):
            before = found.get(incident.incident_id)
            if before is None or len(incident.alerts) >= len(before.alerts):
                found[incident.incident_id] = incident
    if len(found) == 1:
        return next(iter(found.values()))
    what = "several incidents begin with" if found else "no incident was notified of with the ID"
    raise ConfigError(
        f"{what} {incident_id}",
        where="incident",
        fix='driftline sql "SELECT DISTINCT incident_id, title FROM notifications" lists them',
    )


def actions_on(incident: Incident, request: ActionRequest, time_us: int) -> list[Action]:
    """Return the actions on an incident: one for each model whose drift it holds."""
    cells: dict[tuple[str, str], dict[ActionCell, None]] = {}
    for alert in incident.alerts:
        if alert.monitor == Monitor.DRIFT:
            names = alert.model_version, alert.feature, alert.segment
            own = cells.setdefault((alert.tenant, alert.model), {})
            own[ActionCell(*names, alert.opened_at_us)] = None
    is_close = request.kind is ActionKind.CLOSE
    return [
        Action(
            action_id=str(uuid.uuid4()),
            kind=request.kind,
            label=request.label,
            by=request.by.strip(),
            time_us=time_us,
            incident_id=incident.incident_id,
            tenant=tenant,
            model=model,
            comment=request.comment,
            cells=tuple(own)[-MAX_CELLS:] if is_close else (),
        )
        for (tenant, model), own in sorted(cells.items())
    ]


def _incident_in(value: bytes) -> Incident | None:
    """Return the incident of a message about a delivery; None if it has none."""
    try:
        found = _DECODER.decode(value) if value else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    sent: Notification | None = found[1] if isinstance(found, tuple) else None
    return None if sent is None else sent.incident
