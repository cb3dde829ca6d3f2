"""Decides when a receiver is notified of an incident, and when that is suppressed."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from monitor.core.identity import stable_id
from monitor.core.incidents.grouping import ChangeKind, ChangeReason, IncidentChange
from schemas.alerts import Incident, Notification, NotificationKind, Severity

_MAX_KEY = 255
_NEVER_US = 1 << 62


class NotifyReason(StrEnum):
    """Reason of a notification or a suppression."""

    OPENED = "opened"
    ESCALATED = "escalated"
    CAUSE_CHANGED = "cause_changed"
    MODEL_AFFECTED = "model_affected"
    """A hardware incident newly affects a model's scores."""
    STILL_OPEN = "still_open"
    """``repeat_interval`` has passed since the last message."""
    RESOLVED = "resolved"
    MERGED = "merged"
    """Resolved because it was merged into another incident."""
    RETRAINING = "retraining"

    GROUP_WAIT = "group_wait"
    """Suppressed: the first message is still in its group wait and will include this."""
    REPEAT_INTERVAL = "repeat_interval"
    """Suppressed: notified within the repeat interval, without a relevant change since."""
    NEVER_NOTIFIED = "never_notified"
    """Suppressed: resolved before the first notification."""
    ALREADY_SENT = "already_sent"
    """Suppressed: this notification was already sent."""
    NOT_ROUTED = "not_routed"
    """Suppressed: no route has a receiver."""


@dataclass(frozen=True, slots=True)
class SendDecision:
    """One notification, and whether it is sent."""

    notification: Notification
    is_sent: bool
    reason: NotifyReason


class _Thread(msgspec.Struct):
    """State of one incident at one receiver."""

    incident: Incident
    receiver: str
    due_us: int
    """Time of the first message."""
    notified_us: int | None = None
    n_repeats: int = 0
    notified_before: list[str] = []
    """IDs of alerts that were sent before a restart, and are processed again."""


def dedup_key(incident: Incident) -> str:
    """Return the dedup key of an incident, the same in all of its messages.

    Returns
    -------
    str
        At most 255 characters (PagerDuty's limit); a long tenant is replaced by its hash.

    Examples
    --------
    >>> from schemas.alerts import Cause
    >>> incident = Incident(incident_id="1", tenant="t", cause=Cause.DATA, title="",
    ...                     severity=Severity.PAGE, opened_at_us=0, owner_alert_id="1")
    >>> dedup_key(incident)
    'driftline/t/1'
    """
    key = f"driftline/{incident.tenant}/{incident.incident_id}"
    if len(key) <= _MAX_KEY:
        return key
    digest = hashlib.sha256(incident.tenant.encode()).hexdigest()
    return f"driftline/{digest}/{incident.incident_id}"[:_MAX_KEY]


