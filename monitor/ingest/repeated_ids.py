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

from detectors.kernels.jit import kernel
from monitor.decode.dictionaries import HAS_KERNELS
from monitor.decode.interning import folded, tail_mask
from monitor.decode.memory import (
    Address,
    equal_codes,
    load_byte,
    load_int,
    load_word,
    prefetch,
    store_byte,
    store_code,
    store_word,
)
from schemas.batch import EventBatch, Int64Array, MixedBatch, ModelSchema, Uint8Array

N_BUCKETS = 1 << 14
BUCKET = 16
"""Tags in a bucket: 64 bytes, one cache line. The oldest of a bucket is replaced, so that of
the last 100,000 ids of a partition 99.9 % are remembered, in 1 MiB; a wrong match has a
probability of 4e-9."""

_AHEAD = 24
"""Ids that far ahead are requested from memory: 60 ns an event became 40."""
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
        self._seeds: dict[tuple[str, str], int] = {}

    def count(self, batch: EventBatch) -> int:
        """Return how many events of a batch have an id read before, and remember all ids.

        Notes
        -----
        Events without an id are not counted. 40 ns an event of 16 bytes of id where neither
        the ids nor the table are in the processor's cache, as in ingest.
        """
        if not (batch.id_spans[:, 1] > 0).any():
            return 0
        seeds = np.full(len(batch), self._seed(batch.schema), np.uint64)
        return self._count(batch.id_spans, batch.id_bytes, seeds)

    def count_mixed(self, mixed: MixedBatch) -> int:
        """Return the same for events of several models."""
        seeds = [self._seed(mixed.schemas[i]) for i in mixed.model.tolist()]
        return self._count(mixed.id_spans, mixed.id_bytes, np.array(seeds, np.uint64))

    def _seed(self, schema: ModelSchema) -> int:
        """Return what distinguishes equal ids of different models."""
        key = (schema.tenant, schema.model)
        seed = self._seeds.get(key)
        if seed is None:
            seed = self._seeds[key] = crc32("|".join(key).encode())
        return seed

    def _count(self, spans: Int64Array, ids: Uint8Array, seeds: NDArray[np.uint64]) -> int:
        """Count ids, and remember them. Seeds are replaced by hashes."""
        if not HAS_KERNELS:
            return self._count_slowly(spans, ids, seeds)
        ids, spans = np.ascontiguousarray(ids), np.ascontiguousarray(spans)
        where = spans.ctypes.data, len(spans)
        hash_ids(*where, ids.ctypes.data, len(ids), seeds.ctypes.data)
        tables = self._tags.ctypes.data, self._next.ctypes.data
        return int(count_repeated(*where, seeds.ctypes.data, *tables))

    def _count_slowly(self, spans: Int64Array, ids: Uint8Array, seeds: NDArray[np.uint64]) -> int:
        """Count without compiled code."""
        n_repeated = 0
        for (start, length), seed in zip(spans.tolist(), seeds.tolist(), strict=True):
            if length > 0:
                text = ids[start : start + length].tobytes()
                key = seed.to_bytes(4, "little")
                hashed = int.from_bytes(blake2b(text, digest_size=8, key=key).digest(), "little")
                n_repeated += _take(self._tags, self._next, hashed)
        return n_repeated


def _take(tags: NDArray[np.uint32], following: NDArray[np.uint8], hashed: int) -> int:
    """Return 1 if the tag is in its bucket, else put it there and return 0."""
    bucket, tag = hashed % N_BUCKETS, hashed >> 32 | 1  # 0 is an empty place
    if (tags[bucket] == tag).any():
        return 1
    at = int(following[bucket])
    tags[bucket, at] = tag
    following[bucket] = (at + 1) % BUCKET
    return 0


@kernel
def hash_ids(spans: Address, n: int, ids: Address, n_bytes: int, hashes: Address) -> None:
    """Hash each id in words of eight bytes.

    Parameters
    ----------
    spans : int
        Address of n pairs of int64, start and length of an id in ``ids``, of ``n_bytes``.
    hashes : int
        Address of n uint64: the seed of each, which its hash replaces; of no meaning where
        there is no id.

    Notes
    -----
    Apart from :func:`count_repeated`, because both wait for memory: short loops let the
    processor wait for many events at a time.
    """
    for i in range(n):
        prefetch(ids + load_int(spans + 16 * min(i + _AHEAD, n - 1)))
        start, length = load_int(spans + 16 * i), load_int(spans + 16 * i + 8)
        hashed = (load_word(hashes + 8 * i) + np.uint64(length)) * _MIX
        at = 0
        while at < length:
            rest = length - at
            if start + at + 8 <= n_bytes:
                word = load_word(ids + start + at)
                if rest < 8:
                    word &= tail_mask(rest)
            else:
                word = np.uint64(0)
                for k in range(min(rest, 8)):
                    byte = np.uint64(load_byte(ids + start + at + k))
                    word |= byte << np.uint64(8 * k)
            hashed = folded(hashed ^ word, _FACTOR)
            at += 8
        store_word(hashes + 8 * i, hashed)


@kernel
def count_repeated(
    spans: Address, n: int, hashes: Address, tags: Address, following: Address
) -> int:
    """Look each hash up in its bucket, and put it there where it is not; see :func:`_take`."""
    n_repeated = 0
    for i in range(n):
        if load_int(spans + 16 * i + 8) <= 0:
            continue
        hashed = load_word(hashes + 8 * i)
        bucket = np.int64(hashed & np.uint64(N_BUCKETS - 1))
        tag = np.int64(hashed >> np.uint64(32)) | 1
        places = tags + 4 * BUCKET * bucket
        if equal_codes(places, tag) != 0:
            n_repeated += 1
            continue
        at = load_byte(following + bucket)
        store_code(places + 4 * at, tag)
        store_byte(following + bucket, (at + 1) % BUCKET)
    return n_repeated
