"""A silent owner raises one alert, which is resolved when it is heard from again."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.pipeline_health.silence_state import SilenceState, read_silence_state
from monitor.core.pipeline_health.source_silence import SourceSilence
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.core.topics import ALERTS, STATE
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import encode, pane_key
from monitor.core.windowing.watermark import Watermarks
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.detect.stage import PanesRules
from monitor.transport.types import Message
from schemas.alerts import Alert
from schemas.errors import DomainError
from schemas.panes import Pane, SeriesId, SeriesStats
from tests.support.worlds.small import CONFIG, SECOND_US, START_US, WINDOW_S, build_small_world

SOURCE = "topic-id"


def words(marks: Watermarks, silence: SourceSilence, now_s: float, *partitions: int) -> None:
    for p in partitions:
        marks.observe(SOURCE, p, 3, round(now_s * 1e6), is_idle=False)
        silence.hear(SOURCE, p, now_s)


def start_of(window: int) -> int:
    return START_US + window * WINDOW_S * SECOND_US


def end_of(window: int) -> int:
    return start_of(window + 1) + CONFIG.window.lateness_us


def pane_of(window: int) -> Pane:
    stats, start_us = SeriesStats.empty(("*",), 0), start_of(window)
    stats.n_rows[:] = 200
    series = SeriesId("default", "small", "1", "")
    return Pane(series, start_us, start_us + CONFIG.window.pane_us, "a", 0, "o", 1, stats)


def alerts_in(found) -> list[tuple[str, str, str]]:
    writes = [w for phase in found for w in phase.writes if w.topic == ALERTS]
    alerts = [msgspec.msgpack.decode(w.value, type=Alert) for w in writes]
    return [(a.rule, a.segment, a.transition.value) for a in alerts]


def test_one_silent_owner_of_several_opens_one_alert_until_it_is_back():
    marks, silence = Watermarks(), SourceSilence("o", 1_000.0)
    seen = []
    for second in range(1_000, 1_200):
        speaking = (0, 1) if 1_020 <= second < 1_150 else (0, 1, 2)
        words(marks, silence, second, *speaking)
        for one in alerts_in(silence.check(marks, second, is_holding=False)):
            seen.append((second, *one))
    assert seen == [
        (1_080, "pipeline_stalled", "topic-id|2", "opened"),
        (1_150, "pipeline_stalled", "topic-id|2", "resolved"),
    ]


def test_an_alert_begins_at_the_newest_event_time_and_the_length_of_the_silence():
    marks, silence = Watermarks(), SourceSilence("o", 1_000.0)
    words(marks, silence, 1_000.0, 0, 1)
    words(marks, silence, 1_090.0, 0)
    [phase] = [p for p in silence.check(marks, 1_090.0, is_holding=True) if "alert" in p.step]
    alerts = [msgspec.msgpack.decode(w.value, type=Alert) for w in phase.writes]
    assert marks.newest_us is not None
    expected = {"topic-id|1": marks.newest_us + 90 * SECOND_US}
    assert {a.segment: a.time_us for a in alerts if a.segment in expected} == expected


def test_one_that_was_never_heard_counts_from_the_start():
    marks, silence = Watermarks(), SourceSilence("o", 0.0)
    words(marks, silence, 1.0, 0, 1)
    assert silence.check(marks, 60.0, is_holding=True) == []
    words(marks, silence, 61.0, 0, 1)
    assert [a[1] for a in alerts_in(silence.check(marks, 61.0, is_holding=True))] == ["topic-id|2"]


@pytest.mark.parametrize(("is_holding", "n_alerts"), [(True, 3), (False, 0)])
def test_all_silent_matters_only_where_windows_wait(is_holding, n_alerts):
    marks, silence = Watermarks(), SourceSilence("o", 0.0)
    words(marks, silence, 1.0, 0, 1, 2)
    assert len(alerts_in(silence.check(marks, 100.0, is_holding=is_holding))) == n_alerts


def test_after_a_restart_the_open_alert_is_sent_again_and_resolved_by_the_next_owner():
    marks, silence = Watermarks(), SourceSilence("o", 0.0)
    words(marks, silence, 70.0, 0, 1)
    found = silence.check(marks, 70.0, is_holding=True)
    assert [phase.step for phase in found] == ["detect:state", "detect:alert"]
    snapshots = SnapshotStore()
    for write in found[0].writes:
        assert write.topic == STATE
        snapshots.add(write.key, write.value)
    again, marks = SourceSilence("p", 0.0), Watermarks()
    assert alerts_in(again.restore(snapshots)) == alerts_in(found)
    words(marks, again, 5.0, 0, 1, 2)
    done = again.check(marks, 5.0, is_holding=True)
    assert [a[2] for a in alerts_in(done)] == ["resolved"]
    assert done[-1].step == "detect:sweep"


def test_silence_holds_windows_and_a_recreated_topic_holds_none():
    now = [0.0]
    rules = PanesRules(build_small_world().catalog, 0, "o", "", lambda: now[0])
    rules.restore(SnapshotStore())
    offset = 0

    def hear(source: str, partition: int, watermark_us: int) -> None:
        nonlocal offset
        word = WatermarkMessage(source, partition, 2, "o", watermark_us)
        list(rules.hear(Message(offset, word.key(), word.encode(), -1)))
        offset += 1

    for p in (0, 1):
        hear("old", p, 100)
    marks = rules.drift.windows.watermarks
    for second in range(70):
        now[0] = second
        for p in (0, 1):
            hear("new", p, 1_000 + second)
        list(rules.tick("new"))
        assert marks.minimum_us == (100 if second <= 60 else 1_000 + second)


def test_of_two_topics_that_are_gone_one_is_forgotten_at_a_time():
    # Groups go side by side: two of one model could lose the alerts of the first.
    now = [0.0]
    rules = PanesRules(Catalog.of([CONFIG], []), 0, "o", "", lambda: now[0])
    rules.restore(SnapshotStore())
    offset = 0

    def hear(key: bytes, value: bytes) -> None:
        nonlocal offset
        list(rules.hear(Message(offset, key, value, -1)))
        offset += 1

    for window in range(6):
        pane = pane_of(window)
        for i, value in enumerate(encode(pane)):
            hear(pane_key(pane, i).encode(), value)
    for source, window in (("a", 0), ("b", 2), ("new", 4)):
        word = WatermarkMessage(source, 0, 1, "o", end_of(window))
        hear(word.key(), word.encode())
    now[0] = 100.0
    word = WatermarkMessage("new", 0, 1, "o", end_of(4))
    hear(word.key(), word.encode())
    decided = []
    for _ in range(3):
        groups = list(rules.tick("new"))
        decided.append([p.step for group in groups for p in group].count("detect:results"))
    assert decided == [1, 1, 0]
    assert rules.drift.windows.closed_until_us("default", "small") == start_of(5)


def test_a_state_whose_key_is_not_that_of_its_source_is_refused():
    key = "k" * 100
    body = msgspec.msgpack.encode(SilenceState({key: (SOURCE, 1, START_US)}, []))
    with pytest.raises(DomainError) as caught:
        read_silence_state(body)
    assert str(caught.value).startswith(f"{key[:80]!r} is not the key of a source")
