"""The ingest stage: what is recorded of events that are refused."""

import hashlib
import json

import msgspec
import pyarrow as pa

from monitor.core.pipeline_health.dead_letter_limit import DeadLetterLimit
from monitor.core.topics import ALERTS, DEAD_LETTERS, LATE, PANES, PREDICTIONS
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.watermark import Commit
from monitor.core.windowing.watermark_message import parse
from monitor.decode.arrow.record_batches import stream_of
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import GROUP, Assignment
from monitor.transport.memory import MemoryLog
from schemas.alerts import Alert
from schemas.refused import DeadLetter, LateEvent
from tests.support.log_chunks import fetch_chunk
from tests.support.worlds.small import CONFIG, SECOND_US, START_US

FAR_US = START_US + 10**12


def ingested(values: list[tuple[bytes, int]], chunk_messages: int = 100) -> MemoryLog:
    log = MemoryLog()
    for value, time_us in values:
        log.produce(PREDICTIONS, value, timestamp_us=time_us)
    catalog = Catalog.of([CONFIG], [])
    ingest = InMemoryIngest(log, catalog, CONFIG.window, Assignment(PREDICTIONS, 0, 1, "o"))
    while len(chunk := fetch_chunk(log, PREDICTIONS, 0, ingest.position, chunk_messages)):
        ingest.take(chunk)
    return log


def letters_of(log: MemoryLog) -> list[DeadLetter]:
    messages = log.fetch(DEAD_LETTERS, 0, 0, 10**6)
    return [msgspec.msgpack.decode(m.value, type=DeadLetter) for m in messages]


