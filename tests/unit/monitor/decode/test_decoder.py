"""What every kind of input decodes to, on both paths."""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import os
import random
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from monitor.decode import Decoded, Decoder, chunk_of
from monitor.decode import dictionaries as dictionaries_module
from schemas.batch import ABSENT_BITS, Chunk, EventBatch, ModelSchema
from schemas.errors import ConfigError, DomainError
from schemas.events import MAX_EVENT_BYTES, RejectReason
from schemas.limits import MessageLimits
from tests.support import decoding

SCHEMA = decoding.SCHEMA
ORDINARY = decoding.ORDINARY


@pytest.fixture(params=[True, False], ids=["kernel", "msgspec"])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    """A decoder that has met the ordinary event, so that its layout is known."""
    made = Decoder([SCHEMA, decoding.OTHER], fast=request.param)
    made.decode(chunk_of([ORDINARY, ORDINARY], "f"))
    return made


def decode(decoder: Decoder, *messages: bytes) -> Decoded:
    return decoder.decode(chunk_of(messages, "f"))


def only(decoded: Decoded) -> EventBatch:
    assert not decoded.rejects
    (batch,) = decoded.batches
    return batch


def with_token(field: bytes, token: bytes) -> bytes:
    """The ordinary event with one value replaced."""
    head, _, rest = ORDINARY.partition(b'"%s": ' % field)
    ends = [i for i in (rest.find(b","), rest.find(b"}")) if i >= 0]
    return head + b'"%s": ' % field + token + rest[min(ends) :]


def text(column: Any, i: int = 0) -> str | None:
    code = int(column.codes[i])
    return None if code < 0 else column.values[code]


@pytest.mark.parametrize(
    ("token", "value"),
    [
        (b"0", 0.0),
        (b"-0.0", -0.0),
        (b"-0", 0.0),
        (b"0.1", 0.1),
        (b"-2.5e-3", -0.0025),
        (b"1E+5", 1e5),
        (b"12345678", 12345678.0),
        (b"123456789012345678", 123456789012345678.0),
        (b"9007199254740993", 9007199254740992.0),
        (b"9223372036854775808", 9223372036854775808.0),
        (b"123456789012345678901234567890", 123456789012345678901234567890.0),
        (b"0.30000000000000004", 0.30000000000000004),
        (b"0.000123456789012345678", 0.000123456789012345678),
        (b"4.9e-324", 5e-324),
        (b"2.2250738585072011e-308", 2.2250738585072011e-308),
        (b"1.7976931348623157e308", 1.7976931348623157e308),
        (b"1e-400", 0.0),
        (b"9007199254740993.0", 9007199254740992.0),
        (b"91130749.44234785", 91130749.44234785),
        (b"1.00000000000000011102230246251565", 1.0),
    ],
)
def test_a_number_is_what_json_loads_says(decoder: Decoder, token: bytes, value: float) -> None:
    batch = only(decode(decoder, with_token(b"a", token)))
    assert batch.numeric[0].view(np.int64).tolist() == np.array([value]).view(np.int64).tolist()
    assert math.copysign(1, float(json.loads(token))) == math.copysign(1, batch.numeric[0][0])


@pytest.mark.parametrize(
    "token",
    [b"01", b"-01", b"1.", b".5", b"+1", b"-", b"1e", b"1e+", b"0x1", b"--1", b"1.e5", b"-NaN"],
)
def test_what_is_no_json_number_is_malformed(decoder: Decoder, token: bytes) -> None:
    (reject,) = decode(decoder, with_token(b"a", token)).rejects
    assert reject.reason is RejectReason.MALFORMED


@pytest.mark.parametrize("token", [b"null", b"NaN", b"Infinity", b"-Infinity"])
@pytest.mark.parametrize("field", [b"a", b"score"])
def test_null_nan_and_infinity_are_missing(decoder: Decoder, field: bytes, token: bytes) -> None:
    batch = only(decode(decoder, with_token(field, token)))
    assert np.isnan(batch.numeric[0][0] if field == b"a" else batch.score[0])


