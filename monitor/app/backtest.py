"""Evaluate a recorded history under the current and a proposed config."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monitor.app import recording
from monitor.app.installation import Installation, load_installation, shared_window
from monitor.app.progress import OnNote, StartPhase, ignore_note, no_progress
from monitor.app.proposal import ModelName, listed, load_proposal
from monitor.app.row_progress import RowProgress
from monitor.backtest.comparison import ConfigComparison, Plant, compare, default_plants
from monitor.backtest.counting import Counted, check_slot, count_panes, slot_of
from monitor.backtest.delays import plantable
from monitor.backtest.document import backtest_document
from monitor.backtest.text import absent_line
from monitor.core.windowing.catalog import Catalog
from monitor.report.backtest_page import render_backtest
from monitor.report.backtest_sections import report_sections
from monitor.report.page import check_folder, write_whole
from monitor.storage.clickhouse import Store
from monitor.storage.stored_panes import NO_BOUND_US, longest_pane_us, read_panes
from monitor.transport.files import Source, open_source
from schemas.config.model import ModelConfig
from schemas.config.values import format_duration
from schemas.errors import BaselineError, ConfigError, StorageError, TransportError
from schemas.names import SCORE
from schemas.panes import Pane


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """History and configs of a backtest."""

    files: tuple[str, ...]
    """Recorded events; if empty, the panes of the store are used."""
    config: Path
    proposed: Path | None = None
    """Proposed configuration file, or one model file."""
    model: str | None = None
    """Model that a table's rows belong to; for stored panes, the only model that is evaluated."""
    store: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    rows_per_window: int | None = None
    plants: tuple[Plant, ...] = ()
    """Shifts to plant; if empty, those of :func:`default_plants`."""
    has_delays: bool = True
    """Whether to plant shifts."""
    budget: float | None = None
    """False alarms per month for which a tolerance is searched."""
    page: Path | None = None
    """Path of the HTML page."""
    rule: int | None = None
    """Decision rule to judge by; None: that of each config."""


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """Result of a backtest: coverage, and the alerts that would have opened."""

    reports: tuple[ConfigComparison, ...]
    counted: Counted
    absent: tuple[str, ...]
    """Models without history."""
    history: str
    """Names of the files, or "stored panes"."""
    has_events: bool
    """Whether events were read instead of stored panes."""

    @property
    def is_unjudged(self) -> bool:
        """Whether there were rows, but none in a window with a verdict."""
        has_rows = bool(self.reports) or self.counted.n_rejected or self.counted.n_late
        judged = (report.today.outcome.coverage.n_rows_judged for report in self.reports)
        return bool(has_rows) and not any(judged)

    def as_document(self) -> dict[str, Any]:
        """Return the result for ``--json``; times are microseconds."""
        return backtest_document(self.reports, self.counted, self.absent)

    def as_page(self) -> str:
        """Return the HTML page."""
        lead = ". ".join([f"Judged: {self.history}", *map(absent_line, self.absent)])
        return render_backtest("Driftline backtest", lead, report_sections(self.reports))


def run_backtest(
    request: BacktestRequest,
    *,
    start_phase: StartPhase = no_progress,
    on_note: OnNote = ignore_note,
) -> BacktestResult:
    """Check the request, read the history once, and evaluate it under each config.

    Raises
    ------
    ConfigError
        If a configuration or the request is wrong.
    BaselineError
        If no baseline matches the models or the stored panes.
    TransportError
        If a file cannot be read, or the folder of the page does not exist.
    StorageError
        If the store cannot be read, or has no data of the models.
    """
    today = load_installation(request.config)
    proposed = {
        name: under_rule(model, request.rule, len(today.models))
        for name, model in load_proposal(request.proposed, today).items()
    }
    models = tuple(under_rule(m, request.rule, len(today.models)) for m in today.models)
    today = replace(today, models=models)
    catalog = recording.known_catalog(today)
    _check(request, catalog, proposed)
    counted = (
        _from_files(request, today, proposed, catalog, start_phase, on_note)
        if request.files
        else _from_store(request, today, proposed, catalog)
    )
    absent = _absent(request, today, proposed, counted)
    result = BacktestResult(
        tuple(_judge(request, catalog, proposed, counted, start_phase)),
        counted,
        tuple(absent),
        history=", ".join(Path(file).name for file in request.files) or "stored panes",
        has_events=bool(request.files),
    )
    if request.page is not None:
        write_whole(request.page, result.as_page())
    return result


