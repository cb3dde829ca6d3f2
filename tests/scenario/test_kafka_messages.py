"""Messages that are duplicated, out of order, unreadable, or from a recreated topic."""

from __future__ import annotations

import random
import threading

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from monitor.core import topics as names
from tests.support.scenario.fault_run import FaultRun
from tests.support.scenario.forked_stages import SILENCE_VARIABLE
from tests.support.scenario.rare_input import (
    GARBAGE,
    await_internal_letters,
    check_internal_letters,
)
from tests.support.waiting import wait_until
from tests.support.worlds.fault import POISON_EVERY

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.slow]


class Copier(threading.Thread):
    """Writes the messages of a topic again in another order, like replays and zombies."""

    def __init__(self, run: FaultRun, topic: str, n_partitions: int, seed: int = 0) -> None:
        super().__init__(daemon=True)
        self._name = run.prefix + topic
        client = {"bootstrap.servers": run.bootstrap}
        self._consumer = Consumer({**client, "group.id": f"{run.prefix}copier"})
        self._consumer.assign([TopicPartition(self._name, p, 0) for p in range(n_partitions)])
        self._producer = Producer(client)
        self._random, self._is_over = random.Random(seed), threading.Event()
        self.n_copied, self._seen = 0, set()

    def run(self) -> None:
        """Copy each message once, a hundred at a time, shuffled."""
        while not self._is_over.is_set():
            got = [m for m in self._consumer.consume(100, 0.2) if m.error() is None]
            fresh = [m for m in got if (m.partition(), m.key(), m.value()) not in self._seen]
            self._random.shuffle(fresh)
            for m in fresh:
                self._seen.add((m.partition(), m.key(), m.value()))
                kept = {"partition": m.partition(), "timestamp": m.timestamp()[1]}
                self._producer.produce(self._name, m.value(), m.key(), **kept)
                self.n_copied += 1
            self._producer.flush(10)

    def stop(self) -> None:
        """Stop when every copy is in the log."""
        self._is_over.set()
        self.join()
        self._consumer.close()
        assert self._producer.flush(30) == 0


@pytest.mark.timeout(600)
def test_panes_and_alerts_come_twice_and_in_another_order(
    broker, topic_prefix, nursery, database, tmp_path
):
    with FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery, store=database) as run:
        copiers = [Copier(run, names.PANES, run.n_keyed), Copier(run, names.ALERTS, 1)]
        for copier in copiers:
            copier.start()
        for stage in ("ingest", "detect", "notify", "archive"):
            run.start(stage, f"{stage}-1")
        run.await_ready()
        run.feed(16, pause_s=0.2)
        # The copies of the last panes arrive after their windows have closed.
        run.write(run.world.ending())
        expected = run.expected()
        run.await_all(expected, 120)
        wait_until(lambda: all(c.n_copied for c in copiers), 30, "copies")
        for copier in copiers:
            copier.stop()
        run.await_all(expected, 60)
        run.stop_all()
        run.look()
        assert run.found.repeated[names.PANES] > 50
        assert run.found.repeated[names.ALERTS] > 5
        run.check(expected)


@pytest.mark.timeout(600)
def test_poison_in_every_batch_and_in_every_internal_topic(
    broker, topic_prefix, nursery, database, tmp_path
):
    with FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery, store=database) as run:
        for stage in ("ingest", "detect", "notify", "archive"):
            run.start(stage, f"{stage}-1")
        run.await_ready()
        ours = (names.PANES, names.ALERTS, names.GPU, names.LABELS, names.RESULTS, names.LATE)
        for _ in range(3):
            run.feed(4)
            for topic in ours:
                run.write_garbage(topic, GARBAGE)
        expected = run.settle()
        await_internal_letters(run)
        run.stop_all()
        run.look()
        # Every chunk of predictions contains one.
        n_dead = len(expected.outcome.dead)
        assert run.n_written[names.PREDICTIONS] / n_dead < POISON_EVERY
        run.check(expected)
        check_internal_letters(run)


@pytest.mark.timeout(600)
def test_a_topic_that_is_recreated(broker, topic_prefix, nursery, database, tmp_path):
    with FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery, store=database) as run:
        for stage in ("ingest", "detect", "notify", "archive"):
            run.start(stage, f"{stage}-1", **{SILENCE_VARIABLE: "8"})
        run.await_ready()
        run.feed(6)
        run.settle()
        with run.keeping():
            run.remake_predictions()
            run.feed(6, pause_s=0.2)
            expected = run.settle(timeout_s=180)
        assert len({source for source, _ in expected.batches}) == 2
        run.stop_all()
        run.look()
        run.check(expected)
