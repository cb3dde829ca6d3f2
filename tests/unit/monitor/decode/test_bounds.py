"""What one message may cost: bounds that hold before it is decoded."""

from __future__ import annotations

import resource
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.decode import Decoded, Decoder, chunk_of, decode_gpu, decode_labels
from monitor.decode.arrow.record_batches import stream_of
from monitor.decode.arrow.text_codes import codes_of_texts, distinct_texts
from monitor.decode.dictionaries import Dictionaries
from monitor.decode.slow import MAX_REMEMBERED
from monitor.decode.strict import StrictDecoder
from schemas.batch import ModelSchema
from schemas.events import RejectReason
from schemas.limits import MessageLimits
from tests.support import arrow_poison, decoding

SCHEMA = decoding.SCHEMA
GOOD = stream_of(pa.record_batch({"model": ["m", "m"], "time_us": [1, 2]}))


def decode(*messages: bytes, **limits: int) -> Decoded:
    return Decoder([SCHEMA], limits=MessageLimits(**limits)).decode(chunk_of(messages, "f"))


@pytest.mark.parametrize("name", arrow_poison.POISON)
def test_a_poison_message_is_one_reject_and_its_neighbours_are_decoded(name: str) -> None:
    message, reason, words = arrow_poison.POISON[name]
    decoder = Decoder([SCHEMA])
    decoder.decode(chunk_of([GOOD], "f"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    decoded = decoder.decode(chunk_of([GOOD, message, GOOD], "f"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10
    assert sorted(decoding.rows_of(decoded)) == [(0, 0), (0, 1), (2, 0), (2, 1)]
    (reject,) = decoded.rejects
    assert (reject.message, reject.row, reject.reason) == (1, 0, reason)
    assert words in reject.detail
    assert reject.payload == message


def test_a_message_within_the_bounds_is_read_whole() -> None:
    decoded = decode(arrow_poison.one_run(1_000_000))
    assert [len(batch) for batch in decoded.batches] == [1_000_000]
    assert not decoded.rejects


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (arrow_poison.nulls(1_000_000), RejectReason.MISTYPED),
        (b"[" + b",".join([b"1"] * 5_000) + b"]", RejectReason.MALFORMED),
        (
            stream_of(pa.record_batch({"model": [f"m{k}" for k in range(5_000)]})),
            RejectReason.UNKNOWN_MODEL,
        ),
        (
            stream_of(pa.record_batch({"model": ["m"] * 5_000, "time_us": [-1] * 5_000})),
            RejectReason.MISTYPED,
        ),
    ],
    ids=["nulls", "array", "unknown models", "faults"],
)
def test_rejects_of_a_message_are_capped_and_the_rest_is_counted(
    message: bytes, reason: RejectReason
) -> None:
    decoded = decode(b"{", message, GOOD)
    of_message = [r for r in decoded.rejects if r.message == 1]
    n = 1_000_000 if len(message) < 300 else 5_000
    assert [r.row for r in of_message] == list(range(101))
    assert [r.n_events for r in of_message] == [1] * 100 + [n - 100]
    assert {r.reason for r in of_message} == {reason}
    assert f"{n - 100:,} more events of this message" in of_message[-1].detail
    assert sum(len(batch) for batch in decoded.batches) == 2


def test_the_cap_does_not_depend_on_how_messages_are_cut_into_chunks() -> None:
    rows = {"model": ["m", "x", None] * 100, "time_us": [1, 2, -3] * 100}
    message = stream_of(pa.record_batch(rows))
    together = decode(message, GOOD, message, max_letters=7)
    alone = decode(message, max_letters=7)
    rejects = decoding.rejects_of(together)
    assert [r[1:] for r in rejects if r[0] == 2] == [r[1:] for r in decoding.rejects_of(alone)]
    assert sum(r.n_events for r in alone.rejects) == 200


def test_an_array_of_too_many_elements_is_refused_whole() -> None:
    message = b"[" + b",".join([b"{}"] * 50) + b"]"
    (reject,) = decode(message, max_rows=49).rejects
    assert (reject.reason, reject.payload) == (RejectReason.OVERSIZED, message)
    assert len(decode(message, max_rows=50).rejects) == 50


def test_a_model_of_many_columns_takes_fewer_rows() -> None:
    wide = ModelSchema("default", "m", tuple(f"f{k}" for k in range(1_000)))
    decoder = Decoder([wide])
    (reject,) = decoder.decode(chunk_of([arrow_poison.one_run(500_000)], "f")).rejects
    assert reject.reason is RejectReason.OVERSIZED
    assert not decoder.decode(chunk_of([arrow_poison.one_run(50_000)], "f")).rejects


@pytest.mark.parametrize("decode_records", [decode_labels, decode_gpu])
def test_labels_and_telemetry_are_bounded_too(decode_records: Any) -> None:
    array = b"[" + b",".join([b"1"] * 500) + b"]"
    limits = MessageLimits(max_rows=500, max_letters=3)
    events, rejects = decode_records(chunk_of([array, array[:-1] + b",1]"], "f"), limits=limits)
    assert not events
    assert [(r.message, r.row, r.n_events) for r in rejects] == [
        (0, 0, 1),
        (0, 1, 1),
        (0, 2, 1),
        (0, 3, 497),
        (1, 0, 1),
    ]
    assert rejects[-1].reason is RejectReason.OVERSIZED


def test_a_letter_does_not_hold_the_dictionary_of_its_message() -> None:
    values = pa.array(["a", "x" * 1_000_000])
    color = pa.DictionaryArray.from_arrays(pa.array([0] * 100, pa.int8()), values)
    batch = {"model": ["m"] * 100, "time_us": [-1] * 100, "features.color": color}
    decoded = decode(stream_of(pa.record_batch(batch)))
    assert max(len(r.payload) for r in decoded.rejects) < 2_000


def test_texts_that_collide_in_arrows_hash_are_encoded_by_our_own() -> None:
    texts = arrow_poison.colliding(2_000)
    known = Dictionaries(1)
    codes = codes_of_texts(pa.array([*texts, None, *texts]), 0, known)
    assert codes.tolist() == [*range(2_000), -1, *range(2_000)]
    assert known.values[0] == texts
    found, indices = distinct_texts(pa.array(texts))
    assert (found, indices.tolist()) == (texts, list(range(2_000)))


@pytest.mark.parametrize("n_bytes", [*range(10), 31, 200])
@pytest.mark.parametrize("first", [0, 1, 7])
def test_texts_are_read_up_to_their_last_byte(n_bytes: int, first: int) -> None:
    texts = [None, "a" * n_bytes, "", "größe", "b" * n_bytes]
    column = pa.array(["skipped"] * first + texts).slice(first)
    known = Dictionaries(1, verbatim={0})
    codes = codes_of_texts(column, 0, known)
    assert [None if c < 0 else known.values[0][c] for c in codes.tolist()] == texts


def test_a_chunk_is_cut_where_its_messages_become_large() -> None:
    decoder = Decoder([SCHEMA])
    bomb = arrow_poison.one_run(1_000_000)
    json = [b'{"model":"m","time_us":1}'] * 50
    assert len(decoder.parts(chunk_of(json + [GOOD] * 50, "f"))) == 1
    messages = [*json, *[bomb] * 6, *json, bomb]
    parts = decoder.parts(chunk_of(messages, "f", first_offset=7))
    assert np.concatenate([p.log_offset for p in parts]).tolist() == list(
        range(7, 7 + len(messages))
    )
    n_rows = [sum(map(len, decoder.decode(part).batches)) for part in parts]
    assert sum(n_rows) == 7_000_100
    assert max(n_rows) <= 4_000_000
    refused = [arrow_poison.one_run(2**31 - 1)] * 500
    assert len(decoder.parts(chunk_of(refused, "f"))) == 1


def test_equal_refused_events_of_an_array_are_judged_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[bytes] = []
    header = StrictDecoder.header

    def counting(self: StrictDecoder, payload: bytes) -> Any:
        judged.append(payload)
        return header(self, payload)

    monkeypatch.setattr(StrictDecoder, "header", counting)
    elements = [b"null", b'{"model":"?"}', b'{"model":"m"}', b"[]"] * 5_000
    decoded = decode(b"[" + b",".join(elements) + b"]")
    assert sum(reject.n_events for reject in decoded.rejects) == 20_000
    assert len(judged) <= 4


def test_more_kinds_of_refused_events_than_are_kept_are_all_counted() -> None:
    elements = [b"%d" % i for i in range(3 * MAX_REMEMBERED)] * 2
    decoded = decode(b"[" + b",".join(elements) + b"]")
    assert sum(reject.n_events for reject in decoded.rejects) == len(elements)


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"null", b'"x"', b"{}", b'{"model":"?"}', b"1"]), min_size=2))
def test_a_refused_event_has_the_same_reason_each_time(events: list[bytes]) -> None:
    decoder = Decoder([SCHEMA])
    found = [decoder.decode(chunk_of([event], "f")).rejects[0] for event in events]
    fresh = [Decoder([SCHEMA]).decode(chunk_of([event], "f")).rejects[0] for event in events]
    assert [(r.reason, r.detail, r.payload) for r in found] == [
        (r.reason, r.detail, r.payload) for r in fresh
    ]
