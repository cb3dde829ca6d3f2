"""What both readers of a topic keep, on a real broker."""

from __future__ import annotations

import logging
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import KafkaError, Producer, TopicPartition

from monitor.decode.cloudevents import structured
from monitor.decode.memory import PAD_BYTES
from monitor.transport.kafka.readers import gather, librdkafka
from monitor.transport.kafka.readers import reader as reader_module
from monitor.transport.kafka.readers.consume import ConsumeReader
from monitor.transport.kafka.readers.reader import open_reader
from monitor.transport.kafka.settings import Callbacks
from schemas.errors import TransportError
from tests.support.kafka.topics import (
    Topic,
    Watcher,
    join,
    numbered,
    offsets_of,
    open_on,
    payloads,
    read_until,
    settings_of,
    wait_until,
)
from tests.support.repository import ROOT

pytestmark = [pytest.mark.kafka, pytest.mark.integration]

QUICK_METADATA = {"topic.metadata.refresh.interval.ms": "300"}


class _Instead:
    """A client of which one method is another."""

    def __init__(self, client, **methods):
        self._client = client
        self.__dict__.update(methods)

    def __getattr__(self, name):
        return getattr(self._client, name)


class _ReadMessage:
    """A message, or an event in place of one, as the client hands them out."""

    def __init__(self, topic, offset, error=None):
        self._topic, self._offset, self._error = topic, offset, error

    def topic(self):
        return self._topic

    def partition(self):
        return 0

    def offset(self):
        return self._offset

    def error(self):
        return self._error

    def headers(self):
        return None

    def key(self):
        return None

    def value(self):
        return b"%d" % self._offset

    def timestamp(self):
        return 1, 0


def _message(topic, what):
    if isinstance(what, int):
        return _ReadMessage(topic, what)
    return _ReadMessage(topic, int(what.split()[1]), KafkaError(KafkaError._PARTITION_EOF))


@pytest.fixture(params=["bulk", "consume"])
def kind(request):
    return request.param


def test_every_message_comes_once_and_in_order(broker, kind):
    topic = Topic(broker.bootstrap, n_partitions=3)
    for partition in range(3):
        topic.write(numbered(7_000, 100_000 * partition), partition)
    with open_on(topic, kind) as reader:
        found = read_until(reader, 21_000, max_messages=900)
        for partition in range(3):
            values = [value for chunk in found[partition] for value in payloads(chunk)]
            assert values == numbered(7_000, 100_000 * partition)
            assert offsets_of(found[partition]) == list(range(7_000))
            assert max(len(chunk) for chunk in found[partition]) <= 900
            assert {chunk.partition for chunk in found[partition]} == {partition}
            assert reader.position(partition) == 7_000
            assert reader.lag(partition) == 0
        wait_until(
            lambda: all(map(reader.is_at_end, range(3))),
            lambda: [reader.read(p, 10, 0.05) for p in reader.partitions],
        )
        assert {c.source for cs in found.values() for c in cs} == {reader.source}
        assert reader.counters["messages"] == 21_000
        assert reader.kind == kind


@pytest.mark.parametrize("astray", [1_863, 5_000])
def test_messages_the_client_skips_after_an_assignment_are_read_all_the_same(broker, kind, astray):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(5_000))
    with open_on(topic, kind) as reader:
        on_start = reader._consumer.incremental_assign
        stray = [TopicPartition(topic.name, 0, astray)]
        reader._consumer = _Instead(reader._consumer, incremental_assign=lambda _: on_start(stray))
        found = read_until(reader, 5_000, max_messages=900)
        assert offsets_of(found[0]) == list(range(5_000))
        assert reader.counters["skips"] == 1
        assert reader.position(0) == 5_000


def test_messages_the_client_delivers_twice_are_handed_on_once(broker):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(5_000))
    with open_on(topic, "consume") as reader:
        join(reader)

        def wait_for_ends(n: int):
            line = reader._lines[0]
            wait_until(lambda: sum(not isinstance(x, tuple) for x in line) == n, poll)

        def poll():
            reader.poll(0.05)

        wait_for_ends(1)
        reader._consumer.seek(TopicPartition(topic.name, 0, 0))
        wait_for_ends(2)
        found = read_until(reader, 5_000)[0] + [reader.read(0, 5_000)]
        assert offsets_of(found) == list(range(5_000))


