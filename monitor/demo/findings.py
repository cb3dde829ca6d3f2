"""Scores a run of the demo: every planted fault found once, and no other alert."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from monitor.demo.faults import BAD_REPLICA, Planted
from schemas.alerts import Alert, Incident, Transition
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.time_units import HOUR_US

N_WINDOWS_AFTER = 4
"""An alert counts as in time until this many windows after its fault was repaired."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What the monitor reported about one planted fault."""

    planted: Planted
    incident: Incident | None
    """The first incident whose owner is the fault itself, not a symptom of it."""
    alert: Alert | None
    """The first alert of the broken cell in that incident."""
    n_repeats: int
    """Further incidents about the same fault: duplicates."""
    n_retrainings: int

    @property
    def is_cause_right(self) -> bool:
        """Whether the incident has the cause of the fault."""
        return self.incident is not None and self.incident.cause is self.planted.cause

    @property
    def is_found(self) -> bool:
        """Whether the broken cell fired, in an incident with the right cause."""
        return self.alert is not None and self.is_cause_right

    @property
    def is_retraining_right(self) -> bool:
        """Whether a retraining was requested once if the policy requires it, otherwise never."""
        return self.n_retrainings == int(self.planted.has_retraining)

    @property
    def n_windows(self) -> float | None:
        """Hours from the start of the fault to the cell's alert."""
        if self.alert is None:
            return None
        return (self.alert.opened_at_us - self.planted.start_us) / HOUR_US


class DemoScore(msgspec.Struct, frozen=True, kw_only=True):
    """Score of a run."""

    findings: tuple[Finding, ...]
    false_alerts: tuple[Alert, ...]
    """Opened alerts that no planted fault explains."""
    n_retrainings: int
    n_stray_retrainings: int
    """Requested by an incident about no planted fault."""

    @property
    def n_found(self) -> int:
        """Planted faults that were found with the right cause."""
        return sum(finding.is_found for finding in self.findings)

    @property
    def is_right(self) -> bool:
        """Whether each fault was found once, nothing else, and retraining requested as due."""
        return (
            all(f.is_found and f.is_retraining_right and not f.n_repeats for f in self.findings)
            and not self.false_alerts
            and not self.n_stray_retrainings
        )


def score_run(
    planted: Sequence[Planted],
    incidents: Sequence[Incident],
    retrained: Sequence[str] = (),
    alerts: Sequence[Alert] = (),
) -> DemoScore:
    """Match incidents with the planted faults.

    Parameters
    ----------
    incidents : sequence of Incident
        Every incident of the run, with all its alerts.
    retrained : sequence of str
        ``incident_id`` of each retraining the target accepted.
    alerts : sequence of Alert, optional
        Every alert of the run; one that is in no incident is judged too.

    Returns
    -------
    DemoScore

    Notes
    -----
    An incident is about a fault when its *owner* is the broken cell (or the broken
    GPU) and opened while the fault lasted or up to four windows after. A symptom,
    such as the global score moving with it, is explained inside that incident and
    false anywhere else, and so is an alert of a cell the fault does not touch.
    """
    matched = {
        fault.name: sorted(
            (i for i in incidents if _is_about(_owner(i), fault)), key=lambda i: i.opened_at_us
        )
        for fault in planted
    }
    findings = tuple(_find(fault, matched[fault.name], retrained) for fault in planted)
    explained = {
        alert.alert_id
        for fault in planted
        for incident in matched[fault.name]
        for alert in incident.alerts
        if _is_explained(alert, fault)
    }
    sent = {a.alert_id: a for i in incidents for a in i.alerts} | {a.alert_id: a for a in alerts}
    false = [
        a for a in sent.values()
        if a.transition is Transition.OPENED and a.alert_id not in explained
    ]  # fmt: skip
    known = {i.incident_id for found in matched.values() for i in found}
    return DemoScore(
        findings=findings,
        false_alerts=tuple(sorted(false, key=lambda a: a.opened_at_us)),
        n_retrainings=len(retrained),
        n_stray_retrainings=sum(i not in known for i in retrained),
    )


def _owner(incident: Incident) -> Alert | None:
    """Return the alert that owns the incident."""
    return next((a for a in incident.alerts if a.alert_id == incident.owner_alert_id), None)


def _is_in_time(alert: Alert, fault: Planted) -> bool:
    """Return whether an incident opened while the fault lasted, or shortly after."""
    last_us = fault.end_us + N_WINDOWS_AFTER * HOUR_US
    return fault.start_us <= alert.opened_at_us <= last_us


def _is_cell(alert: Alert, fault: Planted) -> bool:
    """Return whether an alert is of the broken cell: the feature, or the replica's score."""
    if fault.name == BAD_REPLICA:
        return alert.monitor == Monitor.REPLICA and alert.segment == fault.segment
    return alert.monitor in (Monitor.DRIFT, Monitor.QUALITY) and alert.feature == fault.feature


def _is_about(alert: Alert | None, fault: Planted) -> bool:
    """Return whether an alert is of the broken cell or the broken GPU."""
    if alert is None or not _is_in_time(alert, fault):
        return False
    is_gpu = (
        bool(fault.gpu_uuid) and alert.monitor == Monitor.GPU and alert.gpu_uuid == fault.gpu_uuid
    )
    return is_gpu or _is_cell(alert, fault)


def _is_explained(alert: Alert, fault: Planted) -> bool:
    """Return whether an alert is of the fault or its effects: the score, the GPU's host."""
    if not _is_in_time(alert, fault):
        return False
    if _is_about(alert, fault):
        return True
    if alert.monitor == Monitor.REPLICA:
        return fault.name == BAD_REPLICA and alert.segment == f"host={fault.host}"
    return alert.monitor == Monitor.DRIFT and alert.feature == SCORE


def _find(fault: Planted, incidents: list[Incident], retrained: Sequence[str]) -> Finding:
    """Return the finding for one fault from the incidents about it."""
    incident = incidents[0] if incidents else None
    ids = {i.incident_id for i in incidents}
    cells = [
        a for a in (incident.alerts if incident else [])
        if a.transition is Transition.OPENED and _is_cell(a, fault) and _is_in_time(a, fault)
    ]  # fmt: skip
    whole = [a for a in cells if a.segment == fault.segment]
    return Finding(
        planted=fault,
        incident=incident,
        alert=min(whole or cells, key=lambda a: a.opened_at_us, default=None),
        n_repeats=max(len(incidents) - 1, 0),
        n_retrainings=sum(i in ids for i in retrained),
    )
