"""Orphaned partitions: assigned to no member of the group; how they are reassigned.

A static member may die after it has revoked a partition and before the group knows
of it. Started again within its session, it gets its previous assignment: the group
is stable, and the partition has no owner until its membership changes. Seen on Apache
Kafka 4.1.1 with librdkafka's cooperative-sticky: unread for as long as it was observed. A
member that joins temporarily makes the group assign them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from confluent_kafka import Consumer, ConsumerGroupState, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from monitor.clock import elapsed_s
from monitor.transport.kafka.client_log import CLIENT_LOG, LOG
from monitor.transport.kafka.settings import ReaderSettings

LOOK_S = 10.0
_ASK_S = 10.0
_JOIN_S = 30.0


def orphaned_partitions(
    admin: AdminClient, group: str, topic: str, n_partitions: int
) -> frozenset[int]:
    """Return the partitions of a topic that no member of a stable group owns.

    Returns
    -------
    frozenset of int
        Empty also while the group is dividing partitions, or has no members.

    Raises
    ------
    confluent_kafka.KafkaException, TimeoutError
        If the broker does not answer, or denies access.
    """
    asked = admin.describe_consumer_groups([group], request_timeout=_ASK_S)
    found = asked[group].result(_ASK_S + 1)
    if found.state != ConsumerGroupState.STABLE or not found.members:
        return frozenset()
    owned = {
        place.partition
        for member in found.members
        for place in (member.assignment.topic_partitions if member.assignment else ())
        if place.topic == topic
    }
    return frozenset(range(n_partitions)) - owned


def force_rebalance(settings: ReaderSettings, is_over: Callable[[], bool]) -> None:
    """Join the group temporarily as one more member, which forces a rebalance.

    It reads nothing and commits nothing. Its partitions are reassigned when it leaves:
    after it was admitted, after 30 s, or as soon as ``is_over`` returns True.
    """
    config = {**settings.consumer_config(), "client.id": f"{settings.client_id}-divide"}
    config.pop("group.instance.id", None)
    joined: list[bool] = []

    def on_assign(consumer: Consumer, _: Iterable[TopicPartition]) -> None:
        joined.append(True)
        consumer.incremental_assign([])

    consumer = Consumer(config, logger=CLIENT_LOG)
    try:
        consumer.subscribe([settings.topic], on_assign=on_assign)
        deadline = elapsed_s() + _JOIN_S
        while not joined and not is_over() and elapsed_s() < deadline:
            consumer.poll(0.2)
    finally:
        consumer.close()


class OrphanWatch:
    """Background thread that checks every ten seconds; for readers that are static members.

    Parameters
    ----------
    n_partitions : callable
        Returns the current number of partitions of the topic.
    """

    def __init__(
        self, admin: AdminClient, settings: ReaderSettings, n_partitions: Callable[[], int]
    ) -> None:
        self._admin, self._settings, self._n_partitions = admin, settings, n_partitions
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="orphaned-partitions", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the checks; a temporary member leaves within a second."""
        self._is_over.set()

    def _run(self) -> None:
        """Check until closed; broker and group may be unavailable."""
        before: frozenset[int] = frozenset()
        while not self._is_over.wait(LOOK_S):
            found: frozenset[int] = frozenset()
            with suppress(KafkaException, TimeoutError):
                found = self._look()
            if found & before and not self._is_over.is_set():
                self._mend(found & before)
                found = frozenset()
            before = found

    def _look(self) -> frozenset[int]:
        settings = self._settings
        return orphaned_partitions(
            self._admin, settings.group, settings.topic, self._n_partitions()
        )

    def _mend(self, partitions: frozenset[int]) -> None:
        LOG.warning(
            "%s: partitions of group %s are orphaned: %s; forcing a rebalance",
            *(self._settings.topic, self._settings.group, sorted(partitions)),
        )
        with suppress(KafkaException):
            force_rebalance(self._settings, self._is_over.is_set)
