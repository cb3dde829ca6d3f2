"""Messages joined into one chunk, with the padding the kernel reads into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitor.decode.memory import PAD_BYTES
from schemas.batch import Chunk, Int64Array


def chunk_of(
    messages: Sequence[bytes],
    source: str,
    partition: int = 0,
    first_offset: int = 0,
    record_time_us: Int64Array | None = None,
) -> Chunk:
    """Join messages of one source partition.

    Parameters
    ----------
    source : str
        Topic id, or the file's name.
    partition, first_offset : int
        Offsets are contiguous from ``first_offset``.
    record_time_us : ndarray of int64, shape (n,), optional
        Without it -1: the event time is used.

    Returns
    -------
    Chunk
        Its buffer ends in ``PAD_BYTES`` zeros, so that nothing is copied again.

    Examples
    --------
    >>> chunk = chunk_of([b"ab", b"c"], "file")
    >>> chunk.offsets.tolist(), chunk.log_offset.tolist()
    ([0, 2, 3], [0, 1])
    """
    n = len(messages)
    offsets = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, messages), dtype=np.int64, count=n), out=offsets[1:])
    joined = b"".join((*messages, bytes(PAD_BYTES)))
    if record_time_us is None:
        record_time_us = np.full(n, -1, dtype=np.int64)
    return Chunk(
        source=source,
        partition=partition,
        buffer=np.frombuffer(joined, dtype=np.uint8),
        offsets=offsets,
        log_offset=np.arange(first_offset, first_offset + n, dtype=np.int64),
        record_time_us=record_time_us,
    )


def slice_of(chunk: Chunk, start: int, stop: int) -> Chunk:
    """Return messages ``start`` to ``stop`` of a chunk, without copying them.

    The buffer keeps the bytes behind them, which the decoder may read.

    Examples
    --------
    >>> part = slice_of(chunk_of([b"ab", b"c", b"def"], "file"), 1, 3)
    >>> part.log_offset.tolist(), part.offsets.tolist()
    ([1, 2], [0, 1, 4])
    """
    first = int(chunk.offsets[start])
    return replace(
        chunk,
        buffer=chunk.buffer[first:],
        offsets=chunk.offsets[start : stop + 1] - first,
        log_offset=chunk.log_offset[start:stop],
        record_time_us=chunk.record_time_us[start:stop],
    )
