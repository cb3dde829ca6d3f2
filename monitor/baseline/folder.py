"""Folder of baselines: one per model version and activation time."""

from __future__ import annotations

import os
from pathlib import Path

from monitor.baseline.baseline_file import baseline_files, load_baseline, save_baseline
from schemas.baselines import Baseline
from schemas.errors import BaselineError

REPLACED = "replaced"


def add_baseline(baseline: Baseline, folder: str | os.PathLike[str]) -> tuple[Path, list[Path]]:
    """Save a baseline; replace one for the same version and activation time.

    Parameters
    ----------
    baseline : Baseline
        Baseline with its ID.
    folder : path-like
        Created if it does not exist, as by :func:`save_baseline`.

    Returns
    -------
    file : Path
        The new baseline.
    replaced : list of Path
        New paths of replaced baselines. Results refer to them by ID, so they are kept under
        ``replaced/``, which is not read automatically.
    """
    file = save_baseline(baseline, folder)
    replaced = []
    for other in baseline_files(folder):
        if other != file and _is_same_place(other, baseline):
            target = other.parent / REPLACED / other.name
            target.parent.mkdir(exist_ok=True)
            replaced.append(other.replace(target))
    return file, replaced


def _is_same_place(file: Path, baseline: Baseline) -> bool:
    """Return whether a file's baseline is for the same version and time; False if damaged."""
    try:
        other = load_baseline(file)
    except BaselineError:
        return False
    return (other.tenant, other.model, other.model_version, other.active_from_us) == (
        baseline.tenant,
        baseline.model,
        baseline.model_version,
        baseline.active_from_us,
    )