@pytest.mark.parametrize(
    "first",
    [
        ["end 1863", 1_863, 1_864],
        [1_863, 1_864, "end 1865"],
        ["end 1863", 1_863, "end 1864", 1_864],
    ],
    ids=str,
)
def test_what_came_too_early_is_dropped_with_its_batch_and_comes_again(broker, first):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(2_000))
    with open_on(topic, "consume", watcher=Watcher(starts={0: 10})) as reader:
        real = reader._consumer
        batches = [[_ReadMessage(topic.name, 5), *(_message(topic.name, x) for x in first)]]

        def consume(n, timeout_s):
            found = real.consume(n, timeout_s)
            if 0 in reader.partitions and batches:
                return batches.pop()
            return found

        reader._consumer = _Instead(real, consume=consume)
        found = read_until(reader, 1_990)
        assert offsets_of(found[0]) == list(range(10, 2_000))
        assert reader.counters["skips"] == 1


def test_a_hole_that_a_transaction_left_is_read_across(broker, kind):
    topic = Topic(broker.bootstrap)
    producer = Producer({**topic.client, "transactional.id": topic.name})
    producer.init_transactions(60)
    for values in (numbered(5), numbered(5, 5)):
        producer.begin_transaction()
        for value in values:
            producer.produce(topic.name, value, partition=0)
        producer.commit_transaction(60)
    with open_on(topic, kind, watcher=Watcher(starts={0: 5})) as reader:
        found = read_until(reader, 5)
        assert offsets_of(found[0]) == [6, 7, 8, 9, 10]
        assert reader.counters["skips"] == 1


def test_the_end_is_no_longer_the_end_when_something_comes(broker, kind):
    topic = Topic(broker.bootstrap)
    with open_on(topic, kind) as reader:
        join(reader)
        wait_until(lambda: reader.is_at_end(0), lambda: reader.read(0, 10, 0.05))
        topic.write([b"one"])
        assert len(read_until(reader, 1)[0]) == 1
        wait_until(lambda: reader.is_at_end(0), lambda: reader.read(0, 10, 0.05))
        assert reader.position(0) == 1


def test_record_times_are_the_producers_or_the_brokers(broker, kind):
    topic = Topic(broker.bootstrap, n_partitions=1)
    topic.write([b"a"], timestamp=1_600_000_000_123)
    topic.write([b"b"], timestamp=1_500_000_000_007)
    stamped = Topic(broker.bootstrap, config={"message.timestamp.type": "LogAppendTime"})
    before_us = time.time_ns() // 1_000_000 * 1_000
    stamped.write([b"c"], timestamp=1_600_000_000_123)
    after_us = time.time_ns() // 1_000
    with open_on(topic, kind) as reader:
        (chunk,) = read_until(reader, 2)[0]
    with open_on(stamped, kind) as reader:
        (appended,) = read_until(reader, 1)[0]
    assert chunk.record_time_us.tolist() == [1_600_000_000_123_000, 1_500_000_000_007_000]
    assert before_us <= appended.record_time_us[0] <= after_us


def test_payloads_of_any_size_keys_and_tombstones(broker, kind):
    topic = Topic(broker.bootstrap)
    large = bytes(range(256)) * 3_516
    topic.write([b"", large, b"x"])
    topic.write([None, b"value", b""], key=b"\x00key")
    topic.write([None], key=b"")
    with open_on(topic, kind) as reader:
        join(reader)
        rows = []

        def step():
            records = reader.read_records(0, 100, 0.05)
            assert not records.chunk.buffer[records.chunk.offsets[-1] :].any()
            assert len(records.chunk.buffer) == records.chunk.offsets[-1] + PAD_BYTES
            rows.extend((records.key(i), records.value(i)) for i in range(len(records)))

        wait_until(lambda: len(rows) >= 7, step)
        reader.seek(0, 0)
        (chunk,) = read_until(reader, 7)[0][-1:]
    key = b"\x00key"
    assert rows[:3] == [(None, b""), (None, large), (None, b"x")]
    assert rows[3:] == [(key, None), (key, b"value"), (key, b""), (b"", None)]
    assert payloads(chunk)[-4:] == [b"", b"value", b"", b""]
    assert gather.PAD_BYTES == PAD_BYTES


