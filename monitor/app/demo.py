"""Run the demo: real predictions, with three planted faults, through the pipeline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from monitor.app.in_process import Pipeline, build_pipeline
from monitor.app.progress import StartPhase, ignore_note, no_progress
from monitor.app.row_progress import rows_text
from monitor.app.slice_hints import search_slices
from monitor.baseline.build import build_baseline
from monitor.baseline.folder import add_baseline
from monitor.clock import elapsed_s
from monitor.core.incidents.slices.incident_hint import incident_hint
from monitor.core.incidents.slices.text import hint_text
from monitor.core.state.result_messages import read_results
from monitor.core.topics import GPU, LABELS, PREDICTIONS, RESULTS
from monitor.core.windowing.catalog import Catalog
from monitor.demo.findings import DemoScore, score_run
from monitor.demo.score import summarize_run
from monitor.demo.story import compose_report
from monitor.demo.streams import Stream
from monitor.demo.target import DemoRetrainingTarget
from monitor.demo.world import (
    RETRAINING_SECRET_ENV,
    RETRAINING_URL_ENV,
    World,
    build_world,
    monitor_config,
)
from monitor.notify.delivery.notifier import NotifyStep
from monitor.notify.receivers.protocol import Receiver
from monitor.replay.timeline import Timed, replay
from monitor.report.page import write_report
from monitor.storage.clickhouse import Store
from schemas.slice_hints import SliceHint

CHUNK_MESSAGES = 500
"""Half a window, so that findings are reported as they are found."""


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """Settings of a demo."""

    seed: int
    folder: Path
    """An empty folder for store, baseline and report."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """Result of a demo: detected faults."""

    score: DemoScore
    report: Path
    """Path of the HTML page."""
    n_events: int
    """Predictions, labels and GPU samples read."""
    n_windows: int
    seconds: float
    """Wall-clock time of the run, including the report."""

    def as_document(self) -> dict[str, object]:
        """Return the result for ``--json``."""
        return summarize_run(self.score, self.n_events, self.seconds, self.n_windows)


class DemoListener:
    """Receives the events of a demo; the default ignores them."""

    def on_world(self, world: World) -> None:
        """Called when the world is built, before its streams are read."""

    def receivers(self, world: World) -> Mapping[str, Receiver]:
        """Return the receivers of notifications."""
        return {}

    def on_step(self, step: NotifyStep) -> None:
        """Called after each step of the notify stage."""

    def on_report(self) -> None:
        """Called before the report is written."""


def run_demo(
    request: DemoRequest,
    listener: DemoListener | None = None,
    *,
    start_phase: StartPhase = no_progress,
) -> DemoResult:
    """Build the world, run it through the monitor, and score the findings.

    Notes
    -----
    Sets the environment variables of the demo's retraining target in this process.
    """
    started_s = elapsed_s()
    listener = listener or DemoListener()
    folder = request.folder
    world = build_world(request.seed)
    listener.on_world(world)
    monitor = monitor_config(str(folder / "store"), str(folder / "baselines"))
    baseline = build_baseline(
        world.reference, world.config, created_from="census 2015, Massachusetts"
    )
    add_baseline(baseline, folder / "baselines")
    catalog = Catalog.of([world.config], [baseline])
    with DemoRetrainingTarget() as target, Store.open(folder / "store") as store:
        os.environ[RETRAINING_URL_ENV], os.environ[RETRAINING_SECRET_ENV] = (
            target.url,
            target.secret,
        )
        store.migrate()
        pipeline = build_pipeline(
            monitor,
            catalog,
            source=PREDICTIONS,
            store=store,
            receivers=listener.receivers(world),
            keeps_log=True,  # the report needs every result of the run
            on_step=listener.on_step,
        )
        _run(pipeline, world, start_phase)
        hints = search_slices(store, catalog.configs, pipeline.alerts(), ignore_note)
    arrived = [asked.incident_id for asked in target.requests]
    seconds = elapsed_s() - started_s
    score = _judge(pipeline, world, arrived)
    listener.on_report()
    report = _write_report(pipeline, world, score, seconds, folder, hints)
    seconds = elapsed_s() - started_s
    return DemoResult(score, report, world.n_events, world.n_windows, seconds)


def _run(pipeline: Pipeline, world: World, start_phase: StartPhase) -> None:
    """Run every stream through the pipeline."""
    n_rows = len(world.predictions)
    with start_phase("watching 2016", n_rows) as shown:
        replay(
            pipeline,
            world.predictions.chunks(PREDICTIONS, CHUNK_MESSAGES),
            _timed(world.labels, LABELS),
            _timed(world.gpu, GPU),
            after_chunk=lambda chunk: shown.update(*_reached(pipeline, n_rows)),
        )
    pipeline.close()


def _reached(pipeline: Pipeline, n_rows: int) -> tuple[int, int, str]:
    """Return the progress of the run."""
    n_read = pipeline.ingest.counters["messages"]
    return n_read, n_rows, rows_text(n_read, n_rows, pipeline.watermark_us)


def _timed(stream: Stream, source: str) -> list[Timed]:
    """Split a stream into chunks with their times."""
    chunks = stream.chunks(source, CHUNK_MESSAGES)
    return [Timed(int(chunk.record_time_us[0]), chunk) for chunk in chunks]


def _judge(pipeline: Pipeline, world: World, arrived: list[str]) -> DemoScore:
    """Compare findings with planted faults; only delivered retraining requests count."""
    incidents = list(pipeline.incidents.values())
    return score_run(world.planted, incidents, arrived, pipeline.alerts())


def _write_report(
    pipeline: Pipeline,
    world: World,
    score: DemoScore,
    seconds: float,
    folder: Path,
    hints: Mapping[str, SliceHint],
) -> Path:
    """Write the HTML report next to the store."""
    log = pipeline.log
    messages = log.fetch(RESULTS, 0, 0, log.end_offset(RESULTS, 0))
    results = (result for message in messages for result in read_results(message.value))
    incidents = list(pipeline.incidents.values())
    texts = {
        incident.incident_id: hint_text(hint)
        for incident in incidents
        if (hint := incident_hint(incident, hints)) is not None
    }
    content = compose_report(world, score, incidents, results, seconds, texts)
    return write_report(folder / "report.html", content)
