"""Builds drift alerts from verdicts on cells. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.decision import Decision
from detectors.decision_rule.settings import RUNG_NAMES
from monitor.core.drift.cells import bin_labels, label_of
from monitor.core.identity import alert_id
from monitor.core.incidents.alerting import CellState
from monitor.core.incidents.text import set_text
from schemas.alerts import NO_DETAILS, Alert, AlertDetails, Transition
from schemas.baselines import VariableBaseline
from schemas.config.model import Importance
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.panes import ALL, SeriesId, Window

REPLICA_ACTION: Final = (
    "Take the replica out of rotation, compare its answers with another's, check its GPU."
)


@dataclass(frozen=True, slots=True)
class CellView:
    """One cell of one window: name, verdict, and counters."""

    monitor: Monitor
    """``drift`` or ``replica``."""
    variable: VariableBaseline
    segment: str
    importance: Importance
    decision: Decision
    index: int
    """Index of the cell in ``decision``."""
    set_names: Sequence[str]
    reference_counts: NDArray[np.int64]
    current_counts: NDArray[np.int64]

    @property
    def effect_where(self) -> str:
        """Return the set with the largest change; empty without rows."""
        named = int(self.decision.set_index[self.index])
        return label_of(self.set_names[named]) if named >= 0 else ""


@dataclass(frozen=True, slots=True)
class CellGroup:
    """Cells of one window that were judged together: segment by segment, variables in order."""

    monitor: Monitor
    variables: tuple[VariableBaseline, ...]
    importances: tuple[Importance, ...]
    """Of each variable."""
    segments: tuple[str, ...]
    decision: Decision
    set_names: Sequence[str]
    reference_counts: NDArray[np.int64]
    """Shape (n_cells, 64)."""
    current_counts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.segments) * len(self.variables)

    def alert_keys(self) -> list[str]:
        """Return the key of each cell's alert: ``monitor|feature|segment``."""
        names = [variable.name for variable in self.variables]
        return [f"{self.monitor}|{name}|{segment}" for segment in self.segments for name in names]

    def view(self, i: int) -> CellView:
        """Return one cell."""
        segment, v = divmod(i, len(self.variables))
        return CellView(
            self.monitor,
            self.variables[v],
            self.segments[segment],
            self.importances[v],
            self.decision,
            i,
            self.set_names,
            self.reference_counts[i],
            self.current_counts[i],
        )


def finite(value: float) -> float | None:
    """Return the number, or None for NaN, which would make averages in SQL NaN."""
    return float(value) if math.isfinite(value) else None


def build_alert(
    view: CellView,
    series: SeriesId,
    window: Window,
    state: CellState,
    transition: Transition,
    places: tuple[tuple[str, float], ...] = (),
    details: AlertDetails = NO_DETAILS,
) -> Alert:
    """Build an alert with all the numbers of its verdict."""
    decision, i = view.decision, view.index
    name, value = view.segment.split("=", 1) if "=" in view.segment else ("", "")
    cell = (series.tenant, series.model, series.model_version, view.variable.name, view.segment)
    return Alert(
        alert_id=alert_id(view.monitor, cell, (window.start_us, window.end_us), transition.value),
        tenant=series.tenant,
        monitor=view.monitor,
        transition=transition,
        severity=state.severity,
        time_us=window.end_us,
        opened_at_us=state.opened_at_us,
        sequence=state.sequence,
        title=_title(view, series, transition, details),
        model=series.model,
        model_version=series.model_version,
        feature=view.variable.name,
        segment=view.segment,
        importance=view.importance.value,
        host=value if name == "host" else "",
        gpu_uuid=value if name == "gpu_uuid" else "",
        action=_action(view),
        window_start_us=state.first_positive_us,
        window_end_us=window.end_us,
        n_windows=state.n_windows,
        n=int(decision.n[i]),
        n_reference=int(view.reference_counts.sum()),
        evidence=finite(decision.log_m[i]),
        threshold=decision.threshold,
        effect_size=finite(decision.effect[i]),
        effect_where=view.effect_where,
        p_reference=finite(decision.p_reference[i]),
        p_current=finite(decision.p_current[i]),
        minimum_detectable_effect=finite(decision.mde[i]),
        rung=RUNG_NAMES[state.rung],
        profile_id=series.profile_id,
        reference_counts=tuple(view.reference_counts.tolist()),
        current_counts=tuple(view.current_counts.tolist()),
        bin_labels=bin_labels(view.variable),
        contributions=places,
        **details.fields(),
    )


def _title(
    view: CellView,
    series: SeriesId,
    transition: Transition,
    details: AlertDetails,
) -> str:
    """Return the title: what changed, by how much, and where."""
    where = "" if view.segment == ALL else f" for {view.segment}"
    subject = f"{series.model}: {view.variable.name}{where}"
    if transition is Transition.RESOLVED and view.decision.n[view.index] == 0:
        return f"{subject} is gone: it has had no rows for a long time"
    if transition is Transition.RESOLVED:
        return f"{subject} is back within tolerance"
    i = view.index
    baseline = "the other replicas" if view.monitor == Monitor.REPLICA else "baseline"
    changed = set_text(view.variable.name, view.effect_where, details)
    return (
        f"{series.model}: {changed}{where}, {view.decision.p_current[i]:.1%} of rows "
        f"({baseline} {view.decision.p_reference[i]:.1%})"
    )


def _action(view: CellView) -> str:
    """Return the recommended first action."""
    if view.monitor == Monitor.REPLICA:
        return REPLICA_ACTION
    if view.variable.name == SCORE:
        return (
            "Look for a feature or a replica that moved first; if none did, compare model versions."
        )
    return f"Ask the producer of {view.variable.name} what changed upstream when it began."
