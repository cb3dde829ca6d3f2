"""Types of alerts, incidents, notifications and deliveries.

``Alert`` (one cell or GPU rule changed state) -> ``Incident`` (alerts with one
cause, one identity everywhere) -> ``Notification`` (what one receiver is sent) -> ``Delivery`` (its
outcome).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from schemas.monitors import Monitor

CANARY_MISSED = "canary_missed"
"""Rule of the alert on a missed canary; the model's rows are not affected."""
REJECTED_EVENTS = "rejected_events"
LATE_EVENTS = "late_events"
"""Rules of the alerts on rejected and late events."""
DEAD_LETTERS = "dead_letters"
"""Rule of the alert on an exceeded dead-letter limit."""
NO_VERDICT = "no_verdict"
"""Rule of the alert on consecutive windows with rows and without a verdict."""

UNDETECTABLE = "undetectable"
"""Rule of the ticket on a cell in which only large shifts would be found within a day."""
VOLUME = "volume"
"""Rule of the alert on much less or much more traffic than expected."""


class Transition(StrEnum):
    """Transition of an alert."""

    OPENED = "opened"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How urgent an alert is, in ascending order.

    Examples
    --------
    >>> Severity.RECORD < Severity.TICKET < Severity.PAGE, max(Severity.TICKET, Severity.PAGE)
    (True, <Severity.PAGE: 'page'>)
    """

    RECORD = "record"
    """Stored; sent only by routes that include records."""
    TICKET = "ticket"
    """Sent; it can wait for working hours."""
    PAGE = "page"
    """Sent; it needs immediate attention."""

    @property
    def rank(self) -> int:
        """Return its position in the order, 0 for ``record``."""
        return list(Severity).index(self)

    # StrEnum would compare alphabetically: "page" < "record" < "ticket".
    def __lt__(self, other: str) -> bool:
        return self.rank < Severity(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Severity(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Severity(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Severity(other).rank


class Cause(StrEnum):
    """Cause of an incident."""

    DATA = "data"
    HARDWARE = "hardware"
    MODEL = "model"
    PIPELINE = "pipeline"


class Onset(NamedTuple):
    """Beginning of a change, microseconds of event time."""

    onset_us: int
    """Most likely beginning."""
    onset_low_us: int
    """First likely beginning."""
    onset_high_us: int
    """Last likely beginning."""


class AlertDetails(NamedTuple):
    """What the missing, unseen and out-of-range values of a cell are, in the window of an alert."""

    new_values: tuple[tuple[str, float], ...] = ()
    seen_range: tuple[float, float] | None = None
    baseline_range: tuple[float, float] | None = None
    p_absent: float | None = None
    p_null: float | None = None

    def fields(self) -> dict[str, Any]:
        """Return the fields of an alert; those without a value are left out."""
        return {name: value for name, value in self._asdict().items() if value not in (None, ())}


NO_DETAILS: Final = AlertDetails()


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One cell or GPU rule changed state.

    ``alert_id`` is uuid5 of monitor, cell, window and transition, so repeats have the same ID.
    """

    alert_id: str
    tenant: str
    monitor: Monitor
    """``drift``, ``replica``, ``gpu`` or ``pipeline``."""
    transition: Transition
    severity: Severity
    time_us: int
    """End of the window, or time of the GPU event, that changed the state."""
    opened_at_us: int
    sequence: int
    """0 when opened, then counting the changes of this alert."""
    title: str
    """Title of one line: what changed, by how much, where."""
    model: str = ""
    model_version: str = ""
    feature: str = ""
    segment: str = ""
    """``*``, ``name=value``; for ``replica`` ``gpu_uuid=...`` or ``host=...``."""
    importance: str = "medium"
    host: str = ""
    gpu_uuid: str = ""
    rule: str = ""
    """GPU rule such as ``xid_79``, or pipeline rule such as ``rejected_events``."""
    action: str = ""
    """Recommended action."""
    window_start_us: int = 0
    window_end_us: int = 0
    n_windows: int = 0
    """Windows from the first positive one to this one."""
    n: int = 0
    n_reference: int = 0
    evidence: float | None = None
    threshold: float | None = None
    effect_size: float | None = None
    effect_where: str = ""
    p_reference: float | None = None
    p_current: float | None = None
    """Share of the set named by ``effect_where``, in the reference and in the window."""
    minimum_detectable_effect: float | None = None
    rung: str = ""
    profile_id: str = ""
    reference_counts: tuple[int, ...] = ()
    """64 counters of the cell, for the chart; empty for GPU alerts."""
    current_counts: tuple[int, ...] = ()
    bin_labels: tuple[str, ...] = ()
    contributions: tuple[tuple[str, float], ...] = ()
    """Places with a disproportionate part of the change, with their part, largest first.

    ``segment=value``, ``host=...``, ``gpu_uuid=...``; for the score also features, by name.
    """
    onset_us: int | UnsetType = UNSET
    """Rule 2: most likely beginning of the change; unset fields are not written."""
    onset_low_us: int | UnsetType = UNSET
    onset_high_us: int | UnsetType = UNSET
    """First and last likely beginning."""
    new_values: tuple[tuple[str, float], ...] | UnsetType = UNSET
    """The commonest categories of the window that the baseline lacks, and the share of rows of
    each, at least so large; at most 8, of 64 bytes, longer ones cut. Unset without any."""
    seen_range: tuple[float, float] | UnsetType = UNSET
    """Smallest and largest number of the window; set if some lie outside the baseline's range."""
    baseline_range: tuple[float, float] | UnsetType = UNSET
    p_absent: float | UnsetType = UNSET
    p_null: float | UnsetType = UNSET
    """Shares of rows without a value: the event does not name the feature, or it is null. Unset if
    no value is missing, or if it is unknown: panes of the window are of an earlier version."""

    @property
    def onset(self) -> Onset | None:
        """Beginning of the change; None under rule 1."""
        return _onset_of(self)

    @property
    def details(self) -> AlertDetails:
        """What the missing, unseen and out-of-range values are."""
        found = {name: getattr(self, name) for name in AlertDetails._fields}
        return AlertDetails(**{name: v for name, v in found.items() if v is not UNSET})


