"""A profile as bytes: one header line, then zstd of MessagePack.

A file holds these bytes, and so do the messages of the profiles topic: one message, or
several where one would be larger than a broker takes.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.errors import BaselineError
from schemas.panes import SeriesStats
from schemas.profiles import Kind, Profile, SeasonalCounts, VariableProfile
from schemas.time_zones import UTC_NAME, find_zone

FORMAT = 1
MAX_MESSAGE_BYTES = 900_000
"""Of one message value; the broker's limit is 1,048,588 with key and framing."""
_MAX_PARTS = 1_000
_MAGIC = b"driftline-profile"
_MAX_PROFILE_BYTES = 1 << 30
_ARRAYS = tuple(name for name in SeriesStats.__dataclass_fields__ if name != "segments")
_SEASONS = ("counts", "n_weeks", "is_seasonal")
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


def message_parts(
    profile: Profile, max_bytes: int = MAX_MESSAGE_BYTES
) -> list[tuple[bytes, bytes]]:
    """Return key and value of each message that carries a profile.

    Parameters
    ----------
    profile : Profile
        With its id.
    max_bytes : int, optional
        Of one value.

    Returns
    -------
    list of (bytes, bytes)
        One message under the profile's id; several under ``id|part|parts``, so that
        compaction keeps each of them.

    Raises
    ------
    BaselineError
        If it would take more than 1,000 messages.
    """
    data, key = encode(profile), profile.profile_id.encode()
    parts = [data[i : i + max_bytes] for i in range(0, len(data), max_bytes)]
    if len(parts) > _MAX_PARTS:
        raise BaselineError(
            f"profile {profile.profile_id} takes {len(data)} bytes",
            where=f"model {profile.model!r}",
            fix="fewer segments or features make it smaller",
        )
    if len(parts) == 1:
        return [(key, data)]
    n = len(parts)
    return [(b"%s|%d|%d" % (key, i, n), part) for i, part in enumerate(parts)]


class ProfileParts:
    """Puts the messages of profiles together again, in whatever order they come.

    Examples
    --------
    >>> ProfileParts().add(b"no number|x|2", b"")
    Traceback (most recent call last):
    ...
    schemas.errors.BaselineError: 'no number|x|2' is not the key of a profile
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], dict[int, bytes]] = {}

    def add(self, key: bytes, value: bytes) -> Profile | None:
        """Take one message; return the profile when it was its last part.

        Raises
        ------
        BaselineError
            If key or value are not what :func:`message_parts` wrote.
        """
        profile_id, i, n = parse_key(key)
        parts = self._waiting.setdefault((profile_id, n), {})
        parts[i] = value
        if len(parts) < n:
            return None
        del self._waiting[profile_id, n]
        profile = decode(b"".join(parts[k] for k in range(n)))
        if profile.profile_id != profile_id:
            what = f"profile {profile.profile_id} stands under the key {profile_id}"
            raise BaselineError(what, fix="publish it again with `driftline baseline publish`")
        return profile

    def forget(self, profile_id: str) -> None:
        """Drop the parts of a profile that was taken back."""
        self._waiting = {k: v for k, v in self._waiting.items() if k[0] != profile_id}


def parse_key(key: bytes) -> tuple[str, int, int]:
    """Return profile id, part and number of parts of a message's key.

    Raises
    ------
    BaselineError
        If it is none.

    Examples
    --------
    >>> parse_key(b"0f3a"), parse_key(b"0f3a|1|2")
    (('0f3a', 0, 1), ('0f3a', 1, 2))
    """
    text = key.decode("utf-8", "replace")
    profile_id, *numbers = text.split("|")
    if not numbers and profile_id:
        return profile_id, 0, 1
    if len(numbers) == 2 and all(n.isascii() and n.isdigit() for n in numbers):
        i, n = int(numbers[0]), int(numbers[1])
        if i < n <= _MAX_PARTS:
            return profile_id, i, n
    raise BaselineError(f"{text[:100]!r} is not the key of a profile")


def _content(profile: Profile) -> dict[str, Any]:
    """List everything a profile holds, in a fixed order."""
    stats, seasonal = profile.reference, profile.seasonal
    # absent where there is none, so that profiles from before seasons keep their ids
    more: dict[str, Any] = {} if seasonal is None else {"seasonal": _packed_fields(seasonal)}
    return more | {
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
    packed = content.pop("seasonal", None)
    seasonal = None
    if packed is not None:
        seasonal = _seasons(packed)
    return Profile(
        variables=variables,
        reference=reference,
        phi=phi,
        eps_learned=eps_learned,
        seasonal=seasonal,
        **content,
    )


def _packed_fields(seasonal: SeasonalCounts) -> dict[str, Any]:
    """Write the arrays of the seasons by name, and what profiles of before do not have."""
    packed: dict[str, Any] = {name: _packed(getattr(seasonal, name)) for name in _SEASONS}
    if seasonal.timezone != UTC_NAME:
        packed["timezone"] = seasonal.timezone
    if seasonal.unzoned_us is not None:
        packed["unzoned_us"] = seasonal.unzoned_us
    return packed


def _seasons(packed: dict[str, Any]) -> SeasonalCounts:
    """Read the seasons; a profile of before has the hours of UTC."""
    timezone = find_zone(str(packed.pop("timezone", UTC_NAME))).key
    unzoned_us = packed.pop("unzoned_us", None)
    arrays = {name: _unpacked(packed[name]) for name in _SEASONS}
    return SeasonalCounts(**arrays, timezone=timezone, unzoned_us=unzoned_us)


def _packed(array: NDArray[Any]) -> tuple[str, list[int], bytes]:
    """Write an array as type, shape and little-endian bytes."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return little.dtype.str, list(little.shape), little.tobytes()


def _unpacked(packed: tuple[str, list[int], bytes]) -> NDArray[Any]:
    """Read an array that nobody else holds, so it may be written to."""
    dtype, shape, data = packed
    array = np.frombuffer(data, dtype=np.dtype(dtype)).reshape(shape)
    return array.astype(array.dtype.newbyteorder("="))
