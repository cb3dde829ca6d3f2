"""State messages: chunks in two alternating slots, so that a complete state survives a crash.

A state may exceed the broker's message size, and replaces the previous one on a compacted topic. So
chunks contain their sequence number, and the key only its parity: while sequence 8 overwrites 6,
sequence 7 is still complete. The owner is in the key too, because compaction keeps the last offset,
not the highest sequence: otherwise a zombie's messages would replace those of the new owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import msgspec
import pyarrow as pa

from monitor.core.bounds import DECODE_ERRORS, MAX_VALUE_BYTES, check_number, check_text
from monitor.core.message_keys import join_key, split_key
from monitor.core.topics import STATE
from monitor.core.unreadable import letter_write, unreadable_letter
from monitor.core.windowing.codec import MAX_BODY_BYTES, MAX_CHUNKS
from monitor.core.write import Write
from schemas.errors import DomainError, TransportError

SCHEMA = 1
MAX_SEQUENCE = 1 << 53
_HIGHEST = 1 << 52
"""Upper bound from which counting continues, so that a damaged sequence number leaves room."""
MAX_REFUSED = 100
"""Unreadable messages that are kept for dead letters; further ones are only counted."""
MAX_SNAPSHOT_BYTES = 2 << 30
"""Compressed size of all states of a partition; further states are rejected."""
_MAX_NAMES = 4

StateT = TypeVar("StateT", bound=msgspec.Struct)


class _Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A message value."""

    schema: int
    sequence: int
    chunk: int
    chunks: int
    raw_bytes: int
    part: bytes


class StateKey(NamedTuple):
    """A message key: ``kind`` of the state, ``name`` of the model or partition."""

    kind: str
    name: tuple[str, ...]
    owner: str
    slot: int
    chunk: int

    def encode(self) -> bytes:
        """Return the key as in the log.

        Examples
        --------
        >>> StateKey("model", ("default", "a|b"), "o", 1, 0).encode()
        b'model|default|a%7Cb|o|1|0'
        """
        return join_key(self.kind, *self.name, self.owner, self.slot, self.chunk).encode()

    @staticmethod
    def parse(key: bytes) -> StateKey:
        """Decode a key.

        Raises
        ------
        TransportError
            If it is not a key.

        Examples
        --------
        >>> StateKey.parse(b"model|default|a%7Cb|o|1|0").name
        ('default', 'a|b')
        """
        try:
            kind, *name, owner, slot, chunk = split_key(key.decode())
            check_number("length of the name", len(name), 1, _MAX_NAMES)
            for text in (kind, *name, owner):
                check_text("name", text)
            return StateKey(kind, tuple(name), owner, _small(slot), _small(chunk))
        except ValueError as error:
            raise TransportError(f"not a state's key: {key[:80]!r}", where="state") from error


def _small(digits: str) -> int:
    """Parse a slot or chunk number."""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 4):
        raise ValueError(digits[:80])
    return int(digits)


def state_writes(
    kind: str,
    name: tuple[str, ...],
    owner: str,
    sequence: int,
    body: bytes,
    max_bytes: int = MAX_VALUE_BYTES,
    *,
    partition: int,
) -> list[Write]:
    """Return a state as messages.

    Parameters
    ----------
    kind, name, owner
        Parts of the key.
    sequence : int
        Sequence number of the state of this kind and name, over all owners; the highest is current.
    max_bytes : int, optional
        Maximum size of one value.
    partition : int
        Partition of the state topic, the same as that of the input.
    """
    packed = pa.compress(body, codec="zstd", asbytes=True)
    parts = [packed[i : i + max_bytes] for i in range(0, len(packed), max_bytes)]
    return [
        Write(
            STATE,
            StateKey(kind, name, owner, sequence % 2, i).encode(),
            msgspec.msgpack.encode(_Chunk(SCHEMA, sequence, i, len(parts), len(body), part)),
            partition,
        )
        for i, part in enumerate(parts)
    ]


class Stored(NamedTuple):
    """A complete state."""

    sequence: int
    owner: str
    body: bytes


class RefusedState(NamedTuple):
    """An unusable message of the state topic."""

    offset: int
    value: bytes
    detail: str
    record_time_us: int


