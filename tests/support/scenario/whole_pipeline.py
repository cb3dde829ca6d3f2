"""Runs all stages over one log into one store, with simulated kills at any step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.archive.in_memory import LogArchive, PaneReader
from monitor.archive.raw import RawTopics
from monitor.archive.writes import Archive
from monitor.core.topics import GPU, PREDICTIONS
from monitor.core.windowing.stored.spans import Spans
from monitor.decode.decoder import Decoder
from monitor.decode.records import decode_gpu, decode_labels
from monitor.detect.in_memory import DriftDetect, GpuDetect
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.notify.delivery.notifier import Notifier
from monitor.notify.in_memory import NotifyStage, TopicNotificationLog
from monitor.storage.clickhouse import Store
from monitor.transport.memory import MemoryLog
from schemas.alerts import Notification
from schemas.config.model import ModelConfig
from schemas.config.monitor import GpuConfig, MonitorConfig
from tests.support.log_chunks import fetch_chunk
from tests.support.worlds.small import SmallWorld

Hit = Callable[[str], None]
MONITOR = MonitorConfig.model_validate({"receivers": {"recorder": {"kind": "console"}}})

LONGEST_WAIT_US = 100_000_000


class PipelineKilledError(Exception):
    """Simulates kill -9: nothing of the worker's memory survives it."""


class PipelineReaper:
    """Kills at the given step numbers, counted over all restarts."""

    def __init__(self, *steps: int) -> None:
        self.steps, self.names = set(steps), []

    def __call__(self, step: str) -> None:
        self.names.append(step)
        if len(self.names) in self.steps:
            raise PipelineKilledError(step)


@dataclass
class OutsideReceiver:
    """A receiver on the other side of the network: it outlives the worker."""

    received: list[Notification] = field(default_factory=list)

    async def send(self, notification: Notification) -> str:
        self.received.append(notification)
        return f"message {len(self.received)}"

    def remember(self, notification: Notification, detail: str) -> None:
        assert detail.startswith("message")

    async def close(self) -> None:
        pass


@dataclass
class Outside:
    """State that survives kills: the log, the store, and the receivers."""

    log: MemoryLog
    store: Store
    recorder: OutsideReceiver = field(default_factory=OutsideReceiver)
    retrainer: OutsideReceiver = field(default_factory=OutsideReceiver)
    n_lives: int = 0


@dataclass
class PipelineWorker:
    """One run of the pipeline, built from the surviving state only."""

    ingest: InMemoryIngest
    drift: DriftDetect
    gpu: GpuDetect
    notify: NotifyStage
    archive: LogArchive

    @property
    def now_us(self) -> int:
        return max(self.ingest.watermark_us, self.gpu.watermark_us, 0)


def build_worker(
    world: SmallWorld, model: ModelConfig, outside: Outside, hit: Hit
) -> PipelineWorker:
    """Build every stage, as a process does that has just been started."""
    log, owner = outside.log, f"owner-{outside.n_lives}"
    notifier = Notifier(
        MONITOR,
        [model],
        {"recorder": outside.recorder},
        TopicNotificationLog(log),
        retrainers={(model.tenant, model.model): outside.retrainer},
        hit=hit,
    )
    archive = LogArchive(
        Archive(outside.store),
        log,
        topic_id=str,
        raw=RawTopics(Decoder(world.catalog.schemas), decode_labels, decode_gpu),
        panes=PaneReader({(model.tenant, model.model): model.schema_.variables}, Spans.of([model])),
        max_messages=700,
        hit=hit,
    )
    assignment = Assignment(PREDICTIONS, 0, 1, owner)
    return PipelineWorker(
        InMemoryIngest(log, world.catalog, model.window, assignment, hit=hit),
        DriftDetect(log, world.catalog, hit=hit),
        GpuDetect(log, GpuConfig(), hit=hit),
        NotifyStage(log, notifier, hit=hit),
        archive,
    )


async def live(worker: PipelineWorker, log: MemoryLog, chunk_messages: int) -> None:
    """Run every stage from the committed position to the end."""
    await worker.notify.start()
    ingest, gpu = worker.ingest, worker.gpu
    while True:
        n = min(chunk_messages, ingest.read_limit or chunk_messages)
        chunk = fetch_chunk(log, PREDICTIONS, 0, ingest.position, n)
        samples = fetch_chunk(log, GPU, 0, gpu.position, chunk_messages // 8)
        if not len(chunk) and not len(samples):
            break
        ingest.take(chunk)
        gpu.take(samples)
        worker.drift.step()
        await worker.notify.step(worker.now_us)
        worker.archive.drain()
    ingest.finish()
    while worker.drift.step():
        pass
    await worker.notify.step(worker.now_us)
    await worker.notify.step(worker.now_us + LONGEST_WAIT_US)
    worker.archive.drain()


def run_whole(
    world: SmallWorld,
    model: ModelConfig,
    outside: Outside,
    hit: Hit = lambda step: None,
    chunk_messages: int = 600,
) -> Outside:
    """Run to the end, restarting the worker whenever it is killed."""
    while True:
        try:
            worker = build_worker(world, model, outside, hit)
            asyncio.run(live(worker, outside.log, chunk_messages))
        except PipelineKilledError:
            outside.n_lives += 1
        else:
            return outside
