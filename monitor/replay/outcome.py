"""Result of a replay: counts of events and drops, coverage, alerts and incidents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.core.drift.coverage import Coverage, joined
from monitor.core.incidents.slices.text import hint_text
from schemas.alerts import Alert, Incident, onset_fields
from schemas.config.model import ModelConfig
from schemas.slice_hints import SliceHint

ModelName = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """Result of one replay. Counts are of events unless the name says otherwise."""

    n_messages: int
    """Messages of predictions; one may hold many events."""
    n_accepted: int
    n_late: int
    n_refused: int
    """Predictions that were rejected, for any reason."""
    n_repeated_ids: int
    rejected: Mapping[str, int]
    """Rejected predictions, labels and GPU events by reason."""
    rejected_examples: Mapping[str, str]
    """What was wrong with the first one, and its position in its file, by reason."""
    n_labels: int
    n_labels_rejected: int
    n_gpu_events: int
    n_gpu_events_rejected: int
    n_windows: int
    coverages: Mapping[ModelName, Coverage]
    """By tenant and model."""
    configs: Mapping[ModelName, ModelConfig]
    """Of all models, also of those without events."""
    alerts: tuple[Alert, ...]
    """In the order in which they were raised."""
    incidents: tuple[Incident, ...]
    """In their last state."""
    store: str | None
    """Folder or address of the store that holds the results; None where nothing was stored."""
    hints: Mapping[str, SliceHint] = field(default_factory=dict)
    """Where the change of an incident is concentrated, by its ID."""

    @property
    def n_read(self) -> int:
        """Predictions that were read: accepted, late and rejected."""
        return self.n_accepted + self.n_late + self.n_refused

    @property
    def coverage(self) -> Coverage:
        """What was judged, over all models."""
        return joined(self.coverages)

    @property
    def is_unjudged(self) -> bool:
        """Whether events were read, and none of them was in a window with a verdict."""
        return bool(self.n_read) and not self.coverage.n_rows_judged

    def as_document(self) -> dict[str, Any]:
        """Return the outcome for ``--json``; times are microseconds."""
        return {
            "messages": self.n_messages,
            "accepted": self.n_accepted,
            "late": self.n_late,
            "repeated_ids": self.n_repeated_ids,
            "rejected": dict(self.rejected),
            "rejected_examples": dict(self.rejected_examples),
            "labels": self.n_labels,
            "labels_rejected": self.n_labels_rejected,
            "gpu_events": self.n_gpu_events,
            "gpu_events_rejected": self.n_gpu_events_rejected,
            "windows": self.n_windows,
            "coverage": {"events": self.n_read, **self.coverage.as_document()},
            "alerts": len(self.alerts),
            "incidents": [
                _incident(incident, self.hints.get(incident.incident_id))
                for incident in self.incidents
            ],
        }


def _incident(incident: Incident, hint: SliceHint | None) -> dict[str, Any]:
    """Return the facts of one incident."""
    return {
        "incident_id": incident.incident_id,
        "title": incident.title,
        "cause": incident.cause.value,
        "severity": incident.severity.value,
        "opened_at_us": incident.opened_at_us,
        "resolved_at_us": incident.resolved_at_us,
        **onset_fields(incident.onset),
        "features": sorted({a.feature for a in incident.alerts if a.feature}),
        "gpus": sorted({a.gpu_uuid for a in incident.alerts if a.gpu_uuid}),
        "hint": "" if hint is None else hint_text(hint),
        "slices": [] if hint is None else [one._asdict() for one in hint.slices],
    }
