"""The monitors of results and alerts."""

from __future__ import annotations

from enum import StrEnum


class Monitor(StrEnum):
    """Monitor that a result or alert belongs to.

    Results have ``drift``, ``replica``, ``quality``, ``fairness`` or ``canary``; alerts have
    ``drift``, ``replica``, ``gpu`` or ``pipeline``.
    """

    DRIFT = "drift"
    """A feature or the score, against the baseline."""
    REPLICA = "replica"
    """The score of one host or GPU, against the other replicas."""
    QUALITY = "quality"
    FAIRNESS = "fairness"
    """Positive rates of protected segments, against each other."""
    CANARY = "canary"
    """A planted shift: number of windows until its detection."""
    GPU = "gpu"
    """Telemetry and XIDs of one GPU or host."""
    PIPELINE = "pipeline"
    """Rejected, late and missing events, missing verdicts, and the monitor itself."""
