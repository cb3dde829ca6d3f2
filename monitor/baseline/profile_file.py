"""A profile as one file: checked when it is read, whole or absent when it is written."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.errors import BaselineError
from schemas.panes import SeriesStats
from schemas.profiles import Kind, Profile, VariableProfile

SUFFIX = ".profile"
FORMAT = 1
_MAGIC = b"driftline-profile"
_MAX_PROFILE_BYTES = 1 << 30
_ARRAYS = tuple(name for name in SeriesStats.__dataclass_fields__ if name != "segments")
_REBUILD = "build it again with `driftline baseline build`"


def with_id(profile: Profile) -> Profile:
    """Return the profile under the hash of its content.

    Parameters
    ----------
    profile : Profile
        Its ``profile_id`` and ``created_from`` are not part of the content: the
        same data read from elsewhere is the same baseline.

    Returns
    -------
    Profile
        ``profile_id`` is 24 hexadecimal digits of SHA-256.
    """
    content = msgspec.msgpack.encode(_content(replace(profile, profile_id="", created_from="")))
    return replace(profile, profile_id=hashlib.sha256(content).hexdigest()[:24])


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
    name = re.sub(r"[^A-Za-z0-9._-]", "_", profile.model)[:100]
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


def encode(profile: Profile) -> bytes:
    """Turn a profile into the bytes of its file: one header line, then zstd of MessagePack."""
    content = msgspec.msgpack.encode(_content(profile))
    packed: bytes = pa.Codec("zstd").compress(content, asbytes=True)
    checksum = hashlib.sha256(packed).hexdigest().encode()
    header = b"%s %d %d %s\n" % (_MAGIC, FORMAT, len(content), checksum)
    return header + packed


def decode(data: bytes) -> Profile:
    """Turn the bytes of a file into its profile.

    Raises
    ------
    BaselineError
        If they are not what :func:`encode` wrote.
    """
    header, _, packed = data.partition(b"\n")
    fields = header.split(b" ")
    if fields[0] != _MAGIC or len(fields) != 4 or not (fields[1] + fields[2]).isdigit():
        raise BaselineError("is not a Driftline profile", fix=_REBUILD)
    if int(fields[1]) != FORMAT:
        what = f"has format {int(fields[1])}, this Driftline reads {FORMAT}"
        raise BaselineError(what, fix=_REBUILD)
    if hashlib.sha256(packed).hexdigest().encode() != fields[3]:
        raise BaselineError("is damaged: its checksum does not match", fix=_REBUILD)
    n_bytes = int(fields[2])
    if n_bytes > _MAX_PROFILE_BYTES:
        raise BaselineError(f"claims {n_bytes} bytes", fix=_REBUILD)
    try:
        content = pa.Codec("zstd").decompress(packed, n_bytes, asbytes=True)
        return _profile(msgspec.msgpack.decode(content))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        what = f"is damaged: {type(error).__name__}"
        raise BaselineError(what, fix=_REBUILD) from None


def _content(profile: Profile) -> dict[str, Any]:
    """List everything a profile holds, in a fixed order."""
    stats = profile.reference
    return {
        "profile_id": profile.profile_id,
        "tenant": profile.tenant,
        "model": profile.model,
        "model_version": profile.model_version,
        "variables": [
            {
                "name": v.name,
                "kind": str(v.kind),
                "edges": _packed(v.edges),
                "categories": list(v.categories),
                "known": list(v.known),
            }
            for v in profile.variables
        ],
        "segments": list(stats.segments),
        "reference": {name: _packed(getattr(stats, name)) for name in _ARRAYS},
        "phi": _packed(profile.phi),
        "eps_learned": _packed(profile.eps_learned),
        "n_reference_windows": profile.n_reference_windows,
        "eps_source": profile.eps_source,
        "positive": profile.positive,
        "active_from_us": profile.active_from_us,
        "created_from": profile.created_from,
    }


def _profile(content: dict[str, Any]) -> Profile:
    """Put a profile together again."""
    variables = tuple(
        VariableProfile(
            name=v["name"],
            kind=Kind(v["kind"]),
            edges=_unpacked(v["edges"]),
            categories=tuple(v["categories"]),
            known=tuple(v["known"]),
        )
        for v in content.pop("variables")
    )
    arrays = {name: _unpacked(packed) for name, packed in content.pop("reference").items()}
    reference = SeriesStats(segments=tuple(content.pop("segments")), **arrays)
    phi, eps_learned = _unpacked(content.pop("phi")), _unpacked(content.pop("eps_learned"))
    return Profile(
        variables=variables, reference=reference, phi=phi, eps_learned=eps_learned, **content
    )


def _packed(array: NDArray[Any]) -> tuple[str, list[int], bytes]:
    """Write an array as type, shape and little-endian bytes."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return little.dtype.str, list(little.shape), little.tobytes()


def _unpacked(packed: tuple[str, list[int], bytes]) -> NDArray[Any]:
    """Read an array that nobody else holds, so it may be written to."""
    dtype, shape, data = packed
    array = np.frombuffer(data, dtype=np.dtype(dtype)).reshape(shape)
    return array.astype(array.dtype.newbyteorder("="))
