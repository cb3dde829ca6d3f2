"""What a window showed, and why there is a verdict or none."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from schemas.monitors import Monitor
from schemas.panes import ClosedBy


class Verdict(StrEnum):
    """What the rule says of one cell in one window."""

    NORMAL = "normal"
    DRIFT = "drift"
    NONE = "none"
    """No verdict; ``reason`` says why."""


class Reason(StrEnum):
    """Why this verdict. Every verdict and every silence has one."""

    WITHIN_TOLERANCE = "within_tolerance"
    ACCUMULATING = "accumulating"
    """Evidence above the start, below the threshold."""
    NOT_PERSISTENT = "not_persistent"
    """Over the threshold, but positive in fewer than m of the last 2m windows."""
    EVIDENCE = "evidence"
    """The threshold was reached: drift."""
    STILL_FIRING = "still_firing"
    TOO_FEW_SAMPLES = "too_few_samples"
    NO_BASELINE = "no_baseline"
    NO_DATA = "no_data"
    LATE = "late"
    """The window closed before all of its data came; see ``revised``."""
    PROFILE_CHANGED = "profile_changed"
    SEGMENT_UNKNOWN = "segment_unknown"
    """The segment is not in the baseline."""
    DESCRIPTIVE = "descriptive"
    """A statistic kept for people; the decision rule does not judge it."""
    NO_LABELS = "no_labels"
    PIPELINE = "pipeline"
    """A pipeline alert of the model is open: its rows are not all of its events."""
    TOO_MANY_VERSIONS = "too_many_versions"
    """More versions of one model at once than are judged; those with the most rows are."""


class DetectorResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One number about one cell in one window, with all that is needed to believe it."""

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
    """Length."""
    start_us: int
    end_us: int
    statistic: float | None
    p_value: float | None = None
    evidence: float | None = None
    """log M of the decision rule."""
    effect_size: float | None = None
    """``decision``: max over sets of p(A) - p_ref(A), signed like the set that moved most."""
    effect_where: str = ""
    """The set that moved most, for people: ``> 94``, ``ANC=4``, ``missing``."""
    threshold: float | None = None
    n: int
    n_reference: int = 0
    minimum_detectable_effect: float | None = None
    eps: float | None = None
    phi: float | None = None
    rung: str = msgspec.field(default="", name="severity")
    """Highest rung reached: ``eps``, ``.04``, ``.08``, ``.125``; empty while quiet. Messages
    keep its old name, ``severity``, so that processes of both versions read them."""
    verdict: Verdict
    reason: Reason
    closed_by: ClosedBy
    revised: bool = False
    result_version: int = 0
