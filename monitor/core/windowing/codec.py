"""Panes as messages: a key, and chunks of bytes that fit under the broker's limit.

Encoding 1 has a compressed body of arrays. Encoding 2 has the body of
:mod:`~monitor.core.windowing.pane_body`, uncompressed: the producer compresses batches. Encoding
3 has panes of one flush, see :mod:`~monitor.core.windowing.pane_batch`. All are read, and each
becomes a :class:`~monitor.core.windowing.packed_pane.PackedPane`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

import msgspec
import pyarrow as pa

from driftline.times import FARTHEST_US
from monitor.core.bounds import (
    DECODE_ERRORS,
    MAX_OFFSET,
    MAX_PARTITIONS,
    MAX_VALUE_BYTES,
    check_number,
    check_text,
    check_time,
    is_plain,
)
from monitor.core.message_keys import join_key
from monitor.core.windowing.details.block import NOT_COUNTED
from monitor.core.windowing.packed_pane import PackedPane
from monitor.core.windowing.pane_batch import (
    Entry,
    encode_entries,
    encode_series,
    known_series,
    read_entries,
)
from monitor.core.windowing.pane_body import (
    VIEWED_BYTES,
    PaneBody,
    canonical_body,
    check_body,
    encode_body,
    open_body,
    view_body,
    with_details,
)
from monitor.core.windowing.stats_codec import PackedStats, pack, unpack
from schemas.errors import DomainError, ShapeError, TransportError
from schemas.panes import Pane, SeriesId
from schemas.time_units import DAY_US

SCHEMA = 1
"""Version of the encoding that every reader knows."""
BATCH = 3
"""Version of the encoding of panes that share messages, which ingest writes."""
READABLE = (1, 2, BATCH)
"""Versions that are read; a reader refuses one it does not know."""
MAX_BODY_BYTES = 256 << 20
"""Before compression; a damaged header may name any length, and it would be allocated."""
MAX_BATCH_UNPACKED = 1 << 30
"""Bytes of the arrays of all panes of a message, where they are made."""
MAX_CHUNKS = 1_000
"""A body of ``MAX_BODY_BYTES`` that does not compress takes 300."""
MAX_PANE_US = 366 * DAY_US
MAX_WAITING = 1_000
"""Panes of which chunks are missing; beyond it the one that began first is dropped."""
MAX_WAITING_BYTES = 256 << 20
"""Of their chunks together."""
_HEADER_BYTES = 4096
_NAMES = ("tenant", "model", "model_version", "profile_id", "source", "owner")
"""Texts of a header."""


class PaneHeader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every chunk says of itself: whose pane, which version, which part."""

    schema: int
    tenant: str
    model: str
    model_version: str
    profile_id: str
    start_us: int
    end_us: int
    source: str
    partition: int
    owner: str
    pane_version: int
    chunk: int
    chunks: int
    raw_bytes: int
    """Length of the body; in encoding 1 before compression."""

    @property
    def series(self) -> SeriesId:
        """Return the series id of the pane."""
        return SeriesId(self.tenant, self.model, self.model_version, self.profile_id)


NO_SERIES = SeriesId("", "", "", "")
"""In the header of several panes: each has its own."""


class PaneMessage(msgspec.Struct, array_like=True, gc=False):
    """A message value: header, and a part of the body."""

    header: PaneHeader
    part: bytes


class ViewedMessage(msgspec.Struct, array_like=True):
    """A message value, its part where it lies."""

    header: PaneHeader
    part: memoryview


def pane_key(pane: Pane | PackedPane, chunk: int) -> str:
    """Return the message key, ``tenant|model|version|baseline|pane|source|partition|owner|chunk``.

    Examples
    --------
    >>> from schemas.panes import SeriesStats
    >>> stats = SeriesStats.empty(("*",), 1)
    >>> pane_key(Pane(SeriesId("t", "a|b", "1", "p"), 10, 20, "s", 0, "o", 7, stats), 0)
    't|a%7Cb|1|p|10|s|0|o|0'
    """
    s = pane.series
    return join_key(
        s.tenant,
        s.model,
        s.model_version,
        s.profile_id,
        pane.start_us,
        pane.source,
        pane.partition,
        pane.owner,
        chunk,
    )