@pytest.mark.parametrize("token", [b"null", b"NaN", b"-Infinity"])
def test_a_missing_category_has_code_minus_one(decoder: Decoder, token: bytes) -> None:
    assert only(decode(decoder, with_token(b"color", token))).categorical[0].codes[0] == -1


def test_absent_fields_are_missing(decoder: Decoder) -> None:
    batch = only(decode(decoder, b'{"model": "m", "time_us": 0}', b'{"model":"m","time_us":1}'))
    assert np.isnan(batch.numeric[0]).all()
    assert np.isnan(batch.score).all()
    columns = (*batch.categorical, *batch.segments, batch.host, batch.model_version)
    assert all((c.codes == -1).all() for c in columns)
    assert batch.id_spans[:, 1].tolist() == [-1, -1]


def test_what_an_event_does_not_name_is_told_from_null(decoder: Decoder) -> None:
    named = b'{"model": "m", "time_us": 0, "features": {"a": null, "color": "NA"}, "score": NaN}'
    bare = b'{"model": "m", "time_us": 0, "features": {}}'
    for _ in range(3):  # the kernel knows both layouts from the second time on
        batch = only(decode(decoder, *[named, bare] * 4))
        is_absent = batch.numeric[0].view(np.int64) == ABSENT_BITS
        assert is_absent.tolist() == [False, True] * 4
        assert (batch.score.view(np.int64) == ABSENT_BITS).tolist() == [False, True] * 4
        assert batch.absent.categories[0].tolist() == [False, True] * 4
        assert {0, len(batch.numeric)} <= set(batch.absent.numbers)


@pytest.mark.parametrize(
    ("field", "token"),
    [
        (b"a", b'"two"'),
        (b"a", b'"1,5"'),
        (b"a", b"[1]"),
        (b"a", b"1e400"),
        (b"a", b"1" + b"0" * 400),
        (b"score", b'"high"'),
        (b"score", b"{}"),
        (b"color", b"[1.5]"),
        (b"color", b"1e400"),
        (b"color", b"{}"),
        (b"time_us", b"null"),
        (b"time_us", b"NaN"),
        (b"time_us", b"-1"),
        (b"time_us", b"9223372036854775808"),
        (b"time_us", b"1" + b"0" * 400),
        (b"time_us", b'"then"'),
        (b"time_us", b'"-17"'),
        (b"time_us", b"1e300"),
        (b"time_us", b"true"),
        (b"host", b"7"),
        (b"id", b"7"),
        (b"region", b"[7]"),
        (b"model", b"7"),
        (b"features", b"null"),
    ],
)
def test_a_wrong_type_is_mistyped_and_names_the_field(
    decoder: Decoder, field: bytes, token: bytes
) -> None:
    spoiled = with_token(field, token)
    if field == b"features":
        spoiled = b'{"model": "m", "time_us": 1, "features": null}'
    decoded = decode(decoder, ORDINARY, spoiled, ORDINARY)
    (reject,) = decoded.rejects
    assert (reject.message, reject.row) == (1, 0)
    assert reject.reason is RejectReason.MISTYPED
    assert field.decode() in reject.detail
    assert len(reject.detail) <= 500
    assert reject.payload == spoiled
    assert decoded.batches[0].message.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("token", "time_us"),
    [
        (b"17.0", 17),
        (b"1.7095104e15", 1_709_510_400_000_000),
        (b'"1709510400000000"', 1_709_510_400_000_000),
        (b'"2024-03-04 00:00:00+00"', 1_709_510_400_000_000),
        (b'"2024-03-04T01:00:00,123456789+01:00"', 1_709_510_400_123_456),
        (b'"2024-03-04"', 1_709_510_400_000_000),
    ],
)
def test_a_time_is_microseconds_in_any_spelling_or_iso_text(
    decoder: Decoder, token: bytes, time_us: int
) -> None:
    decoded = decode(decoder, ORDINARY, with_token(b"time_us", token), ORDINARY)
    assert not decoded.rejects
    assert decoded.batches[0].time_us.tolist() == [17, time_us, 17]


