"""The archive over a log and the real engine: killed at every step, counts stay exact."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.archive.in_memory import GROUP, LogArchive, PaneReader
from monitor.archive.raw import RawTopics
from monitor.archive.writes import Archive
from monitor.core.drift.actions import encode_action
from monitor.core.state.detectable_messages import encode_detectable
from monitor.core.state.result_messages import encode_table
from monitor.core.topics import (
    ACTIONS,
    ALERTS,
    DEAD_LETTERS,
    GPU,
    LABELS,
    LATE,
    NOTIFICATIONS,
    PANES,
    PREDICTIONS,
    RESULTS,
)
from monitor.core.windowing import codec as pane_codec
from monitor.core.windowing.stored.spans import Spans
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.storage.clickhouse import Store
from monitor.storage.pane_columns import pane_rows
from monitor.storage.queries import row_counts
from monitor.transport.memory import MemoryLog
from schemas.alerts import (
    Cause,
    Delivery,
    Incident,
    Notification,
    NotificationKind,
    Severity,
)
from schemas.batch import ModelSchema
from schemas.errors import StorageError
from schemas.events import GpuEvent, LabelEvent, Reject, RejectReason
from schemas.panes import SeriesStats
from schemas.refused import LateEvent, dead_letter
from tests.support.result_tables import random_columns, table_of
from tests.support.store.stored import (
    SCHEMA,
    action_of,
    alert_of,
    batch_of,
    detectable_of,
    pane_of,
    result_of,
)

pytestmark = pytest.mark.integration

encode = msgspec.msgpack.encode


class Killed(BaseException):
    """Not an Exception: nothing may catch it on the way out."""


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as store:
        store.migrate()
        yield store


class MortalStore:
    """The real store, dying before or after its n-th insert."""

    def __init__(self, store: Store, die: Callable[[], None]) -> None:
        self._store, self._die = store, die

    def insert(self, table, rows, token=None):
        self._die()
        n = self._store.insert(table, rows, token)
        self._die()
        return n


class MortalLog:
    """The real log, dying before or after its n-th commit."""

    def __init__(self, log: MemoryLog, die: Callable[[], None]) -> None:
        self._log, self._die = log, die

    def __getattr__(self, name):
        return getattr(self._log, name)

    def commit(self, *args):
        self._die()
        self._log.commit(*args)
        self._die()


def die_at(step: int) -> Callable[[], None]:
    left = [step]

    def die() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    return die


class EveryByteIsAnEvent:
    """A decoder for these tests' one-letter messages: the message is the event's id."""

    def decode(self, chunk):
        ids = [chr(byte) for byte in chunk.buffer]
        halves = [ids[0::2], ids[1::2]]
        other = ModelSchema("acme", "other", SCHEMA.numeric, SCHEMA.categorical, SCHEMA.segments)
        batches = [
            batch_of(half, schema=schema)
            for half, schema in zip(halves, (SCHEMA, other), strict=True)
            if half
        ]
        return type("Decoded", (), {"batches": batches})


def labels_of(chunk):
    events = [
        (i, 0, LabelEvent(id=f"l{byte}", model="loans", time_us=int(byte), label=1.0))
        for i, byte in enumerate(chunk.buffer.tolist())
    ]
    return events, []


def gpu_of(chunk):
    events = [
        (i, 0, GpuEvent(host="h1", gpu_uuid="GPU-1", time_us=5, xid=79, xid_sequence=int(byte)))
        for i, byte in enumerate(chunk.buffer.tolist())
    ]
    return events, []


def pane_chunks(start: int, version: int, owner: str = "o1") -> list[tuple[bytes, bytes]]:
    """Key and value of each of a real pane's two chunks; its counters do not compress."""
    pane = pane_of(start_us=start * 10_000_000, version=version)
    pane.owner = owner
    noise = np.random.default_rng(version)
    pane.segments.counts[:] = noise.integers(0, 2**62, pane.segments.counts.shape)
    values = pane_codec.encode(pane, max_bytes=8192)
    assert len(values) == 2
    return [(pane_codec.pane_key(pane, i).encode(), value) for i, value in enumerate(values)]


