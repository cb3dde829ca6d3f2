"""The monitors: what each result and each alert is about."""

from __future__ import annotations

from enum import StrEnum


class Monitor(StrEnum):
    """Which part of Driftline measured something.

    Results are of ``drift``, ``replica``, ``quality``, ``fairness`` and ``canary``; alerts of
    ``drift``, ``replica``, ``gpu`` and ``pipeline``.
    """

    DRIFT = "drift"
    """A feature or the score, against the baseline."""
    REPLICA = "replica"
    """The score of one host or GPU, against the other replicas."""
    QUALITY = "quality"
    FAIRNESS = "fairness"
    """Positive rates of protected segments, against each other."""
    CANARY = "canary"
    """A planted shift: how many windows until it was found."""
    GPU = "gpu"
    """Telemetry and XIDs of one GPU or host."""
    PIPELINE = "pipeline"
    """Rejected, late and missing events or verdicts, and the monitor itself."""
