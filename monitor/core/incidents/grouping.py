"""Groups alerts with one cause into incidents, and determines the cause.

Rules of grouping, in this order:

1. a transition of an alert joins the alert's incident;
2. GPU alerts: the same GPU while its incident is open; the same fault (rule, or the
   NVLink family) on another GPU of the host within ``cascade_us``; a silent host and its GPUs;
3. a replica's alert: GPU evidence on that GPU or host, firing or at most ``n_windows`` ago; else
the same model's other alert (by host or GPU) on the same replica; 4. the score: the newest open
incident of its model, as a symptom; an earlier score alert is merged into the incident that
explains it within ``n_windows``; 5. a feature: the open incident of the same model and feature, in
any segment. Before 3 to 5: drift that opens within two hours after or before much less or much
more traffic of the model belongs to the incident of the traffic.
   Of cells that fire in one window the global one owns the incident, because a fault that all
   segments share appears in both; a segment that fired earlier stays the owner.

Different features are different incidents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from monitor.core.gpu.table import TELEMETRY_RULES
from monitor.core.identity import stable_id
from monitor.core.incidents.case import (
    Case,
    cell_of,
    choose_owner,
    copy_incident,
    describe_incident,
    explained_us,
    has_model,
    is_about_data,
    is_score,
    is_together,
    specificity,
    trim_alerts,
)
from monitor.core.incidents.evidence import (
    gpu_evidence,
    is_gpu_cascade,
    is_same_replica,
    replica_of,
    window_us_of,
)
from monitor.core.incidents.gpu_history import GpuHistory
from monitor.core.incidents.open_cases import (
    OpenCases,
    feature_key,
    gpu_keys,
    model_key,
    replica_keys,
    score_key,
)
from schemas.alerts import (
    DEAD_LETTERS,
    REJECTED_EVENTS,
    VOLUME,
    Alert,
    Cause,
    Incident,
    Transition,
)
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.time_units import DAY_US, HOUR_US

_REMEMBERED_US = 7 * DAY_US
_FORGET_EVERY_US = HOUR_US
OWNED_US = 2 * HOUR_US
"""Time between changes of traffic and drift that are one incident."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Bounds within which alerts share an incident."""

    n_windows: int = 2
    """Number of windows before and after a replica's alert in which GPU evidence counts.

    A score alert can be explained within the same number of windows.
    """
    cascade_us: int = 300_000_000
    """Time within which the same fault on a second GPU of the host is grouped."""
    window_us: int = HOUR_US
    """Window length for alerts without windows."""


class ChangeKind(StrEnum):
    """Kind of a change of an incident."""

    OPENED = "opened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


class ChangeReason(StrEnum):
    """Reason of a change of an incident."""

    FIRST_ALERT = "first_alert"
    SAME_ALERT = "same_alert"
    SAME_GPU = "same_gpu"
    SAME_FEATURE = "same_feature"
    SAME_TIME = "same_time"
    """Another feature of the model that changed at the same time."""
    GPU_EVIDENCE = "gpu_evidence"
    SAME_REPLICA = "same_replica"
    SYMPTOM = "symptom"
    """A score alert joined as a symptom of the incident."""
    CAUSE_FOUND = "cause_found"
    """The incident explains an earlier score alert."""
    SAME_PIPELINE_FAULT = "same_pipeline_fault"
    VOLUME = "volume"
    """The traffic of the model changed at the same time."""
    ALL_RESOLVED = "all_resolved"
    MERGED = "merged"
    """Its alerts were merged into the incident that explains them."""


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """One change of an incident. ``incident`` is a copy taken at the change."""

    kind: ChangeKind
    reason: ChangeReason
    incident: Incident
    time_us: int
    is_cause_changed: bool = False
    is_model_added: bool = False
    """Whether a model is newly affected by the incident."""
    merged_into: str = ""
    """ID of the incident that it was merged into."""


