"""A topic that was deleted and recreated under its name is another one."""

from __future__ import annotations

import asyncio

import pytest

from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.topic_identity import TopicIdentity
from monitor.transport.kafka.topics import known as under_test
from monitor.transport.kafka.topics.known import KnownTopics
from schemas.errors import TransportError


class FakeTopics:
    """Topics whose ids are set by hand."""

    def __init__(self, monkeypatch, *names: str) -> None:
        self.ids: dict[str, str | None] = dict.fromkeys(names, "first")
        self.now_s, self.asked = 0.0, []
        monkeypatch.setattr(under_test, "elapsed_s", lambda: self.now_s)
        monkeypatch.setattr(Cluster, "identity", lambda _, name, **__: self._identity(name))

    def _identity(self, name: str) -> TopicIdentity:
        self.asked.append(name)
        found = self.ids[name]
        if found is None:
            raise TransportError("no such topic", where=name, fix="wait")
        return TopicIdentity(found, 1)

    async def look(self, topics: KnownTopics) -> None:
        """Look once, half a minute later, and hear what came of it."""
        self.now_s += 30.0
        topics.look()
        async with asyncio.timeout(10):
            await asyncio.wait([topics._looking])
        topics.look()


def test_a_recreated_topic_is_noticed_and_a_missing_one_is_not(monkeypatch):
    async def story() -> None:
        broker = FakeTopics(monkeypatch, "read", "named")
        topics = KnownTopics(Cluster("nowhere:9092", prefix="eu."), ["read"], followed=["named"])
        assert topics.ids == {"read": "first", "named": "first"}
        topics.look()
        assert topics._looking is None  # too soon
        await broker.look(topics)
        broker.ids = {"read": None, "named": "second"}
        await broker.look(topics)
        assert topics.ids == {"read": "first", "named": "second"}
        broker.ids["read"] = "second"
        with pytest.raises(TransportError, match="first is now second") as error:
            await broker.look(topics)
        assert "eu.read" in str(error.value)
        assert broker.asked == ["read", "named"] * 3 + ["read"]

    asyncio.run(story())


def test_a_topic_that_is_missing_at_the_start_is_an_error(monkeypatch):
    broker = FakeTopics(monkeypatch, "read")
    broker.ids["read"] = None
    with pytest.raises(TransportError, match="no such topic"):
        KnownTopics(Cluster("nowhere:9092"), ["read"])
