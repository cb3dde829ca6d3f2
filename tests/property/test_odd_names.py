"""Names that JSON escapes: events bring them like any other, on both ways of decoding."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.decode.chunk import chunk_of
from monitor.decode.decoder import Decoder
from schemas.batch import ModelSchema

ODD = ['size 15"', "back\\slash", "line\nend", "tab\t", "\x00", '""', "\\u0041", "é\x1f"]
_name = st.sampled_from(ODD) | st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)


def written(name: str, value: object, *, is_escaped: bool) -> bytes:
    event = {"model": "m", "time_us": 1, "features": {name: value}, "segments": {name: "s"}}
    return json.dumps(event, ensure_ascii=is_escaped).encode()


@settings(max_examples=60, deadline=None)
@given(_name, st.booleans(), st.booleans())
def test_a_name_that_json_escapes_is_decoded_fast_and_slow(name, is_numeric, is_escaped):
    kinds = {"numeric": (name,)} if is_numeric else {"numeric": (), "categorical": (name,)}
    schema = ModelSchema("default", "m", **kinds, segments=(name,))
    values = [float(i) for i in range(8)] if is_numeric else [f"v{i}" for i in range(8)]
    events = [written(name, value, is_escaped=is_escaped) for value in values]
    for is_fast in (True, False):
        decoded = Decoder([schema], fast=is_fast).decode(chunk_of(events, "f"))
        assert not decoded.rejects
        [batch] = decoded.batches
        if is_numeric:
            assert np.array_equal(batch.numeric[0], values)
        else:
            column = batch.categorical[0]
            assert [column.values[code] for code in column.codes] == values
        segment = batch.segments[0]
        assert {segment.values[code] for code in segment.codes} == {"s"}


@pytest.mark.parametrize("is_fast", [True, False])
def test_values_beside_an_odd_name_have_the_forms_of_all_others(is_fast):
    schema = ModelSchema(
        "default", "m", numeric=('size 15"', "b"), categorical=("c",), segments=('s"',)
    )
    event = {"features": {'size 15"': "1.5", "b": True, "c": 7.0}, "segments": {'s"': 3.0}}
    line = json.dumps({"model": "m", "time_us": 1, "score": "0.5", **event}).encode()
    decoded = Decoder([schema], fast=is_fast).decode(chunk_of([line] * 3, "f"))
    assert not decoded.rejects
    [batch] = decoded.batches
    assert [column.tolist() for column in batch.numeric] == [[1.5] * 3, [1.0] * 3]
    assert batch.score.tolist() == [0.5] * 3
    for column, value in ((batch.categorical[0], "7"), (batch.segments[0], "3")):
        assert [column.values[code] for code in column.codes] == [value] * 3


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_typed_and_may_be_absent(name):
    schema = ModelSchema("default", "m", (name, "plain"))
    events = [
        written(name, "text", is_escaped=True),
        b'{"model":"m","time_us":1}',
        b'{"model":"m","time_us":1,"features":{"plain":2}}',
    ]
    decoded = Decoder([schema]).decode(chunk_of(events, "f"))
    assert [r.reason.value for r in decoded.rejects] == ["mistyped"]
    [batch] = decoded.batches
    assert np.isnan(batch.numeric[0]).all()
    assert batch.numeric[1][1] == 2
