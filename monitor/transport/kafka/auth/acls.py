"""Access control lists of each role, as data.

``docs/security.md`` shows this table, and a test runs every role with exactly these rights against
a broker that denies everything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from monitor.core import topics


class Role(StrEnum):
    """Principals of the cluster."""

    PRODUCER = "producer"
    """A producer of events: the SDK, or any other client."""
    INGEST = "ingest"
    DETECT = "detect"
    NOTIFY = "notify"
    ARCHIVE = "archive"
    PUBLISHER = "publisher"
    """``driftline baseline publish``, ``list`` and ``retire``."""
    TOPICS = "topics"
    """``driftline topics create``, ``check`` and ``describe``."""


class Resource(StrEnum):
    """Resource type of a right."""

    TOPIC = "topic"
    GROUP = "group"


class Right(NamedTuple):
    """Operations on one resource; rights to read, write or alter include describe."""

    resource: Resource
    name: str
    operations: tuple[str, ...]
    is_prefix: bool = False
    """Whether ``name`` is a prefix (pattern type PREFIXED)."""


_READ, _WRITE, _BOTH, _DESCRIBE = ("read",), ("write",), ("read", "write"), ("describe",)
_SCAN, _BASELINES_GROUP = "driftline-scan", "driftline-profiles"
_ARCHIVED = (
    topics.PREDICTIONS,
    topics.LABELS,
    topics.GPU,
    topics.PANES,
    topics.RESULTS,
    topics.ALERTS,
    topics.NOTIFICATIONS,
    topics.DEAD_LETTERS,
    topics.LATE,
    topics.ACTIONS,
)

_TOPICS: dict[Role, dict[str, tuple[str, ...]]] = {
    Role.PRODUCER: {topics.PREDICTIONS: _WRITE, topics.LABELS: _WRITE, topics.GPU: _WRITE},
    Role.INGEST: {
        topics.PREDICTIONS: _READ,
        topics.BASELINES: _READ,
        topics.PANES: _WRITE,
        topics.GPU: _WRITE,
        topics.DEAD_LETTERS: _WRITE,
        topics.LATE: _WRITE,
        topics.ALERTS: _WRITE,
    },
    Role.DETECT: {
        topics.PANES: _READ,
        topics.GPU: _READ,
        topics.BASELINES: _READ,
        topics.ACTIONS: _READ,
        topics.STATE: _BOTH,
        topics.RESULTS: _WRITE,
        topics.ALERTS: _WRITE,
        topics.DEAD_LETTERS: _WRITE,
        topics.PREDICTIONS: _DESCRIBE,
    },
    Role.NOTIFY: {
        topics.ALERTS: _READ,
        topics.NOTIFICATIONS: _BOTH,
        topics.DEAD_LETTERS: _WRITE,
    },
    Role.ARCHIVE: {**dict.fromkeys(_ARCHIVED, _READ), topics.DEAD_LETTERS: _BOTH},
    Role.PUBLISHER: {
        topics.BASELINES: _BOTH,
        topics.ACTIONS: _WRITE,
        topics.NOTIFICATIONS: _READ,
    },
    Role.TOPICS: {},
}
_GROUPS: dict[Role, tuple[str, ...]] = {
    Role.INGEST: ("driftline-ingest", _BASELINES_GROUP),
    Role.DETECT: ("driftline-detect", _SCAN, _BASELINES_GROUP),
    Role.NOTIFY: ("driftline-notify", _SCAN),
    Role.ARCHIVE: ("driftline-archive-*", _SCAN),
    Role.PUBLISHER: (_SCAN,),
}
_ADMIN = ("create", "alter", "describe_configs", "alter_configs")


def rights_of(role: Role, prefix: str = "") -> Iterator[Right]:
    """Yield the minimal rights of a role.

    Parameters
    ----------
    prefix : str, optional
        Of the installation's topics and groups (``kafka.prefix``).

    Yields
    ------
    Right

    Notes
    -----
    No role uses transactions, and none needs a right on the cluster: an idempotent producer
    may write where it has the right to write to a topic (Kafka 2.8 and later).

    Examples
    --------
    >>> for right in rights_of(Role.NOTIFY):
    ...     print(right.resource.value, right.name, *right.operations)
    topic driftline.alerts read
    topic driftline.notifications read write
    topic driftline.deadletter write
    group driftline-notify read
    group driftline-scan read
    """
    for name, operations in _TOPICS[role].items():
        yield Right(Resource.TOPIC, prefix + name, operations)
    for name in _GROUPS.get(role, ()):
        yield Right(Resource.GROUP, prefix + name.rstrip("*"), _READ, name.endswith("*"))
    if role is Role.TOPICS:
        yield Right(Resource.TOPIC, f"{prefix}driftline.", _ADMIN, is_prefix=True)
