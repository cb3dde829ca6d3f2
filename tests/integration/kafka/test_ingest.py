"""Ingest on a real broker: what it leaves on the panes topic is what a batch job finds."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from monitor.core import topics as names
from monitor.core.windowing.codec import decode_all
from monitor.core.windowing.intake_message import NOT_PANES
from monitor.core.windowing.watermark import Commit
from monitor.core.windowing.watermark_message import KEY_PREFIX, WatermarkMessage, parse
from monitor.decode import chunk_of, decode_gpu
from monitor.ingest.stage import GROUP
from monitor.transport.kafka.cluster import Cluster
from schemas.alerts import Alert
from tests.support.arrow_poison import POISON
from tests.support.kafka.ingest_member import IngestMember, MemberKilledError
from tests.support.kafka.outputs import StageOutcome, Topics
from tests.support.scenario.batch_oracle import Batch, Record, batch_of
from tests.support.scenario.fault_run import create_topics
from tests.support.waiting import wait_until
from tests.support.worlds.fault import (
    MODELS,
    TIMING,
    WINDOW_US,
    FaultEvent,
    FaultWorld,
    catalog,
    recent_start_us,
)

pytestmark = [pytest.mark.kafka, pytest.mark.integration]

N_PARTITIONS, N_PANES = 3, 2
MAX_MESSAGE_BYTES = 1_000_000
"""That a broker takes."""
READ = (names.PREDICTIONS, names.PANES, names.DEAD_LETTERS, names.LATE, names.ALERTS)


class IngestSite:
    """Topics of a test, and what is written to them."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.cluster = Cluster(bootstrap, prefix=prefix, session_timeout_ms=6_000)
        create_topics(bootstrap, prefix, N_PARTITIONS, N_PANES)
        with Topics(bootstrap, prefix, (*READ, names.BASELINES)) as every:
            wait_until(lambda: is_led(every), 60, "leaders")
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True}
        )
        self.topics = Topics(bootstrap, prefix, READ)
        self.outcome = StageOutcome()

    def write(self, sent: list[FaultEvent]) -> None:
        """Write predictions, with their record times; all lie in the log on return."""
        for one in sent:
            if one.topic == names.PREDICTIONS:
                self._producer.produce(
                    self.cluster.topic(one.topic),
                    one.value,
                    partition=one.partition,
                    timestamp=one.record_us // 1_000,
                )
                self._producer.poll(0)
        assert self._producer.flush(60) == 0

    def update(self) -> StageOutcome:
        """Read what there is now."""
        self.topics.update()
        return self.outcome.catch_up(self.topics)

    def words(self) -> list[WatermarkMessage]:
        """Return every watermark one partition of the panes topic has heard, in order."""
        self.topics.update()
        heard = self.topics.partitions(names.PANES)[0]
        return [parse(m.value) for m in heard if m.key.startswith(KEY_PREFIX)]

    def commits(self) -> dict[int, Commit]:
        """Return the group's commits."""
        places = [
            TopicPartition(self.cluster.topic(names.PREDICTIONS), p) for p in range(N_PARTITIONS)
        ]
        consumer = Consumer({**self.cluster.client(), "group.id": self.cluster.group(GROUP)})
        try:
            answers = consumer.committed(places, timeout=30)
            return {
                a.partition: Commit.parse(a.offset, a.metadata) for a in answers if a.offset >= 0
            }
        finally:
            consumer.close()

    def is_read_to(self, ends: dict[int, int]) -> bool:
        """Whether the commits cover every message."""
        commits = self.commits()
        return all(p in commits and commits[p].position >= end for p, end in ends.items())

    def ends(self) -> dict[int, int]:
        """Return where the source partitions end."""
        self.topics.update()
        return {p: len(m) for p, m in self.topics.partitions(names.PREDICTIONS).items()}

    def wait_read(self) -> None:
        """Return when the commits cover everything that is written."""
        ends = self.ends()
        wait_until(lambda: self.is_read_to(ends), 60, f"commits up to {ends}")

    def batches(self) -> dict[int, Batch]:
        """Return what a batch job finds in each source partition."""
        return {
            p: batch_of((Record(m.offset, m.value, m.timestamp_us) for m in found), MODELS, TIMING)
            for p, found in self.topics.partitions(names.PREDICTIONS).items()
        }

    def check(self) -> None:
        """Compare panes, dead letters and late events with the batch job."""
        outcome = self.update()
        source = self.cluster.identity(names.PREDICTIONS).topic_id
        for partition, batch in self.batches().items():
            check_panes(outcome, source, partition, batch)
            assert {
                offset: reason
                for (s, p, offset, _), (reason, _) in outcome.dead.items()
                if (s, p) == (source, partition)
            } == batch.dead
            assert {
                offset: wm for s, p, offset, _, wm in outcome.late if (s, p) == (source, partition)
            } == batch.late


