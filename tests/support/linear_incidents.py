"""Incidents that search through all open incidents, an oracle for the index of the real ones."""

from __future__ import annotations

from monitor.core.incidents.case import Case, has_model, is_same_feature
from monitor.core.incidents.gpu_history import GpuHistory
from monitor.core.incidents.grouping import Grouping, Incidents
from monitor.core.incidents.open_cases import Key, OpenCases
from schemas.alerts import Alert, Severity, Transition
from schemas.monitors import Monitor


class LinearCases(OpenCases):
    """Look at every open incident and every alert of it."""

    def of_cell(self, cell: str) -> Case | None:
        return next((case for case in self if cell in case.open_cells), None)

    def having(self, *keys: Key) -> list[Case]:
        return [case for case in self if any(_may_have(case, key) for key in keys)]


class LinearHistory(GpuHistory):
    """Look at every GPU alert."""

    def near(self, host: str, gpu_uuid: str) -> list[Alert]:
        return list(self._alerts)

    def hosts_of(self, gpu_uuid: str) -> set[str]:
        return {alert.host for alert in self._alerts if alert.gpu_uuid == gpu_uuid}


def linear_incidents(grouping: Grouping | None = None) -> Incidents:
    """Return incidents without any index."""
    incidents = Incidents(grouping)
    incidents._cases = LinearCases()
    incidents._gpu_alerts = LinearHistory()
    return incidents


def _may_have(case: Case, key: Key) -> bool:
    """Apply the rules of grouping to one case; places are left to its own conditions."""
    kind, *names = key
    if kind not in ("model", "score", "feature"):
        return True
    asked = _asked(*names)
    same = is_same_feature if kind == "feature" else (lambda one, other: True)
    return has_model(case, asked) and any(same(a, asked) for a in case.incident.alerts)


def _asked(tenant: str, model: str, feature: str = "") -> Alert:
    """Return an alert of a model and a feature."""
    return Alert(
        alert_id="",
        tenant=tenant,
        monitor=Monitor.DRIFT,
        transition=Transition.OPENED,
        severity=Severity.TICKET,
        time_us=0,
        opened_at_us=0,
        sequence=0,
        title="",
        model=model,
        feature=feature,
    )