def fill(log: MemoryLog, n: int = 12) -> None:
    for i in range(n):
        log.produce(PREDICTIONS, bytes([65 + i]))
        log.produce(LABELS, bytes([65 + i]))
        log.produce(GPU, bytes([65 + i]))
        log.produce(RESULTS, encode(result_of((i + 1) * 3_600_000_000)), partition=i % 2)
        log.produce(ALERTS, encode(alert_of(i)))
        step = Delivery(notification_id=f"n{i}", receiver="console", state="done", time_us=i)
        log.produce(NOTIFICATIONS, encode(step))
        refused = Reject(
            message=0, row=0, reason=RejectReason.MALFORMED, detail="no", payload=b"\xff{"
        )
        log.produce(DEAD_LETTERS, encode(dead_letter(refused, source="t", partition=0, offset=i)))
        late = LateEvent(
            source="t",
            partition=0,
            offset=i,
            row=0,
            tenant="acme",
            model="loans",
            time_us=1,
            watermark_us=2,
        )
        log.produce(LATE, encode([late]))
        log.produce(RESULTS, encode_detectable([detectable_of(i)])[0], partition=i % 2)
        log.produce(ACTIONS, encode_action(action_of(i)))
        for key, value in pane_chunks(start=i, version=i + 1):
            log.produce(PANES, value, key=key)
        log.produce(PANES, b"1", key=b"wm|t|0|o1")


EXPECTED = {
    "audit": 0,
    "actions": 12,
    "slice_hints": 0,
    "detectable": 12,
    "predictions": 12,
    "labels": 12,
    "gpu": 12,
    "panes": 12 * 9,
    "results": 12,
    "alerts": 12,
    "notifications": 12,
    "dead_letters": 12,
    "late": 12,
}


def archive_over(store, log, max_messages: int = 5) -> LogArchive:
    return LogArchive(
        Archive(store),
        log,
        topic_id=lambda topic: f"id-of-{topic}",
        raw=RawTopics(EveryByteIsAnEvent(), labels_of, gpu_of),
        panes=PaneReader({("acme", "loans"): SCHEMA.variables}),
        max_messages=max_messages,
    )


def stored_exactly(store: Store) -> dict[str, int]:
    """Rows as inserted: without FINAL, so that a doubled insert shows."""
    store_counts = {}
    for table in EXPECTED:
        store_counts[table] = store.query(f"SELECT count() AS n FROM {table}")["n"][0].as_py()
    return store_counts


def stop_merges(store: Store) -> None:
    """Keep ReplacingMergeTree from hiding a doubled insert."""
    for table in EXPECTED:
        store.command(f"SYSTEM STOP MERGES {table}")


def test_every_topic_reaches_its_table(store):
    log = MemoryLog()
    fill(log)
    archive = archive_over(store, log)
    assert archive.drain() == 12 * 10 + 36
    assert row_counts(store) == EXPECTED
    assert archive.n_missing == 0
    assert archive.drain() == 0


KILLED_TABLES = ("predictions", "results", "panes")
PANE_CHUNKS = [pane_chunks(start=i, version=i + 1) for i in range(4)]


@pytest.mark.slow
def test_killed_before_and_after_every_commit_and_insert_nothing_is_lost_or_doubled(store):
    stop_merges(store)
    n_deaths = 0
    for step in range(1, 10_000):
        log = MemoryLog()
        for i in range(4):
            log.produce(PREDICTIONS, bytes([65 + i]))
            log.produce(RESULTS, encode(result_of((i + 1) * 3_600_000_000)), partition=i % 2)
            for key, value in PANE_CHUNKS[i]:
                log.produce(PANES, value, key=key)
        die = die_at(step)
        has_died = False
        try:
            archive_over(MortalStore(store, die), MortalLog(log, die), max_messages=3).drain()
        except Killed:
            has_died = True
        n_deaths += has_died
        # A new process with other batch sizes: only the intent can know the range.
        archive_over(store, log, max_messages=2 + 2 * (step % 2)).drain()
        counts = {
            table: store.query(f"SELECT count() AS n FROM {table}")["n"][0].as_py()
            for table in KILLED_TABLES
        }
        assert counts == {"predictions": 4, "results": 4, "panes": 36}, f"killed at step {step}"
        for table in KILLED_TABLES:
            store.command(f"TRUNCATE TABLE {table}")
        if not has_died:
            break
    assert n_deaths >= 40


