"""What ``driftline demo`` does, once its folder is there."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from monitor.app.in_process import Pipeline, build_pipeline
from monitor.baseline.build import build_profile
from monitor.baseline.folder import add_profile
from monitor.cli.terminal.command_hints import as_started
from monitor.cli.terminal.output import print_json
from monitor.cli.terminal.progress import progress
from monitor.cli.terminal.row_progress import rows_text
from monitor.clock import elapsed_s
from monitor.core.notification.retraining import RetrainingOutcome
from monitor.core.panes.catalog import Catalog
from monitor.core.topics import GPU, LABELS, PREDICTIONS, RESULTS
from monitor.demo.findings import DemoScore, score_run
from monitor.demo.score import findings_table, summarize_run
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
from monitor.replay.timeline import Timed, replay
from monitor.report.page import write_report
from monitor.storage.clickhouse import Store
from schemas.alerts import Notification
from schemas.results import DetectorResult

CHUNK_MESSAGES = 500
"""Half a window: findings are printed as they are found."""
_OUTCOMES = {
    RetrainingOutcome.REQUESTED: "retraining asked for",
    RetrainingOutcome.NOT_DATA: "no retraining, new data would not help",
    RetrainingOutcome.SEVERITY_NOT_LISTED: "no retraining, its policy does not list the severity",
    RetrainingOutcome.FEATURE_NOT_LISTED: "no retraining, its policy does not list the feature",
    RetrainingOutcome.COOLDOWN: "retraining waits, the last one was too recent",
    RetrainingOutcome.RESOLVED_IN_TIME: "no retraining, it was over in time",
}
_MARKS = {
    "opened": "[bold red]found[/]",
    "escalated": "[bold red]worse[/]",
    "resolved": "[green]over [/]",
}


class _LineReceiver:
    """A receiver that writes one line a notification, stamped with event time."""

    def __init__(self, world: World, console: Console) -> None:
        self._world, self._console = world, console

    async def send(self, notification: Notification) -> str:
        """Print the notification that an on-call engineer would get."""
        incident, mark = notification.incident, _MARKS.get(notification.reason, "[dim]news [/]")
        self._console.print(
            _entry(
                f"{_clock(notification.time_us, self._world)} {mark} "
                f"[bold]{incident.severity.value:6}[/] {incident.cause.value:8}",
                escape(incident.title),
            )
        )
        return "printed"

    def remember(self, notification: Notification, detail: str) -> None:
        """Nothing to take over."""

    async def close(self) -> None:
        """Nothing to let go of."""


def run_demo(seed: int, folder: Path, *, is_json: bool) -> None:
    """Build the world, run it through the monitor, and say what was found.

    Parameters
    ----------
    folder : Path
        Empty; the store, the baseline and the report stay in it.
    is_json : bool
        Print one JSON line and nothing else.
    """
    started_s = elapsed_s()
    # A terminal gets lines that are broken between words, anything else whole ones.
    console = Console(quiet=is_json, highlight=False)
    console.soft_wrap = not console.is_terminal
    console.print(
        f"[bold]Driftline demo[/], seed {seed}: fitting a model on the census of 2015 ..."
    )
    world = build_world(seed)
    _introduce(world, console)
    monitor = monitor_config(str(folder / "store"), str(folder / "baselines"))
    profile = build_profile(
        world.reference, world.config, created_from="census 2015, Massachusetts"
    )
    add_profile(profile, folder / "baselines")
    catalog = Catalog.of([world.config], [profile])
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
            receivers={"console": _LineReceiver(world, console)},
            keeps_log=True,  # the report draws every result of the run
            on_step=lambda step: _tell(step, console),
        )
        _run(pipeline, world, is_quiet=is_json)
    arrived = [request.incident_id for request in target.requests]
    seconds = elapsed_s() - started_s
    score = _judge(pipeline, world, arrived)
    report = _write_report(pipeline, world, score, seconds, folder, console)
    if is_json:
        print_json(summarize_run(score, world.n_events, elapsed_s() - started_s, world.n_windows))
        return
    _conclude(console, score, folder, report, elapsed_s() - started_s, world)


def _introduce(world: World, console: Console) -> None:
    """Print what the demo will show."""
    console.print(
        f"It serves 2016 from {len(world.gpus)} replicas: {world.n_events:,} events, "
        f"{world.n_windows} one-hour windows, AUC {world.auc:.3f}. "
        "Three faults are planted in the second half; until then there must be silence.\n"
    )


def _run(pipeline: Pipeline, world: World, *, is_quiet: bool) -> None:
    """Run every stream through the pipeline."""
    n_rows = len(world.predictions)
    with progress("watching 2016", n_rows, is_quiet=is_quiet) as shown:
        replay(
            pipeline,
            world.predictions.chunks(PREDICTIONS, CHUNK_MESSAGES),
            _timed(world.labels, LABELS),
            _timed(world.gpu, GPU),
            after_chunk=lambda chunk: shown.update(*_reached(pipeline, n_rows)),
        )
    pipeline.close()


def _reached(pipeline: Pipeline, n_rows: int) -> tuple[int, int, str]:
    """Return how far the run has come, for the progress."""
    n_read = pipeline.ingest.counters["messages"]
    return n_read, n_rows, rows_text(n_read, n_rows, pipeline.watermark_us)


def _timed(stream: Stream, source: str) -> list[Timed]:
    """Cut a stream into chunks that know their time."""
    chunks = stream.chunks(source, CHUNK_MESSAGES)
    return [Timed(int(chunk.record_time_us[0]), chunk) for chunk in chunks]


def _tell(step: NotifyStep, console: Console) -> None:
    """Print what was decided about retraining; the receiver prints the rest."""
    for retraining in step.retrainings:
        title = escape(retraining.incident.title)
        console.print(_entry(" " * 11, f"[dim]{_OUTCOMES[retraining.outcome]}: {title}[/]"))


def _entry(head: str, text: str) -> Table:
    """Put a text beside its head, so that further lines of it stay below the first."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, text)
    return grid


