"""State messages: in chunks, in two slots by turns, and what stands after any crash.

A state may be larger than a broker takes, and it is written over the last one on a
compacted topic. So its chunks carry the sequence they belong to, and the key only its
parity: while sequence 8 is being written over 6, all of 7 is still there. The owner is in
the key as well, because compaction keeps the last offset, not the highest sequence: what a
zombie wrote would replace what the new owner did.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pyarrow as pa

from monitor.core.detect_writes import TopicWrite
from monitor.core.pane_codec import MAX_BODY_BYTES, MAX_CHUNK_BYTES
from monitor.core.topics import STATE
from schemas.errors import TransportError

SCHEMA = 1


class _Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A message value."""

    schema: int
    sequence: int
    chunk: int
    chunks: int
    raw_bytes: int
    part: bytes


class StateKey(NamedTuple):
    """A message key. ``kind`` says whose state, ``name`` of which model or partition."""

    kind: str
    name: tuple[str, ...]
    owner: str
    slot: int
    chunk: int

    def encode(self) -> bytes:
        """Return the key as it stands in the log.

        Examples
        --------
        >>> StateKey("model", ("default", "a|b"), "o", 1, 0).encode()
        b'model|default|a%7Cb|o|1|0'
        """
        parts = (self.kind, *self.name, self.owner, str(self.slot), str(self.chunk))
        return "|".join(p.replace("%", "%25").replace("|", "%7C") for p in parts).encode()

    @staticmethod
    def parse(key: bytes) -> StateKey:
        """Read a key back.

        Raises
        ------
        TransportError
            If it is none.

        Examples
        --------
        >>> StateKey.parse(b"model|default|a%7Cb|o|1|0").name
        ('default', 'a|b')
        """
        try:
            texts = key.decode().split("|")
            kind, *name, owner, slot, chunk = (
                t.replace("%7C", "|").replace("%25", "%") for t in texts
            )
            return StateKey(kind, tuple(name), owner, int(slot), int(chunk))
        except ValueError as error:
            raise TransportError(f"not a state's key: {key[:80]!r}", where="state") from error


def state_writes(
    kind: str,
    name: tuple[str, ...],
    owner: str,
    sequence: int,
    body: bytes,
    max_bytes: int = MAX_CHUNK_BYTES,
) -> list[TopicWrite]:
    """Return a state as messages.

    Parameters
    ----------
    kind, name, owner
        Of the key.
    sequence : int
        Counts the states of this kind and name, over owners; the highest stands.
    body : bytes
    max_bytes : int, optional
        Of one value.
    """
    packed = pa.compress(body, codec="zstd", asbytes=True)
    parts = [packed[i : i + max_bytes] for i in range(0, len(packed), max_bytes)]
    return [
        TopicWrite(
            STATE,
            StateKey(kind, name, owner, sequence % 2, i).encode(),
            msgspec.msgpack.encode(_Chunk(SCHEMA, sequence, i, len(parts), len(body), part)),
            True,
        )
        for i, part in enumerate(parts)
    ]


class Stored(NamedTuple):
    """A whole state."""

    sequence: int
    owner: str
    body: bytes


class StateShelf:
    """Every state message of one partition, read in log order; compacted or not is the same.

    Attributes
    ----------
    n_unreadable : int
        Messages and bodies that could not be read: as if they were not there.
    """

    def __init__(self) -> None:
        self._chunks: dict[StateKey, _Chunk] = {}
        self.n_unreadable = 0

    def add(self, key: bytes, value: bytes) -> None:
        """Take one message; an empty value is a tombstone."""
        try:
            place = StateKey.parse(key)
            if not value:
                self._chunks.pop(place, None)
                return
            chunk = msgspec.msgpack.decode(value, type=_Chunk)
            if chunk.schema == SCHEMA and chunk.chunk == place.chunk:
                self._chunks[place] = chunk
                return
        except (TransportError, msgspec.DecodeError, UnicodeDecodeError):
            pass
        self.n_unreadable += 1

    def names(self, kind: str) -> list[tuple[str, ...]]:
        """Return the names of one kind, sorted."""
        return sorted({place.name for place in self._chunks if place.kind == kind})

    def stored(self, kind: str, name: tuple[str, ...]) -> Iterator[Stored]:
        """Yield the complete states, the one that stands first."""
        whole: list[tuple[int, StateKey]] = []
        for place, chunk in self._chunks.items():
            is_first = (place.kind, place.name, place.chunk) == (kind, name, 0)
            if is_first and self._is_whole(place, chunk):
                whole.append((chunk.sequence, place))
        for sequence, place in sorted(whole, reverse=True):
            try:
                yield Stored(sequence, place.owner, self._body(place))
            except (OSError, ValueError, MemoryError):
                self.n_unreadable += 1

    def last_sequence(self, kind: str, name: tuple[str, ...]) -> int:
        """Return the highest sequence seen, whole or not; 0 for none."""
        found = (c.sequence for p, c in self._chunks.items() if (p.kind, p.name) == (kind, name))
        return max(found, default=0)

    def tombstones(self, kind: str, name: tuple[str, ...]) -> list[TopicWrite]:
        """Return what takes all of them back, for when a state of a new owner stands."""
        return [
            TopicWrite(STATE, place.encode(), None, True)
            for place in self._chunks
            if (place.kind, place.name) == (kind, name)
        ]

    def forget(self, kind: str, name: tuple[str, ...]) -> None:
        """Drop what is held of one name."""
        mine = [p for p in self._chunks if (p.kind, p.name) == (kind, name)]
        for place in mine:
            del self._chunks[place]

    def _is_whole(self, place: StateKey, head: _Chunk) -> bool:
        """Say whether all chunks of the first one's sequence are there."""
        others = (self._chunks.get(place._replace(chunk=i)) for i in range(head.chunks))
        return all(c is not None and c.sequence == head.sequence for c in others)

    def _body(self, place: StateKey) -> bytes:
        """Put the chunks of a whole state together."""
        head = self._chunks[place]
        if not 0 <= head.raw_bytes <= MAX_BODY_BYTES:
            raise ValueError(f"a body of {head.raw_bytes} bytes")
        parts = [self._chunks[place._replace(chunk=i)].part for i in range(head.chunks)]
        body: bytes = pa.decompress(b"".join(parts), head.raw_bytes, codec="zstd", asbytes=True)
        return body
