"""Arrow messages that stopped a stage, filled its memory or kept it busy, and their reasons."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.events import RejectReason

_MARKED_ROWS = 7_654_321


def stream(batch: pa.RecordBatch, **options: Any) -> bytes:
    """Write one record batch as a stream."""
    sink = pa.BufferOutputStream()
    options_ = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, batch.schema, options=options_) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def record_batch(*columns: tuple[str, Any]) -> pa.RecordBatch:
    """Make a record batch whose names may repeat."""
    return pa.RecordBatch.from_arrays([c for _, c in columns], names=[name for name, _ in columns])


def runs(value: Any, n: int) -> pa.Array:
    """A column of one run."""
    return pa.RunEndEncodedArray.from_arrays(pa.array([n], pa.int64()), pa.array([value]))


def colliding(n: int) -> list[str]:
    """Texts of sixteen bytes to which Arrow's hash gives one value."""
    first, second = np.uint64(11400714785074694791), 14029467366897019727
    inverse = np.uint64(pow(second, -1, 1 << 64))
    rng, found = np.random.default_rng(1), []
    while len(found) < n:
        x = rng.integers(0x23, 0x5B, (1 << 18, 8), dtype=np.uint8).view(np.uint64)[:, 0]
        y = (x * first ^ np.uint64(0x1234567890ABCDEF)) * inverse
        halves = y.view(np.uint8).reshape(-1, 8)
        is_text = ((halves >= 0x20) & (halves < 0x7F)).all(axis=1)
        found += [
            b.tobytes() + a.tobytes() for a, b in zip(x[is_text], halves[is_text], strict=True)
        ]
    return [text.decode() for text in found[:n]]


def claimed(data: bytes, n: int, marked: int = _MARKED_ROWS) -> bytes:
    """Let a stream of ``marked`` rows claim n."""
    return data.replace(struct.pack("<q", marked), struct.pack("<q", n))


def nulls(n: int) -> bytes:
    """288 bytes that claim n rows: columns of nulls have no buffers."""
    k = _MARKED_ROWS
    return claimed(stream(record_batch(("model", pa.nulls(k)), ("time_us", pa.nulls(k)))), n)


def one_run(n: int, marked: int = 765_432) -> bytes:
    """784 bytes that claim n rows of a known model."""
    batch = record_batch(("model", runs("m", marked)), ("time_us", runs(1, marked)))
    return claimed(stream(batch), n, marked)


def compressed(n: int) -> bytes:
    """n rows in a few bytes."""
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), pa.array(["m"]))
    batch = record_batch(("model", names), ("time_us", pa.array(np.zeros(n, np.int64))))
    return stream(batch, compression="zstd")


def long_values(kind: str, n: int, n_bytes: int) -> bytes:
    """n IDs of n_bytes each, which share one value in the message."""
    text = "x" * n_bytes
    if kind == "runs":
        ids = runs(text, n)
    elif kind == "dictionary":
        ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([text]))
    else:
        one = pa.array([text], pa.string_view())
        view = np.frombuffer(one.buffers()[1], np.uint8)[:16]
        views = pa.py_buffer(np.tile(view, n).tobytes())
        ids = pa.Array.from_buffers(pa.string_view(), n, [None, views, one.buffers()[2]])
    return stream(record_batch(("model", runs("m", n)), ("time_us", runs(1, n)), ("id", ids)))


def growing_dictionary(n_batches: int) -> bytes:
    """A dictionary that every batch extends by a value: each time it is copied."""
    sink = pa.BufferOutputStream()
    values = ["x" * 100_000]
    writer = None
    for k in range(n_batches):
        values.append(f"v{k}")
        codes = pa.DictionaryArray.from_arrays(pa.array([k], pa.int32()), pa.array(values))
        batch = record_batch(
            ("model", pa.array(["m"])), ("time_us", pa.array([1])), ("features.color", codes)
        )
        if writer is None:
            options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
            writer = pa.ipc.new_stream(sink, batch.schema, options=options)
        writer.write_batch(batch)
    assert writer is not None
    writer.close()
    return bytes(sink.getvalue())