def pane_partition(tenant: str, model: str, n_partitions: int) -> int:
    """Return the partition of the panes topic in which all panes of a model lie.

    Examples
    --------
    >>> pane_partition("default", "fraud", 8)
    4
    """
    return crc32(f"{tenant}|{model}".encode()) % n_partitions


def encode(pane: Pane, max_bytes: int = MAX_VALUE_BYTES, schema: int = SCHEMA) -> list[bytes]:
    """Return the message values of a pane, in the order of their chunk numbers.

    Parameters
    ----------
    pane : Pane
        Any pane.
    max_bytes : int
        Limit of one value; at least 8 KiB.
    schema : int, optional
        Version of the encoding, 1 or 2; :func:`encode_batch` writes the present one.

    Returns
    -------
    list of bytes
        One for most panes; publish value i under ``pane_key(pane, i)``.

    Notes
    -----
    The same pane always gives the same bytes. A pane of 2,500 rows, eight segments and eleven
    variables takes 10.6 kB and 4 times the CPU in encoding 1, 12.2 kB in encoding 2.
    """
    body = _body_of(pane, schema)
    packed = pa.compress(body, codec="zstd", asbytes=True) if schema == 1 else body
    return _chunks(schema, pane.series, pane, packed, len(body), max_bytes)


def encode_one(pane: PackedPane, max_bytes: int = MAX_VALUE_BYTES) -> list[bytes]:
    """Return the message values of a pane that shares none, in the order of their chunk numbers.

    Parameters
    ----------
    max_bytes : int
        Limit of one value; at least 8 KiB.

    Returns
    -------
    list of bytes
        One for most panes; publish value i under ``pane_key(pane, i)``.
    """
    part = encode_entries([pane])
    return _chunks(BATCH, pane.series, pane, part, len(part), max_bytes)


def encode_batch(panes: Sequence[PackedPane]) -> bytes:
    """Return the message value of panes of one source, partition, owner and version.

    Parameters
    ----------
    panes : sequence of PackedPane
        As many as :func:`~monitor.core.windowing.pane_batch.batches` puts together; publish the
        value under a ``batch_key``.

    Notes
    -----
    The same panes give the same bytes. A pane of one row and 21 variables takes 260 with its
    share of the rest, 415 in a message of its own.
    """
    part = encode_entries(panes)
    (value,) = _chunks(BATCH, NO_SERIES, panes[0], part, len(part), MAX_VALUE_BYTES)
    return value


def _chunks(
    schema: int,
    series: SeriesId,
    pane: Pane | PackedPane,
    packed: bytes,
    n_bytes: int,
    max_bytes: int,
) -> list[bytes]:
    """Cut what a message holds into values, under the times and the source of a pane."""
    room = max_bytes - _HEADER_BYTES
    if room < _HEADER_BYTES:
        raise ShapeError(f"max_bytes is {max_bytes}", where="encode", fix="allow 8192 at least")
    if n_bytes > MAX_BODY_BYTES:
        raise ShapeError(
            f"a pane of {n_bytes} bytes",
            where=f"panes of {series.model}",
            fix="fewer segments or features make it smaller",
        )
    parts = [packed[i : i + room] for i in range(0, len(packed), room)]
    head = PaneHeader(
        schema,
        series.tenant,
        series.model,
        series.model_version,
        series.profile_id,
        pane.start_us,
        pane.end_us,
        pane.source,
        pane.partition,
        pane.owner,
        pane.pane_version,
        0,
        len(parts),
        n_bytes,
    )
    return [
        msgspec.msgpack.encode(PaneMessage(msgspec.structs.replace(head, chunk=i), part))
        for i, part in enumerate(parts)
    ]


def _body_of(pane: Pane, schema: int) -> bytes:
    """Return the body of a pane in an encoding, before compression."""
    if schema == 1:
        return msgspec.msgpack.encode((pack(pane.segments), pack(pane.slices)))
    body = encode_body(pane.segments, pane.slices, has_rows=False)
    return with_details(body, pane.details)


_MESSAGE = msgspec.msgpack.Decoder(PaneMessage)
_VIEWED_MESSAGE = msgspec.msgpack.Decoder(ViewedMessage)


