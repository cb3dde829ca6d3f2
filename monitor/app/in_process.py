"""Builds the whole pipeline in one process from config."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from monitor.app.installation import shared_window
from monitor.archive.direct import DirectArchive
from monitor.archive.in_memory import GROUP as ARCHIVE_GROUP
from monitor.archive.in_memory import LogArchive, PaneReader
from monitor.archive.writes import Archive
from monitor.core import topics
from monitor.core.table_rows import TableRows
from monitor.core.windowing.catalog import Catalog, label_rules
from monitor.core.windowing.slot_length import slot_of
from monitor.decode.arrow.decode_ahead import DecodedChunk, decode_ahead
from monitor.decode.decoder import Decoder
from monitor.decode.labels import decode_label_batch
from monitor.decode.work import ARROW_MARK
from monitor.detect.in_memory import DriftDetect, GpuDetect
from monitor.detect.stage import GROUP as DETECT_GROUP
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.notify.delivery.notifier import Notifier, NotifyStep
from monitor.notify.in_memory import NotifyStage, TopicNotificationLog
from monitor.notify.receivers.protocol import Receiver
from monitor.notify.receivers.registry import build_receivers
from monitor.notify.retraining.registry import build_retrainers
from monitor.storage.clickhouse import Store
from monitor.transport.memory import MemoryLog
from schemas.alerts import Alert, Incident
from schemas.batch import Chunk
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig
from schemas.events import Reject
from schemas.labels import LabelBatch
from schemas.panes import Pane
from schemas.refused import DeadLetter, dead_letter

FOREVER_US = 1 << 62
ARCHIVED_TOGETHER = 32
"""Windows whose results are inserted together, because an insert has a fixed cost."""

OnStep = Callable[[NotifyStep], None]
ReadLabels = Callable[[Chunk], tuple[LabelBatch, tuple[Reject, ...]]]


@dataclass(slots=True)
class Pipeline:
    """All stages in one process over one log. Built by :func:`build_pipeline`."""

    log: MemoryLog
    ingest: InMemoryIngest
    drift: DriftDetect
    gpu: GpuDetect
    notify: NotifyStage
    archive: LogArchive | None
    direct: DirectArchive | None
    on_step: OnStep
    runner: asyncio.Runner
    read_labels: ReadLabels
    incidents: dict[str, Incident] = field(default_factory=dict)
    """Last state of every incident of the run."""
    n_labels: int = 0
    longest_wait_us: int = 0
    """Longest time from the last alert to a notification or retraining request."""
    examples: dict[str, str] = field(default_factory=dict)
    """Description of the first rejected event by reason."""
    n_letters_seen: int = 0
    n_archived_windows: int = 0
    keeps_log: bool = False
    """Whether to keep processed messages; a year of windows would fill the memory."""

    @property
    def watermark_us(self) -> int:
        """Watermark of the predictions."""
        return self.ingest.watermark_us

    def decode_ahead(self, chunks: Iterable[Chunk | TableRows]) -> Iterator[Chunk | DecodedChunk]:
        """Decode tables several chunks at a time; give all to :meth:`take_predictions`."""
        return decode_ahead(self.ingest.decoder, chunks)

    def take_predictions(self, chunk: Chunk | DecodedChunk) -> None:
        """Read one chunk of predictions."""
        self.ingest.take(chunk)

    def take_gpu(self, chunk: Chunk) -> None:
        """Read one chunk of GPU telemetry."""
        events = self.gpu.take(chunk)
        if self.direct is not None:
            self.direct.gpu(events, chunk)

    def end_predictions(self) -> None:
        """Signal the end of predictions, after which hosts without predictions are not silent."""
        self.gpu.end_signs(self.watermark_us)

    def take_labels(self, chunk: Chunk) -> None:
        """Read one chunk of labels, which are only archived."""
        batch, rejects = self.read_labels(chunk)
        self.n_labels += len(batch)
        for reject in rejects:
            offset = int(chunk.log_offset[reject.message])
            letter = dead_letter(reject, source=chunk.source, partition=0, offset=offset)
            self.ingest.counters[f"rejected_{reject.reason.value}"] += reject.n_events
            self.log.produce(topics.DEAD_LETTERS, msgspec.msgpack.encode(letter))
        if self.direct is not None:
            self.direct.labels(batch, chunk)

    def pump(self) -> None:
        """Run the detect and notify stages up to the current event time."""
        self._note_refused()
        n_windows = self.drift.counters["windows"]
        while self.drift.step():
            pass
        self._notify(max(self.watermark_us, 0))
        if self.drift.counters["windows"] != n_windows:
            n_closed = self.drift.counters["windows"] - self.n_archived_windows
            if self.archive is not None and n_closed >= ARCHIVED_TOGETHER:
                self.archive.drain()
                self.n_archived_windows += n_closed
            if not self.keeps_log:
                self._forget()

    def finish(self) -> None:
        """Close open windows and waits at the end of the input."""
        self._note_refused()
        self.ingest.finish()
        while self.drift.step():
            pass
        end_us = max(self.watermark_us, self.gpu.watermark_us)
        self._notify(end_us)
        # No further alerts can join groups that wait for more alerts or for a hardware cause.
        self._notify(end_us + self.longest_wait_us)
        if self.direct is not None:
            self.direct.flush()
        if self.archive is not None:
            self.archive.drain()

    def close(self) -> None:
        """Close receivers and the event loop."""
        self.runner.run(self.notify.close())
        self.runner.close()

    def alerts(self) -> list[Alert]:
        """Return every alert of the run, in order."""
        n = self.log.end_offset(topics.ALERTS, 0)
        messages = self.log.fetch(topics.ALERTS, 0, 0, n)
        return [msgspec.msgpack.decode(m.value, type=Alert) for m in messages]

    def _note_refused(self) -> None:
        """Keep the first detail of each reason, before the dead letters are dropped."""
        end = self.log.end_offset(topics.DEAD_LETTERS, 0)
        for message in self.log.fetch(topics.DEAD_LETTERS, 0, self.n_letters_seen, end):
            letter = msgspec.msgpack.decode(message.value, type=DeadLetter)
            self.examples.setdefault(letter.reason, _example(letter))
        self.n_letters_seen = end

    def _forget(self) -> None:
        """Drop messages that detect and the archive have processed from the log.

        Includes state messages: the log ends with its process and is not read by a restart.
        """
        self.log.forget(topics.STATE, 0, self.log.end_offset(topics.STATE, 0))
        archived = [ARCHIVE_GROUP] if self.archive is not None else []
        for topic in (topics.PANES, topics.RESULTS, topics.DEAD_LETTERS, topics.LATE):
            readers = [DETECT_GROUP] if topic == topics.PANES else archived
            done = [self.log.committed(group, topic, 0) for group in readers]
            end = self.log.end_offset(topic, 0)
            self.log.forget(topic, 0, min([end, *(c.offset if c else 0 for c in done)]))

    def _notify(self, now_us: int) -> None:
        """Run the notify stage up to the current event time."""
        if self.notify.rests(now_us):  # the event loop costs as much as decoding a thousand rows
            return
        for step in self.runner.run(self.notify.step(now_us)):
            for change in step.changes:
                self.incidents[change.incident.incident_id] = change.incident
                if change.merged_into:
                    del self.incidents[change.incident.incident_id]
            self.on_step(step)


def build_pipeline(
    monitor: MonitorConfig,
    catalog: Catalog,
    *,
    source: str,
    store: Store | None,
    receivers: Mapping[str, Receiver] | None = None,
    has_retraining: bool = True,
    keeps_log: bool = False,
    slot_us: int | None = None,
    run_id: str | None = None,
    on_step: OnStep = lambda step: None,
) -> Pipeline:
    """Build every stage in one process.

    Parameters
    ----------
    source : str
        Name of the stream of predictions, which panes carry.
    store : Store, optional
        Must be migrated; None stores nothing.
    receivers : mapping of str to Receiver, optional
        Replaces the config's receivers; open incidents are then not repeated.
    has_retraining : bool
        False disables retraining requests.
    keeps_log : bool
        Keep results and panes in memory after they have been processed.
    slot_us : int, optional
        Length of a slot: a multiple of ``window.pane`` that divides every window. By default
        ``window.pane``; without a store and a kept log, where panes are only used for windows, the
        longest possible. The last bits of a window's floats depend on it, because of the order of
        summation.
    run_id : str, optional
        What is stored under a known run ID is not stored again; by default ``source``.
    on_step : callable, optional
        Called with every step of the notify stage.

    Raises
    ------
    ConfigError
        If models have different event-time settings for the source, or a receiver's environment
        variable is not set.
    """
    if receivers is not None:
        # The output is read once, so repeats of open incidents are not useful.
        monitor = monitor.model_copy(update={"repeat_interval_us": FOREVER_US})
    log, configs = MemoryLog(), list(catalog.configs.values())
    window, is_read = shared_window(configs), store is not None or keeps_log
    if slot_us is None:
        slot_us = window.pane_us if is_read else slot_of(configs)
    asking = configs if has_retraining else [_without_retraining(c) for c in configs]
    archive = Archive(store) if store is not None else None
    reader = PaneReader({(c.tenant, c.model): c.schema_.variables for c in configs})
    direct = DirectArchive(archive, run_id or source, reader) if archive is not None else None
    found = receivers if receivers is not None else build_receivers(monitor)
    runner = asyncio.Runner()
    notifier = Notifier(
        monitor,
        asking if receivers is None else [_without_routes(c) for c in asking],
        found,
        TopicNotificationLog(log),
        retrainers=build_retrainers(asking),
    )
    notify = NotifyStage(log, notifier)
    runner.run(notify.start())
    gpu = GpuDetect(log, monitor.gpu)
    drift = DriftDetect(
        log,
        catalog,
        has_results=is_read,
        has_states=keeps_log,
        on_results=direct.results if direct is not None and not keeps_log else None,
    )
    return Pipeline(
        log=log,
        ingest=InMemoryIngest(
            log,
            catalog,
            window,
            Assignment(source, 0, 1, "replay"),
            grain=slot_us // window.pane_us,
            decoder=Decoder(catalog.schemas, limits=monitor.messages.limits),
            on_batch=direct.predictions if direct is not None else None,
            on_pane=None if keeps_log else partial(_hand_on, drift, direct),
            on_signs=gpu.observe_hosts,
        ),
        drift=drift,
        gpu=gpu,
        notify=notify,
        archive=_build_archive(archive, log, reader if keeps_log else None, run_id or source),
        direct=direct,
        on_step=on_step,
        runner=runner,
        read_labels=partial(
            decode_label_batch, rules=label_rules(configs), limits=monitor.messages.limits
        ),
        keeps_log=keeps_log,
        longest_wait_us=max(
            monitor.group_wait_us, *(c.retraining.wait_us for c in asking if c.retraining), 0
        ),
    )


def check_pipeline(
    monitor: MonitorConfig, configs: Sequence[ModelConfig], *, has_receivers: bool
) -> None:
    """Raise the config errors of :func:`build_pipeline`, before any resource is opened.

    Parameters
    ----------
    has_receivers : bool
        Whether the config's receivers and retraining webhooks are used.

    Raises
    ------
    ConfigError
        As :func:`build_pipeline`.
    """
    shared_window(configs)
    Decoder([config.schema_ for config in configs])
    if has_receivers:
        build_receivers(monitor)
        build_retrainers(configs)


def _hand_on(drift: DriftDetect, direct: DirectArchive | None, pane: Pane) -> None:
    """Pass a pane to its consumers as an object, without a message."""
    drift.take_pane(pane)
    if direct is not None:
        direct.pane(pane)


def _build_archive(
    archive: Archive | None, log: MemoryLog, panes: PaneReader | None, source: str
) -> LogArchive | None:
    """Build the archive, with source names that are unique to this run."""
    if archive is None:
        return None
    return LogArchive(archive, log, topic_id=lambda topic: f"{topic}@{source}", panes=panes)


def _example(letter: DeadLetter) -> str:
    """Return the error of an event, with its position in its file."""
    is_row = letter.payload.startswith(ARROW_MARK)
    place = f"row {letter.offset + letter.row + 1}" if is_row else f"line {letter.offset + 1}"
    return f"{letter.detail} ({letter.source.partition('@')[0]}, {place})"


def _without_retraining(config: ModelConfig) -> ModelConfig:
    """Return a model's config without retraining."""
    return config.model_copy(update={"retraining": None})


def _without_routes(config: ModelConfig) -> ModelConfig:
    """Return a model's config without routes, because its receivers are not in use."""
    return config.model_copy(update={"routes": ()})