@pytest.mark.parametrize("missing", [b'"model": "m", ', b'"time_us": 17, '])
def test_a_required_field_that_is_missing_is_mistyped(decoder: Decoder, missing: bytes) -> None:
    (reject,) = decode(decoder, ORDINARY.replace(missing, b"")).rejects
    assert reject.reason is RejectReason.MISTYPED
    assert "missing required field" in reject.detail


@pytest.mark.parametrize(
    ("token", "category"),
    [
        (b'"x"', "x"),
        (b"12", "12"),
        (b"3.0", "3"),
        (b"0.50", "0.5"),
        (b"1e2", "100"),
        (b"1e-7", "1e-07"),
        (b"1e22", "10000000000000000000000"),
        (b"-0.0", "0"),
        (b"0.1000000000000000055511151231257827", "0.1"),
        (b'"1e2"', "1e2"),
        (b'"3.0"', "3"),
        (b'"007"', "007"),
        (b'"True"', "true"),
        (b'" FALSE "', "false"),
        (b'" padded "', " padded "),
        (b'"2024-03-04 10:00:00+01"', "2024-03-04T09:00:00Z"),
        (b"-5", "-5"),
        (b"-0", "0"),
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
        (b"true", "true"),
        (b"false", "false"),
        (b'"12"', "12"),
        (b'"gr\xc3\xb6\xc3\x9fe"', "größe"),
        (b'"gr\\u00f6\\u00dfe"', "größe"),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\xf0\x9f\x98\x80"', "😀"),
        (b'"a much longer category than eight bytes"', "a much longer category than eight bytes"),
    ],
)
def test_a_category_is_a_string_number_or_boolean_in_one_form(
    decoder: Decoder, token: bytes, category: str
) -> None:
    for field in (b"color", b"region"):
        event = with_token(field, token)
        batch = only(decode(decoder, ORDINARY, event, event, ORDINARY, event))
        column = batch.categorical[0] if field == b"color" else batch.segments[1]
        found = [text(column, i) for i in (1, 2, 4)]
        assert found == [category] * 3
        assert [text(column, i) for i in (0, 3)] == ["red" if field == b"color" else "eu"] * 2


@pytest.mark.parametrize("token", [b'""', b'"  "', b'"NA"', b'"n/a"', b'"None"', b'"<NA>"'])
def test_blanks_and_words_for_missing_are_no_category(decoder: Decoder, token: bytes) -> None:
    event = with_token(b"color", token)
    for _ in range(2):
        batch = only(decode(decoder, event, ORDINARY, event))
        assert [text(batch.categorical[0], i) for i in range(3)] == [None, "red", None]


@pytest.mark.parametrize(
    ("token", "number"),
    [
        (b'"1.5"', 1.5),
        (b'" 7 "', 7.0),
        (b'"1e2"', 100.0),
        (b'"-0"', 0.0),
        (b'"+3"', 3.0),
        (b"true", 1.0),
        (b"false", 0.0),
        (b'"TRUE"', 1.0),
        (b'"12345678901234567890123"', 12345678901234567890123.0),
        (b'"NA"', math.nan),
        (b'""', math.nan),
        (b'"1e400"', math.nan),
    ],
)
@pytest.mark.parametrize("field", [b"a", b"score"])
def test_booleans_and_text_that_spells_a_number_are_numbers(
    decoder: Decoder, field: bytes, token: bytes, number: float
) -> None:
    event = with_token(field, token)
    batch = only(decode(decoder, event, ORDINARY, event))
    column = batch.numeric[0] if field == b"a" else batch.score
    assert decoding.bits(float(column[0])) == decoding.bits(number) == decoding.bits(column[2])