def test_killed_twice_at_the_same_range_still_adds_it_once(store):
    stop_merges(store)
    log = MemoryLog()
    fill(log)
    for step in (2, 3, 4, 3, 2):
        die = die_at(step)
        with pytest.raises(Killed):
            archive_over(MortalStore(store, die), MortalLog(log, die)).drain()
    archive_over(store, log, max_messages=7).drain()
    assert stored_exactly(store) == EXPECTED


def test_under_another_token_the_same_rows_do_double(store):
    """The tests above can fail: this is what they guard against."""
    stop_merges(store)
    rows = pa.table({"id": ["a"], "time_us": [1]})
    store.insert("predictions", rows, token="t:0:0:1")
    store.insert("predictions", rows, token="t:0:0:2")
    assert stored_exactly(store)["predictions"] == 2


def test_a_store_that_is_down_leaves_the_range_pending(store):
    log = MemoryLog()
    fill(log)

    class Down:
        def insert(self, *_):
            raise StorageError("down")

    with pytest.raises(StorageError):
        archive_over(Down(), log).step(RESULTS, 0)
    pending = log.committed(GROUP, RESULTS, 0)
    assert (pending.offset, pending.metadata) == (0, f"id-of-{RESULTS}|5|")
    archive_over(store, log).drain()
    assert row_counts(store) == EXPECTED


def test_an_unreadable_message_becomes_a_dead_letter_and_stops_nothing(store):
    log = MemoryLog()
    log.produce(RESULTS, encode(result_of(3_600_000_000)))
    log.produce(RESULTS, b"\xc1 not msgpack")
    log.produce(RESULTS, encode(result_of(7_200_000_000, n=2**63)))
    log.produce(RESULTS, encode([result_of(10_800_000_000), result_of(14_400_000_000)]))
    archive_over(store, log).drain()
    counts = row_counts(store)
    assert (counts["results"], counts["dead_letters"]) == (3, 2)
    letters = store.query(
        "SELECT source, offset, reason, hex(payload) AS payload FROM dead_letters ORDER BY offset"
    ).to_pylist()
    assert letters[0]["payload"] == b"\xc1 not msgpack".hex().upper()
    assert [(row["offset"], row["reason"]) for row in letters] == [
        (1, "malformed"),
        (2, "malformed"),
    ]
    assert letters[0]["source"] == f"id-of-{RESULTS}"


@pytest.mark.parametrize("max_messages", [1, 2, 3, 100])
def test_an_unreadable_pane_is_dead_lettered_and_the_next_one_arrives(store, max_messages):
    stop_merges(store)
    log = MemoryLog()
    good, bad = pane_chunks(start=1, version=7), pane_chunks(start=2, version=8)
    log.produce(PANES, b"\xc1 no pane", key=b"acme|loans|v1|p1|0|t|0|o1|0")
    log.produce(PANES, b"1", key=b"wm|t|0|o1")
    log.produce(PANES, bad[0][1], key=bad[0][0])
    log.produce(PANES, good[0][1], key=good[0][0])
    # Whole by its header, and its compressed body is cut short: found when it is complete.
    head, part = msgspec.msgpack.decode(bad[1][1])
    log.produce(PANES, msgspec.msgpack.encode([head, part[:-9]]), key=bad[1][0])
    log.produce(PANES, good[1][1], key=good[1][0])
    archive = archive_over(store, log, max_messages)
    archive.drain()
    assert archive.n_unreadable == 2
    letters = store.query("SELECT source, offset, reason FROM dead_letters ORDER BY offset")
    assert letters.to_pylist() == [
        {"source": f"id-of-{PANES}", "offset": 0, "reason": "malformed"},
        {"source": f"id-of-{PANES}", "offset": 4, "reason": "malformed"},
    ]
    assert store.query("SELECT DISTINCT pane_version AS v FROM panes")["v"].to_pylist() == [7]


