"""The detect stage on Kafka: two Faust agents, what they restore, and what time brings about."""

from __future__ import annotations

import asyncio
import gc
from functools import partial

from faust.types import TP

from monitor import metrics
from monitor.clock import elapsed_s, now_us
from monitor.core.pipeline_health.source_silence import WATCHING_PARTITION
from monitor.core.topics import ACTIONS, BASELINES, GPU, PANES, PREDICTIONS
from monitor.core.unreadable import letter_write
from monitor.core.windowing.catalog import Catalog
from monitor.detect.gauges import STAGE, DetectGauges
from monitor.detect.gpu_partition import GpuPartition
from monitor.detect.owned import OwnedPartitions
from monitor.detect.stage import GROUP, PanesRules
from monitor.detect.stored_ticks import rebuild_from_store
from monitor.detect.warm import warm_decision
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.faust.app import build_app, read_topic, run_app, send
from monitor.transport.kafka.faust.client import KafkaApp
from monitor.transport.kafka.readers.action_feed import ActionFeed
from monitor.transport.kafka.readers.baseline_feed import BaselineFeed
from monitor.transport.kafka.topics.known import KnownTopics
from monitor.transport.types import Message
from schemas.config.monitor import MonitorConfig

_LEARN_S = 2.0
_FORGET_S = 60.0
_MAX_MISSED = 10_000
"""At most so long is waited for baselines, all of them together, in any minute."""


def run_detect(
    cluster: Cluster,
    catalog: Catalog,
    feed: BaselineFeed,
    monitor: MonitorConfig,
    lifecycle: Lifecycle,
    *,
    member: str | None = None,
    store: str = "",
) -> None:
    """Judge panes and GPU events until drained.

    Parameters
    ----------
    catalog : Catalog
        Kept up to date by ``feed``, which has been read to its end.
    monitor : MonitorConfig
        Its ``gpu`` is used.
    lifecycle : Lifecycle
        Ready when every owned partition has been restored.
    member : str, optional
        Static member id.
    store : str, optional
        URL of the store, whose panes are read where a model changes to rule 2.

    Raises
    ------
    TransportError
        If a topic is missing or was recreated, a write failed, or commits are stuck.

    Notes
    -----
    The commits of the group only say where Faust reads on. What is known about a partition
    comes from its state messages, and from the panes they point to; what Faust gives twice
    is passed over by its offset, and what it leaves out is read by a plain consumer.
    """
    warm_decision(catalog)
    gc.freeze()  # modules and catalog stay: visiting them took 40 % of the intake of sparse panes
    _Detect(cluster, catalog, feed, monitor, lifecycle, member, store).run()


