"""The ingest stage: what is recorded of events that are refused."""

import hashlib
import json

import msgspec
import pyarrow as pa

from monitor.core.catalog import Catalog
from monitor.core.topics import DEAD_LETTERS, LATE, PREDICTIONS
from monitor.decode.arrow import stream_of
from monitor.ingest.ingest import Assignment, Ingest
from monitor.transport.memory import MemoryLog
from schemas.refused import DeadLetter, LateEvent
from tests.support.small_world import CONFIG, SECOND_US, START_US

FAR_US = START_US + 10**12


def ingested(values: list[tuple[bytes, int]], chunk_messages: int = 100) -> MemoryLog:
    log = MemoryLog()
    for value, time_us in values:
        log.produce(PREDICTIONS, value, timestamp_us=time_us)
    catalog = Catalog.of([CONFIG], [])
    ingest = Ingest(log, catalog, CONFIG.window, Assignment(PREDICTIONS, 0, 1, "o"))
    while len(chunk := log.fetch_chunk(PREDICTIONS, 0, ingest.position, chunk_messages)):
        ingest.take(chunk)
    return log


def letters_of(log: MemoryLog) -> list[DeadLetter]:
    messages = log.fetch(DEAD_LETTERS, 0, 0, 10**6)
    return [msgspec.msgpack.decode(m.value, type=DeadLetter) for m in messages]


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
    assert [x.row for x in letters] == list(range(n))
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
