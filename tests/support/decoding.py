"""Events to decode, ways to corrupt them, and their content by ``json.loads``."""

from __future__ import annotations

import json
import math
import random
import struct
from typing import Any

from driftline.canonical import category_of, number_of
from driftline.times import time_of_text
from monitor.decode import Decoded
from schemas.batch import ABSENT, ABSENT_BITS, EventBatch, ModelSchema, StringColumn

SCHEMA = ModelSchema("default", "m", ("a", "b"), ("color", "sex"), ("sex", "region"))
OTHER = ModelSchema("acme", "größe", ("x", "y z"), (), ())
ORDINARY = (
    b'{"id": "e1", "model": "m", "time_us": 17, "features": {"a": 1.5, "b": 2, "color": "red"},'
    b' "segments": {"region": "eu"}, "score": 0.25, "host": "h1"}'
)
"""An event of ``SCHEMA``."""
Row = tuple[Any, ...]

NUMBERS = [
    "0", "-0", "0.0", "-0.0", "1", "-1", "12", "0.1", "-2.5", "3.14159", "1e5", "1E-5", "-1e+22",
    "1e22", "1e23", "123456789012345678", "1234567890123456789", "9223372036854775808",
    "18446744073709551616", "123456789012345678901234567890", "0.1234567890123456789",
    "0.00000000000000000001", "0.000123456789012345678", "9007199254740993", "9007199254740993.0",
    "2.2250738585072011e-308", "4.9e-324", "5e-324", "1.7976931348623157e308", "1e-400",
    "8.98846567431158e307", "1.00000000000000011102230246251565", "0e5", "-0e0", "0e-999",
    "0.30000000000000004",
]  # fmt: skip
BAD_NUMBERS = [
    "01", "-01", "1.", ".5", "+1", "-", "1e", "1e+", "1E-", "0x1", "1e400", "-1e400", "1_0",
    "--1", "1.2.3", "0.e1", "00", "1a", "Inf", "nan", "+Infinity", "-NaN",
]  # fmt: skip
MISSING = ["null", "NaN", "Infinity", "-Infinity"]
TEXTS = [
    '""', '"x"', '"exactly8"', '"longer than eight"', '"größe"', '"日本語"', '"😀"', '"a\\"b"',
    '"\\u00e9"', '"\\ud83d\\ude00"', '"\\/"', '"tab\\t"', '"\x7f"', '"12"', '"true"', '"NaN"',
    '"7.00"', '"-0"', '"1e2"', '"007"', '"True"', '"NA"', '" 7 "', '"1e-05"', '"0.50"', '" "',
    '"2024-03-04 10:00:00+01"', '"1e400"', '"inf"',
]  # fmt: skip
BAD_TEXTS = [
    b'"\x01"', b'"a\nb"', b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"',
    b'"\xe2\x82"', b'"\xf0\x9f\x98"', b'"\\ud800"', b'"\\q"', b'"open', b"'x'", b'"\x80"',
    b'"\xf0\x80\x80\x80"', b'"\xe0\x80\x80"',
]  # fmt: skip
OTHERS = ["true", "false", "[]", "{}", "[1, 2]", '{"k": 1}', "tru", "nul", "", " "]
NESTED = [
    "[1e999, -0, 0.5E-3, 12345678901234567890]", "[01]", "[-01]", "[1.]", "[.5]", "[-]", "[1e]",
    "[1, 2,]", "[,1]", "[1 2]", "[1}", "{]", '{"a":1,}', '{"a"}', '{"a":}', "{1:2}", '{"a" 1}',
    '{"a":1 "b":2}', '{"k":{"k":{}},"k":[]}', '[ {"a" : [ ] } ,\t{ } ]', "[NaN, -Infinity]",
    "[-NaN]", "[nan]", "[tru]", "[truefalse]", '["\\""]', '["\\ud83d\\ude00"]', '["\\ud83d"]',
    '["\\ude00"]', '["\\ud83d\\u0041"]', '["\\x41"]', '["\\u12g4"]', '["open]', '{"\\ud800":1}',
    "[" * 62 + "]" * 62, "[" * 64 + "]" * 64, "[" * 300 + "]" * 300, "[" * 80,
    '{"a":' * 63 + "1" + "}" * 63, '{"a":' * 70 + "1" + "}" * 70, "[[]" * 3, "[[[]",
    '[{"a":[1,[2]]}]',
    "[" + ", ".join(f'"tag-{k}"' for k in range(200)) + "]", "[1]]", "[]}", "/* */ 1", "[1,// 2]",
]  # fmt: skip
ESCAPES = [
    'say "no"',
    "line\nbreak",
    "back\\slash",
    "\u00e9\u2028",
    "😀",
    "\x00",
    "tab\t",
    '"',
    "/",
]


