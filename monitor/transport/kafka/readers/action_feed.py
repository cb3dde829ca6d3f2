"""Reads the topic of actions for every partition that detect owns."""

from __future__ import annotations

from typing import Self

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka import Message as KafkaMessage

from monitor.core.topics import ACTIONS
from monitor.transport.kafka.client_log import CLIENT_LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.types import Message

_BATCH = 500


class ActionFeed:
    """All actions of the topic, in log order, kept in memory: persons write few.

    A consumer without a group: every worker reads the whole topic, and each partition takes
    what its states do not contain yet.

    Parameters
    ----------
    cluster : Cluster
        Its topic of actions is read from the beginning.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._messages: list[Message] = []
        self._consumer = Consumer(
            {
                **cluster.client(),
                # Required by the client, unused: the consumer joins no group and commits nothing.
                "group.id": cluster.group("driftline-scan"),
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 500,
                "queued.max.messages.kbytes": 1_024,
                "reconnect.backoff.max.ms": 1_000,
            },
            logger=CLIENT_LOG,
        )
        self._consumer.assign([TopicPartition(cluster.topic(ACTIONS), 0, 0)])

    def poll(self) -> None:
        """Read new actions without waiting; nothing while the broker is unavailable."""
        while got := self._consumer.consume(_BATCH, 0):
            for message in got:
                self._take(message)

    def since(self, offset: int) -> list[Message]:
        """Return the actions from an offset on."""
        if not self._messages or self._messages[-1].offset < offset:
            return []
        return [message for message in self._messages if message.offset >= offset]

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, message: KafkaMessage) -> None:
        """Keep a message; the client repeats a failed read by itself."""
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                CLIENT_LOG.warning("actions: %s", error.str())
            return
        kind, time_ms = message.timestamp()
        time_us = time_ms * 1_000 if kind and time_ms >= 0 else -1
        found = message.offset() or 0, message.key() or b"", message.value() or b"", time_us
        self._messages.append(Message(*found))