def test_forms_of_one_value_have_one_code_whenever_they_come() -> None:
    forms = [b"3.0", b'"3.00"', b"3", b"3e0", b'"3"', b" 3.000"]
    for first in range(len(forms)):
        for fast in (True, False):
            decoder = Decoder([SCHEMA], fast=fast)
            messages = [with_token(b"color", t) for t in forms[first:] + forms[:first]]
            for _ in range(2):
                batch = only(decode(decoder, ORDINARY, *messages, *messages))
                assert len({int(code) for code in batch.categorical[0].codes[1:]}) == 1
                assert text(batch.categorical[0], 1) == "3"


def test_what_is_listed_as_verbatim_keeps_its_texts() -> None:
    schema = replace(SCHEMA, verbatim=("color", "prediction"))
    for fast in (True, False):
        decoder = Decoder([schema], fast=fast)
        event = b'{"model":"m","time_us":1,"features":{"color":"NA"},"prediction":"1.0"}'
        other = event.replace(b'"NA"', b"1.0").replace(b'"1.0"', b'"True"')
        batch = only(decode(decoder, event, event, other))
        assert [text(batch.categorical[0], i) for i in range(3)] == ["NA", "NA", "1"]
        assert [text(batch.prediction, i) for i in range(3)] == ["1.0", "1.0", "True"]


def test_a_prediction_has_one_form_and_identifiers_are_as_they_come() -> None:
    for fast in (True, False):
        decoder = Decoder([SCHEMA], fast=fast)
        event = b'{"model":"m","time_us":1,"prediction":1.0,"host":"1.0","model_version":"1.10"}'
        batch = only(decode(decoder, event, event.replace(b":1.0,", b":true,"), event))
        assert [text(batch.prediction, i) for i in range(3)] == ["1", "true", "1"]
        assert (text(batch.host, 1), text(batch.model_version, 1)) == ("1.0", "1.10")


def test_floats_for_categories_stay_on_the_kernels_side() -> None:
    decoder = Decoder([SCHEMA])
    decode(decoder, ORDINARY, ORDINARY)
    messages = [with_token(b"color", b"%d.0" % (i % 9)) for i in range(200)]
    n_before = decoder._program.heads[:, 5].sum()
    assert len(only(decode(decoder, *messages))) == 200
    assert decoder._program.heads[:, 5].sum() - n_before == 200 or not decoder._is_fast


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"\x80",
        b"\xe0\x80\x80",
    ],
)
@pytest.mark.parametrize("field", [b"color", b"host", b"region", b"id", b"model"])
def test_invalid_utf8_in_a_field_we_read_is_rejected(
    decoder: Decoder, field: bytes, raw: bytes
) -> None:
    (reject,) = decode(decoder, with_token(field, b'"x' + raw + b'y"')).rejects
    assert reject.reason is RejectReason.INVALID_UTF8


def test_invalid_utf8_in_an_ignored_field_is_accepted(decoder: Decoder) -> None:
    known = ORDINARY.replace(b'"host"', b'"note": "fine", "host"')
    event = ORDINARY.replace(b'"host"', b'"note": "\xff", "host"')
    assert len(only(decode(decoder, known, event, known))) == 3


@pytest.mark.parametrize(
    "raw", [b'"a\x01b"', b'"a\nb"', b'"\\q"', b'"\\ud800"', b'"\\u12"', b"'x'", b'"open', b"tru"]
)
def test_what_is_no_json_string_is_malformed(decoder: Decoder, raw: bytes) -> None:
    (reject,) = decode(decoder, with_token(b"color", raw)).rejects
    assert reject.reason is RejectReason.MALFORMED


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b" ",
        b"12",
        b'"text"',
        b"null",
        b"\xef\xbb\xbf" + ORDINARY,
        ORDINARY + b"x",
        ORDINARY[:-1],
        ORDINARY[1:],
        ORDINARY + ORDINARY,
        ORDINARY[:-1] + b",}",
        b'{"model": "m", "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b"\x00\x01\x02",
    ],
)
def test_what_is_no_json_object_is_malformed(decoder: Decoder, message: bytes) -> None:
    (reject,) = decode(decoder, message).rejects
    assert reject.reason is RejectReason.MALFORMED
    assert reject.payload == message


