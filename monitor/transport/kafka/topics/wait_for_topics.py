"""Wait at the start of a stage for the cluster and the topics it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from monitor.clock import elapsed_s
from monitor.core import topics as names
from monitor.transport.kafka.client_log import CLIENT_LOG
from monitor.transport.kafka.cluster import Cluster
from schemas.errors import TransportError

_TRY_S = 2.0
_HEAR_S = 0.1
_HOPELESS = (KafkaError._AUTHENTICATION, KafkaError._SSL)
"""Errors that waiting does not fix: password, certificate."""

ALIKE = (names.PANES, names.GPU, names.STATE)
"""Co-partitioned topics."""
SINGLE = (names.ALERTS, names.NOTIFICATIONS)
"""Topics with one partition."""


def wait_for_topics(
    cluster: Cluster,
    wanted: Sequence[str],
    *,
    wait_s: float,
    pause: Callable[[float], bool],
    tell: Callable[[str], None],
) -> dict[str, int] | None:
    """Wait until the cluster answers, then check the topics.

    Parameters
    ----------
    wanted : sequence of str
        Names from ``monitor.core.topics``.
    wait_s : float
        How long the cluster may be unavailable: compose starts services in any order.
    pause : callable
        Sleeps so many seconds; True to end the wait (``Lifecycle.wait``).
    tell : callable
        Called with the reason after each failed attempt.

    Returns
    -------
    dict of str to int, or None
        Partitions of each; None if ``pause`` ended the wait.

    Raises
    ------
    TransportError
        If no broker answers in time, the login is refused, or topics do not have the required form.
    """
    said: list[KafkaError] = []
    config: dict[str, Any] = {**cluster.client(), "error_cb": said.append}
    admin = AdminClient(config, logger=CLIENT_LOG)
    deadline = elapsed_s() + wait_s
    while True:
        begin = elapsed_s()
        try:
            # Serves the login's token, without which the request would time out.
            admin.poll(0)
            counts = _count(cluster, admin, wanted)
            _check(cluster, wanted, counts)
            _await_leaders(cluster, admin, counts)
            return counts
        except KafkaException as error:
            # Serves the client's error callback, which has the cause; the request's error is only
            # "transport failure".
            admin.poll(_HEAR_S)
            reason = _reason(error.args[0], said)
        if reason.code() in _HOPELESS or elapsed_s() > deadline:
            raise _refusal(cluster, reason, wait_s) from None
        tell(f"Kafka at {cluster.bootstrap} does not answer yet: {reason.str()}")
        if pause(max(0.0, begin + 1.0 - elapsed_s())):
            return None


class BrokerProbe:
    """Checks whether the cluster answers, over its own connection, opened by the first call."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._admin: AdminClient | None = None

    def __call__(self) -> bool:
        """Return whether a broker answers; takes up to two seconds if none does."""
        if self._admin is None:
            # Stages already log that the broker is unavailable.
            self._admin = AdminClient({**self._cluster.client(), "log_level": "0"})
        try:
            self._admin.poll(0)
            self._admin.list_topics(timeout=_TRY_S)
        except KafkaException:
            return False
        return True


def _count(cluster: Cluster, admin: AdminClient, wanted: Sequence[str]) -> dict[str, int]:
    """Return the number of partitions of the wanted topics; missing ones are omitted."""
    topics = admin.list_topics(timeout=_TRY_S).topics
    found = {n: len(topic.partitions) for n, topic in topics.items() if topic.error is None}
    full = {name: cluster.topic(name) for name in wanted}
    return {name: found[full[name]] for name in wanted if full[name] in found}


def _await_leaders(cluster: Cluster, admin: AdminClient, counts: Mapping[str, int]) -> None:
    """Request each partition's end offset: after its creation a broker may not know it yet."""
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {
        TopicPartition(cluster.topic(n), i): latest for n, k in counts.items() for i in range(k)
    }
    if asked:
        for future in admin.list_offsets(asked, request_timeout=_TRY_S).values():
            future.result()


def _reason(error: KafkaError, said: Sequence[KafkaError]) -> KafkaError:
    """Choose the error to report: the cause rather than "no broker could be reached"."""
    hopeless = [e for e in said if e.code() in _HOPELESS]
    telling = [e for e in said if e.code() != KafkaError._ALL_BROKERS_DOWN]
    is_vague = error.code() in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT)
    return (hopeless or (telling if is_vague else []) or [error])[-1]


def _refusal(cluster: Cluster, reason: KafkaError, wait_s: float) -> TransportError:
    """Return the error that prevents the start."""
    if reason.code() in _HOPELESS:
        what = "Kafka refuses the connection"
        fix = "check TLS, mechanism, user and secret against the listener at this address"
    else:
        what = f"Kafka does not answer for {wait_s:g} s"
        fix = "check that it is running and the address is right"
    return TransportError(f"{what}: {reason.str()}", where=cluster.bootstrap, fix=fix)


def _check(cluster: Cluster, wanted: Sequence[str], counts: Mapping[str, int]) -> None:
    """Raise for topics that are missing or not partitioned as the stages require."""
    create = f"driftline topics create --bootstrap {cluster.bootstrap}"
    create += f" --prefix {cluster.prefix} --yes" if cluster.prefix else " --yes"
    missing = [cluster.topic(name) for name in wanted if name not in counts]
    if missing:
        noun = "topic" if len(missing) == 1 else "topics"
        raise TransportError(
            f"no such {noun}: {', '.join(missing)}", where=cluster.bootstrap, fix=create
        )
    alike = {name: counts[name] for name in ALIKE if name in counts}
    if len(set(alike.values())) > 1:
        spelt = ", ".join(f"{cluster.topic(name)} has {n}" for name, n in alike.items())
        raise TransportError(
            f"these topics must have equal numbers of partitions: {spelt}",
            where=cluster.bootstrap,
            fix=create,
        )
    for name in SINGLE:
        if counts.get(name, 1) != 1:
            raise TransportError(
                f"it has {counts[name]} partitions and must have one",
                where=cluster.topic(name),
                fix="delete it while no stage runs, then " + create,
            )
