"""When a cell's verdicts become an alert, escalate it, and resolve it. Pure.

A cell that fires opens an alert. Firing again while it is open is no news; a
higher severity is. The alert resolves after ``2 m`` windows with rows and
without positive evidence, the span over which the rule asks for persistence.
"""

from __future__ import annotations

import msgspec

from detectors.rule import N_RUNGS
from schemas.alerts import Severity, Transition
from schemas.config import Importance

_RANK = {Severity.RECORD: 0, Severity.TICKET: 1, Severity.PAGE: 2}


class CellState(msgspec.Struct, array_like=True):
    """One open alert of one cell."""

    opened_at_us: int
    first_positive_us: int
    """Start of the first window of the run that led here."""
    severity: Severity
    rung: int
    sequence: int = 0
    n_quiet: int = 0
    """Windows with rows and without positive evidence, in a row."""
    n_windows: int = 0


class Change(msgspec.Struct, frozen=True):
    """What an alert of a cell turned into in this window."""

    transition: Transition
    state: CellState


def severity_of(rung: int, feature: str, importance: Importance) -> Severity:
    """Say who is woken for a cell that fired at ``rung``.

    A page is the top rung on the score or on a feature of high importance;
    everything else is a ticket (performance and fairness page too, once labels
    are there to judge them).

    Examples
    --------
    >>> severity_of(3, "AGEP", Importance.HIGH), severity_of(3, "ANC", Importance.MEDIUM)
    (<Severity.PAGE: 'page'>, <Severity.TICKET: 'ticket'>)
    """
    is_top = rung == N_RUNGS - 1
    if is_top and importance is Importance.HIGH:
        return Severity.PAGE
    return Severity.TICKET


def advance_fired(
    state: CellState | None,
    severity: Severity,
    rung: int,
    start_us: int,
    end_us: int,
    n_windows: int,
) -> tuple[CellState, Transition | None]:
    """Return the state after a window in which the cell fired, and the change if it is news.

    Parameters
    ----------
    state : CellState or None
        The open alert, if there is one.
    start_us : int
        Start of the first window of the run of evidence.
    end_us : int
        End of the window that fired.
    n_windows : int
        Windows from ``start_us`` to ``end_us``.
    """
    if state is None:
        opened = CellState(end_us, start_us, severity, rung, n_windows=n_windows)
        return opened, Transition.OPENED
    is_worse = _RANK[severity] > _RANK[state.severity]
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
    state: CellState, is_positive: bool, n_rows: int, persistence: int
) -> tuple[CellState, Transition | None]:
    """Return the state after a window in which the cell did not fire.

    A window without rows changes nothing: no data is not good news.
    """
    if n_rows == 0:
        return state, None
    n_quiet = 0 if is_positive else state.n_quiet + 1
    after = msgspec.structs.replace(state, n_quiet=n_quiet, n_windows=state.n_windows + 1)
    if n_quiet < 2 * persistence:
        return after, None
    return msgspec.structs.replace(after, sequence=state.sequence + 1), Transition.RESOLVED
