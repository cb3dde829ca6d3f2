"""The notification log: intents and outcomes."""

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
    """Encode an entry as a message of the notifications topic.

    Notes
    -----
    Brokers accept 1,048,588 bytes by default. An entry that is larger keeps the counters of the
    owner alert only; if that does not suffice, it keeps only the newest alerts.
    """
    value = msgspec.msgpack.encode((entry.delivery, entry.notification))
    n_alerts = len(entry.notification.incident.alerts)
    while len(value) > MAX_VALUE_BYTES and n_alerts:
        shorter = _shortened(entry.notification, n_alerts)
        value = msgspec.msgpack.encode((entry.delivery, shorter))
        n_alerts //= 2
    return value


def _shortened(notification: Notification, n_alerts: int) -> Notification:
    """Return a notification with at most ``n`` alerts, and counters for the owner alert only."""
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
    """Decode a message of the notifications topic.

    Raises
    ------
    DomainError
        If the message is not a valid notification step.
    """
    try:
        delivery, notification = _ENTRY.decode(value)
    except DECODE_ERRORS as error:
        raise DomainError(str(error)) from None
    check_step(delivery, notification)
    return LogEntry(notification, delivery)


def entry_key(entry: LogEntry) -> bytes:
    """Return the key of an entry in the compacted topic.

    Notes
    -----
    The state of a notification is kept under its id: intent, then done or failed. A
    suppression has a different key: a second decision about a delivered notification is recorded as
    ``already_sent``, which under the same key would replace ``done`` and cause a repeat.
    """
    key, delivery = entry.notification.notification_id, entry.delivery
    return (
        f"{key}|{delivery.detail}".encode()
        if delivery.state == DeliveryState.SUPPRESSED
        else key.encode()
    )


def entry_write(entry: LogEntry) -> Write:
    """Return an entry as a write to its topic, which has one partition."""
    return Write(NOTIFICATIONS, entry_key(entry), encode_entry(entry), 0)


def last_steps(entries: Iterable[LogEntry]) -> dict[str, LogEntry]:
    """Return the last step of each notification that was not suppressed, by ID.

    Parameters
    ----------
    entries : iterable of LogEntry
        Oldest first.

    Notes
    -----
    An intent that follows an outcome is stale and ignored: it was written by a process that hung
    while its successor sent and logged the notification.
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
    """Ordered log of entries; ``append`` returns when the entry is durable."""

    async def append(self, entry: LogEntry) -> None:
        """Append one entry."""
        ...

    async def read(self) -> Sequence[LogEntry]:
        """Return all entries, oldest first."""
        ...
