"""Mutated Arrow streams: rejects, or rows whose every value can be read, in bounded memory.

DRIFTLINE_FUZZ_INPUTS and DRIFTLINE_FUZZ_SEED as for the others in this folder.
"""

from __future__ import annotations

import os
import random
import resource
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.decode import Decoded, Decoder
from monitor.decode.arrow.ipc_sizes import StreamSizes, stream_sizes
from schemas.events import RejectReason
from tests.support import decoding
from tests.support.arrow_poison import POISON, growing_dictionary, record_batch, runs, stream
from tests.support.guard_pages import guarded, guarded_chunk

N_INPUTS = int(os.environ.get("DRIFTLINE_FUZZ_INPUTS", "200"))
SEED = int(os.environ.get("DRIFTLINE_FUZZ_SEED", "1"))
MAX_GROWTH_KIB = 1 << 20
"""Of the process, over all inputs: one of them used to take 5 GiB."""
NUMBERS = (
    0, 1, 2, 7, 13, 64, 255, 1 << 16, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 33,
    1 << 40, 1 << 62, (1 << 63) - 1, -1, -(1 << 63),
)  # fmt: skip


def corpus() -> list[bytes]:
    """Streams of every encoding that is read."""
    n = 12
    plain: dict[str, Any] = {
        "model": pa.array(["m"] * n),
        "time_us": pa.array(range(n), pa.int64()),
        "id": pa.array([f"i{k}" for k in range(n)]),
        "features.a": pa.array([float(k) for k in range(n)]),
        "features.color": pa.array(["red", None, "g"] * (n // 3)),
        "segments.region": pa.array(["eu", "us"] * (n // 2)),
        "score": pa.array([0.5] * n),
    }
    coded = {name: plain[name].dictionary_encode() for name in ("model", "id", "features.color")}
    long_text = pa.array(["a text of more than twelve bytes"] * n, pa.string_view())
    struct_ = pa.StructArray.from_arrays([plain["features.a"]], names=["a"])
    kinds: list[dict[str, Any]] = [
        {},
        coded,
        {"model": runs("m", n), "features.a": runs(1.5, n)},
        {"id": long_text, "features.color": long_text},
        {"features": struct_, "features.a": None},
        {"features.a": pa.array(range(n), pa.decimal128(10, 2)), "score": pa.array(range(n))},
        {"time_us": pa.array(range(n), pa.timestamp("ns", "UTC")), "features.a": pa.nulls(n)},
        {"features.a": pa.array([[1.0]] * n), "segments.region": pa.array([[1]] * n)},
        {"model": pa.array(["m", "x", None] * (n // 3)), "tenant": pa.array(["default", "a"] * 6)},
        {"features.color": pa.array([True, None] * (n // 2)), "id": runs("i", n)},
    ]
    batches = [
        record_batch(*((k, v) for k, v in (plain | kind).items() if v is not None))
        for kind in kinds
    ]
    streams = [stream(batch) for batch in batches]
    streams += [stream(b, compression=name) for b in batches[:3] for name in ("lz4", "zstd")]
    return [*streams, growing_dictionary(3)]


CORPUS = corpus()


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Change a stream where it hurts: most often in the metadata, by whole numbers."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        n = len(changed)
        at = rng.randrange(4, n if rng.random() < 0.4 else min(n, 1_800))
        kind = rng.randrange(7)
        if kind < 2:
            width = rng.choice((4, 8))
            at -= at % width
            value = struct.pack("<q", rng.choice(NUMBERS))[:width]
            changed[at : at + width] = value[: len(changed[at : at + width])]
        elif kind == 2:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 3:
            changed[at] = rng.randrange(256)
        elif kind == 4:
            del changed[at : at + rng.choice((1, 4, 8, 64, n))]
        elif kind == 5:
            changed[at:at] = rng.randbytes(rng.choice((1, 4, 8)))
        else:
            changed[at:at] = changed[at : at + rng.randrange(1, 200)]
        if len(changed) < 16:
            break
    return b"\xff\xff\xff\xff" + bytes(changed[4:])


def assert_readable(decoded: Decoded) -> None:
    """Touch every value of every row."""
    for batch in decoded.batches:
        for column in (*batch.numeric, batch.score, batch.time_us):
            np.nansum(column)
            assert len(column) == len(batch)
    if sum(map(len, decoded.batches)) < 10_000:
        decoding.rows_of(decoded)


def test_a_mutated_stream_is_refused_or_readable_in_bounded_memory() -> None:
    decoder = Decoder([decoding.SCHEMA, decoding.OTHER])
    decoder.decode(guarded_chunk(CORPUS))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n_rejected = 0
    for i in range(N_INPUTS * 5):
        rng = random.Random(f"{SEED}/{i}")
        messages = [mutated(rng, rng.choice(CORPUS)) for _ in range(rng.choice((1, 3)))]
        decoded = decoder.decode(guarded_chunk(messages))
        failed = [r for r in decoded.rejects if r.reason is RejectReason.DECODER_FAILED]
        assert not failed, (f"{SEED}/{i}", failed[0].detail)
        assert_readable(decoded)
        n_rejected += bool(decoded.rejects)
    assert n_rejected > N_INPUTS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_GROWTH_KIB


@pytest.mark.parametrize("name", POISON)
def test_mutated_poison_is_no_worse_than_itself(name: str) -> None:
    message, decoder = POISON[name][0], Decoder([decoding.SCHEMA])
    if len(message) > 100_000:
        pytest.skip("not permitted here: too long to be mutated often")
    for i in range(max(10, N_INPUTS // 10)):
        rng = random.Random(f"{SEED}/{name}/{i}")
        decoded = decoder.decode(guarded_chunk([mutated(rng, message)]))
        assert all(r.reason is not RejectReason.DECODER_FAILED for r in decoded.rejects), i
        assert_readable(decoded)


def test_sizes_of_a_mutated_stream_never_read_beyond_it() -> None:
    for i in range(N_INPUTS * 20):
        rng = random.Random(f"{SEED}/sizes/{i}")
        data = mutated(rng, rng.choice(CORPUS))
        buffer = guarded(data, at_start=rng.random() < 0.2)
        (found,) = stream_sizes(buffer, np.zeros(1, np.int64), np.array([len(data)])).tolist()
        assert min(found) >= 0
        assert max(found) <= 1 << 51


def test_sizes_are_what_arrow_reads() -> None:
    for data in CORPUS:
        with pa.ipc.open_stream(data) as reader:
            batches = list(reader)
            schema = reader.schema
        buffer = np.frombuffer(data, np.uint8)
        (found,) = stream_sizes(buffer, np.zeros(1, np.int64), np.array([len(data)])).tolist()
        sizes = StreamSizes(*found)
        assert sizes.is_whole
        assert sizes.n_rows == sum(batch.num_rows for batch in batches)
        assert sizes.n_columns >= len(schema)
        assert sizes.n_bytes >= max(batch.get_total_buffer_size() for batch in batches) // 2
