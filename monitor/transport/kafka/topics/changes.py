"""Reads and changes the topics of a cluster, with kafka-python."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from monitor.clock import elapsed_s
from monitor.transport.kafka.topics.specs import Action, TopicChange, TopicState, is_made
from schemas.errors import TransportError

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

_TICK_S = 0.05


def read_topics(admin: KafkaAdminClient, wanted: Sequence[str]) -> dict[str, TopicState]:
    """Return the state of the named topics; missing ones are omitted.

    Parameters
    ----------
    admin : KafkaAdminClient
        From :func:`~monitor.transport.kafka.topics.connection.open_admin`.
    wanted : sequence of str
        Names.

    Returns
    -------
    dict of str to TopicState
    """
    there = set(admin.list_topics())
    found = [name for name in wanted if name in there]
    if not found:
        return {}
    settings = _read_settings(admin, found)
    return {t["name"]: _state(t, settings[t["name"]]) for t in admin.describe_topics(found)}


def _read_settings(admin: KafkaAdminClient, found: list[str]) -> dict[str, dict[str, str]]:
    """Read every effective setting, including the cluster's defaults."""
    from kafka.admin import ConfigResource, ConfigResourceType

    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in found]
    answer = admin.describe_configs(resources, config_filter="all")["topic"]
    return {
        name: {key: entry["value"] for key, entry in entries.items()}
        for name, entries in answer.items()
    }


def _state(topic: Mapping[str, Any], settings: Mapping[str, str]) -> TopicState:
    """Return the state of one topic; raise if the cluster cannot describe it."""
    partitions = topic["partitions"]
    if topic["error_code"] or not partitions:
        raise TransportError(
            f"the cluster cannot describe it (error {topic['error_code']})",
            where=f"topic {topic['name']}",
            fix="try again, or check the broker's log and your permissions",
        )
    replication = min(len(p["replica_nodes"]) for p in partitions)
    name, topic_id = topic["name"], str(topic.get("topic_id", ""))
    return TopicState(name, len(partitions), replication, settings, topic_id)


def apply_changes(
    admin: KafkaAdminClient, changes: Sequence[TopicChange], *, timeout_s: float = 30.0
) -> None:
    """Apply a plan; return when it is in effect.

    Parameters
    ----------
    admin : KafkaAdminClient
        From :func:`~monitor.transport.kafka.topics.connection.open_admin`.
    changes : sequence of TopicChange
        From :func:`~monitor.transport.kafka.topics.specs.plan_changes`; those with
        ``Action.NONE`` are passed over.
    timeout_s : float, optional
        Time-out for new topics to have leaders, and again for all changes to be visible.

    Raises
    ------
    TransportError
        If the cluster rejects a change; earlier changes stay applied, and a second run applies the
        rest. Also if a change is not visible in time.

    Notes
    -----
    The controller acknowledges a change before the brokers apply it: on a busy machine a setting
    that was read immediately still had the old value.
    """
    _create(admin, [c for c in changes if c.action is Action.CREATE], timeout_s)
    growing = {c.topic: int(c.wanted) for c in changes if c.action is Action.ADD_PARTITIONS}
    if growing:
        admin.create_partitions(growing)
    _set(admin, [c for c in changes if c.action is Action.SET])
    _await_seen(admin, changes, timeout_s)


def _await_seen(admin: KafkaAdminClient, changes: Sequence[TopicChange], timeout_s: float) -> None:
    """Read the topics until every change is visible."""
    deadline = elapsed_s() + timeout_s
    wanted = sorted({change.topic for change in changes})
    while True:
        states = read_topics(admin, wanted)
        unseen = [c for c in changes if not is_made(c, states.get(c.topic))]
        if not unseen:
            return
        if elapsed_s() > deadline:
            first = unseen[0]
            raise TransportError(
                f"{first.setting} = {first.wanted} was accepted but is not in effect after "
                f"{timeout_s:.0f} s",
                where=f"topic {first.topic}",
                fix="check that all brokers are up, then run `driftline topics check` again",
            )
        time.sleep(_TICK_S)


def _create(admin: KafkaAdminClient, changes: Sequence[TopicChange], timeout_s: float) -> None:
    """Create topics with all settings; a topic that exists meanwhile is not an error."""
    specs = [change.spec for change in changes if change.spec is not None]
    if not specs:
        return
    answer = admin.create_topics(
        {
            spec.name: {
                "num_partitions": spec.n_partitions,
                "replication_factor": spec.replication,
                "configs": dict(spec.settings),
            }
            for spec in specs
        },
        raise_errors=False,
    )
    _raise_first(answer["topics"], allowed=("TopicAlreadyExistsError",))
    admin.wait_for_topics([spec.name for spec in specs], timeout_ms=round(timeout_s * 1000))


def _raise_first(topics: Sequence[Mapping[str, Any]], allowed: Sequence[str] = ()) -> None:
    """Raise the first error of a response, with the broker's message."""
    from kafka import errors

    for topic in topics:
        kind = errors.for_code(topic["error_code"])
        if topic["error_code"] and kind.__name__ not in allowed:
            words = topic.get("error_message") or kind.__name__
            raise TransportError(f"the cluster refused: {words}", where=f"topic {topic['name']}")


def _set(admin: KafkaAdminClient, changes: Sequence[TopicChange]) -> None:
    """Change settings one by one; other settings are unchanged."""
    from kafka.admin import ConfigResource, ConfigResourceType

    wanted: dict[str, dict[str, str]] = {}
    for change in changes:
        wanted.setdefault(change.topic, {})[change.setting] = change.wanted
    if not wanted:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, t, s) for t, s in wanted.items()]
    answer = admin.alter_configs(resources, incremental=True)
    for topic, outcome in answer["topic"].items():
        if outcome != "OK":
            raise TransportError(f"the cluster refused: {outcome}", where=f"topic {topic}")
