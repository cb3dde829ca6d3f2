"""Settings of a reader: its group, its topic, and its callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from monitor.transport.types import Committed

OnAssign = Callable[[int, Committed | None], int | None]
"""Partition and the group's last commit; returns the offset to start from, None for it."""


@dataclass(frozen=True, slots=True)
class LogGap:
    """Messages a reader wanted that the log does not hold (any more)."""

    partition: int
    wanted: int
    """Offset it would have read next."""
    begins: int
    """Offset it reads next instead: the log's first."""


@dataclass(frozen=True, slots=True)
class ReadFault:
    """An error the client reported and goes on from by itself."""

    partition: int
    """-1 where it concerns no single one."""
    name: str
    """librdkafka's name of it, such as ``_TRANSPORT``."""
    detail: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that the client cannot unpack, and that is passed over."""

    partition: int
    offset: int
    detail: str
    """In the client's words."""


BUSY_FETCH_WAIT_MS = 50
"""For topics whose partitions are behind, now and then, while others are not. With half a
second the end of a catch-up took .4 s longer."""


def _pass(_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Called by the reader inside ``poll``, ``read`` and ``close``, in their thread.

    ``on_revoke`` is the last moment to write and commit; after ``on_lost`` another member
    may own the partition already: drop its state, write nothing.
    """

    on_assign: OnAssign = lambda partition, committed: None
    on_revoke: Callable[[int], None] = _pass
    on_lost: Callable[[int], None] = _pass
    on_gap: Callable[[LogGap], None] = _pass
    on_fault: Callable[[ReadFault], None] = _pass
    on_unreadable: Callable[[Unreadable], None] = _pass


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """One member of one group, reading one topic.

    ``client`` holds what every client of the cluster needs (``bootstrap.servers``, TLS,
    SASL), by librdkafka's names; it may hold secrets and is left out of the repr.
    """

    topic: str
    group: str
    client: Mapping[str, str] = field(repr=False)
    member: str | None = None
    """Static member id: a restart within the session time-out moves no partition."""
    is_from_end: bool = False
    """Where to start without a commit: at the log's end instead of its beginning."""
    session_timeout_ms: int = 10_000
    queue_bytes: int = 16 << 20
    """How much is read ahead, of each partition (``consume()``: of all together)."""
    fetch_wait_ms: int = 500
    """How long the broker may wait for something new before it answers a fetch. There is one
    fetch under way to a broker: where it asks for partitions that have nothing (the others
    had enough lying ready just then), no other messages arrive for so long."""
    timeout_s: float = 30.0
    """Bound of every question put to the broker."""

    @property
    def client_id(self) -> str:
        """Name under which the broker counts this client."""
        return self.client.get("client.id", "driftline")

    def consumer_config(self) -> dict[str, str | int | bool]:
        """Return the confluent consumer's configuration."""
        config: dict[str, str | int | bool] = {
            "client.id": self.client_id,
            "session.timeout.ms": self.session_timeout_ms,
            "heartbeat.interval.ms": self.session_timeout_ms // 4,
            "queued.max.messages.kbytes": max(1, self.queue_bytes >> 10),
            "topic.metadata.refresh.interval.ms": 60_000,
            "fetch.wait.max.ms": self.fetch_wait_ms,
            # A full queue is looked at again after so long; by default a second.
            "fetch.queue.backoff.ms": 10,
            # The first message of a quiet topic must not wait for a lost connection.
            "reconnect.backoff.max.ms": 1_000,
            # Bounds a commit that gets no answer.
            "socket.timeout.ms": 20_000,
            **self.client,
            "group.id": self.group,
            "partition.assignment.strategy": "cooperative-sticky",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            # Not "earliest": what retention has eaten must be seen, not skipped.
            "auto.offset.reset": "error",
        }
        if self.member is not None:
            config["group.instance.id"] = self.member
        return config