def test_whitespace_around_an_event_is_allowed(decoder: Decoder) -> None:
    assert len(only(decode(decoder, b" \n" + ORDINARY + b"\r\n", ORDINARY + b" "))) == 2


def test_an_unknown_model_is_rejected_with_its_name(decoder: Decoder) -> None:
    (reject,) = decode(decoder, ORDINARY.replace(b'"m"', b'"other"')).rejects
    assert reject.reason is RejectReason.UNKNOWN_MODEL
    assert (reject.tenant, reject.model) == ("default", "other")
    assert "'other'" in reject.detail


def test_the_same_model_of_another_tenant_is_unknown(decoder: Decoder) -> None:
    event = ORDINARY.replace(b'"model"', b'"tenant": "acme", "model"')
    (reject,) = decode(decoder, event).rejects
    assert (reject.reason, reject.tenant) == (RejectReason.UNKNOWN_MODEL, "acme")


def test_an_event_of_one_mebibyte_is_taken_and_one_byte_more_is_oversized(
    decoder: Decoder,
) -> None:
    padding = MAX_EVENT_BYTES - len(ORDINARY)
    decoded = decode(decoder, ORDINARY + b" " * padding, ORDINARY + b" " * (padding + 1))
    (reject,) = decoded.rejects
    assert (reject.message, reject.reason) == (1, RejectReason.OVERSIZED)
    assert decoded.batches[0].message.tolist() == [0]


def test_an_oversized_event_whose_layout_is_known_is_oversized() -> None:
    decoder = Decoder([SCHEMA])
    event = ORDINARY.replace(b'"e1"', b'"%s"' % (b"x" * MAX_EVENT_BYTES))
    decoded = decode(decoder, ORDINARY, ORDINARY, event)
    assert [r.reason for r in decoded.rejects] == [RejectReason.OVERSIZED]


def test_of_duplicate_keys_the_last_one_counts(decoder: Decoder) -> None:
    event = ORDINARY.replace(b'"a": 1.5', b'"a": 1.5, "a": 7')
    assert only(decode(decoder, event, event)).numeric[0].tolist() == [7.0, 7.0]


def test_extra_features_and_fields_are_ignored_whatever_they_hold(decoder: Decoder) -> None:
    extra = b'"new": {"deep": [1, "x", null, {"y": []}]}, "trace": 1e999, "a": 1.5'
    event = ORDINARY.replace(b'"a": 1.5', extra)
    assert only(decode(decoder, event, event, event)).numeric[0].tolist() == [1.5] * 3


def test_a_key_written_with_escapes_is_the_same_key(decoder: Decoder) -> None:
    event = ORDINARY.replace(b'"color"', b'"col\\u006fr"')
    assert text(only(decode(decoder, event, event)).categorical[0], 1) == "red"


def test_a_segment_named_like_a_feature_takes_the_features_category() -> None:
    for fast in (True, False):
        decoder = Decoder([SCHEMA], fast=fast)
        said = {"model": "m", "time_us": 1, "features": {"sex": "f"}}
        own = {**said, "segments": {"sex": "x"}}
        null = {**said, "segments": {"sex": None}}
        messages = [json.dumps(e).encode() for e in (said, own, null) * 2]
        batch = only(decode(decoder, *messages))
        assert [text(batch.segments[0], i) for i in range(6)] == ["f", "x", "f"] * 2
        assert [text(batch.categorical[1], i) for i in range(6)] == ["f"] * 6