def test_a_commit_and_its_metadata_come_back_after_a_restart(broker, kind):
    topic = Topic(broker.bootstrap, n_partitions=2)
    topic.write(numbered(10))
    with open_on(topic, kind) as reader:
        join(reader, 2)
        assert reader.commit(0, 6, "é" * 350)
        with pytest.raises(TransportError, match="1024"):
            reader.commit(0, 7, "x" * 1024)
        with pytest.raises(TransportError, match="not owned"):
            reader.position(5)
    watcher = Watcher()
    with open_on(topic, kind, watcher=watcher) as reader:
        (chunk,) = read_until(reader, 4)[0]
        assert watcher.assigned[1] is None
        assert (watcher.assigned[0].offset, watcher.assigned[0].metadata) == (6, "é" * 350)
    assert chunk.log_offset.tolist() == [6, 7, 8, 9]
    assert sorted(watcher.revoked) == [0, 1]


def test_the_owner_chooses_where_to_start(broker, kind):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(10))
    with open_on(topic, kind, watcher=Watcher(starts={0: 8})) as reader:
        assert offsets_of(read_until(reader, 2)[0]) == [8, 9]
    with open_on(topic, kind, "other", is_from_end=True) as reader:
        join(reader)
        topic.write([b"new"])
        assert offsets_of(read_until(reader, 1)[0]) == [10]


def test_seek_reads_from_exactly_there_whatever_was_read_ahead(broker, kind):
    topic = Topic(broker.bootstrap, n_partitions=2)
    topic.write(numbered(3_000), 0)
    topic.write(numbered(50), 1)
    with open_on(topic, kind) as reader:
        read_until(reader, 100, max_messages=10)
        for target in (0, 2_900, 1_500, 1_499, 0, 2_999):
            reader.seek(0, target)
            assert reader.position(0) == target
            n = min(200, 3_000 - target)
            chunks = read_until(reader, n, max_messages=50, partitions=(0,))[0]
            assert offsets_of(chunks)[:n] == list(range(target, target + n))


def test_a_paused_partition_is_silent_and_continues_where_it_was(broker, kind):
    topic = Topic(broker.bootstrap, n_partitions=2)
    topic.write(numbered(20_000), 0)
    topic.write(numbered(2_000), 1)
    with open_on(topic, kind) as reader:
        join(reader, 2)
        taken = offsets_of(read_until(reader, 30, max_messages=10, partitions=(0,))[0])
        reader.pause(0)
        others = offsets_of(read_until(reader, 2_000, partitions=(1,))[1])
        assert others == list(range(2_000))
        assert len(reader.read(0, 100, 0.2)) == 0
        reader.resume(0)
        chunks = read_until(reader, 20_000 - len(taken), partitions=(0,))[0]
        assert taken + offsets_of(chunks) == list(range(20_000))


def test_a_partition_that_is_lost_while_it_is_paused_is_read_when_it_comes_back(broker, kind):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(500))
    with open_on(topic, kind) as reader:
        join(reader, 1)
        reader.pause(0)
        place = [TopicPartition(topic.name, 0)]
        reader._on_lost(reader._consumer, place)
        assert reader.partitions == ()
        reader._on_assign(reader._consumer, place)
        assert offsets_of(read_until(reader, 500)[0]) == list(range(500))


def test_a_partition_that_is_lost_while_too_much_lies_ready_is_read_when_it_comes_back(
    broker, monkeypatch
):
    monkeypatch.setattr("monitor.transport.kafka.readers.consume._N_AHEAD", 50)
    topic = Topic(broker.bootstrap)
    topic.write(numbered(500))
    with open_on(topic, "consume") as reader:
        wait_until(lambda: reader._held, lambda: reader.poll(0.05))
        place = [TopicPartition(topic.name, 0)]
        reader._on_revoke(reader._consumer, place)
        reader._on_assign(reader._consumer, place)
        assert offsets_of(read_until(reader, 500)[0]) == list(range(500))


