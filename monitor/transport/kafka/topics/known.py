"""Periodic check whether the topics of a running stage were recreated."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from monitor.clock import elapsed_s
from monitor.transport.kafka.client_log import LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.topic_identity import TopicIdentity
from schemas.errors import TransportError

LOOK_S = 30.0
"""Interval at which topic IDs are compared with those at the start."""


class KnownTopics:
    """Topics of a stage; detects topics that were recreated since the start.

    Faust drops messages below its position: without a rebalance it would read nothing until the new
    log is as long as the old one.

    Parameters
    ----------
    names : iterable of str
        Names from ``monitor.core.topics``.
    followed : iterable of str, optional
        Topics whose new ID is accepted, because the stage uses no offsets of them.

    Attributes
    ----------
    ids : dict of str to str
        Topic ids by name.

    Raises
    ------
    TransportError
        If one of them is missing, or the broker does not answer.
    """

    def __init__(
        self, cluster: Cluster, names: Iterable[str], *, followed: Iterable[str] = ()
    ) -> None:
        self._cluster, self._followed = cluster, frozenset(followed)
        self.ids = {name: cluster.identity(name).topic_id for name in (*names, *self._followed)}
        self._looked_s = elapsed_s()
        self._looking: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Check every ``LOOK_S`` seconds in the background; does not block the calling tick.

        Raises
        ------
        TransportError
            If one was recreated.
        """
        if self._looking is not None and self._looking.done():
            self._looking.result()
            self._looking = None
        if self._looking is None and elapsed_s() - self._looked_s >= LOOK_S:
            self._looked_s = elapsed_s()
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Compare each topic's ID with the previous one."""
        for name, before in list(self.ids.items()):
            now = await asyncio.to_thread(_identity, self._cluster, name)
            if now is None or now.topic_id == before:
                continue
            if name not in self._followed:
                raise TransportError(
                    f"the topic was recreated: {before} is now {now.topic_id}",
                    where=self._cluster.topic(name),
                    fix="restart; the new topic is read from its beginning",
                )
            self.ids[name] = now.topic_id


def _identity(cluster: Cluster, name: str) -> TopicIdentity | None:
    """Request a topic's ID; None without an answer or without such a topic."""
    try:
        return cluster.identity(name, timeout_s=5.0)
    except TransportError as error:
        LOG.warning("%s", error)
        return None