def event(rng: random.Random, **changed: Any) -> dict[str, Any]:
    """One ordinary event of ``SCHEMA``."""
    made = {
        "id": f"{rng.getrandbits(64):016x}",
        "model": "m",
        "model_version": rng.choice(["v1", "v2"]),
        "time_us": 1_700_000_000_000_000 + rng.randrange(10**9),
        "host": f"host-{rng.randrange(4)}",
        "features": {
            "a": round(rng.gauss(0, 100), rng.randrange(1, 17)),
            "b": rng.choice([rng.random(), rng.randrange(1000), rng.gauss(0, 1e-5)]),
            "color": rng.choice(["red", "green", "größe", 12, True, 3.0, 0.5, "True", "7.00"]),
        },
        "segments": {"region": rng.choice(["eu", "us", None, 7.0])},
        "trace": rng.random(),
        "score": round(rng.random(), 6),
    }
    return {**made, **changed}


def varied_event(rng: random.Random) -> dict[str, Any]:
    """One event with members absent, escapes, and ignored fields of any size."""
    made = event(rng)
    for part, share in (("features", 0.3), ("segments", 0.3)):
        made[part] = {k: v for k, v in made[part].items() if rng.random() >= share}
    if rng.random() < 0.4:
        made["features"]["extra"] = any_json(rng)
    made["tags"] = [f"tag-{k}" for k in range(rng.randrange(20))]
    made["note"] = "".join(rng.choices([*ESCAPES, "a plain text"], k=rng.randrange(4)))
    made["context"] = any_json(rng)
    if rng.random() < 0.2:
        made["host"] = rng.choice(ESCAPES)
    if rng.random() < 0.2:
        made["features"]["color"] = rng.choice(ESCAPES)
    kept = ("model", "time_us")
    return {k: v for k, v in made.items() if k in kept or rng.random() >= 0.1}


def any_json(rng: random.Random, depth: int = 0) -> Any:
    """Any value, nested up to four levels."""
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind < 5:
        return rng.choice((None, True, rng.random() * 10 ** rng.randrange(-5, 9), *ESCAPES, 0, -7))
    if kind == 5:
        return {rng.choice(ESCAPES): any_json(rng, depth + 1) for _ in range(rng.randrange(4))}
    return [any_json(rng, depth + 1) for _ in range(rng.randrange(5))]


