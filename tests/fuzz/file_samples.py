"""One small file of every format that is read, and columns of every type with odd values."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import zipfile
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pyarrow import orc

N_ROWS = 60
START_US = 1_700_000_000_000_000
_PLAIN = pa.table(
    {
        "x": [1.5 * i for i in range(N_ROWS)],
        "c": ["ab"[i % 2] for i in range(N_ROWS)],
        "time_us": [START_US + 1_000_000 * i for i in range(N_ROWS)],
    }
)
_RICH = _PLAIN.append_column("u", pa.array([bytes([i] * 16) for i in range(N_ROWS)], pa.uuid()))
_VIEWS = _RICH.append_column("v", pa.array([f"q{i}" for i in range(N_ROWS)], pa.string_view()))
_EVENTS = [
    {"model": "m", "time_us": START_US + 1_000_000 * i, "features": {"x": 1.5 * i, "c": "a"}}
    for i in range(N_ROWS)
]


def _lines(values: list[Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def _envelope(event: dict[str, Any]) -> dict[str, Any]:
    fields = {"specversion": "1.0", "id": "7", "source": "s", "type": "t"}
    return fields | {"time": "2023-01-01T00:00:00Z", "data": event}


def _written(write: Callable[[Any], object]) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def _arrow(open_writer: Any) -> bytes:
    def write(sink: Any) -> None:
        with open_writer(sink, _VIEWS.schema) as writer:
            writer.write_table(_VIEWS, max_chunksize=20)

    return _written(write)


def _zipped(name: str, content: bytes) -> bytes:
    def write(sink: Any) -> None:
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, content)

    return _written(write)


def _csv(delimiter: str) -> bytes:
    options = pyarrow.csv.WriteOptions(delimiter=delimiter)
    return _written(lambda sink: pyarrow.csv.write_csv(_PLAIN, sink, options))


def samples() -> dict[str, bytes]:
    """Return sound files by their names: each holds the same ``N_ROWS`` rows."""
    lines, csv = _lines(_EVENTS), _csv(",")
    return {
        "a.parquet": _written(lambda sink: pq.write_table(_RICH, sink, row_group_size=20)),
        "a.arrow": _arrow(pa.ipc.new_file),
        "a.arrows": _arrow(pa.ipc.new_stream),
        "a.orc": _written(lambda sink: orc.write_table(_PLAIN, sink)),
        "a.csv": csv,
        "b.csv": _csv(";"),
        "a.jsonl": lines,
        "a.json": json.dumps(_EVENTS, indent=1).encode(),
        "b.json": json.dumps(_EVENTS).encode(),
        "envelopes.jsonl": _lines([_envelope(event) for event in _EVENTS]),
        "a.jsonl.gz": gzip.compress(lines, mtime=0),
        "a.csv.xz": lzma.compress(csv),
        "a.csv.bz2": bz2.compress(csv),
        "a.zip": _zipped("a.csv", csv),
    }


TOKENS = (
    b'"', b"\n", b"\r", b",", b";", b"{", b"}", b"[", b"]", b"\\", b"\0", b"NaN", b"1e999", b"-",
    b"\xff\xfe", b"null", b"true", b"\xed\xa0\x80", b"9" * 25, b'"x":', b"\xef\xbb\xbf",
)  # fmt: skip


def broken(rng: random.Random, content: bytes) -> bytes:
    """Return a file with a token where none belongs."""
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.choice(TOKENS) + content[at:]


_NUMBERS = (None, 0, 1, -1, 2**53 + 1, -(2**63), 2**63 - 1, 7)
_FLOATS = (None, 0.0, -0.0, float("nan"), float("inf"), -float("inf"), 1e308, 5e-324, 1e18, 1.5)
_TEXTS = (
    None, "", "a", "NA", "1", "1,5", "é", "\0", "x" * 300, "2020-01-01", "true", "\u2028", "1e400",
    "9" * 40, "a b c d e f g h",
)  # fmt: skip
_TICKS = (None, 0, -1, 10**15, -(10**15), 2**62, -(2**63) + 1, START_US)
_COLUMNS: tuple[tuple[tuple[Any, ...], pa.DataType], ...] = (
    (_NUMBERS, pa.int64()),
    ((None, 0, 2**64 - 1), pa.uint64()),
    (_FLOATS, pa.float64()),
    ((None, 1.5, float("inf")), pa.float32()),
    (_TEXTS, pa.string()),
    (_TEXTS, pa.dictionary(pa.int32(), pa.string())),
    ((None, b"a", b"\xff", b"\0"), pa.binary()),
    (_TICKS, pa.timestamp("s")),
    (_TICKS, pa.timestamp("us", "Europe/Berlin")),
    (_TICKS, pa.timestamp("ns")),
    ((None, 0, 2**31 - 1, -(2**31), 18_000), pa.date32()),
    ((None, True, False), pa.bool_()),
    ((None,), pa.null()),
    ((None, [], [1.0], [None]), pa.list_(pa.float64())),
    ((None, [], ["a"]), pa.list_(pa.string())),
    ((None, Decimal("1.50"), Decimal("-9e30")), pa.decimal128(38, 2)),
    ((None, 1, 2**62), pa.duration("ns")),
    ((None, 0, 86_399), pa.time32("s")),
    ((None, {"p": 1, "q": "s"}), pa.struct([("p", pa.int64()), ("q", pa.string())])),
    ((None, [("a", 1)]), pa.map_(pa.string(), pa.int64())),
)


def odd_table(rng: random.Random) -> pa.Table:
    """Return a table of columns x, c, t and p, each of any type, with values at its extremes."""
    n = rng.choice((1, 3, 40, 400))
    columns = {}
    for name in "xctp":
        values, kind = rng.choice(_COLUMNS)
        columns[name] = pa.array([rng.choice(values) for _ in range(n)], kind)
    if rng.random() < 0.5:
        columns["t"] = pa.array([START_US + 1_000_000 * i for i in range(n)])
    return pa.table(columns)


def write_odd(rng: random.Random, table: pa.Table, stem: str) -> str:
    """Write a table in a format that can hold it; return the file's name."""
    kind = rng.choice(("parquet", "arrow", "csv", "orc", "jsonl"))
    try:
        if kind == "csv":
            pyarrow.csv.write_csv(table, f"{stem}.csv")
        elif kind == "orc":
            orc.write_table(table, f"{stem}.orc")
        elif kind == "jsonl":
            with open(f"{stem}.jsonl", "w") as file:
                file.writelines(json.dumps(row, default=str) + "\n" for row in table.to_pylist())
        else:
            raise pa.ArrowInvalid("into Arrow's own formats")
        return f"{stem}.{kind}"
    except (pa.ArrowException, ValueError, OverflowError, OSError):
        with pa.ipc.new_file(f"{stem}.arrow", table.schema) as writer:
            writer.write_table(table)
        return f"{stem}.arrow"
