"""Tables that are decoded several chunks at a time hold what each chunk holds by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.decode.arrow import decode_ahead as ahead
from monitor.decode.arrow.decode_ahead import DecodedChunk, decode_ahead
from monitor.decode.arrow.row_stream import stream_of
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoded, Decoder
from monitor.transport import files
from monitor.transport.files import Source, open_source
from schemas.batch import Chunk, EventBatch, ModelSchema, StringColumn, code_columns
from schemas.config.model import ModelConfig
from schemas.events import RejectReason
from schemas.limits import MessageLimits

MODELS = (
    ModelSchema("default", "m", ("x",), ("c",), ("c", "s")),
    ModelSchema("default", "n", ("x", "y")),
)
LIMITS = MessageLimits(max_letters=2)
ROW = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["m", "m", "n", "unknown"]),
        "time_us": st.one_of(st.none(), st.integers(0, 10**15)),
        "features.x": st.one_of(st.none(), st.floats(-5, 5)),
        "features.y": st.one_of(st.none(), st.floats(-5, 5)),
        "features.c": st.sampled_from([None, "a", "b", "1.0"]),
        "segments.s": st.sampled_from([None, "eu", "us"]),
        "host": st.sampled_from([None, "h1", "h2"]),
        "id": st.sampled_from([None, "one", "two"]),
    }
)
TABLES = st.lists(st.lists(ROW, max_size=6), min_size=1, max_size=9)
KINDS = st.lists(st.sampled_from("tttttjdo"), min_size=9, max_size=9)


def stream_of_rows(rows: Sequence[dict[str, object]]) -> bytes:
    """An Arrow stream of one batch."""
    types = {"time_us": pa.int64(), "features.x": pa.float64(), "features.y": pa.float64()}
    names = ("model", "time_us", "features.x", "features.y", "features.c", "segments.s", "host")
    columns = {
        name: pa.array([row[name] for row in rows], types.get(name, pa.string()))
        for name in (*names, "id")
    }
    return stream_of(pa.record_batch(columns))


def chunks_of(tables: list[list[dict[str, object]]], kinds: list[str]) -> list[Chunk]:
    """Chunks of tables, and among them events, damaged streams and another source."""
    found, offset = [], 0
    for rows, kind in zip(tables, kinds, strict=False):
        content = stream_of_rows(rows)
        if kind == "j":
            content = b'{"model":"m","time_us":1,"features":{"x":2.5}}'
        if kind == "d":
            content = content[:40] + b"\0" * 16
        source = "other" if kind == "o" else "file"
        found.append(chunk_of([content], source, 0, offset))
        offset += max(len(rows), 1)
    return found


def texts(column: StringColumn) -> list[str | None]:
    return [None if code < 0 else column.values[code] for code in column.codes.tolist()]


def ids(batch: EventBatch) -> list[bytes | None]:
    return [
        None if n < 0 else batch.id_bytes[start : start + n].tobytes()
        for start, n in batch.id_spans.tolist()
    ]


def content(chunk: Chunk, decoded: Decoded) -> object:
    """All that a chunk held, with the places that row IDs are made of."""
    return (
        chunk.source,
        chunk.log_offset.tolist(),
        [
            (
                batch.schema.model,
                batch.message.tolist(),
                batch.row.tolist(),
                batch.time_us.tolist(),
                [column.tobytes() for column in (*batch.numeric, batch.score)],
                [texts(column) for column in code_columns(batch)],
                ids(batch),
            )
            for batch in decoded.batches
        ],
        decoded.rejects,
    )


@settings(max_examples=60, deadline=None)
@given(TABLES, KINDS, st.sampled_from([1, 2_000, 8 << 20]))
def test_chunks_decoded_ahead_hold_what_they_hold_by_themselves(tables, kinds, max_bytes):
    chunks = chunks_of(tables, kinds)
    alone = Decoder(MODELS, limits=LIMITS)
    expected = [content(chunk, alone.decode(chunk)) for chunk in chunks]
    decoder, found = Decoder(MODELS, limits=LIMITS), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead, "MAX_BYTES", max_bytes)
        for part in decode_ahead(decoder, chunks):
            is_decoded = isinstance(part, DecodedChunk)
            found.append(content(*part) if is_decoded else content(part, decoder.decode(part)))
    assert found == expected


def test_columns_that_take_much_more_room_than_their_stream_are_decoded_alone():
    rows = [dict.fromkeys(("features.x", "features.y", "features.c", "segments.s", "host", "id"))]
    table = [row | {"model": "m", "time_us": 1} for row in rows * 50]
    chunks = chunks_of([table] * 4, ["t"] * 4)
    limits = MessageLimits(max_bytes=int(chunks[0].offsets[-1]))
    parts = list(decode_ahead(Decoder(MODELS, limits=limits), chunks))
    assert [isinstance(part, DecodedChunk) for part in parts] == [False] * 4


@pytest.mark.parametrize("n_rows", [999, 1_000, 4_321])
def test_columns_converted_together_give_the_chunks_they_give_alone(tmp_path: Path, n_rows):
    rng = np.random.default_rng(0)
    x = [None if i % 7 == 0 else f"{v:.3f}" for i, v in enumerate(rng.normal(size=n_rows))]
    x[n_rows // 2] = "no number"
    time_us = np.arange(n_rows) * 1_000_000 + 1_767_225_600_000_000
    table = pa.table({"time_us": time_us, "x": x, "c": rng.choice(["a", "7.0"], n_rows)})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=1_500)
    config = ModelConfig(
        model="m", features={"x": {"kind": "numeric"}, "c": {"kind": "categorical"}}
    )
    found = []
    for together in (1, 4):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "_MAX_TOGETHER", together)
            chunks = list(open_source(tmp_path / "rows.parquet", config, chunk_rows=200))
        decoder = Decoder([config.schema_])
        found.append([content(chunk, decoder.decode(chunk)) for chunk in chunks])
    assert found[0] == found[1]
    assert len(found[0]) == -(-n_rows // 200)


CONFIG = ModelConfig(
    model="m",
    features={"x": {"kind": "numeric"}, "c": {"kind": "categorical"}},
    segments=["s"],
    columns={"time": "when", "id": "key", "score": "p"},
)


def table_of(n_rows: int, seed: int = 0) -> pa.Table:
    """Rows with missing values of every column, and some that cannot be read."""
    rng = np.random.default_rng(seed)
    x = [None if i % 7 == 0 else f"{v:.3f}" for i, v in enumerate(rng.normal(size=n_rows))]
    for row in rng.integers(0, n_rows, 5).tolist():
        x[row] = "no number"
    when = np.arange(n_rows) * 1_000_000 + 1_767_225_600_000_000
    when[rng.integers(0, n_rows, 5)] = -1
    return pa.table(
        {
            "when": pa.array(when, mask=rng.random(n_rows) < 0.01),
            "x": x,
            "c": pa.array(rng.choice(["a", "7.0", "é"], n_rows), mask=rng.random(n_rows) < 0.1),
            "s": pa.array(rng.choice(["eu", "us"], n_rows)).dictionary_encode(),
            "key": [f"id{i}" if i % 3 else None for i in range(n_rows)],
            "p": pa.array(rng.random(n_rows), mask=rng.random(n_rows) < 0.1),
            "logged": when + 5,
        }
    )


@pytest.mark.parametrize(
    ("limits", "is_together"),
    [
        (LIMITS, True),
        (MessageLimits(max_rows=150), False),
        (MessageLimits(max_bytes=20_000), False),
        (MessageLimits(max_bytes=200), False),
    ],
)
@pytest.mark.parametrize("record_time", [None, "logged"])
@pytest.mark.parametrize("n_rows", [1, 200, 4_321])
def test_rows_that_are_not_encoded_hold_what_their_chunks_hold(
    tmp_path: Path, limits, is_together, record_time, n_rows
):
    columns = CONFIG.columns.model_copy(update={"record_time": record_time})
    config = CONFIG.model_copy(update={"columns": columns})
    pq.write_table(table_of(n_rows), tmp_path / "rows.parquet", row_group_size=1_500)

    def opened() -> Source:
        return open_source(tmp_path / "rows.parquet", config, chunk_rows=200)

    alone, decoder = (
        Decoder([config.schema_], limits=limits),
        Decoder([config.schema_], limits=limits),
    )
    expected = [(c.record_time_us.tolist(), content(c, alone.decode(c))) for c in opened()]
    found, n_together = [], 0
    for part in decode_ahead(decoder, opened().together()):
        n_together += isinstance(part, DecodedChunk)
        chunk, decoded = part if isinstance(part, DecodedChunk) else (part, decoder.decode(part))
        found.append((chunk.record_time_us.tolist(), content(chunk, decoded)))
    assert found == expected
    assert len(found) == -(-n_rows // 200)
    if record_time is None and is_together:
        assert n_together == len(found)


def test_a_text_that_is_not_utf8_refuses_its_row_however_rows_are_decoded(tmp_path: Path):
    table = table_of(900)
    raw = [b"\xff" if i == 450 else b"a" for i in range(900)]
    table = table.set_column(2, "c", pa.array(raw, pa.binary()).view(pa.string()))
    pq.write_table(table, tmp_path / "rows.parquet")
    alone, decoder = (Decoder([CONFIG.schema_], limits=LIMITS) for _ in range(2))
    source = open_source(tmp_path / "rows.parquet", CONFIG, chunk_rows=200)
    expected = [content(chunk, alone.decode(chunk)) for chunk in source]
    source = open_source(tmp_path / "rows.parquet", CONFIG, chunk_rows=200)
    found = [content(*part) for part in decode_ahead(decoder, source.together())]
    assert found == expected
    assert any(reject.reason == RejectReason.INVALID_UTF8 for *_, all_ in found for reject in all_)


def test_a_fault_in_rows_together_is_logged_once_and_costs_no_event(tmp_path: Path, caplog):
    pq.write_table(table_of(900), tmp_path / "rows.parquet")
    alone, decoder = (Decoder([CONFIG.schema_], limits=LIMITS) for _ in range(2))

    def fail(*_: object) -> None:
        raise ValueError("on purpose")

    decoder._streams.decode_rows = fail
    expected = [content(c, alone.decode(c)) for c in open_source(tmp_path / "rows.parquet", CONFIG)]
    found = []
    for part in decode_ahead(decoder, open_source(tmp_path / "rows.parquet", CONFIG).together()):
        is_decoded = isinstance(part, DecodedChunk)
        found.append(content(*part) if is_decoded else content(part, decoder.decode(part)))
    assert found == expected
    assert [r.getMessage() for r in caplog.records] == [
        "the decoder failed on rows of a table, whose messages are decoded one by one"
    ]
