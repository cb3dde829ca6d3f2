"""``driftline replay``: what would have been alerted, had Driftline watched these events?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    files: Annotated[
        list[str], typer.Argument(help="JSONL, Parquet, CSV or Arrow files; - is standard input.")
    ],
    config: Annotated[
        Path, typer.Option(help="Configuration file: models, receivers, store.")
    ] = Path("driftline.yaml"),
    model: Annotated[
        str | None,
        typer.Option(help="Model of a table's columns; required when several are configured."),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="JSONL of label events.")] = None,
    gpu: Annotated[Path | None, typer.Option(help="JSONL of GPU events.")] = None,
    store: Annotated[
        str | None, typer.Option(help="Overrides the config's store; 'none' stores nothing.")
    ] = None,
    rows_per_window: Annotated[
        int | None,
        typer.Option(min=1, help="Assign evenly spaced timestamps, N rows per window."),
    ] = None,
    notify: Annotated[
        bool, typer.Option("--notify", help="Notify the config's receivers, not just the terminal.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line, for programs.")
    ] = False,
) -> None:
    """Run recorded events through the whole pipeline, in event time.

    Alerts are printed and no receiver is notified unless --notify is given; nor is
    a retraining requested without it.

    \b
    Exit code: 0 replayed, whatever was found; 2 config, 3 baseline, 4 files, 5 store;
    6 replayed, and no event was in a window with a verdict.

    \b
    Examples:
      driftline replay events.jsonl
      driftline replay 2016.parquet --rows-per-window 1000 --store none
      zcat events.jsonl.gz | driftline replay - --json | jq .incidents
      driftline replay day1.jsonl day2.jsonl --gpu gpu.jsonl
    """
    from monitor.cli.replay_run import ReplayRequest, run_replay

    run_replay(
        ReplayRequest(
            tuple(files), config, model, labels, gpu, store, rows_per_window, notify, as_json
        )
    )