def test_ids_are_the_bytes_of_their_text(decoder: Decoder) -> None:
    ids = ["plain", "größe", 'with "quotes"', "", "a/b"]
    messages = [with_token(b"id", json.dumps(i).encode()) for i in ids]
    messages += [with_token(b"id", b'"a\\/c"'), with_token(b"id", b"null"), ORDINARY]
    batch = only(decode(decoder, *messages))
    spans = batch.id_spans.tolist()
    found = [bytes(batch.id_bytes[s : s + n]).decode() if n >= 0 else None for s, n in spans]
    assert found == [*ids, "a/c", None, "e1"]


def test_rows_stay_in_source_order_whichever_path_they_took(decoder: Decoder) -> None:
    rng = random.Random(3)
    messages = [ORDINARY, with_token(b"host", b'"a\\nb"'), b"{", with_token(b"a", b"1" * 25)] * 50
    rng.shuffle(messages)
    decoded = decode(decoder, *messages)
    place = decoded.batches[0].message
    assert (np.diff(place) > 0).all()
    assert [messages[i] for i in place.tolist()] == [m for m in messages if m != b"{"]
    assert [r.message for r in decoded.rejects] == [i for i, m in enumerate(messages) if m == b"{"]


def test_models_are_distinguished(decoder: Decoder) -> None:
    other = '{"tenant": "acme", "model": "größe", "time_us": 5, "features": {"y z": 2.5}}'.encode()
    decoded = decode(decoder, *([ORDINARY, other] * 3))
    first, second = decoded.batches
    assert (first.schema.model, first.message.tolist()) == ("m", [0, 2, 4])
    assert (second.schema.model, second.message.tolist()) == ("größe", [1, 3, 5])
    assert second.numeric[1].tolist() == [2.5] * 3


# --- traps of the kernel -----------------------------------------------------------------


def test_a_truncated_event_is_not_completed_by_its_neighbour(decoder: Decoder) -> None:
    for cut in range(1, len(ORDINARY)):
        decoded = decode(decoder, ORDINARY, ORDINARY[:cut], ORDINARY[cut:], ORDINARY)
        assert [(r.message, r.reason.value) for r in decoded.rejects] == [
            (1, "malformed"),
            (2, "malformed"),
        ]
        assert decoded.batches[0].message.tolist() == [0, 3]


def test_nothing_is_read_past_the_end_of_the_last_page() -> None:
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    assert libc.mprotect(start + page, page, 0) == 0
    decoder = Decoder([SCHEMA])
    for last in (ORDINARY, ORDINARY[:-5], ORDINARY[: ORDINARY.index(b"1.5") + 2], ORDINARY[:9]):
        text = ORDINARY + ORDINARY + last
        buffer = np.frombuffer(memory, dtype=np.uint8, count=page)[page - len(text) :]
        buffer[:] = np.frombuffer(text, dtype=np.uint8)
        n = len(ORDINARY)
        chunk = chunk_of([ORDINARY, ORDINARY, last], "f")
        decoded = decoder.decode(
            Chunk("f", 0, buffer, np.array([0, n, 2 * n, len(text)]), *_places(chunk))
        )
        assert len(decoded.batches[0]) == 2 + (last == ORDINARY)


def _places(chunk: Chunk) -> tuple[Any, Any]:
    return chunk.log_offset, chunk.record_time_us


def test_an_unpadded_buffer_decodes_like_a_padded_one(decoder: Decoder) -> None:
    messages = [with_token(b"id", b'"%d"' % i) for i in range(20)]
    padded = chunk_of(messages, "f")
    bare = replace(padded, buffer=padded.buffer[: padded.offsets[-1]].copy())
    assert decoding.rows_of(decoder.decode(bare)) == decoding.rows_of(decoder.decode(padded))


