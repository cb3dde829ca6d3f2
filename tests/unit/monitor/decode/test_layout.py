"""What a layout is learnt from, how many there are, and when learning pays."""

from __future__ import annotations

import json
import random

import pytest

from monitor.decode import Decoder, chunk_of
from monitor.decode.columns import assign_columns
from monitor.decode.dictionaries import HAS_KERNELS
from monitor.decode.layout import EventLayout, Ration, SlotKind, learn_layout
from monitor.decode.program import Program
from monitor.decode.strict import StrictDecoder
from schemas.batch import ModelSchema
from tests.support import decoding

COLUMNS = assign_columns(decoding.SCHEMA, 0)
EVENT = (
    b'{"id":"1","model":"m","time_us":1,"host":null,"features":{"color":"red","b":NaN,"new":1},'
    b'"tags":["x",{"y":[]}],"segments":{"sex":"f"}}'
)


def learn(payload: bytes) -> EventLayout | None:
    return learn_layout(payload, COLUMNS)


def test_a_layout_is_the_event_cut_at_its_values() -> None:
    layout = learn(EVENT)
    assert layout is not None
    kinds = [slot.kind for slot in layout.slots]
    assert kinds == [
        SlotKind.ID,
        SlotKind.TIME,
        SlotKind.STRING,
        SlotKind.CATEGORY,
        SlotKind.NUMBER,
        SlotKind.IGNORED,
        SlotKind.IGNORED,
        SlotKind.CATEGORY,
        SlotKind.END,
    ]
    values = [b'"1"', b"1", b"null", b'"red"', b"NaN", b"1", b'"x"', b'"f"', b""]
    pieces = zip((slot.literal for slot in layout.slots), values, strict=True)
    assert b"".join(literal + value for literal, value in pieces) == EVENT
    assert layout.absent_numbers == (0, 2)  # a, score
    assert layout.has_id


def test_the_models_name_belongs_to_the_literal() -> None:
    layout = learn(EVENT)
    assert layout is not None
    assert b'"model":"m"' in layout.slots[1].literal


@pytest.mark.parametrize(
    "payload",
    [
        b'{"model":"m","time_us":1,"time_us":2}',
        b'{"model":"m","time_us":1,"features":{"a":1,"\\u0061":2}}',
        b'{"model":"m","time_us":1,"x":{"k":1,"k":1}}',
        b'{"model":"m","time_us":1,"specversion":"1.0"}',
        b'{"model":"m","time_us":1,"x":' + b"[" * 9 + b"1" + b"]" * 9 + b"}",
        b'{"model":"m","time_us":1,"x":[' + b"1," * 5_000 + b"1]}",
        b'{"model":"m","score":1}',
        b'{"\xff":1,"model":"m","time_us":1}',
        b'\xef\xbb\xbf{"model":"m","time_us":1',
        b'{"model":"m","time_us":1',
    ],
    ids=[
        "duplicate key",
        "duplicate key in disguise",
        "duplicate of an ignored key",
        "envelope",
        "too deep",
        "too many values",
        "no time",
        "key not UTF-8",
        "BOM",
        "cut off",
    ],
)
def test_no_layout_is_learnt_from(payload: bytes) -> None:
    assert learn(payload) is None


def test_a_new_layout_is_tried_first_and_the_oldest_is_forgotten() -> None:
    program = Program(1, max_layouts=3)
    for i in range(5):
        assert program.consider(b'{"model":"m","time_us":1,"x%d":1}' % i, COLUMNS, 0)
        program.heads[0, 3] = 1  # as the kernel notes that an event had it
        program.settle()
    assert len(program) == 3
    assert program.heads[:, 2].tolist() == [5, 4, 3]


def test_a_layout_already_known_is_not_learnt_twice() -> None:
    program = Program(1)
    assert program.consider(EVENT, COLUMNS, 0)
    program.heads[0, 3] = 1
    assert not program.consider(EVENT.replace(b'"red"', b'"blue"'), COLUMNS, 0)


def test_an_unused_layout_is_forgotten_at_the_next_lesson() -> None:
    program = Program(1)
    assert program.consider(EVENT, COLUMNS, 0)
    program.settle()
    shorter = EVENT.replace(b'"host":null,', b"")
    while not program.consider(shorter, COLUMNS, 0):
        pass
    assert len(program) == 1
    assert program.heads[0, 2] == 2