def enveloped(rng: random.Random, value: dict[str, Any]) -> dict[str, Any]:
    """An event in a CloudEvents envelope, some members of it invalid."""
    data = {k: v for k, v in value.items() if k not in ("id", "time_us") or rng.random() < 0.3}
    times = (
        "2024-03-04T08:00:00Z", "2024-03-04 08:00:00.123456789+05:30", "2024-02-29T23:59:59.5",
        "1970-01-01T00:00:00+01:00", "2023-02-29T00:00:00Z", "2024-03-04T24:00:00Z", "20240304",
        "2024-03-04T08:00:00.Z", "yesterday", None, 5, "2024-03-04T08:00:00z", "",
    )  # fmt: skip
    made: dict[str, Any] = {
        "specversion": rng.choice(("1.0",) * 20 + ("1.1", "2.0", 1, None)),
        "id": rng.choice(("ce-1",) * 20 + ("größe", 'a"b', "", None, 7)),
        "source": rng.choice(("/s",) * 20 + ('"', None, "größe")),
        "type": "t",
        "time": rng.choice((*times[:3] * 5, *times)),
        "traceparent": any_json(rng) if rng.random() < 0.2 else "00-1",
        "data": data,
    }
    if rng.random() < 0.05:
        made[rng.choice(("model", "tenant", "data_base64"))] = rng.choice(("m", 7))
    return {k: v for k, v in made.items() if rng.random() >= 0.03}


def doubled(rng: random.Random, value: dict[str, Any]) -> bytes:
    """The event with one member twice, the second somewhere behind the first."""
    paths = [()] + [(p,) for p in ("features", "segments") if isinstance(value.get(p), dict)]
    path = rng.choice(paths)
    inside: dict[str, Any] = value[path[0]] if path else value
    if not inside:
        return json.dumps(value).encode()
    key = rng.choice(list(inside))
    again = rng.choice((json.dumps(inside[key]), "null", "1", '"x"', "{}", '{"a": 3}'))
    members = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in inside.items()]
    spelled = json.dumps(key) if rng.random() < 0.7 else f'"\\u{ord(key[0]):04x}{key[1:]}"'
    members.insert(
        rng.randrange(list(inside).index(key) + 1, len(members) + 1), f"{spelled}: {again}"
    )
    text = "{" + ", ".join(members) + "}"
    return (
        json.dumps({**value, path[0]: "@@"}).replace('"@@"', text, 1).encode()
        if path
        else text.encode()
    )


def written(rng: random.Random, value: dict[str, Any]) -> bytes:
    """Encode an event in one of the forms of JSON that producers use."""
    is_compact, is_ascii = rng.random() < 0.3, rng.random() < 0.3
    separators = (",", ":") if is_compact else None
    return json.dumps(value, separators=separators, ensure_ascii=is_ascii).encode()


def spoiled(rng: random.Random, payload: bytes) -> list[bytes]:
    """The event after one change; two messages where it was cut."""
    return spoiled_bytes(rng, payload) or [replaced(rng, payload)]


def spoiled_bytes(rng: random.Random, payload: bytes) -> list[bytes]:
    """Return the bytes after one corruption; two messages if they were split."""
    n = len(payload)
    at = rng.randrange(n)
    choice = rng.randrange(11)
    if choice == 0:
        return [payload[:at] + bytes([rng.randrange(256)]) + payload[at + 1 :]]
    if choice == 1:
        return [payload[:at] + payload[at + 1 :]]
    if choice == 2:
        return [
            payload[:at] + bytes([rng.choice(b'{}[]",:0129.-+eE \t\\nN\x00\xff')]) + payload[at:]
        ]
    if choice == 3:
        return [payload[:at], payload[at:]]
    if choice == 4:
        return [payload[:at]]
    if choice == 5:
        end = min(n, at + rng.randrange(1, 30))
        return [payload[:end] + payload[at:]]
    if choice == 6:
        return [
            rng.choice([b" ", b"\n", b"\xef\xbb\xbf", b"[", b""])
            + payload
            + b" " * rng.randrange(2)
        ]
    return []


def replaced(rng: random.Random, payload: bytes) -> bytes:
    """The event with one value replaced by an awkward token."""
    value = json.loads(payload)
    path = rng.choice(
        [("features", "a"), ("features", "b"), ("features", "color"), ("segments", "region")]
        + [(k,) for k in value]
    )
    inside = value
    for key in path[:-1]:
        inside = inside.get(key, {})
    if path[-1] in inside:
        inside[path[-1]] = "@@"
    token: Any = rng.choice(
        [*NUMBERS, *BAD_NUMBERS, *MISSING, *TEXTS, *BAD_TEXTS, *OTHERS, *NESTED]
    )
    raw = token if isinstance(token, bytes) else token.encode()
    return json.dumps(value, ensure_ascii=False).encode().replace(b'"@@"', raw, 1)


