"""What ``driftline replay`` does, once its options are read."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import typer

from driftline.times import EARLIEST_US, LIMITS
from monitor.app.in_process import Pipeline, build_pipeline, check_pipeline
from monitor.app.installation import Installation, load_installation
from monitor.baseline.baseline_file import load_profiles
from monitor.cli.terminal.command_hints import as_started
from monitor.cli.terminal.exit_codes import UNJUDGED
from monitor.cli.terminal.output import print_json, print_note, shortest
from monitor.cli.terminal.progress import progress
from monitor.cli.terminal.row_progress import RowProgress
from monitor.core.drift.coverage import joined
from monitor.core.drift.coverage_text import ENOUGH, conclusion, coverage_lines
from monitor.core.identity import stable_id
from monitor.core.incidents.text import share_text
from monitor.core.panes.catalog import Catalog
from monitor.decode.records import decode_gpu, decode_labels
from monitor.notify.receivers.console import ConsoleReceiver
from monitor.replay.timeline import Timed, cut_by_time, replay
from monitor.storage.clickhouse import Store
from monitor.transport.files import STANDARD_INPUT, Source, open_source
from monitor.transport.first_times import in_order_of_times
from monitor.transport.formats import is_named_json
from schemas.alerts import Incident
from schemas.batch import Chunk
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError, ConfigError
from schemas.spelling import spell_controls

SOONEST_US = 1_000_000_000
"""Seconds of 2001, and a quarter of an hour for rows that are numbered from 0."""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """The options of one replay."""

    files: tuple[str, ...]
    config: Path
    model: str | None
    labels: Path | None
    gpu: Path | None
    store: str | None
    rows_per_window: int | None
    has_notify: bool
    is_json: bool


def run_replay(request: ReplayRequest) -> None:
    """Check everything, then run the files through the pipeline and say what was found."""
    installation = load_installation(request.config)
    catalog = known_catalog(installation)
    # All that may be wrong is found before the store is opened: nothing is left half written.
    check_pipeline(installation.monitor, installation.models, has_receivers=request.has_notify)
    model = model_of_tables(installation, request.model, request.files)
    request = replace(request, files=ordered_files(request, model))
    with ExitStack() as stack:
        shown = progress("replaying", None, is_quiet=request.is_json)
        rows = RowProgress(stack.enter_context(shown), request.files)
        streams = _open_streams(request, model, stack, rows)
        store = _open_store(installation, request, stack)
        pipeline = build_pipeline(
            installation.monitor,
            catalog,
            source=_run_id(request, installation, streams, catalog),
            store=store,
            receivers=None if request.has_notify else _terminal(request),
            has_retraining=request.has_notify,
        )
        stack.callback(pipeline.close)
        if request.is_json:
            # A console receiver of the config would print between a program and its one line.
            stack.enter_context(redirect_stdout(sys.stderr))
        has_plain_times = is_unit_unstated(streams.predictions, model, request.rows_per_window)

        def after_chunk(chunk: Chunk) -> None:
            if has_plain_times:
                check_times(pipeline.watermark_us, request.files)
            rows.update(pipeline.watermark_us)

        replay(
            pipeline,
            concatenated(streams.predictions),
            _timed(streams.labels, decode_labels),
            _timed_gpu(streams.gpu, installation.monitor.gpu.interval_us // 2),
            after_chunk=after_chunk,
        )
    print_notes(streams.predictions)
    summary = summarize(pipeline)
    coverage = joined(pipeline.drift.coverage)
    n_read = summary["coverage"]["events"]
    if request.is_json:
        print_json(summary)
    else:
        lines = coverage_lines(pipeline.drift.coverage, catalog.configs, n_read)
        _print_summary(summary, store, lines, conclusion(coverage, n_read))
    if n_read and not coverage.n_rows_judged:
        raise typer.Exit(UNJUDGED)


class _HasFiles(Protocol):
    """A request that names files."""

    @property
    def files(self) -> tuple[str, ...]:
        """As they were given."""
        ...

    @property
    def rows_per_window(self) -> int | None:
        """Where rows get new times, the order of the files is their order."""
        ...


def ordered_files(request: _HasFiles, model: ModelConfig) -> tuple[str, ...]:
    """Return the files of a request in the order of their times; a note names a changed order."""
    if request.rows_per_window is not None:
        return request.files
    ordered = in_order_of_times(request.files, model)
    if ordered != request.files:
        print_note(f"the files are read in the order of their times: {', '.join(ordered)}")
    return ordered


def known_catalog(installation: Installation) -> Catalog:
    """Put configs and baselines together; without any baseline nothing can be judged.

    Raises
    ------
    ConfigError
        If the installation names no models.
    BaselineError
        If none of them has a baseline, or one does not fit.
    """
    if not installation.models:
        fix = "list your model files under models, e.g. models/*.yaml"
        raise ConfigError("it names no models", where=str(installation.file), fix=fix)
    profiles = load_profiles(installation.baselines)
    catalog = Catalog.of(installation.models, profiles)
    if not catalog.profiles:
        raise BaselineError(
            "no baseline fits any configured model",
            where=str(installation.baselines),
            fix="build one: driftline baseline build MODEL.yaml --reference FILE",
        )
    return catalog


def model_of_tables(
    installation: Installation, name: str | None, files: Sequence[str]
) -> ModelConfig:
    """Choose the model whose columns tables hold.

    Raises
    ------
    ConfigError
        If no model has that name, or there is a table and several models it may belong to.
    """
    if name is not None:
        return installation.model(name)
    if len(installation.models) == 1:
        return installation.models[0]
    names = ", ".join(m.model for m in installation.models)
    tables = [f for f in files if f != STANDARD_INPUT and not is_named_json(Path(f))]
    if tables:
        raise ConfigError(
            f"{tables[0]} may belong to any of {names}", where="--model", fix="name the model"
        )
    return installation.models[0]


def is_unit_unstated(
    sources: Sequence[Source], model: ModelConfig, rows_per_window: int | None
) -> bool:
    """Return whether times in the wrong unit would be read as they are.

    ``columns.time_unit`` describes tables. JSON events are in microseconds; only where the
    unit is declared to be that may they lie in 1970.
    """
    unit = model.columns.time_unit
    is_scaled = unit is not None and all(source.is_table for source in sources)
    return rows_per_window is None and unit != "us" and not is_scaled


def check_times(watermark_us: int, files: Sequence[str]) -> None:
    """Refuse files whose times are in another unit: they would all be in January 1970.

    Parameters
    ----------
    watermark_us : int
        How far the first chunk's times have come.

    Raises
    ------
    ConfigError
        If they have come to between 17 minutes and three years after 1970: read as seconds
        or milliseconds these are times of our days.
    """
    if not SOONEST_US <= watermark_us < EARLIEST_US:
        return
    unit = "seconds" if watermark_us < LIMITS[0][0] else "milliseconds"
    raise ConfigError(
        f"its event times lie in 1970 to 1973 (up to {watermark_us} us): are they {unit}?",
        where=", ".join(files),
        fix="send time_us in microseconds; of a table, declare columns.time_unit in the model's "
        "config (us, if they are meant so)",
    )


def _open_store(
    installation: Installation, request: ReplayRequest, stack: ExitStack
) -> Store | None:
    """Open the store that was asked for, with its tables up to date."""
    target = request.store or installation.store
    if target == "none":
        return None
    store = stack.enter_context(Store.open(target))
    store.migrate()
    return store


def _terminal(request: ReplayRequest) -> dict[str, Any]:
    """Print notifications here; none where a program reads."""
    return {} if request.is_json else {"console": ConsoleReceiver()}


def _run_id(
    request: ReplayRequest, installation: Installation, streams: _Streams, catalog: Catalog
) -> str:
    """Name the run after all that its outcome depends on: running it again adds nothing.

    The store drops what comes under a name it knows, so content counts, not file names.
    """
    profiles = sorted(p.profile_id for known in catalog.profiles.values() for p in known)
    configs = sorted(c.model_dump_json() for c in catalog.configs.values())
    gpu = installation.monitor.gpu.model_dump_json()
    inputs = ["|".join(source.name for source in sources) for sources in streams]
    parts = (*inputs, request.rows_per_window, request.has_notify, gpu, *profiles, *configs)
    return "replay-" + stable_id(*parts)[:13]


class _Streams(NamedTuple):
    """Every file of a replay, open."""

    predictions: list[Source]
    labels: list[Source]
    gpu: list[Source]


def _open_streams(
    request: ReplayRequest, model: ModelConfig, stack: ExitStack, rows: RowProgress
) -> _Streams:
    """Open every file before the first is read."""

    def opened(path: str | Path, **options: Any) -> Source:
        source = open_source(path, model, **options)
        stack.callback(source.close)
        return source

    return _Streams(
        [
            opened(file, rows_per_window=request.rows_per_window, on_progress=rows.of(i))
            for i, file in enumerate(request.files)
        ],
        # Chunks short enough to fall into place between those of the predictions.
        [opened(request.labels, chunk_rows=500)] if request.labels else [],
        [opened(request.gpu, chunk_rows=500, has_odd_clocks=True)] if request.gpu else [],
    )


def concatenated(sources: list[Source]) -> Iterator[Chunk]:
    """Read files one after the other as one partition: offsets go on counting."""
    first = 0
    for source in sources:
        end = first
        for chunk in source:
            offsets = chunk.log_offset + first
            end = int(offsets[-1]) + 1
            yield replace(chunk, log_offset=offsets)
        first = end


def print_notes(sources: Sequence[Source]) -> None:
    """Print to standard error how files were read, where that is not as they are."""
    for note in chain.from_iterable(source.notes for source in sources):
        print_note(note)


def _timed(sources: list[Source], decode: Any) -> Iterator[Timed]:
    """Attach to each chunk of a side stream the time of its first event."""
    time_us = 0
    for chunk in chain.from_iterable(sources):
        events, _ = decode(chunk)
        if events:
            time_us = events[0][2].time_us
        yield Timed(time_us, chunk)


def _timed_gpu(sources: list[Source], span_us: int) -> Iterator[Timed]:
    """Cut telemetry so finely that it is read beside the predictions of its time."""
    for chunk in chain.from_iterable(sources):
        times_us = [-1] * len(chunk)
        for message, _, event in decode_gpu(chunk)[0]:
            times_us[message] = max(times_us[message], event.time_us)
        yield from cut_by_time(chunk, times_us, span_us)


def summarize(pipeline: Pipeline) -> dict[str, Any]:
    """Return what a replay came to, for ``--json``.

    Parameters
    ----------
    pipeline : Pipeline
        Finished.

    Returns
    -------
    dict
        Counts of events and of every kind of drop, what was judged, windows, alerts and
        incidents.
    """
    coverage = joined(pipeline.drift.coverage)
    counters = pipeline.ingest.counters
    refused = counters + pipeline.gpu.counters
    rejected = {k.removeprefix("rejected_"): n for k, n in refused.items() if "reject" in k}
    n_gpu_rejected = sum(n for k, n in pipeline.gpu.counters.items() if "reject" in k)
    n_labels_rejected = sum(rejected.values()) - counters["refused"] - n_gpu_rejected
    return {
        "messages": counters["messages"],
        "accepted": counters["accepted"],
        "late": counters["late"],
        "repeated_ids": counters["repeated"],
        "rejected": rejected,
        "rejected_examples": dict(pipeline.examples),
        "labels": pipeline.n_labels,
        "labels_rejected": n_labels_rejected,
        "gpu_events": pipeline.gpu.counters["gpu_events"],
        "gpu_events_rejected": n_gpu_rejected,
        "windows": pipeline.drift.counters["windows"],
        "coverage": {
            "events": counters["accepted"] + counters["late"] + counters["refused"],
            **coverage.as_document(),
        },
        "alerts": len(pipeline.alerts()),
        "incidents": [_incident(i) for i in pipeline.incidents.values()],
    }


def _incident(incident: Incident) -> dict[str, Any]:
    """Return the facts of one incident."""
    return {
        "title": incident.title,
        "cause": incident.cause.value,
        "severity": incident.severity.value,
        "opened_at_us": incident.opened_at_us,
        "resolved_at_us": incident.resolved_at_us,
        "features": sorted({a.feature for a in incident.alerts if a.feature}),
        "gpus": sorted({a.gpu_uuid for a in incident.alerts if a.gpu_uuid}),
    }


_SIDES = {"labels": "Labels", "gpu_events": "GPU events"}
"""What a replay reads beside the events, as ``--json`` and as people name it."""


def _mostly_rejected(summary: dict[str, Any]) -> str:
    """Name the labels or telemetry of which more than a twentieth was rejected.

    Examples
    --------
    >>> _mostly_rejected({"labels": 10, "labels_rejected": 30, "gpu_events": 99,
    ...                   "gpu_events_rejected": 1})
    '75 % of the labels were rejected'
    """
    found = []
    for side in _SIDES:
        n = summary[f"{side}_rejected"]
        share = n / (n + summary[side]) if n else 0.0
        if share > 1 - ENOUGH:
            words = side.replace("gpu_events", "GPU events")
            found.append(f"{share_text(share)} of the {words} were rejected")
    return " and ".join(found)


def _print_summary(
    summary: dict[str, Any], store: Store | None, coverage: Sequence[str], quiet: str
) -> None:
    """Print what went in, what was judged, what came out, and where to look further."""
    n_rejected = sum(summary["rejected"].values())
    n_events_rejected = n_rejected - sum(summary[f"{side}_rejected"] for side in _SIDES)
    typer.echo(
        f"{_counted_text(summary['accepted'], 'event')} accepted, {n_events_rejected:,} rejected, "
        f"{summary['late']:,} too late; {_counted_text(summary['windows'], 'window')}."
    )
    for side, words in _SIDES.items():
        if summary[f"{side}_rejected"]:
            refused = summary[f"{side}_rejected"]
            typer.echo(f"{words}: {summary[side]:,} read, {refused:,} rejected.")
    for reason, n in summary["rejected"].items():
        example = summary["rejected_examples"].get(reason, "")
        typer.echo(f"  {n:,} {reason.replace('_', ' ')}, e.g. {spell_controls(example)}")
    n_repeated = summary["repeated_ids"]
    if n_repeated:
        share = share_text(n_repeated / max(summary["accepted"] + summary["late"], 1))
        typer.echo(
            f"  {n_repeated:,} repeated ids ({share}): each counts again in windows, and verdicts "
            "take them for independent rows; the store keeps one per model, time and id"
        )
    for line in coverage if summary["coverage"]["events"] else ():
        typer.echo(spell_controls(line))
    n = len(summary["incidents"])
    if n:
        typer.echo(f"{_counted_text(n, 'incident')}, {_counted_text(summary['alerts'], 'alert')}.")
    else:
        missing = _mostly_rejected(summary)
        is_judged = bool(summary["accepted"])
        if is_judged and missing:
            quiet = f"{quiet.removesuffix('.')}, but {missing}."
        typer.echo(quiet if is_judged else "Nothing to judge.")
    if store is not None:
        question = _FOUND if n or not n_rejected else _REFUSED
        where = store.where if "://" in store.where else shortest(store.where)
        typer.echo(as_started(f'ask: driftline sql --store {shlex.quote(where)} "{question}"'))


_FOUND = "SELECT time, severity, title FROM alerts FINAL ORDER BY time"
_REFUSED = "SELECT reason, detail, source, offset FROM dead_letters FINAL"


def _counted_text(n: int, noun: str) -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> _counted_text(1, "window"), _counted_text(2000, "event")
    ('1 window', '2,000 events')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"