def _judge(
    request: BacktestRequest,
    catalog: Catalog,
    proposed: Mapping[ModelName, ModelConfig],
    counted: Counted,
    start_phase: StartPhase,
) -> list[ConfigComparison]:
    """Evaluate each model's panes under each config."""
    baselines = {p.profile_id: p for known in catalog.baselines.values() for p in known}
    with start_phase("judging", None) as advance:
        return [
            compare(
                panes,
                catalog.configs[name],
                proposed.get(name),
                baselines,
                plants=_plants(request, catalog.configs[name]),
                budget=request.budget,
                intake=counted.intake.get(name, ()),
                advance=lambda note: advance(1, note),
            )
            for name, panes in sorted(counted.panes.items())
        ]


def under_rule(config: ModelConfig, rule: int | None, n_models: int) -> ModelConfig:
    """Return a config under a decision rule, with its own part of a fleet's budget.

    Raises
    ------
    ConfigError
        If rule 2 cannot judge it.

    Examples
    --------
    >>> config = ModelConfig(model="m", features={"x": {"kind": "numeric"}})
    >>> under_rule(config, 2, 1).decision.rule, under_rule(config, None, 1) is config
    (2, True)
    """
    decision = config.decision
    is_fleet = decision.budget is not None and decision.budget != decision.monthly_budget(n_models)
    if rule in (None, decision.rule) and not is_fleet:
        return config
    changed: dict[str, Any] = {"rule": decision.rule if rule is None else rule}
    if is_fleet:
        changed["budget"] = decision.monthly_budget(n_models)
    length_us, tick_us, pane_us = config.window.length_us, config.tick_us, config.window.pane_us
    if changed["rule"] == 2 and (length_us % tick_us or tick_us % pane_us):
        raise ConfigError(
            f"windows or panes of {config.model!r} do not fit ticks of {format_duration(tick_us)}",
            where="--rule 2",
            fix="set decision.tick to a multiple of window.pane that divides window.length",
        )
    return config.model_copy(update={"decision": decision.model_copy(update=changed)})


def _check(
    request: BacktestRequest, catalog: Catalog, proposed: Mapping[ModelName, ModelConfig]
) -> None:
    """Find out what would be refused before a long reading begins."""
    by_ticks = [
        c.model for c in (*catalog.configs.values(), *proposed.values()) if c.decision.rule == 2
    ]
    if request.budget is not None and by_ticks:
        raise ConfigError(
            f"solves for eps of rule 1, and {by_ticks[0]!r} is judged by rule 2",
            where="--budget",
            fix="set decision.budget, which sets the thresholds of rule 2, or add --rule 1",
        )
    chosen = {"--store": request.store, "--since": request.since_us, "--until": request.until_us}
    for option, value in chosen.items():
        if request.files and value is not None:
            fix = f"leave {option} out, or the files"
            raise ConfigError("applies to stored panes, but files are given", where=option, fix=fix)
    if not request.files and request.rows_per_window is not None:
        fix = "name a table, or leave it out"
        raise ConfigError(
            "applies to a table, but no file is given", where="--rows-per-window", fix=fix
        )
    if request.budget is not None and not 0 < request.budget < math.inf:
        fix = "pass the number of false alarms per month to allow, e.g. 0.1"
        raise ConfigError(f"a budget of {request.budget:g}", where="--budget", fix=fix)
    for plant in request.plants:
        known = {name for c in catalog.configs.values() for name in (*plantable(c), SCORE)}
        if plant.feature not in known:
            raise ConfigError(
                f"no model has a numeric feature {plant.feature!r}",
                where="--plant",
                fix=f"use one of {', '.join(sorted(known))}",
            )
    if request.page is not None:
        check_folder(request.page)


