"""Runs detect on a real broker in a thread: inputs, outputs, and simulated kills."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable
from functools import cache

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from monitor.core.state.result_messages import read_results
from monitor.core.topics import ALERTS, GPU, PANES, PREDICTIONS, RESULTS
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.watermark_message import KEY_PREFIX
from monitor.detect.in_memory import DriftDetect, GpuDetect
from monitor.detect.on_kafka import run_detect
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.readers.baseline_feed import BaselineFeed
from monitor.transport.kafka.readers.topic_scan import scan
from monitor.transport.kafka.topics.specs import topic_specs
from monitor.transport.memory import MemoryLog
from monitor.transport.types import Message
from schemas.alerts import Alert
from schemas.config.monitor import GpuConfig, MonitorConfig
from schemas.results import DetectorResult
from tests.support.log_chunks import fetch_chunk
from tests.support.waiting import wait_until
from tests.support.worlds.small import CONFIG, SmallWorld, build_small_world

ALL = 10**9
ResultKey = tuple[str, ...]


@cache
def small_world() -> SmallWorld:
    return build_small_world()


@cache
def published() -> tuple[Message, ...]:
    """Return the messages that ingest publishes for the small world."""
    world = small_world()
    log = world.log()
    ingest = InMemoryIngest(log, world.catalog, CONFIG.window, Assignment(PREDICTIONS, 0, 1, "o"))
    while len(chunk := fetch_chunk(log, PREDICTIONS, 0, ingest.position, 300)):
        ingest.take(chunk)
    ingest.finish()
    return tuple(log.fetch(PANES, 0, 0, ALL))


def in_memory(world: SmallWorld, panes: Iterable[Message]) -> MemoryLog:
    """Run both stages over a log in memory; return the expected outputs."""
    log = world.log()
    for message in panes:
        log.produce(PANES, message.value, key=message.key)
    stage = DriftDetect(log, world.catalog)
    while stage.step():
        pass
    gpu = GpuDetect(log, GpuConfig())
    while len(chunk := fetch_chunk(log, GPU, 0, gpu.position, 100)):
        gpu.take(chunk)
    return log


def alerts_of(messages: Iterable[Message]) -> dict[str, Alert]:
    """Alerts by id: sent twice is the same."""
    found = (msgspec.msgpack.decode(m.value, type=Alert) for m in messages)
    return {alert.alert_id: alert for alert in found}


def results_of(messages: Iterable[Message]) -> dict[ResultKey, DetectorResult]:
    """Return the last result of each cell and window."""
    found: dict[ResultKey, DetectorResult] = {}
    for message in messages:
        for r in read_results(message.value):
            key = (r.model, r.model_version, r.monitor, r.feature, r.segment, r.metric)
            found[*key, str(r.end_us)] = r
    return found


class DetectWorker:
    """One run of the stage, in a thread."""

    def __init__(
        self,
        cluster: Cluster,
        catalog: Catalog,
        *,
        member: str | None = None,
        hit: Callable[[str], None] = lambda step: None,
    ) -> None:
        self.lifecycle = Lifecycle("detect", hit=hit)
        self.error: BaseException | None = None
        self._arguments = (cluster, catalog, member)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        cluster, catalog, member = self._arguments
        try:
            with BaselineFeed(cluster, catalog) as feed:
                feed.catch_up()
                run_detect(cluster, catalog, feed, MonitorConfig(), self.lifecycle, member=member)
        except BaseException as error:
            self.error = error

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def wait_ready(self) -> DetectWorker:
        wait_until(lambda: self.lifecycle.is_ready or self.is_over, 60, "readiness")
        assert self.error is None, self.error
        return self

    def drain(self) -> None:
        self.lifecycle.drain()
        self._thread.join(60)
        assert self.is_over
        if self.error is not None:
            raise self.error

    def wait_death(self) -> BaseException:
        self._thread.join(90)
        assert self.is_over
        assert self.error is not None
        return self.error


class DetectSite:
    """The topics of one test."""

    def __init__(self, bootstrap: str, prefix: str, n_keyed: int = 2) -> None:
        self.cluster = Cluster(bootstrap, prefix=prefix, session_timeout_ms=6_000)
        self.n_keyed = n_keyed
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.workers: list[DetectWorker] = []
        specs = topic_specs(n_input=1, n_keyed=n_keyed, replication=1, prefix=prefix)
        self.specs = {s.name.removeprefix(prefix): s for s in specs}
        self.create(*self.specs)

    def create(self, *names: str) -> None:
        made = self.admin.create_topics(
            [
                # Alerts bear event times: by age they would be gone within minutes.
                NewTopic(s.name, s.n_partitions, 1, config={**s.settings, "retention.ms": "-1"})
                for s in (self.specs[name] for name in names)
            ]
        )
        for future in made.values():
            future.result(30)
        consumer = Consumer({**self.cluster.client(), "group.id": "no-group"})
        wait_until(lambda: all(self._is_led(consumer, n) for n in names), what="leaders")
        consumer.close()

    def _is_led(self, consumer: Consumer, name: str) -> bool:
        spec = self.specs[name]
        try:
            for p in range(spec.n_partitions):
                consumer.get_watermark_offsets(TopicPartition(spec.name, p), timeout=10)
        except KafkaException:
            return False
        return True

    def is_gone(self, name: str) -> bool:
        return self.cluster.topic(name) not in self.admin.list_topics(timeout=10).topics

    def write(self, topic: str, messages: Iterable[tuple[int, bytes, bytes | None]]) -> None:
        """Write (partition, key, value) and wait until they lie in the log."""
        failed: list[object] = []
        producer = Producer({**self.cluster.client(), "linger.ms": 0, "enable.idempotence": True})
        for partition, key, value in messages:
            producer.produce(
                self.cluster.topic(topic),
                value,
                key,
                partition=partition,
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        assert not failed

    def write_panes(self, panes: Iterable[Message], model: bytes = b"default|small") -> None:
        """Write panes to their model's partition, and watermarks to all partitions."""
        own = zlib.crc32(model) % self.n_keyed
        self.write(
            PANES,
            [
                (p, m.key, m.value)
                for m in panes
                for p in (range(self.n_keyed) if m.key.startswith(KEY_PREFIX) else [own])
            ],
        )

    def write_gpu(self, world: SmallWorld) -> None:
        """Write GPU events by host."""
        hosts = [msgspec.json.decode(value)["host"].encode() for value, _ in world.gpu]
        self.write(
            GPU,
            [
                (zlib.crc32(host) % self.n_keyed, host, value)
                for host, (value, _) in zip(hosts, world.gpu, strict=True)
            ],
        )

    def read(self, topic: str) -> list[Message]:
        n = self.specs[topic].n_partitions
        return [m for p in range(n) for m in scan(self.cluster, topic, p)]

    def alerts(self) -> dict[str, Alert]:
        return alerts_of(self.read(ALERTS))

    def results(self) -> dict[ResultKey, DetectorResult]:
        return results_of(self.read(RESULTS))

    def start(self, catalog: Catalog, **options: object) -> DetectWorker:
        """Start a worker; it is drained with the site."""
        worker = DetectWorker(self.cluster, catalog, **options)  # type: ignore[arg-type]
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            worker.lifecycle.drain()
        for worker in self.workers:
            worker._thread.join(60)
