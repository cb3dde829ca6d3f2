"""Lifecycle of a cell's alert: opening, escalation and resolution. Pure.

A cell that fires opens an alert. While it is open, only a higher severity is a change. The alert
resolves after ``2 m`` windows with rows and without positive evidence, the span over which the rule
requires persistence; also when the replica or the model version no longer exists.

If a cell opens again soon after its resolution, the required quiet time doubles: a constant drift
just above the tolerance (.1 sd at 1,000 rows) opened and resolved about thirty times a month, each
with a message.
"""

from __future__ import annotations

import msgspec

from detectors.decision_rule.settings import N_RUNGS
from schemas.alerts import Severity, Transition
from schemas.config.model import Importance


class CellState(msgspec.Struct, array_like=True):
    """One open alert of one cell."""

    opened_at_us: int
    first_positive_us: int
    """Start of the first window of the evidence."""
    severity: Severity
    rung: int
    sequence: int = 0
    n_quiet: int = 0
    """Consecutive windows with rows and without positive evidence."""
    n_windows: int = 0
    n_hold: int = 0
    """Number of quiet windows after which it resolves."""


class Closed(msgspec.Struct, array_like=True):
    """A recently resolved alert of one cell."""

    resolved_at_us: int
    n_hold: int


MAX_HOLD = 168
"""Maximum required quiet windows: the hours of a week."""
REMEMBERED_HOLDS = 6
"""A cell that opens again within this multiple of its hold has the same cause."""


def severity_of(rung: int, feature: str, importance: Importance) -> Severity:
    """Return the severity of a cell that fired at ``rung``.

    The top rung on the score or on a feature of high importance is a page; everything else is a
    ticket.

    Examples
    --------
    >>> severity_of(3, "AGEP", Importance.HIGH), severity_of(3, "ANC", Importance.MEDIUM)
    (<Severity.PAGE: 'page'>, <Severity.TICKET: 'ticket'>)
    """
    is_top = rung == N_RUNGS - 1
    if is_top and importance is Importance.HIGH:
        return Severity.PAGE
    return Severity.TICKET


def choose_hold(closed: Closed | None, now_us: int, window_us: int, persistence: int) -> int:
    """Return the number of quiet windows after which a newly opened alert resolves.

    Parameters
    ----------
    closed : Closed or None
        The cell's last alert, if it is known.
    now_us, window_us : int
        End of the window that fired, and its length.
    persistence : int
        m.

    Examples
    --------
    >>> choose_hold(None, 100, 1, 2), choose_hold(Closed(90, 4), 100, 1, 2)
    (4, 8)
    """
    if closed is None or is_past(closed, now_us, window_us):
        return 2 * persistence
    return min(2 * closed.n_hold, MAX_HOLD)


def is_past(closed: Closed, now_us: int, window_us: int) -> bool:
    """Return whether a resolved alert no longer affects the next one."""
    return now_us - closed.resolved_at_us > REMEMBERED_HOLDS * closed.n_hold * window_us


def advance_fired(
    state: CellState | None,
    severity: Severity,
    rung: int,
    start_us: int,
    end_us: int,
    n_windows: int,
    n_hold: int,
) -> tuple[CellState, Transition | None]:
    """Return the state after a window in which the cell fired, and the transition, if any.

    Parameters
    ----------
    state : CellState or None
        The open alert, if any.
    start_us : int
        Start of the first window of the evidence.
    end_us : int
        End of the window that fired.
    n_windows : int
        Number of windows from ``start_us`` to ``end_us``.
    n_hold : int
        Number of quiet windows after which a newly opened alert resolves.
    """
    if state is None:
        opened = CellState(end_us, start_us, severity, rung, n_windows=n_windows, n_hold=n_hold)
        return opened, Transition.OPENED
    is_worse = severity > state.severity
    after = msgspec.structs.replace(
        state,
        n_quiet=0,
        n_windows=state.n_windows + 1,
        severity=severity if is_worse else state.severity,
        rung=max(rung, state.rung),
        sequence=state.sequence + 1 if is_worse else state.sequence,
    )
    return after, Transition.ESCALATED if is_worse else None


def advance_quiet(
    state: CellState, is_positive: bool, n_rows: int
) -> tuple[CellState, Transition | None]:
    """Return the state after a window in which the cell did not fire.

    A window without rows has no effect: missing data does not count as quiet.
    """
    if n_rows == 0:
        return state, None
    n_quiet = 0 if is_positive else state.n_quiet + 1
    after = msgspec.structs.replace(state, n_quiet=n_quiet, n_windows=state.n_windows + 1)
    if n_quiet < state.n_hold:
        return after, None
    return msgspec.structs.replace(after, sequence=state.sequence + 1), Transition.RESOLVED


def advance_gone(state: CellState) -> tuple[CellState, Transition]:
    """Return the last state of a cell that no longer exists, and the resolution of its alert.

    It could not resolve otherwise: a replica that was taken out of rotation, as its alert
    recommends, or a retired version has no more windows with rows.
    """
    return msgspec.structs.replace(state, sequence=state.sequence + 1), Transition.RESOLVED
