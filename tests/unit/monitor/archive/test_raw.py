"""Rows of the raw topics: one message of which none can be made, labels, and what grows."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.archive import raw
from monitor.archive.pending_range import Cut, Gathering
from monitor.archive.position import ArchivePosition
from monitor.archive.raw import RawTopics
from monitor.core.topics import LABELS, PREDICTIONS
from monitor.decode import Decoder, chunk_of, decode_labels
from monitor.storage.joined_tables import MAX_BY_ARROW, joined
from schemas.batch import Chunk, EventBatch
from schemas.limits import MessageLimits
from tests.support import arrow_poison, decoding

START_US = 1_700_000_000_000_000


def event(name: str) -> bytes:
    return b'{"model":"m","id":"%s","time_us":%d}' % (name.encode(), START_US)


def label(name: str, model: str = "m") -> bytes:
    return b'{"id":"%s","model":"%s","time_us":%d,"label":1}' % (
        name.encode(),
        model.encode(),
        START_US,
    )


def test_a_message_of_which_no_row_can_be_made_keeps_no_other_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = raw.prediction_rows

    def rows(batch: EventBatch, chunk: Chunk) -> pa.Table:
        found = made(batch, chunk)
        if "poison" in found["id"].to_pylist():
            raise OverflowError("too large for a column")
        return found

    monkeypatch.setattr(raw, "prediction_rows", rows)
    names = ["a", "b", "poison", "c", "d"]
    chunks = [
        chunk_of([event(n) for n in names], "topic", 3, first_offset=10),
        chunk_of([event("e")], "topic", 3, first_offset=20),
    ]
    placed, refusals = RawTopics(Decoder([decoding.SCHEMA])).rows(PREDICTIONS, chunks)
    assert placed.rows["id"].to_pylist() == ["a", "b", "c", "d", "e"]
    assert placed.offsets.tolist() == [10, 11, 13, 14, 20]
    (refusal,) = refusals
    letter = refusal.letter
    assert (letter.source, letter.partition, letter.offset) == ("topic", 3, 12)
    assert (letter.reason, letter.payload) == ("decoder_failed", event("poison"))
    assert "too large for a column" in letter.detail


def test_refused_labels_are_returned_with_how_many_events_they_stand_for() -> None:
    limits = MessageLimits(max_letters=2)
    labels = partial(decode_labels, max_skew_us={("default", "m"): 1}, limits=limits)
    array = b"[" + b",".join([b"1"] * 7) + b"]"
    messages = [label("1"), label("2", "absent"), array, label("")]
    placed, refusals = RawTopics(labels=labels).rows(LABELS, [chunk_of(messages, "f")])
    assert placed.rows["id"].to_pylist() == ["1"]
    assert [(r.letter.offset, r.letter.reason, r.n_events) for r in refusals] == [
        (1, "unknown_model", 1),
        (2, "malformed", 1),
        (2, "malformed", 1),
        (2, "malformed", 5),
        (3, "mistyped", 1),
    ]


def test_a_range_is_cut_by_what_its_messages_become() -> None:
    topics = RawTopics(Decoder([decoding.SCHEMA]))
    messages = [arrow_poison.one_run(1_000_000)] * 12
    gathering = Gathering(ArchivePosition(0), Cut())
    for part, weight in topics.weighed(PREDICTIONS, chunk_of(messages, "f")):
        gathering.add(part, 0.0, weight)
    ends = []
    while gathering.n_messages and (found := gathering.take(0.0, 12, is_full=True)):
        ends.append(found.hi)
    assert ends[-1] == 12
    assert len(ends) > 2
    plain = [event("a")] * 1_000
    ((_, weight),) = topics.weighed(PREDICTIONS, chunk_of(plain, "f"))
    assert weight == 1_000 * len(event("a"))


def coded(texts: list[Any]) -> pa.Table:
    words = pa.array(texts, pa.string()).dictionary_encode()
    keys = pa.array(["k"] * len(texts)).dictionary_encode()
    values = pa.array([text or "none" for text in texts]).dictionary_encode()
    offsets = pa.array(np.arange(len(texts) + 1, dtype=np.int32))
    return pa.table({"a": words, "m": pa.MapArray.from_arrays(offsets, keys, values), "n": texts})


@pytest.mark.parametrize("n", [3, MAX_BY_ARROW + 1])
def test_joined_tables_hold_the_same_rows_under_one_dictionary(n: int) -> None:
    texts = [[f"{k}" for k in range(n)], [None, "x", *[f"{k}" for k in range(n)]], ["y"]]
    tables = [coded(some) for some in texts]
    found = joined(tables)
    assert found.to_pylist() == [row for table in tables for row in table.to_pylist()]
    for name in ("a", "m"):
        assert found[name].num_chunks == 1
    dictionary = found["a"].chunk(0).dictionary.to_pylist()
    assert len(dictionary) == len(set(dictionary)) == n + 2


def test_texts_that_collide_in_arrows_hash_are_joined_without_it() -> None:
    texts = arrow_poison.colliding(3_000)
    halves = [
        pa.table({"a": pa.DictionaryArray.from_arrays(np.arange(len(half)), pa.array(half))})
        for half in (texts[:2_000], texts[1_000:])
    ]
    assert joined(halves)["a"].to_pylist() == texts[:2_000] + texts[1_000:]
