"""Types shared by all logs: messages, commits, limits, and the interface of a log.

The stages are written against these types. A log in memory
(:mod:`monitor.transport.memory`) and a partition of Kafka implement them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from monitor.core.write import Write

MAX_METADATA_BYTES = 1024
"""Measured: Apache Kafka returned 700 bytes of commit metadata and rejected 4,096."""


@dataclass(frozen=True, slots=True)
class Message:
    """One record of one partition."""

    offset: int
    key: bytes
    """Empty if the message has no key."""
    value: bytes
    """Empty for a tombstone."""
    timestamp_us: int
    """Record time; -1 if there is none."""


@dataclass(frozen=True, slots=True)
class Committed:
    """The offset at which a group restarts, with its metadata."""

    offset: int
    metadata: str


class Log(Protocol):
    """Interface for writing messages and committing offsets."""

    def append(self, write: Write) -> object:
        """Write one message; it may be acknowledged after the call."""
        ...

    def commit(
        self, group: str, topic: str, partition: int, offset: int, metadata: str = ""
    ) -> object:
        """Commit an offset after all earlier writes are acknowledged."""
        ...

    def committed(self, group: str, topic: str, partition: int) -> Committed | None:
        """Return the group's last commit, or None."""
        ...


class ReadableLog(Log, Protocol):
    """A log that can also be read by offset: the log in memory."""

    def fetch(
        self, topic: str, partition: int, offset: int, max_messages: int
    ) -> Sequence[Message]:
        """Return up to ``max_messages`` messages from ``offset``; empty at the end."""
        ...

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset of the next message."""
        ...

    def partitions(self, topic: str) -> list[int]:
        """Return the non-empty partitions of a topic."""
        ...