@pytest.mark.parametrize("max_messages", [1, 2, 3, 5, 100])
def test_panes_cut_apart_by_a_range_are_written_once_and_torn_ones_not(store, max_messages):
    stop_merges(store)
    log = MemoryLog()
    a, b = pane_chunks(start=1, version=7), pane_chunks(start=2, version=8)
    again, torn = pane_chunks(start=2, version=9), pane_chunks(start=3, version=5)
    # The owner of b crashed after its first chunk, and began again.
    for key, value in (a[0], b[0], a[1], again[0], again[1], torn[0]):
        log.produce(PANES, value, key=key)
    archive = archive_over(store, log, max_messages)
    archive.drain()
    rows = store.query("SELECT DISTINCT pane_version AS v, start_us AS s FROM panes ORDER BY v")
    assert list(zip(*rows.to_pydict().values(), strict=True)) == [(7, 10_000_000), (9, 20_000_000)]
    assert stored_exactly(store)["panes"] == 18


def test_two_models_of_one_range_are_one_insert(store):
    stop_merges(store)
    log = MemoryLog()
    for byte in b"ABCDEFGH":
        log.produce(PREDICTIONS, bytes([byte]))
    tokens = []

    class Noting:
        def insert(self, table, rows, token=None):
            tokens.append(token)
            return store.insert(table, rows, token)

    archive_over(Noting(), log, max_messages=8).drain()
    assert tokens == [f"id-of-{PREDICTIONS}:0:0:8"]
    rows = store.query("SELECT model, count() AS n FROM predictions GROUP BY model ORDER BY model")
    assert rows.to_pydict() == {"model": ["loans", "other"], "n": [4, 4]}


def test_deliveries_carry_what_was_sent(store):
    incident = Incident(
        incident_id="i1",
        tenant="acme",
        cause=Cause.DATA,
        severity=Severity.PAGE,
        opened_at_us=7,
        title="age moved",
        owner_alert_id="a-0",
        alerts=[alert_of(0)],
    )
    sent = Notification(
        notification_id="n1",
        dedup_key="i1",
        receiver="slack",
        kind=NotificationKind.INCIDENT,
        incident=incident,
        time_us=8,
        reason="first",
    )
    step = Delivery(notification_id="n1", receiver="slack", state="done", time_us=9, attempts=1)
    log = MemoryLog()
    log.produce(NOTIFICATIONS, encode((step, sent)))
    archive_over(store, log).drain()
    row = store.query("SELECT * FROM notifications").to_pylist()[0]
    assert (row["incident_id"], row["cause"], row["alert_ids"]) == ("i1", "data", ["a-0"])
    assert (row["state"], row["attempts"], row["reason"]) == ("done", 1, "first")


def test_many_panes_with_different_owners_make_one_insert(store):
    panes = []
    for i in range(300):
        pane = pane_of(start_us=i * 10_000_000)
        pane.owner = f"o{i}"
        panes.append((pane, SCHEMA.variables))
    for _ in range(2):
        Archive(store).write("panes", pane_rows(panes), "t:0:0:300")
    rows = store.query("SELECT uniqExact(owner) AS o, count() AS n FROM panes").to_pylist()
    assert rows == [{"o": 300, "n": 2700}]
    assert np.isclose(
        store.query("SELECT sum(counts[1]) AS s FROM panes WHERE NOT is_slice")["s"][0].as_py(),
        300 * 8 * 4,
    )


