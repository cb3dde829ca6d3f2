"""The life of one cell's alert."""

from __future__ import annotations

import pytest

from monitor.core.incidents.alerting import (
    MAX_HOLD,
    CellState,
    Closed,
    advance_fired,
    advance_quiet,
    choose_hold,
    severity_of,
)
from schemas.alerts import Severity, Transition
from schemas.config.model import Importance


def opened(severity=Severity.TICKET, rung=0) -> CellState:
    state, transition = advance_fired(None, severity, rung, 0, 20, 2, 4)
    assert transition is Transition.OPENED
    return state


@pytest.mark.parametrize(
    ("rung", "importance", "expected"),
    [
        (3, Importance.HIGH, Severity.PAGE),
        (2, Importance.HIGH, Severity.TICKET),
        (3, Importance.MEDIUM, Severity.TICKET),
        (3, Importance.LOW, Severity.TICKET),
        (0, Importance.HIGH, Severity.TICKET),
    ],
)
def test_only_the_top_rung_on_something_important_pages(rung, importance, expected):
    assert severity_of(rung, "x", importance) is expected


def test_firing_again_is_no_news():
    state, transition = advance_fired(opened(), Severity.TICKET, 0, 20, 40, 2, 4)
    assert transition is None
    assert (state.sequence, state.n_windows, state.opened_at_us) == (0, 3, 20)


def test_a_higher_severity_escalates_once():
    state, transition = advance_fired(opened(), Severity.PAGE, 3, 20, 40, 2, 4)
    assert (transition, state.severity, state.sequence) == (Transition.ESCALATED, Severity.PAGE, 1)
    state, transition = advance_fired(state, Severity.TICKET, 0, 40, 60, 2, 4)
    assert (transition, state.severity, state.rung) == (None, Severity.PAGE, 3)


def test_it_resolves_after_twice_m_quiet_windows_in_a_row():
    state, changes = opened(), []
    for is_positive in [False, False, False, True, False, False, False, False]:
        state, transition = advance_quiet(state, is_positive, 100)
        changes.append(transition)
    assert changes == [None] * 7 + [Transition.RESOLVED]


def test_windows_without_rows_do_not_resolve():
    state = opened()
    for _ in range(20):
        state, transition = advance_quiet(state, False, 0)
        assert transition is None
    assert state.n_quiet == 0


def test_a_cell_that_opens_again_and_again_has_to_be_quiet_for_longer_each_time():
    hold, holds, now = 4, [], 0
    for _ in range(9):
        now += 10
        hold = choose_hold(Closed(now - 5, hold), now, 1, persistence=2)
        holds.append(hold)
    assert holds == [8, 16, 32, 64, 128, 168, 168, 168, 168]
    assert MAX_HOLD == 168


def test_trouble_of_long_ago_is_new_trouble():
    assert choose_hold(Closed(0, 8), 6 * 8, 1, persistence=2) == 16
    assert choose_hold(Closed(0, 8), 6 * 8 + 1, 1, persistence=2) == 4
