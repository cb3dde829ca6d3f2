"""One ingest process: a member of the group, an aggregator per partition it owns.

One thread. Reading goes on while writes are in flight; commits to the group follow the
acknowledgements, a few times a second. No decision depends on the wall clock: seconds are
those of the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import uuid4

from monitor.clock import elapsed_s
from monitor.core.gpu.host_activity import NewestSigns, sign_messages
from monitor.core.pipeline_health.dead_letter_limit import DeadLetterLimit
from monitor.core.topics import GPU, PANES, PREDICTIONS
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.watermark import Commit
from monitor.core.write import Write
from monitor.decode.decoder import Decoder
from monitor.ingest.kafka_log import PartitionLog, Writes
from monitor.ingest.stage import GROUP, Assignment, Ingest
from monitor.ingest.tally import Tally
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.client_log import LOG
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.kafka.readers.baseline_feed import BaselineFeed
from monitor.transport.kafka.readers.reader import open_reader
from monitor.transport.kafka.settings import (
    BUSY_FETCH_WAIT_MS,
    Callbacks,
    LogGap,
    ReadFault,
    Unreadable,
)
from monitor.transport.types import Committed
from schemas.batch import Chunk
from schemas.config.model import WindowConfig
from schemas.errors import TransportError
from schemas.limits import MessageLimits

TICK_S = 1.0
"""Watermarks are sent, baselines looked for and gauges set as often."""
COMMIT_S = 0.25
BUSY_COMMIT_S = 0.5
"""A commit waits for its answer: 5 to 20 ms in which nothing is read."""
POLL_S = 0.1
LINGER_S, LINGER_A_MODEL_S, LONGEST_LINGER_S = 0.01, 0.0002, 0.1
"""What came in less is decoded together, unless a chunk was full: each has a fixed cost for
each model. With one model .05 instead of .01 made an event dearer (1.25 us instead of .75 to
1.07): what waits so long has left the processor's cache."""
CAUGHT_UP_S = 0.1
"""The end of a catch-up is published at once, but not more often than this."""
DRAIN_S = 20.0
REVOKE_S = 5.0
"""How long acknowledgements are waited for before a partition is given away."""
CHUNK_MESSAGES = 5_000
MANY_MESSAGES = 50_000
"""A chunk has a fixed cost per model, so with many models it is longer."""
MESSAGES_A_MODEL = 50
PANES_A_CHUNK = 2
"""A chunk that opens more is followed by shorter ones: panes are retired between chunks, and
a catch-up through a quiet topic held thirty panes of every series at once."""
CHUNK_BYTES = 16 << 20
MAX_WRITES = 20_000
MAX_WRITE_BYTES = 32 << 20
"""Beyond so much unacknowledged nothing is read."""


SIGNS_KEY = b"signs"


@dataclass(slots=True)
class IngestPartition:
    """One partition this process owns."""

    ingest: Ingest
    log: PartitionLog
    read_s: float
    """When something was last read, by the monotonic clock."""
    published_s: float
    is_idle: bool = False
    is_behind: bool = False
    """A chunk was full, and the log's end was not seen since."""
    chunk_messages: int = CHUNK_MESSAGES
    most_messages: int = CHUNK_MESSAGES
    """As many as lie within few panes."""
    n_gaps_logged: int = 0
    signs: NewestSigns = field(default_factory=NewestSigns)
    """Which hosts served predictions since it was last written."""