class Dedupe:
    """Delays first messages by ``group_wait`` and repeats by ``repeat_interval``.

    Parameters
    ----------
    group_wait_us : int
        How long an incident gathers alerts before its first notification.
    repeat_interval_us : int
        How often the notification of an open incident is repeated.

    Notes
    -----
    The ID of a notification is derived from incident, receiver and content, so the same one is
    never decided twice, also after a restart (``remember``).

    Examples
    --------
    >>> dedupe = Dedupe(group_wait_us=30, repeat_interval_us=1000)
    >>> dedupe.tick(0)
    []
    """

    def __init__(self, group_wait_us: int, repeat_interval_us: int) -> None:
        self._group_wait_us = group_wait_us
        self._repeat_interval_us = repeat_interval_us
        self._threads: dict[str, _Thread] = {}
        self._sent: dict[str, int] = {}
        # Due times by thread, and in order, because a thousand incidents may be open and every
        # alert causes a tick.
        self._due_us: dict[str, int] = {}
        self._order: list[tuple[int, int, str]] = []
        self._n_watched = 0
        self._receivers: dict[str, None] = {}

    @property
    def n_waiting(self) -> int:
        """Number of pairs of incident and receiver in their group wait."""
        return sum(thread.notified_us is None for thread in self._threads.values())

    def observe(
        self, change: IncidentChange, receivers: Sequence[str], now_us: int
    ) -> list[SendDecision]:
        """Decide which notification of a change each receiver gets.

        Parameters
        ----------
        change : IncidentChange
            Change of an incident.
        receivers : sequence of str
            Receivers by the current routes; receivers notified before get the resolution too.
        now_us : int
            Current time, from which waits are measured.

        Returns
        -------
        list of SendDecision
            Notifications to send now, and suppressed ones, each with its reason.
        """
        incident = change.incident
        if change.kind is ChangeKind.RESOLVED:
            return self._end(change, now_us)
        if not receivers:
            return [self._suppress(incident, "", NotifyReason.NOT_ROUTED, now_us)]
        return [self._tell(change, name, now_us) for name in receivers]

    def tick(self, now_us: int) -> list[SendDecision]:
        """Return the first notifications and repeats that are due.

        Parameters
        ----------
        now_us : int
            The same clock as in ``observe``.

        Returns
        -------
        list of SendDecision
        """
        decisions = []
        for key in self._pop_due(now_us):
            thread = self._threads[key]
            if thread.notified_us is None:
                decisions.append(self._send(thread, NotifyReason.OPENED, "opened", now_us))
            else:
                thread.n_repeats += 1
                what = f"repeat {thread.n_repeats}"
                decisions.append(self._send(thread, NotifyReason.STILL_OPEN, what, now_us))
        return decisions

    def remember(self, notification: Notification) -> None:
        """Restore a sent notification from the log.

        Parameters
        ----------
        notification : Notification
            A delivered notification.
        """
        self._sent[notification.notification_id] = notification.time_us
        key = _key(notification.incident, notification.receiver)
        if notification.kind is NotificationKind.RESOLVED:
            self._threads.pop(key, None)
            self._due_us.pop(key, None)
        elif notification.kind is NotificationKind.INCIDENT:
            thread = self._threads.setdefault(
                key,
                _Thread(notification.incident, notification.receiver, notification.time_us),
            )
            thread.notified_us = max(thread.notified_us or 0, notification.time_us)
            thread.notified_before = [alert.alert_id for alert in notification.incident.alerts]
            thread.n_repeats += notification.reason == NotifyReason.STILL_OPEN
            self._watch(thread)

    def _watch(self, thread: _Thread) -> None:
        """Update the due time of a thread."""
        key = _key(thread.incident, thread.receiver)
        self._receivers[thread.receiver] = None
        due_us = thread.due_us
        if thread.notified_us is not None:
            is_repeated = thread.incident.severity is not Severity.RECORD
            due_us = thread.notified_us + self._repeat_interval_us if is_repeated else _NEVER_US
        if due_us != self._due_us.get(key):
            self._due_us[key] = due_us
            if due_us < _NEVER_US:
                self._n_watched += 1
                heapq.heappush(self._order, (due_us, self._n_watched, key))

    def _pop_due(self, now_us: int) -> list[str]:
        """Remove and return due threads, by due time; rescheduled ones are kept."""
        keys = []
        while self._order and self._order[0][0] <= now_us:
            due_us, _, key = heapq.heappop(self._order)
            if self._due_us.get(key) == due_us:
                del self._due_us[key]
                keys.append(key)
        return keys

    def _tell(self, change: IncidentChange, receiver: str, now_us: int) -> SendDecision:
        """Decide on one receiver and a change other than the resolution."""
        incident = change.incident
        key = _key(incident, receiver)
        thread = self._threads.get(key)
        if thread is None:
            thread = _Thread(incident, receiver, now_us + self._group_wait_us)
            self._threads[key] = thread
            if self._group_wait_us == 0:
                return self._send(thread, NotifyReason.OPENED, "opened", now_us)
        thread.incident = incident
        self._watch(thread)
        if thread.notified_us is None:
            return self._suppress(incident, receiver, NotifyReason.GROUP_WAIT, now_us)
        if {alert.alert_id for alert in incident.alerts} <= set(thread.notified_before):
            return self._suppress(incident, receiver, NotifyReason.ALREADY_SENT, now_us)
        if change.kind is ChangeKind.ESCALATED:
            what = f"escalated {incident.severity}"
            return self._send(thread, NotifyReason.ESCALATED, what, now_us)
        if change.is_cause_changed:
            what = f"cause {incident.cause}"
            return self._send(thread, NotifyReason.CAUSE_CHANGED, what, now_us)
        if change.is_model_added:
            models = sorted({alert.model for alert in incident.alerts if alert.model})
            what = f"models {' '.join(models)}"
            return self._send(thread, NotifyReason.MODEL_AFFECTED, what, now_us)
        return self._suppress(incident, receiver, NotifyReason.REPEAT_INTERVAL, now_us)

    def _end(self, change: IncidentChange, now_us: int) -> list[SendDecision]:
        """Decide on the resolution, for receivers that were notified of the incident."""
        incident = change.incident
        is_merged = change.reason is ChangeReason.MERGED
        reason = NotifyReason.MERGED if is_merged else NotifyReason.RESOLVED
        decisions = []
        for receiver in self._receivers:
            key = _key(incident, receiver)
            thread = self._threads.pop(key, None)
            if thread is None:
                continue
            self._due_us.pop(key, None)
            thread.incident = incident
            if thread.notified_us is None:
                never = NotifyReason.NEVER_NOTIFIED
                decisions.append(self._suppress(incident, thread.receiver, never, now_us))
            else:
                decisions.append(self._send(thread, reason, "resolved", now_us))
        return decisions

    def _send(self, thread: _Thread, reason: NotifyReason, what: str, now_us: int) -> SendDecision:
        """Return a notification to send, unless it was already sent."""
        notification = _notify(thread.incident, thread.receiver, reason, what, now_us)
        thread.notified_us = now_us
        if thread.incident.resolved_at_us is None:
            self._watch(thread)
        if notification.notification_id in self._sent:
            return SendDecision(notification, False, NotifyReason.ALREADY_SENT)
        self._sent[notification.notification_id] = now_us
        return SendDecision(notification, True, reason)

    def _suppress(
        self, incident: Incident, receiver: str, reason: NotifyReason, now_us: int
    ) -> SendDecision:
        """Return a suppressed notification with its reason."""
        what = f"suppressed {reason} {len(incident.alerts)}"
        return SendDecision(_notify(incident, receiver, reason, what, now_us), False, reason)


def _key(incident: Incident, receiver: str) -> str:
    """Return the key of a thread."""
    return f"{incident.incident_id}/{receiver}"


def _notify(
    incident: Incident, receiver: str, reason: NotifyReason, what: str, now_us: int
) -> Notification:
    """Build one notification."""
    is_end = reason in (NotifyReason.RESOLVED, NotifyReason.MERGED)
    return Notification(
        notification_id=stable_id("notification", incident.incident_id, receiver, what),
        dedup_key=dedup_key(incident),
        receiver=receiver,
        kind=NotificationKind.RESOLVED if is_end else NotificationKind.INCIDENT,
        incident=incident,
        time_us=now_us,
        reason=reason.value,
    )