def read_message(value: bytes) -> PaneMessage | ViewedMessage:
    """Return one message value, its header checked.

    Raises
    ------
    TransportError
        If it is not a pane, or one of an unknown encoding.
    """
    try:
        is_large = len(value) >= VIEWED_BYTES
        message = _VIEWED_MESSAGE.decode(value) if is_large else _MESSAGE.decode(value)
    except DECODE_ERRORS as error:
        raise TransportError(f"not a pane: {error}", where="pane message") from error
    head = message.header
    if head.schema not in READABLE:
        raise TransportError(
            f"pane of encoding {head.schema}, this version reads {READABLE[0]} to {READABLE[-1]}",
            where=f"panes of {head.model[:100]}",
            fix="upgrade the reader before the writer",
        )
    if not _is_usual(head):
        try:
            _check_header(head)
        except DomainError as error:
            raise TransportError(f"damaged pane: {error}", where="pane message") from error
    return message


def _is_usual(head: PaneHeader) -> bool:
    """Whether a header is that of one message, and :func:`_check_header` finds no fault.

    False decides nothing. One expression takes a third of the time of the calls.
    """
    return (
        -FARTHEST_US <= head.start_us < head.end_us <= FARTHEST_US
        and head.end_us - head.start_us <= MAX_PANE_US
        and 0 <= head.partition < MAX_PARTITIONS
        and 0 <= head.pane_version <= MAX_OFFSET
        and head.chunks == 1
        and head.chunk == 0
        and 0 <= head.raw_bytes <= MAX_BODY_BYTES
        and is_plain(
            f"{head.tenant}{head.model}{head.model_version}{head.profile_id}{head.source}{head.owner}"
        )
    )


def _check_header(head: PaneHeader) -> None:
    """Check everything a header says; what is wrong raises DomainError."""
    names = (head.tenant, head.model, head.model_version, head.profile_id, head.source, head.owner)
    if not is_plain("".join(names)):
        for name, text in zip(_NAMES, names, strict=True):
            check_text(name, text)
    check_time("start_us", head.start_us)
    check_time("end_us", head.end_us)
    check_number("end_us - start_us", head.end_us - head.start_us, 1, MAX_PANE_US)
    check_number("partition", head.partition, 0, MAX_PARTITIONS - 1)
    check_number("pane_version", head.pane_version, 0, MAX_OFFSET)
    check_number("chunks", head.chunks, 1, MAX_CHUNKS)
    check_number("chunk", head.chunk, 0, head.chunks - 1)
    check_number("raw_bytes", head.raw_bytes, 0, MAX_BODY_BYTES)


def read_header(value: bytes) -> PaneHeader:
    """Return the header of one message value.

    Raises
    ------
    TransportError
        If it is not a pane, or one of an unknown encoding.
    """
    return read_message(value).header


def decode(values: Sequence[bytes]) -> Pane:
    """Return the pane whose chunks these are, in any order.

    Parameters
    ----------
    values : sequence of bytes
        All chunks of one pane, version and owner.

    Returns
    -------
    Pane
        Equal to what was encoded, bit for bit.

    Raises
    ------
    TransportError
        If a chunk is missing, foreign or damaged, or they hold several panes.
    """
    found = decode_all(values)
    if len(found) != 1:
        raise TransportError(f"{len(found)} panes", where="panes", fix="use decode_all")
    return found[0]


def decode_all(values: Sequence[bytes]) -> list[Pane]:
    """Return the panes of one message, or of one message in chunks, in any order.

    Raises
    ------
    TransportError
        If a chunk is missing, foreign or damaged.
    """
    found, faults = read_sound(values)
    if faults:
        raise TransportError(f"damaged pane: {faults[0]}", where="panes")
    return [assembled.pane for assembled in found]


def read_sound(values: Sequence[bytes]) -> tuple[list[Assembled], list[str]]:
    """Return the panes of one message that are in order, and what is wrong with others.

    Raises
    ------
    TransportError
        If a chunk is missing or foreign, or the message is damaged as a whole.
    """
    return read_panes(_joined([read_message(v) for v in values]), MAX_OFFSET)


