"""Specifications of Driftline's topics, and the changes that a cluster needs.

Pure: :mod:`monitor.transport.kafka.topics.changes` reads and changes the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from monitor.core import topics as names
from schemas.errors import DomainError

BROKER_DEFAULT = -1
"""Replication factor: use the cluster's default."""

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_MAX_MESSAGE_BYTES = 1_048_588
"""Apache Kafka's default, set explicitly for clusters with a different one."""


class Share(StrEnum):
    """Which number of partitions a topic has."""

    INPUT = "input"
    """The largest number of ingest processes that will ever run."""
    KEYED = "keyed"
    """One number for panes, gpu and state, which are co-partitioned."""
    ONE = "one"
    """One partition: read completely, or in one order."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """Required state of a topic."""

    name: str
    n_partitions: int
    settings: Mapping[str, str]
    replication: int = BROKER_DEFAULT


@dataclass(frozen=True, slots=True)
class TopicState:
    """Current state of a topic."""

    name: str
    n_partitions: int
    replication: int
    settings: Mapping[str, str]
    topic_id: str = ""


class Action(StrEnum):
    """Action for a difference."""

    CREATE = "create"
    ADD_PARTITIONS = "add partitions"
    SET = "set"
    NONE = "not changed"


@dataclass(frozen=True, slots=True)
class TopicChange:
    """One difference between a cluster and the specification, with its action."""

    topic: str
    action: Action
    setting: str
    found: str
    wanted: str
    note: str = ""
    spec: TopicSpec | None = field(default=None, repr=False, compare=False)
    """Specification of a topic that is to be created."""


def _kept(retention_ms: int, policy: str = "delete", **more: str) -> dict[str, str]:
    """Settings of a topic with retention by time."""
    return {"cleanup.policy": policy, "retention.ms": str(retention_ms), **more}


_ARRIVAL = {"message.timestamp.type": "LogAppendTime"}
"""Record times are the broker's: event times are compared with its clock, not the producer's."""
_COMPACTION = {
    # Only closed segments are compacted, and these topics are read completely at each start: with
    # the defaults of a week and 1 GiB that would take long.
    "segment.ms": str(_HOUR_MS),
    "min.cleanable.dirty.ratio": "0.2",
}
_COMPACTED = {"cleanup.policy": "compact", **_COMPACTION}

_ALERTS = {
    # By size: alerts have event time as timestamp, and those of a backfill were deleted within
    # minutes. Of actions on incidents there are few: detect reads all of them at each start.
    **_kept(-1),
    "retention.bytes": str(256 << 20),
    "segment.bytes": str(32 << 20),
}

_NOTIFICATIONS = {
    # By size, like alerts, but far larger: a restart processes all alerts in the log and sends
    # notifications without a record again. An alert may have many steps.
    **_kept(-1, "compact,delete"),
    **_COMPACTION,
    "retention.bytes": str(4 << 30),
}

_PANES = {
    # Longer than window, lateness and longest outage together; windows above an hour are kept as
    # hourly sums on the state topic.
    **_kept(3 * _DAY_MS, "compact,delete"),
    **_COMPACTION,
    # The archive closes slots by watermarks, which share a key: a range that it had begun must
    # hold the same watermarks when it is read again.
    "min.compaction.lag.ms": str(3 * _DAY_MS),
}

_TABLE: tuple[tuple[str, Share, dict[str, str]], ...] = (
    (names.PREDICTIONS, Share.INPUT, _kept(3 * _DAY_MS) | _ARRIVAL),
    (names.LABELS, Share.INPUT, _kept(7 * _DAY_MS) | _ARRIVAL),
    (names.GPU, Share.KEYED, _kept(3 * _DAY_MS) | _ARRIVAL),
    (names.PANES, Share.KEYED, _PANES),
    (names.STATE, Share.KEYED, _COMPACTED),
    (names.BASELINES, Share.ONE, _COMPACTED),
    (names.SILENCES, Share.ONE, _COMPACTED),
    (names.ACTIONS, Share.ONE, _ALERTS),
    (names.RESULTS, Share.KEYED, _kept(7 * _DAY_MS)),
    (names.ALERTS, Share.ONE, _ALERTS),
    (names.NOTIFICATIONS, Share.ONE, _NOTIFICATIONS),
    (names.DEAD_LETTERS, Share.INPUT, _kept(14 * _DAY_MS)),
    (names.LATE, Share.INPUT, _kept(7 * _DAY_MS)),
)


def topic_specs(
    *,
    n_input: int = 8,
    n_keyed: int = 8,
    replication: int = BROKER_DEFAULT,
    prefix: str = "",
) -> list[TopicSpec]:
    """Return every topic Driftline needs.

    Parameters
    ----------
    n_input : int, optional
        Partitions of predictions, labels, dead letters and late events: the most ingest
        processes that can share the work.
    n_keyed : int, optional
        Partitions of panes, gpu, state and results: the most detect processes. One number, because
        they are co-partitioned.
    replication : int, optional
        Replication factor; by default the cluster's. From 3 on, ``min.insync.replicas`` is 2.
    prefix : str, optional
        Prefix of every name, so that installations can share a cluster.

    Returns
    -------
    list of TopicSpec

    Raises
    ------
    DomainError
        If a number is invalid.

    Examples
    --------
    >>> specs = {s.name: s for s in topic_specs(n_input=4)}
    >>> specs["driftline.predictions"].n_partitions, specs["driftline.alerts"].n_partitions
    (4, 1)
    >>> specs["driftline.panes"].settings["cleanup.policy"]
    'compact,delete'
    """
    _check_numbers(n_input=n_input, n_keyed=n_keyed)
    if replication != BROKER_DEFAULT:
        _check_numbers(replication=replication)
    numbers = {Share.INPUT: n_input, Share.KEYED: n_keyed, Share.ONE: 1}
    every = {"max.message.bytes": str(_MAX_MESSAGE_BYTES)}
    if replication >= 3:
        every["min.insync.replicas"] = "2"
    return [
        TopicSpec(prefix + name, numbers[share], settings | every, replication)
        for name, share, settings in _TABLE
    ]


def _check_numbers(**numbers: int) -> None:
    """Raise for invalid numbers."""
    for name, value in numbers.items():
        if value < 1:
            raise DomainError(f"{name} is {value}", where="topics", fix="give a number from 1 on")


def plan_changes(specs: Sequence[TopicSpec], states: Mapping[str, TopicState]) -> list[TopicChange]:
    """Compare the specifications with a cluster.

    Parameters
    ----------
    specs : sequence of TopicSpec
        Required topics.
    states : mapping of str to TopicState
        Current topics by name; other topics are ignored.

    Returns
    -------
    list of TopicChange
        Empty if nothing differs. Topics are never deleted or shrunk: such differences have
        :attr:`Action.NONE` and the reason.
    """
    changes: list[TopicChange] = []
    for spec in specs:
        state = states.get(spec.name)
        changes += [_creation(spec)] if state is None else _differences(spec, state)
    return changes


def is_made(change: TopicChange, state: TopicState | None) -> bool:
    """Return whether a change is in effect.

    Parameters
    ----------
    change : TopicChange
        From :func:`plan_changes`; a change with ``Action.NONE`` counts as in effect.
    state : TopicState or None
        Current state of the topic; None if it does not exist.

    Returns
    -------
    bool
    """
    if change.action is Action.NONE:
        return True
    if state is None:
        return False
    if change.action is Action.SET:
        return _ordered(state.settings.get(change.setting, "unset")) == _ordered(change.wanted)
    return state.n_partitions >= int(change.wanted)


def _creation(spec: TopicSpec) -> TopicChange:
    """Return the creation of a topic."""
    settings = " ".join(f"{k}={v}" for k, v in sorted(spec.settings.items()))
    wanted = str(spec.n_partitions)
    return TopicChange(spec.name, Action.CREATE, "partitions", "no topic", wanted, settings, spec)


def _differences(spec: TopicSpec, state: TopicState) -> list[TopicChange]:
    """Compare one existing topic."""
    changes = _partition_change(spec, state)
    if spec.replication not in (BROKER_DEFAULT, state.replication):
        found, wanted = str(state.replication), str(spec.replication)
        note = "replicas are moved with kafka-reassign-partitions.sh"
        changes.append(TopicChange(spec.name, Action.NONE, "replication", found, wanted, note))
    for setting, wanted in sorted(spec.settings.items()):
        found = state.settings.get(setting, "unset")
        if _ordered(found) != _ordered(wanted):
            changes.append(TopicChange(spec.name, Action.SET, setting, found, wanted))
    return changes


def _partition_change(spec: TopicSpec, state: TopicState) -> list[TopicChange]:
    """Return the change of partitions; only additions, because Kafka cannot shrink a topic."""
    found, wanted = str(state.n_partitions), str(spec.n_partitions)
    if state.n_partitions == spec.n_partitions:
        return []
    if state.n_partitions > spec.n_partitions:
        note = "a topic is never shrunk; request at least as many as it has"
        return [TopicChange(spec.name, Action.NONE, "partitions", found, wanted, note)]
    note = "keys move to other partitions: stop the stages first"
    return [TopicChange(spec.name, Action.ADD_PARTITIONS, "partitions", found, wanted, note)]


def _ordered(value: str) -> list[str]:
    """Sort the items of a list: brokers return ``compact,delete`` in either order."""
    return sorted(part.strip() for part in value.split(","))
