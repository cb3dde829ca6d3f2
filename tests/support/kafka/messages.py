"""Writing to a topic and reading it back, with confluent-kafka."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.support.waiting import wait_until


def create_topic(
    bootstrap: str, name: str, n_partitions: int = 1, settings: dict[str, Any] | None = None
) -> None:
    """Create a topic and wait until the broker shows it, with a leader everywhere."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **(settings or {})})
    # The first poll lets a client that logs in with tokens ask for one.
    admin.poll(0)
    for future in admin.create_topics([NewTopic(name, n_partitions, 1)]).values():
        future.result(timeout=30)

    def is_led() -> bool:
        partitions = admin.list_topics(name, timeout=30).topics[name].partitions
        return len(partitions) == n_partitions and all(p.leader >= 0 for p in partitions.values())

    wait_until(is_led, what=f"topic {name}")


def produce_all(
    bootstrap: str, topic: str, values: Sequence[bytes], settings: dict[str, Any] | None = None
) -> None:
    """Write values to partition 0; every one is acknowledged on return."""
    refused: list[Any] = []
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, **(settings or {})}
    )
    for value in values:
        producer.produce(
            topic, value, partition=0, on_delivery=lambda error, _: error and refused.append(error)
        )
    assert producer.flush(30) == 0, "not all acknowledged"
    assert not refused, refused


def consume_all(
    bootstrap: str, topic: str, n: int, settings: dict[str, Any] | None = None
) -> list[bytes]:
    """Read the first ``n`` values of partition 0."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, **(settings or {})})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        values: list[bytes] = []
        while len(values) < n:
            messages = consumer.consume(n - len(values), timeout=30)
            assert messages, f"{len(values)} of {n} messages came"
            for message in messages:
                assert message.error() is None, message.error()
                values.append(message.value())
        return values
    finally:
        consumer.close()