def test_vain_lessons_get_dearer_and_a_useful_one_makes_them_cheap() -> None:
    ration = Ration()
    prices = []
    for _ in range(20):
        prices.append(next(n for n in range(1, 10_000) if ration.may_learn()))
        ration.learnt(is_useful=False)
    assert prices == [min(2**k, 4_096) for k in range(20)]
    ration.learnt(is_useful=True)
    assert ration.may_learn()


@pytest.mark.skipif(not HAS_KERNELS, reason="needs compiled kernels")
def test_events_of_known_layouts_never_reach_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    events = [decoding.event(rng) for _ in range(200)]
    reordered = [dict(reversed(list(e.items()))) for e in events]
    messages = [
        *(json.dumps(e).encode() for e in events),
        *(json.dumps(e, separators=(",", ":")).encode() for e in events),
        *(json.dumps(e, ensure_ascii=False).encode() for e in reordered),
    ]
    messages = [m for m in messages if b"\\" not in m]
    rng.shuffle(messages)
    decoder = Decoder([decoding.SCHEMA])
    first = decoding.rows_of(decoder.decode(chunk_of(messages, "f")))
    monkeypatch.delattr(StrictDecoder, "guess")
    assert decoding.rows_of(decoder.decode(chunk_of(messages, "f"))) == first


@pytest.mark.skipif(not HAS_KERNELS, reason="needs compiled kernels")
def test_arrays_of_varying_length_never_exceed_the_cap() -> None:
    decoder = Decoder([decoding.SCHEMA], max_layouts=4)
    messages = [
        json.dumps({"model": "m", "time_us": 1, "tags": [0] * (i % 40)}).encode()
        for i in range(400)
    ]
    for _ in range(3):
        (batch,) = decoder.decode(chunk_of(messages, "f")).batches
        assert len(batch) == 400
    assert 1 <= len(decoder._program) <= 4


def model_events(n_models: int, n: int, seed: int = 0) -> list[bytes]:
    """Events of many models, each in two layouts, some with the name where it misleads."""
    rng = random.Random(seed)
    messages = []
    for i in range(n):
        event = {"id": f"{i}", "model": f"m{rng.randrange(n_models)}", "time_us": i}
        event["features"] = {"a": i / 4, "color": rng.choice(["red", "blue"])}
        if rng.random() < 0.3:
            event["host"] = 'a "model":' if rng.random() < 0.1 else "h"
        if rng.random() < 0.1:
            event = {"features": {**event["features"], "model": rng.choice("xyz")}, **event}
        separators = rng.choice([(",", ":"), (", ", ": "), (",", " : ")])
        messages.append(json.dumps(event, separators=separators).encode())
    return messages


@pytest.mark.parametrize("n_models", [2, 12, 150])
def test_many_models_decode_as_on_the_strict_path(n_models: int) -> None:
    schemas = [ModelSchema("default", f"m{i}", ("a",), ("color",)) for i in range(n_models)]
    fast, strict = Decoder(schemas), Decoder(schemas, fast=False)
    messages = model_events(n_models, 3_000)
    for size in (3_000, 700):
        for i in range(0, len(messages), size):
            chunk = chunk_of(messages[i : i + size], "f")
            assert decoding.rows_of(fast.decode(chunk)) == decoding.rows_of(strict.decode(chunk))


@pytest.mark.skipif(not HAS_KERNELS, reason="needs compiled kernels")
def test_a_thousand_models_are_learnt_and_stay_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    n_models = 1_000
    schemas = [ModelSchema("default", f"m{i}", ("a",)) for i in range(n_models)]
    decoder = Decoder(schemas)
    messages = [
        b'{"id":"x%d","model":"m%d","time_us":%d,"features":{"a":1.5}}' % (i, i % n_models, i)
        for i in range(3 * n_models)
    ]
    first = decoding.rows_of(decoder.decode(chunk_of(messages, "f")))
    assert len(decoder._program) == n_models
    monkeypatch.delattr(StrictDecoder, "guess")
    assert decoding.rows_of(decoder.decode(chunk_of(messages, "f"))) == first
