"""Reads a group's committed offset without joining the group."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaException, TopicPartition

from monitor.transport.kafka.client_log import CLIENT_LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.retry import retry_transient
from schemas.errors import TransportError


def committed_offset(
    cluster: Cluster, group: str, topic: str, partition: int, timeout_s: float = 60.0
) -> int:
    """Return the committed offset of a group.

    Parameters
    ----------
    group, topic : str
        Without the prefix.

    Returns
    -------
    int
        0 if nothing is committed, or if the log ends before the offset: the topic was then
        recreated, and is read from its beginning.

    Raises
    ------
    TransportError
        If the broker does not answer in time.
    """
    where = TopicPartition(cluster.topic(topic), partition)
    consumer = Consumer(
        {**cluster.client(), "group.id": cluster.group(group), "enable.auto.commit": False},
        logger=CLIENT_LOG,
    )
    try:
        found = retry_transient(lambda: consumer.committed([where], timeout=timeout_s))[0].offset
        _, end = retry_transient(lambda: consumer.get_watermark_offsets(where, timeout=timeout_s))
    except KafkaException as error:
        raise TransportError(
            f"cannot read the committed offset: {error.args[0].str()}",
            where=f"{cluster.group(group)} on {where.topic}:{partition}",
            fix="check that the broker is running",
        ) from None
    finally:
        consumer.close()
    return found if 0 <= found <= end else 0
