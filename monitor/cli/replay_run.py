"""What ``driftline replay`` does, once its options are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from monitor.baseline.profile_file import load_profiles
from monitor.cli.output import print_json
from monitor.cli.progress import Advance, progress
from monitor.config_files import Installation, load_installation
from monitor.core.catalog import Catalog
from monitor.core.identity import stable_id
from monitor.decode.records import decode_gpu, decode_labels
from monitor.notify.console import ConsoleReceiver
from monitor.replay.timeline import Timed, replay
from monitor.storage.clickhouse import Store
from monitor.transport.files import open_source
from monitor.wiring import Pipeline, build_pipeline
from schemas.alerts import Incident
from schemas.batch import Chunk
from schemas.config import ModelConfig
from schemas.errors import BaselineError, ConfigError


@dataclass(frozen=True, slots=True)
class Request:
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


def run_replay(request: Request) -> None:
    """Check everything, then run the files through the pipeline and say what was found."""
    installation = load_installation(request.config)
    catalog = _catalog(installation, request)
    # Opened before the store, so that a wrong file leaves nothing half written.
    chunks = _chunks(request, _model(installation, request))
    with ExitStack() as stack:
        store = _open_store(installation, request, stack)
        pipeline = build_pipeline(
            installation.monitor,
            catalog,
            source=_run_id(request, catalog),
            store=store,
            receivers=None if request.has_notify else _terminal(request),
            has_retraining=request.has_notify,
        )
        stack.callback(pipeline.close)
        advance = stack.enter_context(progress("replaying", None, is_quiet=request.is_json))
        replay(
            pipeline,
            _counted(chunks, advance),
            _timed(request.labels, decode_labels, request, installation),
            _timed(request.gpu, decode_gpu, request, installation),
        )
    summary = summarize(pipeline)
    if request.is_json:
        print_json(summary)
    else:
        _print_summary(summary)


def _catalog(installation: Installation, request: Request) -> Catalog:
    """Put configs and baselines together; without any baseline nothing can be judged."""
    profiles = load_profiles(installation.baselines)
    catalog = Catalog.of(installation.models, profiles)
    if not catalog.profiles:
        raise BaselineError(
            "no baseline fits any configured model",
            where=str(installation.baselines),
            fix="build one: driftline baseline build MODEL.yaml --reference FILE",
        )
    return catalog


def _model(installation: Installation, request: Request) -> ModelConfig:
    """Choose the model whose columns tables hold."""
    if request.model is not None:
        return installation.model(request.model)
    if len(installation.models) == 1:
        return installation.models[0]
    names = ", ".join(m.model for m in installation.models)
    tables = [f for f in request.files if not f.endswith((".jsonl", ".jsonl.gz", "-"))]
    if tables:
        raise ConfigError(
            f"{tables[0]} may belong to any of {names}", where="--model", fix="name the model"
        )
    return installation.models[0]


def _open_store(installation: Installation, request: Request, stack: ExitStack) -> Store | None:
    """Open the store that was asked for, with its tables up to date."""
    target = request.store or installation.store
    if target == "none":
        return None
    store = stack.enter_context(Store.open(target))
    store.migrate()
    return store


def _terminal(request: Request) -> dict[str, Any]:
    """Print notifications here; none where a program reads."""
    return {} if request.is_json else {"console": ConsoleReceiver()}


def _run_id(request: Request, catalog: Catalog) -> str:
    """Name the run after all that its outcome depends on: running it again adds nothing."""
    profiles = sorted(p.profile_id for known in catalog.profiles.values() for p in known)
    configs = sorted(c.model_dump_json() for c in catalog.configs.values())
    names = [Path(f).name for f in request.files]
    return "replay-" + stable_id(*names, request.rows_per_window, *profiles, *configs)[:13]


def _chunks(request: Request, model: ModelConfig) -> list[Iterator[Chunk]]:
    """Open every file before the first is read."""
    return [
        open_source(file, model, rows_per_window=request.rows_per_window) for file in request.files
    ]


def _counted(sources: list[Iterator[Chunk]], advance: Advance) -> Iterator[Chunk]:
    """Read files one after the other as one partition: offsets go on counting."""
    first = 0
    for source in sources:
        end = first
        for chunk in source:
            offsets = chunk.log_offset + first
            end = int(offsets[-1]) + 1
            yield replace(chunk, log_offset=offsets)
            advance(len(chunk), "messages")
        first = end


def _timed(
    path: Path | None, decode: Any, request: Request, installation: Installation
) -> Iterator[Timed]:
    """Read a side stream in chunks that know the time of their first event."""
    if path is None:
        return
    time_us = 0
    for chunk in open_source(path, _model(installation, request), chunk_rows=500):
        events, _ = decode(chunk)
        if events:
            time_us = events[0][2].time_us
        yield Timed(time_us, chunk)


def summarize(pipeline: Pipeline) -> dict[str, Any]:
    """Return what a replay came to, for ``--json``.

    Parameters
    ----------
    pipeline : Pipeline
        Finished.

    Returns
    -------
    dict
        Counts of events and of every kind of drop, windows, alerts and incidents.
    """
    counters = pipeline.ingest.counters
    rejected = {k.removeprefix("rejected_"): n for k, n in counters.items() if n and "reject" in k}
    return {
        "messages": counters["messages"],
        "accepted": counters["accepted"],
        "late": counters["late"],
        "rejected": rejected,
        "labels": pipeline.n_labels,
        "gpu_events": pipeline.gpu.counters["gpu_events"],
        "windows": pipeline.drift.counters["windows"],
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


def _print_summary(summary: dict[str, Any]) -> None:
    """Say in three lines what went in and what came out."""
    console = Console(highlight=False)
    console.print(
        f"{summary['accepted']:,} events accepted out of {summary['messages']:,} messages, "
        f"{summary['windows']:,} windows, {summary['late']:,} events late."
    )
    for reason, n in summary["rejected"].items():
        console.print(f"[yellow]{n:,} rejected[/]: {reason.replace('_', ' ')}")
    n = len(summary["incidents"])
    console.print(f"{n} incident{'s' * (n != 1)}, {summary['alerts']} alerts." if n else "Quiet.")
