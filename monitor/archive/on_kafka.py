"""The archive stage: every topic into the store, exactly once, however long it is away.

One process reads all topics, each as a member of the topic's own group, and inserts through
one thread (:mod:`monitor.archive.inserter`), because there is one store. While the store is
down ranges wait in memory, bounded; topics are read no further; the groups are kept alive;
the process says that it is not ready. Nothing depends on the wall clock.

Another thread (:mod:`monitor.archive.slice_watch`) searches the stored rows for the slices that
carry a change; the archive waits for it at no point.

A backfill older than a table's TTL stays: TTLs count from ``ingest_time`` (see
``TableOptions``). An event without an id gets ``topic id:partition:offset:row`` (see
``prediction_rows``). Labels are archived here and no more, so their dead letters are written
here (:mod:`monitor.archive.letter_writer`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial

from monitor.archive.inserter import FIRST_PAUSE_S, LONGEST_PAUSE_S, Inserter
from monitor.archive.letter_writer import STAGE, LetterWriter
from monitor.archive.messages import STRUCT_TOPICS
from monitor.archive.pane_fold import PaneReader
from monitor.archive.pending_range import Cut
from monitor.archive.raw import RAW_TOPICS, RawTopics
from monitor.archive.slice_watch import SliceWatch
from monitor.archive.topic import TopicArchive
from monitor.archive.warm import warm_archive
from monitor.clock import elapsed_s
from monitor.core.topics import ALERTS, PANES
from monitor.core.windowing.catalog import label_rules, max_skews
from monitor.core.windowing.stored.spans import Spans, longest_skew_us
from monitor.decode import Decoder, decode_gpu, decode_label_batch
from monitor.metrics import QUEUE, RETRIES
from monitor.service.lifecycle import Lifecycle
from monitor.storage.clickhouse import Store
from monitor.transport.kafka.cluster import Cluster
from schemas.config.model import ModelConfig
from schemas.config.monitor import GpuConfig
from schemas.errors import StorageError, StoreLockedError
from schemas.limits import MessageLimits

TOPICS = (*RAW_TOPICS, PANES, *STRUCT_TOPICS)
"""What is archived, in the order of a round."""

_IDLE_S = 0.02
_MEASURE_S = 2.0
_DRAIN_S = 10.0
"""How long a range in hand may take to end in good order; else the next process repeats it."""

_LOG = logging.getLogger("driftline.archive")


def run_archive(
    cluster: Cluster,
    configs: Iterable[ModelConfig],
    store_target: str,
    lifecycle: Lifecycle,
    *,
    member: str | None = None,
    topics: Sequence[str] = TOPICS,
    cut: Cut | None = None,
    gpu: GpuConfig | None = None,
    limits: MessageLimits | None = None,
) -> None:
    """Archive until drained.

    Parameters
    ----------
    configs : iterable of ModelConfig
        Models that are decoded; events of others are ingest's dead letters.
    store_target : str
        ``http(s)://host:port/database``, or a folder: then this is its only process.
    member : str, optional
        Static member id.
    topics : sequence of str, optional
        Fewer topics, for one process of several.
    cut : Cut, optional
        When ranges are cut.
    gpu : GpuConfig, optional
        Its ``max_skew``: GPU events stamped further ahead are detect's dead letters.
    limits : MessageLimits, optional
        How much is read of one message; as ingest has it.

    Raises
    ------
    StoreLockedError
        If another process holds the folder.
    StorageError
        If the store refuses most of what is given to it, which no waiting mends.
    TransportError
        If reading or committing cannot go on.
    """
    known = list(configs)
    warm_archive(known)
    lifecycle.beat()
    with ExitStack() as stack:
        store = _open_store(store_target, lifecycle)
        if store is None:
            return
        stack.callback(store.close)
        settings = (topics, cut, gpu or GpuConfig(), limits)
        archive = _Loop(cluster, known, store, lifecycle, member, *settings)
        stack.callback(archive.close)
        if ALERTS in topics:
            watch = SliceWatch(store_target, known, archive.has_alerts)
            stack.callback(watch.stop, _DRAIN_S)
        archive.run()


def _open_store(target: str, lifecycle: Lifecycle) -> Store | None:
    """Open the store and make its tables, as soon as it answers; None if drained before."""
    pause_s = FIRST_PAUSE_S
    while not lifecycle.is_draining:
        lifecycle.beat()
        store = None
        try:
            store = Store.open(target)
            store.migrate()
            return store
        except StoreLockedError:
            raise
        except StorageError as error:
            if store is not None:
                store.close()
            _LOG.warning("waiting for the store: %s", error)
            lifecycle.unready(f"the store cannot be opened: {error}")
            RETRIES.labels(STAGE, "open_store").inc()
        lifecycle.wait(pause_s)
        pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
    return None


class _Loop:
    """Goes round the topics."""

    def __init__(
        self,
        cluster: Cluster,
        configs: Sequence[ModelConfig],
        store: Store,
        lifecycle: Lifecycle,
        member: str | None,
        topics: Sequence[str],
        cut: Cut | None,
        gpu: GpuConfig,
        limits: MessageLimits | None,
    ) -> None:
        self._lifecycle = lifecycle
        self._session_s = cluster.session_timeout_ms / 1_000
        self._round_s = elapsed_s()
        self._is_suspect = False
        self._measured_s = 0.0
        self._trouble = ""
        self._inserter = Inserter(store, self._may_insert)
        self._topics: list[TopicArchive] = []
        decoder = Decoder([c.schema_ for c in configs], limits=limits)
        raw = RawTopics(
            decoder,
            partial(decode_label_batch, rules=label_rules(configs), limits=limits),
            partial(decode_gpu, max_skew_us=gpu.max_skew_us, limits=limits),
        )
        self._letters = LetterWriter(cluster, max_skews(configs))
        names = {(c.tenant, c.model): c.schema_.variables for c in configs}
        panes = PaneReader(names, Spans.of(configs), longest_skew_us(configs))
        try:
            for topic in topics:
                lifecycle.beat()
                args = (cluster, topic, raw, panes, self._inserter, lifecycle)
                archive = TopicArchive(*args, letters=self._letters, member=member, cut=cut)
                self._topics.append(archive)
        except BaseException:
            self.close()
            raise

    def run(self) -> None:
        """Go round until drained, then bring what is in hand to its end."""
        while not self._lifecycle.is_draining:
            n_read = self._go_round(is_draining=False)
            self._take_finished(0.0 if n_read else _IDLE_S)
            self._tell()
        deadline = elapsed_s() + _DRAIN_S
        while self._has_work() and not self._inserter.trouble and elapsed_s() < deadline:
            self._go_round(is_draining=True)
            self._take_finished(_IDLE_S)

    def has_alerts(self) -> bool:
        """Return whether this process archives the alerts; from any thread."""
        return any(topic.name == ALERTS and topic.has_share for topic in self._topics)

    def _has_work(self) -> bool:
        """Return whether ranges are on their way into the store."""
        return any(topic.has_work for topic in self._topics)

    def _go_round(self, *, is_draining: bool) -> int:
        """Serve every group, read, cut, commit; return how many messages were read."""
        self._lifecycle.beat()
        self._confirm(elapsed_s())
        n_read = 0
        for topic in self._topics:
            topic.poll()
            if is_draining:
                topic.settle()
                continue
            # What cannot be inserted now is better left in the log.
            n_read += 0 if self._inserter.trouble else topic.gather()
            topic.advance()
        return n_read

    def _confirm(self, now_s: float) -> None:
        """After a standstill, ask the groups who owns what before anything is inserted."""
        self._is_suspect |= now_s - self._round_s > self._session_s / 2
        self._round_s = now_s
        if self._is_suspect:
            for topic in self._topics:
                topic.poll()
            are_ours = [topic.confirm() for topic in self._topics]
            self._is_suspect = not all(are_ours)

    def _may_insert(self) -> bool:
        """Return whether the group answered recently; called from the inserter's thread."""
        return not self._is_suspect and elapsed_s() - self._round_s <= self._session_s / 2

    def _take_finished(self, timeout_s: float) -> None:
        """Go on with the ranges whose rows are in the store."""
        for job in self._inserter.finished(timeout_s):
            if not job.is_abandoned.is_set():
                any(topic.finish(job) for topic in self._topics)

    def _tell(self) -> None:
        """Report readiness."""
        trouble = self._inserter.trouble
        if trouble and not self._trouble:
            _LOG.warning("inserts fail, retrying: %s", trouble)
        elif self._trouble and not trouble:
            _LOG.info("the store has recovered; no insert is waiting")
        self._trouble = trouble
        if trouble:
            self._lifecycle.unready(f"inserts fail: {trouble}")
        elif any(topic.n_refused_commits > 50 for topic in self._topics):
            self._lifecycle.unready("commits are refused; check the brokers")
        elif all(topic.has_joined for topic in self._topics):
            self._lifecycle.ready()
        if elapsed_s() - self._measured_s >= _MEASURE_S:
            self._measured_s = elapsed_s()
            QUEUE.labels(STAGE, "ranges_to_insert").set(self._inserter.n_waiting)
            QUEUE.labels(STAGE, "messages_gathered").set(sum(t.n_gathered for t in self._topics))
            for topic in self._topics:
                topic.measure()

    def close(self) -> None:
        """Leave the groups, then let the last insert end."""
        with ExitStack() as stack:
            stack.callback(self._inserter.stop, 1.0)
            stack.callback(self._letters.close)
            for topic in self._topics:
                stack.callback(topic.close)
