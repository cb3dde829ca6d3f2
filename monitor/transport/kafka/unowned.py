"""Partitions that a group gave to nobody, and how it comes to divide them again.

A static member may die after it has given a partition back and before it has said so to
the group. Started again within its session, it is handed the assignment it had: the group
is stable, and the partition belongs to nobody until its membership changes. Seen on Apache
Kafka 4.1.1 with librdkafka's cooperative-sticky: unread for as long as one looked on. A
member that joins for a moment makes the group divide what there is.
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


def unowned(admin: AdminClient, group: str, topic: str, n_partitions: int) -> frozenset[int]:
    """Ask which partitions of a topic no member of a stable group owns.

    Returns
    -------
    frozenset of int
        Empty also while the group is dividing partitions, or has no members.

    Raises
    ------
    confluent_kafka.KafkaException, TimeoutError
        If there is no answer, or no right to it.
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


def divide_again(settings: ReaderSettings, is_over: Callable[[], bool]) -> None:
    """Join the group for a moment as one more member.

    It reads nothing and commits nothing. What it is given meanwhile is given on when it
    leaves: when it was taken in, after 30 s, or as soon as ``is_over`` says so.
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


class UnownedWatch:
    """Looks every ten seconds, in a thread of its own, while its owner is a static member.

    Parameters
    ----------
    admin : AdminClient
    settings : ReaderSettings
    n_partitions : callable
        How many partitions the topic has now.
    """

    def __init__(
        self, admin: AdminClient, settings: ReaderSettings, n_partitions: Callable[[], int]
    ) -> None:
        self._admin, self._settings, self._n_partitions = admin, settings, n_partitions
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="unowned", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more; a member that joined for a moment leaves within a second."""
        self._is_over.set()

    def _run(self) -> None:
        """Look until closed; broker and group may be away meanwhile."""
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
        return unowned(self._admin, settings.group, settings.topic, self._n_partitions())

    def _mend(self, partitions: frozenset[int]) -> None:
        LOG.warning(
            "%s: no member of %s owns partitions %s; the group divides them again",
            *(self._settings.topic, self._settings.group, sorted(partitions)),
        )
        with suppress(KafkaException):
            divide_again(self._settings, self._is_over.is_set)
