"""Notify over the alerts topic: a restart repeats nothing, delays nothing, loses nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

import msgspec

from monitor.core.failpoints import Hit, pass_through
from monitor.core.incidents.grouping import Incidents
from monitor.core.topics import ALERTS, DEAD_LETTERS, NOTIFICATIONS
from monitor.notify.delivery.notifier import Notifier
from monitor.notify.in_memory import NotifyStage, TopicNotificationLog
from monitor.notify.stage import GROUP
from monitor.transport.memory import MemoryLog
from schemas.alerts import Alert, Notification
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig
from schemas.refused import DeadLetter
from tests.support.alerts import drift, gpu
from tests.support.scenario.whole_pipeline import PipelineKilledError, PipelineReaper

S = 1_000_000
MODEL = ModelConfig.model_validate(
    {
        "model": "employment",
        "features": {"AGEP": {"kind": "numeric"}, "SCHL": {"kind": "categorical"}},
    }
)


class StageReceiver:
    def __init__(self) -> None:
        self.taken: list[Notification] = []

    async def send(self, notification: Notification) -> str:
        self.taken.append(notification)
        return "sent"

    def remember(self, notification: Notification, detail: str) -> None:
        pass

    async def close(self) -> None:
        pass


def start(log: MemoryLog, people: StageReceiver) -> NotifyStage:
    """A new life over what an earlier one left."""
    stage = NotifyStage(
        log, Notifier(MonitorConfig(), [MODEL], {"it": people}, TopicNotificationLog(log))
    )
    run(stage.start())
    return stage


def run(life: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(life)


def produce(log: MemoryLog, alert: Alert, came_us: int) -> None:
    value = msgspec.msgpack.encode(alert)
    log.produce(ALERTS, value, key=alert.alert_id.encode(), timestamp_us=came_us)


def test_restarts_do_not_restart_the_group_wait():
    log, people, alert = MemoryLog(), StageReceiver(), drift(3)
    came_us = alert.time_us + 60 * S
    produce(log, alert, came_us)
    for seconds in (1, 11, 21):  # killed every ten seconds, a wait of thirty
        run(start(log, people).step(came_us + seconds * S))
        assert people.taken == []
    run(start(log, people).step(came_us + 31 * S))
    assert [n.reason for n in people.taken] == ["opened"]


def test_a_restart_notes_no_silence_twice():
    log, people = MemoryLog(), StageReceiver()
    for segment in ("*", "sex=1", "sex=2"):
        produce(log, alert := drift(3, segment=segment), alert.time_us)
    run(start(log, people).step(alert.time_us + 40 * S))
    before = log.end_offset(NOTIFICATIONS, 0)
    assert before > 4
    for _ in range(3):
        run(start(log, people).step(alert.time_us + 50 * S))
    assert log.end_offset(NOTIFICATIONS, 0) == before
    assert len(people.taken) == 1


def test_after_a_restart_only_what_was_not_sent_is_sent():
    log, people = MemoryLog(), StageReceiver()
    first, second = gpu(3.1, "double_bit_ecc"), drift(5, "AGEP")
    produce(log, first, first.time_us)
    run(start(log, people).step(first.time_us + 40 * S))
    produce(log, second, second.time_us)
    run(start(log, people).step(second.time_us + 40 * S))
    run(start(log, people).step(second.time_us + 50 * S))
    assert [n.incident.owner_alert_id for n in people.taken] == [first.alert_id, second.alert_id]


def test_what_waits_is_sent_before_an_alert_that_came_after_the_wait():
    log, people = MemoryLog(), StageReceiver()
    first, second = drift(3), drift(4, segment="sex=1")
    produce(log, first, first.time_us)
    produce(log, second, second.time_us)
    # Both are read at once, as after an hour in which notify was down.
    run(start(log, people).step(second.time_us + 10 * S))
    assert [len(n.incident.alerts) for n in people.taken] == [1]
    assert people.taken[0].time_us <= second.time_us


def test_a_message_that_is_no_alert_is_counted_and_dead_lettered_and_stops_nothing():
    log, people, alert = MemoryLog(), StageReceiver(), drift(3)
    log.produce(ALERTS, b"\xc1 no alert", timestamp_us=7)
    log.produce(ALERTS, msgspec.msgpack.encode({"alert_id": "\u00e9"}).replace(b"\xa9", b"\xff"))
    produce(log, alert, alert.time_us)
    stage = start(log, people)
    run(stage.step(alert.time_us + 40 * S))
    assert len(people.taken) == 1
    assert stage.counters["alerts_unreadable"] == 2
    letters = [
        msgspec.msgpack.decode(m.value, type=DeadLetter) for m in log.fetch(DEAD_LETTERS, 0, 0, 9)
    ]
    assert [(d.source, d.offset, d.reason) for d in letters] == [
        (ALERTS, 0, "malformed"),
        (ALERTS, 1, "malformed"),
    ]
    assert (letters[0].payload, letters[0].record_time_us) == (b"\xc1 no alert", 7)


def compact(log: MemoryLog) -> MemoryLog:
    """Return a log whose notifications are what compaction leaves of them: the last per key."""
    left = MemoryLog()
    for topic in (ALERTS, NOTIFICATIONS):
        messages = log.fetch(topic, 0, 0, log.end_offset(topic, 0))
        newest = {m.key if topic == NOTIFICATIONS else m.offset: m for m in messages}
        for m in sorted(newest.values(), key=lambda m: m.offset):
            left.produce(topic, m.value, key=m.key, timestamp_us=m.timestamp_us)
    committed = log.committed(GROUP, ALERTS, 0)
    if committed is not None:
        left.commit(GROUP, ALERTS, 0, committed.offset)
    return left


def live(log: MemoryLog, people: StageReceiver, now_us: int, hit: Hit = pass_through) -> None:
    """One life of the stage, to the end or to where it is killed."""
    notifier = Notifier(
        MonitorConfig(), [MODEL], {"it": people}, TopicNotificationLog(log), hit=hit
    )
    stage = NotifyStage(log, notifier, hit=hit)
    run(stage.start())
    run(stage.step(now_us))


def test_killed_at_any_step_and_compacted_only_what_was_in_flight_repeats():
    alerts = [drift(3), drift(3, segment="sex=1"), gpu(3.1), drift(5, "SCHL")]
    now_us = alerts[-1].time_us + 40 * S
    for n in itertools.count(1):
        log, people, reaper = MemoryLog(), StageReceiver(), PipelineReaper(n)
        for each in alerts:
            produce(log, each, each.time_us)
        try:
            live(log, people, now_us, reaper)
        except PipelineKilledError:
            pass
        else:
            break
        for _ in range(3):
            log = compact(log)
            live(log, people, now_us)
        ids = [note.notification_id for note in people.taken]
        n_repeats = len(ids) - len(set(ids))
        assert n_repeats == (reaper.names[-1] == "notify:sent"), (n, reaper.names[-1])
        assert len(set(ids)) >= 3
    assert n > 10


def test_a_second_look_at_what_was_sent_does_not_replace_its_outcome():
    log, people, alert = MemoryLog(), StageReceiver(), drift(3)
    produce(log, alert, alert.time_us)
    run(start(log, people).step(alert.time_us + 40 * S))
    # The commit was lost with the process: the alert is new to the next one.
    again = MemoryLog()
    for topic in (ALERTS, NOTIFICATIONS):
        for m in log.fetch(topic, 0, 0, log.end_offset(topic, 0)):
            again.produce(topic, m.value, key=m.key, timestamp_us=m.timestamp_us)
    run(start(again, people).step(alert.time_us + 40 * S))
    run(start(compact(again), people).step(alert.time_us + 40 * S))
    assert len(people.taken) == 1


def test_an_alert_that_would_put_the_clock_wrong_is_no_alert():
    log, people, alert = MemoryLog(), StageReceiver(), drift(3)
    for time_us in (-1, 1 << 62, alert.time_us + 90_000 * S):
        produce(log, msgspec.structs.replace(alert, time_us=time_us), alert.time_us)
    produce(log, alert, alert.time_us)
    stage = start(log, people)
    run(stage.step(alert.time_us + 40 * S))
    assert stage.counters["alerts_unreadable"] == 3
    assert [n.time_us for n in people.taken] == [alert.time_us + 40 * S]


def test_an_alert_that_breaks_the_grouping_is_put_aside(monkeypatch):
    log, people, alert = MemoryLog(), StageReceiver(), drift(3)
    odd = msgspec.structs.replace(alert, alert_id="odd")
    produce(log, odd, alert.time_us)
    produce(log, alert, alert.time_us)
    observe = Incidents.observe

    def break_on_odd(self, alert, now_us):
        if alert.alert_id == "odd":
            raise KeyError("an unforeseen case")
        return observe(self, alert, now_us)

    monkeypatch.setattr(Incidents, "observe", break_on_odd)
    stage = start(log, people)
    run(stage.step(alert.time_us + 40 * S))
    assert (stage.counters["alerts_unreadable"], len(people.taken)) == (1, 1)


def test_a_stage_rests_until_the_first_alert_and_then_sends_as_if_it_had_stepped():
    sent: list[list[Notification]] = []
    alert = drift(3)
    for has_rested in (True, False):
        log, people = MemoryLog(), StageReceiver()
        stage = start(log, people)
        for seconds in (-7_200, -10, 40):  # the last one lies after the alert's record
            now_us = alert.time_us + seconds * S
            if has_rested:
                assert stage.rests(now_us)
            else:
                run(stage.step(now_us))
        produce(log, alert, alert.time_us)
        for seconds in (41, 69, 71):
            now_us = alert.time_us + seconds * S
            assert not stage.rests(now_us)
            run(stage.step(now_us))
            sent.append(list(people.taken))
    assert sent[:3] == sent[3:]
    assert [len(taken) for taken in sent[:3]] == [0, 0, 1], "the group waits from the clock on"
