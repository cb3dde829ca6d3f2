"""Settings of a reader: group, topic and callbacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from monitor.transport.types import Committed

OnAssign = Callable[[int, Committed | None], int | None]
"""Maps partition and last commit to the start offset; None means the committed one."""


@dataclass(frozen=True, slots=True)
class LogGap:
    """Messages that a reader needed and the log no longer has."""

    partition: int
    wanted: int
    """Offset that it would have read next."""
    begins: int
    """Offset that it reads instead: the log's first."""


@dataclass(frozen=True, slots=True)
class ReadFault:
    """An error from which the client recovers by itself."""

    partition: int
    """-1 if it concerns no single partition."""
    name: str
    """librdkafka's name of the error, such as ``_TRANSPORT``."""
    detail: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message that the client cannot decompress, and that is skipped."""

    partition: int
    offset: int
    detail: str
    """Error text of the client."""


BUSY_FETCH_WAIT_MS = 50
"""For topics of which some partitions lag at times while others do not.

With half a second the end of a catch-up took .4 s longer.
"""


def _pass(_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Called by the reader inside ``poll``, ``read`` and ``close``, in their thread.

    ``on_revoke`` is the last chance to write and commit. On ``on_lost`` another member may already
    own the partition: drop its state and write nothing.
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

    ``client`` holds the settings of the cluster's clients (``bootstrap.servers``, TLS, SASL) by
    librdkafka's names. It may hold secrets and is omitted from the repr.
    """

    topic: str
    group: str
    client: Mapping[str, str] = field(repr=False)
    member: str | None = None
    """Static member ID: no partition is reassigned by a restart within the session time-out."""
    is_from_end: bool = False
    """Whether to start at the log's end instead of its beginning if there is no commit."""
    session_timeout_ms: int = 10_000
    queue_bytes: int = 16 << 20
    """Size of the prefetch buffer per partition (``consume()``: of all partitions together)."""
    fetch_wait_ms: int = 500
    """How long the broker may wait for new messages before it answers a fetch.

    There is one fetch in flight per broker: if it requests only partitions without new messages
    (because the others had enough buffered at that time), no other messages arrive until it
    returns.
    """
    timeout_s: float = 30.0
    """Time-out of every request to the broker."""

    @property
    def client_id(self) -> str:
        """Name of this client at the broker."""
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
            # Interval at which a full queue is checked again; the default is a second.
            "fetch.queue.backoff.ms": 10,
            # A lost connection must not delay the first message of an idle topic.
            "reconnect.backoff.max.ms": 1_000,
            # Time-out of a commit without a response.
            "socket.timeout.ms": 20_000,
            **self.client,
            "group.id": self.group,
            "partition.assignment.strategy": "cooperative-sticky",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            # Not "earliest": messages deleted by retention must be reported, not skipped.
            "auto.offset.reset": "error",
        }
        if self.member is not None:
            config["group.instance.id"] = self.member
        return config
