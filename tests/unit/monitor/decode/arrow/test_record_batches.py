"""Arrow streams decode like the same rows written as JSON."""

from __future__ import annotations

import datetime
import json
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.decode import Decoded, Decoder, chunk_of
from monitor.decode.arrow.record_batches import batch_from_arrow, stream_of
from schemas.batch import ModelSchema
from schemas.events import RejectReason
from schemas.limits import MessageLimits
from tests.support import decoding

SCHEMA = decoding.SCHEMA


def decode(*messages: bytes) -> Decoded:
    return Decoder([SCHEMA, decoding.OTHER]).decode(chunk_of(messages, "f"))


def table(**changed: Any) -> pa.RecordBatch:
    columns: dict[str, Any] = {
        "id": ["e0", None, "e2"],
        "model": ["m"] * 3,
        "time_us": [5, 6, 7],
        "features.a": [1.5, None, float("nan")],
        "features.b": pa.array([1, 2**53 + 1, -3], pa.int64()),
        "features.color": ["red", None, ""],
        "segments.region": pa.array(["eu", "us", "eu"]).dictionary_encode(),
        "score": [0.25, float("inf"), 0.5],
        "host": ["h1", "h1", "h2"],
        **changed,
    }
    return pa.record_batch({k: v for k, v in columns.items() if v is not None})


def test_columns_are_taken_as_they_are() -> None:
    rows = decoding.rows_of(decode(stream_of(table())))
    n = decoding.bits
    assert rows[0, 0][1:4] == (5, "e0", (n(1.5), n(1.0), n(0.25)))
    assert rows[0, 1][1:4] == (6, None, (b"missing", n(2.0**53), b"missing"))
    assert rows[0, 0][4] == ("red", None, None, "eu", None, None, "h1", None)
    assert rows[0, 1][4] == (None, None, None, "us", None, None, "h1", None)
    assert rows[0, 2][4] == (None, None, None, "eu", None, None, "h2", None)


def test_a_float_column_without_nulls_is_not_copied() -> None:
    values = np.arange(3.0)
    given = table(**{"features.a": pa.array(values)})
    batch, _ = batch_from_arrow(given, SCHEMA, 0)
    assert np.shares_memory(batch.numeric[0], values)


def test_an_arrow_row_decodes_like_the_same_row_in_json() -> None:
    rng = random.Random(7)
    events = [decoding.event(rng) for _ in range(300)]
    for i, e in enumerate(events):
        e["features"]["color"] = "red" if i % 3 else None
        e["features"]["a"] = None if i % 5 == 0 else e["features"]["a"]
        e["features"]["b"] = float(e["features"]["b"])
        e["segments"]["region"] = ("eu", "7.0", None)[i % 3]
    struct = pa.RecordBatch.from_pylist(events)
    flat = pa.RecordBatch.from_pylist(
        [
            {f"{k}.{n}": v for k in ("features", "segments") for n, v in e[k].items()}
            | {k: v for k, v in e.items() if k not in ("features", "segments")}
            for e in events
        ]
    )
    said = decode(*(json.dumps(e).encode() for e in events))
    expected = list(decoding.rows_of(said).values())
    for batch in (struct, flat):
        assert list(decoding.rows_of(decode(stream_of(batch))).values()) == expected


def test_record_batches_of_one_message_count_their_rows_on() -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table().schema) as writer:
        writer.write_batch(table())
        writer.write_batch(table().slice(1))
    decoded = decode(b"{", bytes(sink.getvalue()))
    (batch,) = decoded.batches
    assert batch.message.tolist() == [1] * 5
    assert batch.row.tolist() == [0, 1, 2, 3, 4]


