"""A log in memory with Kafka's contract: topics, partitions, offsets, commits.

A *process* may crash (by an exception at any point) and be rebuilt over the same log, as over
Kafka. So ``replay`` and ``demo`` run the same stages as on Kafka, and crash tests are cheap.
Appends are acknowledged when ``produce`` returns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.core.write import Write
from monitor.transport.types import MAX_METADATA_BYTES, Committed, Message
from schemas.errors import TransportError


@dataclass(slots=True)
class MemoryLog:
    """Topics of append-only partitions, and the groups' committed offsets.

    Examples
    --------
    >>> log = MemoryLog()
    >>> log.produce("panes", b"value", key=b"k")
    0
    >>> [m.value for m in log.fetch("panes", 0, 0, 10)]
    [b'value']
    >>> log.commit("detect", "panes", 0, 1, "state")
    >>> log.committed("detect", "panes", 0)
    Committed(offset=1, metadata='state')
    """

    _records: dict[tuple[str, int], list[Message]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _first: dict[tuple[str, int], int] = field(default_factory=dict)
    _commits: dict[tuple[str, str, int], Committed] = field(default_factory=dict)

    def produce(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes = b"",
        partition: int = 0,
        timestamp_us: int = -1,
    ) -> int:
        """Append one record; return its offset. The record is acknowledged on return."""
        records = self._records[topic, partition]
        offset = self.end_offset(topic, partition)
        records.append(Message(offset, key, value, timestamp_us))
        return offset

    def append(self, write: Write) -> int:
        """Append one message and return its offset; without a partition to partition 0."""
        return self.produce(
            write.topic,
            write.value or b"",
            key=write.key,
            partition=write.partition or 0,
            timestamp_us=write.timestamp_us,
        )

    def fetch(
        self, topic: str, partition: int, offset: int, max_messages: int
    ) -> Sequence[Message]:
        """Return up to ``max_messages`` records from ``offset``; empty at the end.

        If records there were deleted by retention, starts at the first remaining one.
        """
        start = max(offset - self._first.get((topic, partition), 0), 0)
        return self._records[topic, partition][start : start + max_messages]

    def forget(self, topic: str, partition: int, before: int) -> None:
        """Drop records below an offset, as retention does; offsets do not change."""
        first = self._first.get((topic, partition), 0)
        n_dropped = min(before - first, len(self._records[topic, partition]))
        if n_dropped > 0:
            del self._records[topic, partition][:n_dropped]
            self._first[topic, partition] = first + n_dropped

    def end_offset(self, topic: str, partition: int) -> int:
        """Return the offset of the next record."""
        return self._first.get((topic, partition), 0) + len(self._records[topic, partition])

    def partitions(self, topic: str) -> list[int]:
        """Return the non-empty partitions of ``topic``."""
        return sorted(p for t, p in self._records if t == topic)

    def commit(
        self, group: str, topic: str, partition: int, offset: int, metadata: str = ""
    ) -> None:
        """Commit the offset at which ``group`` restarts.

        Raises
        ------
        TransportError
            If the metadata is longer than a broker accepts.
        """
        if len(metadata.encode()) >= MAX_METADATA_BYTES:
            raise TransportError(
                f"commit metadata of {len(metadata.encode())} bytes",
                where=f"{group} on {topic}:{partition}",
                fix=f"keep it under {MAX_METADATA_BYTES}",
            )
        self._commits[group, topic, partition] = Committed(offset, metadata)

    def committed(self, group: str, topic: str, partition: int) -> Committed | None:
        """Return the last commit of ``group``, or None."""
        return self._commits.get((group, topic, partition))
