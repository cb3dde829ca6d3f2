"""A profile as one file: checked when it is read, whole or absent when it is written."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from monitor.core.panes.baseline_codec import FORMAT, decode, encode, with_id
from schemas.baselines import Profile
from schemas.errors import BaselineError

SUFFIX = ".profile"
__all__ = [
    "FORMAT",
    "SUFFIX",
    "decode",
    "encode",
    "load_profile",
    "load_profiles",
    "profile_files",
    "save_profile",
    "with_id",
]


def save_profile(profile: Profile, folder: str | os.PathLike[str]) -> Path:
    """Write ``<model>-<id>.profile``; a reader sees the whole file or none.

    Parameters
    ----------
    profile : Profile
        With its id.
    folder : path-like
        Made if it is not there.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; no file is left behind.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    # A name that begins with a dot would be hidden in a listing of the folder.
    name = re.sub(r"[^A-Za-z0-9._-]|^\.+", "_", profile.model)[:100]
    file = target / f"{name}-{profile.profile_id}{SUFFIX}"
    handle, temporary = tempfile.mkstemp(dir=target, prefix=f".{name}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(encode(profile))
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return file


def load_profile(file: str | os.PathLike[str]) -> Profile:
    """Read one profile and check it against its own checksum.

    Parameters
    ----------
    file : path-like
        Written by :func:`save_profile`.

    Returns
    -------
    Profile

    Raises
    ------
    BaselineError
        If it cannot be read, was cut, changed, or written by a newer Driftline.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise BaselineError(f"cannot be read: {error.strerror}", where=str(file)) from None
    try:
        return decode(data)
    except BaselineError as error:
        raise BaselineError(error.what, where=str(file), fix=error.fix) from None


def load_profiles(folder: str | os.PathLike[str]) -> list[Profile]:
    """Read every profile of a folder, by model and then by the time it is active from.

    Parameters
    ----------
    folder : path-like
        A folder that does not exist holds no profiles.

    Returns
    -------
    list of Profile

    Raises
    ------
    BaselineError
        Naming the first file that is damaged.
    """
    profiles = [load_profile(file) for file in profile_files(folder)]
    return sorted(profiles, key=lambda p: (p.tenant, p.model, p.active_from_us, p.profile_id))


def profile_files(folder: str | os.PathLike[str]) -> list[Path]:
    """List the profiles of a folder by name."""
    return sorted(p for p in Path(folder).glob(f"*{SUFFIX}") if not p.name.startswith("."))
