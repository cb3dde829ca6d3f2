"""A baseline as bytes: one header line, then zstd of MessagePack.

A file holds these bytes, and so do the messages of the baselines topic: one message, or
several where one would be larger than a broker takes.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import msgspec
import pyarrow as pa

from monitor.core.bounds import MAX_NAME_CHARS, MAX_VALUE_BYTES
from monitor.core.windowing.baseline_content import content_of as _content
from monitor.core.windowing.baseline_content import read_content
from schemas.baselines import Baseline
from schemas.errors import BaselineError, DomainError

FORMAT = 1
_MAX_PARTS = 1_000
_MAGIC = b"driftline-profile"
MAX_BASELINE_BYTES = 256 << 20
"""Before compression: 6,000 cells with seasons, or 450,000 without."""
MAX_WAITING = 64
"""Baselines of which parts are missing; beyond it the one that began first is dropped."""
MAX_WAITING_BYTES = 512 << 20
"""Of their parts together."""
_MAX_DIGITS = 12
_REBUILD = "build it again with `driftline baseline build`"


def with_id(baseline: Baseline) -> Baseline:
    """Return the baseline under the hash of its content.

    Parameters
    ----------
    baseline : Baseline
        Its ``profile_id`` and ``created_from`` are not part of the content: the
        same data read from elsewhere is the same baseline.

    Returns
    -------
    Baseline
        ``profile_id`` is 24 hexadecimal digits of SHA-256.
    """
    content = msgspec.msgpack.encode(_content(replace(baseline, profile_id="", created_from="")))
    return replace(baseline, profile_id=hashlib.sha256(content).hexdigest()[:24])


def encode(baseline: Baseline) -> bytes:
    """Turn a baseline into the bytes of its file: one header line, then zstd of MessagePack.

    Raises
    ------
    BaselineError
        If it takes more than :data:`MAX_BASELINE_BYTES`.
    """
    content = msgspec.msgpack.encode(_content(baseline) | {"has_forms": True})
    if len(content) > MAX_BASELINE_BYTES:
        raise _too_large(baseline, len(content))
    packed: bytes = pa.Codec("zstd").compress(content, asbytes=True)
    checksum = hashlib.sha256(packed).hexdigest().encode()
    header = b"%s %d %d %s\n" % (_MAGIC, FORMAT, len(content), checksum)
    return header + packed


def decode(data: bytes) -> Baseline:
    """Turn the bytes of a file into its baseline.

    Raises
    ------
    BaselineError
        If they are not what :func:`encode` wrote.
    """
    header, _, packed = data.partition(b"\n")
    fields = header.split(b" ")
    if fields[0] != _MAGIC or len(fields) != 4 or not all(map(_is_number, fields[1:3])):
        raise BaselineError("is not a Driftline baseline", fix=_REBUILD)
    if int(fields[1]) != FORMAT:
        what = f"has format {int(fields[1])}, this Driftline reads {FORMAT}"
        raise BaselineError(what, fix=_REBUILD)
    n_bytes = int(fields[2])
    if n_bytes > MAX_BASELINE_BYTES:
        raise BaselineError(f"claims {n_bytes} bytes", fix=_REBUILD)
    if hashlib.sha256(packed).hexdigest().encode() != fields[3]:
        raise BaselineError("is damaged: its checksum does not match", fix=_REBUILD)
    try:
        return read_content(pa.Codec("zstd").decompress(packed, n_bytes, asbytes=True))
    except DomainError as error:
        raise BaselineError(f"is damaged: {error}", fix=_REBUILD) from None
    except (OSError, ValueError, MemoryError, RecursionError, pa.ArrowException) as error:
        what = f"is damaged: {type(error).__name__}"
        raise BaselineError(what, fix=_REBUILD) from None


def _is_number(digits: bytes) -> bool:
    """Whether a header's field is a number of a length that any may have."""
    return digits.isdigit() and len(digits) <= _MAX_DIGITS


