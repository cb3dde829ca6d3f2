"""When a model's retraining is asked for, and why not the other times."""

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
"""The receiver's name in notifications and deliveries."""
_REMEMBERED_US = 90 * DAY_US


class RetrainingOutcome(StrEnum):
    """What came of one incident. Every silence has a reason."""

    REQUESTED = "requested"
    NOT_DATA = "not_data"
    """The cause is hardware, the pipeline, or one replica: new data would not help."""
    SEVERITY_NOT_LISTED = "severity_not_listed"
    FEATURE_NOT_LISTED = "feature_not_listed"
    COOLDOWN = "cooldown"
    """Another request went out too recently; asked again when that is over."""
    RESOLVED_IN_TIME = "resolved_in_time"
    """Over before the wait was."""


@dataclass(frozen=True, slots=True)
class RetrainingDecision:
    """One outcome for one incident; ``evidence`` is filled when requested."""

    outcome: RetrainingOutcome
    incident: Incident
    time_us: int
    idempotency_key: str
    evidence: dict[str, Any]


class _OpenCandidate(msgspec.Struct):
    """An incident of the model that is open, or was contaminating its windows."""

    incident: Incident
    decided: str = ""
    """The outcome last decided."""


class Retraining:
    """The policy of one model.

    Parameters
    ----------
    tenant, model : str
        Whose policy.
    config : RetrainingConfig
        Severities, features, the wait for a hardware cause to show, the cooldown.

    Notes
    -----
    Windows in which hardware or the pipeline spoilt the model's rows are named in the
    evidence, to be left out of the training data.

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
        """Hardware and pipeline incidents of the model, open or not."""
        self._requested_us: int | None = None

    def observe(self, change: IncidentChange, now_us: int) -> list[RetrainingDecision]:
        """Take one change of an incident; others' incidents are ignored.

        Parameters
        ----------
        change : IncidentChange
            What became of an incident.
        now_us : int
            The same clock as the incidents' times.

        Returns
        -------
        list of RetrainingDecision
            What could be decided at once.
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
        """Take over from the log that a retraining was asked for.

        Parameters
        ----------
        notification : Notification
            A request of this model, sent or about to be.
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
        """Judge an open incident; the same outcome is returned once."""
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
        """Name the outcome; None while the wait goes on."""
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
        """Return the decisions on an incident that ended before it had an outcome."""
        if candidate.decided:
            return []
        is_data = candidate.incident.cause is Cause.DATA
        outcome = RetrainingOutcome.RESOLVED_IN_TIME if is_data else RetrainingOutcome.NOT_DATA
        return [self._make(outcome, candidate.incident, now_us)]

    def _make(
        self, outcome: RetrainingOutcome, incident: Incident, now_us: int
    ) -> RetrainingDecision:
        """Build the decision, with the evidence where it is asked for."""
        key = stable_id("retraining", self._tenant, self._model, incident.incident_id)
        evidence: dict[str, Any] = {}
        if outcome is RetrainingOutcome.REQUESTED:
            spoilt = list(self._contaminating.values())
            evidence = bundle_evidence(self._tenant, self._model, incident, spoilt, key, now_us)
        return RetrainingDecision(outcome, incident, now_us, key, evidence)


def _leaves_rows_alone(incident: Incident) -> bool:
    """Whether no row of the model is missing or wrong: planted shifts, windows too short."""
    return all(alert.rule in (CANARY_MISSED, NO_VERDICT) for alert in incident.alerts)


def contaminated_windows(
    tenant: str, model: str, incidents: list[Incident], now_us: int
) -> list[dict[str, Any]]:
    """List the spans in which the model's rows should not be learnt from.

    Parameters
    ----------
    tenant, model : str
        Whose rows.
    incidents : list of Incident
        Hardware and pipeline incidents.
    now_us : int
        End of a span that is still open.

    Returns
    -------
    list of dict
        ``start_us``, ``end_us``, ``segments`` (the replicas, where they are known),
        ``cause``, ``incident_id``; ordered by start.

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
    """Gather what a training job needs to know.

    Parameters
    ----------
    tenant, model : str
        Whose model.
    incident : Incident
        Why a retraining is asked for.
    spoilt : list of Incident
        Hardware and pipeline incidents of the model.
    key : str
        Idempotency key: the target ignores a repetition.
    now_us : int
        When it was asked for.

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
    """Turn a requested retraining into the notification its receiver takes.

    Parameters
    ----------
    decision : RetrainingDecision
        Its outcome is ``requested``.

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
    """Keep what an alert measured; the counts stay in the store."""
    values = msgspec.to_builtins(alert)
    return {name: value for name, value in values.items() if name not in _NOT_SENT}
