"""Replay recorded events through the whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from monitor.app import recording
from monitor.app.in_process import Pipeline, build_pipeline, check_pipeline
from monitor.app.installation import Installation, load_installation, shared_window
from monitor.app.progress import OnNote, StartPhase, ignore_note, no_progress
from monitor.app.row_progress import RowProgress
from monitor.app.slice_hints import search_slices
from monitor.core.identity import stable_id
from monitor.core.incidents.slices.incident_hint import incident_hint
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.slot_length import check_pane_option, slot_of
from monitor.decode.records import decode_gpu, decode_labels
from monitor.notify.receivers.protocol import Receiver
from monitor.replay.outcome import ReplayOutcome
from monitor.replay.stored_slot import pane_option, slot_and_chunks
from monitor.replay.timeline import Timed, cut_by_time, replay
from monitor.storage.clickhouse import Store
from monitor.storage.stored_panes import replayed_panes_us
from monitor.transport.files import Source, open_source
from schemas.config.model import DEFAULT_RULE, ModelConfig
from schemas.errors import ConfigError
from schemas.slice_hints import SliceHint

NO_RECEIVERS: Mapping[str, Receiver] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Inputs and settings of a replay."""

    files: tuple[str, ...]
    """JSON Lines or tables; ``-`` is standard input."""
    config: Path
    model: str | None = None
    """Model that a table's rows belong to; required if several are configured."""
    labels: Path | None = None
    gpu: Path | None = None
    store: str | None = None
    """Overrides the config's store; ``none`` stores nothing."""
    rows_per_window: int | None = None
    """Assign evenly spaced timestamps, this number of rows per window."""
    has_notify: bool = False
    """Whether to notify the config's receivers and request retraining."""
    pane_us: int | None = None
    """Length of the stored panes; by default derived from the file."""


