"""Results of windows: numbers, verdicts and reasons."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType

from schemas.monitors import Monitor
from schemas.panes import ClosedBy


class Verdict(StrEnum):
    """Verdict of the rule on one cell in one window."""

    NORMAL = "normal"
    DRIFT = "drift"
    NONE = "none"
    """No verdict; see ``reason``."""


class Reason(StrEnum):
    """Reason of a verdict or a missing verdict."""

    WITHIN_TOLERANCE = "within_tolerance"
    ACCUMULATING = "accumulating"
    """Evidence above the start, below the threshold."""
    NOT_PERSISTENT = "not_persistent"
    """Above the threshold, but positive in fewer than m of the last 2m windows."""
    EVIDENCE = "evidence"
    """The threshold was reached: drift."""
    STILL_FIRING = "still_firing"
    TOO_FEW_SAMPLES = "too_few_samples"
    """Rule 1: fewer rows than ``min_rows``. Rule 2: fewer than 50, and too few ticks before."""
    NO_BASELINE = "no_baseline"
    NO_DATA = "no_data"
    LATE = "late"
    """The window closed before all of its data arrived; see ``revised``."""
    PROFILE_CHANGED = "profile_changed"
    SEGMENT_UNKNOWN = "segment_unknown"
    """The segment is not in the baseline."""
    DESCRIPTIVE = "descriptive"
    """A descriptive statistic, without verdict."""
    NO_LABELS = "no_labels"
    PIPELINE = "pipeline"
    """A pipeline alert of the model is open, so its rows are incomplete."""
    TOO_MANY_VERSIONS = "too_many_versions"
    """Too many concurrent versions of one model; only those with the most rows are evaluated."""


class DetectorResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One number on one cell in one window, with the numbers that it depends on."""

    tenant: str
    monitor: Monitor
    """``drift``, ``replica``, ``quality``, ``fairness`` or ``canary``."""
    model: str
    model_version: str
    profile_id: str
    feature: str
    """A feature's name or ``score``."""
    segment: str
    metric: str
    """``decision`` for the rule; ``psi``, ``ks``, ``wasserstein`` ... for a statistic."""
    window_us: int
    """Length of the window."""
    start_us: int
    end_us: int
    statistic: float | None
    p_value: float | None = None
    evidence: float | None = None
    """log M of the decision rule."""
    effect_size: float | None = None
    """For ``decision``: max over sets of p(A) - p_ref(A), with the sign of the most changed set."""
    effect_where: str = ""
    """The most changed set, for display: ``> 94``, ``ANC=4``, ``missing``."""
    threshold: float | None = None
    n: int
    n_reference: int = 0
    minimum_detectable_effect: float | None = None
    eps: float | None = None
    phi: float | None = None
    rung: str = msgspec.field(default="", name="severity")
    """Highest rung reached: ``eps``, ``.04``, ``.08``, ``.125``; empty if none.

    Named ``severity`` in messages, for compatibility between versions.
    """
    verdict: Verdict
    reason: Reason
    closed_by: ClosedBy
    revised: bool = False
    result_version: int = 0
    rule: int | UnsetType = UNSET
    """Number of the decision rule. Unset, as all fields that follow, under rule 1."""
    scale_s: float | UnsetType = UNSET
    """Time constant of the average with the strongest evidence, seconds."""
    component: str | UnsetType = UNSET
    """Component with the strongest evidence: ``location``, ``missing``, ``price=low``."""
    natural_sd: float | UnsetType = UNSET
    """Standard deviation of averages of that length, in units of the component."""
    context: str | UnsetType = UNSET
    """The hours of the baseline that it was compared with."""
    onset_us: int | UnsetType = UNSET
    """Of an open alert: most likely, first and last likely beginning of the change."""
    onset_low_us: int | UnsetType = UNSET
    onset_high_us: int | UnsetType = UNSET
