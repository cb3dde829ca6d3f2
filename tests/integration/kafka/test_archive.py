"""The archive over a real broker and a real store: whatever happens, each row is there once.

Counts are raw, without FINAL and with merges stopped, so that a doubled insert shows.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from monitor.archive.poison import TableMisfitError
from monitor.archive.topic import group_of
from monitor.core.topics import LABELS, LATE, PREDICTIONS
from monitor.storage.clickhouse import TIMEOUT_VARIABLE, Store
from monitor.transport.kafka.cluster import Cluster
from schemas.errors import TransportError
from tests.support.arrow_poison import POISON
from tests.support.kafka.messages import create_topic
from tests.support.store.clickhouse_http import fresh_database, running
from tests.support.store.fault_proxy import Fault, FaultProxy
from tests.support.store.small_disk import fill, small_disk_at
from tests.support.waiting import wait_until
from tests.support.worlds.archive import (
    TABLES,
    ArchiveWorld,
    Archiving,
    counts,
    encode,
    late,
    prediction,
    start_process,
    stop_merges,
    wait_for,
)

MAX_MESSAGE_BYTES = 1_000_000
"""That a broker takes."""
pytestmark = [pytest.mark.integration, pytest.mark.kafka]


@pytest.fixture
def world(broker, topic_prefix) -> ArchiveWorld:
    return ArchiveWorld(Cluster(broker.bootstrap, topic_prefix, session_timeout_ms=6_000)).create()


@pytest.fixture
def proxy(clickhouse, monkeypatch) -> Iterator[FaultProxy]:
    monkeypatch.setenv(TIMEOUT_VARIABLE, "2")
    with fresh_database(clickhouse) as url, FaultProxy(url) as proxy:
        yield proxy


@pytest.fixture
def store(proxy, monkeypatch) -> Iterator[Store]:
    """Past the proxy."""
    with Store.open(proxy.target) as store:
        store.migrate()
        stop_merges(store)
        yield store


def test_every_topic_reaches_its_table_once(world, proxy, store):
    world.fill()
    with Archiving(world.cluster, proxy.url) as archiving:
        wait_for(store, world.sent)
        wait_until(lambda: archiving.lifecycle.is_ready)
        world.fill()
        wait_for(store, world.sent)
    row = store.query("SELECT * FROM predictions WHERE id = 'e3'").to_pylist()[0]
    assert (row["model"], dict(row["features"])["income"]) == ("other", 3.0)
    assert dict(row["categories"]) == {"job": "job 3"}


def test_a_drained_archive_leaves_nothing_begun_and_the_next_one_nothing_twice(world, proxy, store):
    for _ in range(3):
        world.fill()
        with Archiving(world.cluster, proxy.url):
            wait_for(store, world.sent)
    wait_for(store, world.sent)


def test_a_store_that_is_away_is_waited_for_and_nothing_is_missing_or_double(world, proxy, store):
    world.fill()
    with Archiving(world.cluster, proxy.url) as archiving:
        wait_for(store, world.sent)
        proxy.go_down()
        world.fill()
        wait_until(lambda: "the store" in archiving.lifecycle.why_unready)
        world.fill()
        # Longer than the session time-out: the groups must be kept alive meanwhile.
        wait_until(lambda: archiving.lifecycle.silent_s < 1.0)
        n_before = counts(store)
        assert archiving.lifecycle.is_live
        proxy.come_back()
        assert n_before != dict(world.sent)
        wait_for(store, world.sent)
        wait_until(lambda: archiving.lifecycle.is_ready)


def test_a_store_that_is_away_at_the_start_is_waited_for(world, proxy, store):
    world.fill()
    proxy.go_down()
    with Archiving(world.cluster, proxy.url) as archiving:
        wait_until(lambda: "cannot be opened" in archiving.lifecycle.why_unready)
        proxy.come_back()
        wait_for(store, world.sent)


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [Fault.DROPPED_ANSWER, Fault.CUT_REQUEST, Fault.UNAVAILABLE, Fault.SILENCE, Fault.SLOW],
    ids=lambda fault: fault.name,
)
def test_a_flapping_store_takes_every_range_once(world, proxy, store, fault):
    with Archiving(world.cluster, proxy.url) as archiving:
        wait_until(lambda: archiving.lifecycle.is_ready)
        n = 2 if fault is Fault.SILENCE else 12
        proxy.faults.extend([fault, Fault.NONE, fault, fault, Fault.NONE] * n)
        if fault is Fault.SILENCE:
            proxy.faults.append(Fault.DROPPED_ANSWER)
        world.fill()
        world.fill()
        wait_for(store, world.sent)
    assert fault in proxy.met


@pytest.mark.slow
def test_killed_after_every_step_nothing_is_missing_or_double(world, proxy, store):
    steps = ["archive:intent:1", "archive:rows:1", "archive:commit:1", "archive:rows:6", "*:17"]
    for step in steps:
        world.fill(n=4, n_predictions=500)
        process = start_process(world.cluster, proxy.target, member="a", crash_at=step)
        try:
            assert process.wait(60) == -signal.SIGKILL, step
        finally:
            process.kill()
    with Archiving(world.cluster, proxy.url, member="a"):
        wait_for(store, world.sent)


@pytest.mark.slow
def test_killed_while_the_answer_is_lost_the_next_life_repeats_the_range(world, proxy, store):
    world.fill()
    process = start_process(world.cluster, proxy.url, member="a", DRIFTLINE_STORE_TIMEOUT_S="60")
    try:
        wait_for(store, world.sent)
        proxy.standing = Fault.SILENCE
        world.fill(n_predictions=2_000)
        wait_until(lambda: Fault.SILENCE in proxy.met, 60)
    finally:
        process.kill()
        process.wait()
    proxy.standing = Fault.NONE
    with Archiving(world.cluster, proxy.url, member="a"):
        wait_for(store, world.sent)


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "n_met"), [(Fault.SILENCE, 1), (Fault.UNAVAILABLE, 2)])
def test_a_zombie_that_wakes_after_its_partitions_moved_adds_nothing_and_works_on(
    fault, n_met, world, proxy, store
):
    world.fill()
    zombie = start_process(world.cluster, proxy.url, DRIFTLINE_STORE_TIMEOUT_S="10")
    try:
        wait_for(store, world.sent)
        # Its inserts hang, or fail once and again, with intents committed; then it is stopped.
        proxy.standing = fault
        world.fill(n_predictions=2_000)
        wait_until(lambda: proxy.met.count(fault) >= n_met, 60)
        zombie.send_signal(signal.SIGSTOP)
        with Archiving(world.cluster, proxy.target):
            wait_for(store, world.sent)
            # It wakes, and its store answers again: what it still holds goes in.
            proxy.standing = Fault.NONE
            zombie.send_signal(signal.SIGCONT)
            world.fill()
            wait_for(store, world.sent)
        # Alone again; what it knew of the store when it lost everything holds nothing up.
        world.fill()
        wait_for(store, world.sent)
    finally:
        zombie.kill()
        zombie.wait()


@pytest.mark.slow
def test_members_that_come_and_go_share_the_work(world, proxy, store):
    world.fill()
    with Archiving(world.cluster, proxy.url):
        wait_for(store, world.sent)
        for _ in range(2):
            with Archiving(world.cluster, proxy.url) as second:
                world.fill()
                wait_until(lambda lifecycle=second.lifecycle: lifecycle.is_ready)
                world.fill()
                wait_for(store, world.sent)
            world.fill()
        wait_for(store, world.sent)


def test_a_recreated_topic_is_read_from_its_beginning(world, broker, proxy, store):
    world.fill()
    name = world.cluster.topic(LATE)
    archiving = Archiving(world.cluster, proxy.url)
    with archiving:
        wait_for(store, world.sent)
        admin = AdminClient(world.cluster.client())
        admin.delete_topics([name])[name].result(30)
        create_topic(broker.bootstrap, name, world.n_partitions)
        world.write(LATE, [(b"l", encode(late(100 + i))) for i in range(6)])
        error = archiving.end()
    assert isinstance(error, TransportError)
    assert "recreated" in error.what
    world.sent["late"] += 6
    with Archiving(world.cluster, proxy.url):
        wait_for(store, world.sent)


def test_a_poison_message_in_every_topic_stops_none(world, proxy, store):
    for topic in TABLES:
        world.write(topic, [(b"k", b"\xc1 nonsense")])
    world.fill()
    for topic in TABLES:
        world.write(topic, [(b"k", b"{"), (b"k", None)])
    # Of predictions and telemetry ingest and detect make dead letters; of our own topics the
    # archive does, which passes tombstones there; and of labels, where an empty message is bad.
    world.sent["dead_letters"] += 2 * (len(TABLES) - 3) + 3
    with Archiving(world.cluster, proxy.url):
        wait_for(store, world.sent)
    found = store.query("SELECT uniqExact(source) AS s FROM dead_letters WHERE source != 't'")
    assert found["s"].to_pylist() == [len(TABLES) - 2]


def test_poison_among_predictions_keeps_no_other_out_of_the_store(world, proxy, store):
    for message, _, _ in POISON.values():
        if len(message) < MAX_MESSAGE_BYTES:
            world.write(PREDICTIONS, [(None, message), (None, message)])
            world.fill(n=1, n_predictions=3)
    with Archiving(world.cluster, proxy.url):
        wait_for(store, world.sent)


BAD_LABELS = {
    "malformed": [b"{", b"[1]"],
    "mistyped": [
        b'{"id":"","tenant":"acme","model":"loans","time_us":1700000000000000,"label":1}',
        b'{"id":"e","tenant":"acme","model":"loans","time_us":1700000000000000,"label":null}',
        b'{"id":"e","tenant":"acme","model":"loans","time_us":1700000000,"label":1}',
    ],
    "unknown_model": [
        b'{"id":"e","tenant":"acme","model":"absent","time_us":1700000000000000,"label":1}'
    ],
    "future": [
        b'{"id":"e","tenant":"acme","model":"loans","time_us":7700000000000000,"label":1}',
        b'{"id":"e","tenant":"acme","model":"loans","time_us":1700000000000000000,"label":1}',
    ],
}


def test_bad_labels_are_dead_letters_once_and_the_others_are_stored(world, proxy, store):
    world.fill()
    for messages in BAD_LABELS.values():
        world.write(LABELS, [(None, message) for message in messages])
    world.fill()
    world.sent["dead_letters"] += sum(map(len, BAD_LABELS.values()))
    with Archiving(world.cluster, proxy.url):
        wait_for(store, world.sent)
    found = store.query(
        "SELECT reason, count() AS n FROM dead_letters WHERE source != 't' GROUP BY reason"
    ).to_pylist()
    assert {row["reason"]: row["n"] for row in found} == {k: len(v) for k, v in BAD_LABELS.items()}
    assert counts(store)["labels"] == world.sent["labels"]


def test_rows_the_store_refuses_for_good_are_dead_letters_and_the_others_arrive(
    world, proxy, store
):
    store.command("ALTER TABLE predictions ADD CONSTRAINT c CHECK NOT startsWith(id, 'e7')")
    world.fill()
    is_bad = [i for i in range(400) if str(i).startswith("7")]
    world.sent["predictions"] -= len(is_bad)
    world.sent["dead_letters"] += len(is_bad)
    with Archiving(world.cluster, proxy.url):
        wait_for(store, world.sent)
    letters = store.query(
        "SELECT payload, detail FROM dead_letters WHERE source != 't'"
    ).to_pylist()
    texts = {row["payload"] for row in letters}
    assert texts == {prediction(i).decode() for i in is_bad}
    assert all("the store refused it" in row["detail"] for row in letters)


@pytest.mark.slow
def test_a_table_that_refuses_everything_stops_the_archive_with_a_reason(world, proxy, store):
    store.command("ALTER TABLE predictions ADD CONSTRAINT c CHECK id = ''")
    world.write(PREDICTIONS, [(None, prediction(i)) for i in range(3_000)])
    archiving = Archiving(world.cluster, proxy.url, topics=[PREDICTIONS], cut=None)
    with archiving:
        error = archiving.end(120)
    assert isinstance(error, TableMisfitError)
    assert "Constraint" in error.what
    assert counts(store)["dead_letters"] == 0


def test_one_process_may_archive_one_topic_only(world, proxy, store):
    world.fill()
    with Archiving(world.cluster, proxy.url, topics=[LABELS]):
        wait_until(lambda: counts(store)["labels"] == world.sent["labels"])
    found = counts(store)
    assert sum(found.values()) == found["labels"]


def test_an_embedded_store_is_archived_into_by_its_one_process(world, tmp_path):
    world.fill()
    with Archiving(world.cluster, str(tmp_path / "store")) as archiving:
        wait_until(lambda: archiving.lifecycle.is_ready, 60)
        world.fill()
    with Archiving(world.cluster, str(tmp_path / "store")) as archiving:
        wait_until(lambda: archiving.lifecycle.is_ready, 60)
        lag_is_none(world)
    with Store.open(tmp_path / "store") as store:
        assert counts(store) == dict(world.sent)


def lag_is_none(world: ArchiveWorld) -> None:
    """Wait until every group has committed the end of its topic."""
    from confluent_kafka import Consumer, TopicPartition

    for topic in TABLES:
        group = world.cluster.group(group_of(topic))
        consumer = Consumer({**world.cluster.client(), "group.id": group})
        try:
            metadata = consumer.list_topics(world.cluster.topic(topic), timeout=30)
            numbers = metadata.topics[world.cluster.topic(topic)].partitions
            places = [TopicPartition(world.cluster.topic(topic), p) for p in numbers]

            def is_done(places=places, consumer=consumer) -> bool:
                return all(
                    max(place.offset, 0) == consumer.get_watermark_offsets(place, timeout=30)[1]
                    for place in consumer.committed(places, timeout=30)
                )

            wait_until(is_done, 60, f"{topic} archived")
        finally:
            consumer.close()


@pytest.mark.slow
def test_a_full_disk_under_the_store_is_waited_for(world, tmp_path):
    with small_disk_at(tmp_path / "disk", "48m") as small_disk:
        _fill_and_free(world, small_disk)


def _fill_and_free(world: ArchiveWorld, small_disk: Path) -> None:
    with running(small_disk / "store") as server, Store.open(f"{server.url}/default") as store:
        stop_merges(store)
        with Archiving(world.cluster, f"{server.url}/default") as archiving:
            world.fill()
            wait_for(store, world.sent)
            ballast = small_disk / "ballast"
            fill(ballast)
            world.fill(n_predictions=5_000)
            wait_until(lambda: "no space" in archiving.lifecycle.why_unready, 60)
            assert archiving.lifecycle.is_live
            ballast.unlink()
            wait_for(store, world.sent)
            wait_until(lambda: archiving.lifecycle.is_ready)
