"""Models with few events share a batch that holds what batches of their own would hold."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.decode.arrow.row_stream import stream_of
from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoded, Decoder
from monitor.decode.mixed.small_models import FEW
from schemas.batch import Chunk, EventBatch, ModelSchema, StringColumn, code_columns
from schemas.derived import Derived
from tests.support.decoding import SCHEMA, event, spoiled, varied_event, written

NAMES = [f"m{i}" for i in range(6)]
DERIVED = ModelSchema(
    "default", "m6", ("a", "b", "n"), ("color",), (), (Derived("n", "note", "length"),)
)
SCHEMAS = [*(replace(SCHEMA, model=name) for name in NAMES), DERIVED]


def texts(column: StringColumn) -> list[str | None]:
    return [None if code < 0 else column.values[code] for code in column.codes.tolist()]


def content(batch: EventBatch) -> tuple:
    ids = [
        None if n < 0 else batch.id_bytes[start : start + n].tobytes()
        for start, n in batch.id_spans.tolist()
    ]
    numbers = [column.tobytes() for column in (*batch.numeric, batch.score)]
    places = [a.tolist() for a in (batch.message, batch.row, batch.time_us)]
    return batch.schema, places, numbers, [texts(c) for c in code_columns(batch)], ids


def contents(decoded: Decoded) -> dict[str, tuple]:
    found = [content(batch) for batch in decoded.batches]
    if decoded.mixed is not None:
        found += [content(decoded.mixed.batch(rows)) for _, rows in decoded.mixed.by_model()]
    assert len({c[0].model for c in found}) == len(found)
    return {c[0].model: c for c in found}


def messages_of(rng: random.Random, n: int) -> list[bytes]:
    """Events of models in turn, some spoiled, some in arrays and Arrow streams."""
    found: list[bytes] = []
    for _ in range(n):
        names = rng.choices([*NAMES, "m6"], k=rng.choice([1, 1, 1, 1, 3, 30]))
        make = rng.choice((event, varied_event))
        events = [written(rng, {**make(rng), "model": name, "note": "abc"}) for name in names]
        kind = rng.random()
        if kind < 0.1:
            found += spoiled(rng, events[0])
        elif kind < 0.15:
            table = {"model": names, "time_us": [1] * len(names), "score": [0.5] * len(names)}
            found.append(stream_of(pa.record_batch(table)))
        elif len(events) > 1:
            found.append(b"[" + b",".join(events) + b"]")
        else:
            found += events
    return found


@pytest.mark.parametrize("is_fast", [True, False])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_a_mixed_batch_holds_what_batches_of_the_models_hold(is_fast, seed, sizes):
    rng = random.Random(seed)
    one, other = Decoder(SCHEMAS, fast=is_fast), Decoder(SCHEMAS, fast=is_fast)
    for n in sizes:
        chunk = chunk_of(messages_of(rng, n), "s")
        expected, found = one.decode(chunk), other.decode(chunk, is_mixed=True)
        assert contents(found) == contents(expected)
        assert found.rejects == expected.rejects
        if found.mixed is not None:
            order = np.lexsort((found.mixed.row, found.mixed.message))
            assert order.tolist() == list(range(len(order)))


def of_models(*names: str) -> Chunk:
    rng = random.Random(1)
    events = [json.dumps({**event(rng), "model": name}).encode() for name in names]
    return chunk_of(events, "s")


def test_a_model_with_many_events_keeps_its_own_batch():
    decoded = Decoder(SCHEMAS).decode(of_models(*NAMES, *["m0"] * FEW), is_mixed=True)
    assert [batch.schema.model for batch in decoded.batches] == ["m0"]
    assert decoded.mixed is not None
    assert {decoded.mixed.schemas[i].model for i in decoded.mixed.model} == set(NAMES[1:])


def test_a_derived_number_is_made_in_a_batch_of_its_own():
    decoded = Decoder(SCHEMAS).decode(of_models("m6", *NAMES[:3]), is_mixed=True)
    assert [batch.schema.model for batch in decoded.batches] == ["m6"]


def test_few_events_of_the_only_model_are_a_mixed_batch_many_are_not():
    decoder = Decoder(SCHEMAS[:1])
    assert decoder.decode(of_models("m0", "m0"), is_mixed=True).mixed is not None
    decoded = decoder.decode(of_models(*["m0"] * FEW), is_mixed=True)
    assert decoded.mixed is None
    assert [len(batch) for batch in decoded.batches] == [FEW]