class Incidents:
    """Groups alerts into incidents, and returns their changes.

    Parameters
    ----------
    grouping : Grouping, optional
        Bounds of grouping.

    Notes
    -----
    Alerts must be in log order; an alert that is sent twice (same ID) has no effect. The ID of an
    incident is that of its first alert and never changes; ``owner_alert_id`` may change to a more
    specific alert of the same window. Severity and number of alerts never decrease while it is
    open.

    Examples
    --------
    >>> from monitor.core.gpu.rules import GpuRules
    >>> from schemas.config.monitor import GpuConfig
    >>> from schemas.events import GpuEvent
    >>> event = GpuEvent(host="node-2", gpu_uuid="GPU-7", gpu=7, time_us=0, xid=79)
    >>> incidents = Incidents()
    >>> changes = [c for a in GpuRules(GpuConfig()).observe(event) for c in incidents.observe(a, 0)]
    >>> [(c.kind.value, c.incident.cause.value, c.incident.title) for c in changes]
    [('opened', 'hardware', 'GPU 7 on node-2: XID 79')]
    """

    def __init__(self, grouping: Grouping | None = None) -> None:
        self._grouping = grouping or Grouping()
        self._cases = OpenCases()
        self._gpu_alerts = GpuHistory()
        """GPU alerts of the last week, because evidence may resolve before the scores change."""
        self._seen: dict[str, int] = {}
        """Times of alerts, by id."""
        self._forgot_us = 0

    @property
    def open(self) -> list[Incident]:
        """Incidents not resolved, oldest first."""
        return [case.incident for case in self._cases]

    def observe(self, alert: Alert, now_us: int) -> list[IncidentChange]:
        """Process one alert.

        Parameters
        ----------
        alert : Alert
            A transition of a cell or a GPU rule.
        now_us : int
            Time of the change.

        Returns
        -------
        list of IncidentChange
            Empty for a known alert, or one that resolves an unknown alert.
        """
        if alert.alert_id in self._seen:
            return []
        self._seen[alert.alert_id] = alert.time_us
        case = self._cases.of_cell(cell_of(alert))
        if alert.transition is Transition.RESOLVED:
            return [] if case is None else self._resolve(case, alert, now_us)
        if _is_hardware(alert):
            self._gpu_alerts.add(alert)
        found = (case, ChangeReason.SAME_ALERT) if case is not None else self._find(alert)
        if found is None:
            opened = self._open(alert, now_us)
            own = self._cases.of_cell(cell_of(alert))
            return [opened, *self._merge(own, alert, now_us)] if own is not None else [opened]
        merged = self._merge(found[0], alert, now_us)
        return [*merged, self._join(found[0], alert, found[1], now_us)]

    def forget_old(self, now_us: int) -> None:
        """Drop evidence and alert IDs that are older than a week, at most once an hour.

        Parameters
        ----------
        now_us : int
            Alerts older than a week before this time must not be observed later.
        """
        if now_us - self._forgot_us < _FORGET_EVERY_US:
            return
        oldest_us, self._forgot_us = now_us - _REMEMBERED_US, now_us
        self._seen = {key: t for key, t in self._seen.items() if t >= oldest_us}
        self._gpu_alerts.forget_before(oldest_us)

    def _find(self, alert: Alert) -> tuple[Case, ChangeReason] | None:
        """Return the open incident that an alert belongs to, with the reason."""
        if alert.monitor == Monitor.GPU:
            return self._find_for_gpu(alert)
        if alert.monitor == Monitor.PIPELINE:
            return self._find_for_pipeline(alert)
        if (owner := self._find_volume(alert)) is not None:
            return owner
        if alert.monitor == Monitor.REPLICA:
            return self._find_for_replica(alert)
        if alert.feature == SCORE:
            own = _not_pipeline(self._cases.having(model_key(alert)))
            ranked = sorted(own, key=lambda c: (explained_us(c, alert), specificity(c)))
            return _first(ranked[-1:], ChangeReason.SYMPTOM)
        same = _not_pipeline(self._cases.having(feature_key(alert)))
        return (
            _first(same, ChangeReason.SAME_FEATURE)
            or self._find_together(alert)
            or self._find_unexplained(alert)
        )

    def _find_together(self, alert: Alert) -> tuple[Case, ChangeReason] | None:
        """Find the incident of other features of the model that changed at the same time."""
        if alert.onset is None:
            return None
        same = _not_pipeline(self._cases.having(model_key(alert)))
        return _first((c for c in same if is_together(c.incident, alert)), ChangeReason.SAME_TIME)

    def _find_volume(self, alert: Alert) -> tuple[Case, ChangeReason] | None:
        """Return the incident of a change of traffic that began shortly before a drift alert."""
        if not is_about_data(alert):
            return None
        owners = (
            case
            for case in self._cases.having(model_key(alert))
            for other in case.incident.alerts
            if other.rule == VOLUME
            and cell_of(other) in case.open_cells
            and alert.time_us - other.opened_at_us <= OWNED_US
        )
        return _first(owners, ChangeReason.VOLUME)

    def _find_for_pipeline(self, alert: Alert) -> tuple[Case, ChangeReason] | None:
        """Return the incident of the same pipeline fault of the model."""
        same = (
            c
            for c in self._cases.having(model_key(alert))
            if any(
                a.monitor == Monitor.PIPELINE and _is_same_fault(a.rule, alert.rule)
                for a in c.incident.alerts
            )
        )
        return _first(same, ChangeReason.SAME_PIPELINE_FAULT)

    def _find_for_gpu(self, alert: Alert) -> tuple[Case, ChangeReason] | None:
        """Return the incident of the GPU, of its host's fault, or of scores that it explains."""
        cascade_us = self._grouping.cascade_us
        for case in self._cases.having(*gpu_keys(alert.host, alert.gpu_uuid)):
            if is_gpu_cascade(case.incident.alerts, case.last_gpu_us, alert, cascade_us):
                return case, ChangeReason.SAME_GPU
        if not _is_hardware(alert):
            return None
        for case in self._cases.having(*replica_keys(alert.host, alert.gpu_uuid)):
            for other in case.incident.alerts:
                if other.monitor == Monitor.REPLICA and self._evidence(
                    other, [alert], case.open_cells
                ):
                    return case, ChangeReason.GPU_EVIDENCE
        return None

    def _find_for_replica(self, alert: Alert) -> tuple[Case, ChangeReason] | None:
        """Return the incident of the GPU, of the same replica, or of a score that it explains."""
        for case in self._cases.having(*gpu_keys(*replica_of(alert))):
            if self._evidence(alert, case.incident.alerts, case.open_cells):
                return case, ChangeReason.GPU_EVIDENCE
        span_us, hosts_of = self._span_us(alert), self._gpu_alerts.hosts_of
        same = (
            c
            for c in _not_pipeline(self._cases.having(model_key(alert)))
            if any(is_same_replica(a, alert, hosts_of, span_us) for a in c.incident.alerts)
        )
        return _first(same, ChangeReason.SAME_REPLICA) or self._find_unexplained(alert)

    def _evidence(
        self, replica: Alert, gpu_alerts: list[Alert], open_cells: Collection[str]
    ) -> bool:
        """Return whether one of the GPU alerts explains a replica's wrong scores."""
        firing = {a.alert_id for a in gpu_alerts if cell_of(a) in open_cells}
        found = gpu_evidence(replica, gpu_alerts, firing, self._span_us(replica))
        return bool(found)

    def _find_unexplained(self, alert: Alert) -> tuple[Case, ChangeReason] | None:
        """Return an incident of the model's score that the alert explains."""
        return _first(_not_pipeline(self._unexplained(alert)), ChangeReason.CAUSE_FOUND)

    def _unexplained(self, alert: Alert) -> list[Case]:
        """Return incidents of the model's score only, close enough to be a symptom of the alert."""
        span_us = self._span_us(alert)
        return [
            c
            for c in self._cases.having(score_key(alert))
            if all(is_score(a) for a in c.incident.alerts)
            and alert.time_us - c.incident.opened_at_us <= span_us
        ]

    def _merge(self, case: Case, alert: Alert, now_us: int) -> list[IncidentChange]:
        """Merge incidents of the score or of a replica that the alert explains."""
        explained: list[Case] = []
        if alert.monitor == Monitor.REPLICA:
            explained = self._unexplained(alert)
        elif _is_hardware(alert):
            replicas = self._cases.having(*replica_keys(alert.host, alert.gpu_uuid))
            explained = [c for c in replicas if self._explains(alert, c)]
        elif alert.rule == VOLUME and alert.transition is Transition.OPENED:
            explained = self._drift_since(alert, alert.time_us - OWNED_US)
        changes = []
        for other in explained:
            if other is case:
                continue
            self._cases.absorb(case, other)
            other.incident.resolved_at_us = alert.time_us
            changes.append(
                IncidentChange(
                    ChangeKind.RESOLVED,
                    ChangeReason.MERGED,
                    copy_incident(other.incident),
                    now_us,
                    merged_into=case.incident.incident_id,
                )
            )
        return changes

    def _drift_since(self, alert: Alert, first_us: int) -> list[Case]:
        """Return the incidents of the model that hold drift alerts only, and opened lately."""
        return [
            case
            for case in self._cases.having(model_key(alert))
            if case.incident.opened_at_us >= first_us
            and all(is_about_data(other) for other in case.incident.alerts)
        ]

    def _explains(self, alert: Alert, case: Case) -> bool:
        """Return whether a GPU alert explains a replica without evidence so far."""
        if case.incident.cause is not Cause.MODEL:
            return False
        replicas = (a for a in case.incident.alerts if a.monitor == Monitor.REPLICA)
        return any(gpu_evidence(a, [alert], {alert.alert_id}, self._span_us(a)) for a in replicas)

    def _open(self, alert: Alert, now_us: int) -> IncidentChange:
        """Open an incident; a replica's includes resolved GPU evidence."""
        evidence: list[Alert] = []
        if alert.monitor == Monitor.REPLICA:
            candidates = self._gpu_alerts.near(*replica_of(alert))
            evidence = gpu_evidence(alert, candidates, set(), self._span_us(alert))
        incident = Incident(
            incident_id=stable_id("incident", alert.alert_id),
            tenant=alert.tenant,
            cause=Cause.DATA,
            severity=alert.severity,
            opened_at_us=alert.time_us,
            title="",
            owner_alert_id=alert.alert_id,
            alerts=[*evidence, alert],
        )
        case = Case(incident, {cell_of(alert)})
        case.last_gpu_us = alert.time_us if alert.monitor == Monitor.GPU else -1
        self._cases.open(case)
        describe_incident(incident)
        return IncidentChange(
            ChangeKind.OPENED, ChangeReason.FIRST_ALERT, copy_incident(incident), now_us
        )

    def _join(self, case: Case, alert: Alert, reason: ChangeReason, now_us: int) -> IncidentChange:
        """Add an alert to an incident."""
        incident = case.incident
        before = (incident.severity, incident.cause)
        is_model_added = bool(alert.model) and not has_model(case, alert)
        self._cases.add(case, alert)
        if alert.monitor == Monitor.GPU:
            case.last_gpu_us = max(case.last_gpu_us, alert.time_us)
        choose_owner(incident, alert, window_us_of(alert, self._grouping.window_us))
        incident.severity = max(before[0], alert.severity)
        describe_incident(incident)
        self._cases.trim(case)
        is_graver = incident.severity is not before[0]
        kind = ChangeKind.ESCALATED if is_graver else ChangeKind.UPDATED
        is_other_cause = incident.cause is not before[1]
        return IncidentChange(
            kind, reason, copy_incident(incident), now_us, is_other_cause, is_model_added
        )

    def _resolve(self, case: Case, alert: Alert, now_us: int) -> list[IncidentChange]:
        """Resolve one alert; the last one resolves the incident."""
        self._cases.resolve(case, alert)
        if case.open_cells:
            return []
        case.incident.resolved_at_us = alert.time_us
        trim_alerts(case.incident)
        return [
            IncidentChange(
                ChangeKind.RESOLVED, ChangeReason.ALL_RESOLVED, copy_incident(case.incident), now_us
            )
        ]

    def _span_us(self, alert: Alert) -> int:
        """Length of ``n_windows`` windows of the alert's model."""
        return self._grouping.n_windows * window_us_of(alert, self._grouping.window_us)


_REJECTS = frozenset({REJECTED_EVENTS, DEAD_LETTERS})
"""Rules on rejected events: a high share, and more than the dead-letter limit, are one fault."""


def _is_hardware(alert: Alert) -> bool:
    """Whether an alert concerns a GPU or a node, not its telemetry."""
    return alert.monitor == Monitor.GPU and alert.rule not in TELEMETRY_RULES


def _is_same_fault(rule: str, other: str) -> bool:
    """Whether two pipeline rules of one model have the same fault."""
    return rule == other or {rule, other} <= _REJECTS


def _not_pipeline(cases: list[Case]) -> list[Case]:
    """Return the incidents whose cause is not the pipeline."""
    return [case for case in cases if case.incident.cause is not Cause.PIPELINE]


def _first(cases: Iterable[Case], reason: ChangeReason) -> tuple[Case, ChangeReason] | None:
    """Return the first case with its reason, or None."""
    return next(((case, reason) for case in cases), None)
