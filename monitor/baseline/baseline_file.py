"""Baseline files: verified on read, written atomically."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from monitor.core.windowing.baseline_codec import FORMAT, decode, encode, with_id
from schemas.baselines import Baseline
from schemas.errors import BaselineError

SUFFIX = ".profile"
__all__ = [
    "FORMAT",
    "SUFFIX",
    "baseline_files",
    "decode",
    "encode",
    "load_baseline",
    "load_baselines",
    "save_baseline",
    "with_id",
]


def save_baseline(baseline: Baseline, folder: str | os.PathLike[str]) -> Path:
    """Write ``<model>-<id>.baseline`` atomically.

    Parameters
    ----------
    baseline : Baseline
        Baseline with its ID.
    folder : path-like
        Created if missing.

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
    # A name that begins with a dot would be hidden.
    name = re.sub(r"[^A-Za-z0-9._-]|^\.+", "_", baseline.model)[:100]
    file = target / f"{name}-{baseline.profile_id}{SUFFIX}"
    handle, temporary = tempfile.mkstemp(dir=target, prefix=f".{name}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(encode(baseline))
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return file


def load_baseline(file: str | os.PathLike[str]) -> Baseline:
    """Read one baseline and verify its checksum.

    Parameters
    ----------
    file : path-like
        Written by :func:`save_baseline`.

    Returns
    -------
    Baseline

    Raises
    ------
    BaselineError
        If the file cannot be read, is truncated or modified, or was written by a newer Driftline.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise BaselineError(f"cannot be read: {error.strerror}", where=str(file)) from None
    try:
        return decode(data)
    except BaselineError as error:
        raise BaselineError(error.what, where=str(file), fix=error.fix) from None


def load_baselines(folder: str | os.PathLike[str]) -> list[Baseline]:
    """Read every baseline of a folder, sorted by model and activation time.

    Parameters
    ----------
    folder : path-like
        A missing folder has no baselines.

    Returns
    -------
    list of Baseline

    Raises
    ------
    BaselineError
        Naming the first file that is damaged.
    """
    baselines = [load_baseline(file) for file in baseline_files(folder)]
    return sorted(baselines, key=lambda p: (p.tenant, p.model, p.active_from_us, p.profile_id))


def baseline_files(folder: str | os.PathLike[str]) -> list[Path]:
    """List the baselines of a folder by name."""
    return sorted(p for p in Path(folder).glob(f"*{SUFFIX}") if not p.name.startswith("."))
