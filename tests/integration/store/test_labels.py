"""Table ``labels``: one row per place in the log, in every store, also in one of before."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from monitor.archive.direct import DirectArchive
from monitor.archive.in_memory import LogArchive
from monitor.archive.raw import RawTopics
from monitor.archive.writes import Archive
from monitor.core.topics import LABELS
from monitor.decode import chunk_of, decode_label_batch
from monitor.storage import clickhouse
from monitor.storage.clickhouse import Store
from monitor.storage.migrations import load_migrations
from monitor.transport.memory import MemoryLog
from tests.support.store.clickhouse_http import fresh_database
from tests.support.store.stored import batch_of

pytestmark = pytest.mark.integration

PLACES = "SELECT id, label, time_us, record_time_us, source, partition, offset, row FROM labels"
NOON_US = 1_700_000_000_000_000
BEFORE = 12
"""Version of a store before labels had a place."""


@pytest.fixture(params=["embedded", "server"])
def target(request, tmp_path) -> Iterator[str]:
    if request.param == "embedded":
        yield str(tmp_path / "store")
        return
    with fresh_database(request.getfixturevalue("clickhouse")) as url:
        yield url


@pytest.fixture
def store(target) -> Iterator[Store]:
    with Store.open(target) as store:
        store.migrate()
        yield store


def label(name: str, value: str, late_us: int = 0, more: str = "") -> bytes:
    text = f'{{"id":"{name}","model":"m","time_us":{NOON_US + late_us},"label":"{value}"{more}}}'
    return text.encode()


CARRIED = (
    f',"prediction_time_us":{NOON_US - 5},"model_version":"3","score":0.5,"scores":{{"a":0.5}},'
    '"prediction":"a","segments":{"SEX":"1"},"group":"q","host":"h","gpu_uuid":"g"'
)
MESSAGES = [
    label("a", "fraud"),
    label("a", "fraud"),
    b"[" + label("a", "ok", 7) + b"," + label("b", "ok", more=CARRIED) + b"]",
]
EXPECTED = [
    ("a", "fraud", NOON_US, 0, 0),
    ("a", "fraud", NOON_US, 1, 0),
    ("a", "ok", NOON_US + 7, 2, 0),
    ("b", "ok", NOON_US, 2, 1),
]


def archived(store: Store, log: MemoryLog, max_messages: int) -> LogArchive:
    return LogArchive(
        Archive(store),
        log,
        topic_id=lambda topic: f"{topic}@1",
        raw=RawTopics(labels=decode_label_batch),
        max_messages=max_messages,
    )


def places(store: Store) -> list[tuple[str, str, int, int, int]]:
    rows = store.query(f"{PLACES} FINAL ORDER BY offset, row").to_pylist()
    return [(r["id"], r["label"], r["time_us"], r["offset"], r["row"]) for r in rows]


def test_repeats_and_corrections_are_rows_of_their_own(store):
    log = MemoryLog()
    for message in MESSAGES:
        log.produce(LABELS, message)
    archived(store, log, max_messages=2).drain()
    assert places(store) == EXPECTED
    (row,) = store.query("SELECT * FROM labels FINAL WHERE id = 'b'").to_pylist()
    assert (row["source"], row["partition"]) == (f"{LABELS}@1", 0)
    assert (row["prediction_time_us"], row["model_version"]) == (NOON_US - 5, "3")
    assert (row["score"], dict(row["scores"]), row["prediction"]) == (0.5, {"a": 0.5}, "a")
    assert (dict(row["segments"]), row["group"]) == ({"SEX": "1"}, "q")
    assert (row["host"], row["gpu_uuid"]) == ("h", "g")


def test_the_same_messages_in_other_ranges_add_no_rows(store):
    for max_messages in (3, 2, 1):
        log = MemoryLog()
        for message in MESSAGES:
            log.produce(LABELS, message)
        archived(store, log, max_messages).drain()
        assert places(store) == EXPECTED


def test_labels_of_a_file_have_their_place_and_their_own_time(store):
    chunk = chunk_of(MESSAGES, "labels.jsonl@1")
    for _ in range(2):
        direct = DirectArchive(Archive(store), "run")
        direct.labels(decode_label_batch(chunk)[0], chunk)
        direct.flush()
    assert places(store) == EXPECTED
    rows = store.query(PLACES).to_pylist()
    assert all(r["record_time_us"] == r["time_us"] for r in rows)
    assert {r["source"] for r in rows} == {"labels.jsonl@1"}


def test_record_times_of_labels_and_predictions_are_those_of_the_log(store):
    recorded = np.arange(3) + NOON_US + 60
    chunk = chunk_of(MESSAGES, "topic", 2, 10, recorded)
    direct = DirectArchive(Archive(store), "run")
    direct.labels(decode_label_batch(chunk)[0], chunk)
    batch = batch_of(["p", "q", "r"])
    direct.predictions(batch, chunk)
    direct.flush()
    found = store.query(f"{PLACES} FINAL ORDER BY offset, row").to_pylist()
    assert [r["record_time_us"] - NOON_US for r in found] == [60, 61, 62, 62]
    stored = store.query("SELECT id, record_time_us FROM predictions FINAL ORDER BY id")
    assert stored["record_time_us"].to_pylist() == recorded[batch.message].tolist()


def test_a_store_of_before_keeps_its_labels_and_gains_places(target, monkeypatch):
    earlier = load_migrations()[:BEFORE]
    with monkeypatch.context() as patch, Store.open(target) as store:
        patch.setattr(clickhouse, "load_migrations", lambda: earlier)
        store.migrate()
        rows = {"tenant": "default", "model": "m", "id": "a", "time_us": NOON_US, "label": "fraud"}
        corrected = {**rows, "time_us": NOON_US + 3, "label": "ok"}
        for row in (rows, corrected):
            store.insert("labels", pa.Table.from_pylist([row]))
        event = {"tenant": "default", "model": "m", "id": "a", "time_us": NOON_US - 9}
        store.insert("predictions", pa.Table.from_pylist([event]))
    with Store.open(target) as store:
        store.migrate()
        store.migrate()
        assert places(store) == [("a", "ok", NOON_US + 3, 0, 0)]
        (old,) = store.query(f"{PLACES} FINAL").to_pylist()
        assert (old["source"], old["record_time_us"]) == ("", NOON_US + 3)
        (event,) = store.query("SELECT time_us, record_time_us FROM predictions").to_pylist()
        assert event["record_time_us"] == event["time_us"]
        log = MemoryLog()
        log.produce(LABELS, label("a", "fraud"))
        archived(store, log, max_messages=5).drain()
        assert places(store)[-1] == ("a", "fraud", NOON_US, 0, 0)
        assert len(places(store)) == 2
