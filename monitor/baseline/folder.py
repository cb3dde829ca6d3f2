"""The folder of baselines: one for each model version and start."""

from __future__ import annotations

import os
from pathlib import Path

from monitor.baseline.baseline_file import load_profile, profile_files, save_profile
from schemas.baselines import Profile
from schemas.errors import BaselineError

REPLACED = "replaced"


def add_profile(profile: Profile, folder: str | os.PathLike[str]) -> tuple[Path, list[Path]]:
    """Save a profile; one for the same version and start time makes room.

    Parameters
    ----------
    profile : Profile
        With its id.
    folder : path-like
        Created if it does not exist, as by :func:`save_profile`.

    Returns
    -------
    file : Path
        The new baseline.
    replaced : list of Path
        Where older ones went: results name them by id, so they are kept, under
        ``replaced/``, where nothing reads them by itself.
    """
    file = save_profile(profile, folder)
    replaced = []
    for other in profile_files(folder):
        if other != file and _is_same_place(other, profile):
            target = other.parent / REPLACED / other.name
            target.parent.mkdir(exist_ok=True)
            replaced.append(other.replace(target))
    return file, replaced


def _is_same_place(file: Path, profile: Profile) -> bool:
    """Return whether a file's baseline is for the same version and time; damaged ones are kept."""
    try:
        other = load_profile(file)
    except BaselineError:
        return False
    return (other.tenant, other.model, other.model_version, other.active_from_us) == (
        profile.tenant,
        profile.model,
        profile.model_version,
        profile.active_from_us,
    )