def is_led(topics: Topics) -> bool:
    """Whether every partition answers: the metadata names leaders that are not ready."""
    try:
        topics.update()
    except KafkaException:
        return False
    return True


def check_panes(outcome: StageOutcome, source: str, partition: int, batch: Batch) -> None:
    """Every pane the watermark has passed is there, with the rows of every segment and slice."""
    found = {}
    for name, pane in outcome.panes.items():
        if (name.source, name.partition) != (source, partition):
            continue
        for stats in (pane.segments, pane.slices):
            for i, segment in enumerate(stats.segments):
                place = (name.series.model, name.series.model_version, name.start_us, segment)
                n = (stats.n_rows[i], stats.n_predicted[i], stats.n_positive[i])
                found[place] = tuple(map(int, n))
    expected = {
        tuple(place): cell.counts
        for part in ("panes", "slices")
        for place, cell in batch.passed(part, TIMING.pane_us).items()
    }
    assert expected
    assert {place: found.get(place) for place in expected} == expected
    assert all(place in batch.panes or place in batch.slices for place in found)


@pytest.fixture
def site(broker, topic_prefix) -> IngestSite:
    return IngestSite(broker.bootstrap, topic_prefix)


def windows(world: FaultWorld, n: int) -> list[FaultEvent]:
    return [one for _ in range(n) for one in world.next_window()]


def world() -> FaultWorld:
    return FaultWorld(recent_start_us(), n_partitions=N_PARTITIONS)


def test_every_partition_of_the_gpu_topic_gets_the_serving_hosts(site):
    site.write(windows(world(), 2))
    with IngestMember(site.cluster, catalog()):
        site.wait_read()
    with Topics(site.cluster.bootstrap, site.cluster.prefix, (names.GPU,)) as topics:
        topics.update()
        found = topics.partitions(names.GPU)
    sent = b"".join(
        m.value for part in site.topics.partitions(names.PREDICTIONS).values() for m in part
    )
    served = {host.decode() for host in re.findall(rb'"host": ?"(node-[0-9]+)"', sent)}
    assert len(found) == N_PANES
    assert served
    for messages in found.values():
        events, rejects = decode_gpu(chunk_of([m.value for m in messages], "t"), has_signs=True)
        assert {event.host for _, _, event in events} == served
        assert all(event.is_host_activity for _, _, event in events)
        assert rejects == ()


def test_panes_late_events_and_dead_letters_are_those_of_a_batch_job(site):
    stream = world()
    site.write([*windows(stream, 8), *stream.ending()])
    with IngestMember(site.cluster, catalog()):
        site.wait_read()
    site.check()
    assert not site.outcome.repeated[names.DEAD_LETTERS]
    owners = {w.owner for w in site.words()}
    assert len(owners) == N_PARTITIONS


def test_panes_go_to_their_models_partition_and_watermarks_to_all(site):
    stream = world()
    site.write([*windows(stream, 3), *stream.ending()])
    with IngestMember(site.cluster, catalog()):
        site.wait_read()
    heard: dict[int, dict[int, int]] = {}
    where: dict[str, set[int]] = {}
    site.topics.update()
    for partition, message in site.topics.of(names.PANES):
        if message.key.startswith(KEY_PREFIX):
            word = parse(message.value)
            assert word.n_partitions == N_PARTITIONS
            heard.setdefault(partition, {})[word.partition] = word.watermark_us
        elif not message.key.startswith(NOT_PANES):
            for pane in decode_all([message.value]):
                where.setdefault(pane.series.model, set()).add(partition)
    ends = {p: b.watermark_us for p, b in site.batches().items()}
    assert heard == dict.fromkeys(range(N_PANES), ends)
    assert all(len(partitions) == 1 for partitions in where.values())
    assert set().union(*where.values()) == set(range(N_PANES))


def test_a_restarted_member_goes_on_from_the_commit_and_repeats_nothing(site):
    stream = world()
    for _ in range(3):
        site.write(windows(stream, 2))
        with IngestMember(site.cluster, catalog()):
            site.wait_read()
    site.write(stream.ending())
    with IngestMember(site.cluster, catalog()):
        site.wait_read()
    site.check()
    assert not site.outcome.repeated[names.DEAD_LETTERS]
    assert not site.outcome.repeated[names.LATE]


