"""``driftline replay``: run recorded events through the pipeline."""

from __future__ import annotations

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
    from monitor.cli.replay_run import ReplayRequest, run_replay

    run_replay(
        ReplayRequest(
            tuple(files), config, model, labels, gpu, store, rows_per_window, notify, as_json
        )
    )
