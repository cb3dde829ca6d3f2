"""Outputs of the stages on Kafka, and the expected outputs of a run without faults.

:class:`Topics` reads every topic. :class:`StageOutcome` takes away what may differ
after a crash (duplicates, order, owners, positions). :func:`undisturbed` drives the
in-memory stages over the bytes and record times of the source topics; the batch job in
``tests/support/scenario/batch_oracle`` shares nothing with either.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from monitor.clock import elapsed_s
from monitor.core import topics as names
from monitor.core.pipeline_health.dead_letter_limit import DeadLetterLimit
from monitor.core.pipeline_health.state import RULES
from monitor.core.state.result_messages import read_results
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import PaneAssembler
from monitor.core.windowing.intake_message import KEY_PREFIX as INTAKE_PREFIX
from monitor.core.windowing.intake_message import read_intake
from monitor.core.windowing.watermark_message import KEY_PREFIX
from monitor.detect.in_memory import DriftDetect, GpuDetect
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.notify.delivery.notifier import Notifier
from monitor.notify.in_memory import NotifyStage, TopicNotificationLog
from monitor.transport.kafka.client_log import CLIENT_LOG
from monitor.transport.memory import MemoryLog
from monitor.transport.types import Message
from schemas.alerts import Alert, Delivery, Notification
from schemas.config.model import WindowConfig
from schemas.config.monitor import GpuConfig, MonitorConfig
from schemas.errors import TransportError
from schemas.intake import IntakePane
from schemas.panes import Pane, SeriesId, SeriesStats
from schemas.refused import DeadLetter, LateEvent
from schemas.results import DetectorResult
from tests.support.log_chunks import fetch_chunk
from tests.support.scenario.batch_oracle import OraclePlace

READ = (
    names.PREDICTIONS,
    names.LABELS,
    names.GPU,
    names.PANES,
    names.RESULTS,
    names.ALERTS,
    names.NOTIFICATIONS,
    names.DEAD_LETTERS,
    names.LATE,
)
ALL = 10**9


class Topics:
    """All topics of one installation, read up to the last :meth:`update`.

    Parameters
    ----------
    read : sequence of str, optional
        Names of topics, without the prefix.
    """

    def __init__(self, bootstrap: str, prefix: str, read: Sequence[str] = READ) -> None:
        self._bootstrap, self._prefix = bootstrap, prefix
        self._consumer = self._open()
        listed = self._consumer.list_topics(timeout=30).topics
        self.messages: dict[tuple[str, int], list[Message]] = {
            (topic, partition): []
            for topic in read
            for partition in listed[prefix + topic].partitions
        }
        self._assign()

    def _open(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": f"{self._prefix}tests-reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
            },
            logger=CLIENT_LOG,
        )

    def _assign(self) -> None:
        """Read on behind the last message of each partition."""
        self._consumer.assign(
            [
                TopicPartition(self._prefix + topic, p, got[-1].offset + 1 if got else 0)
                for (topic, p), got in self.messages.items()
            ]
        )

    def begin_again(self, topic: str) -> dict[int, list[Message]]:
        """Read a recreated topic from its start; return the content of the old one."""
        past = {p: list(messages) for p, messages in self.partitions(topic).items()}
        for partition in past:
            self.messages[topic, partition] = []
        self._consumer.close()
        self._consumer = self._open()
        self._assign()
        return past

    def update(self, timeout_s: float = 30.0) -> None:
        """Read every partition to where it ends now."""
        ends = {place: self._end(place) for place in self.messages}
        deadline = elapsed_s() + timeout_s
        while any(self._position(place) < end for place, end in ends.items()):
            assert elapsed_s() < deadline, f"{ends} was not reached"
            for got in self._consumer.consume(10_000, 0.1):
                self._take(got)

    def _end(self, place: tuple[str, int]) -> int:
        topic, partition = place
        where = TopicPartition(self._prefix + topic, partition)
        deadline, pause = elapsed_s() + 30, threading.Event()
        while True:
            try:
                return int(self._consumer.get_watermark_offsets(where, timeout=30)[1])
            except KafkaException:
                # A broker that has just come back may not know its partitions yet, and a
                # client that was answered so keeps the answer: seen for 30 s.
                if elapsed_s() > deadline:
                    raise
                pause.wait(0.5)
                self._consumer.close()
                self._consumer = self._open()
                self._assign()

    def _position(self, place: tuple[str, int]) -> int:
        """Return the position in a partition, whose last message may have been compacted away."""
        topic, partition = place
        (at,) = self._consumer.position([TopicPartition(self._prefix + topic, partition)])
        got = self.messages[place]
        return max(int(at.offset), got[-1].offset + 1 if got else 0)

    def _take(self, got: Any) -> None:
        error = got.error()
        if error is None:
            place = (got.topic().removeprefix(self._prefix), got.partition())
            time_us = got.timestamp()[1] * 1_000
            self.messages[place].append(
                Message(got.offset(), got.key() or b"", got.value() or b"", time_us)
            )
        elif error.code() > 0 and not error.retriable():
            # Below zero are the client's own: an end of the log, a broker that is away.
            raise KafkaException(error)

    def of(self, topic: str) -> Iterator[tuple[int, Message]]:
        """Yield partition and message of a topic."""
        for (name, partition), messages in self.messages.items():
            if name == topic:
                for message in messages:
                    yield partition, message

    def partitions(self, topic: str) -> dict[int, list[Message]]:
        """Return the messages of each partition."""
        return {p: messages for (name, p), messages in self.messages.items() if name == topic}

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def __enter__(self) -> Topics:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PaneId(NamedTuple):
    """Of several panes with one id the highest version is current."""

    source: str
    partition: int
    series: SeriesId
    start_us: int


ResultId = tuple[str, str, str, str, str, str, int]


@dataclass
class StageOutcome:
    """Content of the output topics after deduplication; :meth:`take` adds a message."""

    panes: dict[PaneId, Pane] = field(default_factory=dict)
    results: dict[ResultId, DetectorResult] = field(default_factory=dict)
    revised: dict[ResultId, DetectorResult] = field(default_factory=dict)
    """Results of windows that a pane changed after they had closed."""
    intake: dict[tuple[str, int, str, int], IntakePane] = field(default_factory=dict)
    """Source, partition, model, start -> late and rejected events."""
    alerts: dict[str, Alert] = field(default_factory=dict)
    dead: dict[tuple[str, int, int, int], tuple[str, str]] = field(default_factory=dict)
    """Source, partition, offset, row -> reason and digest of the bytes."""
    late: set[tuple[str, int, int, int, int]] = field(default_factory=set)
    pipeline_alerts: list[Alert] = field(default_factory=list)
    repeated: Counter[str] = field(default_factory=Counter)
    """Repeated messages, by topic."""
    unreadable: Counter[str] = field(default_factory=Counter)
    n_messages: Counter[str] = field(default_factory=Counter)
    _assemblers: dict[int, PaneAssembler] = field(default_factory=dict)
    _n_read: Counter[tuple[str, int]] = field(default_factory=Counter)

    def catch_up(self, topics: Topics) -> StageOutcome:
        """Add the messages read since the last call."""
        for place, messages in topics.messages.items():
            for message in messages[self._n_read[place] :]:
                self.take(*place, message)
            self._n_read[place] = len(messages)
        return self

    def take(self, topic: str, partition: int, message: Message) -> None:
        """Add one message; topics without outputs are ignored."""
        self.n_messages[topic] += 1
        try:
            self._take(topic, partition, message)
        except (msgspec.DecodeError, TransportError, UnicodeDecodeError):
            self.unreadable[topic] += 1

    def _take(self, topic: str, partition: int, message: Message) -> None:
        if topic == names.PANES:
            self._take_pane(partition, message)
        elif topic == names.RESULTS:
            self._take_results(message)
        elif topic == names.ALERTS:
            self._take_alert(message)
        elif topic == names.DEAD_LETTERS:
            d = msgspec.msgpack.decode(message.value, type=DeadLetter)
            key = d.source, d.partition, d.offset, d.row
            self.repeated[topic] += key in self.dead
            self.dead[key] = d.reason, d.sha256
        elif topic == names.LATE:
            e = msgspec.msgpack.decode(message.value, type=LateEvent)
            known_late = (e.source, e.partition, e.offset, e.row, e.watermark_us)
            self.repeated[topic] += known_late in self.late
            self.late.add(known_late)

    def _take_alert(self, message: Message) -> None:
        """One id, one alert; some of the pipeline are about the machine it ran on."""
        alert = msgspec.msgpack.decode(message.value, type=Alert)
        if alert.monitor == "pipeline" and alert.rule not in RULES:
            self.pipeline_alerts.append(alert)
            return
        self.repeated[names.ALERTS] += alert.alert_id in self.alerts
        known = self.alerts.setdefault(alert.alert_id, alert)
        assert known == alert, f"two alerts with one id: {known} {alert}"

    def _take_pane(self, partition: int, message: Message) -> None:
        """Join the chunks of a pane; incomplete panes are ignored."""
        if message.key.startswith(KEY_PREFIX):
            return
        if message.key.startswith(INTAKE_PREFIX):
            self._take_intake(message)
            return
        assembler = self._assemblers.setdefault(partition, PaneAssembler())
        for whole in assembler.add(message.value, message.offset):
            pane = whole.pane
            name = PaneId(pane.source, pane.partition, pane.series, pane.start_us)
            before = self.panes.get(name)
            self.repeated[names.PANES] += before is not None
            if before is None or before.pane_version <= pane.pane_version:
                self.panes[name] = pane

    def _take_intake(self, message: Message) -> None:
        """Keep the highest version."""
        pane = read_intake(message.value)
        place = (pane.source, pane.partition, pane.model, pane.start_us)
        before = self.intake.get(place)
        if before is None or before.pane_version <= pane.pane_version:
            self.intake[place] = pane

    def _take_results(self, message: Message) -> None:
        """The last of the highest version is current."""
        for r in read_results(message.value):
            key = (r.monitor, r.model, r.model_version, r.feature, r.segment, r.metric, r.start_us)
            target = self.revised if r.revised else self.results
            before = target.get(key)
            self.repeated[names.RESULTS] += before is not None
            if before is None or before.result_version <= r.result_version:
                target[key] = r


# -- the same log without faults ------------------------------------------------------


Source = tuple[str, Mapping[int, Sequence[Message]]]
"""Topic id of predictions, and the messages of its partitions."""


def undisturbed(
    sources: Sequence[Source],
    gpu_messages: Mapping[int, Sequence[Message]],
    catalog: Catalog,
    window: WindowConfig,
    gpu: GpuConfig,
    chunk_messages: int = 2_000,
) -> StageOutcome:
    """Run the in-memory stages over the source topics as Kafka holds them.

    Of several sources each replaced the one before it: a recreated topic.
    """
    log = MemoryLog()
    drift = DriftDetect(log, catalog)
    for i, (source_id, partitions) in enumerate(sources):
        if i:
            drift.windows.watermarks.retire(sources[i - 1][0])
        for partition, messages in partitions.items():
            _copy(log, source_id, partition, messages)
        _run_source(log, drift, source_id, len(partitions), catalog, window, chunk_messages)
    found = StageOutcome()
    for topic in (names.PANES, names.RESULTS, names.ALERTS, names.DEAD_LETTERS, names.LATE):
        for partition in log.partitions(topic):
            for message in log.fetch(topic, partition, 0, ALL):
                found.take(topic, partition, message)
    for messages in gpu_messages.values():
        for message in _gpu_alerts(messages, gpu):
            found.take(names.ALERTS, 0, message)
    return found


def _run_source(
    log: MemoryLog,
    drift: DriftDetect,
    source_id: str,
    n_partitions: int,
    catalog: Catalog,
    window: WindowConfig,
    chunk_messages: int,
) -> None:
    """Read one source to its end, a chunk of each partition in turn."""
    ingests = [
        InMemoryIngest(
            log,
            catalog,
            window,
            Assignment(source_id, p, n_partitions, "undisturbed"),
            cap=DeadLetterLimit(source_id, p, catalog.configs),
        )
        for p in range(n_partitions)
    ]
    is_over = False
    while not is_over:
        is_over = True
        for partition, ingest in enumerate(ingests):
            chunk = fetch_chunk(log, source_id, partition, ingest.position, chunk_messages)
            ingest.take(chunk)
            is_over = is_over and not len(chunk)
        while drift.step():
            pass


def _copy(log: MemoryLog, topic: str, partition: int, messages: Sequence[Message]) -> None:
    for m in messages:
        log.produce(topic, m.value, key=m.key, partition=partition, timestamp_us=m.timestamp_us)


def _gpu_alerts(messages: Sequence[Message], gpu: GpuConfig) -> list[Message]:
    """Evaluate one partition of GPU events, with separate rules per partition."""
    log = MemoryLog()
    _copy(log, names.GPU, 0, messages)
    detect = GpuDetect(log, gpu)
    while len(chunk := fetch_chunk(log, names.GPU, 0, detect.position, 1_000)):
        detect.take(chunk)
    return list(log.fetch(names.ALERTS, 0, 0, ALL))


def expected_notifications(
    topics: Topics, monitor: MonitorConfig, catalog: Catalog
) -> dict[str, str]:
    """Return id and dedup key of what every receiver must get, given the alerts topic."""
    log, recorder = MemoryLog(), _Recorder()
    _copy(log, names.ALERTS, 0, [m for _, m in topics.of(names.ALERTS)])
    receivers = dict.fromkeys(monitor.receivers, recorder)
    configs = list(catalog.configs.values())
    notifier = Notifier(monitor, configs, receivers, TopicNotificationLog(log))

    async def run() -> None:
        stage = NotifyStage(log, notifier)
        await stage.start()
        await stage.step(0)

    asyncio.run(run())
    return {n.notification_id: n.dedup_key for n in recorder.received}


@dataclass
class _Recorder:
    received: list[Notification] = field(default_factory=list)

    async def send(self, notification: Notification) -> str:
        self.received.append(notification)
        return "taken"

    def remember(self, notification: Notification, detail: str) -> None:
        pass

    async def close(self) -> None:
        pass


def deliveries(topics: Topics) -> Counter[tuple[str, str]]:
    """Count (notification id, state) in the notification log."""
    kind = tuple[Delivery, Notification]
    return Counter(
        (d.notification_id, d.state)
        for d, _ in (
            msgspec.msgpack.decode(m.value, type=kind) for _, m in topics.of(names.NOTIFICATIONS)
        )
    )


# -- comparing ------------------------------------------------------------------------

BITS = ("n_rows", "counts", "sums", "sums_sq", "minima", "maxima", "n_predicted", "n_positive",
        "calibration_counts", "calibration_sums")  # fmt: skip


def bits_of(pane: Pane) -> list[bytes]:
    """Return the content of a pane, without owner and position."""
    return [b for stats in (pane.segments, pane.slices) for b in _bits(stats)]


def _bits(stats: SeriesStats) -> Iterator[bytes]:
    yield repr(stats.segments).encode()
    for name in BITS:
        yield getattr(stats, name).tobytes()


def intake_of(
    intake: Mapping[tuple[str, int, str, int], IntakePane], source: str, partition: int
) -> dict[tuple[str, int], dict[str, int]]:
    """Return late and rejected events of one source partition by model and start of the pane."""
    return {
        (pane.model, pane.start_us): {
            **pane.rejected,
            **({"late": pane.n_late} if pane.n_late else {}),
        }
        for (own, p, _, _), pane in intake.items()
        if (own, p) == (source, partition)
    }


def rows_of(
    panes: Mapping[PaneId, Pane], source: str, partition: int, part: str
) -> dict[OraclePlace, tuple[int, int, int]]:
    """Return the counts of every segment or slice of one source partition's panes."""
    return {
        OraclePlace(name.series.model, name.series.model_version, name.start_us, segment): (
            int(stats.n_rows[i]),
            int(stats.n_predicted[i]),
            int(stats.n_positive[i]),
        )
        for name, pane in panes.items()
        if (name.source, name.partition) == (source, partition)
        for stats in (getattr(pane, part),)
        for i, segment in enumerate(stats.segments)
    }
