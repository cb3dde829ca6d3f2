"""Panes of one flush that share messages, encoding 3.

The header of a message has what its panes share: source, partition, owner, version.

What compaction does: a message of several panes is never replaced, since its key ends with its
number among its owner's, and it holds only panes that this owner has not published before. What
it publishes again is a message of one pane, under the key of the pane, and replaces the one
before. So of each pane and owner two versions stay: the first, and the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from monitor.core.bounds import DECODE_ERRORS, check_text
from monitor.core.message_keys import join_key
from monitor.core.windowing.packed_pane import PackedPane
from schemas.errors import DomainError
from schemas.panes import SeriesId

MAX_BATCH_BYTES = 1 << 18
"""Of one message of several panes. A pane of one row has a thousandth of the bytes of its arrays,
and the archive makes the arrays of a message together."""
_ENTRY_BYTES = 32
"""Of a pane in a message, beside its body and its series."""


class Entry(msgspec.Struct, array_like=True, gc=False):
    """A pane of a message; nothing of it is checked yet."""

    series: bytes
    """MessagePack of tenant, model, version and baseline: a reader has seen most before."""
    start_us: int
    """In the message less the start in the header."""
    end_us: int
    """In the message less the end in the header."""
    body: bytes


_ENTRIES = msgspec.msgpack.Decoder(list[Entry])
_SERIES = msgspec.msgpack.Decoder(tuple[str, str, str, str])


def encode_series(series: SeriesId) -> bytes:
    """Return a series ID as it is written.

    Examples
    --------
    >>> read_series(encode_series(SeriesId("t", "m", "1", "p")))
    SeriesId(tenant='t', model='m', model_version='1', profile_id='p')
    """
    return msgspec.msgpack.encode(
        (series.tenant, series.model, series.model_version, series.profile_id)
    )


def read_series(raw: bytes) -> SeriesId:
    """Return a series ID, its names checked.

    Raises
    ------
    DomainError
        If the bytes are none, or a name is too long.
    """
    try:
        names = _SERIES.decode(raw)
    except DECODE_ERRORS as error:
        raise DomainError(f"no series: {error}") from error
    for name, text in zip(SeriesId.__slots__, names, strict=True):
        check_text(name, text)
    return SeriesId(*names)


_known_series = lru_cache(maxsize=4_096)(read_series)
_KNOWN_BYTES = 512


def known_series(raw: bytes) -> SeriesId:
    """Return a series ID as :func:`read_series` does, most of the time the same object."""
    return _known_series(raw) if len(raw) <= _KNOWN_BYTES else read_series(raw)


def batch_key(pane: PackedPane, number: int) -> bytes:
    """Return the key of a message, ``source|partition|owner|number``.

    Parameters
    ----------
    pane : PackedPane
        One of the message.
    number : int
        How many messages its owner has written before.

    Examples
    --------
    >>> batch_key(PackedPane(SeriesId("t", "m", "1", "p"), 0, 10, "s", 3, "o", 7, 0, b""), 12)
    b's|3|o|12'
    """
    return join_key(pane.source, pane.partition, pane.owner, number).encode()


def encode_entries(panes: Sequence[PackedPane]) -> bytes:
    """Return the part of a message that holds panes; times are relative to the first pane's."""
    first = panes[0]
    return msgspec.msgpack.encode(
        [
            Entry(
                encode_series(pane.series),
                pane.start_us - first.start_us,
                pane.end_us - first.end_us,
                pane.body,
            )
            for pane in panes
        ]
    )


def read_entries(part: bytes | memoryview, start_us: int, end_us: int) -> list[Entry]:
    """Return the panes of a message.

    Parameters
    ----------
    start_us, end_us : int
        Of the header.

    Raises
    ------
    DomainError
        If the bytes are none.
    """
    try:
        found = _ENTRIES.decode(part)
    except DECODE_ERRORS as error:
        raise DomainError(f"no list of panes: {error}") from error
    for entry in found:
        entry.start_us += start_us
        entry.end_us += end_us
    return found


def batches(panes: Sequence[PackedPane]) -> Iterator[Sequence[PackedPane]]:
    """Split panes of one flush into those of each message, in their order."""
    start, n_bytes = 0, 0
    for i, pane in enumerate(panes):
        size = len(pane.body) + 4 * sum(map(len, _names(pane.series))) + _ENTRY_BYTES
        if i > start and n_bytes + size > MAX_BATCH_BYTES:
            yield panes[start:i]
            start, n_bytes = i, 0
        n_bytes += size
    if len(panes) > start:
        yield panes[start:]


def _names(series: SeriesId) -> tuple[str, str, str, str]:
    """Return the names of a series."""
    return series.tenant, series.model, series.model_version, series.profile_id
