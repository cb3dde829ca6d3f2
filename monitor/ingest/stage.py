"""The ingest stage for one source partition: decode, aggregate, publish, then commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from monitor.clock import elapsed_s
from monitor.core.failpoints import Hit, pass_through
from monitor.core.gpu.host_activity import HostSign, signs_of, signs_of_mixed
from monitor.core.pipeline_health.dead_letter_limit import DeadLetterLimit
from monitor.core.topics import ALERTS, PANES
from monitor.core.unreadable import letter_write, reject_letter, unreadable_letter
from monitor.core.windowing.accumulators import take as take_rows
from monitor.core.windowing.aggregate import Added, PartitionAggregator, RetentionGap
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import pane_partition
from monitor.core.windowing.intake_message import encode_intake, intake_key
from monitor.core.windowing.packed_pane import PackedPane
from monitor.core.windowing.watermark import Commit
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.core.write import Write
from monitor.decode.decoder import Decoded, Decoder
from monitor.ingest.pane_writer import PaneWriter
from monitor.ingest.refusals import late_events, late_write, new_rejects
from monitor.ingest.repeated_ids import RepeatedIds
from monitor.transport.types import Log
from schemas.batch import Chunk, EventBatch
from schemas.config.model import WindowConfig
from schemas.events import Reject
from schemas.intake import IntakePane
from schemas.panes import Pane

GROUP = "driftline-ingest"

OnBatch = Callable[[EventBatch, Chunk], None]
OnPane = Callable[[Pane], None]
OnSigns = Callable[[Sequence[HostSign]], None]
Observe = Callable[[str, float], None]
"""Given the name of a step and how many seconds it took."""


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
    log : Log
        Where panes, dead letters and late events go, and where commits are kept.
    window : WindowConfig
        Pane, bound, lateness and skew of the source.
    decoder : Decoder, optional
        One for all partitions of a process: its dictionaries and layouts are the models',
        and what it accepts does not depend on what it has read before.
    cap : DeadLetterLimit, optional
        Without one, every refused event becomes a dead letter.
    n_panes_partitions : int, optional
        Of the panes topic; the watermark is written to every one of them.
    grain : int, optional
        Panes that are counted as one: see ``PartitionAggregator``.
    on_batch : callable, optional
        Given every accepted batch with its chunk: the archive, in one process.
    on_pane : callable, optional
        Given every pane, which is not written to the log then: detect, in one process where
        nothing else reads panes. Those of a flush come before its watermark is written.
    observe : callable, optional
        Called with how long ``decode``, ``aggregate`` and ``flush`` took.
    hit : callable, optional
        Called with the name of each failpoint.

    Attributes
    ----------
    counters : Counter of str
        Events, and every way one can be dropped, by name.
    gaps : list of RetentionGap
        What retention took before it was read.
    """

    def __init__(
        self,
        log: Log,
        catalog: Catalog,
        window: WindowConfig,
        assignment: Assignment,
        *,
        decoder: Decoder | None = None,
        cap: DeadLetterLimit | None = None,
        n_panes_partitions: int = 1,
        grain: int = 1,
        on_batch: OnBatch | None = None,
        on_pane: OnPane | None = None,
        on_signs: OnSigns | None = None,
        observe: Observe | None = None,
        hit: Hit = pass_through,
    ) -> None:
        self._log, self._assignment = log, assignment
        self._decoder = decoder or Decoder(catalog.schemas)
        self._aggregator = PartitionAggregator(
            assignment.source,
            assignment.partition,
            assignment.owner,
            window,
            catalog.layout,
            grain=grain,
        )
        self._cap, self._n_panes_partitions = cap, n_panes_partitions
        self._pane_writer = PaneWriter(n_panes_partitions)
        self._on_batch, self._observe, self._hit = on_batch, observe, hit
        self._on_pane, self._on_signs = on_pane, on_signs
        self.counters: Counter[str] = Counter()
        self._repeated_ids = RepeatedIds()
        self.gaps: list[RetentionGap] = []
        self.is_fresh = True
        """Whether there was no commit to go on from."""
        self._is_gap_expected = False
        self._restore()

    @property
    def decoder(self) -> Decoder:
        """The decoder of this partition's events."""
        return self._decoder

    @property
    def position(self) -> int:
        """Offset to read from."""
        return self._aggregator.position

    @property
    def watermark_us(self) -> int:
        """How far event time has come here."""
        return self._aggregator.watermark_us

    @property
    def is_catching_up(self) -> bool:
        """Whether what is read was read before: nothing is published then."""
        return self._aggregator.is_catching_up or self._is_gap_expected

    @property
    def n_open_panes(self) -> int:
        """How many places in time hold a pane that may still change."""
        return self._aggregator.n_open_panes

    @property
    def is_due(self) -> bool:
        """Whether the end of a pane was passed since the last flush."""
        return self._aggregator.is_due and not self.is_catching_up

    def _restore(self) -> None:
        """Continue from the last commit of this group."""
        a = self._assignment
        committed = self._log.committed(GROUP, a.source, a.partition)
        if committed is None or not committed.metadata:
            return
        commit = Commit.parse(committed.offset, committed.metadata)
        if commit.source != a.source:
            self.counters["commits_of_another_topic"] += 1
            return
        self.is_fresh = False
        self._aggregator.restore(commit)
        if self._cap is not None:
            self._cap.restore(commit.note)

    def expect_gap(self) -> None:
        """Skip messages that are missing before the next one: S moves beyond them."""
        self._is_gap_expected = True

    def lose(self, end: int) -> None:
        """Record that the log does not hold the position any more.

        Parameters
        ----------
        end : int
            Where the log ends: a position beyond it means that the log was cut, and what
            comes is new however it is numbered.
        """
        commit = self._aggregator.commit_point()
        if commit is not None and commit.offset > end:
            changed = {"offset": -1, "position": end}
            self._aggregator.restore(msgspec.structs.replace(commit, **changed))
        self.expect_gap()

    @property
    def read_limit(self) -> int | None:
        """Messages to read at most: after a crash, exactly those that were read before it.

        So a chunk never straddles the old position, and what was archived is archived
        again under the same token or not at all.
        """
        return self._aggregator.messages_to_catch_up

    def add(self, chunk: Chunk, decoded: Decoded | None = None) -> None:
        """Decode and aggregate one chunk, and record what was refused.

        Parameters
        ----------
        chunk : Chunk
            The messages that follow those of the last call.
        decoded : Decoded, optional
            What it held, if it was decoded already, by this stage's decoder.
        """
        if self._is_gap_expected:
            self._skip(int(chunk.log_offset[0]), int(chunk.record_time_us[0]))
        if decoded is not None:
            self._add(chunk, decoded)
            return
        for part in self._decoder.parts(chunk):
            began_s = elapsed_s()
            # the archive in this process takes a batch of each model
            found = self._decoder.decode(part, is_mixed=self._on_batch is None)
            if self._observe is not None:
                self._observe("decode", elapsed_s() - began_s)
            self._add(part, found)

    def _add(self, chunk: Chunk, decoded: Decoded) -> None:
        """Aggregate messages that were decoded together."""
        began_s = elapsed_s()
        self._count_repeated(decoded)
        added = self._aggregator.add(chunk, decoded.batches, decoded.rejects, decoded.mixed)
        if self._observe is not None:
            self._observe("aggregate", elapsed_s() - began_s)
        rejects = new_rejects(chunk, decoded.rejects, added.future, self._aggregator.report_from)
        self._count(chunk, rejects, added)
        self._write_letters(chunk, rejects)
        self._write_late(chunk, added)
        if self._on_signs is not None:
            future = {id(refused.batch): refused.rows for refused in added.future}
            for batch in decoded.batches:
                self._on_signs(signs_of(batch, future.get(id(batch))))
            if decoded.mixed is not None:
                self._on_signs(sorted(signs_of_mixed(decoded.mixed, added.future)))
        if self._on_batch is not None:
            self._archive(chunk, decoded.batches, added)

    def refuse_unread(self, offset: int, detail: str) -> None:
        """Record a message that could not even be taken out of the log.

        Parameters
        ----------
        offset : int
            Its position, behind the last chunk.
        detail : str
            Why.
        """
        a = self._assignment
        letter = unreadable_letter(
            b"", detail, source=a.source, partition=a.partition, offset=offset
        )
        self.counters[f"rejected_{letter.reason}"] += 1
        self.counters["refused"] += 1
        self.counters["dead_letters"] += 1
        self._log.append(letter_write(letter, a.partition))
        self._hit("ingest:dead_letter")

    def _skip(self, offset: int, record_time_us: int) -> None:
        """Go on behind what is missing."""
        self._is_gap_expected = False
        gap = self._aggregator.skip(offset, record_time_us)
        if gap is not None:
            self.gaps.append(gap)

    def _count_repeated(self, decoded: Decoded) -> None:
        """Count repeated ids; of what is read again after a restart only remember them."""
        n = sum(self._repeated_ids.count(batch) for batch in decoded.batches)
        if decoded.mixed is not None:
            n += self._repeated_ids.count_mixed(decoded.mixed)
        if not self._aggregator.is_catching_up:
            self.counters["repeated"] += n

    def _count(self, chunk: Chunk, rejects: Sequence[Reject], added: Added) -> None:
        """Count events and drops; every drop has a name."""
        counts = self.counters
        counts["bytes"] += int(chunk.offsets[-1])
        counts["messages"] += len(chunk)
        counts["accepted"] += added.n_accepted
        for refused in added.late:
            counts["late"] += len(refused.rows)
        for reject in rejects:
            counts[f"rejected_{reject.reason.value}"] += reject.n_events
            counts["refused"] += reject.n_events

    def _write_letters(self, chunk: Chunk, rejects: Sequence[Reject]) -> None:
        """Record each refused event under its source offset, as many as the cap admits."""
        for reject in rejects:
            if self._cap is not None and not self._is_admitted(chunk, reject):
                continue
            self._log.append(letter_write(reject_letter(reject, chunk), chunk.partition))
            self.counters["dead_letters"] += 1
            self._hit("ingest:dead_letter")
        if self._cap is not None:
            self._cap.advance(int(chunk.record_time_us[-1]))
            for alert in self._cap.take_alerts():
                key, value = alert.alert_id.encode(), msgspec.msgpack.encode(alert)
                self._log.append(Write(ALERTS, key, value, 0))
                self._hit("ingest:alert")

    def _is_admitted(self, chunk: Chunk, reject: Reject) -> bool:
        """Whether there is room for another dead letter of this model."""
        assert self._cap is not None
        record_time_us = int(chunk.record_time_us[reject.message])
        if self._cap.admits(reject.tenant, reject.model, record_time_us):
            return True
        tenant, model = self._cap.bucket(reject.tenant, reject.model)
        self.counters[f"capped|{tenant}|{model}"] += 1
        return False

    def _write_late(self, chunk: Chunk, added: Added) -> None:
        """Record each late event under its source offset."""
        for refused in added.late:
            for event in late_events(refused, chunk):
                self._log.append(late_write(event, chunk.partition))
            self._hit("ingest:late")

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
        self._hit("ingest:archive")

    def publish(
        self, *, is_complete: bool = False, is_idle: bool = False, is_end: bool = False
    ) -> None:
        """Write the panes that are due, then the watermark of this flush, then commit.

        Parameters
        ----------
        is_complete : bool, optional
            Also panes that the watermark has not passed: nothing more may come for long.
        is_idle, is_end : bool, optional
            Said with the watermark.
        """
        if self._is_gap_expected:
            # what was acknowledged before the gap still holds; more is known with the next event
            self._write_watermark(is_idle=is_idle, is_end=is_end)
            return
        began_s = elapsed_s()
        if self._on_pane is None:
            self._write_panes(self._aggregator.flush_packed(is_end=is_complete))
        else:
            self._hand_on(self._aggregator.flush(is_end=is_complete), self._on_pane)
        self._write_intake(self._aggregator.take_intake())
        if not self._aggregator.is_catching_up:
            self._write_watermark(is_idle=is_idle, is_end=is_end)
        commit = self._aggregator.commit_point()
        if commit is not None:
            self._pane_writer.forget(commit.retired_before_us)
            self._commit(commit)
        if self._observe is not None:
            self._observe("flush", elapsed_s() - began_s)

    def _hand_on(self, panes: Sequence[Pane], on_pane: OnPane) -> None:
        """Pass panes to the process's own detect."""
        for pane in panes:
            on_pane(pane)
        self.counters["panes"] += len(panes)

    def _write_panes(self, panes: Sequence[PackedPane]) -> None:
        """Write the messages of panes."""
        for write in self._pane_writer.writes(panes):
            self._log.append(write)
            self._hit("ingest:pane")
        self.counters["panes"] += len(panes)

    def _write_intake(self, intake: Sequence[IntakePane]) -> None:
        """Write what was rejected or late to the partition of its model's panes."""
        for pane in intake:
            partition = pane_partition(pane.tenant, pane.model, self._n_panes_partitions)
            self._log.append(Write(PANES, intake_key(pane), encode_intake(pane), partition))
            self._hit("ingest:intake")

    def _write_watermark(self, *, is_idle: bool, is_end: bool) -> None:
        """Write the watermark to every partition of the panes topic."""
        a, wm = self._assignment, self._aggregator.watermark_us
        word = WatermarkMessage(
            a.source, a.partition, a.n_partitions, a.owner, wm, is_idle=is_idle, is_end=is_end
        )
        for partition in range(self._n_panes_partitions):
            self._log.append(Write(PANES, word.key(), word.encode(), partition))
        self._hit("ingest:watermark")

    def _commit(self, commit: Commit) -> None:
        """Have the log remember where reading starts again."""
        a = self._assignment
        if self._cap is not None and not self._aggregator.is_catching_up:
            commit = msgspec.structs.replace(commit, note=self._cap.note())
        self._log.commit(GROUP, a.source, a.partition, commit.offset, commit.metadata())
        self._hit("ingest:commit")
