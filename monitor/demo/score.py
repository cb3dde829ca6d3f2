"""The score of a run as text: findings, and the last line of ``--json``.

``monitor.demo.findings`` does the judging; its names are here too, one import for the caller.
"""

from __future__ import annotations

from monitor.demo.findings import DemoScore, Finding, score_run
from schemas.alerts import Alert, Cause
from schemas.monitors import Monitor

__all__ = [
    "DemoScore",
    "Finding",
    "describe_finding",
    "score_run",
    "summarize_run",
]


def summarize_run(
    score: DemoScore, n_events: int, seconds: float, n_windows: int
) -> dict[str, object]:
    """Return the last line of ``driftline demo --json``.

    Parameters
    ----------
    n_events : int
        Predictions, labels and GPU samples read.
    seconds : float
        Wall-clock time of the run.
    n_windows : int
        Windows of event time.

    Returns
    -------
    dict
        ``events, seconds, windows, planted, found, false_alerts, retrainings, alerts``
        and ``right``; ready for ``json.dumps``.
    """
    entries = [_finding_entry(f) for f in score.findings] + [
        {"planted": None, "title": a.title, "monitor": a.monitor, "feature": a.feature,
         "where": a.segment or a.gpu_uuid, "opened_at_us": a.opened_at_us}
        for a in score.false_alerts
    ]  # fmt: skip
    return {
        "events": n_events,
        "seconds": round(seconds, 2),
        "windows": n_windows,
        "planted": len(score.findings),
        "found": score.n_found,
        "false_alerts": len(score.false_alerts),
        "retrainings": score.n_retrainings,
        "right": score.is_right,
        "alerts": entries,
    }


def describe_finding(finding: Finding) -> dict[str, str]:
    """Describe one finding, for the table and the report.

    Returns
    -------
    dict of str to str
        ``found_after, evidence, effect, where, cause, severity, retraining``.
    """
    alert, incident = finding.alert, finding.incident
    return {
        "found_after": _delay_words(finding),
        "evidence": _evidence_words(alert),
        "effect": _effect_words(alert),
        "where": _where_words(finding),
        "cause": str(incident.cause) if incident else "",
        "severity": str(incident.severity) if incident else "",
        "retraining": _retraining_words(finding),
    }


def _finding_entry(finding: Finding) -> dict[str, object]:
    """Return one planted fault as in the JSON line."""
    alert, incident, fault = finding.alert, finding.incident, finding.planted
    delay = finding.n_windows
    return {
        "planted": fault.name,
        "what": fault.what,
        "found": finding.is_found,
        "delay_windows": None if delay is None else round(delay, 2),
        "title": incident.title if incident else None,
        "cause": str(incident.cause) if incident else None,
        "severity": str(incident.severity) if incident else None,
        "feature": fault.feature,
        "segment": alert.segment if alert else None,
        "gpu_uuid": fault.gpu_uuid or None,
        "evidence": alert.evidence if alert else None,
        "threshold": alert.threshold if alert else None,
        "effect": alert.effect_size if alert else None,
        "effect_where": alert.effect_where if alert else None,
        "retrainings": finding.n_retrainings,
        "repeats": finding.n_repeats,
    }


def _delay_words(finding: Finding) -> str:
    """Describe the delay; the GPU's own alert comes first."""
    if finding.n_windows is None:
        return "missed"
    hours = finding.n_windows
    words = f"{hours:.1f} windows" if hours >= 1 else f"{60 * hours:.0f} min"
    if finding.incident and finding.planted.cause is Cause.HARDWARE:
        early = [a.opened_at_us for a in finding.incident.alerts if a.monitor == Monitor.GPU]
        if early:
            words += f"; its GPU after {(min(early) - finding.planted.start_us) / 1e6:.0f} s"
    return words


def _evidence_words(alert: Alert | None) -> str:
    """Describe log M and its threshold."""
    if alert is None or alert.evidence is None or alert.threshold is None:
        return ""
    return f"log M {alert.evidence:.1f} (fires at {alert.threshold:.1f})"


def _effect_words(alert: Alert | None) -> str:
    """Describe the set that moved most, before and now."""
    if alert is None:
        return ""
    if alert.p_reference is None or alert.p_current is None:
        return f"{alert.effect_size:+.1%} {alert.effect_where}" if alert.effect_size else ""
    return f"{alert.effect_where}: {alert.p_reference:.1%} -> {alert.p_current:.1%}"


def _where_words(finding: Finding) -> str:
    """Describe the place: feature and segment, or host and GPU."""
    alert, fault = finding.alert, finding.planted
    if alert is None:
        return ""
    if fault.gpu_uuid:
        # The first eight digits identify a GPU; alerts and the JSON line carry all of them.
        return f"score on {fault.host} {fault.gpu_uuid[:12]}"
    return alert.feature if alert.segment == "*" else f"{alert.feature} ({alert.segment})"


def _retraining_words(finding: Finding) -> str:
    """Describe whether a retraining was requested, and whether the policy requires it."""
    if finding.n_retrainings:
        words = "requested" if finding.n_retrainings == 1 else f"requested {finding.n_retrainings}x"
        return words if finding.is_retraining_right else f"{words}, wrongly"
    if finding.planted.has_retraining:
        return "not requested, wrongly"
    is_hardware = finding.planted.cause is Cause.HARDWARE
    return "no: hardware" if is_hardware else "no: not in the policy"
