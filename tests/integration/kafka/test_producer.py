"""Writes to a real broker: acknowledged, or named."""

from __future__ import annotations

import random

import pytest

from monitor.core.write import Write
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.kafka.readers.topic_scan import scan
from monitor.transport.types import Message
from schemas.errors import TransportError
from tests.support.kafka.topics import Topic, open_on, payloads, read_until

pytestmark = [pytest.mark.kafka, pytest.mark.integration]


def test_every_write_is_acknowledged_with_its_offset_in_order(broker):
    topic = Topic(broker.bootstrap, n_partitions=2)
    acks = []
    with LogProducer(topic.client) as producer:
        for i in range(1_000):
            producer.produce(
                topic.name, b"%d" % i, partition=i % 2, on_ack=lambda p, o: acks.append((p, o))
            )
        producer.flush_acks(30)
        counts = producer.counts
        assert (counts.n_written, counts.n_acknowledged, counts.n_failed) == (1_000, 1_000, 0)
        assert counts.n_outstanding == 0
        assert counts.acknowledged_bytes == sum(len(str(i)) for i in range(1_000))
        assert counts.slowest_s > 0
    for partition in range(2):
        assert [o for p, o in acks if p == partition] == list(range(500))


def test_keys_tombstones_and_partitions_arrive_as_written(broker):
    topic = Topic(broker.bootstrap, n_partitions=3)
    with LogProducer(topic.client) as producer:
        producer.produce(topic.name, b"v", key=b"k", partition=2)
        producer.produce(topic.name, None, key=b"k", partition=2)
        producer.produce(topic.name, b"no key", partition=2)
    with open_on(topic, "bulk") as reader:
        read_until(reader, 3)
        reader.seek(2, 0)
        rows = []
        while len(rows) < 3:
            records = reader.read_records(2, 10, 5.0)
            rows += [(records.key(i), records.value(i)) for i in range(len(records))]
    assert rows == [(b"k", b"v"), (b"k", None), (None, b"no key")]


def test_an_appended_write_keeps_its_time_and_goes_to_the_clusters_topic(broker):
    topic = Topic(broker.bootstrap, n_partitions=2)
    prefix, name = topic.name[:3], topic.name[3:]
    cluster = Cluster(broker.bootstrap, prefix=prefix)
    with LogProducer(cluster.client()) as producer:
        producer.append(cluster, Write(name, b"k", b"v", 1, 1_700_000_000_123_999))
        producer.append(cluster, Write(name, b"k", None, 1))
        producer.flush_acks(30)
    dated, tombstone = scan(cluster, name, 1)
    assert dated == Message(0, b"k", b"v", 1_700_000_000_123_000)
    assert (tombstone.key, tombstone.value) == (b"k", b"")
    assert tombstone.timestamp_us > dated.timestamp_us


def test_flushing_with_nothing_written_returns_at_once(broker):
    with LogProducer({"bootstrap.servers": broker.bootstrap}) as producer:
        producer.flush_acks(0.0)


def test_a_full_queue_holds_the_writer_back_and_loses_nothing(broker):
    topic = Topic(broker.bootstrap)
    with LogProducer(topic.client, queue_messages=20) as producer:
        for i in range(2_000):
            producer.produce(topic.name, b"%d" % i, partition=0)
            assert producer.counts.n_outstanding <= 20
        producer.flush_acks(30)
        assert producer.counts.waited_s > 0
    with open_on(topic, "bulk") as reader:
        values = [v for chunk in read_until(reader, 2_000)[0] for v in payloads(chunk)]
    assert values == [b"%d" % i for i in range(2_000)]


def test_a_message_larger_than_the_broker_takes_is_refused_by_name(broker):
    topic = Topic(broker.bootstrap)
    with LogProducer(topic.client) as producer, pytest.raises(TransportError, match=topic.name):
        producer.produce(topic.name, b"x" * 2_000_000)


def test_what_only_the_broker_refuses_fails_the_flush_and_stays_failed(broker):
    topic = Topic(broker.bootstrap, config={"max.message.bytes": "1000"})
    producer = LogProducer(topic.client)
    acks = []
    incompressible = random.Random(1).randbytes(5_000)
    producer.produce(topic.name, incompressible, partition=0, on_ack=lambda *a: acks.append(a))
    with pytest.raises(TransportError, match=rf"1 writes failed: {topic.name}:0: .*too large"):
        producer.flush_acks(30)
    assert acks == []
    for again in (producer.poll, lambda: producer.flush_acks(1), lambda: producer.close(1)):
        with pytest.raises(TransportError, match="failed"):
            again()
    with pytest.raises(TransportError, match="failed"):
        producer.produce(topic.name, b"small", partition=0)


def test_an_unknown_topic_fails_by_name(broker):
    producer = LogProducer({"bootstrap.servers": broker.bootstrap}, message_timeout_s=2.0)
    producer.produce("no-such-topic", b"x", partition=0)
    with pytest.raises(TransportError, match="no-such-topic"):
        producer.flush_acks(60)


def test_what_an_acknowledgement_raises_surfaces_at_the_next_check(broker):
    topic = Topic(broker.bootstrap)
    producer = LogProducer(topic.client)

    def fail(partition, offset):
        raise KeyError("no such pane")

    producer.produce(topic.name, b"x", partition=0, on_ack=fail)
    with pytest.raises(KeyError, match="no such pane"):
        producer.flush_acks(30)


def test_writes_wait_for_a_broker_that_is_away_and_lie_in_the_log_once(new_broker):
    with new_broker() as broker:
        topic = Topic(broker.bootstrap)
        producer = LogProducer(topic.client)
        for i in range(100):
            producer.produce(topic.name, b"%d" % i, partition=0)
        producer.flush_acks(30)
        broker.kill()
        for i in range(100, 200):
            producer.produce(topic.name, b"%d" % i, partition=0)
        with pytest.raises(TransportError, match="100 writes are not acknowledged"):
            producer.flush_acks(0.5)
        assert producer.faults
        broker.start()
        producer.flush_acks(60)
        producer.close()
        with open_on(topic, "bulk") as reader:
            values = [v for chunk in read_until(reader, 200)[0] for v in payloads(chunk)]
    assert values == [b"%d" % i for i in range(200)]


def test_a_broker_that_never_comes_fails_after_the_bound_and_closing_returns():
    producer = LogProducer({"bootstrap.servers": "127.0.0.1:1"}, message_timeout_s=1.0)
    producer.produce("t", b"x", partition=0)
    with pytest.raises(TransportError, match="t:0"):
        producer.flush_acks(30)
    with pytest.raises(TransportError, match="failed"):
        producer.close(1.0)


def test_settings_that_are_refused_are_an_error_without_secrets():
    with pytest.raises(TransportError, match="settings are rejected") as caught:
        LogProducer({"sasl.password": "hunter2", "no.such.setting": "1"})
    assert "hunter2" not in str(caught.value)