def test_arrow_and_json_of_one_chunk_make_one_batch_in_order() -> None:
    event = json.dumps({"model": "m", "time_us": 1, "id": "json", "host": "h9"}).encode()
    decoded = decode(event, stream_of(table()), event, b"[" + event + b"]", stream_of(table()))
    (batch,) = decoded.batches
    assert batch.message.tolist() == [0, 1, 1, 1, 2, 3, 4, 4, 4]
    rows = decoding.rows_of(decoded)
    assert [rows[p][2] for p in sorted(rows)] == [
        "json", "e0", None, "e2", "json", "json", "e0", None, "e2",
    ]  # fmt: skip
    assert rows[1, 0][4][-2] == "h1"
    assert rows[2, 0][4][-2] == "h9"


def test_rows_of_several_models_are_separated() -> None:
    given = table(
        model=["m", "größe", "absent"], tenant=[None, "acme", "acme"], **{"features.x": [1, 2, 3]}
    )
    decoded = decode(stream_of(given))
    assert [(b.schema.model, b.row.tolist()) for b in decoded.batches] == [
        ("m", [0]),
        ("größe", [1]),
    ]
    (reject,) = decoded.rejects
    assert (reject.row, reject.reason, reject.tenant, reject.model) == (
        2,
        RejectReason.UNKNOWN_MODEL,
        "acme",
        "absent",
    )


@pytest.mark.parametrize(
    ("column", "values", "rows"),
    [
        ("features.a", ["1", None, "x"], [2]),
        ("features.a", pa.array([b"1", None, b"2"]), []),
        ("features.a", [[1], None, [2]], [0, 2]),
        ("features.a", [datetime.date(2024, 3, 4), None, None], [0]),
        ("features.color", [[1.5], None, [2.5]], [0, 2]),
        ("score", ["x", "y", None], [0, 1]),
        ("host", [1, None, 2], [0, 2]),
        ("segments.region", [[1], None, [2]], [0, 2]),
        ("id", [1, None, 2], [0, 2]),
        ("time_us", [1, None, -1], [1, 2]),
        ("time_us", [1.0, 2.0, 3.0], [0, 1, 2]),
        ("time_us", pa.array([1, 2**63, 3], pa.uint64()), [1]),
        ("time_us", None, [0, 1, 2]),
        ("model", ["m", None, "m"], [1]),
    ],
)
def test_a_value_of_the_wrong_type_rejects_its_row_and_names_the_field(
    column: str, values: Any, rows: list[int]
) -> None:
    decoded = decode(stream_of(table(**{column: values})))
    assert [r.row for r in decoded.rejects] == rows
    assert all(r.reason is RejectReason.MISTYPED for r in decoded.rejects)
    assert all(column in r.detail for r in decoded.rejects)
    accepted = [int(row) for b in decoded.batches for row in b.row]
    assert sorted(accepted + rows) == [0, 1, 2]


def test_a_rejected_rows_payload_is_a_stream_of_that_row() -> None:
    (reject,) = decode(stream_of(table(time_us=[1, -2, 3]))).rejects
    with pa.ipc.open_stream(reject.payload) as reader:
        (row,) = reader.read_all().to_pylist()
    assert (row["time_us"], row["host"]) == (-2, "h1")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_time_may_be_a_timestamp_of_any_unit(unit: str) -> None:
    stamp = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    given = table(time_us=pa.array([stamp] * 3, pa.timestamp(unit, "UTC")))
    (batch,) = decode(stream_of(given)).batches
    assert batch.time_us.tolist() == [int(stamp.timestamp()) * 1_000_000] * 3


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([1, -2, None], pa.int8()), ["1", "-2", None]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array(["a", "b", "a"], pa.large_string()), ["a", "b", "a"]),
        (pa.array(["a", "b", None], pa.string_view()), ["a", "b", None]),
        (pa.array([1, 2, 1]).dictionary_encode(), ["1", "2", "1"]),
        (pa.nulls(3), [None] * 3),
    ],
)
def test_categories_are_text_whatever_their_encoding(values: Any, texts: list[Any]) -> None:
    rows = decoding.rows_of(decode(stream_of(table(**{"features.color": values}))))
    assert [rows[0, i][4][0] for i in range(3)] == texts


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2, 3], pa.uint8()),
        pa.array([1, 2, 3], pa.float32()),
        pa.array([1, 2, 3], pa.float16()),
        pa.array([1, 2, 3]).cast(pa.decimal128(21, 2)),
        pa.array([1.0, 2.0, 3.0]).dictionary_encode(),
    ],
)
def test_numbers_are_float64_whatever_their_width(values: Any) -> None:
    (batch,) = decode(stream_of(table(**{"features.a": values}))).batches
    assert batch.numeric[0].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("index", [pa.int8(), pa.uint8(), pa.int64(), pa.uint64()], ids=str)
