"""Driftline's topics as data, and what would have to change for a cluster to have them.

Pure: :mod:`monitor.transport.kafka.topics.changes` asks the cluster and changes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from monitor.core import topics as names
from schemas.errors import DomainError

BROKER_DEFAULT = -1
"""Replication factor: leave it to the cluster."""

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_MAX_MESSAGE_BYTES = 1_048_588
"""Apache Kafka's own default, set so that a cluster with another one does as well."""


class Share(StrEnum):
    """Which of the numbers of partitions a topic takes."""

    INPUT = "input"
    """As many as ingest processes shall ever run."""
    KEYED = "keyed"
    """One number for panes, gpu and state, which are partitioned alike."""
    ONE = "one"
    """Read whole, or in one order."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it should be."""

    name: str
    n_partitions: int
    settings: Mapping[str, str]
    replication: int = BROKER_DEFAULT


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as it is."""

    name: str
    n_partitions: int
    replication: int
    settings: Mapping[str, str]
    topic_id: str = ""


class Action(StrEnum):
    """What is done about a difference."""

    CREATE = "create"
    ADD_PARTITIONS = "add partitions"
    SET = "set"
    NONE = "not changed"


@dataclass(frozen=True, slots=True)
class TopicChange:
    """One difference between a cluster and the table, and what is done about it."""

    topic: str
    action: Action
    setting: str
    found: str
    wanted: str
    note: str = ""
    spec: TopicSpec | None = field(default=None, repr=False, compare=False)
    """The whole topic, where it is to be created."""


def _kept(retention_ms: int, policy: str = "delete", **more: str) -> dict[str, str]:
    """Settings of a topic that forgets by age."""
    return {"cleanup.policy": policy, "retention.ms": str(retention_ms), **more}


_ARRIVAL = {"message.timestamp.type": "LogAppendTime"}
"""Event time is judged against the broker's clock, not the producer's."""
_COMPACTION = {
    # Only closed segments are compacted, and these topics are read whole at each start:
    # the default of a week and 1 GiB would be a long read.
    "segment.ms": str(_HOUR_MS),
    "min.cleanable.dirty.ratio": "0.2",
}
_COMPACTED = {"cleanup.policy": "compact", **_COMPACTION}

_ALERTS = {
    # By size: alerts bear event time, and those of a backfill were deleted within minutes.
    **_kept(-1),
    "retention.bytes": str(256 << 20),
    "segment.bytes": str(32 << 20),
}

_NOTIFICATIONS = {
    # By size, as alerts are, and far beyond theirs: a restart goes through all the alerts there
    # are, and sends again what it finds no record of. Of an alert there may be many steps.
    **_kept(-1, "compact,delete"),
    **_COMPACTION,
    "retention.bytes": str(4 << 30),
}

_TABLE: tuple[tuple[str, Share, dict[str, str]], ...] = (
    (names.PREDICTIONS, Share.INPUT, _kept(3 * _DAY_MS) | _ARRIVAL),
    (names.LABELS, Share.INPUT, _kept(7 * _DAY_MS) | _ARRIVAL),
    (names.GPU, Share.KEYED, _kept(3 * _DAY_MS) | _ARRIVAL),
    # Longer than a window, lateness and the longest outage together; windows beyond an
    # hour are kept as hourly sums on the state topic.
    (names.PANES, Share.KEYED, _kept(3 * _DAY_MS, "compact,delete") | _COMPACTION),
    (names.STATE, Share.KEYED, _COMPACTED),
    (names.BASELINES, Share.ONE, _COMPACTED),
    (names.SILENCES, Share.ONE, _COMPACTED),
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
        Partitions of panes, gpu, state and results: the most detect processes. One number,
        because they are partitioned alike.
    replication : int, optional
        Copies of each partition; by default the cluster's own number. From three on, two
        must have a record before it is acknowledged.
    prefix : str, optional
        Put before every name, so that installations can share a cluster.

    Returns
    -------
    list of TopicSpec

    Raises
    ------
    DomainError
        If a number is not possible.

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
    """Refuse what no cluster can have."""
    for name, value in numbers.items():
        if value < 1:
            raise DomainError(f"{name} is {value}", where="topics", fix="give a number from 1 on")


def plan_changes(specs: Sequence[TopicSpec], states: Mapping[str, TopicState]) -> list[TopicChange]:
    """Compare the table with a cluster.

    Parameters
    ----------
    specs : sequence of TopicSpec
        What should be.
    states : mapping of str to TopicState
        What is, by name; other topics are not looked at.

    Returns
    -------
    list of TopicChange
        Empty if nothing differs. Nothing is ever deleted or shrunk: such differences carry
        :attr:`Action.NONE` and the reason.
    """
    changes: list[TopicChange] = []
    for spec in specs:
        state = states.get(spec.name)
        changes += [_creation(spec)] if state is None else _differences(spec, state)
    return changes


def is_made(change: TopicChange, state: TopicState | None) -> bool:
    """Return whether a topic shows the effect of a change.

    Parameters
    ----------
    change : TopicChange
        From :func:`plan_changes`; one with ``Action.NONE`` is never waited for.
    state : TopicState or None
        The topic as it is now; None if it is not there.

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
    """Create a whole topic."""
    settings = " ".join(f"{k}={v}" for k, v in sorted(spec.settings.items()))
    wanted = str(spec.n_partitions)
    return TopicChange(spec.name, Action.CREATE, "partitions", "no topic", wanted, settings, spec)


def _differences(spec: TopicSpec, state: TopicState) -> list[TopicChange]:
    """Compare one topic that exists."""
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
    """Grow only: Kafka cannot shrink a topic, and a new one would lose what is in it."""
    found, wanted = str(state.n_partitions), str(spec.n_partitions)
    if state.n_partitions == spec.n_partitions:
        return []
    if state.n_partitions > spec.n_partitions:
        note = "a topic is never shrunk; ask for as many as it has"
        return [TopicChange(spec.name, Action.NONE, "partitions", found, wanted, note)]
    note = "keys move to other partitions: stop the stages first"
    return [TopicChange(spec.name, Action.ADD_PARTITIONS, "partitions", found, wanted, note)]


def _ordered(value: str) -> list[str]:
    """Compare lists by what is in them: brokers answer ``compact,delete`` in either order."""
    return sorted(part.strip() for part in value.split(","))
