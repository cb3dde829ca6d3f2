"""The law of decoding: both paths agree with each other, with msgspec and with json.loads."""

from __future__ import annotations

import json
import math
import random
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.decode import Decoder, chunk_of
from monitor.decode.strict import RefusedEvent, StrictDecoder
from tests.support import decoding

SCHEMAS = [decoding.SCHEMA, decoding.OTHER]


def assert_lawful(messages: list[bytes], fast: Decoder, strict: Decoder) -> None:
    """Check one chunk: both paths, and each accepted event against json.loads."""
    chunk = chunk_of(messages, "f")
    quick, slow = fast.decode(chunk), strict.decode(chunk)
    assert decoding.rejects_of(quick) == decoding.rejects_of(slow)
    rows = decoding.rows_of(quick)
    assert rows == decoding.rows_of(slow)
    assert {(r.message, r.row) for r in quick.rejects}.isdisjoint(rows)
    oracle = StrictDecoder({(s.tenant, s.model): s for s in SCHEMAS})
    for (message, row), found in rows.items():
        payload = messages[message]
        if row or payload.lstrip()[:1] == b"[":
            continue
        if is_envelope(payload):
            continue
        try:
            said = decoding.expected_row(payload, SCHEMAS[found[0] != "m"])
        except UnicodeDecodeError:  # in an ignored field; msgspec takes it, json does not
            continue
        assert found == said, payload
    for message, payload in enumerate(messages):
        if payload.lstrip(b" \t\r\n")[:1] == b"{":
            if is_envelope(payload):
                continue
            try:
                header, clean = oracle.header(payload)
                oracle.decode(clean, header)
            except RefusedEvent:
                assert (message, 0) not in rows
            else:
                assert (message, 0) in rows, payload


def is_envelope(payload: bytes) -> bool:
    """Whether it may be one; the oracles read bare events."""
    return b"specversion" in payload


def fuzz(n_events: int, seed: int) -> None:
    """Chunks of ordinary and spoiled events, decoders that live on."""
    rng = random.Random(seed)
    fast, strict = Decoder(SCHEMAS, max_layouts=16), Decoder(SCHEMAS, fast=False)
    for _ in range(n_events // 100):
        messages: list[bytes] = []
        while len(messages) < 100:
            value = rng.choice((decoding.event, decoding.varied_event))(rng)
            if rng.random() < 0.1:
                value = {"model": "größe", "tenant": "acme", "time_us": 1, "features": {"y z": 2}}
            if rng.random() < 0.05:
                items = list(value.items())
                rng.shuffle(items)
                value = dict(items)
            if rng.random() < 0.1:
                value = decoding.enveloped(rng, value)
            payload = decoding.written(rng, value)
            if rng.random() < 0.05:
                messages.append(decoding.doubled(rng, value))
            elif rng.random() < 0.5:
                messages.append(payload)
            else:
                messages += decoding.spoiled(rng, payload)
        assert_lawful(messages, fast, strict)


def test_mutated_events_decode_alike_on_both_paths() -> None:
    fuzz(20_000, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_mutated_events_decode_alike_on_both_paths(seed: int) -> None:
    fuzz(100_000, seed)


def number_token(rng: random.Random) -> str:
    """A number in one of the shapes producers write, near-ties included."""
    shape = rng.randrange(7)
    if shape == 0:
        return repr(rng.random())
    if shape == 1:
        return f"{rng.gauss(0, 10.0 ** rng.randrange(-6, 12)):.{rng.randrange(20)}f}"
    if shape == 2:
        return f"{rng.gauss(0, 1) * 10.0 ** rng.randrange(-300, 300):.{rng.randrange(19)}e}"
    if shape == 3:
        return str(rng.randrange(-(10 ** rng.randrange(1, 20)), 10 ** rng.randrange(1, 20)))
    if shape == 4:
        return f"{rng.randrange(10 ** rng.randrange(1, 9))}.{rng.randrange(10**7, 10**8)}"
    if shape == 5:
        low = rng.random() * 2.0 ** rng.randrange(-20, 60)
        middle = (Fraction(low) + Fraction(math.nextafter(low, math.inf))) / 2
        with localcontext(prec=rng.choice([17, 18, 19])):
            return f"{Decimal(middle.numerator) / Decimal(middle.denominator):f}"
    return f"{rng.randrange(10 ** rng.randrange(1, 19))}e{rng.randrange(-345, 309)}"


def test_number_tokens_have_the_bits_of_json_loads() -> None:
    rng = random.Random(9)
    tokens = [number_token(rng) for _ in range(40_000)]
    event = b'{"model":"m","time_us":1,"features":{"a":%s}}'
    decoded = Decoder(SCHEMAS).decode(chunk_of([event % t.encode() for t in tokens], "f"))
    (batch,) = decoded.batches
    assert {r.detail for r in decoded.rejects} <= {"Number out of range - at `$.features.a`"}
    said = np.array([float(json.loads(tokens[i])) for i in batch.message.tolist()])
    assert (batch.numeric[0].view(np.int64) == said.view(np.int64)).all()
    assert len(batch) > 39_000


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=8).map(lambda d: f"{d:f}"),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?\Z"),
    st.from_regex(r"\A[-+0-9.eE]{1,12}\Z"),
    st.sampled_from([*decoding.NUMBERS, *decoding.BAD_NUMBERS, *decoding.MISSING]),
)
texts = st.one_of(
    st.text(max_size=20).map(lambda s: json.dumps(s, ensure_ascii=False)),
    st.text(max_size=20).map(json.dumps),
    st.binary(max_size=12).map(lambda b: b'"' + b + b'"'),
    st.sampled_from([*decoding.TEXTS, *decoding.BAD_TEXTS]),
)


