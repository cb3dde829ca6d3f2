"""``driftline replay``: run recorded events through the pipeline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def run(
    files: Annotated[
        list[str],
        typer.Argument(help="JSONL, Parquet, CSV or Arrow files, or folders; - is standard input."),
    ],
    config: Annotated[Path, typer.Option(metavar="FILE", help="Configuration file.")] = Path(
        "driftline.yaml"
    ),
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Model that a table's rows belong to; required if several are configured.",
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSONL file of label events.")
    ] = None,
    gpu: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSONL file of GPU events.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Folder or HTTP URL; overrides the config's store. none stores nothing.",
        ),
    ] = None,
    rows_per_window: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Assign evenly spaced timestamps, N rows per window."
        ),
    ] = None,
    pane: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Length of stored panes, e.g. 30m: a multiple of window.pane that divides the "
            "window. By default the shortest that holds 64 rows on average.",
        ),
    ] = None,
    notify: Annotated[
        bool,
        typer.Option("--notify", help="Notify the config's receivers and request retrainings."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one line of JSON.")
    ] = False,
) -> None:
    """Run recorded events through the whole pipeline, in event time.

    It prints the alerts and incidents that these events cause, and writes results to the
    store. Without --notify, no receiver is notified and no retraining is requested.

    \b
    Exit code: 0 done, whatever was found; 2 config, 3 a baseline, 4 files, 5 the store;
    6 done, but no event was in a window with a verdict.

    \b
    Examples:
      driftline replay events.jsonl
      driftline replay 2016.parquet --rows-per-window 1000 --store none
      zcat events.jsonl.gz | driftline replay - --json | jq .incidents
      driftline replay day1.jsonl day2.jsonl --gpu gpu.jsonl
    """
    from contextlib import nullcontext, redirect_stdout
    from functools import partial

    from monitor.app.replay import ReplayRequest, run_replay
    from monitor.cli.replay_text import print_outcome
    from monitor.cli.terminal.exit_codes import UNJUDGED
    from monitor.cli.terminal.output import print_json, print_note
    from monitor.cli.terminal.progress import progress
    from monitor.cli.terminal.time_option import duration_option_us
    from monitor.notify.receivers.console import ConsoleReceiver

    request = ReplayRequest(
        tuple(files),
        config,
        model,
        labels,
        gpu,
        store,
        rows_per_window,
        has_notify=notify,
        pane_us=duration_option_us(pane, "--pane") if pane else None,
    )
    # Notifications of a console receiver would mix with the JSON line on standard output.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        outcome = run_replay(
            request,
            receivers={} if as_json else {"console": ConsoleReceiver()},
            start_phase=partial(progress, is_quiet=as_json),
            on_note=print_note,
        )
    if as_json:
        print_json(outcome.as_document())
    else:
        print_outcome(outcome)
    if outcome.is_unjudged:
        raise typer.Exit(UNJUDGED)