class _Detect:
    """One worker: the app, the partitions that are its own, and the clock."""

    def __init__(
        self,
        cluster: Cluster,
        catalog: Catalog,
        feed: BaselineFeed,
        monitor: MonitorConfig,
        lifecycle: Lifecycle,
        member: str | None,
        store: str,
    ) -> None:
        self._cluster, self._catalog, self._feed, self._lifecycle = (
            cluster,
            catalog,
            feed,
            lifecycle,
        )
        every_us = [c.canary.every_us for c in catalog.configs.values() if c.canary is not None]
        metrics.CANARY_EVERY_SECONDS.set(max(every_us, default=0) / 1e6)
        metrics.CANARY_JUDGED_SECONDS.set(now_us() / 1e6)
        self._topics = KnownTopics(cluster, (PANES, GPU, ACTIONS), followed=(PREDICTIONS,))
        self._actions = ActionFeed(cluster)
        self._missed: dict[str, float] = {}
        self._wait_budget_s, self._learned_s = _LEARN_S, elapsed_s()
        self._gauges = DetectGauges(catalog.configs)
        self._app = app = build_app(cluster, GROUP, member=member)
        panes_id, gpu_id = self._topics.ids[PANES], self._topics.ids[GPU]
        actions_id = self._topics.ids[ACTIONS]
        self._panes = OwnedPartitions(
            app,
            cluster,
            PANES,
            lifecycle,
            lambda p, owner: PanesRules(
                catalog, p, owner, panes_id, elapsed_s, actions_log_id=actions_id
            ),
            lambda rules: rules.rereading,
            lambda rules: rebuild_from_store(rules.drift, store),
        )
        self._gpu = OwnedPartitions(
            app,
            cluster,
            GPU,
            lifecycle,
            lambda p, owner: GpuPartition(monitor.gpu, p, owner, log_id=gpu_id),
        )
        read_topic(
            app,
            cluster.topic(PANES),
            self._take_pane,
            on_assigned=self._panes.on_assigned,
            on_revoked=self._panes.on_revoked,
            on_acked=lambda: lifecycle.hit("detect:ack"),
        )
        read_topic(
            app,
            cluster.topic(GPU),
            self._gpu.take,
            on_assigned=self._gpu.on_assigned,
            on_revoked=self._gpu.on_revoked,
            on_acked=lambda: lifecycle.hit("gpu:ack"),
        )

        app.on_ending += [self._panes.end, self._gpu.end]

    def run(self) -> None:
        """Run until drained."""
        with self._actions:
            run_app(self._app, self._lifecycle, on_tick=self._tick, is_ready=self._is_ready)

    def _is_ready(self) -> bool:
        """Whether every owned partition has been restored."""
        return self._panes.is_ready and self._gpu.is_ready

    async def _take_pane(self, partition: int, message: Message) -> None:
        """Take a pane or a watermark; load a baseline that is not known yet."""
        await self._panes.take(partition, message)
        rules = self._panes.rules(partition)
        if rules is not None and rules.drift.unknown_baselines:
            await self._learn(rules.drift.unknown_baselines)

    async def _learn(self, unknown: set[str]) -> None:
        """Wait a moment for a baseline: ingest knew it, so it lies in the log.

        Once a minute for each, and at most 2 s a minute for all of them: those that are gone
        for good must not slow everything down.
        """
        now_s = elapsed_s()
        asked = {
            name for name in unknown if self._missed.get(name, -_FORGET_S) <= now_s - _FORGET_S
        }
        if len(self._missed) > _MAX_MISSED:
            self._missed.clear()
        self._missed |= dict.fromkeys(asked, now_s)
        unknown.clear()
        if not asked:
            return
        if now_s - self._learned_s >= _FORGET_S:
            self._wait_budget_s = _LEARN_S
        deadline_s = now_s + self._wait_budget_s
        while True:
            self._feed.poll()
            known = (p.profile_id for found in self._catalog.baselines.values() for p in found)
            asked -= set(known)
            if not asked or elapsed_s() >= deadline_s:
                break
            await asyncio.sleep(0.05)
        if self._wait_budget_s > 0:
            self._learned_s = elapsed_s()
            self._wait_budget_s -= self._learned_s - now_s

    async def _tick(self) -> None:
        """Run the work of one second."""
        self._panes.raise_failures()
        self._gpu.raise_failures()
        self._feed.poll()
        await self._refuse_baselines()
        self._topics.look()
        source = self._topics.ids[PREDICTIONS]
        for partition, _ in self._panes.ready():
            await self._panes.write(partition, lambda rules: rules.tick(source))
        await self._act()
        self._gauges.show(self._panes.ready(), self._gpu.ready())
        self._show_lag()

    async def _act(self) -> None:
        """Apply what persons did to incidents, in log order, to every owned partition."""
        self._actions.poll()
        for partition, rules in self._panes.ready():
            for message in self._actions.since(rules.drift.actions_offset):
                await self._panes.write(partition, partial(PanesRules.act, message=message))

    async def _refuse_baselines(self) -> None:
        """Write the dead letters of baselines, by the owner of the first panes partition."""
        if not self._panes.is_ready or self._panes.rules(WATCHING_PARTITION) is None:
            return
        letters = self._feed.take_letters()
        if letters:
            await send(self._app, self._cluster, map(letter_write, letters))
            metrics.count_dead_letters(STAGE, BASELINES, letters[0].reason, len(letters))

    def _show_lag(self) -> None:
        """Show how far behind the logs' ends we are."""
        for name, owned in ((PANES, self._panes), (GPU, self._gpu)):
            metrics.PARTITIONS.labels(STAGE, name).set(owned.n_owned)
            for partition, rules in owned.ready():
                end = _highwater(self._app, TP(self._cluster.topic(name), partition))
                if end is not None:
                    lag = max(0, end - rules.position)
                    metrics.LAG.labels(STAGE, name, str(partition)).set(lag)
        metrics.QUEUE.labels(STAGE, "unacked").set(len(self._app.consumer.unacked))


def _highwater(app: KafkaApp, tp: TP) -> int | None:
    """Return where a log ends as far as the client knows."""
    try:
        return app.consumer.highwater(tp)
    except Exception:  # not owned (any more): aiokafka raises various errors
        return None
