"""The only place that builds objects from config: receivers, stages, the whole pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from monitor.app.installation import shared_window
from monitor.archive.direct import DirectArchive
from monitor.archive.in_memory import GROUP as ARCHIVE_GROUP
from monitor.archive.in_memory import LogArchive, PaneReader
from monitor.archive.writes import Archive
from monitor.core import topics
from monitor.core.windowing.catalog import Catalog, max_skews
from monitor.core.windowing.slot_length import slot_of
from monitor.decode.decoder import Decoder
from monitor.decode.records import Placed, decode_labels
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
from schemas.events import LabelEvent, Reject
from schemas.panes import Pane
from schemas.refused import DeadLetter, dead_letter

FOREVER_US = 1 << 62
ARCHIVED_TOGETHER = 32
"""Windows whose results are inserted together: an insert has a fixed cost."""

OnStep = Callable[[NotifyStep], None]
ReadLabels = Callable[[Chunk], tuple[Placed[LabelEvent], tuple[Reject, ...]]]


@dataclass(slots=True)
class Pipeline:
    """Every stage in one process, round one log. Built by :func:`build_pipeline`."""

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
    """Every incident of the run as it last stood."""
    n_labels: int = 0
    longest_wait_us: int = 0
    """How long after the last alert a notification or retraining request may follow."""
    examples: dict[str, str] = field(default_factory=dict)
    """What was wrong with the first event that was refused, by reason, for people."""
    n_letters_seen: int = 0
    n_archived_windows: int = 0
    keeps_log: bool = False
    """Keep what every stage is done with; a year of windows would fill the memory."""

    @property
    def watermark_us(self) -> int:
        """How far the predictions have come in event time."""
        return self.ingest.watermark_us

    def take_predictions(self, chunk: Chunk) -> None:
        """Read one chunk of predictions."""
        self.ingest.take(chunk)

    def take_gpu(self, chunk: Chunk) -> None:
        """Read one chunk of GPU telemetry."""
        events = self.gpu.take(chunk)
        if self.direct is not None:
            self.direct.gpu(events, chunk)

    def end_predictions(self) -> None:
        """Note that no more predictions come: hosts that serve none are not silent."""
        self.gpu.end_signs(self.watermark_us)

    def take_labels(self, chunk: Chunk) -> None:
        """Read one chunk of labels: they are archived, and no more."""
        placed, rejects = self.read_labels(chunk)
        self.n_labels += len(placed)
        for reject in rejects:
            offset = int(chunk.log_offset[reject.message])
            letter = dead_letter(reject, source=chunk.source, partition=0, offset=offset)
            self.ingest.counters[f"rejected_{reject.reason.value}"] += reject.n_events
            self.log.produce(topics.DEAD_LETTERS, msgspec.msgpack.encode(letter))
        if self.direct is not None:
            self.direct.labels([event for _, _, event in placed], chunk)

    def pump(self) -> None:
        """Run what is due in detect and notify."""
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
        """Close what is open: the input has ended."""
        self._note_refused()
        self.ingest.finish()
        while self.drift.step():
            pass
        end_us = max(self.watermark_us, self.gpu.watermark_us)
        self._notify(end_us)
        # What still waits for company, or for a hardware cause, gets none any more.
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
        """Return every alert of the run, in the order it was raised."""
        n = self.log.end_offset(topics.ALERTS, 0)
        messages = self.log.fetch(topics.ALERTS, 0, 0, n)
        return [msgspec.msgpack.decode(m.value, type=Alert) for m in messages]

    def _note_refused(self) -> None:
        """Keep the first words of each reason, before the dead letters are forgotten here."""
        end = self.log.end_offset(topics.DEAD_LETTERS, 0)
        for message in self.log.fetch(topics.DEAD_LETTERS, 0, self.n_letters_seen, end):
            letter = msgspec.msgpack.decode(message.value, type=DeadLetter)
            self.examples.setdefault(letter.reason, _example(letter))
        self.n_letters_seen = end

    def _forget(self) -> None:
        """Drop from the log what detect and the archive have done with.

        State messages go too: the log ends with its process, no restart reads it.
        """
        self.log.forget(topics.STATE, 0, self.log.end_offset(topics.STATE, 0))
        archived = [ARCHIVE_GROUP] if self.archive is not None else []
        for topic in (topics.PANES, topics.RESULTS, topics.DEAD_LETTERS, topics.LATE):
            readers = [DETECT_GROUP] if topic == topics.PANES else archived
            done = [self.log.committed(group, topic, 0) for group in readers]
            end = self.log.end_offset(topic, 0)
            self.log.forget(topic, 0, min([end, *(c.offset if c else 0 for c in done)]))

    def _notify(self, now_us: int) -> None:
        """Run the notify stage to where event time has come."""
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
    on_step: OnStep = lambda step: None,
) -> Pipeline:
    """Build every stage in one process.

    Parameters
    ----------
    source : str
        Name of the stream of predictions.
    store : Store, optional
        Migrated; None keeps nothing.
    receivers : mapping of str to Receiver, optional
        In place of those of the config; then open incidents are not repeated.
    has_retraining : bool
        False requests no retraining, whatever the policies say.
    keeps_log : bool
        Keep results and panes in memory after everyone has read them.
    slot_us : int, optional
        What is counted as one pane: a multiple of ``window.pane`` that divides every window.
        By default ``window.pane``; without a store and a kept log, where only windows are
        made of panes, the longest that there is. Of the floats of a window the last bits
        depend on it, because they are added in another order.
    on_step : callable, optional
        Given every step of the notify stage.

    Raises
    ------
    ConfigError
        If models disagree about the source's event-time settings, or a receiver's
        environment variable is not set.
    """
    if receivers is not None:
        # Read in one sitting: what is still open need not be said again every four hours.
        monitor = monitor.model_copy(update={"repeat_interval_us": FOREVER_US})
    log, configs = MemoryLog(), list(catalog.configs.values())
    window, is_read = shared_window(configs), store is not None or keeps_log
    if slot_us is None:
        slot_us = window.pane_us if is_read else slot_of(configs)
    asking = configs if has_retraining else [_without_retraining(c) for c in configs]
    archive = Archive(store) if store is not None else None
    reader = PaneReader({(c.tenant, c.model): c.schema_.variables for c in configs})
    direct = DirectArchive(archive, reader) if archive is not None else None
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
    drift = DriftDetect(log, catalog, has_results=is_read, has_states=keeps_log)
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
        archive=_build_archive(archive, log, reader if keeps_log else None, source),
        direct=direct,
        on_step=on_step,
        runner=runner,
        read_labels=partial(
            decode_labels, max_skew_us=max_skews(configs), limits=monitor.messages.limits
        ),
        keeps_log=keeps_log,
        longest_wait_us=max(
            monitor.group_wait_us, *(c.retraining.wait_us for c in asking if c.retraining), 0
        ),
    )


def check_pipeline(
    monitor: MonitorConfig, configs: Sequence[ModelConfig], *, has_receivers: bool
) -> None:
    """Find out what :func:`build_pipeline` would refuse, before anything is opened for it.

    Parameters
    ----------
    has_receivers : bool
        Whether the config's receivers and retraining webhooks will be used.

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
    """Give a pane to those that read it, without a message."""
    drift.take_pane(pane)
    if direct is not None:
        direct.pane(pane)


def _build_archive(
    archive: Archive | None, log: MemoryLog, panes: PaneReader | None, source: str
) -> LogArchive | None:
    """Archive the topics of this run under names no other run uses."""
    if archive is None:
        return None
    return LogArchive(archive, log, topic_id=lambda topic: f"{topic}@{source}", panes=panes)


def _example(letter: DeadLetter) -> str:
    """Return what was wrong with an event, and its position in its file."""
    is_row = letter.payload.startswith(ARROW_MARK)
    place = f"row {letter.offset + letter.row + 1}" if is_row else f"line {letter.offset + 1}"
    return f"{letter.detail} ({letter.source.partition('@')[0]}, {place})"


def _without_retraining(config: ModelConfig) -> ModelConfig:
    """Return the config of a model that is only looked at."""
    return config.model_copy(update={"retraining": None})


def _without_routes(config: ModelConfig) -> ModelConfig:
    """Return the config without routes: the receivers it names are not those in use."""
    return config.model_copy(update={"routes": ()})