@pytest.mark.parametrize(
    ("indices", "values"),
    [
        ([0, 1, 0], ["eu", "us"]),
        ([0, None, 1], ["eu", None]),
        ([0, 0, 0], ["eu"]),
        ([0] * 3, [None]),
    ],
    ids=["two", "nulls", "one", "only null"],
)
def test_a_dictionary_may_count_in_any_type(
    index: pa.DataType, indices: list[int | None], values: list[str | None]
) -> None:
    given = pa.DictionaryArray.from_arrays(pa.array(indices, index), pa.array(values, pa.string()))
    rows = decoding.rows_of(decode(stream_of(table(**{"segments.region": given}))))
    assert [rows[0, i][4][3] for i in range(3)] == given.to_pylist()


@pytest.mark.parametrize("n_before", range(9))
def test_a_stream_is_read_where_it_lies_whatever_lies_before_it(n_before: int) -> None:
    alone = decode(stream_of(table()))
    decoded = decode(b"x" * n_before, stream_of(table()))
    found = decoding.rows_of(decoded)
    assert [found[1, i] for i in range(3)] == [decoding.rows_of(alone)[0, i] for i in range(3)]
    (batch,) = decoded.batches
    columns = [batch.time_us, batch.score, *batch.numeric]
    assert all(column.flags.aligned for column in columns)


@pytest.mark.parametrize("before", [b"", b"\xff\xff"])
def test_what_lies_before_a_stream_is_none(before: bytes) -> None:
    decoded = decode(before, stream_of(table()))
    assert [(r.message, r.reason) for r in decoded.rejects] == [(0, RejectReason.MALFORMED)]
    assert len(decoded.batches[0]) == 3


def test_rows_of_one_model_are_not_taken_apart_whatever_its_dictionary_knows() -> None:
    model = pa.DictionaryArray.from_arrays(pa.array([0, 0, 0], pa.int32()), ["m", "other"])
    # of this column rows cannot be taken
    extra = pa.array([b"a", b"b", b"c"], pa.binary_view())
    decoded = decode(stream_of(table(model=model, extra=extra)))
    assert not decoded.rejects
    assert len(decoded.batches[0]) == 3


def test_a_stream_that_is_too_long_is_refused_whole() -> None:
    stream = stream_of(table())
    decoder = Decoder([SCHEMA], limits=MessageLimits(max_bytes=len(stream) - 1))
    decoded = decoder.decode(chunk_of([stream], "f"))
    assert [(r.reason, r.payload) for r in decoded.rejects] == [(RejectReason.OVERSIZED, stream)]
    assert not decoded.batches


def test_a_stream_that_cannot_be_read_is_one_unsupported_message() -> None:
    whole = stream_of(table())
    messages = [b"\xff\xff\xff\xff", b"\xff\xff\xff\xff" + bytes(40), whole[:100], whole[:-30]]
    decoded = decode(*messages, stream_of(table(model=None)))
    assert [(r.message, r.reason) for r in decoded.rejects] == [
        (i, RejectReason.UNSUPPORTED) for i in range(5)
    ]
    assert not decoded.batches


