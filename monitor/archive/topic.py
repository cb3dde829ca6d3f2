"""One topic on its way into the store: a member of the topic's archive group.

Each partition goes round four steps, each remembered outside before the next begins:

1. *gathered*: messages are read, nothing is written down;
2. *cut*: the range [lo, hi) is fixed, and committed as an intent, ``(lo, metadata = hi)``;
3. *begun*: the group has taken the intent; the range is inserted under its token;
4. *inserted*: ``(hi, "")`` is committed, and the next range begins at ``hi``.

Why two owners never insert different ranges of the same messages: a range is inserted only
after the group has taken its intent, and the group takes a commit only from a member of its
present generation. A new owner reads the commit after the generation has changed. So either
the old owner's intent was taken before, and the new one reads it and repeats exactly that
range under the same token, which adds nothing; or it comes too late and is refused, and the
old owner does not insert. An intent whose answer was lost may have been taken or not: the
range stays as it was cut, and the same intent is committed again until there is an answer
or the partition is gone. So a late copy of that commit can say nothing else either. What
an old owner (a process that was stopped and wakes) still inserts then is what the new one
inserts, under the same token; beyond the memory of the table for tokens, which a sleeper
may outlive, it asks the group again first (:meth:`TopicArchive.confirm`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial

from monitor.archive.blocks import InsertBlock, Place
from monitor.archive.inserter import Inserter, Job
from monitor.archive.letter_writer import STAGE, LetterWriter
from monitor.archive.letters import LabelRefusal
from monitor.archive.pane_fold import PaneReader, fold_at
from monitor.archive.pending_range import Cut, Gathering, Range
from monitor.archive.position import ArchivePosition, position_of
from monitor.archive.raw import RAW_TOPICS, RawTopics
from monitor.archive.stage import Piece, RangeRows
from monitor.archive.writes import range_token
from monitor.clock import elapsed_s
from monitor.core.topics import LABELS, PANES, PREDICTIONS
from monitor.core.unreadable import unreadable_letter
from monitor.metrics import (
    BYTES,
    COMMITS,
    EVENTS,
    GAPS,
    LAG,
    PARTITIONS,
    READER_KIND,
    REBALANCES,
    REJECTED,
)
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.readers.reader import open_reader
from monitor.transport.kafka.readers.records import Records
from monitor.transport.kafka.readers.topic_scan import scan
from monitor.transport.kafka.settings import BUSY_FETCH_WAIT_MS, Callbacks, LogGap, Unreadable
from monitor.transport.types import Committed, Message
from schemas.batch import Chunk
from schemas.errors import TransportError
from schemas.events import RejectReason

READ_MESSAGES = 20_000
"""At once, of one partition."""
READ_AHEAD_BYTES = {PREDICTIONS: 16 << 20}
READ_AHEAD_OTHERS_BYTES = 4 << 20
"""Of each partition, in the client."""
BUDGET_BYTES = {PREDICTIONS: 128 << 20}
BUDGET_OTHERS_BYTES = 32 << 20
"""What may be gathered of a topic; then it is not read until a range is in the store."""
REVOKE_WAIT_S = 5.0
"""How long a partition that is taken away may wait for the insert under way."""
_COMMIT_PAUSE_S = 0.1


def group_of(topic: str) -> str:
    """Return the topic's archive group, without the cluster's prefix.

    Examples
    --------
    >>> group_of("driftline.panes")
    'driftline-archive-panes'
    """
    return f"driftline-archive-{topic.rpartition('.')[2]}"


class RangeStep(Enum):
    """Where the range in hand is."""

    CUT = "cut"
    BEGUN = "begun"
    INSERTED = "inserted"


@dataclass(slots=True, eq=False)
class ArchivedPartition:
    """One partition, while it is owned."""

    gathering: Gathering
    at: ArchivePosition
    """As in the commit, with what the next intent adds."""
    rows: RangeRows | None = None
    """Made when the first range is: what waited before it may have to be read back."""
    hand: Range | None = None
    step: RangeStep = RangeStep.CUT
    job: Job | None = None


class TopicArchive:
    """Reads one topic, and brings its ranges into the store.

    Parameters
    ----------
    topic : str
        One of ``monitor.core.topics``.
    letters : LetterWriter
        Where dead letters of raw topics go.

    Raises
    ------
    TransportError
        If there is no such topic, or no answer in time.
    """

    def __init__(
        self,
        cluster: Cluster,
        topic: str,
        raw: RawTopics,
        panes: PaneReader,
        inserter: Inserter,
        lifecycle: Lifecycle,
        *,
        letters: LetterWriter,
        member: str | None = None,
        cut: Cut | None = None,
    ) -> None:
        self._letters = letters
        self._cluster, self._topic, self._raw, self._panes = cluster, topic, raw, panes
        self._inserter, self._lifecycle, self._cut = inserter, lifecycle, cut or Cut()
        self._owned: dict[int, ArchivedPartition] = {}
        self._budget = BUDGET_BYTES.get(topic, BUDGET_OTHERS_BYTES)
        self._commit_at_s = 0.0
        self.n_refused_commits = 0
        """One after the other, without one that was taken."""
        settings = replace(
            cluster.reader(topic, group_of(topic), member=member),
            queue_bytes=READ_AHEAD_BYTES.get(topic, READ_AHEAD_OTHERS_BYTES),
        )
        if topic == PREDICTIONS:
            settings = replace(settings, fetch_wait_ms=BUSY_FETCH_WAIT_MS)
        self._reader = open_reader(
            settings,
            Callbacks(
                self._on_assign,
                self._on_revoke,
                self._on_lost,
                self._on_gap,
                on_unreadable=self._on_unreadable,
            ),
        )
        READER_KIND.labels(STAGE, topic, self._reader.kind).set(1)
        # Prometheus sees no increase in a series that begins above 0.
        GAPS.labels(STAGE, topic)

    @property
    def has_joined(self) -> bool:
        """Whether the group has given us a share, be it none."""
        return self._reader.counters["assignments"] > 0

    @property
    def name(self) -> str:
        """The topic, without the cluster's prefix."""
        return self._topic

    @property
    def has_share(self) -> bool:
        """Whether this process owns a partition of the topic; from any thread."""
        return bool(self._owned)

    @property
    def has_work(self) -> bool:
        """Whether a range is on its way into the store."""
        return any(owned.hand is not None for owned in self._owned.values())

    @property
    def n_gathered(self) -> int:
        """Messages read, and in no range yet."""
        return sum(owned.gathering.n_messages for owned in self._owned.values())

    # What the loop does, round by round.

    def poll(self) -> None:
        """Serve the group."""
        self._reader.poll(0)

    def gather(self) -> int:
        """Read what is there, within the budget; return how many messages.

        A range that was begun is read to its end beyond it: several of them can be longer
        than the budget together, and each has to be whole before one leaves.
        """
        n_read = 0
        room = self._room()
        for partition in list(self._owned):
            owned = self._owned.get(partition)
            if owned is None or (room <= 0 and owned.gathering.archived.hi is None):
                continue
            piece, n_bytes = self._read(partition)
            if not len(piece):
                continue
            self._add(owned, piece)
            BYTES.labels(STAGE, self._topic).inc(n_bytes)
            n_read += len(piece)
            room -= n_bytes
        return n_read

    def _add(self, owned: ArchivedPartition, piece: Piece) -> None:
        """Gather what was read, by what it weighs."""
        if isinstance(piece, Chunk):
            for part, weight in self._raw.weighed(self._topic, piece):
                owned.gathering.add(part, elapsed_s(), weight)
        else:
            owned.gathering.add(piece, elapsed_s())

    def _room(self) -> int:
        """Return how many bytes may still be gathered."""
        return self._budget - sum(owned.gathering.n_bytes for owned in self._owned.values())

    def _read(self, partition: int) -> tuple[Piece, int]:
        """Read messages: as one buffer where they are not needed one by one."""
        if self._topic in RAW_TOPICS:
            chunk = self._reader.read(partition, READ_MESSAGES)
            return chunk, int(chunk.offsets[-1])
        records = self._reader.read_records(partition, READ_MESSAGES)
        return messages_of(records), int(records.chunk.offsets[-1])

    def advance(self) -> None:
        """Cut what is due, commit, and hand ranges that may be inserted to the inserter."""
        now_s, is_crowded = elapsed_s(), self._room() <= 0
        for partition, owned in self._owned.items():
            if owned.hand is None:
                owned.hand = owned.gathering.take(
                    now_s,
                    self._reader.position(partition),
                    is_at_end=self._reader.is_at_end(partition),
                    is_full=is_crowded and self._has_its_share(owned),
                )
                owned.step = RangeStep.CUT
        self.settle()

    def _has_its_share(self, owned: ArchivedPartition) -> bool:
        """Return whether a partition holds so much of the budget that it makes a good insert.

        Where the budget is spent at least one does. Until its messages were a second old
        nothing was read: a budget a second was the most, .33 M rows, whatever the machine.
        """
        return owned.gathering.n_bytes * len(self._owned) >= self._budget

    def settle(self) -> None:
        """Commit intents and ends, as far as there are any."""
        if not self.has_work:
            self.n_refused_commits = 0  # refused partitions are not owned any more
        due = {p: o for p, o in self._owned.items() if o.hand and o.step is not RangeStep.BEGUN}
        if due and elapsed_s() >= self._commit_at_s and self._commit(due):
            for partition, owned in due.items():
                if self._owned.get(partition) is owned:
                    self._go_on(partition, owned)

    def confirm(self) -> bool:
        """Ask the group whether we still own what is being inserted: commit it again."""
        begun = {p: o for p, o in self._owned.items() if o.step is RangeStep.BEGUN and o.hand}
        return not begun or self._commit(begun)

    def finish(self, job: Job) -> bool:
        """Note that a job is over; False if it is not this topic's."""
        for owned in self._owned.values():
            if owned.job is job and owned.hand is not None:
                owned.step = RangeStep.INSERTED
                EVENTS.labels(STAGE, self._topic).inc(owned.hand.n_messages)
                self._lifecycle.hit("archive:rows")
                return True
        return False

    def measure(self) -> None:
        """Show how far behind the archive is."""
        for partition, owned in self._owned.items():
            lo = owned.hand.lo if owned.hand is not None else owned.gathering.lo
            with suppress(TransportError):
                behind = max(0, self._reader.high_watermark(partition) - lo)
                LAG.labels(STAGE, self._topic, str(partition)).set(behind)

    def close(self) -> None:
        """Give partitions back and leave the group."""
        self._reader.close()

    # Commits.

    def _commit(self, due: dict[int, ArchivedPartition]) -> bool:
        """Commit the position of each; True if the group accepted all of it."""
        self._lifecycle.beat()
        topic_id = self._reader.source
        commits = {}
        for partition, owned in due.items():
            archived = _archived(owned)
            commits[partition] = Committed(archived.lo, archived.metadata(topic_id))
        is_taken = self._reader.commit_all(commits)
        COMMITS.labels(STAGE, "taken" if is_taken else "not_now").inc()
        self.n_refused_commits = 0 if is_taken else self.n_refused_commits + 1
        if not is_taken:
            self._commit_at_s = elapsed_s() + _COMMIT_PAUSE_S
        return is_taken

    def _go_on(self, partition: int, owned: ArchivedPartition) -> None:
        """Continue after an accepted commit."""
        if owned.step is RangeStep.CUT and owned.hand is not None:
            self._lifecycle.hit("archive:intent")
            owned.step = RangeStep.BEGUN
            owned.job = Job(self._blocks(partition, owned, owned.hand))
            self._inserter.submit(owned.job)
        elif owned.step is RangeStep.INSERTED:
            owned.at = self._next_at(_archived(owned))
            owned.hand = owned.job = None
            self._lifecycle.hit("archive:commit")

    def _next_at(self, archived: ArchivePosition) -> ArchivePosition:
        """Return a position with what the next intent adds: a change of the slots' lengths.

        It is asked for after each range, since one that was begun is repeated as it was.
        """
        return self._panes.taken_over(archived) if self._topic == PANES else archived

    def _blocks(self, partition: int, owned: ArchivedPartition, hand: Range) -> list[InsertBlock]:
        """Make the inserts of a range."""
        place = Place(self._reader.source, partition)
        if owned.rows is None:
            read = partial(scan, self._cluster, self._topic, partition)
            fold = None
            if self._topic == PANES:
                fold = fold_at(owned.at, hand.hi, place, self._panes, read)
            owned.rows = RangeRows(self._topic, place, self._raw, self._panes, fold)
        token = range_token(place.source, partition, hand.lo, hand.hi)
        is_switch = owned.at.is_switch
        blocks = owned.rows.blocks(hand.pieces, hand.hi, token, is_switch=is_switch)
        self._letters.write(self._topic, partition, owned.rows.refusals)
        return blocks

    # Rebalances.

    def _on_assign(self, partition: int, committed: Committed | None) -> int | None:
        """Take a partition over where its commit says."""
        archived = position_of(committed, self._reader.source)
        archived = self._next_at(archived)
        self._owned[partition] = ArchivedPartition(Gathering(archived, self._cut), archived)
        self._count("assigned")
        # Without a commit the log's first offset is meant, which need not be 0.
        return archived.lo if committed is not None else None

    def _on_revoke(self, partition: int) -> None:
        """Finish the range in hand if the store is quick; else its next owner repeats it."""
        owned = self._owned.pop(partition, None)
        self._count("revoked")
        if owned is None:
            return
        if owned.job is not None and owned.step is RangeStep.BEGUN:
            is_whole = self._inserter.wait(owned.job, REVOKE_WAIT_S)
            owned.job.abandon()
            owned.step = RangeStep.INSERTED if is_whole else RangeStep.BEGUN
        if owned.step is RangeStep.INSERTED and owned.hand is not None:
            self._commit({partition: owned})
        self._forget(partition)
        self._lifecycle.hit("archive:revoke")

    def _on_lost(self, partition: int) -> None:
        """Drop everything: another member may own it already."""
        owned = self._owned.pop(partition, None)
        if owned is not None and owned.job is not None:
            owned.job.abandon()
        self._count("lost")
        self._forget(partition)

    def _on_gap(self, gap: LogGap) -> None:
        """Go on where the log goes on."""
        GAPS.labels(STAGE, self._topic).inc()
        if (owned := self._owned.get(gap.partition)) is not None:
            owned.gathering.begins_at(gap.begins)

    def _on_unreadable(self, message: Unreadable) -> None:
        """Record a label that the client cannot unpack; of predictions ingest does."""
        if self._topic != LABELS:
            REJECTED.labels(STAGE, self._topic, RejectReason.MALFORMED.value).inc()
            return
        letter = unreadable_letter(
            b"",
            message.detail,
            source=self._reader.source,
            partition=message.partition,
            offset=message.offset,
        )
        self._letters.write(self._topic, message.partition, [LabelRefusal(letter)])

    def _count(self, what: str) -> None:
        """Show a change of what is owned."""
        REBALANCES.labels(STAGE, self._topic, what).inc()
        PARTITIONS.labels(STAGE, self._topic).set(len(self._owned))

    def _forget(self, partition: int) -> None:
        """Remove the metrics of a partition that is not owned."""
        with suppress(KeyError):
            LAG.remove(STAGE, self._topic, str(partition))


def _archived(owned: ArchivedPartition) -> ArchivePosition:
    """Return what to commit for the range in hand."""
    hand = owned.hand
    if hand is None:
        return owned.gathering.archived
    if owned.step is RangeStep.INSERTED:
        return position_after(owned.rows, hand.hi)
    return replace(owned.at, lo=hand.lo, hi=hand.hi)


def position_after(rows: RangeRows | None, hi: int) -> ArchivePosition:
    """Return what to commit once a range is in the store."""
    if rows is None:
        return ArchivePosition(hi)
    return ArchivePosition(hi, back=rows.back, slots=rows.slots)


def messages_of(records: Records) -> list[Message]:
    """Take messages apart; a tombstone's value is empty.

    Examples
    --------
    >>> from monitor.transport.kafka.readers.records import join_records
    >>> messages_of(join_records([(7, 1_000, b"k", None)], "source", 0))
    [Message(offset=7, key=b'k', value=b'', timestamp_us=1000)]
    """
    chunk = records.chunk
    return [
        Message(offset, records.key(i) or b"", records.value(i) or b"", time_us)
        for i, (offset, time_us) in enumerate(
            zip(chunk.log_offset.tolist(), chunk.record_time_us.tolist(), strict=True)
        )
    ]
