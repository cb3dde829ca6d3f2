"""``driftline demo``: run the pipeline on packaged data and detect three injected faults."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

MARK = ".driftline-demo"
"""File that marks an output folder of the demo; only such a folder is emptied by the next run."""


def run(
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random numbers.")] = 1,
    output: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Output folder: store, baseline, report. An earlier demo's is replaced.",
        ),
    ] = Path("demo-output"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print only the result, as one line of JSON.")
    ] = False,
) -> None:
    """Detect three injected faults in the predictions of a real model.

    A model is fitted on census data of 2015 and serves the data of 2016 from eight
    simulated replicas, each on a GPU of its own. In the second half three faults are
    injected: an upstream bug, an unseen category, and a GPU that corrupts scores. The demo
    prints each notification and writes an HTML report. It takes about half a minute.

    \b
    Exit code: 0 done, whatever was detected; 1 the output folder holds other files,
    5 the store.

    \b
    Examples:
      driftline demo
      driftline demo --seed 7 --json
      driftline sql --store demo-output/store "SELECT title FROM alerts ORDER BY time_us"
    """
    from functools import partial

    from monitor.app.demo import DemoRequest, run_demo
    from monitor.cli.demo_text import DemoLines
    from monitor.cli.terminal.output import print_json
    from monitor.cli.terminal.progress import progress

    folder = prepare_folder(output)
    lines = DemoLines(is_quiet=as_json)
    lines.start(seed)
    start_phase = partial(progress, is_quiet=as_json)
    result = run_demo(DemoRequest(seed, folder), lines, start_phase=start_phase)
    if as_json:
        print_json(result.as_document())
    else:
        lines.conclude(result, folder)


def prepare_folder(output: Path) -> Path:
    """Create the demo's folder, or empty that of an earlier demo.

    Raises
    ------
    DriftlineError
        If the folder is not empty and was not written by a demo.
    """
    from schemas.errors import DriftlineError

    if output.exists() and any(output.iterdir()) and not (output / MARK).exists():
        raise DriftlineError(
            "the folder is not empty, and not left by a demo",
            where=str(output),
            fix="name another with --output",
        )
    if output.exists():
        shutil.rmtree(output)
    output.mkdir(parents=True)
    (output / MARK).touch()
    return output