def _clock(time_us: int, world: World) -> str:
    """Return day and hour of event time."""
    hours = (time_us - world.start_us) / 3.6e9
    return f"[dim]day {int(hours // 24) + 1} {int(hours % 24):02d}:{int(hours * 60 % 60):02d}[/]"


def _judge(pipeline: Pipeline, world: World, arrived: list[str]) -> DemoScore:
    """Compare what was found with what was planted; only requests that arrived count."""
    incidents = list(pipeline.incidents.values())
    return score_run(world.planted, incidents, arrived, pipeline.alerts())


def _write_report(
    pipeline: Pipeline,
    world: World,
    score: DemoScore,
    seconds: float,
    folder: Path,
    console: Console,
) -> Path:
    """Write the HTML report beside the store."""
    console.print("\n[dim]writing the report ...[/]")
    log = pipeline.log
    decoder = msgspec.msgpack.Decoder(list[DetectorResult])
    messages = log.fetch(RESULTS, 0, 0, log.end_offset(RESULTS, 0))
    results = (result for message in messages for result in decoder.decode(message.value))
    content = compose_report(world, score, list(pipeline.incidents.values()), results, seconds)
    return write_report(folder / "report.html", content)


def _conclude(
    console: Console, score: DemoScore, folder: Path, report: Path, seconds: float, world: World
) -> None:
    """Print the table, and where to look next."""
    console.print(findings_table(score))
    n_false = len(score.false_alerts)
    console.print(
        f"{score.n_found} of {len(score.findings)} found, {n_false} false alerts, "
        f"{score.n_retrainings} retraining asked for, {world.n_events:,} events in {seconds:.0f} s."
    )
    for alert in score.false_alerts:
        console.print(f"[red]false alert[/] {escape(alert.title)}")
    store = shlex.quote(str(folder / "store"))
    question = '"SELECT severity, monitor, title FROM alerts ORDER BY time_us"'
    # Whole, however wide the terminal: they are to be copied.
    for line in (
        "",
        f"report   {report}",
        "ask      " + as_started(f"driftline sql --store {store} {question}"),
    ):
        console.print(line, soft_wrap=True, markup=False)
