"""One message on which the decoder itself fails: a dead letter, and the others are decoded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from driftline.canonical import category_of_text
from monitor.decode import Decoder, chunk_of, decode_labels, records
from monitor.decode.arrow import stream
from monitor.decode.arrow.record_batches import stream_of
from schemas.batch import ModelSchema
from schemas.events import RejectReason
from tests.support import decoding

GOOD = stream_of(pa.record_batch({"model": ["m", "m"], "time_us": [1, 2]}))
JSON = b'{"model":"m","time_us":3,"features":{"color":"red"}}'
BAD = stream_of(pa.record_batch({"model": ["poison"], "time_us": [1]}))


@pytest.fixture(params=[KeyError("model"), MemoryError(), RuntimeError("a" * 9_000)], ids=repr)
def failing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Exception:
    """Make every chunk fail that holds the poison; on later messages it fails only then."""
    decode = stream.StreamDecoder.decode

    def fail(self: Any, payloads: Iterable[tuple[int, memoryview]], *rest: Any) -> Any:
        given = list(payloads)
        found = decode(self, given, *rest)
        if any(bytes(payload) == BAD for _, payload in given):
            raise request.param
        return found

    monkeypatch.setattr(stream.StreamDecoder, "decode", fail)
    error: Exception = request.param
    return error


@pytest.mark.parametrize("place", [0, 3, 12])
@pytest.mark.parametrize("is_fast", [True, False])
def test_one_failing_message_is_a_reject_and_the_others_are_decoded(
    failing: Exception, place: int, is_fast: bool
) -> None:
    messages = [GOOD, JSON, b"{", b"[" + JSON + b"]"] * 3
    decoder = Decoder([decoding.SCHEMA], fast=is_fast)
    alone = decoder.decode(chunk_of(messages, "f", 0, 100))
    decoded = decoder.decode(chunk_of([*messages[:place], BAD, *messages[place:]], "f", 0, 100))

    def moved(message: int) -> int:
        return message + (message >= place)

    rows = {(moved(m), r): row for (m, r), row in decoding.rows_of(alone).items()}
    assert decoding.rows_of(decoded) == rows
    (reject,) = [r for r in decoded.rejects if r.reason is RejectReason.DECODER_FAILED]
    assert (reject.message, reject.row, reject.payload) == (place, 0, BAD)
    assert type(failing).__name__ in reject.detail
    assert len(reject.detail) <= 500
    others = [r for r in decoded.rejects if r is not reject]
    assert [r.message for r in others] == [moved(r.message) for r in alone.rejects]


def test_a_decoder_that_failed_once_decodes_on(failing: Exception) -> None:
    decoder = Decoder([decoding.SCHEMA])
    expected = decoding.rows_of(decoder.decode(chunk_of([GOOD, JSON], "f")))
    for _ in range(3):
        decoder.decode(chunk_of([JSON, BAD], "f"))
        assert decoding.rows_of(decoder.decode(chunk_of([GOOD, JSON], "f"))) == expected


def test_a_failing_label_is_a_reject_and_the_others_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decode_one = records._decode_one

    def fail(payload: bytes, decoder: Any) -> Any:
        if b"poison" in payload:
            raise ZeroDivisionError("x")
        return decode_one(payload, decoder)

    monkeypatch.setattr(records, "_decode_one", fail)
    labels = [b'{"id":"%s","model":"m","time_us":1,"label":1}' % i for i in (b"1", b"poison", b"3")]
    events, rejects = decode_labels(chunk_of(labels, "f"))
    assert [event.id for _, _, event in events] == ["1", "3"]
    assert [(r.message, r.reason) for r in rejects] == [(1, RejectReason.DECODER_FAILED)]


def test_ids_of_messages_decoded_apart_are_their_own(failing: Exception) -> None:
    escaped = b'{"id":"a\\u00e9%d","model":"m","time_us":3}'
    messages = [escaped % 1, BAD, escaped % 2, GOOD, escaped % 3]
    decoded = Decoder([decoding.SCHEMA]).decode(chunk_of(messages, "f"))
    ids = [row[2] for row in decoding.rows_of(decoded).values()]
    assert ids == ["a\u00e91", "a\u00e92", None, None, "a\u00e93"]
    assert np.diff(decoded.batches[0].message).min() >= 0


def test_texts_entered_before_a_failure_keep_their_codes(monkeypatch):
    n_failures = 0

    def category(text: str) -> str | None:
        nonlocal n_failures
        if text == "third" and not n_failures:
            n_failures += 1
            raise MemoryError
        return category_of_text(text)

    decoder = Decoder([ModelSchema("default", "m", (), ("c",))])
    events = [
        b'{"model":"m","time_us":1,"features":{"c":"%s"}}' % text
        for text in (b"first", b"second", b"third", b"fourth")
    ]
    decoder.decode(chunk_of(events[:1], "s"))  # the layout is learned
    monkeypatch.setattr("monitor.decode.dictionaries.category_of_text", category)
    (batch,) = decoder.decode(chunk_of(events, "s")).batches
    column = batch.categorical[0]
    found = [column.values[code] for code in column.codes.tolist()]
    assert (n_failures, found) == (1, ["first", "second", "third", "fourth"])