@pytest.mark.parametrize("max_messages", [1, 2, 100])
def test_panes_of_the_real_codec_in_several_chunks_arrive_whole(store, max_messages):
    log = MemoryLog()
    panes = [pane_of(start_us=i * 10_000_000, version=i + 1) for i in range(3)]
    for pane in panes:
        # Random counters, so that compression leaves more than one chunk.
        noise = np.random.default_rng(pane.pane_version)
        many = SeriesStats.empty(tuple(f"id={i}" for i in range(200)), 4)
        many.counts[:] = noise.integers(0, 2**62, many.counts.shape)
        pane.segments = many
        chunks = pane_codec.encode(pane, max_bytes=200_000)
        assert len(chunks) > 1
        for i, value in enumerate(chunks):
            log.produce(PANES, value, key=pane_codec.pane_key(pane, i).encode())
    archive = LogArchive(
        Archive(store),
        log,
        topic_id=str,
        panes=PaneReader({("acme", "loans"): SCHEMA.variables}),
        max_messages=max_messages,
    )
    archive.drain()
    rows = store.query(
        "SELECT pane_version AS v, count() AS n, any(feature) AS f FROM panes "
        "WHERE NOT is_slice GROUP BY v ORDER BY v"
    ).to_pylist()
    assert [(row["v"], row["n"]) for row in rows] == [(1, 800), (2, 800), (3, 800)]
    counts = store.query(
        "SELECT counts FROM panes WHERE pane_version = 2 AND segment = 'id=7' AND feature = 'job'"
    )["counts"][0].as_py()
    assert counts == panes[1].segments.counts[7, 2].tolist()


def test_closed_slots_are_stored_as_totals_and_a_late_pane_beside_them(store):
    log = MemoryLog()

    def write(pane) -> None:
        for i, value in enumerate(pane_codec.encode(pane)):
            log.produce(PANES, value, key=pane_codec.pane_key(pane, i).encode())

    def watermark(partition: int, minute: int, *, is_idle: bool = False) -> None:
        word = WatermarkMessage("t", partition, 2, "o", minute * 60_000_000, is_idle=is_idle)
        log.produce(PANES, word.encode(), key=word.key())

    def totals() -> list[tuple[int, int, int]]:
        rows = store.query(
            "SELECT end_us - start_us AS length, uniqExact(source, partition, start_us) AS n, "
            "sum(n_rows) AS n_rows FROM panes FINAL WHERE feature = 'score' AND segment = '*' "
            "AND NOT is_slice GROUP BY length ORDER BY length"
        ).to_pylist()
        return [(r["length"] // 1_000_000, r["n"], r["n_rows"]) for r in rows]

    def archive() -> LogArchive:
        reader = PaneReader({("acme", "loans"): SCHEMA.variables}, Spans())
        return LogArchive(Archive(store), log, topic_id=str, panes=reader, max_messages=7)

    def pane(start_s: int, version: int, n_rows: int, partition: int = 0):
        made = pane_of(start_s * 1_000_000, version, n_rows)
        made.source, made.partition = "t", partition
        return made

    for start_s in range(0, 600, 10):
        write(pane(start_s, start_s, 2))
    write(pane(590, 9, 5, partition=1))
    watermark(1, 9, is_idle=True)  # its last pane is not final
    archive().drain()
    assert totals() == []
    watermark(0, 12)
    archive().drain()
    assert totals() == [(10, 1, 5), (300, 2, 120)]
    write(pane(590, 11, 6, partition=1))
    write(pane(0, 700, 2))  # again, by another owner
    watermark(1, 12)
    archive().drain()
    assert totals() == [(10, 1, 6), (300, 2, 120)]


def test_tables_of_statistics_and_structs_leave_the_same_rows_in_the_store(store):
    table = table_of(random_columns(500, 1), revised=True)
    log = MemoryLog()
    for value in encode_table(table):
        log.produce(RESULTS, value)
    archive_over(store, log).drain()
    columns = "* EXCEPT (ingest_time)"
    written = store.query(f"SELECT {columns} FROM results ORDER BY ALL").to_pylist()
    store.command("TRUNCATE TABLE results")
    # Another log: offsets of the first were archived.
    older = MemoryLog()
    older.produce(RESULTS, encode(table.results()))
    LogArchive(Archive(store), older, topic_id=lambda topic: f"{topic}@older").drain()
    assert store.query(f"SELECT {columns} FROM results ORDER BY ALL").to_pylist() == written
    assert len(written) == 500