STEPS = (
    "ingest:dead_letter",
    "ingest:late",
    "ingest:pane",
    "ingest:intake",
    "ingest:watermark",
    "ingest:flush",
    "ingest:acked",
    "ingest:commit",
)


def dying(step: str, nth: int) -> Callable[[str], None]:
    seen = []

    def hit(name: str) -> None:
        seen.append(name)
        if seen.count(step) == nth and name == step:
            raise MemberKilledError(step)

    return hit


def test_dying_at_each_step_changes_nothing(site):
    stream = world()
    for nth in (1, 2):
        for step in STEPS:
            site.write(windows(stream, 2))
            died = IngestMember(site.cluster, catalog(), dying(step, nth)).wait_end()
            assert isinstance(died, MemberKilledError), died
    site.write(stream.ending())
    with IngestMember(site.cluster, catalog()):
        site.wait_read()
    site.check()
    assert len({w.owner for w in site.words()}) > N_PARTITIONS


@pytest.mark.slow
def test_members_that_join_and_leave_under_load_lose_nothing(site):
    stream = world()
    first = IngestMember(site.cluster, catalog()).wait_ready()
    site.write(windows(stream, 3))
    with IngestMember(site.cluster, catalog()) as second:
        second.wait_ready()
        site.write(windows(stream, 3))
        wait_until(lambda: len({w.owner for w in site.words()}) > N_PARTITIONS, 60, "a rebalance")
        first.stop()
        site.write(windows(stream, 3))
        with IngestMember(site.cluster, catalog(), dying("ingest:watermark", 5)) as third:
            third.error = None
            site.write(windows(stream, 3))
            assert isinstance(third.wait_end(), MemberKilledError)
            third.error = None
        site.write([*windows(stream, 1), *stream.ending()])
        site.wait_read()
    site.check()


def one_event(i: int, time_us: int, **changes: object) -> bytes:
    event = {"id": str(i), "model": "alpha", "time_us": time_us, "features": {"a": 1.0}}
    return msgspec.json.encode({**event, **changes})


def plain(values: list[bytes], record_us: int, partition: int = 0) -> list[FaultEvent]:
    return [FaultEvent(names.PREDICTIONS, partition, b"", v, record_us) for v in values]


def test_a_recreated_topic_is_read_from_its_beginning(site, caplog):
    stream = world()
    site.write([*windows(stream, 2), *stream.ending()])
    with IngestMember(site.cluster, catalog()):
        site.wait_read()
    old = site.cluster.identity(names.PREDICTIONS).topic_id
    commits = site.commits()
    assert {c.source for c in commits.values()} == {old}
    name = site.cluster.topic(names.PREDICTIONS)
    site.topics.close()
    admin = AdminClient({"bootstrap.servers": site.cluster.bootstrap})
    admin.delete_topics([name])[name].result(30)
    make_again(admin, name)
    restore_commits(site, commits)
    site.topics = Topics(site.cluster.bootstrap, site.cluster.prefix, READ)
    site.outcome = StageOutcome()
    again = FaultWorld(stream.start_us, seed=5, n_partitions=N_PARTITIONS)
    site.write([*windows(again, 2), *again.ending()])
    with caplog.at_level("WARNING", "driftline.kafka"), IngestMember(site.cluster, catalog()):
        source = site.cluster.identity(names.PREDICTIONS).topic_id
        ends = site.ends()
        wait_until(
            lambda: (
                site.is_read_to(ends) and {c.source for c in site.commits().values()} == {source}
            ),
            60,
            "the new topic read",
        )
    assert source != old
    assert "the topic was recreated" in caplog.text
    site.check()


def make_again(admin: AdminClient, name: str) -> None:
    """Create a topic as soon as the broker has forgotten the old one."""
    settings = {"message.timestamp.type": "CreateTime"}

    def is_made() -> bool:
        made = admin.create_topics([NewTopic(name, N_PARTITIONS, 1, config=settings)])
        try:
            made[name].result(30)
        except KafkaException:
            return False
        return True

    wait_until(is_made, 30, "the recreated topic")


def restore_commits(site: IngestSite, commits: dict[int, Commit]) -> None:
    """Commit for the group as it had: a broker may forget a deleted topic's commits or not."""
    topic = site.cluster.topic(names.PREDICTIONS)
    consumer = Consumer({**site.cluster.client(), "group.id": site.cluster.group(GROUP)})
    try:
        consumer.commit(
            offsets=[TopicPartition(topic, p, c.offset, c.metadata()) for p, c in commits.items()],
            asynchronous=False,
        )
    finally:
        consumer.close()