class Whole(msgspec.Struct, frozen=True, gc=False):
    """A message, or all chunks of one; what it holds is not checked yet."""

    header: PaneHeader
    raw: bytes | memoryview
    first_offset: int
    """Of its first chunk."""

    def entries(self) -> list[Entry]:
        """Return its panes; their bodies are not checked.

        Raises
        ------
        DomainError
            If there are none, or the body of an older encoding is damaged.
        """
        head = self.header
        if head.schema != 1:
            check_number("raw_bytes", head.raw_bytes, len(self.raw), len(self.raw))
        if head.schema == BATCH:
            return read_entries(self.raw, head.start_us, head.end_us)
        try:
            raw = bytes(self.raw)
            body = _recoded(raw, head.raw_bytes) if head.schema == 1 else _checked(raw)
        except (OSError, ValueError, MemoryError, RecursionError) as error:
            raise DomainError(f"{error}") from error
        return [Entry(encode_series(head.series), head.start_us, head.end_us, body)]

    def packed(self, series: SeriesId, entry: Entry, n_variables: int) -> PackedPane:
        """Return one of its panes."""
        head = self.header
        return PackedPane(
            series,
            entry.start_us,
            entry.end_us,
            head.source,
            head.partition,
            head.owner,
            head.pane_version,
            n_variables,
            entry.body,
        )


def check_span(start_us: int, end_us: int, record_time_us: int = -1) -> None:
    """Check the times of a pane.

    Raises
    ------
    DomainError
        If one is no time, it starts more than a day ahead of its record, or is too long.
    """
    check_time("start_us", start_us, record_time_us)
    check_time("end_us", end_us)
    check_number("end_us - start_us", end_us - start_us, 1, MAX_PANE_US)


def read_panes(whole: Whole, max_count: int) -> tuple[list[Assembled], list[str]]:
    """Return the panes of a message that are in order, and what is wrong with others.

    Raises
    ------
    TransportError
        If the message is damaged as a whole.
    """
    found, faults, n_unpacked = list[Assembled](), list[str](), 0
    head = whole.header
    checked_us = (head.start_us, head.end_us)
    try:
        entries = whole.entries()
    except DomainError as error:
        where = f"panes of {whole.header.model}"
        raise TransportError(f"damaged pane: {error}", where=where) from error
    for entry in entries:
        try:
            if (entry.start_us, entry.end_us) != checked_us:
                check_span(entry.start_us, entry.end_us)
            body, series = view_body(entry.body), known_series(entry.series)
            n_unpacked += body.unpacked_bytes
            check_number("bytes of its arrays", n_unpacked, 0, MAX_BATCH_UNPACKED)
            check_body(body, max_count)
        except DomainError as error:
            faults.append(str(error))
        else:
            packed = whole.packed(series, entry, body.n_variables)
            found.append(Assembled(packed, body, whole.first_offset))
    return found, faults


def _joined(messages: Sequence[PaneMessage | ViewedMessage], first_offset: int = 0) -> Whole:
    """Return the message whose chunks these are.

    Raises
    ------
    TransportError
        If a chunk is missing or foreign.
    """
    head = messages[0].header if messages else None
    if head is None or len(messages) > 1 or head.chunks > 1:
        messages = sorted(messages, key=lambda m: m.header.chunk)
        _check_chunks(messages)
        head = messages[0].header
    raw = b"".join([m.part for m in messages]) if len(messages) > 1 else messages[0].part
    return Whole(head, raw, first_offset)


def _check_chunks(messages: Sequence[PaneMessage | ViewedMessage]) -> None:
    """Check that messages, in order, are the chunks of one pane."""
    if not messages or [m.header.chunk for m in messages] != [*range(messages[0].header.chunks)]:
        raise TransportError(
            f"chunks {[m.header.chunk for m in messages]} do not make a pane", where="panes"
        )
    head = messages[0].header
    if any(msgspec.structs.replace(m.header, chunk=0) != head for m in messages[1:]):
        raise TransportError("chunks of different panes", where=f"panes of {head.model}")


def _recoded(raw: bytes, n_bytes: int) -> bytes:
    """Return a body of encoding 1 as one of today."""
    content = pa.decompress(raw, n_bytes, codec="zstd", asbytes=True)
    segments, slices = msgspec.msgpack.decode(content, type=tuple[PackedStats, PackedStats])
    check_number("variables of the slices", slices.n_variables, 1, 1)
    return with_details(encode_body(unpack(segments), unpack(slices)), NOT_COUNTED)


def _checked(raw: bytes) -> bytes:
    """Return a body of encoding 2 as one of today."""
    check_body(open_body(raw), MAX_OFFSET)
    return canonical_body(raw)


