"""``driftline backtest``: what would a proposed config have said, beside today's?"""

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
            help="JSONL, Parquet, CSV or Arrow files; - is standard input; none: stored panes."
        ),
    ] = None,
    config: Annotated[Path, typer.Option(help="Current configuration file.")] = Path(
        "driftline.yaml"
    ),
    proposed: Annotated[
        Path | None,
        typer.Option(help="Proposed configuration file, or one model's file."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model of a table's columns; of stored panes only this model."),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="Without files: overrides the config's store.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Stored panes from this time on, ISO, UTC.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Stored panes before this time, ISO, UTC.")
    ] = None,
    rows_per_window: Annotated[
        int | None,
        typer.Option(min=1, help="Assign evenly spaced timestamps, N rows per current window."),
    ] = None,
    plant: Annotated[
        list[str] | None,
        typer.Option(
            help="FEATURE=SIZEsd or FEATURE=SIZEsd@TIME; may be repeated. By default .1, .2, "
            ".3 and .5 sd of every numeric feature."
        ),
    ] = None,
    has_delays: Annotated[
        bool, typer.Option("--delays/--no-delays", help="Whether to plant shifts.")
    ] = True,
    budget: Annotated[
        float | None,
        typer.Option(help="False alarms per month; solves for settings within it."),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write an HTML report to this file.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line, for programs.")
    ] = False,
) -> None:
    """Evaluate a recorded history under two configs: what fires, how often, how soon.

    A proposal may change everything but features, segments and baselines: budgets,
    tolerances, persistence, importance, window lengths. Events are read once.
    Nothing is stored and no notification is sent.

    With --budget the history is taken to be free of drift: everything that fires is false.
    An eps within the budget is searched, and the lines to paste are shown. Only windows
    with a verdict count.

    A model without rows in the history is named; if it is the proposed one, that is an
    error.

    \b
    Exit code: 0 done, whatever was found; 2 config, 3 baseline, 4 files, 5 store;
    6 done, and no event was in a window with a verdict.

    \b
    Examples:
      driftline backtest events.jsonl
      driftline backtest 2016.parquet --rows-per-window 1000 --proposed models/m.new.yaml
      driftline backtest --since 2026-01-01 --proposed proposed.yaml --html backtest.html
      driftline backtest quiet.parquet --budget 0.5
      driftline backtest events.jsonl --plant "income=0.3sd@2026-01-05T12:00" --json
    """
    from monitor.cli.backtest_run import BacktestRequest, run_backtest

    run_backtest(
        BacktestRequest(
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
            html=html,
            is_json=as_json,
        )
    )


def _plant(text: str) -> Plant:
    """Read one planted shift."""
    from monitor.backtest.comparison import Plant

    found = _PLANT.fullmatch(text.strip())
    if found is None or float(found["size"]) == 0:
        raise typer.BadParameter(f'--plant "{text}": write income=0.3sd or income=-0.3sd@TIME')
    at_us = time_option_us(found["time"], "--plant") if found["time"] else None
    return Plant(found["feature"], float(found["size"]), at_us)