def test_a_refused_event_leaves_nothing_in_a_dictionary() -> None:
    decoder = Decoder([SCHEMA])
    ordinary = only(decode(decoder, ORDINARY, ORDINARY))
    before = list(ordinary.host.values)
    spoiled = ORDINARY.replace(b'"red"', b'"new color"').replace(b'"h1"', b'"new host"')
    for message in (spoiled[:-1], spoiled + b"x", spoiled.replace(b"0.25", b'"x"')):
        assert decode(decoder, message, message).rejects
    batch = only(decode(decoder, ORDINARY))
    assert list(batch.host.values) == before
    assert list(batch.categorical[0].values) == ["red"]


def test_dictionaries_grow_while_the_kernel_runs() -> None:
    decoder = Decoder([SCHEMA])
    hosts = [f"host number {i} with a rather long name, {'x' * (i % 50)}" for i in range(5_000)]
    messages = [with_token(b"host", json.dumps(h).encode()) for h in hosts]
    batch = only(decode(decoder, *messages))
    assert [text(batch.host, i) for i in range(5_000)] == hosts
    again = only(decode(decoder, *reversed(messages)))
    assert again.host.values is batch.host.values
    assert len(again.host.values) == 5_000


@pytest.mark.parametrize("fast", [True, False])
def test_a_full_dictionary_is_reset_between_batches(
    monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr(dictionaries_module, "MAX_VALUES", 100)
    decoder = Decoder([SCHEMA], fast=fast)
    generations: list[Any] = []
    for k in range(12):
        names = [f"h{k}-{i}" for i in range(20)]
        batch = only(decode(decoder, *(with_token(b"host", b'"%s"' % n.encode()) for n in names)))
        assert [text(batch.host, i) for i in range(20)] == names
        assert text(batch.categorical[0]) == "red"
        assert len(batch.host.values) <= 100
        if not generations or generations[-1] is not batch.host.values:
            generations.append(batch.host.values)
    assert len(generations) == 3


def test_a_dictionary_that_only_grows_keeps_its_identity() -> None:
    decoder = Decoder([SCHEMA])
    first = only(decode(decoder, ORDINARY))
    known = list(first.host.values)
    second = only(decode(decoder, with_token(b"host", b'"h2"'), ORDINARY))
    assert second.host.values is first.host.values
    assert list(second.host.values)[: len(known)] == known


def test_decoding_takes_the_strict_path_where_the_compiler_is_off() -> None:
    script = (
        "from monitor.decode import Decoder, chunk_of\n"
        "from tests.support.decoding import ORDINARY, SCHEMA, rows_of\n"
        "d = Decoder([SCHEMA]); a = b'[' + ORDINARY + b', {}]'\n"
        "x = d.decode(chunk_of([ORDINARY, ORDINARY, a, b'{'], 'f'))\n"
        "print(rows_of(x), [r.reason.value for r in x.rejects])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "NUMBA_DISABLE_JIT": off},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for off in ("0", "1")
    ]
    assert said[0] == said[1]
    assert "malformed" in said[0]


# --- what the decoder refuses to be built with ---------------------------------------------


def test_a_model_given_twice_is_refused() -> None:
    with pytest.raises(DomainError, match="given twice"):
        Decoder([SCHEMA, SCHEMA])


def test_a_feature_name_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="occurs twice"):
        Decoder([ModelSchema("default", "m", ("x",), ("x",))])


def test_a_decoder_without_models_knows_none() -> None:
    (reject,) = decode(Decoder([]), ORDINARY).rejects
    assert reject.reason is RejectReason.UNKNOWN_MODEL


def test_an_empty_chunk_decodes_to_nothing(decoder: Decoder) -> None:
    assert decode(decoder) == Decoded((), ())


def test_an_array_longer_than_the_limit_is_oversized() -> None:
    message = b"[" + b" " * 5_000 + b"]"
    (reject,) = decode(Decoder([SCHEMA], limits=MessageLimits(max_bytes=5_000)), message).rejects
    assert reject.reason is RejectReason.OVERSIZED
    assert "5000" in reject.detail
