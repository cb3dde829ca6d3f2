"""What a layout is learned from, how layouts are joined, and how many there are."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from monitor.decode import Decoder, chunk_of, program
from monitor.decode.columns import assign_columns
from monitor.decode.dictionaries import HAS_KERNELS
from monitor.decode.fast import FastPath
from monitor.decode.layout import EventLayout
from monitor.decode.learning.join import MOST_IGNORED, joined
from monitor.decode.learning.piece import slots_of
from monitor.decode.learning.sketch import learn_layout
from monitor.decode.learning.speculation import LONGEST_PAUSE
from monitor.decode.program import TRIAL_EVENTS, Program
from monitor.decode.strict import StrictDecoder
from schemas.batch import ModelSchema
from tests.support import decoding

COLUMNS = assign_columns(decoding.SCHEMA, 0)
EVENT = (
    b'{"id":"1","model":"m","time_us":1,"host":null,"features":{"color":"red","b":NaN,"new":1},'
    b'"tags":["x",{"y":[]}],"segments":{"sex":"f"}}'
)
ENVELOPE = (
    b'{"specversion": "1.0", "id": "c", "source": "s", "type": "t", "time": null, "x": [],'
    b' "data": {"model": "m", "time_us": 1, "features": {"a": 1}}}\n'
)
needs_kernels = pytest.mark.skipif(not HAS_KERNELS, reason="needs compiled kernels")
MET, YOUNG = 5, 6


def learn(payload: bytes) -> EventLayout | None:
    return learn_layout(payload, COLUMNS)


def learned(payload: bytes) -> EventLayout:
    layout = learn(payload)
    assert layout is not None
    return layout


def names(layout: EventLayout, *path: str) -> list[str]:
    return [member.name for member in layout.groups[path].members]


def test_a_layout_is_the_event_cut_at_its_values() -> None:
    slots = slots_of(learned(EVENT))
    assert [slot.kind.name for slot in slots] == [
        "ID", "TIME", "STRING", "CATEGORY", "NUMBER", "IGNORED", "IGNORED", "CATEGORY", "END",
    ]  # fmt: skip
    values = [b'"1"', b"1", b"null", b'"red"', b"NaN", b"1", b'["x",{"y":[]}]', b'"f"', b""]
    pieces = zip((slot.literal for slot in slots), values, strict=True)
    assert b"".join(literal + value for literal, value in pieces) == EVENT
    assert learned(EVENT).numbers() == {1}  # b


def test_an_envelope_is_cut_at_its_values_too() -> None:
    slots = slots_of(learned(ENVELOPE))
    assert [slot.kind.name for slot in slots] == [
        "SENDER_ID", "TEXT", "TEXT", "SENT", "IGNORED", "TIME", "NUMBER", "END",
    ]  # fmt: skip
    values = [b'"c"', b'"s"', b'"t"', b"null", b"[]", b"1", b"1", b""]
    pieces = zip((slot.literal for slot in slots), values, strict=True)
    assert b"".join(literal + value for literal, value in pieces) == ENVELOPE
    assert b'"specversion": "1.0"' in slots[0].literal


def test_the_models_name_belongs_to_the_literal() -> None:
    assert b'"model":"m"' in slots_of(learned(EVENT))[1].literal


@pytest.mark.parametrize(
    "payload",
    [
        b'{"model":"m","time_us":1,"time_us":2}',
        b'{"model":"m","time_us":1,"features":{"a":1,"\\u0061":2}}',
        b'{"model":"m","time_us":1,' + b",".join(b'"k%d":1' % k for k in range(5_000)) + b"}",
        b'{"\xff":1,"model":"m","time_us":1}',
        b'\xef\xbb\xbf{"model":"m","time_us":1}',
        b'{"model":"m","time_us":1',
        b'{"specversion":"1.0","model":"m","id":"1","source":"s","type":"t","data":{}}',
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"","data":{}}',
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":[]}',
    ],
    ids=[
        "duplicate key",
        "duplicate key in disguise",
        "too many members",
        "key not UTF-8",
        "BOM",
        "cut off",
        "envelope with a model",
        "envelope with base64",
        "envelope without an event",
    ],
)
def test_no_layout_is_learned_from(payload: bytes) -> None:
    assert learn(payload) is None


@pytest.mark.parametrize(
    "value", [b"[" * 500 + b"]" * 500, b'{"k":1,"k":1}', b"[" + b"1," * 5_000 + b"1]", b'"\xff"']
)
def test_an_ignored_value_is_one_place_whatever_it_holds(value: bytes) -> None:
    short, long = (b'{"model":"m","time_us":1,"x":%s}' % v for v in (b"0", value))
    assert learned(short) == learned(long)


# --- joining ------------------------------------------------------------------------------


def event(*keys: str, **changed: Any) -> bytes:
    return json.dumps({"model": "m", "time_us": 1, **dict.fromkeys(keys, 1), **changed}).encode()


def test_layouts_of_events_that_lack_members_become_one() -> None:
    layout = learned(event("a", "c"))
    for payload in (event("b", "c"), event("c", "d"), event("a", "b")):
        found = joined(layout, learned(payload))
        assert found is not None
        layout = found
    assert names(layout) == ["model", "time_us", "a", "b", "c", "d"]


def test_an_order_that_was_only_guessed_is_corrected() -> None:
    layout = joined(learned(event("x", "z")), learned(event("y", "z")))
    assert layout is not None
    guess = names(layout)[2:4]
    other = joined(layout, learned(event(*reversed(guess))))
    assert other is not None
    assert names(other)[2:4] == guess[::-1]
    assert joined(other, learned(event(*guess))) is None


@pytest.mark.parametrize(
    "other",
    [
        b'{"model": "n", "time_us": 1, "a": 1}',
        b'{"model":"m","time_us":1,"a":1}',
        b'{"time_us": 1, "model": "m", "a": 1}',
        b'{"model": "m", "time_us": 1, "\\u0061": 1}',
        b'{"model": "m", "time_us": 1, "a": 1}\n',
        b'{"model": "m", "tenant": "default", "time_us": 1, "a": 1}',
        ENVELOPE.strip(),
    ],
    ids=["model", "blanks", "order", "spelling of a key", "end", "tenant", "envelope"],
)
def test_events_of_another_producer_are_not_joined(other: bytes) -> None:
    first = learned(b'{"model": "m", "time_us": 1, "a": 1}')
    assert joined(first, learned(other)) is None
    assert joined(learned(other), first) is None


def test_keys_that_never_come_again_do_not_make_a_layout_grow_for_ever() -> None:
    layout = learned(event())
    for k in range(1_000):
        layout = joined(layout, learned(event(f"key-{k}"))) or layout
    assert len(names(layout)) == MOST_IGNORED + 2


def test_an_object_that_was_empty_is_filled() -> None:
    layout = joined(learned(event(features={})), learned(event(features={"a": 1, "b": 2})))
    assert layout is not None
    assert [s.literal for s in slots_of(layout)][1:3] == [b', "features": {"a": ', b', "b": ']


# --- the layouts of a decoder -----------------------------------------------------------------


def conflicting(i: int) -> bytes:
    """Events that cannot be joined."""
    return b'{"model":"m","time_us":1%s}' % (b" " * i)


def test_a_new_layout_is_tried_first_and_the_oldest_is_forgotten() -> None:
    program = Program(1, max_layouts=3)
    for i in range(5):
        assert program.consider(conflicting(i), COLUMNS, 0)
        program.heads[0, MET] += 1  # as the kernel counts an event that had it
        program.settle()
    assert len(program) == 3
    assert program.heads[:, 4].tolist() == [5, 4, 3]


def test_a_layout_already_known_is_not_learned_twice() -> None:
    program = Program(1)
    assert program.consider(EVENT, COLUMNS, 0)
    assert not program.consider(EVENT.replace(b'"red"', b'"blue"'), COLUMNS, 0)
    assert program.ration.price == 2


def test_a_member_that_was_absent_is_added_to_the_layout() -> None:
    program = Program(1)
    assert program.consider(EVENT.replace(b'"host":null,', b""), COLUMNS, 0)
    assert program.consider(EVENT, COLUMNS, 0)
    assert len(program) == 1


def test_a_layout_that_meets_nothing_is_forgotten() -> None:
    program = Program(1)
    assert program.consider(conflicting(0), COLUMNS, 0)
    for _ in range(10 * TRIAL_EVENTS):
        program.consider(conflicting(1), COLUMNS, 0)
    assert 1 not in program.heads[:, 4]
    assert program.ration.price > 1


def shape_events(n: int, change: Any, seed: int = 1) -> list[bytes]:
    """Events with every member, each changed."""
    rng = random.Random(seed)
    return [json.dumps(change(rng, decoding.event(rng))).encode() for _ in range(n)]


def half(rng: random.Random, made: dict[str, Any]) -> dict[str, Any]:
    made = {k: v for k, v in made.items() if k in ("model", "time_us") or rng.random() < 0.7}
    if "features" in made:
        made["features"] = {k: v for k, v in made["features"].items() if rng.random() < 0.5}
    return made


def wrapped(rng: random.Random, made: dict[str, Any]) -> dict[str, Any]:
    del made["time_us"]
    head = {
        "specversion": "1.0",
        "id": "1",
        "source": "s",
        "type": 't"',
        "x": decoding.any_json(rng),
    }
    return {**head, "time": f"2024-03-04T08:00:{rng.randrange(60):02}Z", "data": made}


SHAPES: dict[str, Any] = {
    "members absent": half,
    "ragged": lambda rng, e: {**e, "tags": [f"t{k}" for k in range(rng.randrange(200))]},
    "nested": lambda rng, e: {**e, "context": decoding.any_json(rng), "z": 1},
    "escaped": lambda rng, e: {**e, "note": rng.choice(decoding.ESCAPES) * 3},
    "quoted": lambda rng, e: {**e, "host": rng.choice(decoding.ESCAPES)},
    "enveloped": wrapped,
    "spelled": lambda rng, e: {**e, "time_us": "2024-03-04 08:00:00.5+01:00"},
    "orders": lambda rng, e: dict(reversed(e.items())) if rng.random() < 0.5 else e,
}


@needs_kernels
@pytest.mark.parametrize("shape", SHAPES)
def test_events_of_a_shape_do_not_reach_msgspec(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = shape_events(2_000, SHAPES[shape])
    decoder, strict = Decoder([decoding.SCHEMA]), Decoder([decoding.SCHEMA], fast=False)
    expected = decoding.rows_of(strict.decode(chunk_of(messages, "f")))
    for _ in range(3):
        assert decoding.rows_of(decoder.decode(chunk_of(messages, "f"))) == expected
    monkeypatch.delattr(StrictDecoder, "guess")
    assert decoding.rows_of(decoder.decode(chunk_of(messages, "f"))) == expected


@needs_kernels
def test_events_of_known_layouts_never_reach_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    events = [decoding.event(rng) for _ in range(200)]
    reordered = [dict(reversed(list(e.items()))) for e in events]
    messages = [
        *(json.dumps(e).encode() for e in events),
        *(json.dumps(e, separators=(",", ":")).encode() for e in events),
        *(json.dumps(e, ensure_ascii=False, indent=2).encode() for e in reordered),
    ]
    rng.shuffle(messages)
    decoder = Decoder([decoding.SCHEMA])
    first = decoding.rows_of(decoder.decode(chunk_of(messages, "f")))
    monkeypatch.delattr(StrictDecoder, "guess")
    assert decoding.rows_of(decoder.decode(chunk_of(messages, "f"))) == first


@needs_kernels
@pytest.mark.parametrize("value", [b'["x",{"y":[1]}]', b"[1,]", b"1", b'"a', b"[" * 64 + b"]" * 64])
def test_what_several_layouts_ignore_decodes_alike(value: bytes) -> None:
    text = b'{"t":[1],"x":%s,"model":"m","time_us":%d,"features":{"a":1.5}%s}'
    blanks = [b" " * i for i in range(6)]
    messages = [text % (b"1", i, blanks[i % 6]) for i in range(60)]
    messages += [text % (value, i, blanks[i % 6] + b',"k%d":2' % i) for i in range(6)]
    messages += [text % (value, i, blanks[i % 6]) for i in range(6)]
    fast, strict = Decoder([decoding.SCHEMA]), Decoder([decoding.SCHEMA], fast=False)
    for _ in range(2):
        found, expected = (d.decode(chunk_of(messages, "f")) for d in (fast, strict))
        assert decoding.rows_of(found) == decoding.rows_of(expected)
        assert decoding.rejects_of(found) == decoding.rejects_of(expected)


def shuffled(rng: random.Random, made: dict[str, Any]) -> dict[str, Any]:
    items = list(made.items())
    rng.shuffle(items)
    return dict(items)


@needs_kernels
def test_where_nothing_fits_the_kernel_is_rarely_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    run = FastPath.run

    def counting(self: FastPath, begin: int, end: int) -> None:
        tried.append(end - begin)
        run(self, begin, end)

    monkeypatch.setattr(FastPath, "run", counting)
    decoder = Decoder([decoding.SCHEMA])
    for seed in range(30):
        if seed == 15:
            tried.clear()
        messages = shape_events(1_000, shuffled, seed)
        assert len(decoding.rows_of(decoder.decode(chunk_of(messages, "f")))) == 1_000
    assert sum(tried) < 3_000
    assert decoder._program.ration.price > 64


@needs_kernels
@pytest.mark.parametrize("length", [10, 40])
def test_layouts_that_last_a_few_events_are_rarely_learned(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons: list[bytes] = []

    def counting(payload: bytes, columns: Any) -> EventLayout | None:
        lessons.append(payload)
        return learn_layout(payload, columns)

    monkeypatch.setattr(program, "learn_layout", counting)
    text = b'{"run_%d":1,"model":"m","time_us":1,"features":{"a":1.5,"b":2}}'
    decoder = Decoder([decoding.SCHEMA])
    for first in range(0, 20_000, 5_000):
        messages = [text % (i // length) for i in range(first, first + 5_000)]
        assert len(decoder.decode(chunk_of(messages, "f")).batches[0]) == len(messages)
    assert len(lessons) < 100  # of 2,000 and 500 runs


@needs_kernels
def test_after_events_that_did_not_fit_those_that_do_are_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random(1)
    decoder = Decoder([decoding.SCHEMA])
    for seed in range(20):
        decoder.decode(chunk_of(shape_events(1_000, shuffled, seed), "f"))
    ordinary = [json.dumps(decoding.event(rng)).encode() for _ in range(2_000)]
    for _ in range(2 + LONGEST_PAUSE // 2_000):
        decoder.decode(chunk_of(ordinary, "f"))
    monkeypatch.delattr(StrictDecoder, "guess")
    assert len(decoding.rows_of(decoder.decode(chunk_of(ordinary, "f")))) == 2_000


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


@needs_kernels
@pytest.mark.parametrize("colon", [b":", b": ", b" : "])
def test_a_thousand_models_are_learned_and_stay_learned(
    colon: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_models = 1_000
    schemas = [ModelSchema("default", f"m{i}", ("a",)) for i in range(n_models)]
    decoder = Decoder(schemas)
    messages = [
        b'{"id":"x%d","model"%b"m%d","time_us":%d,"features":{"a":1.5}}'
        % (i, colon, i % n_models, i)
        for i in range(3 * n_models)
    ]
    for _ in range(3):
        first = decoding.rows_of(decoder.decode(chunk_of(messages, "f")))
    assert len(decoder._program) == n_models
    monkeypatch.delattr(StrictDecoder, "guess")
    assert decoding.rows_of(decoder.decode(chunk_of(messages, "f"))) == first
