"""Reads and writes the baselines topic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from monitor.core.topics import BASELINES
from monitor.core.windowing.baseline_codec import BaselineParts, message_parts, parse_key
from monitor.core.write import Write
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.kafka.readers.topic_scan import scan
from schemas.baselines import Baseline
from schemas.errors import BaselineError

_ACK_S = 60.0


@dataclass(slots=True)
class Published:
    """A baseline on the topic."""

    baselines: dict[str, Baseline] = field(default_factory=dict)
    """Baselines by ID, in order of publication."""
    keys: dict[str, list[bytes]] = field(default_factory=dict)
    """Message keys by ID."""
    unreadable: list[str] = field(default_factory=list)
    """Errors of messages that cannot be decoded as baselines."""


def read_published(cluster: Cluster, timeout_s: float = 15.0) -> Published:
    """Read the topic to its end.

    Parameters
    ----------
    timeout_s : float, optional
        Time-out for the next message.

    Returns
    -------
    Published

    Raises
    ------
    TransportError
        If the broker does not answer, or there is no such topic.
    """
    found, parts = Published(), BaselineParts()
    for message in scan(cluster, BASELINES, 0, timeout_s=timeout_s):
        try:
            profile_id, _, _ = parse_key(message.key)
            if not message.value:
                found.baselines.pop(profile_id, None)
                found.keys.pop(profile_id, None)
                parts.forget(profile_id)
                continue
            keys = found.keys.setdefault(profile_id, [])
            keys += [message.key] if message.key not in keys else []
            baseline = parts.add(message.key, message.value)
        except BaselineError as error:
            found.unreadable.append(f"offset {message.offset}: {error}")
            continue
        if baseline is not None:
            found.baselines[baseline.profile_id] = baseline
    return found


def write_baselines(cluster: Cluster, baselines: Iterable[Baseline]) -> int:
    """Write baselines and wait for the acknowledgements.

    Parameters
    ----------
    baselines : iterable of Baseline
        Baselines with their IDs.

    Returns
    -------
    int
        Number of messages written.

    Raises
    ------
    BaselineError
        If one is too large; nothing is written then.
    TransportError
        If the broker does not acknowledge.
    """
    messages = [part for baseline in baselines for part in message_parts(baseline)]
    return _write(cluster, messages)


def delete_baseline(cluster: Cluster, keys: Sequence[bytes]) -> int:
    """Delete a baseline: write a tombstone for each of its messages.

    Raises
    ------
    TransportError
        If the broker does not acknowledge.
    """
    return _write(cluster, [(key, None) for key in keys])


def _write(cluster: Cluster, messages: Sequence[tuple[bytes, bytes | None]]) -> int:
    """Write to the only partition, and wait for the acknowledgements."""
    if messages:
        with LogProducer(cluster.client(), message_timeout_s=_ACK_S) as producer:
            for key, value in messages:
                producer.append(cluster, Write(BASELINES, key, value, 0))
            producer.flush_acks(_ACK_S)
    return len(messages)
