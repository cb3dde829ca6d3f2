"""Content of a report: plain values that any run can fill in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from monitor.report.fairness import FairnessPanel
from schemas.alerts import Cause, Incident
from schemas.batch import Float64Array, Int64Array


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One line of the table: what happened and what was reported."""

    what: str
    when: str
    found_after: str
    evidence: float | None
    """log M of the alert, in nats."""
    threshold: float | None
    """What log M had to reach."""
    effect: str
    where: str
    cause: str
    severity: str
    retraining: str
    is_found: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time worth shading: a known fault."""

    label: str
    start_us: int
    end_us: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """log M of one cell, window by window."""

    label: str
    time_us: Int64Array
    """Shape (n,): ends of the windows, ascending."""
    evidence: Float64Array
    """Shape (n,); NaN where the window had no verdict."""
    cause: Cause | None
    """None: not part of any incident, drawn as background."""


@dataclass(frozen=True, slots=True)
class ReplicaPanel:
    """Scores of one replica against those of the others, in the same stretch of time."""

    label: str
    counts: Int64Array
    """Shape (20,): equally wide score bins on [0, 1]."""
    others: Int64Array
    """Shape (20,): the same of all other replicas."""
    is_faulty: bool


@dataclass(frozen=True, slots=True)
class GpuLane:
    """What one GPU reported."""

    label: str
    time_us: Int64Array
    """Shape (n,): when a double-bit error was counted."""
    xids: Sequence[tuple[int, int]]
    """(time_us, code)."""
    n_samples: int


@dataclass(frozen=True, slots=True)
class ReportContent:
    """Everything on the page."""

    title: str
    headline: str
    """One sentence: what was found."""
    facts: Sequence[tuple[str, str]]
    """(name, value) pairs under the headline."""
    start_us: int
    end_us: int
    findings: Sequence[FindingRow] = ()
    incidents: Sequence[Incident] = ()
    hints: Mapping[str, str] = field(default_factory=dict)
    """Where the change of an incident is concentrated, by its ID."""
    spans: Sequence[Span] = ()
    evidence: Sequence[EvidenceLine] = ()
    threshold: float | None = None
    replicas: Sequence[ReplicaPanel] = ()
    gpus: Sequence[GpuLane] = ()
    fairness: Sequence[FairnessPanel] = ()
    reference: pa.Table | None = None
    """For evidently: reference rows, columns ``features.<name>`` and ``score``."""
    current: pa.Table | None = None
    """For evidently: rows of the windows that drifted."""
    notes: Sequence[str] = field(default_factory=tuple)
