"""Messages with keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.transport.kafka.readers.gather import PAD_BYTES
from schemas.batch import Chunk, Int64Array, Uint8Array


@dataclass(frozen=True, slots=True)
class Records:
    """A chunk with the keys of its messages.

    Examples
    --------
    >>> records = join_records([(7, 1_000, b"k", None)], "source", 0)
    >>> records.key(0), records.value(0), len(records.chunk)
    (b'k', None, 1)
    """

    chunk: Chunk
    key_bytes: Uint8Array
    key_offsets: Int64Array
    """Shape (n + 1,), byte positions."""
    has_key: NDArray[np.bool_]
    has_value: NDArray[np.bool_]
    """Shape (n,); False is a tombstone, whose payload in the chunk is empty."""

    def __len__(self) -> int:
        return len(self.chunk)

    def key(self, i: int) -> bytes | None:
        """Return the key of message ``i``, or None."""
        start, end = self.key_offsets[i], self.key_offsets[i + 1]
        return self.key_bytes[start:end].tobytes() if self.has_key[i] else None

    def value(self, i: int) -> bytes | None:
        """Return the payload of message ``i``, None for a tombstone."""
        start, end = self.chunk.offsets[i], self.chunk.offsets[i + 1]
        return self.chunk.buffer[start:end].tobytes() if self.has_value[i] else None


Row = tuple[int, int, bytes | None, bytes | None]
"""Log offset, record time in microseconds (-1: none), key, value."""


class ClientMessage(Protocol):
    """Interface of the messages that ``consume()`` returns."""

    def offset(self) -> int | None:
        """Return the log offset."""

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of timestamp (0: none) and milliseconds."""

    def key(self) -> bytes | None:
        """Return the key."""

    def value(self) -> bytes | None:
        """Return the payload."""


def row_of(message: ClientMessage) -> Row:
    """Return the fields of a message that are used."""
    kind, time_ms = message.timestamp()
    time_us = time_ms * 1000 if kind and time_ms >= 0 else -1
    return message.offset() or 0, time_us, message.key(), message.value()


def _joined(parts: Sequence[bytes | None], n_pad: int) -> tuple[Uint8Array, Int64Array]:
    """Concatenate byte strings; None has length 0."""
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    lengths = np.fromiter((len(p or b"") for p in parts), dtype=np.int64, count=len(parts))
    np.cumsum(lengths, out=offsets[1:])
    joined = b"".join([*(p for p in parts if p), bytes(n_pad)])
    return np.frombuffer(joined, dtype=np.uint8), offsets


def join_chunk(rows: Sequence[Row], source: str, partition: int) -> Chunk:
    """Build a chunk from messages that are Python objects.

    Parameters
    ----------
    rows : sequence of Row
        Of one partition, in log order.
    source : str
        Topic id.

    Returns
    -------
    Chunk
        Its buffer ends in ``PAD_BYTES`` zeros.
    """
    n = len(rows)
    buffer, offsets = _joined([row[3] for row in rows], PAD_BYTES)
    return Chunk(
        source=source,
        partition=partition,
        buffer=buffer,
        offsets=offsets,
        log_offset=np.fromiter((row[0] for row in rows), dtype=np.int64, count=n),
        record_time_us=np.fromiter((row[1] for row in rows), dtype=np.int64, count=n),
    )


def join_records(rows: Sequence[Row], source: str, partition: int) -> Records:
    """Build records from messages that are Python objects; parameters as :func:`join_chunk`."""
    n = len(rows)
    key_bytes, key_offsets = _joined([row[2] for row in rows], 0)
    return Records(
        chunk=join_chunk(rows, source, partition),
        key_bytes=key_bytes,
        key_offsets=key_offsets,
        has_key=np.fromiter((row[2] is not None for row in rows), dtype=np.bool_, count=n),
        has_value=np.fromiter((row[3] is not None for row in rows), dtype=np.bool_, count=n),
    )
