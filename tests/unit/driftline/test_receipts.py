"""Receipts and made-up ids: what goes in comes out, and damage is noticed."""

from __future__ import annotations

import re
import uuid

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.events import Identity, Reported, encode_event, label_event, receipt_of
from driftline.ids import new_id, time_of_id
from driftline.receipts import PREFIX, Carried, _checksum, _text, is_receipt, pack, unpack
from monitor.decode import chunk_of, decode_label_batch, decode_labels
from schemas.events import RejectReason

TEXTS = st.text(max_size=40)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
CARRIED = st.builds(
    Carried,
    id=TEXTS | st.uuids().map(lambda found: found.hex) | st.just("0" * 32),
    prediction_time_us=st.integers(0, 2**53),
    model_version=st.none() | TEXTS,
    score=st.none() | NUMBERS,
    prediction=st.none() | TEXTS,
    segments=st.dictionaries(TEXTS, st.none() | TEXTS, max_size=4),
    host=st.none() | TEXTS,
    gpu_uuid=st.none() | TEXTS,
    scores=st.dictionaries(TEXTS, NUMBERS, max_size=4),
    group=st.none() | TEXTS,
)
IDENTITY = Identity("m", "t", "v1", ())
REPORTED = Reported(
    False, "a", 1_700_000_000_000_005, None, np.float32(0.25), True, {"SEX": 1, 2: None}, "h", "g"
)


@given(CARRIED)
def test_a_receipt_holds_what_was_packed(carried):
    receipt = pack(carried, "t", "m")
    assert is_receipt(receipt)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", receipt)
    assert unpack(receipt, "t", "m") == carried


@given(CARRIED, st.data())
def test_a_changed_receipt_is_refused(carried, data):
    receipt = pack(carried, "t", "m")
    at = data.draw(st.integers(5, len(receipt) - 1))
    other = data.draw(st.sampled_from("Aé =/_z9").filter(lambda c: c != receipt[at]))
    for damaged in (receipt[:at] + other + receipt[at + 1 :], receipt[:at], receipt + "AAAA"):
        with pytest.raises(ValueError, match="receipt is damaged"):
            unpack(damaged, "t", "m")


def test_a_receipt_of_another_model_or_version_is_refused():
    receipt = pack(Carried("a", 5), "t", "m")
    for tenant, model in (("t", "n"), ("s", "m"), ("tm", "")):
        with pytest.raises(ValueError, match="of another model"):
            unpack(receipt, tenant, model)
    with pytest.raises(ValueError, match="another version"):
        unpack(receipt.replace("dlr1", "dlr2"), "t", "m")


@pytest.mark.parametrize(
    "values",
    [
        [(-1, 0), 5],
        [(0, 1e300), 5],
        ["a", -5],
        ["a", 5, None, float("nan")],
        ["a", 5, None, None, None, {}, None, None, {"x": float("inf")}],
    ],
)
def test_a_receipt_with_a_number_out_of_range_is_refused(values):
    body = msgspec.msgpack.encode(values)
    receipt = PREFIX + _text(_checksum(body, "t", "m") + body)
    with pytest.raises(ValueError, match="receipt is damaged"):
        unpack(receipt, "t", "m")


def test_a_receipt_of_many_nested_arrays_is_refused():
    body = msgspec.msgpack.encode(["a", 5, None, None, None, {}, None, None, {}, None])
    body = b"\x9b" + body[1:] + b"\x91" * 100_000 + b"\x90"
    receipt = PREFIX + _text(_checksum(body, "t", "m") + body)
    with pytest.raises(ValueError, match="receipt is damaged"):
        unpack(receipt, "t", "m")


def test_a_usual_receipt_is_short():
    full = REPORTED._replace(id=new_id(5), gpu_uuid=f"GPU-{uuid.UUID(int=5)}", host="node-12")
    assert len(receipt_of(full, IDENTITY)) <= 190
    assert len(receipt_of(Reported(False, new_id(5), 5, score=0.5), IDENTITY)) <= 70


def test_a_label_with_a_receipt_carries_its_prediction():
    event = label_event(Reported(True, receipt_of(REPORTED, IDENTITY), 9, score=1), IDENTITY)
    assert msgspec.to_builtins(event) == {
        "id": "a",
        "model": "m",
        "tenant": "t",
        "time_us": 9,
        "label": 1.0,
        "prediction_time_us": 1_700_000_000_000_005,
        "model_version": "v1",
        "score": 0.25,
        "prediction": "true",
        "segments": {"SEX": "1", "2": None},
        "host": "h",
        "gpu_uuid": "g",
    }


@pytest.mark.parametrize("decode", [decode_labels, decode_label_batch])
def test_the_decoder_reads_receipts_and_refuses_damaged_ones(decode):
    receipt = receipt_of(REPORTED, IDENTITY)
    raw = b'{"id":"%s","model":"m","tenant":"t","time_us":9,"label":1,"host":"own"}'
    sent = label_event(Reported(True, receipt[:-3], 9, score=1), IDENTITY)
    assert sent.id == receipt[:-3]
    messages = [raw % receipt.encode(), encode_event(sent), raw % b"dlr9_AAAA"]
    batch, rejects = decode_label_batch(chunk_of(messages, "f"))
    assert (batch.prediction_time_us.tolist(), batch.host.values) == ([REPORTED.time_us], ["own"])
    assert batch.is_complete.all()
    _, rejects = decode(chunk_of(messages, "f"))
    assert [(r.message, r.reason) for r in rejects] == [
        (1, RejectReason.MISTYPED),
        (2, RejectReason.MISTYPED),
    ]
    assert ["$.id" in r.detail for r in rejects] == [True, True]


@given(st.integers(0, (1 << 48) * 1000 - 1))
def test_the_time_of_a_new_id_is_the_time_given(time_us):
    id_ = new_id(time_us)
    found = uuid.UUID(id_)
    assert (found.version, found.variant, found.hex) == (7, uuid.RFC_4122, id_)
    assert time_of_id(id_) == time_of_id(str(found).upper()) == time_us


def test_new_ids_are_distinct_and_sorted_by_time():
    assert len({new_id(5) for _ in range(10_000)}) == 10_000
    ids = [new_id(time_us) for time_us in range(0, 10_000, 7)]
    assert ids == sorted(ids)
    assert [time_of_id(text) for text in ("", "case 7", uuid.uuid4().hex)] == [None] * 3
    assert time_of_id(new_id(-5)) == 0
    assert time_of_id(new_id(1 << 70)) is not None
