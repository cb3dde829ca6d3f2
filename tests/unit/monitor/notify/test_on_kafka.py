"""The notify stage on Kafka, as far as it can be known without a broker."""

from __future__ import annotations

import asyncio
import threading

import pytest

from monitor.notify import on_kafka as under_test
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.topic_identity import TopicIdentity
from monitor.transport.kafka.topics import known as known_topics
from schemas.config.monitor import MonitorConfig
from schemas.errors import TransportError

BOUND_S = 10.0


class FakeBroker:
    """Answers what the alerts topic is, when its door is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.topic_id, self.n_asked = "first", 0
        self.door = threading.Event()
        self.door.set()
        monkeypatch.setattr(Cluster, "identity", lambda _, name, **__: self._identity(name))

    def _identity(self, name: str) -> TopicIdentity:
        self.n_asked += 1
        assert self.door.wait(BOUND_S)
        return TopicIdentity(self.topic_id, 1)


async def tick_until(stage: under_test._Stage, is_so) -> None:
    async with asyncio.timeout(BOUND_S):
        while not is_so():
            await stage.tick()
            await asyncio.sleep(0)


def test_recreated_alerts_end_the_stage_and_no_tick_waits_for_the_answer(monkeypatch):
    broker = FakeBroker(monkeypatch)
    monkeypatch.setattr(known_topics, "LOOK_S", 0.0)

    async def story() -> None:
        cluster, lifecycle = Cluster("nowhere:9092"), Lifecycle("notify")
        stage = under_test._Stage(cluster, None, lifecycle, MonitorConfig(), [], {}, {})  # type: ignore[arg-type]
        await tick_until(stage, lambda: broker.n_asked > 3)
        broker.door.clear()
        n_asked = broker.n_asked
        await tick_until(stage, lambda: broker.n_asked > n_asked)
        # Its heartbeat continues while the broker keeps silent: else nothing might be sent.
        for _ in range(5):
            before_s = stage._stall_detector._beat_s
            await stage.tick()
            assert stage._stall_detector._beat_s > before_s
        assert broker.n_asked == n_asked + 1
        broker.topic_id = "second"
        broker.door.set()
        with pytest.raises(TransportError, match="first is now second"):
            await tick_until(stage, lambda: False)

    asyncio.run(story())
