"""Partitions that are ours for a while: bounds over all of them, and nothing of a past owner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.clock import elapsed_s
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.core.state.writes import WritePhase
from monitor.core.topics import PANES, RESULTS
from monitor.core.write import Write
from monitor.detect import owned as under_test
from monitor.detect.owned import OwnedPartitions
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.readers import topic_scan
from monitor.transport.types import Message

ALL = frozenset(range(4))
BOUND_S = 0.2


class FakeRules:
    """Says its owner's name whenever it is asked."""

    def __init__(self, owner: str) -> None:
        self.position, self.owner = 0, owner

    def restore(self, state: SnapshotStore) -> list[WritePhase]:
        return []

    def hear(self, message: Message) -> Iterable[list[WritePhase]]:
        return self.say()

    def say(self) -> Iterable[list[WritePhase]]:
        return [[WritePhase("detect:results", [Write(RESULTS, b"", self.owner.encode())])]]


class OwnedSite:
    """Partitions over an empty log; what is written is kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[bytes | None] = []
        self.door = asyncio.Event()
        self.door.set()
        cluster: Any = Cluster("nowhere:9092")
        self.owned: OwnedPartitions[FakeRules] = OwnedPartitions(
            None,  # type: ignore[arg-type]
            cluster,
            PANES,
            Lifecycle("detect"),
            lambda _, owner: FakeRules(owner),
        )
        monkeypatch.setattr(under_test, "send", self._send)
        monkeypatch.setattr(under_test, "scan", lambda *_, **__: iter(()))
        monkeypatch.setattr(under_test, "log_extent", lambda *_: (0, 0))
        monkeypatch.setattr(under_test, "_REVOKE_S", BOUND_S)
        monkeypatch.setattr(under_test, "_END_S", BOUND_S)

    async def _send(self, _app: object, _cluster: object, writes: Iterable[Write]) -> None:
        await self.door.wait()
        self.written += [write.value for write in writes]

    async def begin(self) -> None:
        await self.owned.on_assigned(ALL)
        async with asyncio.timeout(10):
            while not self.owned.is_ready:
                await asyncio.sleep(0)


async def timed(ending: Awaitable[None]) -> float:
    begin_s = elapsed_s()
    await ending
    return elapsed_s() - begin_s


@pytest.fixture(name="play")
def _play(monkeypatch) -> Callable[[Callable[[OwnedSite], Awaitable[None]]], None]:
    async def run(story: Callable[[OwnedSite], Awaitable[None]]) -> None:
        await story(OwnedSite(monkeypatch))

    return lambda story: asyncio.run(run(story))


def test_messages_in_hand_are_given_up_by_one_bound_however_many_partitions_go(play):
    async def story(site: OwnedSite) -> None:
        await site.begin()
        site.door.clear()
        taking = [asyncio.create_task(site.owned.write(p, FakeRules.say)) for p in ALL]
        await asyncio.sleep(0.02)
        assert await timed(site.owned.on_revoked(ALL)) < 2 * BOUND_S
        for task in taking:
            task.cancel()

    play(story)


def test_restorations_are_given_up_by_one_bound_however_many_there_are(play, monkeypatch):
    async def story(site: OwnedSite) -> None:
        async def forever(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(site.owned, "_read", forever)
        await site.owned.on_assigned(ALL)
        await asyncio.sleep(0.02)
        assert await timed(site.owned.end()) < 2 * BOUND_S

    play(story)


def test_what_time_brings_about_is_said_by_the_rules_of_the_present_owner(play):
    async def story(site: OwnedSite) -> None:
        await site.begin()
        ((_, past), *_) = site.owned.ready()
        await site.owned.on_revoked(ALL)
        await site.begin()
        await site.owned.write(0, FakeRules.say)
        ((_, present), *_) = site.owned.ready()
        assert present.owner != past.owner
        assert site.written == [present.owner.encode()]

    play(story)


def test_a_partition_without_a_leader_is_asked_again(monkeypatch):
    answers: list[Any] = [KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)), (3, 9)]

    class Client:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def get_watermark_offsets(self, *_: object, **__: object) -> tuple[int, int]:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def poll(self, _: float) -> None:
            pass

        def close(self) -> None:
            pass

    monkeypatch.setattr(topic_scan, "Consumer", Client)
    assert topic_scan.log_extent(Cluster("nowhere:9092"), PANES, 0) == (3, 9)
