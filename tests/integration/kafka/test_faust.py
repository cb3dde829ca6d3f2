"""Faust as every stage runs it, on a real broker: order, acks, deaths, logins, waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest
from aiokafka import TopicPartition as AiokafkaTP
from aiokafka.errors import NotEnoughReplicasAfterAppendError
from aiokafka.producer.sender import SendProduceReqHandler
from confluent_kafka import Consumer, Producer, TopicPartition

from monitor.core.write import Write
from monitor.devkit.dev_broker import DevBroker
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.auth.secret import SecretSource
from monitor.transport.kafka.auth.security import KafkaSecurity, Mechanism
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.faust import app as faust_app
from monitor.transport.kafka.faust.app import build_app, read_topic, run_app, send
from monitor.transport.kafka.faust.client import FETCH_WAIT_MS
from monitor.transport.kafka.readers.topic_scan import scan
from schemas.errors import TransportError
from tests.support.certificates import make_certificates
from tests.support.kafka.broker import require_kafka
from tests.support.kafka.messages import create_topic
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.integration]


class Relay:
    """Copies one topic into another, in a thread."""

    def __init__(self, cluster: Cluster, *topics: str, dies_at: int = -1, **options) -> None:
        self.cluster, self.dies_at = cluster, dies_at
        self.lifecycle = Lifecycle("relay")
        self.taken: list[tuple[str, int, bytes, float]] = []
        self.gained: list[frozenset[int]] = []
        self.lost: list[frozenset[int]] = []
        self.error: BaseException | None = None
        self.app = build_app(cluster, "relay", member=options.pop("member", None))
        for topic in topics:
            read_topic(
                self.app,
                cluster.topic(topic),
                self._taker(topic),
                on_assigned=self._gain,
                on_revoked=self._lose,
            )
        self.thread = threading.Thread(target=self._run, kwargs=options, daemon=True)
        self.thread.start()

    def _taker(self, topic: str):
        async def take(partition, message):
            if len(self.taken) == self.dies_at:
                raise ValueError("on order")
            await send(
                self.app,
                self.cluster,
                [
                    Write("out", b"k", message.value, 0, 1_700_000_000_123_999),
                    Write("out", message.value, None, 0),
                ],
            )
            self.taken.append((topic, partition, message.value, time.monotonic()))

        return take

    async def _gain(self, partitions):
        self.gained.append(partitions)

    async def _lose(self, partitions):
        self.lost.append(partitions)

    def _run(self, **options) -> None:
        try:
            run_app(self.app, self.lifecycle, **options)
        except BaseException as error:
            self.error = error

    def values(self) -> list[bytes]:
        return [value for _, _, value, _ in self.taken]

    def wait(self, n: int) -> None:
        wait_until(lambda: len(self.taken) >= n or not self.thread.is_alive(), 60, f"{n} messages")
        assert self.error is None

    def wait_ready(self) -> None:
        wait_until(lambda: self.lifecycle.is_ready or not self.thread.is_alive(), 60, "readiness")
        assert self.error is None, self.error

    def drain(self) -> None:
        self.lifecycle.drain()
        self.thread.join(60)
        assert not self.thread.is_alive()
        assert self.error is None


@pytest.fixture
def cluster(broker, topic_prefix):
    made = Cluster(broker.bootstrap, prefix=topic_prefix, session_timeout_ms=6_000)
    for name, n in (("in", 2), ("quiet", 1), ("out", 1)):
        create_topic(broker.bootstrap, made.topic(name), n)
    return made


def write(
    cluster: Cluster,
    topic: str,
    values: Iterable[bytes],
    partition: int = 0,
    producer: Producer | None = None,
) -> None:
    # Half a second each: an idempotent producer asks for its id again after that long.
    own = {**cluster.client(), "linger.ms": 0, "enable.idempotence": True}
    producer = producer or Producer(own)
    for value in values:
        producer.produce(cluster.topic(topic), value, partition=partition)
        producer.poll(0)
    assert producer.flush(30) == 0


def committed(cluster: Cluster, partition: int) -> int:
    consumer = Consumer({**cluster.client(), "group.id": cluster.group("relay")})
    try:
        place = TopicPartition(cluster.topic("in"), partition)
        return consumer.committed([place], timeout=30)[0].offset
    finally:
        consumer.close()


def numbers(first: int, last: int) -> list[bytes]:
    return [b"%d" % i for i in range(first, last)]


def test_batches_of_every_codec_are_read(cluster):
    relay = Relay(cluster, "in")
    sent = []
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        # Long enough that a client compresses the batch.
        values = [b"%s %d %s" % (codec.encode(), i, b"x" * 200) for i in range(50)]
        producer = Producer({**cluster.client(), "compression.type": codec, "linger.ms": 100})
        write(cluster, "in", values, producer=producer)
        sent += values
    relay.wait(len(sent))
    relay.drain()
    assert relay.values() == sent


@pytest.mark.slow
def test_messages_are_taken_in_order_written_in_order_and_committed_when_drained(cluster):
    relay = Relay(cluster, "in")
    relay.wait_ready()
    write(cluster, "in", numbers(0, 200), 0)
    relay.wait(200)
    relay.drain()
    assert relay.values() == numbers(0, 200)
    out = list(scan(cluster, cluster.topic("out").removeprefix(cluster.prefix), 0))
    assert [m.value for m in out if m.value] == numbers(0, 200)
    assert [m.key for m in out if not m.value] == numbers(0, 200)
    assert {m.timestamp_us for m in out if m.value} == {1_700_000_000_123_000}
    assert committed(cluster, 0) == 200
    again = Relay(cluster, "in")
    again.wait_ready()
    write(cluster, "in", [b"new"], 0)
    again.wait(1)
    again.drain()
    assert again.values() == [b"new"]


def test_what_take_raises_ends_the_run_and_the_message_comes_again(cluster):
    write(cluster, "in", numbers(0, 50), 0)
    relay = Relay(cluster, "in", dies_at=20)
    relay.thread.join(60)
    assert isinstance(relay.error, ValueError)
    assert committed(cluster, 0) <= 20
    again = Relay(cluster, "in")
    wait_until(lambda: b"49" in again.values(), 60, "the rest")
    again.drain()
    assert again.values()[0] in numbers(0, 21)
    assert again.values() == numbers(50 - len(again.taken), 50)


@pytest.mark.slow
def test_a_worker_that_joins_takes_partitions_over_and_nothing_is_left_out(cluster):
    first = Relay(cluster, "in", member="one")
    first.wait_ready()
    for p in (0, 1):
        write(cluster, "in", [b"%d-%d" % (p, i) for i in range(100)], p)
    second = Relay(cluster, "in", member="two")
    second.wait_ready()
    wait_until(lambda: bool(second.gained and second.gained[-1]), 60, "a partition of its own")
    assert first.lost[-1] == {0, 1}
    for p in (0, 1):
        write(cluster, "in", [b"%d-%d" % (p, i) for i in range(100, 200)], p)
    expected = {b"%d-%d" % (p, i) for p in (0, 1) for i in range(200)}
    wait_until(lambda: {*first.values(), *second.values()} == expected, 60, "all of it")
    first.drain()
    second.drain()


def test_what_a_rebalance_drops_before_the_first_commit_is_read_again(cluster, monkeypatch):
    gain = Relay._gain

    async def gain_behind_the_log(relay, partitions):
        # As after a fetch whose messages Faust dropped, because the group rebalanced meanwhile.
        for p in partitions:
            relay.app.consumer._thread._consumer.seek(AiokafkaTP(cluster.topic("in"), p), 20)
        await gain(relay, partitions)

    monkeypatch.setattr(Relay, "_gain", gain_behind_the_log)
    for p in (0, 1):
        write(cluster, "in", [b"%d-%d" % (p, i) for i in range(20)], p)
    relay = Relay(cluster, "in")
    relay.wait(40)
    relay.drain()
    assert set(relay.values()) == {b"%d-%d" % (p, i) for p in (0, 1) for i in range(20)}


def test_a_quiet_topic_does_not_hold_up_a_busy_one(cluster):
    relay = Relay(cluster, "in", "quiet")
    relay.wait_ready()
    producer, latencies_s = Producer({**cluster.client(), "linger.ms": 0}), []
    for i in range(5):
        # More than one poll takes: the next fetch leaves this partition out, and the message
        # after them waits until the fetch for the others comes back.
        write(cluster, "in", [b"burst"] * 600, producer=producer)
        relay.wait(601 * i + 600)
        write(cluster, "in", [b"%d" % i], producer=producer)
        written_s = time.monotonic()
        relay.wait(601 * i + 601)
        latencies_s.append(relay.taken[-1][3] - written_s)
    fetcher = relay.app.consumer._thread._consumer._fetcher
    relay.drain()
    # With Faust's own fetch wait of 1.5 s the median was .24 s on an idle machine, now .02 s.
    assert fetcher._fetch_max_wait_ms == FETCH_WAIT_MS
    assert sorted(latencies_s)[len(latencies_s) // 2] < 0.5


def test_commits_that_stand_still_end_the_run(cluster, monkeypatch):
    async def commit(*_, **__):
        return False

    relay = Relay(cluster, "in", stuck_s=1.0)
    relay.wait_ready()
    monkeypatch.setattr(relay.app.consumer, "commit", commit)
    write(cluster, "in", numbers(0, 5))
    relay.thread.join(60)
    assert isinstance(relay.error, TransportError)
    assert "has not moved" in str(relay.error)


def answer_like_too_few_replicas(monkeypatch, are_too_few: threading.Event) -> None:
    """Put the error into the answers to writes: one node alone has always enough of them."""
    handle = SendProduceReqHandler.handle_response

    def worse(self, response):
        if are_too_few.is_set():
            code = NotEnoughReplicasAfterAppendError.errno
            response.topics = [
                (topic, [(partition, code, *rest) for partition, _, *rest in answers])
                for topic, answers in response.topics
            ]
        handle(self, response)

    monkeypatch.setattr(SendProduceReqHandler, "handle_response", worse)


def test_a_write_without_enough_replicas_is_reported_until_it_succeeds(cluster, monkeypatch):
    monkeypatch.setattr(faust_app, "WRITE_S", 2.0)
    are_too_few = threading.Event()
    answer_like_too_few_replicas(monkeypatch, are_too_few)
    relay = Relay(cluster, "in")
    try:
        relay.wait_ready()
        are_too_few.set()
        write(cluster, "in", numbers(0, 3))
        wait_until(lambda: not relay.lifecycle.is_ready, 60, "the word")
        assert relay.lifecycle.why_unready == "a write waits for the broker"
        assert relay.taken == []
        are_too_few.clear()
        relay.wait(3)
        relay.wait_ready()
    finally:
        relay.drain()
    assert relay.values() == numbers(0, 3)


@pytest.mark.slow
def test_a_short_absence_of_the_broker_loses_nothing(new_broker, topic_prefix):
    broker = new_broker().start()
    cluster = Cluster(broker.bootstrap, prefix=topic_prefix, session_timeout_ms=6_000)
    for name in ("in", "out"):
        create_topic(broker.bootstrap, cluster.topic(name), 1)
    relay = Relay(cluster, "in")
    relay.wait_ready()
    write(cluster, "in", numbers(0, 100))
    relay.wait(50)
    broker.stop()
    broker.start()
    write(cluster, "in", numbers(100, 200))
    wait_until(lambda: set(relay.values()) == set(numbers(0, 200)), 90, "all of it")
    relay.drain()


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "TLS"])
def test_it_logs_in(topic_prefix, monkeypatch, mechanism, certificates, login_broker):
    monkeypatch.setenv("RELAY_PASSWORD", "correct-horse")
    if mechanism == "TLS":
        listener, security = "ENCRYPTED", KafkaSecurity(is_tls=True, ca_file=certificates.ca)
    else:
        listener = "SECURE"
        security = KafkaSecurity(
            mechanism=Mechanism(mechanism),
            username="alice",
            password=SecretSource("RELAY_PASSWORD"),
            is_cleartext_allowed=True,
        )
    cluster = Cluster(login_broker.address(listener), prefix=topic_prefix, security=security)
    for name in ("in", "out"):
        create_topic(login_broker.bootstrap, cluster.topic(name), 1)
    relay = Relay(cluster, "in")
    write(cluster, "in", [b"x"])
    relay.wait(1)
    relay.drain()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def login_broker(certificates):
    require_kafka()
    modules = "org.apache.kafka.common.security"
    login = "listener.name.secure"
    with DevBroker(
        listeners={"SECURE": "SASL_PLAINTEXT", "ENCRYPTED": "SSL"},
        properties={
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(certificates.server),
            f"{login}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            f"{login}.plain.sasl.jaas.config": f"{modules}.plain.PlainLoginModule required "
            'user_alice="correct-horse";',
            f"{login}.scram-sha-256.sasl.jaas.config": f"{modules}.scram.ScramLoginModule "
            "required;",
        },
        format_arguments=["--add-scram", "SCRAM-SHA-256=[name=alice,password=correct-horse]"],
    ) as running:
        yield running
