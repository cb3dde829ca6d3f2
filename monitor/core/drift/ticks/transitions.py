"""Transitions of the alerts of rule 2: opening, escalation, resolution. Pure."""

from __future__ import annotations

import msgspec

from monitor.core.incidents.alerting import CellState
from schemas.alerts import Severity, Transition

RESOLVING_HOURS = 24.0
"""Hours of ticks with rows and without evidence after which an alert resolves that rule 2 has
not opened itself: of rule 1, or of the last baseline."""


def advance_open(
    before: CellState | None, severity: Severity, onset_us: int, now_us: int, n_windows: int
) -> tuple[CellState, Transition | None]:
    """Return the state of a cell whose alert the rule holds open, and its transition, if any.

    Parameters
    ----------
    before : CellState or None
        The open alert, if there is one; also one that the rule did not open itself.
    severity : Severity
        Of the change as it is now; the severity of an alert never falls.
    onset_us : int
        Most likely beginning of the change.
    now_us : int
        End of the tick.
    n_windows : int
        Windows from the beginning to now.
    """
    if before is None:
        opened = CellState(now_us, onset_us, severity, 0, n_windows=n_windows)
        return opened, Transition.OPENED
    is_worse = severity > before.severity
    after = msgspec.structs.replace(
        before,
        n_quiet=0,
        n_windows=n_windows,
        severity=max(severity, before.severity),
        sequence=before.sequence + is_worse,
    )
    return after, Transition.ESCALATED if is_worse else None


def advance_foreign(
    before: CellState, is_quiet: bool, tick_hours: float
) -> tuple[CellState, Transition | None]:
    """Return the state of an alert that the rule did not open, after a tick with rows."""
    n_quiet = before.n_quiet + 1 if is_quiet else 0
    if n_quiet * tick_hours < RESOLVING_HOURS:
        return msgspec.structs.replace(before, n_quiet=n_quiet), None
    return resolved(before), Transition.RESOLVED


def resolved(before: CellState) -> CellState:
    """Return the last state of an alert."""
    return msgspec.structs.replace(before, sequence=before.sequence + 1)
