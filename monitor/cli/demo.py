"""``driftline demo``: real predictions through the real core, three faults planted and found."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

MARK = ".driftline-demo"
"""Says that a folder is the demo's own, and may be emptied by the next one."""


def run(
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1,
    output: Annotated[
        Path, typer.Option(help="Folder for the store, the baseline and the report.")
    ] = Path("demo-output"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line only.")] = False,
) -> None:
    """Detect three planted faults, on census data and a fitted model.

    A model fitted on 2015 serves 2016 from eight replicas on eight GPUs, an hour of
    event time in about half a second. Midway an upstream bug, an unseen category
    and a failing GPU are planted. Before that no alert may open.

    \b
    Examples:
      driftline demo
      driftline demo --seed 7 --json
      driftline sql --store demo-output/store "SELECT title FROM alerts ORDER BY time_us"
    """
    from monitor.cli.demo_run import run_demo

    folder = prepare_folder(output)
    run_demo(seed, folder, is_json=as_json)


def prepare_folder(output: Path) -> Path:
    """Make the demo's folder, or empty that of an earlier demo; refuse any other.

    Raises
    ------
    DriftlineError
        If the folder holds something that is not a demo's.
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
