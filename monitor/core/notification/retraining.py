"""Decides when a retraining is requested, with a reason otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from monitor.core.identity import stable_id
from monitor.core.incidents.grouping import IncidentChange
from monitor.core.incidents.text import since_us
from monitor.core.notification.dedupe import dedup_key
from schemas.alerts import (
    CANARY_MISSED,
    NO_VERDICT,
    UNDETECTABLE,
    Alert,
    Cause,
    Incident,
    Notification,
    NotificationKind,
)
from schemas.config.model import RetrainingConfig
from schemas.monitors import Monitor
from schemas.time_units import DAY_US

RECEIVER = "retraining"
"""Name of the receiver in notifications and deliveries."""
_REMEMBERED_US = 90 * DAY_US


class RetrainingOutcome(StrEnum):
    """Outcome of one incident: requested, or the reason why not."""

    REQUESTED = "requested"
    NOT_DATA = "not_data"
    """The cause is hardware, the pipeline, or one replica, which retraining does not fix."""
    SEVERITY_NOT_LISTED = "severity_not_listed"
    FEATURE_NOT_LISTED = "feature_not_listed"
    COOLDOWN = "cooldown"
    """Within the cooldown of an earlier request; decided again when it ends."""
    RESOLVED_IN_TIME = "resolved_in_time"
    """Resolved before the wait ended."""


@dataclass(frozen=True, slots=True)
class RetrainingDecision:
    """Outcome of one incident; ``evidence`` is set if a retraining is requested."""

    outcome: RetrainingOutcome
    incident: Incident
    time_us: int
    idempotency_key: str
    evidence: dict[str, Any]


class _OpenCandidate(msgspec.Struct):
    """An incident of the model that is open, or has contaminated windows."""

    incident: Incident
    decided: str = ""
    """The last outcome."""


class Retraining:
    """Retraining policy of one model.

    Parameters
    ----------
    tenant, model : str
        Tenant and model of the policy.
    config : RetrainingConfig
        Severities, features, wait for a hardware cause, cooldown.

    Notes
    -----
    The evidence lists windows whose rows are contaminated by hardware or the pipeline, to be
    excluded from the training data.

    Examples
    --------
    >>> policy = Retraining("default", "employment", RetrainingConfig())
    >>> policy.tick(0)
    []
    """

    def __init__(self, tenant: str, model: str, config: RetrainingConfig) -> None:
        self._tenant = tenant
        self._model = model
        self._config = config
        self._candidates: dict[str, _OpenCandidate] = {}
        self._contaminating: dict[str, Incident] = {}
        """Hardware and pipeline incidents of the model, open or resolved."""
        self._requested_us: int | None = None

    def observe(self, change: IncidentChange, now_us: int) -> list[RetrainingDecision]:
        """Process one change of an incident; incidents of other models are ignored.

        Parameters
        ----------
        change : IncidentChange
            Change of an incident.
        now_us : int
            Current time, on the clock of the incidents.

        Returns
        -------
        list of RetrainingDecision
            Decisions that need no wait.
        """
        incident = change.incident
        if not any((a.tenant, a.model) == (self._tenant, self._model) for a in incident.alerts):
            return []
        key = incident.incident_id
        if incident.cause in (Cause.HARDWARE, Cause.PIPELINE) and not _leaves_rows_alone(incident):
            self._contaminating[key] = incident
        candidate = self._candidates.setdefault(key, _OpenCandidate(incident))
        candidate.incident = incident
        if incident.resolved_at_us is not None:
            decisions = self._finish(candidate, now_us)
            del self._candidates[key]
            return decisions
        return self._decide(candidate, now_us)

    def tick(self, now_us: int) -> list[RetrainingDecision]:
        """Return the decisions that are due after waits and the cooldown.

        Parameters
        ----------
        now_us : int
            The same clock as in ``observe``.

        Returns
        -------
        list of RetrainingDecision
        """
        self._contaminating = {
            key: incident
            for key, incident in self._contaminating.items()
            if (incident.resolved_at_us or now_us) >= now_us - _REMEMBERED_US
        }
        candidates = list(self._candidates.values())
        return [d for candidate in candidates for d in self._decide(candidate, now_us)]

    def remember(self, notification: Notification) -> None:
        """Restore a retraining request from the log.

        Parameters
        ----------
        notification : Notification
            A request of this model, sent or logged as an intent.
        """
        incident = notification.incident
        key = stable_id("retraining", self._tenant, self._model, incident.incident_id)
        if key != notification.notification_id:
            return
        last_us = self._requested_us
        self._requested_us = max(notification.time_us, last_us or notification.time_us)
        fresh = _OpenCandidate(incident)
        self._candidates.setdefault(
            incident.incident_id, fresh
        ).decided = RetrainingOutcome.REQUESTED

    def _decide(self, candidate: _OpenCandidate, now_us: int) -> list[RetrainingDecision]:
        """Decide on an open incident; an unchanged outcome is not returned again."""
        if candidate.decided == RetrainingOutcome.REQUESTED:
            return []
        outcome = self._judge(candidate.incident, now_us)
        if outcome is None or outcome == candidate.decided:
            return []
        candidate.decided = outcome
        if outcome is RetrainingOutcome.REQUESTED:
            self._requested_us = now_us
        return [self._make(outcome, candidate.incident, now_us)]

    def _judge(self, incident: Incident, now_us: int) -> RetrainingOutcome | None:
        """Return the outcome; None during the wait."""
        if incident.cause is not Cause.DATA:
            return RetrainingOutcome.NOT_DATA
        if now_us < incident.opened_at_us + self._config.wait_us:
            return None
        if incident.severity.value not in self._config.on:
            return RetrainingOutcome.SEVERITY_NOT_LISTED
        features = {alert.feature for alert in incident.alerts}
        if self._config.features and features.isdisjoint(self._config.features):
            return RetrainingOutcome.FEATURE_NOT_LISTED
        last_us = self._requested_us
        if last_us is not None and now_us < last_us + self._config.cooldown_us:
            return RetrainingOutcome.COOLDOWN
        return RetrainingOutcome.REQUESTED

    def _finish(self, candidate: _OpenCandidate, now_us: int) -> list[RetrainingDecision]:
        """Return the decisions on an incident that was resolved without an outcome."""
        if candidate.decided:
            return []
        is_data = candidate.incident.cause is Cause.DATA
        outcome = RetrainingOutcome.RESOLVED_IN_TIME if is_data else RetrainingOutcome.NOT_DATA
        return [self._make(outcome, candidate.incident, now_us)]

    def _make(
        self, outcome: RetrainingOutcome, incident: Incident, now_us: int
    ) -> RetrainingDecision:
        """Build the decision, with evidence if a retraining is requested."""
        key = stable_id("retraining", self._tenant, self._model, incident.incident_id)
        evidence: dict[str, Any] = {}
        if outcome is RetrainingOutcome.REQUESTED:
            spoilt = list(self._contaminating.values())
            evidence = bundle_evidence(self._tenant, self._model, incident, spoilt, key, now_us)
        return RetrainingDecision(outcome, incident, now_us, key, evidence)


def _leaves_rows_alone(incident: Incident) -> bool:
    """Whether the incident affects no rows of the model: planted shifts, short windows, noise."""
    return all(alert.rule in (CANARY_MISSED, NO_VERDICT, UNDETECTABLE) for alert in incident.alerts)


def contaminated_windows(
    tenant: str, model: str, incidents: list[Incident], now_us: int
) -> list[dict[str, Any]]:
    """Return the time spans whose rows must not be used for training.

    Parameters
    ----------
    tenant, model : str
        Tenant and model of the rows.
    incidents : list of Incident
        Hardware and pipeline incidents.
    now_us : int
        End of spans that are still open.

    Returns
    -------
    list of dict
        ``start_us``, ``end_us``, ``segments`` (replicas, if known), ``cause``, ``incident_id``;
        sorted by start.

    Examples
    --------
    >>> contaminated_windows("default", "employment", [], 0)
    []
    """
    spans = []
    for incident in incidents:
        own = [a for a in incident.alerts if (a.tenant, a.model) == (tenant, model)]
        if own:
            replicas = {a.segment for a in own if a.monitor == Monitor.REPLICA}
            spans.append(
                {
                    "start_us": min(since_us(alert) for alert in own),
                    "end_us": incident.resolved_at_us or now_us,
                    "segments": sorted(replicas),
                    "cause": incident.cause.value,
                    "incident_id": incident.incident_id,
                }
            )
    return sorted(spans, key=lambda span: (span["start_us"], span["incident_id"]))


def bundle_evidence(
    tenant: str, model: str, incident: Incident, spoilt: list[Incident], key: str, now_us: int
) -> dict[str, Any]:
    """Build the evidence for a training job.

    Parameters
    ----------
    tenant, model : str
        Tenant and model.
    incident : Incident
        Reason of the request.
    spoilt : list of Incident
        Hardware and pipeline incidents of the model.
    key : str
        Idempotency key, by which the target ignores repeats.
    now_us : int
        Time of the request.

    Returns
    -------
    dict
        JSON types only.
    """
    own = [a for a in incident.alerts if (a.tenant, a.model) == (tenant, model)]
    return {
        "idempotency_key": key,
        "requested_at_us": now_us,
        "tenant": tenant,
        "model": model,
        "model_versions": sorted({alert.model_version for alert in own}),
        "baseline_ids": sorted({alert.profile_id for alert in own if alert.profile_id}),
        "incident": {
            "incident_id": incident.incident_id,
            "title": incident.title,
            "cause": incident.cause.value,
            "severity": incident.severity.value,
            "opened_at_us": incident.opened_at_us,
            "since_us": min(since_us(alert) for alert in own),
        },
        "alerts": [_statistics_of(alert) for alert in own],
        "windows_to_exclude": contaminated_windows(tenant, model, spoilt, now_us),
    }


def request_retraining(decision: RetrainingDecision) -> Notification:
    """Return the notification of a retraining request.

    Parameters
    ----------
    decision : RetrainingDecision
        A decision with outcome ``requested``.

    Returns
    -------
    Notification
        Its id is the idempotency key.
    """
    return Notification(
        notification_id=decision.idempotency_key,
        dedup_key=dedup_key(decision.incident),
        receiver=RECEIVER,
        kind=NotificationKind.RETRAINING,
        incident=decision.incident,
        time_us=decision.time_us,
        reason=decision.outcome.value,
        evidence=json.dumps(decision.evidence, sort_keys=True),
    )


_NOT_SENT = frozenset(
    {"reference_counts", "current_counts", "bin_labels", "opened_at_us", "sequence"}
    | {"host", "gpu_uuid", "rule", "action", "importance", "tenant", "model", "model_version"}
)


def _statistics_of(alert: Alert) -> dict[str, Any]:
    """Return the measurements of an alert, without counters."""
    values = msgspec.to_builtins(alert)
    return {name: value for name, value in values.items() if name not in _NOT_SENT}
