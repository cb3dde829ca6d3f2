"""Settings of a Kafka cluster that all stages share: address, name prefix, clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from monitor.transport.kafka.auth.security import KafkaSecurity, confluent_settings
from monitor.transport.kafka.settings import ReaderSettings
from monitor.transport.kafka.topic_identity import TopicIdentity, TopicWatch


@dataclass(frozen=True, slots=True)
class Cluster:
    """Address, name prefix and client settings of a cluster.

    Examples
    --------
    >>> cluster = Cluster("127.0.0.1:9092", prefix="eu.")
    >>> cluster.topic("driftline.panes"), cluster.group("driftline-ingest")
    ('eu.driftline.panes', 'eu.driftline-ingest')
    """

    bootstrap: str
    prefix: str = ""
    security: KafkaSecurity = field(default_factory=KafkaSecurity, repr=False)
    session_timeout_ms: int = 10_000

    def topic(self, name: str) -> str:
        """Return a topic's full name; ``name`` is one of ``monitor.core.topics``."""
        return self.prefix + name

    def group(self, name: str) -> str:
        """Return a consumer group's full name."""
        return self.prefix + name

    def client(self) -> dict[str, Any]:
        """Return the base configuration of librdkafka clients of this cluster; may hold secrets."""
        return {"bootstrap.servers": self.bootstrap, **confluent_settings(self.security)}

    def reader(self, topic: str, group: str, *, member: str | None = None) -> ReaderSettings:
        """Return the settings of one member of a group that reads a topic."""
        return ReaderSettings(
            self.topic(topic),
            self.group(group),
            self.client(),
            member=member,
            session_timeout_ms=self.session_timeout_ms,
        )

    def identity(self, topic: str, timeout_s: float = 30.0) -> TopicIdentity:
        """Request a topic's ID and its number of partitions.

        Raises
        ------
        TransportError
            If there is no such topic, or the broker does not answer in time.
        """
        watch = TopicWatch(self.client(), self.topic(topic), timeout_s)
        try:
            return watch.look()
        finally:
            watch.close()
