"""Counts of rejected and late events by model and time."""

from __future__ import annotations

import msgspec


class IntakePane(msgspec.Struct, frozen=True, kw_only=True):
    """Rejected and late events of one model, source partition and [start_us, end_us).

    Cumulative and versioned like a pane: of several with the same (tenant, model, start_us, source,
    partition) the one with the highest ``pane_version`` is current. A rejected event counts at its
    own event time; a late one, and one without a readable time, at the newest event time that its
    partition had reached when it was read.
    """

    tenant: str
    model: str
    start_us: int
    end_us: int
    source: str
    partition: int
    owner: str
    """Changes with each assignment of the source partition."""
    pane_version: int
    """F, the position of the source partition at the flush."""
    n_late: int = 0
    rejected: dict[str, int] = {}
    """By ``RejectReason``."""


class Intake(msgspec.Struct, frozen=True):
    """Rejected and late events of one model and window, over all partitions.

    Examples
    --------
    >>> Intake(n_late=2, rejected={"mistyped": 5, "future": 1}).n_rejected
    6
    """

    n_late: int = 0
    rejected: dict[str, int] = {}

    @property
    def n_rejected(self) -> int:
        """Rejected events, all reasons."""
        return sum(self.rejected.values())

    @property
    def main_reason(self) -> str:
        """Return the most frequent reason; empty without rejected events."""
        return max(sorted(self.rejected), key=lambda r: self.rejected[r], default="")

    @staticmethod
    def total(panes: list[IntakePane]) -> Intake:
        """Return the sum of the panes of one model."""
        rejected: dict[str, int] = {}
        for pane in panes:
            for reason, n in pane.rejected.items():
                rejected[reason] = rejected.get(reason, 0) + n
        return Intake(sum(pane.n_late for pane in panes), dict(sorted(rejected.items())))