def test_an_event_in_seconds_is_refused_in_words_and_never_in_1970():
    events = [
        json.dumps({"model": "small", "time_us": START_US // per, "score": 1}).encode()
        for per in (10**6, 10**3, 1)
    ]
    letters = letters_of(ingested([(event, START_US) for event in events]))
    assert [(x.reason, x.payload) for x in letters] == [("mistyped", e) for e in events[:2]]
    assert "is it in seconds?" in letters[0].detail
    assert "is it in milliseconds?" in letters[1].detail


def test_a_future_row_of_an_array_is_kept_alone():
    rows = [
        json.dumps({"model": "small", "time_us": t, "score": i})
        for i, t in enumerate((START_US, FAR_US, START_US, FAR_US))
    ]
    letters = letters_of(ingested([(f" [{rows[0]} , {','.join(rows[1:])}]".encode(), START_US)]))
    assert [(x.row, x.reason, x.payload.decode()) for x in letters] == [
        (1, "future", rows[1]),
        (3, "future", rows[3]),
    ]
    assert letters[0].sha256 == hashlib.sha256(rows[1].encode()).hexdigest()


def test_a_future_row_of_arrow_is_kept_alone_so_that_letters_do_not_grow_with_its_square():
    n = 3_000
    table = pa.record_batch(
        {"model": ["small"] * n, "time_us": [FAR_US] * n, "score": [i / n for i in range(n)]}
    )
    letters = letters_of(ingested([(stream_of(table), START_US)]))
    assert [x.row for x in letters] == list(range(101))
    assert "2,900 more events" in letters[-1].detail
    assert sum(x.n_bytes for x in letters) < 2_000 * n
    with pa.ipc.open_stream(letters[7].payload) as reader:
        assert reader.read_all().to_pylist() == table.slice(7, 1).to_pylist()


def test_a_late_event_is_noted_with_the_watermark_as_of_itself():
    def event(second: int) -> tuple[bytes, int]:
        time_us = START_US + second * SECOND_US
        return json.dumps({"model": "small", "time_us": time_us}).encode(), time_us + SECOND_US

    values = [event(100), event(10), event(200), event(20), event(500)]
    found = []
    for chunk_messages in (1, 2, 100):
        messages = ingested(values, chunk_messages).fetch(LATE, 0, 0, 10**6)
        late = [msgspec.msgpack.decode(m.value, type=LateEvent) for m in messages]
        found.append([(x.offset, (x.watermark_us - START_US) // SECOND_US) for x in late])
    assert found == [[(1, 98), (3, 198)]] * 3


def broken(n: int, time_us: int = START_US) -> list[tuple[bytes, int]]:
    return [(b'{"model":"small","time_us":"?"}', time_us)] * n


def test_beyond_the_cap_refused_events_are_counted_and_one_alert_is_written():
    log, catalog = MemoryLog(), Catalog.of([CONFIG], [])
    minute = 60 * SECOND_US
    start = START_US // minute * minute
    for value, time_us in [
        *broken(5, start),
        *broken(1, start + minute),
        *broken(1, start + 9 * minute),
    ]:
        log.produce(PREDICTIONS, value, timestamp_us=time_us)
    cap = DeadLetterLimit(PREDICTIONS, 0, catalog.configs, limit=2)
    ingest = InMemoryIngest(
        log, catalog, CONFIG.window, Assignment(PREDICTIONS, 0, 1, "o"), cap=cap
    )
    while len(chunk := fetch_chunk(log, PREDICTIONS, 0, ingest.position, 2)):
        ingest.take(chunk)
    assert [x.offset for x in letters_of(log)] == [0, 1, 5, 6]
    assert ingest.counters["capped|default|small"] == 3
    alerts = [msgspec.msgpack.decode(m.value, type=Alert) for m in log.fetch(ALERTS, 0, 0, 99)]
    assert [a.transition.value for a in alerts] == ["opened", "resolved"]


def test_what_was_recorded_before_a_restart_is_not_recorded_again():
    log, catalog = MemoryLog(), Catalog.of([CONFIG], [])
    good = json.dumps({"model": "small", "time_us": START_US}).encode()
    for value, time_us in [(good, START_US), *broken(3), (good, START_US), *broken(2)]:
        log.produce(PREDICTIONS, value, timestamp_us=time_us)
    assignment = Assignment(PREDICTIONS, 0, 1, "o")
    for n in (2, 2, 100):  # each worker reads again from the first event of the open pane
        ingest = InMemoryIngest(log, catalog, CONFIG.window, assignment)
        assert ingest.position == 0
        for _ in range(2):
            chunk = fetch_chunk(log, PREDICTIONS, 0, ingest.position, n)
            if len(chunk):
                ingest.take(chunk)
    assert [x.offset for x in letters_of(log)] == [1, 2, 3, 5, 6]


def test_a_commit_for_a_recreated_topic_is_no_start():
    log, catalog = MemoryLog(), Catalog.of([CONFIG], [])
    log.commit(GROUP, "new", 0, 7, Commit(7, START_US, START_US, 9, "old").metadata())
    ingest = InMemoryIngest(log, catalog, CONFIG.window, Assignment("new", 0, 1, "o"))
    assert (ingest.is_fresh, ingest.position) == (True, 0)
    log.commit(GROUP, "new", 0, 7, Commit(7, START_US, START_US, 9, "new").metadata())
    ingest = InMemoryIngest(log, catalog, CONFIG.window, Assignment("new", 0, 1, "o"))
    assert (ingest.is_fresh, ingest.position, ingest.watermark_us) == (False, 7, START_US)


def test_a_log_that_was_cut_before_the_commit_is_gone_on_with_where_it_ends():
    log, catalog = MemoryLog(), Catalog.of([CONFIG], [])
    commit = Commit(70, START_US, START_US, 90, PREDICTIONS)
    log.commit(GROUP, PREDICTIONS, 0, 70, commit.metadata())
    ingest = InMemoryIngest(log, catalog, CONFIG.window, Assignment(PREDICTIONS, 0, 1, "o"))
    ingest.lose(3)
    ingest.publish()
    (word,) = log.fetch(PANES, 0, 0, 10)
    assert parse(word.value).watermark_us == START_US
    assert log.committed(GROUP, PREDICTIONS, 0).offset == 70
    for i in range(5):
        event = {"model": "small", "time_us": START_US + (1 + i // 4 * 1_000) * SECOND_US}
        log.produce(PREDICTIONS, json.dumps(event).encode(), timestamp_us=event["time_us"])
    ingest.take(fetch_chunk(log, PREDICTIONS, 0, 3, 10))
    (gap,) = ingest.gaps
    assert gap.next_offset == 3
    assert gap.before_us > START_US
    assert not ingest.is_catching_up
    assert Commit.parse(4, log.committed(GROUP, PREDICTIONS, 0).metadata).position == 5