class Assembled(msgspec.Struct, gc=False):
    """A whole pane, and the log offset of its first chunk."""

    packed: PackedPane
    body: PaneBody
    """Of ``packed``, opened."""
    first_offset: int

    @property
    def pane(self) -> Pane:
        """The pane with its arrays."""
        return self.packed.unpack()


class _SetKey(NamedTuple):
    """Chunks of the same key and version belong together."""

    series: SeriesId
    start_us: int
    end_us: int
    source: str
    partition: int
    owner: str
    schema: int
    chunks: int
    raw_bytes: int


@dataclass(slots=True)
class _PaneParts:
    """What is there of one pane."""

    version: int
    parts: dict[int, tuple[int, PaneMessage | ViewedMessage]] = field(default_factory=dict)
    """By chunk: log offset and message."""

    @property
    def first_offset(self) -> int:
        """Offset of the first chunk that came."""
        return min(offset for offset, _ in self.parts.values())

    @property
    def n_bytes(self) -> int:
        """Bytes of the chunks."""
        return sum(len(message.part) for _, message in self.parts.values())


class PaneAssembler:
    """Collects chunks until a pane is whole; what is incomplete never counts.

    Parameters
    ----------
    max_count : int, optional
        The highest value of a counter; a pane with a higher one is refused.

    Attributes
    ----------
    n_dropped : int
        Incomplete panes that were given up because too many waited.

    Notes
    -----
    Holds incomplete sets only. A chunk of a higher version by the same owner drops
    the older sets of that pane. A pane of one chunk waits for nothing.
    """

    def __init__(self, max_count: int = MAX_OFFSET) -> None:
        self._max_count = max_count
        self._sets: dict[_SetKey, _PaneParts] = {}
        self._n_bytes = 0
        self.n_dropped = 0

    @property
    def first_offset(self) -> int | None:
        """Offset of the oldest chunk that waits for others: reading must start again there."""
        return min((found.first_offset for found in self._sets.values()), default=None)

    def add(self, value: bytes, offset: int) -> list[Assembled]:
        """Take one message value and its log offset; returns the panes that are whole now.

        Raises
        ------
        TransportError
            If it is not a pane, or completes a damaged one.
        """
        whole = self.take(read_message(value), offset)
        if whole is None:
            return []
        found, faults = read_panes(whole, self._max_count)
        if faults:
            raise TransportError(f"damaged pane: {faults[0]}", where="panes")
        return found

    def take(self, message: PaneMessage | ViewedMessage, offset: int) -> Whole | None:
        """Take one message that was read, and its log offset; returns what is whole now."""
        head = message.header
        if head.chunks == 1:
            return Whole(head, message.part, offset)
        key = _key(head)
        found = self._sets.setdefault(key, _PaneParts(head.pane_version))
        if head.pane_version < found.version:
            return None
        if head.pane_version > found.version:
            self._n_bytes -= found.n_bytes
            found.version, found.parts = head.pane_version, {}
        known = found.parts.get(head.chunk)
        self._n_bytes += len(message.part) - (len(known[1].part) if known is not None else 0)
        found.parts[head.chunk] = (offset, message)
        if len(found.parts) < head.chunks:
            self._drop_oldest()
            return None
        self._pop(key)
        parts = [part for _, part in found.parts.values()]
        return _joined(parts, found.first_offset)

    def forget(self, before_us: int) -> None:
        """Drop incomplete panes that end at or before this: their window has closed."""
        for key in [key for key in self._sets if key.end_us <= before_us]:
            self._pop(key)

    def _drop_oldest(self) -> None:
        """Give up sets that began first, while too many wait."""
        while len(self._sets) > MAX_WAITING or self._n_bytes > MAX_WAITING_BYTES:
            self._pop(next(iter(self._sets)))
            self.n_dropped += 1

    def _pop(self, key: _SetKey) -> None:
        """Drop a set."""
        self._n_bytes -= self._sets.pop(key).n_bytes


def _key(head: PaneHeader) -> _SetKey:
    """Return what the chunks of one pane share."""
    return _SetKey(
        head.series,
        head.start_us,
        head.end_us,
        head.source,
        head.partition,
        head.owner,
        head.schema,
        head.chunks,
        head.raw_bytes,
    )
