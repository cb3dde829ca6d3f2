"""Validates alerts and notifications beyond their types."""

from __future__ import annotations

import math

from monitor.core.bounds import check_number, check_struct, check_text
from monitor.core.windowing.details.limits import MAX_TEXT_BYTES, MAX_VALUES
from schemas.alerts import Alert, AlertDetails, Delivery, Notification
from schemas.errors import DomainError
from schemas.panes import N_COUNTERS

MAX_ALERTS = 1 << 17
"""Alerts of one incident or state: 100 features in 500 segments that all change give 50,000."""
_MAX_PARTS = 1_000
_NAMES = (
    "alert_id", "tenant", "model", "model_version", "feature", "segment", "importance", "host",
    "gpu_uuid", "rule", "rung", "profile_id",
)  # fmt: skip
_SHARES = ("effect_size", "p_reference", "p_current", "minimum_detectable_effect")


def check_alert(alert: Alert) -> None:
    """Check all values of an alert.

    Raises
    ------
    DomainError
        If a value is invalid. Processing of a checked alert cannot fail.
    """
    check_struct(alert)
    for name in _NAMES:
        check_text(name, getattr(alert, name))
    for name in _SHARES:
        value = getattr(alert, name)
        if value is not None and not math.isfinite(value):
            raise DomainError(f"{name} is {value}")
    for name in ("reference_counts", "current_counts"):
        if len(getattr(alert, name)) not in (0, N_COUNTERS):
            raise DomainError(f"{name} holds {len(getattr(alert, name))}, not {N_COUNTERS}")
    for name in ("bin_labels", "contributions"):
        check_number(f"length of {name}", len(getattr(alert, name)), 0, _MAX_PARTS)
    _check_details(alert.details)


def _check_details(details: AlertDetails) -> None:
    """Check what an alert names."""
    check_number("length of new_values", len(details.new_values), 0, MAX_VALUES)
    for value, _ in details.new_values:
        check_number("bytes of a new value", len(value.encode()), 0, MAX_TEXT_BYTES)
    shares = (*(p for _, p in details.new_values), details.p_absent or 0.0, details.p_null or 0.0)
    if not all(0 <= share <= 1 for share in shares):
        raise DomainError(f"a share among {shares}")
    for name in ("seen_range", "baseline_range"):
        if not all(map(math.isfinite, getattr(details, name) or ())):
            raise DomainError(f"{name} is {getattr(details, name)}")


def check_alerts(alerts: list[Alert]) -> None:
    """Check the alerts of a state, which are sent again on restore.

    Raises
    ------
    DomainError
        If there are too many, or one is not valid.
    """
    check_number("alerts", len(alerts), 0, MAX_ALERTS)
    for alert in alerts:
        check_alert(alert)


def check_step(delivery: Delivery, notification: Notification) -> None:
    """Check one step of a notification.

    Raises
    ------
    DomainError
        If a value is invalid.
    """
    check_struct(delivery)
    check_struct(notification)
    for name in ("notification_id", "receiver"):
        if getattr(delivery, name) != getattr(notification, name):
            raise DomainError(f"two different values of {name}")
        check_text(name, getattr(delivery, name))
    check_text("dedup_key", notification.dedup_key)
    check_text("reason", notification.reason)
    check_number("alerts", len(notification.incident.alerts), 0, MAX_ALERTS)
    for alert in notification.incident.alerts:
        check_alert(alert)
