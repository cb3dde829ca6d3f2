"""Messages of more than one event, envelopes, labels and telemetry."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from monitor.decode import Decoder, chunk_of, decode_gpu, decode_labels
from monitor.decode.arrow.record_batches import stream_of
from monitor.decode.cloudevents import structured
from schemas.events import MAX_EVENT_BYTES, RejectReason
from tests.support import decoding

SCHEMA, ORDINARY = decoding.SCHEMA, decoding.ORDINARY


@pytest.fixture(params=[True, False], ids=["kernel", "msgspec"])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    return Decoder([SCHEMA, decoding.OTHER], fast=request.param)


def places(decoded: Any) -> list[tuple[int, int]]:
    return sorted(decoding.rows_of(decoded))


def rejected(decoded: Any) -> list[tuple[int, int, str]]:
    return [(r.message, r.row, r.reason.value) for r in decoded.rejects]


def test_each_row_of_an_array_is_an_event_of_its_own(decoder: Decoder) -> None:
    bad = ORDINARY.replace(b"1.5", b'"x"')
    array = b" [\n" + b" , ".join([ORDINARY, bad, b"7", ORDINARY, b"[]"]) + b"\n] "
    decoded = decoder.decode(chunk_of([ORDINARY, array, ORDINARY, b"[" + ORDINARY + b"]"], "f"))
    assert places(decoded) == [(0, 0), (1, 0), (1, 3), (2, 0), (3, 0)]
    assert rejected(decoded) == [(1, 1, "mistyped"), (1, 2, "malformed"), (1, 4, "malformed")]
    assert decoded.rejects[0].payload == bad
    rows = decoding.rows_of(decoded)
    assert all(row == rows[0, 0] for row in rows.values())


def test_a_broken_element_spoils_only_its_row(decoder: Decoder) -> None:
    array = b"[" + b",".join([ORDINARY, b'{"model": "m" "time_us"}', b"1 2", ORDINARY]) + b"]"
    decoded = decoder.decode(chunk_of([array], "f"))
    assert rejected(decoded) == [(0, 1, "malformed"), (0, 2, "malformed")]
    assert places(decoded) == [(0, 0), (0, 3)]


@pytest.mark.parametrize(
    "array",
    [
        b"[%s",
        b"[%s}",
        b"[%s]]",
        b"[%s] x",
        b"[%s,]",
        b"[,%s]",
        b"[%s,,%s]",
        b'[%s, "open]',
        b"[[%s]",
        b"[%s, {]}]",
    ],
)
def test_an_array_that_is_none_is_one_malformed_message(decoder: Decoder, array: bytes) -> None:
    message = array.replace(b"%s", ORDINARY)
    decoded = decoder.decode(chunk_of([message, ORDINARY], "f"))
    assert rejected(decoded) == [(0, 0, "malformed")]
    assert decoded.rejects[0].payload == message
    assert places(decoded) == [(1, 0)]


def test_an_empty_array_holds_nothing(decoder: Decoder) -> None:
    decoded = decoder.decode(chunk_of([b"[]", b"[ \n ]"], "f"))
    assert (decoded.batches, decoded.rejects) == ((), ())


def test_nan_in_one_row_of_an_array_leaves_the_others_alone(decoder: Decoder) -> None:
    array = b"[" + ORDINARY.replace(b"1.5", b"NaN") + b"," + ORDINARY + b"]"
    rows = decoding.rows_of(decoder.decode(chunk_of([array], "f")))
    assert rows[0, 0][3][0] == b"missing"
    assert rows[0, 1][3][0] == decoding.bits(1.5)


def test_an_array_may_be_longer_than_one_event_but_none_of_its_rows(decoder: Decoder) -> None:
    long = ORDINARY.replace(b'"e1"', b'"%s"' % (b"x" * MAX_EVENT_BYTES))
    many = [ORDINARY] * (MAX_EVENT_BYTES // len(ORDINARY) + 2)
    decoded = decoder.decode(chunk_of([b"[" + b",".join([*many, long]) + b"]"], "f"))
    assert rejected(decoded) == [(0, len(many), "oversized")]
    assert len(decoded.batches[0]) == len(many)


# --- CloudEvents -------------------------------------------------------------------------


def envelope(data: Any, **attributes: Any) -> bytes:
    head = {"specversion": "1.0", "id": "ce-1", "source": "/s", "type": "t", **attributes}
    return json.dumps({**head, **({} if data is None else {"data": data})}).encode()


EVENT = {"model": "m", "features": {"a": 1.5}}
STAMP = {"time": "1970-01-01T00:00:01.5+00:00"}


def test_an_envelope_gives_its_id_and_time_where_the_event_has_none(decoder: Decoder) -> None:
    own = {**EVENT, "id": "mine", "time_us": 7}
    decoded = decoder.decode(chunk_of([envelope(EVENT, **STAMP), envelope(own, **STAMP)], "f"))
    rows = decoding.rows_of(decoded)
    assert rows[0, 0][1:3] == (1_500_000, "ce-1")
    assert rows[1, 0][1:3] == (7, "mine")


def test_envelopes_may_stand_in_arrays_and_hold_nan(decoder: Decoder) -> None:
    one = envelope({**EVENT, "time_us": 1, "score": float("nan")})
    decoded = decoder.decode(chunk_of([b"[" + one + b"," + ORDINARY + b"]"], "f"))
    assert places(decoded) == [(0, 0), (0, 1)]


def test_data_may_be_base64(decoder: Decoder) -> None:
    data = base64.b64encode(json.dumps({**EVENT, "id": "inside", "time_us": 3}).encode()).decode()
    message = envelope(None, data_base64=data)
    rows = decoding.rows_of(decoder.decode(chunk_of([message, ORDINARY], "f")))
    assert rows[0, 0][1:3] == (3, "inside")


@pytest.mark.parametrize(
    ("message", "reason", "word"),
    [
        (envelope(None), "unsupported", "data"),
        (envelope(EVENT, specversion="2.0", **STAMP), "unsupported", "specversion"),
        (envelope(EVENT, specversion=1), "unsupported", "specversion"),
        (envelope(EVENT, time="yesterday"), "unsupported", "time"),
        (envelope(EVENT, id=None), "unsupported", "id"),
        (envelope(None, data_base64="%"), "unsupported", "data_base64"),
        (envelope(EVENT), "mistyped", "time_us"),
        (envelope(EVENT, time="1969-12-31T00:00:00Z"), "mistyped", "time_us"),
        (envelope({**EVENT, "score": "x"}, **STAMP), "mistyped", "score"),
        (envelope({**EVENT, "model": "no"}, **STAMP), "unknown_model", "no"),
        (envelope("text", **STAMP), "malformed", "object"),
    ],
)
def test_an_envelope_at_fault_says_what_is(
    decoder: Decoder, message: bytes, reason: str, word: str
) -> None:
    (reject,) = decoder.decode(chunk_of([message], "f")).rejects
    assert reject.reason == reason
    assert word in reject.detail
    assert reject.payload == message


def test_binary_mode_is_turned_into_the_structured_form(decoder: Decoder) -> None:
    headers = {
        "ce_specversion": b"1.0",
        "CE_id": b"ce-9",
        "ce_source": b"/s",
        "ce_type": b"t",
        "ce_time": b"1970-01-01T00:00:02Z",
        "content-type": b"application/json",
        "traceparent": b"\xff",
    }
    message = structured(headers, json.dumps(EVENT).encode())
    assert decoding.rows_of(decoder.decode(chunk_of([message], "f")))[0, 0][1:3] == (
        2_000_000,
        "ce-9",
    )
    assert structured({}, ORDINARY) == ORDINARY
    assert structured(headers, b"\xff\xff\xff\xffarrow") == b"\xff\xff\xff\xffarrow"


# --- labels and telemetry ------------------------------------------------------------------

LABEL = b'{"id": "7", "model": "m", "time_us": 5, "label": 0.5}'
SAMPLE = b'{"host": "h", "gpu_uuid": "g", "time_us": 5, "fields": {"gpu_temp": 71, "x": NaN}}'


def test_labels_come_from_events_arrays_and_envelopes_in_order() -> None:
    wrapped = envelope(json.loads(LABEL))
    text = LABEL.replace(b"0.5", b'"fraud"')
    array = b"[" + LABEL + b"," + b"3" + b"," + text + b"]"
    labels, rejects = decode_labels(chunk_of([LABEL, array, b"nope", wrapped], "f"))
    assert [(m, r, e.label) for m, r, e in labels] == [
        (0, 0, 0.5),
        (1, 0, 0.5),
        (1, 2, "fraud"),
        (3, 0, 0.5),
    ]
    assert [(r.message, r.row, r.reason) for r in rejects] == [
        (1, 1, RejectReason.MALFORMED),
        (2, 0, RejectReason.MALFORMED),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b"0.5", b"null"), RejectReason.MISTYPED),
        ((b"0.5", b"NaN"), RejectReason.MISTYPED),
        ((b"5,", b"-5,"), RejectReason.MISTYPED),
        ((b'"id": "7", ', b""), RejectReason.MISTYPED),
        ((b'"7"', b'"\xff"'), RejectReason.INVALID_UTF8),
        ((b'"7"', b'"%s"' % (b"7" * MAX_EVENT_BYTES)), RejectReason.OVERSIZED),
        ((b"}", b""), RejectReason.MALFORMED),
    ],
)
def test_a_label_at_fault_is_rejected_with_its_reason(
    change: tuple[bytes, bytes], reason: RejectReason
) -> None:
    labels, (reject,) = decode_labels(chunk_of([LABEL, LABEL.replace(*change)], "f"))
    assert len(labels) == 1
    assert (reject.message, reject.reason) == (1, reason)


def test_an_array_of_labels_that_is_broken_is_one_reject() -> None:
    labels, rejects = decode_labels(chunk_of([b"[" + LABEL], "f"))
    assert not labels
    assert [(r.message, r.row, r.reason) for r in rejects] == [(0, 0, RejectReason.MALFORMED)]


def test_telemetry_gauges_that_are_no_number_are_none() -> None:
    events, rejects = decode_gpu(chunk_of([SAMPLE, SAMPLE.replace(b"71", b'"hot"')], "f"))
    assert [(m, r, e.fields) for m, r, e in events] == [(0, 0, {"gpu_temp": 71, "x": None})]
    assert [(r.message, r.reason) for r in rejects] == [(1, RejectReason.MISTYPED)]


def test_an_arrow_stream_is_no_label() -> None:
    import pyarrow as pa

    _, (reject,) = decode_labels(chunk_of([stream_of(pa.record_batch({"a": [1]}))], "f"))
    assert reject.reason is RejectReason.MALFORMED
