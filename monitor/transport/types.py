"""What every log shares: a message, a commit, their limits, and the interface of a log.

The stages are written against these types. A log in memory
(:mod:`monitor.transport.memory`) and a partition of Kafka implement them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.core.write import Write

MAX_METADATA_BYTES = 1024
"""Apache Kafka brought 700 bytes of commit metadata back and refused 4,096."""


@dataclass(frozen=True, slots=True)
class Message:
    """One record of one partition."""

    offset: int
    key: bytes
    """Empty where it has none."""
    value: bytes
    """Empty for a tombstone."""
    timestamp_us: int
    """Record time; -1 where there is none."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The offset a group starts from again, and the metadata committed with it."""

    offset: int
    metadata: str


class Log(Protocol):
    """What a stage writes to, and where its commits are kept."""

    def append(self, write: Write) -> object:
        """Write one message; it may be acknowledged later."""
        ...

    def commit(
        self, group: str, topic: str, partition: int, offset: int, metadata: str = ""
    ) -> object:
        """Commit an offset once everything appended before is acknowledged."""
        ...

    def committed(self, group: str, topic: str, partition: int) -> Committed | None:
        """Return the group's last commit, or None."""
        ...


class ReadableLog(Log, Protocol):
    """A log that a stage also reads by offset: a log in memory."""

    def fetch(
        self, topic: str, partition: int, offset: int, max_messages: int
    ) -> Sequence[Message]:
        """Return up to ``max_messages`` messages from ``offset`` on; none at the end."""
        ...

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset that the next message gets."""
        ...

    def partitions(self, topic: str) -> list[int]:
        """Return the partitions of a topic that hold anything."""
        ...