class Incident(msgspec.Struct, kw_only=True):
    """Alerts that share a cause, with one ID in Slack, PagerDuty and webhooks."""

    incident_id: str
    tenant: str
    cause: Cause
    severity: Severity
    opened_at_us: int
    title: str
    owner_alert_id: str
    """The most specific alert of the first ones, which owns the incident."""
    alerts: list[Alert] = []
    resolved_at_us: int | None = None
    onset_us: int | UnsetType = UNSET
    """Rule 2: most likely beginning of its first change."""
    onset_low_us: int | UnsetType = UNSET
    onset_high_us: int | UnsetType = UNSET

    @property
    def onset(self) -> Onset | None:
        """Beginning of the first change; None under rule 1."""
        return _onset_of(self)


def _onset_of(item: Alert | Incident) -> Onset | None:
    """Return the beginning that an alert or incident carries."""
    if item.onset_us is UNSET or item.onset_low_us is UNSET or item.onset_high_us is UNSET:
        return None
    return Onset(item.onset_us, item.onset_low_us, item.onset_high_us)


def onset_fields(onset: Onset | None) -> dict[str, int | None]:
    """Return the fields of an onset by name, for JSON documents.

    Examples
    --------
    >>> onset_fields(None)
    {'onset_us': None, 'onset_low_us': None, 'onset_high_us': None}
    """
    return dict(zip(Onset._fields, onset or (None, None, None), strict=True))


class NotificationKind(StrEnum):
    """Kind of a notification."""

    INCIDENT = "incident"
    RESOLVED = "resolved"
    RETRAINING = "retraining"


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """What one receiver is sent about one incident, under one dedup key."""

    notification_id: str
    dedup_key: str
    """At most 255 characters; the same for every message about this incident."""
    receiver: str
    kind: NotificationKind
    incident: Incident
    time_us: int
    reason: str
    """Reason of the notification or suppression."""
    evidence: str = ""
    """Evidence of a retraining request as JSON; otherwise empty."""


class DeliveryState(StrEnum):
    """Steps of a notification's delivery."""

    INTENT = "intent"
    """Intent, logged before the notification is sent."""
    DONE = "done"
    FAILED = "failed"
    """Rejected by the receiver, or given up after the last attempt."""
    SUPPRESSED = "suppressed"
    """Not sent; ``detail`` has the reason."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of a notification."""

    notification_id: str
    receiver: str
    state: DeliveryState
    time_us: int
    attempts: int = 0
    detail: str = ""
