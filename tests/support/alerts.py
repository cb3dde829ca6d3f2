"""Alerts as built by the detectors, for tests of later stages."""

from __future__ import annotations

from typing import Any

from monitor.core.identity import alert_id
from monitor.core.incidents.grouping import ChangeKind, ChangeReason, IncidentChange
from schemas.alerts import (
    Alert,
    Cause,
    Incident,
    Notification,
    NotificationKind,
    Severity,
    Transition,
)

HOUR = 3_600_000_000
START = 1_451_606_400_000_000
"""2016-01-01 00:00 UTC."""


def drift(
    window: int,
    feature: str = "AGEP",
    segment: str = "*",
    transition: Transition = Transition.OPENED,
    monitor: str = "drift",
    **more: Any,
) -> Alert:
    """An alert of the hourly window with this number."""
    end = START + (window + 1) * HOUR
    model = more.pop("model", "employment")
    cell = ("default", model, "v1", feature, segment)
    values: dict[str, Any] = {
        "alert_id": alert_id(monitor, cell, (end - HOUR, end), transition),
        "tenant": "default",
        "monitor": monitor,
        "transition": transition,
        "severity": Severity.TICKET,
        "time_us": end,
        "opened_at_us": end,
        "sequence": 0,
        "title": f"{model}: {feature} drifted",
        "model": model,
        "model_version": "v1",
        "feature": feature,
        "segment": segment,
        "window_start_us": end - 2 * HOUR,
        "window_end_us": end,
        "n_windows": 2,
        "n": 1000,
        "n_reference": 50_000,
        "evidence": 14.2,
        "threshold": 11.9,
        "effect_size": 0.11,
        "effect_where": "above maximum",
        "p_reference": 0.0,
        "p_current": 0.11,
        "profile_id": "abc123",
    }
    return Alert(**(values | more))


def replica(window: int, segment: str = "gpu_uuid=GPU-7", **more: Any) -> Alert:
    """One replica's score against the others'."""
    where = {"effect_where": "> 0.62", "p_reference": 0.4, "p_current": 0.97}
    return drift(window, "score", segment, monitor="replica", **(where | more))


def gpu(
    window: float,
    rule: str = "xid_79",
    uuid: str = "GPU-7",
    host: str = "node-2",
    transition: Transition = Transition.OPENED,
    **more: Any,
) -> Alert:
    """A GPU rule's alert at a time counted in hourly windows."""
    time_us = START + int(window * HOUR)
    index = uuid.rpartition("-")[2]
    what = {
        "xid_79": "XID 79, fallen off the bus",
        "xid_48": "XID 48, double-bit ECC error",
        "double_bit_ecc": "double-bit ECC",
        "xid_31": "XID 31, memory page fault",
        "xid_74": "XID 74, NVLink error",
        "node_lost": "8 GPUs silent, and no activity of the host",
    }.get(rule, rule)
    values: dict[str, Any] = {
        "alert_id": alert_id("gpu", ("default", uuid or host, rule), (0, time_us), transition),
        "tenant": "default",
        "monitor": "gpu",
        "transition": transition,
        "severity": Severity.PAGE,
        "time_us": time_us,
        "opened_at_us": time_us,
        "sequence": 0,
        "title": f"{f'GPU {index} on {host}' if uuid else host}: {what}",
        "host": host,
        "gpu_uuid": uuid,
        "rule": rule,
        "action": "drain the node, reset the GPU",
    }
    return Alert(**(values | more))


def pictured(**more: Any) -> Alert:
    """A drift alert that carries its counters."""
    reference = [800 + 7 * (i % 5) for i in range(60)] + [0, 0, 60, 0]
    current = [15 + i % 3 for i in range(60)] + [0, 110, 2, 0]
    labels = tuple(f"{1.5 * i:g} to {1.5 * (i + 1):g}" for i in range(60))
    counts = {"reference_counts": tuple(reference), "current_counts": tuple(current)}
    return drift(14, **(counts | {"bin_labels": labels} | more))


def incident(*alerts: Alert, cause: Cause = Cause.DATA, **more: Any) -> Incident:
    """An incident of these alerts."""
    first = alerts[0]
    values: dict[str, Any] = {
        "incident_id": f"incident-{first.alert_id}",
        "tenant": first.tenant,
        "cause": cause,
        "severity": first.severity,
        "opened_at_us": first.time_us,
        "title": "employment: AGEP above the baseline's range, 11 % of rows (baseline 0 %)",
        "owner_alert_id": first.alert_id,
        "alerts": list(alerts),
    }
    return Incident(**(values | more))


def change(about: Incident, kind: ChangeKind = ChangeKind.OPENED, **more: Any) -> IncidentChange:
    """A change of an incident."""
    reason = more.pop("reason", ChangeReason.FIRST_ALERT)
    return IncidentChange(kind, reason, about, about.opened_at_us, **more)


def notification(
    about: Incident | None = None,
    number: int = 1,
    kind: NotificationKind = NotificationKind.INCIDENT,
    **more: Any,
) -> Notification:
    """A notification about an incident."""
    about = about or incident(drift(14))
    values: dict[str, Any] = {
        "notification_id": f"n-{number}",
        "dedup_key": f"driftline/default/{about.incident_id}",
        "receiver": "it",
        "kind": kind,
        "incident": about,
        "time_us": about.opened_at_us,
        "reason": "resolved" if kind is NotificationKind.RESOLVED else "opened",
    }
    return Notification(**(values | more))