def message_parts(
    baseline: Baseline, max_bytes: int = MAX_VALUE_BYTES
) -> list[tuple[bytes, bytes]]:
    """Return key and value of each message that carries a baseline.

    Parameters
    ----------
    baseline : Baseline
        With its id.
    max_bytes : int, optional
        Of one value.

    Returns
    -------
    list of (bytes, bytes)
        One message under the baseline's id; several under ``id|part|parts``, so that
        compaction keeps each of them.

    Raises
    ------
    BaselineError
        If it would take more than 1,000 messages.
    """
    data, key = encode(baseline), baseline.profile_id.encode()
    parts = [data[i : i + max_bytes] for i in range(0, len(data), max_bytes)]
    if len(parts) > _MAX_PARTS:
        raise _too_large(baseline, len(data))
    if len(parts) == 1:
        return [(key, data)]
    n = len(parts)
    return [(b"%s|%d|%d" % (key, i, n), part) for i, part in enumerate(parts)]


def _too_large(baseline: Baseline, n_bytes: int) -> BaselineError:
    """Return the error of a baseline that no reader would take."""
    return BaselineError(
        f"baseline {baseline.profile_id} takes {n_bytes} bytes",
        where=f"model {baseline.model!r}",
        fix="fewer segments or features make it smaller",
    )


class BaselineParts:
    """Puts the messages of baselines together again, in whatever order they come.

    Attributes
    ----------
    n_dropped : int
        Incomplete baselines that were given up because too many waited.

    Examples
    --------
    >>> BaselineParts().add(b"no number|x|2", b"")
    Traceback (most recent call last):
    ...
    schemas.errors.BaselineError: 'no number|x|2' is not the key of a baseline
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], dict[int, bytes]] = {}
        self._n_bytes = 0
        self.n_dropped = 0

    @property
    def n_waiting(self) -> int:
        """Number of baselines of which some parts are missing."""
        return len(self._waiting)

    def add(self, key: bytes, value: bytes) -> Baseline | None:
        """Take one message; return the baseline when it was its last part.

        Raises
        ------
        BaselineError
            If key or value are not what :func:`message_parts` wrote.
        """
        profile_id, i, n = parse_key(key)
        parts = self._waiting.setdefault((profile_id, n), {})
        self._n_bytes += len(value) - len(parts.get(i, b""))
        parts[i] = value
        if len(parts) < n:
            self._drop_oldest()
            return None
        self._pop((profile_id, n))
        baseline = decode(b"".join(parts[k] for k in range(n)))
        if baseline.profile_id != profile_id:
            what = f"baseline {baseline.profile_id[:80]} is stored under the key {profile_id[:80]}"
            raise BaselineError(what, fix="publish it again with `driftline baseline publish`")
        return baseline

    def forget(self, profile_id: str) -> None:
        """Drop the parts of a baseline that was taken back."""
        for key in [key for key in self._waiting if key[0] == profile_id]:
            self._pop(key)

    def _drop_oldest(self) -> None:
        """Give up baselines that began first, while too many wait."""
        while len(self._waiting) > MAX_WAITING or self._n_bytes > MAX_WAITING_BYTES:
            self._pop(next(iter(self._waiting)))
            self.n_dropped += 1

    def _pop(self, key: tuple[str, int]) -> None:
        """Drop the parts of a baseline."""
        self._n_bytes -= sum(map(len, self._waiting.pop(key).values()))


def parse_key(key: bytes) -> tuple[str, int, int]:
    """Return baseline id, part and number of parts of a message's key.

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
    if len(text) > MAX_NAME_CHARS:
        raise BaselineError(f"{text[:100]!r}... is not the key of a baseline")
    profile_id, *numbers = text.split("|")
    if not numbers and profile_id:
        return profile_id, 0, 1
    if len(numbers) == 2 and profile_id and all(_is_number(n.encode()) for n in numbers):
        i, n = int(numbers[0]), int(numbers[1])
        if i < n <= _MAX_PARTS:
            return profile_id, i, n
    raise BaselineError(f"{text[:100]!r} is not the key of a baseline")
