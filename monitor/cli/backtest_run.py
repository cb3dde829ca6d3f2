"""What ``driftline backtest`` does, once its options are read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from monitor.app.installation import Installation, load_installation, load_model, shared_window
from monitor.backtest.comparison import Plant, compare, default_plants
from monitor.backtest.counting import Counted, check_slot, count_panes, slot_of
from monitor.backtest.delays import plantable
from monitor.backtest.document import backtest_document
from monitor.backtest.text import absent_line
from monitor.cli.backtest_text import print_report
from monitor.cli.replay_run import (
    check_times,
    concatenated,
    is_unit_unstated,
    known_catalog,
    model_of_tables,
    ordered_files,
    print_notes,
)
from monitor.cli.terminal.exit_codes import UNJUDGED
from monitor.cli.terminal.output import print_json, shortest
from monitor.cli.terminal.progress import progress
from monitor.cli.terminal.row_progress import RowProgress
from monitor.core.panes.catalog import Catalog
from monitor.report.backtest_page import render_backtest
from monitor.report.backtest_sections import report_sections
from monitor.report.page import write_whole
from monitor.storage.clickhouse import Store
from monitor.storage.stored_panes import NO_BOUND_US, longest_pane_us, read_panes
from monitor.transport.files import Source, open_source
from schemas.config.model import ModelConfig
from schemas.config.yaml import read_yaml
from schemas.errors import BaselineError, ConfigError, StorageError, TransportError
from schemas.names import SCORE
from schemas.panes import Pane

ModelName = tuple[str, str]


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """The options of one backtest."""

    files: tuple[str, ...]
    config: Path
    proposed: Path | None
    model: str | None
    store: str | None
    since_us: int | None
    until_us: int | None
    rows_per_window: int | None
    plants: tuple[Plant, ...]
    has_delays: bool
    budget: float | None
    html: Path | None
    is_json: bool


def run_backtest(request: BacktestRequest) -> None:
    """Check the request, read the history once, judge it under each config, print the result."""
    today = load_installation(request.config)
    catalog = known_catalog(today)
    proposed = _proposed(request, today)
    _check(request, catalog)
    counted = _from_files(request, today, proposed, catalog) if request.files else None
    if counted is None:
        counted = _from_store(request, today, proposed, catalog)
    absent = _absent(request, today, proposed, counted)
    profiles = {p.profile_id: p for known in catalog.profiles.values() for p in known}
    with progress("judging", None, is_quiet=request.is_json) as advance:
        reports = [
            compare(
                panes,
                catalog.configs[name],
                proposed.get(name),
                profiles,
                plants=_plants(request, catalog.configs[name]),
                budget=request.budget,
                intake=counted.intake.get(name, ()),
                advance=lambda note: advance(1, note),
            )
            for name, panes in sorted(counted.panes.items())
        ]
    if request.html is not None:
        history = ", ".join(Path(f).name for f in request.files) or "stored panes"
        lead = ". ".join([f"Judged: {history}", *map(absent_line, absent)])
        page = render_backtest("Driftline backtest", lead, report_sections(reports))
        write_whole(request.html, page)
    if request.is_json:
        print_json(backtest_document(reports, counted, absent))
    else:
        print_report(reports, counted, absent, has_events=bool(request.files))
        if request.html is not None:
            typer.echo(f"page: {shortest(str(request.html))}")
    has_rows = bool(reports) or counted.n_rejected or counted.n_late
    if has_rows and not any(r.today.outcome.coverage.n_rows_judged for r in reports):
        raise typer.Exit(UNJUDGED)


def _check(request: BacktestRequest, catalog: Catalog) -> None:
    """Find out what would be refused before a long reading begins."""
    chosen = {"--store": request.store, "--since": request.since_us, "--until": request.until_us}
    for option, value in chosen.items():
        if request.files and value is not None:
            fix = f"leave {option} out, or the files"
            raise ConfigError("chooses stored panes, and files are given", where=option, fix=fix)
    if not request.files and request.rows_per_window is not None:
        fix = "name a table, or leave it out"
        raise ConfigError("stamps a table, and none is given", where="--rows-per-window", fix=fix)
    if request.budget is not None and not 0 < request.budget < math.inf:
        fix = "pass the false alarms a month you would put up with, e.g. 0.1"
        raise ConfigError(f"a budget of {request.budget:g}", where="--budget", fix=fix)
    for plant in request.plants:
        known = {name for c in catalog.configs.values() for name in (*plantable(c), SCORE)}
        if plant.feature not in known:
            raise ConfigError(
                f"no model has a numeric feature {plant.feature!r}",
                where="--plant",
                fix=f"use one of {', '.join(sorted(known))}",
            )
    if request.html is not None and not request.html.parent.is_dir():
        fix = "make it, or name another"
        raise TransportError("the folder does not exist", where=str(request.html.parent), fix=fix)


def _plants(request: BacktestRequest, config: ModelConfig) -> tuple[Plant, ...]:
    """Choose what to plant: what was asked for, or every feature, or nothing."""
    if not request.has_delays:
        return ()
    return request.plants or default_plants(config)


def _proposed(request: BacktestRequest, today: Installation) -> Mapping[ModelName, ModelConfig]:
    """Read the proposal: the same models, other settings."""
    if request.proposed is None:
        return {}
    if _is_model_file(request.proposed):
        changed: tuple[ModelConfig, ...] = (load_model(request.proposed),)
        today.model(changed[0].model)
    else:
        changed = load_installation(request.proposed).models
        names, own = ({(m.tenant, m.model) for m in ms} for ms in (changed, today.models))
        if names != own:
            raise ConfigError(
                f"it configures {_listed(names)}; {today.file} configures {_listed(own)}",
                where=str(request.proposed),
                fix="propose other settings for the same models, or name one model's file",
            )
    known = {(m.tenant, m.model): m for m in today.models}
    for model in changed:
        _check_alike(known, model, request.proposed)
    return {(m.tenant, m.model): m for m in changed}


def _is_model_file(path: Path) -> bool:
    """Return whether a file describes one model; the loader reports unreadable ones."""
    try:
        found = read_yaml(path.read_text(encoding="utf-8-sig"), str(path)).value
    except (OSError, UnicodeDecodeError, ConfigError):
        return False
    return isinstance(found, dict) and "model" in found


def _check_alike(known: Mapping[ModelName, ModelConfig], model: ModelConfig, file: Path) -> None:
    """Refuse a proposal whose events would be counted otherwise."""
    own = known.get((model.tenant, model.model))
    if own is None:
        raise ConfigError(
            f"{model.model!r} belongs to tenant {model.tenant!r}, today's to another",
            where=str(file),
            fix="keep the tenant",
        )
    if own.schema_ != model.schema_:
        raise ConfigError(
            f"features or segments of {model.model!r} are not today's",
            where=str(file),
            fix="build a baseline for them and backtest that installation by itself",
        )


def _listed(names: set[ModelName]) -> str:
    """Write models in order."""
    return ", ".join(model for _, model in sorted(names)) or "none"


def _absent(
    request: BacktestRequest,
    today: Installation,
    proposed: Mapping[ModelName, ModelConfig],
    counted: Counted,
) -> list[str]:
    """Name the models without history; that of what is proposed must be there.

    Raises
    ------
    TransportError
        If the files hold nothing of any proposed model.
    StorageError
        If the store does not.
    """
    if proposed and not any(name in counted.panes for name in proposed):
        kind = TransportError if request.files else StorageError
        raise kind(
            f"holds no rows of the proposed {_listed(set(proposed))} that could be counted",
            where=", ".join(request.files) or request.store or today.store,
            fix="choose a history of that model; driftline replay says what became of its rows",
        )
    asked = [today.model(request.model)] if request.model else today.models
    names = {(m.tenant, m.model) for m in asked} | set(proposed)
    return [model for tenant, model in sorted(names) if (tenant, model) not in counted.panes]


def _from_files(
    request: BacktestRequest,
    today: Installation,
    proposed: Mapping[ModelName, ModelConfig],
    catalog: Catalog,
) -> Counted:
    """Decode and aggregate the files, once."""
    configs = [*today.models, *proposed.values()]
    window = shared_window(today.models)
    pane_us = math.gcd(*(config.window.pane_us for config in configs))
    window = window.model_copy(update={"pane_us": pane_us})
    model = model_of_tables(today, request.model, request.files)
    request = replace(request, files=ordered_files(request, model))
    with ExitStack() as stack:
        sources: list[Source] = []
        # Printed last, when the bar is gone.
        stack.callback(print_notes, sources)
        shown = stack.enter_context(progress("reading", None, is_quiet=request.is_json))
        rows = RowProgress(shown, request.files)
        for i, file in enumerate(request.files):
            source = open_source(
                file, model, rows_per_window=request.rows_per_window, on_progress=rows.of(i)
            )
            stack.callback(source.close)
            sources.append(source)
        has_plain_times = is_unit_unstated(sources, model, request.rows_per_window)

        def advance(watermark_us: int) -> None:
            if has_plain_times:
                check_times(watermark_us, request.files)
            rows.update(watermark_us)

        return count_panes(
            concatenated(sources), catalog, window, slot_of(configs), advance=advance
        )


def _from_store(
    request: BacktestRequest,
    today: Installation,
    proposed: Mapping[ModelName, ModelConfig],
    catalog: Catalog,
) -> Counted:
    """Read what the archive has kept."""
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
            f"holds no panes of {_listed({(m.tenant, m.model) for m in models})} in that time",
            where=target,
            fix="name a file of events, or another --store, --since or --until",
        )
    known = {p.profile_id for profiles in catalog.profiles.values() for p in profiles}
    if not any(pane.series.profile_id in known for panes in found.values() for pane in panes):
        raise BaselineError(
            "the stored panes were counted in baselines that are not here",
            where=str(today.baselines),
            fix="put the baselines of that time into the folder",
        )
    return Counted(found)
