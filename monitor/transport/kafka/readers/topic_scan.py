"""Reads a range of one partition without a group, for restoring state at start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from monitor.clock import elapsed_s
from monitor.transport.kafka.client_log import CLIENT_LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.types import Message
from schemas.errors import TransportError

_BATCH = 1_000
_TICK_S = 0.5
_RETRY_S = 0.1
_NO_LEADER = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}
LASTING = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._AUTHENTICATION,
}
"""Errors that waiting does not fix.

``KafkaError.retriable()`` cannot be used: for an error built from the code of a lost connection or
a missing leader it is False too (not checked for errors that a client returned).
"""


def scan(
    cluster: Cluster,
    topic: str,
    partition: int,
    start: int = 0,
    end: int | None = None,
    *,
    timeout_s: float = 60.0,
) -> Iterator[Message]:
    """Read messages of one partition, in log order, from ``start`` up to ``end``.

    Parameters
    ----------
    topic : str
        One of ``monitor.core.topics``; the prefix is added here.
    start : int, optional
        Offsets deleted by retention or compaction are skipped.
    end : int, optional
        Exclusive; by default the end of the log at the time of the call.
    timeout_s : float, optional
        Time-out for the next message before ``end`` is reached.

    Yields
    ------
    Message
        Tombstones have an empty value. Offsets need not be consecutive: compaction leaves gaps, and
        the end is determined by position, not by counting.

    Raises
    ------
    TransportError
        If the broker does not answer in time, or denies the request.
    """
    with _opened(cluster, topic, partition) as (consumer, where):
        low, high = log_ends(consumer, where, timeout_s)
        start, stop = max(start, low), high if end is None else min(end, high)
        if start < stop:
            where.offset = start
            consumer.assign([where])
            yield from _read(consumer, start, stop, f"{where.topic}:{partition}", timeout_s)


def log_extent(
    cluster: Cluster, topic: str, partition: int, timeout_s: float = 60.0
) -> tuple[int, int]:
    """Return a partition's first offset and its end offset; raises like :func:`scan`."""
    with _opened(cluster, topic, partition) as (consumer, where):
        return log_ends(consumer, where, timeout_s)


@contextmanager
def _opened(
    cluster: Cluster, topic: str, partition: int
) -> Iterator[tuple[Consumer, TopicPartition]]:
    """Open a consumer without a group for one partition; its errors name the partition."""
    where = TopicPartition(cluster.topic(topic), partition)
    consumer = Consumer(
        {
            **cluster.client(),
            "group.id": cluster.group("driftline-scan"),
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
        },
        logger=CLIENT_LOG,
    )
    try:
        yield consumer, where
    except KafkaException as error:
        raise TransportError(
            f"cannot be read: {error.args[0].str()}",
            where=f"{where.topic}:{partition}",
            fix="check that the broker is running, and run `driftline topics check`",
        ) from None
    finally:
        consumer.close()


def log_ends(consumer: Consumer, where: TopicPartition, timeout_s: float) -> tuple[int, int]:
    """Request a log's first and end offset; retries, because a new topic has no leader yet.

    Raises
    ------
    KafkaException
        If the broker denies the request, or does not answer in time.
    """
    deadline = elapsed_s() + timeout_s
    while True:
        try:
            low, high = consumer.get_watermark_offsets(where, timeout=timeout_s)
            return low, high
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER or elapsed_s() > deadline:
                raise
            consumer.poll(_RETRY_S)


def _read(
    consumer: Consumer, start: int, stop: int, place: str, timeout_s: float
) -> Iterator[Message]:
    """Yield messages until the position reaches ``stop`` or the log ends."""
    position, deadline = start, elapsed_s() + timeout_s
    while position < stop:
        for got in consumer.consume(_BATCH, _TICK_S):
            error = got.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return
            if error is not None and (error.fatal() or error.code() in LASTING):
                raise KafkaException(error)
            if error is not None:
                continue
            offset, deadline = got.offset() or 0, elapsed_s() + timeout_s
            position = offset + 1
            if offset < stop:
                kind, time_ms = got.timestamp()
                time_us = time_ms * 1_000 if kind and time_ms >= 0 else -1
                yield Message(offset, got.key() or b"", got.value() or b"", time_us)
        if elapsed_s() > deadline:
            raise TransportError(
                f"nothing came for {timeout_s:.0f} s, {stop - position} offsets before the end",
                where=place,
                fix="check that the broker is running",
            )
