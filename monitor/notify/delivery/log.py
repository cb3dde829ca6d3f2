"""The notification log: what was meant to be sent, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from monitor.core.bounds import DECODE_ERRORS, MAX_VALUE_BYTES
from monitor.core.incidents.alert_checks import check_step
from monitor.core.topics import NOTIFICATIONS
from monitor.core.write import Write
from schemas.alerts import Alert, Delivery, DeliveryState, Notification
from schemas.errors import DomainError


class LogEntry(msgspec.Struct, frozen=True):
    """One step of one notification."""

    notification: Notification
    delivery: Delivery


_ENTRY = msgspec.msgpack.Decoder(tuple[Delivery, Notification])


def encode_entry(entry: LogEntry) -> bytes:
    """Write an entry as a message of the notifications topic.

    Notes
    -----
    An incident of hundreds of alerts is written without the pictures of all but its owner, and
    beyond that with the newest alerts: a broker takes 1,048,588 bytes.
    """
    value = msgspec.msgpack.encode((entry.delivery, entry.notification))
    n_alerts = len(entry.notification.incident.alerts)
    while len(value) > MAX_VALUE_BYTES and n_alerts:
        shorter = _shortened(entry.notification, n_alerts)
        value = msgspec.msgpack.encode((entry.delivery, shorter))
        n_alerts //= 2
    return value


def _shortened(notification: Notification, n_alerts: int) -> Notification:
    """Return a notification with so many alerts of its incident, pictures of the owner alone."""
    incident = notification.incident
    owner = incident.owner_alert_id
    kept = [a for a in incident.alerts if a.alert_id == owner][:1]
    kept += [_unpictured(a) for a in incident.alerts[-n_alerts:] if a.alert_id != owner]
    return msgspec.structs.replace(
        notification, incident=msgspec.structs.replace(incident, alerts=kept)
    )


def _unpictured(alert: Alert) -> Alert:
    """Return an alert without its counters."""
    return msgspec.structs.replace(alert, reference_counts=(), current_counts=(), bin_labels=())


def decode_entry(value: bytes) -> LogEntry:
    """Read a message of the notifications topic.

    Raises
    ------
    DomainError
        If it is none, or says what none can say.
    """
    try:
        delivery, notification = _ENTRY.decode(value)
    except DECODE_ERRORS as error:
        raise DomainError(str(error)) from None
    check_step(delivery, notification)
    return LogEntry(notification, delivery)


def entry_key(entry: LogEntry) -> bytes:
    """Return the key of an entry in its topic, which is compacted.

    Notes
    -----
    The state of a notification is kept under its id: intent, then done or failed. A
    suppression has a key of its own: a second decision about one that is done says
    ``already_sent``, which under the same key would replace ``done`` and cause a repeat.
    """
    key, delivery = entry.notification.notification_id, entry.delivery
    return (
        f"{key}|{delivery.detail}".encode()
        if delivery.state == DeliveryState.SUPPRESSED
        else key.encode()
    )


def entry_write(entry: LogEntry) -> Write:
    """Return an entry as a message of its topic, which has one partition."""
    return Write(NOTIFICATIONS, entry_key(entry), encode_entry(entry), 0)


def last_steps(entries: Iterable[LogEntry]) -> dict[str, LogEntry]:
    """Return what each notification that was to go out has come to, by its id.

    Parameters
    ----------
    entries : iterable of LogEntry
        Oldest first.

    Notes
    -----
    An intent behind an outcome was written late: by a process that hung while its
    successor sent and logged it. It is stale and must be ignored.
    """
    last: dict[str, LogEntry] = {}
    for entry in entries:
        key, state = entry.notification.notification_id, entry.delivery.state
        if state != DeliveryState.SUPPRESSED and not (
            state == DeliveryState.INTENT and key in last
        ):
            last[key] = entry
    return last


class NotificationLog(Protocol):
    """Keeps entries in order; ``append`` returns when the entry is safe."""

    async def append(self, entry: LogEntry) -> None:
        """Keep one entry."""
        ...

    async def read(self) -> Sequence[LogEntry]:
        """Return all entries, oldest first."""
        ...