def test_an_idle_partition_says_so_publishes_what_it_holds_and_ends_with_the_next_event(site):
    models = catalog()
    for key, config in models.configs.items():
        window = config.window.model_copy(update={"idle_us": 1_500_000})
        models.configs[key] = config.model_copy(update={"window": window})
    start_us = recent_start_us()
    site.write(plain([one_event(i, start_us) for i in range(3)], start_us))

    def said(partition: int) -> list[bool]:
        return [w.is_idle for w in site.words() if w.partition == partition]

    with IngestMember(site.cluster, models):
        wait_until(lambda: said(0)[-1:] == [True] and said(1)[-1:] == [True], 60, "idle")
        assert said(0)[0] is False
        (pane,) = site.update().panes.values()
        assert pane.segments.n_rows.tolist() == [3]
        site.write(plain([one_event(9, start_us + 1)], start_us))
        wait_until(lambda: False in said(0)[said(0).index(True) :], 30, "an event again")
        wait_until(lambda: said(0)[-1:] == [True], 30, "idle again")
    (pane,) = site.update().panes.values()
    assert pane.segments.n_rows.tolist() == [4]


def test_dead_letters_beyond_the_cap_are_counted_and_alerted_once(site):
    start_us = recent_start_us() // 60_000_000 * 60_000_000
    minute = 60_000_000
    bad = [one_event(i, start_us, features={"a": "x"}) for i in range(1_500)]
    site.write(plain(bad, start_us))
    site.write(plain(bad[:1_200], start_us + minute))
    site.write(plain([b"?"] * 10, start_us + minute))
    site.write(plain([one_event(1, start_us + 4 * minute)], start_us + 4 * minute))
    with IngestMember(site.cluster, catalog()):
        site.wait_read()
    outcome = site.update()
    assert len(outcome.dead) == 2_010
    alerts = [msgspec.msgpack.decode(m.value, type=Alert) for _, m in site.topics.of(names.ALERTS)]
    assert [(a.transition.value, (a.time_us - start_us) // minute) for a in alerts] == [
        ("opened", 0),
        ("resolved", 3),
    ]
    assert {(a.monitor, a.severity.value, a.model) for a in alerts} == {
        ("pipeline", "ticket", "alpha")
    }


def test_poison_between_good_events_is_one_dead_letter_each_and_stops_nothing(site):
    start_us = recent_start_us()
    poison = [p for p in POISON.values() if len(p[0]) < MAX_MESSAGE_BYTES]
    messages, reasons = [], {}
    for i, (message, reason, _) in enumerate(poison):
        messages += [one_event(2 * i, start_us), message, one_event(2 * i + 1, start_us)]
        reasons[3 * i + 1] = str(reason)
    site.write(plain(messages, start_us))
    site.write(plain([one_event(1, start_us + 240_000_000)], start_us + 240_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with IngestMember(site.cluster, catalog()) as member:
        site.wait_read()
        assert member.is_running
    outcome = site.update()
    assert {offset: reason for (_, _, offset, _), (reason, _) in outcome.dead.items()} == reasons
    rows = [
        int(pane.segments.n_rows[pane.segments.segments.index("*")])
        for name, pane in outcome.panes.items()
        if name.start_us < start_us + 120_000_000
    ]
    assert sum(rows) == 2 * len(poison)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 << 10


def test_events_that_retention_took_are_a_gap_and_no_pane_of_theirs_changes(site, caplog):
    stream = world()
    site.write(windows(stream, 3))
    with IngestMember(site.cluster, catalog()):
        site.wait_read()
    before = {k: p.pane_version for k, p in site.update().panes.items()}
    site.write(windows(stream, 3))
    low = site.ends()
    site.write([*windows(stream, 10), *stream.ending()])
    admin = AdminClient({"bootstrap.servers": site.cluster.bootstrap})
    topic = site.cluster.topic(names.PREDICTIONS)
    deleted = admin.delete_records([TopicPartition(topic, p, end) for p, end in low.items()])
    for future in deleted.values():
        future.result(30)
    with caplog.at_level("WARNING", "driftline.kafka"), IngestMember(site.cluster, catalog()):
        site.wait_read()
    assert "are lost to retention" in caplog.text
    after = site.update().panes
    assert {k: after[k].pane_version for k in before} == before
    last_us = max(k.start_us for k in before)
    skipped_us = 3 * WINDOW_US + TIMING.skew_us
    starts = [k.start_us for k in after if k not in before]
    assert starts
    assert min(starts) > last_us + skipped_us // 2
