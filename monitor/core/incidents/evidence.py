"""GPU alerts as evidence for wrong scores, and grouping of GPU alerts by fault."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from monitor.core.gpu.xid import NVLINK
from schemas.alerts import Alert, Severity, Transition
from schemas.monitors import Monitor

_HARDWARE_RECORDS = frozenset({"xid_63", "xid_92"})
"""Rules with severity record that concern the card, not the application."""
_HOST_RULES = frozenset({"exporter_lost", "node_lost"})


def window_us_of(alert: Alert, default_us: int) -> int:
    """Return the window length of an alert, or the default if it has none.

    An alert's ``window_start_us`` is that of its first positive window.
    """
    run_us = alert.window_end_us - alert.window_start_us
    return run_us // max(alert.n_windows, 1) if run_us > 0 else default_us


def replica_of(alert: Alert) -> tuple[str, str]:
    """Return (host, gpu_uuid) of a replica's alert; empty where unknown.

    Examples
    --------
    >>> from schemas.alerts import Severity, Transition
    >>> replica_of(Alert(alert_id="1", tenant="", monitor="replica", severity=Severity.PAGE,
    ...     transition=Transition.OPENED, time_us=0, opened_at_us=0, sequence=0, title="",
    ...     segment="gpu_uuid=GPU-7"))
    ('', 'GPU-7')
    """
    name, _, value = alert.segment.partition("=")
    host = value if name == "host" else alert.host
    return host, value if name == "gpu_uuid" else alert.gpu_uuid


def is_hardware(alert: Alert) -> bool:
    """Return whether a GPU alert concerns the card itself.

    Records do not, unless they concern memory: XID 43 or 45 is the end of an application. A lost
    exporter is no evidence about the GPUs.
    """
    if alert.monitor != Monitor.GPU or alert.rule == "exporter_lost":
        return False
    return alert.severity is not Severity.RECORD or alert.rule in _HARDWARE_RECORDS


def gpu_evidence(
    replica: Alert, gpu_alerts: Sequence[Alert], firing: Collection[str], span_us: int
) -> list[Alert]:
    """Return the GPU alerts that explain one replica's wrong scores.

    Parameters
    ----------
    replica : Alert
        Its segment is ``gpu_uuid=...`` or ``host=...``.
    gpu_alerts : sequence of Alert
        Candidates.
    firing : collection of str
        IDs of the alerts that are still firing, which count regardless of age.
    span_us : int
        How far others may be before the first window or after the alert.

    Returns
    -------
    list of Alert
        Alerts on that GPU or host; empty without evidence.
    """
    host, uuid = replica_of(replica)
    first_us = replica.window_start_us or replica.time_us
    return [
        alert
        for alert in gpu_alerts
        if is_hardware(alert)
        and alert.transition is not Transition.RESOLVED
        and _is_there(alert, host, uuid)
        and alert.time_us <= replica.time_us + span_us
        and (alert.alert_id in firing or alert.time_us >= first_us - span_us)
    ]


def _is_there(alert: Alert, host: str, uuid: str) -> bool:
    """Return whether a GPU alert is on the replica's GPU, or on its host."""
    if uuid and alert.gpu_uuid:
        return alert.gpu_uuid == uuid
    return bool(host) and alert.host == host


def is_same_replica(
    one: Alert, other: Alert, hosts_of: Callable[[str], Collection[str]], span_us: int
) -> bool:
    """Return whether two replica alerts of one model concern the same replica.

    The same GPU, the same host, or a GPU and a host within ``span_us``, unless ``hosts_of``, which
    returns the known hosts of a GPU, excludes it.
    """
    if one.monitor != Monitor.REPLICA:
        return False
    (host_a, uuid_a), (host_b, uuid_b) = replica_of(one), replica_of(other)
    if uuid_a and uuid_b:
        return uuid_a == uuid_b
    if host_a and host_b:
        return host_a == host_b
    uuid, host = uuid_a or uuid_b, host_a or host_b
    known = hosts_of(uuid)
    is_near = abs(other.time_us - one.time_us) <= span_us
    return is_near and (not known or host in known)


def is_gpu_cascade(
    alerts: Sequence[Alert], last_gpu_us: int, alert: Alert, cascade_us: int
) -> bool:
    """Return whether a GPU alert belongs to the same fault as earlier ones.

    Parameters
    ----------
    alerts : sequence of Alert
        Alerts of one open incident.
    last_gpu_us : int
        Time of the newest GPU alert.
    alert : Alert
        The new one.
    cascade_us : int
        Time after the newest alert within which the same fault on another GPU belongs to it.

    Returns
    -------
    bool
    """
    is_near = abs(alert.time_us - last_gpu_us) <= cascade_us
    others = [other for other in alerts if other.monitor == Monitor.GPU]
    if alert.gpu_uuid and any(other.gpu_uuid == alert.gpu_uuid for other in others):
        return True
    place = (alert.tenant, alert.host)
    return is_near and any(
        (other.tenant, other.host) == place and _is_one_fault(other, alert) for other in others
    )


def _is_one_fault(one: Alert, other: Alert) -> bool:
    """Return whether two alerts of one host have the same fault, or one concerns the whole host."""
    is_host = bool({one.rule, other.rule} & _HOST_RULES)
    return is_host or _family(one.rule) == _family(other.rule)


def _family(rule: str) -> str:
    """Return a common name for rules of one kind of fault: links fail on all their GPUs."""
    code = rule.removeprefix("xid_")
    is_code = code.isascii() and code.isdigit() and len(code) < 8
    return "nvlink" if is_code and int(code) in NVLINK else rule
