"""The ingest stage for one source partition: decode, aggregate, publish, then commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from monitor.core.accumulators import take as take_rows
from monitor.core.aggregate import Added, PartitionAggregator, Refused
from monitor.core.catalog import Catalog
from monitor.core.crash_points import Reach, pass_through
from monitor.core.pane_codec import encode, pane_key
from monitor.core.topics import DEAD_LETTERS, LATE, PANES
from monitor.core.watermark import Commit
from monitor.core.watermark_message import WatermarkMessage
from monitor.decode.decoder import Decoder
from monitor.ingest.future import future_rejects
from monitor.transport.memory import MemoryLog
from schemas.batch import Chunk, EventBatch
from schemas.config import WindowConfig
from schemas.events import Reject
from schemas.panes import Pane
from schemas.refused import DeadLetter, LateEvent, dead_letter

GROUP = "driftline-ingest"

OnBatch = Callable[[EventBatch, Chunk], None]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which partition of which source, and the name under which it is owned this time."""

    source: str
    partition: int
    n_partitions: int
    owner: str


class Ingest:
    """One owner of one source partition.

    Parameters
    ----------
    log : MemoryLog
        Where panes, dead letters and late events go, and where commits are kept.
    catalog : Catalog
    window : WindowConfig
        Pane, bound, lateness and skew of the source.
    assignment : Assignment
    on_batch : callable, optional
        Given every accepted batch with its chunk: the archive, in one process.
    reach : callable, optional
        Crash points.

    Attributes
    ----------
    counters : Counter of str
        Events, and every way one can be dropped, by name.
    """

    def __init__(
        self,
        log: MemoryLog,
        catalog: Catalog,
        window: WindowConfig,
        assignment: Assignment,
        *,
        on_batch: OnBatch | None = None,
        reach: Reach = pass_through,
    ) -> None:
        self._log, self._assignment = log, assignment
        self._decoder = Decoder(catalog.schemas)
        self._aggregator = PartitionAggregator(
            assignment.source, assignment.partition, assignment.owner, window, catalog.layout
        )
        self._on_batch, self._reach = on_batch, reach
        self.counters: Counter[str] = Counter()
        self._restore()

    @property
    def position(self) -> int:
        """Offset to read from."""
        return self._aggregator.position

    @property
    def watermark_us(self) -> int:
        """How far event time has come here."""
        return self._aggregator.watermark_us

    def _restore(self) -> None:
        """Continue from the last commit of this group, whoever wrote it."""
        a = self._assignment
        committed = self._log.committed(GROUP, a.source, a.partition)
        if committed is not None:
            self._aggregator.restore(Commit.parse(committed.offset, committed.metadata))

    @property
    def read_limit(self) -> int | None:
        """Messages to read at most: after a crash, exactly those that were read before it.

        So a chunk never straddles the old position, and what was archived is archived
        again under the same token or not at all.
        """
        return self._aggregator.messages_to_catch_up

    def take(self, chunk: Chunk) -> None:
        """Decode and aggregate one chunk, publish what is due, and commit."""
        if not len(chunk):
            return
        decoded = self._decoder.decode(chunk)
        added = self._aggregator.add(chunk, decoded.batches)
        self._count(chunk, decoded.rejects, added)
        self._write_refused(chunk, decoded.rejects, added)
        if self._on_batch is not None:
            self._archive(chunk, decoded.batches, added)
        self._publish(self._aggregator.flush(), is_end=False)

    def finish(self) -> None:
        """Publish every pane as it stands: the input has ended."""
        self._publish(self._aggregator.flush_all(), is_end=True)

    def _count(self, chunk: Chunk, rejects: Sequence[Reject], added: Added) -> None:
        """Count events and drops; every drop has a name."""
        self.counters["bytes"] += len(chunk.buffer)
        self.counters["messages"] += len(chunk)
        self.counters["accepted"] += added.n_accepted
        self.counters["late"] += sum(len(r.rows) for r in added.late)
        for reject in rejects:
            self.counters[f"rejected_{reject.reason.value}"] += 1
        self.counters["rejected_future"] += sum(len(r.rows) for r in added.future)

    def _write_refused(self, chunk: Chunk, rejects: Sequence[Reject], added: Added) -> None:
        """Record each dead letter and each late event under its source offset."""
        letters = [self._letter(chunk, reject) for reject in rejects]
        for refused in added.future:
            letters += [self._letter(chunk, r) for r in future_rejects(refused, chunk)]
        for letter in letters:
            key = f"{letter.source}|{letter.partition}|{letter.offset}|{letter.row}".encode()
            self._log.produce(DEAD_LETTERS, msgspec.msgpack.encode(letter), key=key)
            self._reach("ingest:dead_letter")
        for refused in added.late:
            for event in self._late_events(refused, chunk):
                key = f"{event.source}|{event.partition}|{event.offset}|{event.row}".encode()
                self._log.produce(LATE, msgspec.msgpack.encode(event), key=key)
            self._reach("ingest:late")

    def _letter(self, chunk: Chunk, reject: Reject) -> DeadLetter:
        """Return the record of one refused event of a chunk."""
        return dead_letter(
            reject,
            source=chunk.source,
            partition=chunk.partition,
            offset=int(chunk.log_offset[reject.message]),
            record_time_us=int(chunk.record_time_us[reject.message]),
        )

    def _late_events(self, refused: Refused, chunk: Chunk) -> list[LateEvent]:
        """Return the record of each late event of a batch."""
        batch, rows = refused.batch, refused.rows
        return [
            LateEvent(
                source=chunk.source,
                partition=chunk.partition,
                offset=int(chunk.log_offset[batch.message[i]]),
                row=int(batch.row[i]),
                tenant=batch.schema.tenant,
                model=batch.schema.model,
                time_us=int(batch.time_us[i]),
                watermark_us=int(wm),
            )
            for i, wm in zip(rows.tolist(), refused.watermark_us.tolist(), strict=True)
        ]

    def _archive(self, chunk: Chunk, batches: Sequence[EventBatch], added: Added) -> None:
        """Hand on the rows that were accepted or late: both happened."""
        if self._on_batch is None or self._aggregator.is_catching_up:
            return
        future = {id(refused.batch): refused.rows for refused in added.future}
        for batch in batches:
            rows = future.get(id(batch))
            if rows is None:
                self._on_batch(batch, chunk)
            else:
                keep = np.setdiff1d(np.arange(len(batch)), rows)
                self._on_batch(take_rows(batch, keep), chunk)
        self._reach("ingest:archive")

    def _publish(self, panes: Sequence[Pane], *, is_end: bool) -> None:
        """Write panes, then the watermark of this flush, then commit."""
        a = self._assignment
        for pane in panes:
            for i, value in enumerate(encode(pane)):
                self._log.produce(PANES, value, key=pane_key(pane, i).encode())
                self._reach("ingest:pane")
        self.counters["panes"] += len(panes)
        if not self._aggregator.is_catching_up:
            word = WatermarkMessage(
                a.source,
                a.partition,
                a.n_partitions,
                a.owner,
                self._aggregator.watermark_us,
                is_end=is_end,
            )
            self._log.produce(PANES, word.encode(), key=word.key())
            self._reach("ingest:watermark")
        commit = self._aggregator.commit_point()
        if commit is not None:
            self._log.commit(GROUP, a.source, a.partition, commit.offset, commit.metadata())
            self._reach("ingest:commit")