def _plants(request: BacktestRequest, config: ModelConfig) -> tuple[Plant, ...]:
    """Return the shifts to plant: those requested, defaults for every feature, or none."""
    if not request.has_delays:
        return ()
    return request.plants or default_plants(config)


def _absent(
    request: BacktestRequest,
    today: Installation,
    proposed: Mapping[ModelName, ModelConfig],
    counted: Counted,
) -> list[str]:
    """Return the models without history; raise if the proposed models have none.

    Raises
    ------
    TransportError
        If the files have no rows of any proposed model.
    StorageError
        If the store has none.
    """
    if proposed and not any(name in counted.panes for name in proposed):
        kind = TransportError if request.files else StorageError
        raise kind(
            f"holds no rows of the proposed {listed(set(proposed))} that could be counted",
            where=", ".join(request.files) or request.store or today.store,
            fix="choose a history of that model; driftline replay shows how its rows were counted",
        )
    asked = [today.model(request.model)] if request.model else today.models
    names = {(m.tenant, m.model) for m in asked} | set(proposed)
    return [model for tenant, model in sorted(names) if (tenant, model) not in counted.panes]


def _from_files(
    request: BacktestRequest,
    today: Installation,
    proposed: Mapping[ModelName, ModelConfig],
    catalog: Catalog,
    start_phase: StartPhase,
    on_note: OnNote,
) -> Counted:
    """Decode and aggregate the files, once."""
    configs = [*today.models, *proposed.values()]
    window = shared_window(today.models)
    pane_us = math.gcd(*(config.window.pane_us for config in configs))
    window = window.model_copy(update={"pane_us": pane_us})
    model = recording.model_of_tables(today, request.model, request.files)
    files = recording.ordered_files(request.files, model, request.rows_per_window, on_note)
    request = replace(request, files=files)
    with ExitStack() as stack:
        sources: list[Source] = []
        # Reported last, after the progress bar has been removed.
        stack.callback(recording.pass_notes, sources, on_note)
        rows = RowProgress(stack.enter_context(start_phase("reading", None)), request.files)
        for i, file in enumerate(request.files):
            source = open_source(
                file, model, rows_per_window=request.rows_per_window, on_progress=rows.of(i)
            )
            stack.callback(source.close)
            sources.append(source)
        watch = recording.time_watch(sources, model, request.rows_per_window, request.files, rows)
        chunks = recording.concatenated(sources)
        return count_panes(chunks, catalog, window, slot_of(configs), advance=watch)


def _from_store(
    request: BacktestRequest,
    today: Installation,
    proposed: Mapping[ModelName, ModelConfig],
    catalog: Catalog,
) -> Counted:
    """Read the archived panes."""
    models = [today.model(request.model)] if request.model else today.models
    low, high = NO_BOUND_US
    between_us = (
        low if request.since_us is None else request.since_us,
        high if request.until_us is None else request.until_us,
    )
    target = request.store or today.store
    found: dict[ModelName, Sequence[Pane]] = {}
    with Store.open(target, is_read_only=True) as store:
        for model in models:
            name = (model.tenant, model.model)
            slot_us = slot_of([model, proposed.get(name, model)])
            pane_us = longest_pane_us(store, *name, between_us)
            if pane_us:
                check_slot(slot_us, pane_us, model.model)
                variables = model.schema_.variables
                found[name] = read_panes(store, *name, variables, slot_us, between_us)
    if not found:
        raise StorageError(
            f"holds no panes of {listed({(m.tenant, m.model) for m in models})} in that time",
            where=target,
            fix="name a file of events, or another --store, --since or --until",
        )
    known = {p.profile_id for baselines in catalog.baselines.values() for p in baselines}
    if not any(pane.series.profile_id in known for panes in found.values() for pane in panes):
        raise BaselineError(
            "the baselines of the stored panes are missing",
            where=str(today.baselines),
            fix="copy the baselines of that time into this folder",
        )
    return Counted(found)
