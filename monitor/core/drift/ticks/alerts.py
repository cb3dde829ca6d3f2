"""Builds the alert of a cell that rule 2 monitors: severity, texts, fields. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.scale_state import IS_SHARE, PQ, P
from detectors.multiscale.evidence import size_of_change
from detectors.multiscale.plan import ScalePlan
from detectors.multiscale.polynomials import NAMES
from monitor.core.drift.alerts import REPLICA_ACTION, finite
from monitor.core.drift.cells import bin_labels
from monitor.core.drift.ticks.cells import ScaleCell
from monitor.core.identity import alert_id
from monitor.core.incidents.alerting import CellState
from monitor.core.incidents.onset_text import onset_text
from monitor.core.incidents.text import set_text, share_text
from schemas.alerts import NO_DETAILS, Alert, AlertDetails, Severity, Transition
from schemas.config.model import Importance
from schemas.monitors import Monitor
from schemas.names import SCORE
from schemas.panes import ALL, SeriesId

TICKET_SIZE: Final = 0.2
PAGE_SIZE: Final = 0.5
"""Cohen's h of a share, or standard deviations: from here on a feature of high importance pages."""
GROSS_GROWTH: Final = 0.5
"""Growth of a share of missing, unseen, out-of-range or constant values that may page for a
feature of default importance."""

