"""Incidents that a person closes: as normal, as a fault, and taken back."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from detectors.kernels.scale_state import IS_OPEN
from monitor.core.drift.decide import SeriesState
from monitor.core.drift.state_checks import check_evidence
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.drift.ticks.marks import learned_bytes
from schemas.actions import Action, ActionCell, ActionKind, Label
from schemas.alerts import Alert
from schemas.errors import DomainError
from schemas.panes import SeriesStats, Window
from schemas.time_units import HOUR_US
from tests.support.worlds.ticks import CONFIG, START_US, TICK_US, baseline, draw, series, stats_of


def window(start_us: int, stats: SeriesStats) -> Window:
    end_us = start_us + TICK_US
    return Window(series(), start_us, end_us, stats, SeriesStats.empty((), 1), 1, "watermark")


class Stream:
    """Feeds a decider tick by tick."""

    def __init__(self) -> None:
        self.decider, self.rng = new(), np.random.default_rng(0)
        self.hour = 0

    def run(self, n_hours: int, **law) -> list[Alert]:
        found = []
        for _ in range(n_hours):
            rows = draw(self.rng, 60, 17, **law)
            for i in range(HOUR_US // TICK_US):
                start_us = START_US + self.hour * HOUR_US + i * TICK_US
                found += self.decider.take_tick(
                    window(start_us, stats_of(rows.bins[rows.minute // 5 == i]))
                )
            self.hour += 1
        return found

    def restart(self) -> None:
        """Go on from the stored state."""
        stored = msgspec.msgpack.encode(self.decider.export())
        self.decider = new(msgspec.msgpack.decode(stored, type=SeriesState))
        check_evidence(self.decider)

    def learned(self) -> bytes:
        return learned_bytes(self.decider.cells.plan, self.decider.averages, 0)


def new(state: SeriesState | None = None) -> ScaleDecider:
    return ScaleDecider(series(), CONFIG, baseline(), state)


def changes(alerts: list[Alert]) -> list[tuple[str, str]]:
    return [(alert.feature, alert.transition.value) for alert in alerts]


def close(alert: Alert, label: Label, **fields) -> Action:
    cell = ActionCell(alert.model_version, alert.feature, alert.segment, alert.opened_at_us)
    return action(ActionKind.CLOSE, label=label, cells=(cell,), **fields)


def action(kind: ActionKind, **fields) -> Action:
    names = {"action_id": "1", "by": "ann", "time_us": 5, "incident_id": "i"}
    return Action(kind=kind, tenant="default", model="ticked", **(names | fields))


UNDO = action(ActionKind.UNDO, action_id="2")


@pytest.fixture
def shifted() -> tuple[Stream, Alert]:
    """A stream whose feature ``a`` has moved, and its alert."""
    stream = Stream()
    stream.run(24)
    (opened,) = stream.run(3, shift=0.8)
    return stream, opened


def test_an_incident_closed_as_normal_resolves_and_its_cell_learns_again(shifted):
    stream, opened = shifted
    before = stream.learned()
    (resolved,) = stream.decider.take_action(close(opened, Label.NORMAL))
    assert changes([resolved]) == [("a", "resolved")]
    assert resolved.title == "ticked: a was closed as normal by ann"
    assert resolved.opened_at_us == opened.opened_at_us
    assert resolved.sequence == opened.sequence + 1
    assert stream.learned() == before
    assert stream.run(30, shift=0.8) == []
    assert stream.decider.averages.cells[0, IS_OPEN] != 0
    assert stream.learned() != before


def test_one_more_excursion_of_the_same_kind_is_not_reported_and_a_larger_one_is(shifted):
    stream, opened = shifted
    stream.decider.take_action(close(opened, Label.NORMAL))
    assert stream.run(6) == []
    assert stream.run(40) == []
    assert stream.run(3, shift=0.8) == []
    assert stream.run(40) == []
    assert changes(stream.run(3, missing_from=0))[0] == ("c", "opened")


def test_an_incident_that_has_resolved_can_be_closed_as_normal_later(shifted):
    stream, opened = shifted
    assert changes(stream.run(48)) == [("a", "resolved")]
    assert stream.decider.take_action(close(opened, Label.NORMAL)) == []
    assert stream.run(3, shift=0.8) == []
    assert stream.run(48) == []
    stream.decider.take_action(UNDO)
    assert changes(stream.run(3, shift=0.8)) == [("a", "opened")]


def test_an_undone_close_forgets_what_was_learned_and_reports_the_change_again(shifted):
    stream, opened = shifted
    before = stream.learned()
    stream.decider.take_action(close(opened, Label.NORMAL))
    stream.run(10, shift=0.8)
    assert stream.decider.take_action(UNDO) == []
    assert stream.learned() == before
    assert changes(stream.run(1, shift=0.8)) == [("a", "opened")]
    assert stream.decider.marks.marks == []
    assert stream.decider.watch.kinds == ()


def test_an_incident_closed_as_a_fault_leaves_no_trace_and_is_not_reported_twice(shifted):
    stream, opened = shifted
    before = stream.learned()
    (resolved,) = stream.decider.take_action(close(opened, Label.FAULT))
    assert resolved.title == "ticked: a was closed as fault by ann"
    assert stream.run(10, shift=0.8) == []
    assert stream.learned() == before
    assert stream.decider.watch.kinds == ()
    assert stream.run(48) == []
    assert stream.decider.marks.faults == {}
    assert changes(stream.run(3, shift=0.8)) == [("a", "opened")]


def test_an_undone_fault_is_reported_again(shifted):
    stream, opened = shifted
    stream.decider.take_action(close(opened, Label.FAULT))
    stream.run(2, shift=0.8)
    stream.decider.take_action(UNDO)
    assert changes(stream.run(1, shift=0.8)) == [("a", "opened")]


def test_the_last_word_on_an_incident_holds(shifted):
    stream, opened = shifted
    before = stream.learned()
    stream.decider.take_action(close(opened, Label.NORMAL))
    stream.run(5, shift=0.8)
    stream.decider.take_action(close(opened, Label.FAULT, action_id="3"))
    (mark,) = stream.decider.marks.marks
    assert (mark.label, mark.action_id) == (Label.FAULT, "3")
    assert stream.learned() == before
    assert stream.decider.watch.kinds == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Label.FAULT, Label.NORMAL),
        (Label.NORMAL, Label.FAULT),
        (Label.NORMAL, Label.NORMAL),
        (Label.FAULT, Label.FAULT),
    ],
)
def test_a_second_word_does_not_report_what_is_closed_again(shifted, first, second):
    stream, opened = shifted
    stream.decider.take_action(close(opened, first))
    assert stream.run(3, shift=0.8) == []
    assert stream.decider.take_action(close(opened, second, action_id="3")) == []
    assert stream.run(60, shift=0.8) == []


def test_a_word_on_another_incident_does_not_hide_one_that_is_reported(shifted):
    stream, opened = shifted
    stream.decider.take_action(close(opened, Label.NORMAL))
    assert stream.run(48) == []
    larger = stream.run(3, missing_from=0)
    assert changes(larger)[0] == ("c", "opened")
    episode = stream.decider.watch.episode
    stream.decider.take_action(action(ActionKind.UNDO, incident_id="another"))
    other = close(opened, Label.FAULT, incident_id="another", action_id="4")
    stream.decider.take_action(msgspec.structs.replace(other, cells=()))
    assert stream.decider.watch.episode is episode
    assert len(stream.decider.marks.marks) == 1


@pytest.mark.parametrize("label", [Label.NORMAL, Label.FAULT])
def test_restarts_around_an_action_change_nothing(label):
    streams, found = [Stream(), Stream()], []
    for stream in streams:
        alerts: list[list[Alert]] = []
        for step in ("before", 3, "close", 4, "undo", 2):
            if step == "close":
                alerts.append(stream.decider.take_action(close(alerts[1][0], label)))
            elif step == "undo":
                alerts.append(stream.decider.take_action(UNDO))
            else:
                alerts.append(stream.run(24) if step == "before" else stream.run(step, shift=0.8))
            if stream is streams[1]:
                stream.restart()
        found.append(alerts)
    assert found[0] == found[1]
    exported = [msgspec.msgpack.encode(stream.decider.export()) for stream in streams]
    assert exported[0] == exported[1]


def test_an_action_on_another_alert_changes_nothing_but_is_kept(shifted):
    stream, opened = shifted
    other = msgspec.structs.replace(opened, opened_at_us=opened.opened_at_us - 1)
    assert stream.decider.take_action(close(other, Label.NORMAL)) == []
    assert stream.decider.open_alerts
    assert stream.decider.watch.kinds == ()
    assert stream.decider.take_action(UNDO) == []


def test_a_state_with_the_marks_of_another_baseline_is_refused(shifted):
    stream, opened = shifted
    stream.decider.take_action(close(opened, Label.NORMAL))
    state = stream.decider.export()
    state.scale.marks.marks[0].before[0] = b"1234"
    with pytest.raises(DomainError):
        new(state)


@pytest.mark.parametrize("level", [b"1234", b"12345", np.full(400, np.nan, "<f4").tobytes()])
def test_a_state_with_the_level_of_another_cell_is_refused(shifted, level):
    stream, opened = shifted
    stream.decider.take_action(close(opened, Label.FAULT))
    state = stream.decider.export()
    assert state.scale.marks.faults
    state.scale.marks.faults = dict.fromkeys(state.scale.marks.faults, level)
    with pytest.raises(DomainError):
        new(state)