class SnapshotStore:
    """All state messages of one partition, in log order; independent of compaction.

    Attributes
    ----------
    n_unreadable : int
        Number of unreadable messages and bodies, which are ignored.
    refused : list of RefusedState
        The first hundred of these messages, for dead letters.
    """

    def __init__(self) -> None:
        self._chunks: dict[StateKey, _Chunk] = {}
        self._where: dict[StateKey, tuple[int, int]] = {}
        self._n_bytes = 0
        self.n_unreadable = 0
        self.refused: list[RefusedState] = []

    def add(self, key: bytes, value: bytes, offset: int = -1, record_time_us: int = -1) -> None:
        """Add one message; an empty value is a tombstone.

        Parameters
        ----------
        offset, record_time_us : int, optional
            Offset and record time of the message, for its dead letter.
        """
        try:
            place = StateKey.parse(key)
            chunk = _read_chunk(value, place) if value else None
            self._put(place, chunk)
            if chunk is not None:
                self._where[place] = (offset, record_time_us)
        except (TransportError, DomainError) as error:
            self._refuse(RefusedState(offset, value, str(error), record_time_us))

    def _put(self, place: StateKey, chunk: _Chunk | None) -> None:
        """Store a chunk, or delete it for a tombstone."""
        before = self._chunks.get(place)
        n_bytes = self._n_bytes - (len(before.part) if before is not None else 0)
        if chunk is None:
            self._chunks.pop(place, None)
            self._where.pop(place, None)
        else:
            n_bytes += len(chunk.part)
            if n_bytes > MAX_SNAPSHOT_BYTES:
                raise DomainError(
                    f"the states of this partition take more than {MAX_SNAPSHOT_BYTES} bytes"
                )
            self._chunks[place] = chunk
        self._n_bytes = n_bytes

    def names(self, kind: str) -> list[tuple[str, ...]]:
        """Return the names of one kind, sorted."""
        return sorted({place.name for place in self._chunks if place.kind == kind})

    def stored(self, kind: str, name: tuple[str, ...]) -> Iterator[Stored]:
        """Yield the complete states, the current one first."""
        whole: list[tuple[int, StateKey]] = []
        for place, chunk in self._chunks.items():
            is_first = (place.kind, place.name, place.chunk) == (kind, name, 0)
            if is_first and self._is_whole(place, chunk):
                whole.append((chunk.sequence, place))
        for sequence, place in sorted(whole, reverse=True):
            try:
                yield Stored(sequence, place.owner, self._body(place))
            except (OSError, ValueError, MemoryError) as error:
                self._refuse_body(place, f"damaged state: {error}")

    def refuse(self, kind: str, stored: Stored, name: tuple[str, ...], detail: str) -> None:
        """Reject a complete state with an invalid value."""
        place = StateKey(kind, name, stored.owner, stored.sequence % 2, 0)
        self._refuse_body(place, f"damaged state: {detail}")

    def _refuse_body(self, place: StateKey, detail: str) -> None:
        """Record an unusable complete state, with its first chunk."""
        offset, record_time_us = self._where[place]
        self._refuse(
            RefusedState(
                offset, msgspec.msgpack.encode(self._chunks[place]), detail, record_time_us
            )
        )

    def _refuse(self, refused: RefusedState) -> None:
        """Count an unusable message, and keep it for its dead letter."""
        self.n_unreadable += 1
        if len(self.refused) < MAX_REFUSED:
            self.refused.append(refused)

    def last_sequence(self, kind: str, name: tuple[str, ...]) -> int:
        """Return the highest sequence number, complete or not; 0 without states."""
        found = (c.sequence for p, c in self._chunks.items() if (p.kind, p.name) == (kind, name))
        return min(max(found, default=0), _HIGHEST)

    def tombstones(self, kind: str, name: tuple[str, ...], partition: int) -> list[Write]:
        """Return tombstones of all messages, to be written after a new owner's state."""
        return [
            Write(STATE, place.encode(), None, partition)
            for place in self._chunks
            if (place.kind, place.name) == (kind, name)
        ]

    def forget(self, kind: str, name: tuple[str, ...]) -> None:
        """Drop all messages of one name."""
        mine = [p for p in self._chunks if (p.kind, p.name) == (kind, name)]
        for place in mine:
            self._put(place, None)

    def _is_whole(self, place: StateKey, head: _Chunk) -> bool:
        """Return whether all chunks of the first chunk's sequence exist."""
        others = (self._chunks.get(place._replace(chunk=i)) for i in range(head.chunks))
        return all(c is not None and c.sequence == head.sequence for c in others)

    def _body(self, place: StateKey) -> bytes:
        """Join the chunks of a complete state."""
        head = self._chunks[place]
        parts = [self._chunks[place._replace(chunk=i)].part for i in range(head.chunks)]
        body: bytes = pa.decompress(b"".join(parts), head.raw_bytes, codec="zstd", asbytes=True)
        return body


def read_body(body: bytes, kind: type[StateT]) -> StateT:
    """Decode the body of a state; values are checked by the caller.

    Parameters
    ----------
    body : bytes
        Body of a :class:`Stored`.
    kind : type
        Type to decode.

    Raises
    ------
    DomainError
        If the bytes are not such a struct.
    """
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except DECODE_ERRORS as error:
        raise DomainError(f"not a {kind.__name__}: {error}") from None


def _read_chunk(value: bytes, place: StateKey) -> _Chunk:
    """Decode one message value, and check its metadata."""
    try:
        chunk = msgspec.msgpack.decode(value, type=_Chunk)
    except DECODE_ERRORS as error:
        raise TransportError(f"not a state: {error}", where="state") from None
    if chunk.schema != SCHEMA:
        raise DomainError(f"state of encoding {chunk.schema}, this version reads {SCHEMA}")
    check_number("sequence", chunk.sequence, 0, MAX_SEQUENCE)
    check_number("slot", place.slot, chunk.sequence % 2, chunk.sequence % 2)
    check_number("chunks", chunk.chunks, 1, MAX_CHUNKS)
    check_number("chunk", chunk.chunk, 0, chunk.chunks - 1)
    check_number("chunk of the key", place.chunk, chunk.chunk, chunk.chunk)
    check_number("raw_bytes", chunk.raw_bytes, 0, MAX_BODY_BYTES)
    return chunk


def refused_writes(snapshots: SnapshotStore, partition: int, first: int = 0) -> list[Write]:
    """Return the dead letters of unusable messages.

    Parameters
    ----------
    partition : int
        Partition of the state topic.
    first : int, optional
        Index of the first message that is not yet written as a dead letter.
    """
    return [
        letter_write(
            unreadable_letter(
                refused.value,
                refused.detail,
                source=STATE,
                partition=partition,
                offset=refused.offset,
                record_time_us=refused.record_time_us,
            )
        )
        for refused in snapshots.refused[first:]
    ]