_DIRECTIONS: Final = {
    "location": ("higher", "lower"),
    "spread": ("more spread out", "less spread out"),
    "skewness": ("skewed upwards", "skewed downwards"),
    "tails": ("heavier in the tails", "lighter in the tails"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Change of one component of a cell."""

    component: int
    name: str
    is_share: bool
    p: float
    """The reference's share; 0 of a mean."""
    change: float
    size: float
    is_gross: bool
    """A share of missing, unseen, out-of-range or constant values, grown by half of the rows."""
    evidence: float = 0.0
    threshold: float = 0.0

    @property
    def p_current(self) -> float | None:
        """Current share according to the average; None for a mean."""
        return min(max(self.p + self.change, 0.0), 1.0) if self.is_share else None


def finding(
    plan: ScalePlan,
    names: tuple[str, ...],
    is_special: NDArray[np.bool_],
    component: int,
    change: float,
    evidence: float = 0.0,
    threshold: float = 0.0,
) -> Finding:
    """Describe the change of a component.

    Parameters
    ----------
    names : tuple of str
        Of all components.
    is_special : ndarray of bool, shape (I,)
        Components of missing, unseen and out-of-range values.
    change : float
        Of the share or mean.
    """
    p, unit = float(plan.constants[component, P]), float(plan.constants[component, PQ])
    is_share = bool(plan.codes[component, IS_SHARE])
    size = size_of_change(np.array([change]), np.array([is_share]), np.array([p]), np.array([unit]))
    return Finding(
        component=component,
        name=names[component],
        is_share=is_share,
        p=p if is_share else 0.0,
        change=change,
        size=float(size[0]),
        is_gross=is_share and change >= GROSS_GROWTH and (bool(is_special[component]) or p < 0.1),
        evidence=evidence,
        threshold=threshold,
    )


def severity_of_change(found: Finding, importance: Importance) -> Severity:
    """Return the severity of a change, from its size and the importance of the feature.

    Notes
    -----
    Evidence decides only whether there is a change. Sizes: Cohen, Statistical power
    analysis, 1988: .2 is small, .5 medium.
    """
    if importance is not Importance.LOW and found.is_gross:
        return Severity.PAGE
    if importance is Importance.HIGH and found.size >= PAGE_SIZE:
        return Severity.PAGE
    return Severity.TICKET if found.size >= TICKET_SIZE else Severity.RECORD


def change_text(
    feature: str, found: Finding, details: AlertDetails = NO_DETAILS, reference: str = "baseline"
) -> str:
    """Format a change and its size, compared with a reference of this name.

    Examples
    --------
    >>> change_text("price", Finding(0, "location", False, 0.0, -0.314, 0.314, False))
    'price lower by 0.31 sd'
    >>> change_text("price", Finding(0, "missing", True, 0.01, 0.04, 0.2, False))
    'price missing, 5 % of rows (baseline 1 %)'
    """
    if found.is_share:
        now, before = share_text(found.p_current or 0.0), share_text(found.p)
        what = set_text(feature, found.name, details)
        return f"{what}, {now} of rows ({reference} {before})"
    words = _DIRECTIONS[found.name][int(found.change < 0)] if found.name in NAMES else found.name
    unit = " sd" if found.name == NAMES[0] else ""
    return f"{feature} {words} by {abs(found.change):.2g}{unit}"


@dataclass(frozen=True, slots=True)
class CellNews:
    """Facts of a change of one cell's alert."""

    series: SeriesId
    cell: ScaleCell
    importance: Importance
    state: CellState
    onset_us: tuple[int, int, int]
    """Most likely, first and last likely beginning."""
    found: Finding | None
    """None without rows."""
    tick_us: tuple[int, int]
    """The tick, or window, that changed the alert."""
    n_windows: int
    n_reference: int
    reference_counts: NDArray[np.int64]
    current_counts: NDArray[np.int64]
    is_gone: bool = False
    """The version has had no rows for a long time."""
    details: AlertDetails = NO_DETAILS
    """Of the cell in the tick, or window."""
    monitor: Monitor = Monitor.DRIFT
    """``replica`` for a cell that is compared with the other replicas."""
    closed_as: str = ""
    """What a person closed it as, and who; empty otherwise."""


def build_scale_alert(news: CellNews, transition: Transition) -> Alert:
    """Return the alert on a change, with the numbers that it depends on."""
    series, cell, found = news.series, news.cell, news.found
    start_us, end_us = news.tick_us
    name = (series.tenant, series.model, series.model_version, cell.variable.name, cell.segment)
    onset_us, low_us, high_us = news.onset_us
    replica, _, value = cell.segment.partition("=" if news.monitor == Monitor.REPLICA else "\0")
    return Alert(
        alert_id=alert_id(news.monitor, name, (start_us, end_us), transition.value),
        tenant=series.tenant,
        monitor=news.monitor,
        transition=transition,
        severity=news.state.severity,
        time_us=end_us,
        opened_at_us=news.state.opened_at_us,
        sequence=news.state.sequence,
        title=_title(news, transition),
        model=series.model,
        model_version=series.model_version,
        feature=cell.variable.name,
        segment=cell.segment,
        importance=news.importance.value,
        host=value if replica == "host" else "",
        gpu_uuid=value if replica == "gpu_uuid" else "",
        action=_action(news),
        window_start_us=onset_us,
        window_end_us=end_us,
        n_windows=news.n_windows,
        n=int(news.current_counts.sum()),
        n_reference=news.n_reference,
        evidence=finite(found.evidence) if found else None,
        threshold=finite(found.threshold) if found else None,
        effect_size=finite(found.change) if found else None,
        effect_where=found.name if found else "",
        p_reference=found.p if found and found.is_share else None,
        p_current=found.p_current if found else None,
        profile_id=series.profile_id,
        reference_counts=tuple(news.reference_counts.tolist()),
        current_counts=tuple(news.current_counts.tolist()),
        bin_labels=bin_labels(cell.variable),
        onset_us=onset_us,
        onset_low_us=low_us,
        onset_high_us=high_us,
        **news.details.fields(),
    )


def _title(news: CellNews, transition: Transition) -> str:
    """Return the title: what changed, by how much, where, since when."""
    feature = news.cell.variable.name
    where = "" if news.cell.segment == ALL else f" for {news.cell.segment}"
    subject = f"{news.series.model}: {feature}{where}"
    if news.is_gone:
        return f"{subject} is gone: it has had no rows for a long time"
    is_replica = news.monitor == Monitor.REPLICA
    if news.closed_as:
        return f"{subject} was closed as {news.closed_as}"
    if transition is Transition.RESOLVED:
        return f"{subject} is back at its {'usual distance' if is_replica else 'baseline'}"
    since = onset_text(*news.onset_us, news.tick_us[1])
    if news.found is None:
        return f"{subject} changed, {since}"
    text = change_text(feature, news.found, news.details, "others" if is_replica else "baseline")
    against = ", compared with the other replicas" if is_replica else ""
    return f"{news.series.model}: {text}{where}{against}, {since}"


def _action(news: CellNews) -> str:
    """Return the recommended action."""
    cell = news.cell
    if news.monitor == Monitor.REPLICA:
        return REPLICA_ACTION
    if cell.variable.name == SCORE:
        return (
            "Look for a feature or a replica that moved first; if none did, compare model versions."
        )
    return f"Ask the producer of {cell.variable.name} what changed upstream when it began."