def test_an_unread_partition_waits_in_bounded_memory(broker, kind):
    topic = Topic(broker.bootstrap, n_partitions=2)
    topic.write([b"x" * 100] * 60_000, 0)
    topic.write(numbered(60_000), 1)
    with open_on(topic, kind, queue_bytes=1 << 20) as reader:
        join(reader, 2)
        assert offsets_of(read_until(reader, 60_000, partitions=(1,))[1]) == list(range(60_000))
        if isinstance(reader, ConsumeReader):
            assert max(map(len, reader._lines.values())) <= 30_000
        assert offsets_of(read_until(reader, 60_000, partitions=(0,))[0]) == list(range(60_000))


def test_what_retention_has_eaten_is_reported_before_reading_goes_on(broker, kind):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(100))
    watcher = Watcher()
    with open_on(topic, kind, watcher=watcher) as reader:
        join(reader)
        read_until(reader, 100)
        reader.commit(0, 10)
        gone = TopicPartition(topic.name, 0, 60)
        next(iter(topic.admin.delete_records([gone]).values())).result(30)
        reader.seek(0, 20)
        chunks = read_until(reader, 40)[0]
    assert [(g.partition, g.wanted, g.begins) for g in watcher.gaps] == [(0, 20, 60)]
    assert offsets_of(chunks) == list(range(60, 100))
    again = Watcher()
    with open_on(topic, kind, watcher=again) as reader:
        assert offsets_of(read_until(reader, 40)[0]) == list(range(60, 100))
    assert [(g.wanted, g.begins) for g in again.gaps] == [(10, 60)]


def test_a_recreated_topic_is_another_source(broker, kind):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(100))
    with open_on(topic, kind, client=QUICK_METADATA) as reader:
        read_until(reader, 100)
        old = reader.source
        topic.delete()
        wait_until(lambda: _has_made(topic), lambda: None)
        topic.write(numbered(5))
        with pytest.raises(TransportError, match="recreated"):
            wait_until(lambda: False, lambda: (reader.poll(0.05), reader.check_source()))
    watcher = Watcher()
    with open_on(topic, kind, watcher=watcher) as reader:
        assert offsets_of(read_until(reader, 5)[0]) == list(range(5))
        assert reader.source != old


def _has_made(topic: Topic) -> bool:
    """Make the topic again; deleting takes the broker a moment."""
    try:
        topic.create()
    except Exception:
        return False
    return True


def test_a_topic_that_is_not_there_is_an_error_at_once(broker, kind):
    topic = Topic(broker.bootstrap)
    topic.name = "no-such-topic"
    with pytest.raises(TransportError, match="no-such-topic"):
        open_on(topic, kind)


def test_a_partition_that_is_added_is_read_from_its_beginning(broker, kind):
    topic = Topic(broker.bootstrap)
    with open_on(topic, kind, client=QUICK_METADATA) as reader:
        join(reader)
        topic.grow(2)
        topic.write(numbered(5), 1)
        wait_until(lambda: len(reader.partitions) == 2, lambda: reader.poll(0.05))
        assert reader.n_partitions == 2
        assert offsets_of(read_until(reader, 5)[1]) == list(range(5))


def test_a_second_process_under_the_same_static_id_fences_the_first(broker, kind):
    topic = Topic(broker.bootstrap)
    first = open_on(topic, kind, member="one")
    join(first)
    second = open_on(topic, kind, member="one")
    join(second)
    with pytest.raises(TransportError):
        wait_until(lambda: False, lambda: first.poll(0.05))
    with pytest.raises(TransportError, match="failed"):
        first.read(0, 1)
    first.close()
    second.close()


def test_a_static_member_that_comes_back_finds_its_partitions_at_once(broker, kind):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(3))
    with open_on(topic, kind, member="one") as reader:
        join(reader)
        assert reader.commit(0, 2)
    with open_on(topic, kind, member="one") as reader:
        assert offsets_of(read_until(reader, 1)[0]) == [2]


