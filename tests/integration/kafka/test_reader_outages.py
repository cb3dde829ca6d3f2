"""A reader whose broker has just come back: its first answers are not its last."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from monitor.transport.kafka import retry
from schemas.errors import TransportError
from tests.support.kafka.topics import Topic, numbered, open_on, payloads, read_until

pytestmark = [pytest.mark.kafka, pytest.mark.integration]


class Waking:
    """A client to which the broker answers as it does in its first moments."""

    def __init__(self, client: Any, code: int, n_times: int) -> None:
        self._client, self._code = client, code
        self._left = {"committed": n_times, "get_watermark_offsets": n_times}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def committed(self, *arguments: Any, **options: Any) -> Any:
        return self._answer("committed", *arguments, **options)

    def get_watermark_offsets(self, *arguments: Any, **options: Any) -> Any:
        return self._answer("get_watermark_offsets", *arguments, **options)

    def _answer(self, name: str, *arguments: Any, **options: Any) -> Any:
        if self._left[name] > 0:
            self._left[name] -= 1
            raise KafkaException(KafkaError(self._code))
        return getattr(self._client, name)(*arguments, **options)


@pytest.mark.parametrize("code", [KafkaError.NOT_COORDINATOR, KafkaError._UNKNOWN_PARTITION])
def test_a_partition_is_taken_over_though_the_broker_does_not_know_it_yet(broker, code):
    topic = Topic(broker.bootstrap)
    topic.write(numbered(10))
    with open_on(topic, "bulk") as reader:
        waking = reader._consumer = Waking(reader._consumer, code, 2)
        found = read_until(reader, 10)
        assert [value for chunk in found[0] for value in payloads(chunk)] == numbered(10)
        assert set(waking._left.values()) == {0}


def test_a_broker_that_never_knows_ends_the_reader(broker, monkeypatch):
    monkeypatch.setattr(retry.retry_transient, "__defaults__", (0.3,))
    topic = Topic(broker.bootstrap)
    with open_on(topic, "bulk") as reader:
        reader._consumer = Waking(reader._consumer, KafkaError.NOT_COORDINATOR, 10_000)
        with pytest.raises(TransportError, match="the group's commits are unknown"):
            read_until(reader, 1)


def test_what_waiting_does_not_mend_is_raised_at_once(broker):
    topic = Topic(broker.bootstrap)
    with open_on(topic, "bulk") as reader:
        code = KafkaError.GROUP_AUTHORIZATION_FAILED
        waking = reader._consumer = Waking(reader._consumer, code, 2)
        with pytest.raises(TransportError, match="the group's commits are unknown"):
            read_until(reader, 1)
        assert waking._left["committed"] == 1
