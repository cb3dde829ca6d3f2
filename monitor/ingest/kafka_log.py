"""One owned source partition's writes to Kafka, and which of its commits are covered by them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from monitor.core.write import Write
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.types import Committed


class Writes:
    """The process's producer, and how many bytes of its writes are not acknowledged."""

    def __init__(self, cluster: Cluster, producer: LogProducer) -> None:
        self.cluster, self.producer = cluster, producer
        self.n_bytes = 0

    @property
    def n_outstanding(self) -> int:
        """Writes whose fate is not known yet."""
        return self.producer.counts.n_outstanding


@dataclass(slots=True)
class _Flush:
    """Writes up to one commit."""

    n_unacked: int = 0
    commit: Committed | None = None
    """None while more writes may be added."""


class PartitionLog:
    """The log as one owner of one source partition sees it (``Log``).

    Parameters
    ----------
    committed : Committed or None
        The group's commit when the partition was assigned.

    Notes
    -----
    Writes go on while earlier ones are in flight; a commit becomes due, in order, when
    everything written before it is acknowledged.
    """

    def __init__(self, writes: Writes, committed: Committed | None) -> None:
        self._writes, self._committed = writes, committed
        self._flushes: deque[_Flush] = deque([_Flush()])
        self._due: Committed | None = None

    def append(self, write: Write) -> None:
        """Hand over one write."""
        writes, flush, n_bytes = self._writes, self._flushes[-1], len(write.value or b"")
        flush.n_unacked += 1
        writes.n_bytes += n_bytes

        def on_ack(_partition: int, _offset: int) -> None:
            flush.n_unacked -= 1
            writes.n_bytes -= n_bytes

        writes.producer.append(writes.cluster, write, on_ack)

    def commit(
        self, group: str, topic: str, partition: int, offset: int, metadata: str = ""
    ) -> None:
        """End a flush: this may be committed once its writes, and all before, are acknowledged."""
        self._flushes[-1].commit = Committed(offset, metadata)
        self._flushes.append(_Flush())

    def committed(self, group: str, topic: str, partition: int) -> Committed | None:
        """Return the last commit known."""
        return self._committed

    def settle(self) -> int:
        """Take note of acknowledgements; returns how many flushes they completed."""
        n_settled = 0
        while self._flushes[0].commit is not None and not self._flushes[0].n_unacked:
            self._due = self._flushes.popleft().commit
            n_settled += 1
        return n_settled

    @property
    def due(self) -> Committed | None:
        """Return what may be committed now; None if that is committed already."""
        return self._due if self._due != self._committed else None

    def note_commit(self, commit: Committed) -> None:
        """Remember that the group took a commit."""
        self._committed = commit