def list_of_nulls(n: int) -> bytes:
    """One row whose list has n nulls: taking it makes an index of 8 n bytes."""
    offsets = pa.py_buffer(struct.pack("<qq", 0, _MARKED_ROWS))
    kind = pa.large_list(pa.null())
    values = pa.Array.from_buffers(kind, 1, [None, offsets], children=[pa.nulls(_MARKED_ROWS)])
    batch = record_batch(
        ("model", pa.array(["m"])), ("time_us", pa.array([1])), ("features.a", values)
    )
    return claimed(stream(batch), n)


def columns(n: int) -> bytes:
    """One row of n columns."""
    some = [(f"x{k}", pa.nulls(1)) for k in range(n)]
    return stream(record_batch(("model", pa.array(["m"])), ("time_us", pa.array([1])), *some))


def twice(name: str) -> bytes:
    """Two columns of one name."""
    kinds: dict[str, Any] = {
        "model": ["m"],
        "time_us": [1],
        "tenant": ["default"],
        "features": [{"a": 1.0}],
    }
    named = [("model", pa.array(["m"])), ("time_us", pa.array([1]))]
    return stream(record_batch(*named, *2 * [(name, pa.array(kinds.get(name, [1.0])))]))


def with_zone(zone: bytes) -> bytes:
    """Times in a zone of 13 bytes."""
    times = pa.array([1], pa.timestamp("us", "Europe/Berlin"))
    batch = record_batch(("model", pa.array(["m"])), ("time_us", times))
    return stream(batch).replace(b"Europe/Berlin", zone)


OVERSIZED, UNSUPPORTED = RejectReason.OVERSIZED, RejectReason.UNSUPPORTED
POISON: dict[str, tuple[bytes, RejectReason, str]] = {
    "a trillion rows of nulls": (nulls(10**12), OVERSIZED, "rows"),
    "two billion rows in a run": (one_run(2**31 - 1), OVERSIZED, "rows"),
    "negative rows": (nulls(-1), UNSUPPORTED, "damaged"),
    "compressed rows": (compressed(2_000_000), OVERSIZED, "rows"),
    "compressed bytes": (
        stream(
            record_batch(
                ("model", pa.array(["m"])),
                ("time_us", pa.array([1])),
                ("id", pa.array(["x" * (80 << 20)])),
            ),
            compression="zstd",
        ),
        OVERSIZED,
        "bytes",
    ),
    "a buffer of 2**63 - 1 bytes": (
        claimed(compressed(1_000), 2**63 - 1, marked=8_000),
        OVERSIZED,
        "bytes",
    ),
    "long ids in a run": (long_values("runs", 10_000, 10_000), OVERSIZED, "plain"),
    "long ids in a dictionary": (long_values("dictionary", 10_000, 10_000), OVERSIZED, "plain"),
    "long ids behind views": (long_values("views", 10_000, 10_000), OVERSIZED, "plain"),
    "a dictionary that grows": (growing_dictionary(2_000), OVERSIZED, "bytes"),
    "a list of a trillion nulls": (list_of_nulls(10**12), OVERSIZED, "values"),
    "a list of many nulls": (list_of_nulls(60_000_000), OVERSIZED, "plain"),
    "many columns": (columns(20_001), OVERSIZED, "columns"),
    "two columns `model`": (twice("model"), UNSUPPORTED, "3 columns are named `model`"),
    "two columns `tenant`": (twice("tenant"), UNSUPPORTED, "two columns are named `tenant`"),
    "two columns `features`": (twice("features"), UNSUPPORTED, "two columns are named `features`"),
    "two columns of a feature": (twice("features.a"), UNSUPPORTED, "named `features.a`"),
    "a zone that is not UTF-8": (with_zone(b"Europe/Ber\xff\xfen"), UNSUPPORTED, "time zone"),
}
"""By name: the message, the reason of its one reject, and what its detail says."""
