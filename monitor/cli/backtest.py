"""``driftline backtest``: evaluate a recorded history under the current and a proposed config."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.terminal.time_option import time_option_us

if TYPE_CHECKING:
    from monitor.backtest.comparison import Plant

_PLANT = re.compile(r"(?P<feature>.+)=(?P<size>[+-]?(\d+\.?\d*|\.\d+))\s*sd(@(?P<time>.+))?")


def run(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            help="JSONL, Parquet, CSV or Arrow files, or folders; - is standard input. "
            "Without files: the panes in the store."
        ),
    ] = None,
    config: Annotated[
        Path, typer.Option(metavar="FILE", help="Current configuration file.")
    ] = Path("driftline.yaml"),
    proposed: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Proposed configuration file, or one model file."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Model that a table's rows belong to; without files: evaluate only this model.",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Without files: folder or HTTP URL; overrides the config's store.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Without files: start of the range, ISO 8601, UTC."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Without files: end of the range, not included."),
    ] = None,
    rows_per_window: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Assign evenly spaced timestamps, N rows per window of the current config.",
        ),
    ] = None,
    plant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FEATURE=SIZEsd[@TIME]",
            help="Shift to plant, in standard deviations (sd) of the baseline; may be repeated. "
            "By default 0.1, 0.2, 0.3 and 0.5 sd in every numeric feature, at up to 5 start times.",
        ),
    ] = None,
    has_delays: Annotated[
        bool,
        typer.Option("--delays/--no-delays", help="Measure detection delays of planted shifts."),
    ] = True,
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Search for a tolerance (eps) with at most RATE false alarms per month (730 h).",
        ),
    ] = None,
    rule: Annotated[
        int | None,
        typer.Option(
            metavar="1|2",
            min=1,
            max=2,
            help="Judge by this decision rule; by default by decision.rule of each config.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML report to this file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one line of JSON.")
    ] = False,
) -> None:
    """Evaluate recorded events under the current and a proposed config.

    It prints pages and tickets per week, the alerts that would have opened, and the
    detection delay of planted shifts; with --proposed for both configs side by side.
    Nothing is stored and no notification is sent.

    The proposed config may change budgets, tolerances, persistence, importance and window
    lengths, but not features, segments and baselines. A proposed model needs events in the
    history; other models without events are listed.

    With --budget, all drift alerts on this history count as false alarms: use a period
    without drift. It searches for a tolerance (eps) within the budget and prints the
    config lines. Only windows with a verdict count as observed time.

    \b
    Exit code: 0 done, whatever was found; 2 config, 3 a baseline, 4 files, 5 the store;
    6 done, but no event was in a window with a verdict.

    \b
    Examples:
      driftline backtest events.jsonl
      driftline backtest 2016.parquet --rows-per-window 1000 --proposed models/m.new.yaml
      driftline backtest --since 2026-01-01 --proposed proposed.yaml --html backtest.html
      driftline backtest quiet.parquet --budget 0.5
      driftline backtest events.jsonl --plant "income=0.3sd@2026-01-05T12:00" --json
    """
    from functools import partial

    from monitor.app.backtest import BacktestRequest, run_backtest
    from monitor.app.short_path import shortest
    from monitor.cli.backtest_text import print_report
    from monitor.cli.terminal.exit_codes import UNJUDGED
    from monitor.cli.terminal.output import print_json, print_note
    from monitor.cli.terminal.progress import progress

    request = BacktestRequest(
        files=tuple(files or ()),
        config=config,
        proposed=proposed,
        model=model,
        store=store,
        since_us=time_option_us(since, "--since") if since else None,
        until_us=time_option_us(until, "--until") if until else None,
        rows_per_window=rows_per_window,
        plants=tuple(map(_plant, plant or ())),
        has_delays=has_delays,
        budget=budget,
        page=html,
        rule=rule,
    )
    start_phase = partial(progress, is_quiet=as_json)
    result = run_backtest(request, start_phase=start_phase, on_note=print_note)
    if as_json:
        print_json(result.as_document())
    else:
        print_report(result.reports, result.counted, result.absent, has_events=result.has_events)
        if html is not None:
            typer.echo(f"page: {shortest(str(html))}")
    if result.is_unjudged:
        raise typer.Exit(UNJUDGED)


def _plant(text: str) -> Plant:
    """Parse one planted shift."""
    from monitor.backtest.comparison import Plant

    found = _PLANT.fullmatch(text.strip())
    if found is None or float(found["size"]) == 0:
        raise typer.BadParameter(f'--plant "{text}": write income=0.3sd or income=-0.3sd@TIME')
    at_us = time_option_us(found["time"], "--plant") if found["time"] else None
    return Plant(found["feature"], float(found["size"]), at_us)
