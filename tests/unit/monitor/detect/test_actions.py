"""Actions of persons on incidents: each has its effect once, wherever detect is killed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from monitor.core.drift.actions import ActionDecoder, encode_action
from monitor.core.drift.partition import KIND
from monitor.core.drift.state import read_model_state
from monitor.core.topics import ACTIONS, ALERTS, DEAD_LETTERS, PANES, STATE
from monitor.detect.in_memory import DriftDetect
from monitor.detect.stage import read_states
from monitor.transport.memory import MemoryLog
from schemas.actions import Action, ActionCell, ActionKind, Label
from schemas.alerts import Alert
from schemas.errors import TransportError
from schemas.refused import DeadLetter
from tests.support.worlds.ticks import Messages, catalog, draw, log_of, panes_of

N_MINUTES, LOST_FROM, ACTS_AT = 300, 120, 150


class KilledError(Exception):
    """Simulates kill -9."""


@pytest.fixture(scope="module")
def messages() -> Messages:
    """A stream whose feature ``c`` is lost after two hours."""
    rng = np.random.default_rng(0)
    return log_of(panes_of(draw(rng, N_MINUTES, 17, missing_from=LOST_FROM)), N_MINUTES)


class DetectRun:
    """Detect over one log, started again whenever it is killed."""

    def __init__(self, messages: Messages, kill_at: int = -1) -> None:
        self.log, self.messages, self.kill_at = MemoryLog(), messages, kill_at
        self.n_read, self.n_hits, self.is_counting, self.n_starts = 0, 0, False, 0
        self.start()

    def start(self) -> None:
        self.n_starts += 1
        self.detect = DriftDetect(self.log, catalog(), has_results=False, hit=self._hit)

    def _hit(self, step: str) -> None:
        if self.is_counting:
            self.n_hits += 1
            if self.n_hits == self.kill_at:
                raise KilledError(step)

    def read(self, n_minutes: int) -> None:
        """Give detect the messages of so many minutes more."""
        stop = self.n_read + 2 * n_minutes
        for key, value in self.messages[self.n_read : stop]:
            self.log.produce(PANES, value, key=key)
        self.n_read = stop
        self.settle()

    def settle(self) -> None:
        while True:
            try:
                while self.detect.step():
                    pass
            except KilledError:
                self.start()
            else:
                return

    def act(self, *values: bytes) -> None:
        for value in values:
            self.log.produce(ACTIONS, value)
        self.settle()

    def alerts(self) -> dict[str, Alert]:
        found: dict[str, Alert] = {}
        for message in self.log.fetch(ALERTS, 0, 0, 10_000):
            alert = msgspec.msgpack.decode(message.value, type=Alert)
            assert found.setdefault(alert.alert_id, alert) == alert
        return found

    def state(self) -> object:
        """The series of the last state, and the actions that it contains."""
        states = read_states(self.log.fetch(STATE, 0, 0, 100_000))
        stored = max(states.stored(KIND, ("default", "ticked")), key=lambda stored: stored.sequence)
        state = read_model_state(stored.body)
        return msgspec.msgpack.encode((state.series, state.acted))


def closing(alert: Alert, label: Label) -> bytes:
    cell = ActionCell(alert.model_version, alert.feature, alert.segment, alert.opened_at_us)
    return encode_action(made(ActionKind.CLOSE, label=label, cells=(cell,)))


def made(kind: ActionKind, **fields) -> Action:
    names = {"action_id": "1", "by": "ann", "time_us": 5, "incident_id": "i"}
    return Action(kind=kind, tenant="default", model="ticked", **(names | fields))


def run(messages: Messages, label: Label, kill_at: int = -1) -> DetectRun:
    one = DetectRun(messages, kill_at)
    one.read(ACTS_AT)
    (opened,) = one.alerts().values()
    one.is_counting = True
    one.act(closing(opened, label))
    one.read(60)
    one.act(encode_action(made(ActionKind.UNDO, action_id="2")))
    one.read(N_MINUTES - ACTS_AT - 60)
    return one


@pytest.mark.parametrize("label", [Label.NORMAL, Label.FAULT])
def test_an_action_has_its_effect_once_wherever_detect_is_killed(messages, label):
    whole = run(messages, label)
    changes = [(a.feature, a.transition.value) for a in whole.alerts().values()]
    assert changes == [("c", "opened"), ("c", "resolved"), ("c", "opened")]
    n_steps = min(whole.n_hits, 12)
    for kill_at in (*range(1, n_steps + 1), whole.n_hits // 2, whole.n_hits - 1):
        broken = run(messages, label, kill_at)
        assert broken.n_starts == 2, kill_at
        assert broken.alerts() == whole.alerts(), kill_at
        assert broken.state() == whole.state(), kill_at


def test_actions_of_other_models_and_before_the_first_pane_change_nothing(messages):
    one, quiet = DetectRun(messages), DetectRun(messages)
    one.act(encode_action(made(ActionKind.UNDO)))
    one.read(30)
    quiet.read(30)
    one.act(encode_action(msgspec.structs.replace(made(ActionKind.UNDO), model="other")))
    one.read(30)
    quiet.read(30)
    assert one.alerts() == quiet.alerts() == {}
    assert one.detect.counters["actions_undo"] == 0


BAD: list[Callable[[dict], object]] = [
    lambda action: b"",
    lambda action: b"{",
    lambda action: {},
    lambda action: action | {"kind": "delete"},
    lambda action: action | {"label": ""},
    lambda action: action | {"kind": "undo"},
    lambda action: action | {"by": ""},
    lambda action: action | {"by": "x" * 10_000},
    lambda action: action | {"time_us": 1 << 62},
    lambda action: action | {"cells": [["1", "c"]]},
]


@pytest.mark.parametrize("spoil", BAD)
def test_an_action_that_cannot_be_read_is_a_dead_letter_and_stops_nothing(messages, spoil):
    fine = msgspec.to_builtins(made(ActionKind.CLOSE, label=Label.FAULT))
    bad = spoil(fine)
    value = bad if isinstance(bad, bytes) else msgspec.json.encode(bad)
    with pytest.raises(TransportError):
        ActionDecoder().decode(value)
    one = DetectRun(messages)
    one.read(20)
    one.act(value, msgspec.json.encode(fine))
    (letter,) = one.log.fetch(DEAD_LETTERS, 0, 0, 10)
    found = msgspec.msgpack.decode(letter.value, type=DeadLetter)
    assert (found.source, found.offset, found.payload) == (ACTIONS, 0, value)
    assert one.detect.counters["actions_close"] == 1