def encoded(token: str | bytes) -> bytes:
    """The bytes of a token; a lone surrogate as Python would smuggle it."""
    return token if isinstance(token, bytes) else token.encode("utf-8", "surrogatepass")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, texts, texts), min_size=1, max_size=20))
def test_any_number_and_any_string_decodes_alike(
    tokens: list[tuple[str | bytes, str | bytes, str | bytes, str | bytes]],
) -> None:
    template = b'{"model":"m","id":%s,"time_us":7,"features":{"a":%s,"color":%s},"score":%s}'
    ordinary = template % (b'"1"', b"1.5", b'"red"', b"0.5")
    messages = [ordinary] + [
        template % tuple(encoded(t) for t in (text, number, color, score))
        for number, score, text, color in tokens
    ]
    assert_lawful(messages, FAST, STRICT)


FAST, STRICT = Decoder(SCHEMAS), Decoder(SCHEMAS, fast=False)


ignored = st.one_of(numbers, texts, st.sampled_from([*decoding.NESTED, *decoding.OTHERS]))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(ignored, ignored, ignored), min_size=1, max_size=20))
def test_whatever_is_ignored_is_checked_alike(
    tokens: list[tuple[str | bytes, str | bytes, str | bytes]],
) -> None:
    template = (
        b'{"x":%s,"model":"m","time_us":7,"features":{"a":1.5,"y":[%s,{"k":{"\\"":%s}}]},"z":0}'
    )
    messages = [template % (b"1", b"1", b"1")] + [
        template % tuple(map(encoded, some)) for some in tokens
    ]
    assert_lawful(messages, FAST, STRICT)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.booleans(), min_size=1, max_size=40))
def test_events_that_lack_members_decode_alike(seed: int, are_short: list[bool]) -> None:
    rng = random.Random(seed)
    made = [decoding.varied_event(rng) if s else decoding.event(rng) for s in are_short]
    assert_lawful([json.dumps(event).encode() for event in made], FAST, STRICT)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_how_events_are_cut_into_chunks_never_changes_them(
    cuts: list[bool], rng: random.Random
) -> None:
    makes = (decoding.event, decoding.varied_event)
    messages = [decoding.written(rng, rng.choice(makes)(rng)) for _ in cuts]
    whole = decoding.rows_of(Decoder(SCHEMAS).decode(chunk_of(messages, "f")))
    decoder = Decoder(SCHEMAS)
    pieces: list[list[bytes]] = [[]]
    for is_cut, message in zip(cuts, messages, strict=True):
        if is_cut:
            pieces.append([])
        pieces[-1].append(message)
    parts = [decoding.rows_of(decoder.decode(chunk_of(p, "f"))) for p in pieces]
    assert [row for part in parts for row in part.values()] == list(whole.values())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_an_array_decodes_like_its_elements(seed: int, n: int) -> None:
    rng = random.Random(seed)
    elements: list[bytes] = []
    while len(elements) < n:
        made = decoding.written(rng, rng.choice((decoding.event, decoding.varied_event))(rng))
        if rng.random() < 0.3:
            made = decoding.replaced(rng, made)
        try:
            json.loads(made)
        except (ValueError, UnicodeDecodeError):  # its brackets may not match
            continue
        elements.append(made)
    alone = FAST.decode(chunk_of(elements, "f"))
    array = b"[" + b", ".join(elements) + b"]"
    for decoder in (FAST, STRICT):
        together = decoder.decode(chunk_of([b"{", array], "f"))
        rows, expected = decoding.rows_of(together), decoding.rows_of(alone)
        assert rows == {(1, message): row for (message, _), row in expected.items()}
        assert decoding.rejects_of(together)[1:] == [
            (1, r[0], *r[2:]) for r in decoding.rejects_of(alone)
        ]