def run_replay(
    request: ReplayRequest,
    *,
    receivers: Mapping[str, Receiver] = NO_RECEIVERS,
    start_phase: StartPhase = no_progress,
    on_note: OnNote = ignore_note,
) -> ReplayOutcome:
    """Validate the request, then run the files through the pipeline.

    Parameters
    ----------
    receivers : mapping of str to Receiver, optional
        Replace the config's receivers, unless the request notifies those.

    Returns
    -------
    ReplayOutcome

    Raises
    ------
    ConfigError
        If the configuration is invalid, the requested pane length does not divide the windows or
        is not that in which the store has these events already, or event times are in another
        unit.
    BaselineError
        If no model has a baseline, or a baseline does not match its config.
    TransportError
        If a file cannot be read.
    StorageError
        If the store cannot be opened or written.
    """
    installation = load_installation(request.config)
    catalog = recording.known_catalog(installation)
    # Everything is validated before the store is opened, so that no partial run is stored.
    check_pipeline(installation.monitor, installation.models, has_receivers=request.has_notify)
    if request.pane_us is not None:
        if _store_of(installation, request) is None:
            raise ConfigError(
                "the length of stored panes is set, and nothing is stored",
                where="--pane",
                fix="name a store with --store, or leave out --pane",
            )
        window = shared_window(installation.models)
        check_pane_option(request.pane_us, slot_of(installation.models), window.pane_us)
    model = recording.model_of_tables(installation, request.model, request.files)
    files = recording.ordered_files(request.files, model, request.rows_per_window, on_note)
    request = replace(request, files=files)
    with ExitStack() as stack:
        rows = RowProgress(stack.enter_context(start_phase("replaying", None)), files)
        streams = _open_streams(request, model, stack, rows)
        chunks, slot_us = recording.concatenated(streams.predictions), None
        # A store that is in use is reported before standard input is read.
        store = _open_store(installation, request, stack)
        events_id, names = _events_id(request, streams), list(catalog.configs)
        if store is not None:
            stored_us = replayed_panes_us(store, events_id, names)
            asked_us = pane_option(request.pane_us, stored_us, slot_of(installation.models))
            limits = installation.monitor.messages.limits
            slot_us, chunks = slot_and_chunks(chunks, catalog, limits, asked_us)
        run_id = _run_id(request, installation, streams, catalog, slot_us)
        if store is not None and replayed_panes_us(store, run_id, names) is not None:
            events_id = run_id  # an earlier version stored them, under this name
        pipeline = build_pipeline(
            installation.monitor,
            catalog,
            source=events_id,
            run_id=run_id,
            store=store,
            slot_us=slot_us,
            receivers=None if request.has_notify else receivers,
            has_retraining=request.has_notify,
        )
        stack.callback(pipeline.close)
        watch = recording.time_watch(
            streams.predictions, model, request.rows_per_window, files, rows
        )
        replay(
            pipeline,
            pipeline.decode_ahead(chunks),
            _timed(streams.labels, decode_labels),
            _timed_gpu(streams.gpu, installation.monitor.gpu.interval_us // 2),
            after_chunk=lambda chunk: watch(pipeline.watermark_us),
        )
        hints = {}
        if store is not None:
            hints = search_slices(store, catalog.configs, pipeline.alerts(), on_note)
    recording.pass_notes(streams.predictions, on_note)
    return _outcome_of(pipeline, catalog, None if store is None else store.where, hints)


def _store_of(installation: Installation, request: ReplayRequest) -> str | None:
    """Return the store's location; None if nothing is stored."""
    target = request.store or installation.store
    return None if target == "none" else target


def _open_store(
    installation: Installation, request: ReplayRequest, stack: ExitStack
) -> Store | None:
    """Open the requested store and apply its migrations."""
    target = _store_of(installation, request)
    if target is None:
        return None
    store = stack.enter_context(Store.open(target))
    store.migrate()
    return store


def _events_id(request: ReplayRequest, streams: _Streams) -> str:
    """Return a digest of the predictions: panes of the same events have the same source."""
    names = "|".join(source.name for source in streams.predictions)
    return "replay-" + stable_id("events", names, request.rows_per_window)[:13]


def _run_id(
    request: ReplayRequest,
    installation: Installation,
    streams: _Streams,
    catalog: Catalog,
    slot_us: int | None,
) -> str:
    """Return a digest of all inputs of the run, so that repeating it adds no rows.

    The store ignores inserts under a known name, so the digest covers content, not file names.
    """
    baselines = sorted(p.profile_id for known in catalog.baselines.values() for p in known)
    configs = sorted(_config_text(c) for c in catalog.configs.values())
    gpu = installation.monitor.gpu.model_dump_json()
    inputs = ["|".join(source.name for source in sources) for sources in streams]
    parts = (*inputs, request.rows_per_window, request.has_notify, gpu, *baselines, *configs)
    if slot_us not in (None, shared_window(installation.models).pane_us):
        parts = (*parts, f"panes of {slot_us} us")
    return "replay-" + stable_id(*parts)[:13]


def _config_text(config: ModelConfig) -> str:
    """Return a config for the digest: one of rule 1 has that of the versions with rule 1 only."""
    decision = config.decision.model_copy(update={"rule": DEFAULT_RULE})
    written = config.model_copy(update={"decision": decision}).model_dump_json()
    return written if config.decision.rule == 1 else f"{written}|rule {config.decision.rule}"


class _Streams(NamedTuple):
    """Open files of a replay."""

    predictions: list[Source]
    labels: list[Source]
    gpu: list[Source]


def _open_streams(
    request: ReplayRequest, model: ModelConfig, stack: ExitStack, rows: RowProgress
) -> _Streams:
    """Open all files before the first is read."""

    def opened(path: str | Path, **options: Any) -> Source:
        source = open_source(path, model, **options)
        stack.callback(source.close)
        return source

    return _Streams(
        [
            opened(file, rows_per_window=request.rows_per_window, on_progress=rows.of(i))
            for i, file in enumerate(request.files)
        ],
        # Chunks that are short enough to be interleaved with those of the predictions.
        [opened(request.labels, chunk_rows=500)] if request.labels else [],
        [opened(request.gpu, chunk_rows=500, has_odd_clocks=True)] if request.gpu else [],
    )


def _timed(sources: list[Source], decode: Any) -> Iterator[Timed]:
    """Yield the chunks of a side stream with the time of their first event."""
    time_us = 0
    for chunk in chain.from_iterable(sources):
        events, _ = decode(chunk)
        if events:
            time_us = events[0][2].time_us
        yield Timed(time_us, chunk)


def _timed_gpu(sources: list[Source], span_us: int) -> Iterator[Timed]:
    """Yield telemetry in chunks that are fine enough to be interleaved with predictions."""
    for chunk in chain.from_iterable(sources):
        times_us = [-1] * len(chunk)
        for message, _, event in decode_gpu(chunk)[0]:
            times_us[message] = max(times_us[message], event.time_us)
        yield from cut_by_time(chunk, times_us, span_us)


def _outcome_of(
    pipeline: Pipeline, catalog: Catalog, store: str | None, hints: Mapping[str, SliceHint]
) -> ReplayOutcome:
    """Build the outcome from a finished pipeline."""
    counters = pipeline.ingest.counters
    refused = counters + pipeline.gpu.counters
    rejected = {k.removeprefix("rejected_"): n for k, n in refused.items() if "reject" in k}
    n_gpu_rejected = sum(n for k, n in pipeline.gpu.counters.items() if "reject" in k)
    return ReplayOutcome(
        n_messages=counters["messages"],
        n_accepted=counters["accepted"],
        n_late=counters["late"],
        n_refused=counters["refused"],
        n_repeated_ids=counters["repeated"],
        rejected=rejected,
        rejected_examples=dict(pipeline.examples),
        n_labels=pipeline.n_labels,
        n_labels_rejected=sum(rejected.values()) - counters["refused"] - n_gpu_rejected,
        n_gpu_events=pipeline.gpu.counters["gpu_events"],
        n_gpu_events_rejected=n_gpu_rejected,
        n_windows=pipeline.drift.counters["windows"],
        coverages=pipeline.drift.coverage,
        configs=catalog.configs,
        alerts=tuple(pipeline.alerts()),
        incidents=tuple(pipeline.incidents.values()),
        store=store,
        hints={
            incident.incident_id: hint
            for incident in pipeline.incidents.values()
            if (hint := incident_hint(incident, hints)) is not None
        },
    )