class IngestWorker:
    """Reads predictions, writes panes; see :func:`monitor.ingest.on_kafka.run_ingest`."""

    def __init__(
        self,
        cluster: Cluster,
        catalog: Catalog,
        window: WindowConfig,
        feed: BaselineFeed,
        lifecycle: Lifecycle,
        *,
        member: str | None = None,
        limits: MessageLimits | None = None,
    ) -> None:
        self._catalog, self._window, self._feed, self._lifecycle = catalog, window, feed, lifecycle
        self._topic = cluster.topic(PREDICTIONS)
        self._decoder = Decoder(catalog.schemas, limits=limits)
        self._n_panes_partitions = cluster.identity(PANES).n_partitions
        self._owned: dict[int, IngestPartition] = {}
        n = MESSAGES_A_MODEL * len(catalog.configs)
        linger_s = LINGER_S + LINGER_A_MODEL_S * len(catalog.configs)
        self._linger_s = min(LONGEST_LINGER_S, linger_s)
        self._most_messages = min(MANY_MESSAGES, max(CHUNK_MESSAGES, n))
        self._is_read = self._is_behind = self._is_ready = self._is_away = False
        self._ticked_s = self._committed_s = self._round_s = elapsed_s()
        self._writes = Writes(cluster, LogProducer(cluster.client()))
        self._look_for_brokers: Callable[[], object] = lambda: cluster.identity(
            PREDICTIONS, timeout_s=1.0
        )
        callbacks = Callbacks(
            self._on_assign,
            self._on_revoke,
            self._on_lost,
            self._on_gap,
            self._on_fault,
            self._on_unreadable,
        )
        settings = replace(
            cluster.reader(PREDICTIONS, GROUP, member=member), fetch_wait_ms=BUSY_FETCH_WAIT_MS
        )
        self._reader = open_reader(settings, callbacks)
        self._tally = Tally(self._topic, self._reader.kind)

    def run(self) -> None:
        """Work until drained; then leave in good order."""
        with self._writes.producer:
            try:
                while not self._lifecycle.is_draining:
                    self._go_round()
                self._finish()
            except BaseException:
                # the next owner continues from the last commit: nothing more is written
                self._owned.clear()
                raise
            finally:
                self._reader.close()

    def _go_round(self) -> None:
        """Serve the group, read each partition once, publish and commit what is due."""
        self._lifecycle.beat()
        self._writes.producer.poll()
        if self._is_full:
            self._lifecycle.wait(0.01)
        self._linger()
        is_waiting = not (self._is_read or self._is_full)
        self._reader.poll(POLL_S if is_waiting else 0.0)
        if not self._is_ready and self._reader.counters["assignments"]:
            self._is_ready = True
            self._lifecycle.ready()
        self._round_s = now_s = elapsed_s()
        if now_s - self._ticked_s >= TICK_S:
            self._tick(now_s)
        self._is_read = self._is_behind = False
        for partition in self._reader.partitions:
            if not self._is_full:
                self._read(partition, now_s)
            self._publish_if_due(partition, now_s)
        self._tally.check_refused()
        if now_s - self._committed_s >= (BUSY_COMMIT_S if self._is_read else COMMIT_S):
            self._commit(now_s)

    def _linger(self) -> None:
        """Wait for more messages before the next round, when the last one read all there were."""
        left_s = self._round_s + self._linger_s - elapsed_s()
        if self._is_read and not self._is_behind and left_s > 0:
            self._lifecycle.wait(left_s)

    @property
    def _is_full(self) -> bool:
        """Whether so many writes are unacknowledged that reading must wait."""
        return self._writes.n_outstanding > MAX_WRITES or self._writes.n_bytes > MAX_WRITE_BYTES

    def _tick(self, now_s: float) -> None:
        """Once a second: new baselines, before what they are for is counted; gauges."""
        self._ticked_s = now_s
        self._feed.poll()
        if self._is_away and self._is_ready and not self._owned:
            # A stand-by writes nothing that could be acknowledged: it asks.
            with suppress(TransportError):
                self._look_for_brokers()
                self._note_brokers()
        for partition, owned in self._owned.items():
            self._tally.show_partition(
                partition, self._lag(partition, owned), owned.ingest.watermark_us
            )
        self._tally.show_process(len(self._owned), self._writes.n_outstanding)

    def _lag(self, partition: int, owned: IngestPartition) -> int | None:
        """Return how far the log's end is from F; None without an answer."""
        try:
            return max(0, self._reader.lag(partition) - (owned.ingest.read_limit or 0))
        except TransportError:
            return None

    def _read(self, partition: int, now_s: float) -> None:
        """Take one chunk of a partition."""
        owned = self._owned.get(partition)
        if owned is None:
            return
        chunk = self._reader.read(partition, owned.chunk_messages)
        if not len(chunk) or partition not in self._owned:
            return
        self._is_read, owned.read_s = True, now_s
        is_full = len(chunk) >= owned.chunk_messages
        self._is_behind |= is_full
        owned.is_behind |= is_full
        n_open = owned.ingest.n_open_panes
        owned.ingest.add(chunk)
        self._adapt(owned, chunk, owned.ingest.n_open_panes - n_open)
        self._tally.count(owned.ingest.counters)
        self._tell_gaps(partition, owned)

    def _adapt(self, owned: IngestPartition, chunk: Chunk, n_opened: int) -> None:
        """Choose how many messages the next chunk may have."""
        if n_opened > PANES_A_CHUNK:
            owned.most_messages = max(1, len(chunk) // 2)
        elif len(chunk) >= owned.most_messages and n_opened < PANES_A_CHUNK:
            owned.most_messages = min(self._most_messages, 2 * owned.most_messages)
        mean_bytes = len(chunk.buffer) // len(chunk) + 1
        owned.chunk_messages = max(1, min(owned.most_messages, CHUNK_BYTES // mean_bytes))

    def _tell_gaps(self, partition: int, owned: IngestPartition) -> None:
        """Report what retention took before it was read."""
        for gap in owned.ingest.gaps[owned.n_gaps_logged :]:
            owned.n_gaps_logged += 1
            self._tally.count_gaps(1)
            LOG.warning(
                "%s:%d: events from offset %d to %d are lost to retention; panes that start "
                "before %d us stay as published",
                *(self._topic, partition, gap.first_offset, gap.next_offset, gap.before_us),
            )

    def _publish_if_due(self, partition: int, now_s: float) -> None:
        """Publish when the end of a pane was passed, each second, and when caught up."""
        owned = self._owned.get(partition)
        if owned is None:
            return
        is_idle = now_s - owned.read_s >= self._window.idle_us / 1e6 and self._reader.is_at_end(
            partition
        )
        unpublished_s = now_s - owned.published_s
        has_caught_up = owned.is_behind and self._reader.is_at_end(partition)
        is_due = owned.ingest.is_due or unpublished_s >= (CAUGHT_UP_S if has_caught_up else TICK_S)
        if is_due and has_caught_up:
            owned.is_behind = False
        if is_due or is_idle != owned.is_idle:
            self._write_signs(owned)
            # an idle partition publishes its open panes
            owned.ingest.publish(is_complete=is_idle and not owned.is_idle, is_idle=is_idle)
            owned.published_s, owned.is_idle = now_s, is_idle
            self._tally.count(owned.ingest.counters)

    def _write_signs(self, owned: IngestPartition) -> None:
        """Write the hosts that serve predictions to every partition of the GPU topic.

        It is partitioned as panes are; by which of them a host's telemetry comes is up to
        the client that sends it.
        """
        for value in sign_messages(owned.signs.take()):
            for partition in range(self._n_panes_partitions):
                owned.log.append(Write(GPU, SIGNS_KEY, value, partition))

    # Commits.

    def _settle(self) -> None:
        """Take note of acknowledgements."""
        for owned in self._owned.values():
            for _ in range(owned.log.settle()):
                self._lifecycle.hit("ingest:acked")
                self._note_brokers()

    def _commit(self, now_s: float) -> None:
        """Commit what is covered, of all partitions in one request."""
        self._settle()
        due = {p: o.log.due for p, o in self._owned.items() if o.log.due is not None}
        self._committed_s = now_s
        if not due:
            return
        commits = {p: commit for p, commit in due.items() if commit is not None}
        is_taken = self._reader.commit_all(commits)
        self._tally.observe("commit", elapsed_s() - now_s)
        self._tally.count_commit(is_taken)
        if is_taken:
            for partition, commit in commits.items():
                if partition in self._owned:
                    self._owned[partition].log.note_commit(commit)
            self._lifecycle.hit("ingest:commit")

    # Rebalances.

    def _on_assign(self, partition: int, committed: Committed | None) -> int | None:
        """Take over a partition from where its last owner left it."""
        low, high = self._reader.watermarks(partition)
        log = PartitionLog(self._writes, committed)
        assignment = Assignment(
            self._reader.source,
            partition,
            # what the group gives out may be newer than the number that was asked for
            max(self._reader.n_partitions, partition + 1),
            uuid4().hex[:16],
        )
        signs = NewestSigns()
        ingest = Ingest(
            log,
            self._catalog,
            self._window,
            assignment,
            decoder=self._decoder,
            cap=DeadLetterLimit(self._topic, partition, self._catalog.configs),
            n_panes_partitions=self._n_panes_partitions,
            on_signs=signs.add,
            observe=self._observe,
            hit=self._hit,
        )
        now_s = elapsed_s()
        # published_s: the new owner publishes at once
        self._owned[partition] = IngestPartition(ingest, log, now_s, now_s - TICK_S, signs=signs)
        self._tally.count_rebalance("gained")
        if ingest.is_fresh:
            return self._begin(partition, low, committed)
        if not low <= ingest.position <= high:
            ingest.lose(high)
            return low if ingest.position < low else high
        return ingest.position

    def _begin(self, partition: int, low: int, committed: Committed | None) -> int:
        """Start a partition without a commit of its own from the beginning."""
        if committed is not None and not committed.metadata:
            LOG.warning(
                "%s:%d: the metadata of the commit at %d is not ingest's; reading starts "
                "there (was the group reset?)",
                *(self._topic, partition, committed.offset),
            )
            return committed.offset
        if committed is not None:
            source = Commit.parse(committed.offset, committed.metadata).source
            LOG.warning(
                "%s:%d: the topic was recreated: the last commit is for topic %s, this one "
                "is %s; reading starts at offset %d",
                *(self._topic, partition, source, self._reader.source, low),
            )
        return low

    def _on_revoke(self, partition: int) -> None:
        """Publish what is due, wait for its acknowledgement, commit, let go."""
        owned = self._owned.pop(partition, None)
        if owned is None:
            return
        self._tally.forget_partition(partition)
        self._tally.count_rebalance("given_back")
        owned.ingest.publish()
        self._tally.count(owned.ingest.counters)
        self._await_acks(REVOKE_S)
        owned.log.settle()
        commit = owned.log.due
        if commit is not None:
            self._tally.count_commit(self._reader.commit(partition, commit.offset, commit.metadata))
        self._lifecycle.hit("ingest:revoke")

    def _on_lost(self, partition: int) -> None:
        """Forget a partition that another member may own already; write nothing more."""
        if self._owned.pop(partition, None) is not None:
            self._tally.forget_partition(partition)
            self._tally.count_rebalance("lost")

    def _on_gap(self, gap: LogGap) -> None:
        """Events are gone: S moves beyond them with the next event."""
        owned = self._owned.get(gap.partition)
        if owned is not None:
            owned.ingest.expect_gap()

    def _on_unreadable(self, message: Unreadable) -> None:
        """Record a message that the client cannot unpack."""
        owned = self._owned.get(message.partition)
        if owned is not None:
            owned.ingest.refuse_unread(message.offset, message.detail)

    def _on_fault(self, fault: ReadFault) -> None:
        """Report that the brokers are unavailable; the client reconnects by itself."""
        if fault.name == "_ALL_BROKERS_DOWN":
            self._is_away = True
            self._lifecycle.unready("the brokers do not answer")

    def _note_brokers(self) -> None:
        """The brokers answered."""
        if self._is_away:
            self._is_away = False
            self._lifecycle.ready()

    def _await_acks(self, timeout_s: float) -> bool:
        """Wait for every acknowledgement; whether all came. A failed write raises later."""
        try:
            self._writes.producer.flush_acks(timeout_s)
        except TransportError as error:
            LOG.warning("some writes were not acknowledged in time: %s", error.what)
            return False
        return True

    def _finish(self) -> None:
        """Publish what is due, wait for the acknowledgements, commit."""
        for owned in self._owned.values():
            owned.ingest.publish()
            self._tally.count(owned.ingest.counters)
        self._await_acks(DRAIN_S)
        self._commit(elapsed_s())

    def _observe(self, step: str, seconds: float) -> None:
        """Note how long a step took."""
        self._tally.observe(step, seconds)

    def _hit(self, step: str) -> None:
        """Pass failpoints on; the commit itself follows later."""
        self._lifecycle.hit("ingest:flush" if step == "ingest:commit" else step)
