"""The alert of a canary, stretch by stretch, and what it says."""

from __future__ import annotations

import pytest

from monitor.baseline.build import build_baseline
from monitor.core.drift.canary import CanaryOutcome, Sighting
from monitor.core.drift.canary_alerts import (
    MAX_FOUNDS,
    advance,
    build_canary_alert,
    choose_founds,
    is_forgotten,
)
from monitor.core.drift.decide import SeriesDecider
from monitor.core.incidents.alerting import REMEMBERED_HOLDS, CellState, Closed
from schemas.alerts import Severity, Transition
from schemas.config.model import ModelConfig
from schemas.panes import SeriesId, SeriesStats, Window
from schemas.time_units import HOUR_US
from tests.support.worlds.seasonal import CONFIG, table

NONE = SeriesStats.empty(("*",), 1)
SERIES = SeriesId("default", "m", "1", "p")
WINDOW = Window(SERIES, 9 * HOUR_US, 10 * HOUR_US, NONE, NONE, 1, "watermark")
FOUND, MISSED, SKIPPED = CanaryOutcome.FOUND, CanaryOutcome.MISSED, CanaryOutcome.SKIPPED


def after(outcomes: list[CanaryOutcome], n_hold: int = 2):
    """The state and the changes after stretches of three windows."""
    state, changes = None, []
    for outcome in outcomes:
        state, change = advance(Sighting(outcome, 3), state, WINDOW, n_hold)
        changes.append(change)
    return state, changes


def test_a_missed_shift_opens_a_ticket_from_its_first_window_on():
    state, changes = after([MISSED])
    assert changes == [Transition.OPENED]
    assert state == CellState(10 * HOUR_US, 7 * HOUR_US, Severity.TICKET, 0, n_windows=3, n_hold=2)


def test_a_skipped_stretch_changes_nothing():
    assert after([SKIPPED, FOUND]) == (None, [None, None])
    opened, _ = after([MISSED])
    assert after([MISSED, SKIPPED, SKIPPED])[0] == opened


def test_shifts_found_one_after_the_other_resolve():
    opened, resolved = Transition.OPENED, Transition.RESOLVED
    assert after([MISSED, FOUND, SKIPPED, FOUND]) == (None, [opened, None, None, resolved])
    state, changes = after([MISSED, FOUND, MISSED, FOUND])
    assert changes == [opened, None, None, None]
    assert state.n_quiet == 1


def test_each_alert_needs_twice_as_many_founds_as_the_last():
    assert choose_founds(None) == 2
    assert [choose_founds(Closed(0, n)) for n in (2, 3, MAX_FOUNDS)] == [4, 6, MAX_FOUNDS]


def test_an_alert_is_forgotten_after_as_many_cycles_as_it_needed_founds():
    remembered_us = REMEMBERED_HOLDS * 2 * HOUR_US
    assert not is_forgotten(Closed(5, 2), 5 + remembered_us, HOUR_US)
    assert is_forgotten(Closed(5, 2), 6 + remembered_us, HOUR_US)


@pytest.mark.parametrize(("n", "windows"), [(1, "1 window"), (2, "2 windows"), (0, "0 windows")])
def test_a_title_counts_its_windows(n, windows):
    settings = {"feature": "y", "every": "30h", "within": 8}
    config = ModelConfig.model_validate({**CONFIG.model_dump(), "canary": settings})
    canary = SeriesDecider(SERIES, config, build_baseline(table(48), CONFIG)).canary.canary
    for outcome, transition, end in (
        (FOUND, Transition.RESOLVED, f"are found again, in {windows}"),
        (MISSED, Transition.OPENED, f"into a shadow of y for {windows}"),
    ):
        state, _ = after([MISSED])
        alert = build_canary_alert(canary, Sighting(outcome, n), SERIES, WINDOW, state, transition)
        assert alert.title.endswith(end)
        assert alert.sequence == (transition is Transition.RESOLVED)
        assert (alert.n, alert.evidence, alert.effect_size) == (0, None, None)
    assert alert.action.startswith("Windows did not come")
