"""Counts events whose id their source partition has read before, in bounded memory.

A producer that retries sends an event again under its id. Both count in windows, because
remembering every id of a window would cost more than counting its values; the store keeps
one. The share is reported, so that the difference is visible.
"""

from __future__ import annotations

from hashlib import blake2b
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.jit import inlined, kernel
from monitor.decode.dictionaries import HAS_KERNELS
from monitor.decode.interning import folded, tail_mask
from monitor.decode.memory import load_byte, load_word
from schemas.batch import EventBatch

N_BUCKETS = 1 << 14
BUCKET = 16
"""Tags in a bucket: 64 bytes, one cache line. The oldest of a bucket is replaced, so that of
the last 100,000 ids of a partition 99.9 % are remembered, in 1 MiB; a wrong match has a
probability of 4e-9."""

_MIX = np.uint64(0x9E3779B97F4A7C15)
_FACTOR = np.uint64(0xD6E8FEB86659FD93)


class RepeatedIds:
    """The ids of one source partition, most recent ones.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from monitor.decode.arrow.record_batches import batch_from_arrow
    >>> from schemas.batch import ModelSchema
    >>> rows = pa.record_batch({"time_us": [1, 2, 3, 4], "id": ["a", "b", "a", None]})
    >>> batch, _ = batch_from_arrow(rows, ModelSchema("default", "m", ()), 0)
    >>> seen = RepeatedIds()
    >>> seen.count(batch), seen.count(batch)
    (1, 3)
    """

    def __init__(self) -> None:
        self._tags = np.zeros((N_BUCKETS, BUCKET), np.uint32)
        self._next = np.zeros(N_BUCKETS, np.uint8)

    def count(self, batch: EventBatch) -> int:
        """Return how many events of a batch have an id read before, and remember all ids.

        Notes
        -----
        Events without an id are not counted. 20 ns an event of 18 bytes of id.
        """
        seed = crc32(f"{batch.schema.tenant}|{batch.schema.model}".encode())
        if not HAS_KERNELS:
            return self._count_slowly(batch, seed)
        ids = np.ascontiguousarray(batch.id_bytes)
        spans = np.ascontiguousarray(batch.id_spans)
        found = count_repeated(spans, ids.ctypes.data, len(ids), self._tags, self._next, seed)
        return int(found)

    def _count_slowly(self, batch: EventBatch, seed: int) -> int:
        """Count without compiled code."""
        n_repeated = 0
        for start, length in batch.id_spans.tolist():
            if length > 0:
                text = batch.id_bytes[start : start + length].tobytes()
                key = seed.to_bytes(4, "little")
                hashed = int.from_bytes(blake2b(text, digest_size=8, key=key).digest(), "little")
                n_repeated += _take(self._tags, self._next, np.uint64(hashed))
        return n_repeated


@inlined
def _take(tags: NDArray[np.uint32], following: NDArray[np.uint8], hashed: np.uint64) -> int:
    """Return 1 if the tag is in its bucket, else put it there and return 0."""
    bucket = np.int64(hashed & np.uint64(N_BUCKETS - 1))
    tag = np.uint32(hashed >> np.uint64(32)) | np.uint32(1)  # 0 is an empty place
    n_found = 0
    for k in range(BUCKET):
        n_found += tags[bucket, k] == tag
    if n_found:
        return 1
    at = following[bucket]
    tags[bucket, at] = tag
    following[bucket] = (at + 1) % BUCKET
    return 0


@kernel
def count_repeated(
    spans: NDArray[np.int64],
    address: int,
    n_bytes: int,
    tags: NDArray[np.uint32],
    following: NDArray[np.uint8],
    seed: int,
) -> int:
    """Hash each id in words of eight bytes, and look it up."""
    n_repeated = 0
    for i in range(spans.shape[0]):
        start = spans[i, 0]
        length = spans[i, 1]
        if length <= 0:
            continue
        hashed = (np.uint64(seed) + np.uint64(length)) * _MIX
        at = 0
        while at < length:
            rest = length - at
            if start + at + 8 <= n_bytes:
                word = load_word(address + start + at)
                if rest < 8:
                    word &= tail_mask(rest)
            else:
                word = np.uint64(0)
                for k in range(min(rest, 8)):
                    byte = np.uint64(load_byte(address + start + at + k))
                    word |= byte << np.uint64(8 * k)
            hashed = folded(hashed ^ word, _FACTOR)
            at += 8
        n_repeated += _take(tags, following, hashed)
    return n_repeated