NOT_NAMED = "not named by the event"


def bits(value: float) -> bytes:
    """The bits of a float; of a NaN whether the event names the number."""
    found = struct.pack("<d", value)
    if not math.isnan(value):
        return found
    return b"absent" if found == struct.pack("<Q", ABSENT_BITS) else b"missing"


def _text(column: StringColumn, i: int) -> str | None:
    code = int(column.codes[i])
    return None if code < 0 else column.values[code]


def _not_named(batch: EventBatch, i: int) -> tuple[str, ...]:
    """Return the categorical features that an event does not name."""
    found = sorted(c for c, is_absent in batch.absent.categories.items() if is_absent[i])
    assert all(batch.categorical[c].codes[i] == -1 for c in found)
    return tuple(batch.schema.categorical[c] for c in found)


def row_of(batch: EventBatch, i: int) -> Row:
    """Return all columns of one event of a batch."""
    start, length = batch.id_spans[i].tolist()
    texts = (batch.model_version, batch.prediction, batch.host, batch.gpu_uuid)
    return (
        batch.schema.model,
        int(batch.time_us[i]),
        None if length < 0 else bytes(batch.id_bytes[start : start + length]).decode(),
        tuple(bits(float(c[i])) for c in (*batch.numeric, batch.score)),
        tuple(_text(c, i) for c in (*batch.categorical, *batch.segments, *texts)),
        _not_named(batch, i),
    )


def rows_of(decoded: Decoded) -> dict[tuple[int, int], Row]:
    """Every accepted event, by its place."""
    found: dict[tuple[int, int], Row] = {}
    for batch in decoded.batches:
        places = list(zip(batch.message.tolist(), batch.row.tolist(), strict=True))
        assert places == sorted(set(places))
        for i, place in enumerate(places):
            assert place not in found
            found[place] = row_of(batch, i)
    return found


def rejects_of(decoded: Decoded) -> list[tuple[Any, ...]]:
    """Every reject, in full."""
    return [
        (r.message, r.row, r.reason, r.detail, r.payload, r.tenant, r.model)
        for r in decoded.rejects
    ]


def expected_row(payload: bytes, schema: ModelSchema) -> Row:
    """Return the content of an accepted event, by ``json.loads``."""
    said = json.loads(payload)
    features, segments = said.get("features", {}), said.get("segments", {})

    def number(value: Any) -> bytes:
        given = ABSENT if value is NOT_NAMED else number_of(value)
        return bits(math.nan if given is None else given)

    def segment(name: str) -> str | None:
        own = category_of(segments.get(name))
        return own if own is not None else category_of(features.get(name))

    def identifier(name: str) -> str | None:
        given = said.get(name)
        return None if isinstance(given, float) else given  # a bare NaN

    def time_us(value: Any) -> int:
        return time_of_text(value, "us") if isinstance(value, str) else round(value)

    return (
        said["model"],
        time_us(said["time_us"]),
        identifier("id"),
        tuple(
            number(v)
            for v in (
                *(features.get(n, NOT_NAMED) for n in schema.numeric),
                said.get("score", NOT_NAMED),
            )
        ),
        (
            *(category_of(features.get(n)) for n in schema.categorical),
            *(
                segment(n) if n in schema.categorical else category_of(segments.get(n))
                for n in schema.segments
            ),
            identifier("model_version"),
            category_of(said.get("prediction")),
            identifier("host"),
            identifier("gpu_uuid"),
        ),
        tuple(n for n in schema.categorical if n not in features),
    )