def test_damaged_streams_are_rejected_or_hold_readable_rows() -> None:
    rng = random.Random(1)
    whole = bytearray(stream_of(table()))
    n_rejected = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            damaged[rng.randrange(4, len(damaged))] = rng.randrange(256)
        decoded = decode(bytes(damaged))
        rows = decoding.rows_of(decoded)  # reads every string and id
        assert all(row[1] >= 0 for row in rows.values())
        assert {(r.message, r.row) for r in decoded.rejects}.isdisjoint(rows)
        n_rejected += len(decoded.rejects)
    assert n_rejected > 100


def test_invalid_utf8_in_a_stream_is_named() -> None:
    bad = pa.array([b"ok", b"\xff\xfe", b"ok"], pa.binary()).view(pa.string())
    (reject,) = decode(stream_of(table(host=bad))).rejects
    assert reject.reason is RejectReason.INVALID_UTF8


def test_a_batch_of_its_own_needs_no_model_column() -> None:
    given = table(model=None).slice(1)
    batch, rejects = batch_from_arrow(given, SCHEMA, 4)
    assert (batch.message.tolist(), batch.row.tolist(), rejects) == ([4, 4], [0, 1], ())
    assert decoding.row_of(batch, 1)[2] == "e2"
    assert decoding.row_of(batch, 0)[2] is None


def test_an_empty_batch_is_empty() -> None:
    batch, rejects = batch_from_arrow(table().slice(0, 0), SCHEMA, 0)
    assert (len(batch), rejects) == (0, ())
    assert len(batch_from_arrow(table(), ModelSchema("t", "m", ()), 0)[0]) == 3


def test_a_row_that_could_not_be_mapped_is_refused_in_its_own_words() -> None:
    refused = ["", None, "invalid_utf8: b'\\xff' of features.a is not UTF-8"]
    found = decode(stream_of(table(**{"driftline.refused": refused})))
    assert [(r.row, r.reason, r.detail) for r in found.rejects] == [
        (0, RejectReason.MISTYPED, ""),
        (2, RejectReason.INVALID_UTF8, "b'\\xff' of features.a is not UTF-8"),
    ]
    assert found.batches[0].row.tolist() == [1]


KINDS = {
    "plain": lambda c: c,
    "dictionary": lambda c: c.dictionary_encode(),
    "run ends": lambda c: pa.compute.run_end_encode(c),
    "views": lambda c: c.cast(pa.string_view()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_streams_decoded_together_are_those_decoded_alone(kind: str) -> None:
    def stream(hosts: list[str | None], first: int, **more: Any) -> bytes:
        n = len(hosts)
        changed = {
            "id": [f"e{first + i}" for i in range(n)],
            "model": ["m", "absent", "m"][:n],
            "time_us": [first + i for i in range(n)],
            "features.a": [float(first)] * n,
            "features.b": pa.array([first] * n, pa.int64()),
            "features.color": ["red"] * n,
            "segments.region": pa.array(["eu", "us", None][:n]).dictionary_encode(),
            "score": [0.5] * n,
            "host": KINDS[kind](pa.array(hosts, pa.string())),
        }
        return stream_of(table(**{**changed, **more}))

    messages = [
        stream(["h1", None, "h2"], 0),
        stream(["h3", "h1", "h1"], 10),
        stream([], 20),
        b"\xff\xff\xff\xffbroken",
        stream(["h4", "h5"], 30),
        stream(["h4", "h5"], 40, **{"features.a": ["x", "y"]}),
        stream(["h2"], 50),
    ]
    together = decode(*messages)
    rows = decoding.rows_of(together)
    refused = [(r.message, r.row, r.reason, r.payload) for r in together.rejects]
    alone_rows, alone_refused = {}, []
    for i, message in enumerate(messages):
        alone = decode(message)
        alone_rows |= {(i, row): values for (_, row), values in decoding.rows_of(alone).items()}
        alone_refused += [(i, r.row, r.reason, r.payload) for r in alone.rejects]
    assert rows == alone_rows
    assert [r[:3] for r in refused] == [r[:3] for r in alone_refused]
    assert len(rows) == 6
