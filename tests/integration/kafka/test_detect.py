"""Detect on a real broker: finds what it finds in memory, whatever happens to its workers."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter

import pytest

from monitor.core.state.snapshot_store import SnapshotStore, state_writes
from monitor.core.topics import ALERTS, PANES, RESULTS, STATE
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.detect import stage as detect_rules
from monitor.detect.owned import OwnedPartitions
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.faust.app import build_app
from monitor.transport.kafka.topics import known as known_topics
from monitor.transport.types import Message
from schemas.errors import TransportError
from tests.support.kafka.detect import (
    DetectSite,
    alerts_of,
    in_memory,
    published,
    results_of,
    small_world,
)
from tests.support.waiting import wait_until
from tests.support.worlds.small import CONFIG

pytestmark = [pytest.mark.kafka, pytest.mark.integration]

ALL = 10**9
GPU_STEPS = ("gpu:state", "gpu:alert", "gpu:ack")
DRIFT_STEPS = (
    "detect:results",
    "detect:state",
    "detect:sweep",
    "detect:alert",
    "detect:ack",
    "detect:restored",
)


class Death(Exception):
    """Simulates a crash of the worker."""


def dies_at(step: str, n: int = 1):
    """Return a reach that raises at the n-th time a step is reached."""
    seen: Counter[str] = Counter()

    def hit(name: str) -> None:
        seen[name] += 1
        if name == step and seen[name] == n:
            raise Death(step)

    return hit


@pytest.fixture
def site(broker, topic_prefix):
    made = DetectSite(broker.bootstrap, topic_prefix)
    yield made
    made.close()


@pytest.fixture(scope="module", name="expected")
def _expected():
    log = in_memory(small_world(), published())
    return alerts_of(log.fetch(ALERTS, 0, 0, ALL)), results_of(log.fetch(RESULTS, 0, 0, ALL))


def wait_alerts(site: DetectSite, expected: dict) -> None:
    wait_until(lambda: site.alerts().keys() >= expected.keys(), 60, "every alert")


def wait_results(site: DetectSite, expected: dict) -> None:
    wait_until(lambda: site.results().keys() >= expected.keys(), 60, "every result")


@pytest.mark.slow
def test_it_finds_what_it_finds_in_memory_and_after_a_restart_adds_nothing(site, expected):
    alerts, results = expected
    worker = site.start(small_world().catalog).wait_ready()
    site.write_gpu(small_world())
    site.write_panes(published())
    wait_alerts(site, alerts)
    wait_results(site, results)
    worker.drain()
    assert site.alerts() == alerts
    assert site.results() == results
    again = site.start(small_world().catalog).wait_ready()
    again.drain()
    assert site.alerts() == alerts
    assert site.results() == results


@pytest.mark.slow
def test_it_dies_behind_each_step_and_finds_the_same(site, expected):
    alerts, results = expected
    site.write_gpu(small_world())
    for step in GPU_STEPS:
        dead = site.start(small_world().catalog, hit=dies_at(step))
        assert str(dead.wait_death()) == step
    site.write_panes(published())
    for step in DRIFT_STEPS:
        dead = site.start(small_world().catalog, hit=dies_at(step))
        assert str(dead.wait_death()) == step
    worker = site.start(small_world().catalog).wait_ready()
    wait_alerts(site, alerts)
    wait_results(site, results)
    worker.drain()
    assert site.alerts() == alerts
    assert site.results() == results


@pytest.mark.slow
def test_workers_that_join_and_leave_change_nothing(site, expected):
    alerts, results = expected
    panes = published()
    n = len(panes)
    first = site.start(small_world().catalog).wait_ready()
    site.write_gpu(small_world())
    site.write_panes(panes[: n // 3])
    second = site.start(small_world().catalog).wait_ready()
    site.write_panes(panes[n // 3 : 2 * n // 3])
    first.drain()
    site.write_panes(panes[2 * n // 3 :])
    wait_alerts(site, alerts)
    wait_results(site, results)
    second.drain()
    assert site.alerts() == alerts
    assert site.results() == results


@pytest.mark.slow
def test_a_recreated_topic_ends_the_worker_and_the_next_one_reads_it(site, expected, monkeypatch):
    _, results = expected
    panes = published()
    n = len(panes)
    worker = site.start(small_world().catalog).wait_ready()
    site.write_panes(panes[: n // 2])
    last_half = max(key[-1] for key in results)
    wait_until(lambda: bool(site.results()), 60, "the first results")
    monkeypatch.setattr(known_topics, "LOOK_S", 0.5)
    site.admin.delete_topics([site.cluster.topic(PANES)])[site.cluster.topic(PANES)].result(30)
    wait_until(lambda: site.is_gone(PANES), what="the deletion")
    site.create(PANES)
    assert "recreated" in str(worker.wait_death())
    monkeypatch.setattr(known_topics, "LOOK_S", 30.0)
    again = site.start(small_world().catalog).wait_ready()
    site.write_panes(panes[n // 2 :])
    wait_until(lambda: any(k[-1] == last_half for k in site.results()), 60, "the last window")
    again.drain()


@pytest.mark.slow
def test_a_silent_source_partition_opens_an_alert_that_resolves(site, monkeypatch):
    soon = functools.partial(detect_rules.SourceSilence, bound_s=2.0)
    monkeypatch.setattr(detect_rules, "SourceSilence", soon)
    worker = site.start(Catalog.of([CONFIG], [])).wait_ready()

    def speak(partition: int) -> None:
        word = WatermarkMessage("source", partition, 2, "o", 1_700_000_000_000_000)
        site.write(PANES, [(p, word.key(), word.encode()) for p in range(site.n_keyed)])

    def transitions() -> list[str]:
        speak(0)
        return [a.transition.value for a in site.alerts().values() if a.segment == "source|1"]

    wait_until(lambda: transitions() == ["opened"], 30, "the alert")
    speak(1)
    wait_until(lambda: "resolved" in transitions(), 30, "the end of it")
    worker.drain()
    assert {a.rule for a in site.alerts().values()} == {"pipeline_stalled"}


def test_a_half_written_state_on_the_topic_is_passed_over(site):
    large = bytes(range(256)) * 100
    states = [
        state_writes("model", ("t", "m"), "o", i, large + bytes([i]), 100, partition=0)
        for i in (1, 2)
    ]
    written = [*states[0], *states[1][:-1]]
    site.write(STATE, [(0, w.key, w.value) for w in written])
    snapshots = SnapshotStore()
    for message in site.read(STATE):
        snapshots.add(message.key, message.value)
    assert [s.sequence for s in snapshots.stored("model", ("t", "m"))] == [1]
    assert snapshots.last_sequence("model", ("t", "m")) == 2


def test_without_a_topic_it_says_which(site, broker):
    name = site.cluster.topic(STATE)
    site.admin.delete_topics([name])[name].result(30)
    wait_until(lambda: site.is_gone(STATE), what="the deletion")
    worker = site.start(small_world().catalog)
    error = worker.wait_death()
    assert isinstance(error, TransportError)
    assert name in str(error)


class RulesRecorder:
    """Rules that only note what they hear."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.heard: list[int] = []

    def restore(self, _: SnapshotStore) -> list:
        return []

    def hear(self, message: Message) -> tuple:
        self.heard.append(message.offset)
        self.position = message.offset + 1
        return ()


@pytest.mark.parametrize(("position", "first"), [(0, 0), (4, 4), (1_000, 0)])
def test_what_faust_leaves_out_is_read_and_what_it_repeats_is_passed_over(site, position, first):
    rules = RulesRecorder(position)
    app = build_app(site.cluster, "no-group")
    owned = OwnedPartitions(app, site.cluster, PANES, Lifecycle("detect"), lambda p, owner: rules)

    def write(n: int) -> None:
        site.write(PANES, [(0, b"k", b"v")] * n)

    async def live() -> None:
        write(10)
        await owned.on_assigned(frozenset({0}))
        assert not owned.is_ready
        await owned.take(0, Message(5, b"k", b"v", -1))
        assert owned.is_ready
        write(5)
        await owned.take(0, Message(12, b"k", b"v", -1))
        await owned.on_revoked(frozenset({0}))
        await owned.take(0, Message(13, b"k", b"v", -1))

    asyncio.run(live())
    assert rules.heard == [*range(first, 13)]