def test_an_owner_that_raises_ends_the_reader_and_closing_is_still_safe(broker, kind):
    topic = Topic(broker.bootstrap)

    def fail(*_):
        raise RuntimeError("the owner failed")

    reader = open_reader(settings_of(topic, "g"), Callbacks(on_assign=fail), kind=kind)
    with pytest.raises(RuntimeError, match="the owner failed"):
        join(reader)
    with pytest.raises(TransportError, match="failed"):
        reader.poll()
    reader.close()
    reader = open_reader(settings_of(topic, "h"), Callbacks(on_revoke=fail), kind=kind)
    join(reader)
    with pytest.raises(RuntimeError, match="the owner failed"):
        reader.close()
    with pytest.raises(TransportError, match="closed"):
        reader.poll()


def test_binary_cloud_events_become_structured_ones_and_only_by_consume(broker):
    topic = Topic(broker.bootstrap)
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"7"), ("trace", None)]
    topic.write([b'{"model": "m"}'], headers=headers)
    topic.write([b'{"plain": 1}', None])
    with open_on(topic, "auto", unwrap=structured) as reader:
        assert reader.kind == "consume"
        values = [v for chunk in read_until(reader, 3)[0] for v in payloads(chunk)]
    assert values == [
        b'{"specversion":"1.0","id":"7","data":{"model": "m"}}',
        b'{"plain": 1}',
        b"",
    ]
    with pytest.raises(TransportError, match="headers"):
        open_on(topic, "bulk", unwrap=structured)


FAILURES = {
    "a field elsewhere": (gather, "LENGTH", 36),
    "the handle elsewhere": (librdkafka, "_HANDLE_AT", 24),
    "no such library": (librdkafka, "_mappings", list),
    "a function missing": (librdkafka, "_SIGNATURES", {"rd_kafka_no_such": (None, ())}),
    "kernels switched off": (librdkafka.numba.config, "DISABLE_JIT", 1),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_self_check_that_fails_falls_back_and_says_so_once(broker, monkeypatch, caplog, failure):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(3))
    monkeypatch.setattr(*FAILURES[failure])
    monkeypatch.setattr(reader_module, "_SAID", set())
    with caplog.at_level(logging.WARNING, logger="driftline.kafka"):
        for group in ("a", "b"):
            with open_on(topic, "auto", group) as reader:
                assert reader.kind == "consume"
                assert offsets_of(read_until(reader, 3)[0]) == [0, 1, 2]
    said = [r for r in caplog.records if "reading with consume()" in r.getMessage()]
    assert len(said) == 1
    with pytest.raises(TransportError, match="self-check"):
        open_on(topic, "bulk", "c")


def test_the_self_check_passes_here_and_bulk_is_what_is_chosen(broker):
    topic = Topic(broker.bootstrap)
    with open_on(topic, "auto") as reader:
        assert reader.kind == "bulk"


@pytest.mark.slow
def test_a_million_messages_leave_memory_as_it_was(broker, kind):
    topic = Topic(broker.bootstrap)
    topic.write([b"x" * 200] * 100_000)
    with open_on(topic, kind, queue_bytes=4 << 20) as reader:
        sizes = []
        for _ in range(12):
            n = sum(len(c) for c in read_until(reader, 100_000)[0])
            assert n == 100_000
            sizes.append(resident_bytes())
            reader.seek(0, 0)
    # The least of three: the process has other threads, and a chunk takes 20 MB for a moment.
    # Seven rounds lie between the two, so a leak of 18 bytes a message is found.
    assert min(sizes[9:]) - min(sizes[2:5]) < 12 << 20


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.slow
def test_closing_in_any_state_and_order_never_crashes_the_process(broker, kind):
    """In a process of its own: a crash there is a failure here."""
    topic = Topic(broker.bootstrap, n_partitions=3)
    for partition in range(3):
        topic.write([b"x" * 300] * 5_000, partition)
    module = "tests.support.kafka.closings"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", module, topic.bootstrap, topic.name, kind],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-6_000:]
    assert done.stdout.splitlines()[-1] == "closed them all"


def test_an_empty_read_has_the_shape_of_a_chunk(broker, kind):
    topic = Topic(broker.bootstrap)
    with open_on(topic, kind) as reader:
        for chunk in (reader.read(0, 10), reader.read_records(0, 10).chunk):
            assert len(chunk) == 0
            assert chunk.offsets.tolist() == [0]
            assert chunk.offsets.dtype == chunk.record_time_us.dtype == np.int64
