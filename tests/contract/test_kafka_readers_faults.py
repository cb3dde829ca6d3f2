"""What both readers of a topic keep while members and brokers come, go and stay away."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from monitor.clock import elapsed_s
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.kafka.readers.reader import open_reader
from monitor.transport.kafka.settings import Callbacks
from tests.support.kafka.topics import (
    Topic,
    Watcher,
    join,
    numbered,
    open_on,
    read_until,
    settings_of,
    wait_until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(params=["bulk", "consume"])
def kind(request):
    return request.param


class GroupMember:
    """Reads, commits now and then, and remembers what each ownership brought."""

    def __init__(self, topic: Topic, kind: str, sessions: list):
        self.sessions, self.open, self.faults, self.n_steps = sessions, {}, [], 0
        callbacks = Callbacks(self.take, self.give, self.lose, on_fault=self.faults.append)
        self.reader = open_reader(settings_of(topic, "flow"), callbacks, kind=kind)

    def take(self, partition, committed):
        start = 0 if committed is None else committed.offset
        self.open[partition] = [partition, start, [], start]
        self.sessions.append(self.open[partition])
        return start

    def commit(self, partition):
        session = self.open[partition]
        end = session[2][-1] + 1 if session[2] else session[1]
        if self.reader.commit(partition, end, "m"):
            session[3] = end

    def give(self, partition):
        self.commit(partition)
        del self.open[partition]

    def lose(self, partition):
        del self.open[partition]

    def step(self):
        self.n_steps += 1
        self.reader.poll(0.01)
        for partition in self.reader.partitions:
            chunk = self.reader.read(partition, 2_000)
            if len(chunk):
                self.open[partition][2].extend(chunk.log_offset.tolist())
            if self.n_steps % 5 == 0 and partition in self.open:
                self.commit(partition)

    def has_read_all(self, ends: dict[int, int]) -> bool:
        owned = self.reader.partitions
        return owned == tuple(ends) and all(self.reader.position(p) == ends[p] for p in owned)


def check_exactly_once(sessions: list, ends: dict[int, int]) -> None:
    """Within committed positions every message was read once, and no ownership skipped any."""
    for partition, end in ends.items():
        own = [s for s in sessions if s[0] == partition]
        for _, start, offsets, _ in own:
            assert offsets == list(range(start, start + len(offsets)))
        kept = sorted(o for _, _, offsets, done in own for o in offsets if o < done)
        assert kept == list(range(end))


class FaultStream:
    """Messages that keep coming, round robin, and how many each partition has got."""

    def __init__(self, topic: Topic, producer: LogProducer):
        self.topic, self.producer = topic, producer
        self.ends = dict.fromkeys(range(topic.n_partitions), 0)

    def write(self, n: int):
        for k in range(n):
            partition = k % len(self.ends)
            self.producer.produce(self.topic.name, b"%d" % k, partition=partition)
            self.ends[partition] += 1
        self.producer.poll()


def test_members_come_and_go_while_messages_flow_and_nothing_is_lost_or_double(broker, kind):
    topic = Topic(broker.bootstrap, n_partitions=4)
    sessions: list = []
    with LogProducer(topic.client) as producer:
        stream = FaultStream(topic, producer)
        members = [GroupMember(topic, kind, sessions)]
        for round_ in range(6):
            members.append(GroupMember(topic, kind, sessions))

            def flow(bound=members[0].n_steps + 30 + 7 * round_):
                stream.write(240)
                for member in members:
                    member.step()
                return members[0].n_steps >= bound and all(m.reader.partitions for m in members)

            done: list[bool] = []
            wait_until(
                lambda done=done: any(done), lambda done=done, flow=flow: done.append(flow())
            )
            members.pop(round_ % 2).reader.close()
        producer.flush_acks(60)
        (last,) = members
        wait_until(lambda: last.has_read_all(stream.ends), last.step)
        assert all(last.reader.lag(p) == 0 for p in stream.ends)
        last.reader.close()
    assert len(sessions) >= 12
    check_exactly_once(sessions, stream.ends)


@pytest.mark.parametrize("away", ["a moment", "longer than the session"])
def test_a_broker_that_is_away_costs_nothing_but_time(new_broker, kind, away):
    sessions: list = []
    with new_broker() as broker:
        topic = Topic(broker.bootstrap, n_partitions=2)
        with LogProducer(topic.client) as producer:
            stream = FaultStream(topic, producer)
            member = GroupMember(topic, kind, sessions)
            stream.write(20_000)
            producer.flush_acks(60)
            wait_until(lambda: sum(len(s[2]) for s in sessions) > 4_000, member.step)
            broker.stop()
            stream.write(5_000)
            wait_until(lambda: member.faults, member.step)
            if away != "a moment":
                until_s = elapsed_s() + 8
                wait_until(lambda: elapsed_s() > until_s, member.step)
            broker.start()
            producer.flush_acks(120)
            wait_until(lambda: member.has_read_all(stream.ends), member.step, 120)
            member.reader.close()
    check_exactly_once(sessions, stream.ends)


def test_a_member_that_timed_out_learns_that_it_lost_its_partitions(broker, kind):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(10))
    client = {"max.poll.interval.ms": "6000"}
    watcher = Watcher()
    with open_on(topic, kind, watcher=watcher, client=client) as sleeper:
        read_until(sleeper, 10)
        with open_on(topic, kind) as other:
            # The sleeper does not poll: the group waits for it, then goes on without.
            join(other)
            assert not sleeper.commit(0, 10)
            assert sleeper.commit(0, 9) is False
            wait_until(lambda: watcher.lost, lambda: sleeper.poll(0.05))
            assert len(sleeper.read(0, 10)) == 0
    assert watcher.lost == [0]
    assert watcher.revoked == []


SMALL_CLIENT = {
    "message.max.bytes": "900000",
    "fetch.max.bytes": "900000",
    "receive.message.max.bytes": "1000000",
}
"""A client that unpacks a megabyte instead of a hundred."""


def write_together(topic: Topic, values: list[bytes]) -> None:
    """Write values as one record batch of zstd."""
    settings = {"compression.type": "zstd", "message.max.bytes": 50_000_000, "linger.ms": 500}
    producer = Producer({**topic.client, **settings})
    for value in values:
        producer.produce(topic.name, value, partition=0)
    assert producer.flush(60) == 0


def test_what_the_client_cannot_unpack_is_skipped_and_reported(broker, kind):
    topic, watcher = Topic(broker.bootstrap), Watcher()
    topic.write(numbered(3))
    write_together(topic, [bytes(3_000_000)] * 3)
    topic.write(numbered(3, first=6))
    write_together(topic, [bytes(3_000_000)])
    topic.write(numbered(1, first=10))
    with open_on(topic, kind, watcher=watcher, client=SMALL_CLIENT) as reader:
        join(reader)
        found = []

        def step():
            reader.poll(0.05)
            found.extend(reader.read(0, 100).log_offset.tolist())

        wait_until(lambda: found and found[-1] == 10, step)
    assert found == [0, 1, 2, 6, 7, 8, 10]
    assert [u.offset for u in watcher.unreadable] == [3, 4, 5, 9]
    assert not watcher.gaps
