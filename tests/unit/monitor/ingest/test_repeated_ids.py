"""Repeated ids: what the kernels count against a set of ids, and what is remembered."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.decode.arrow.record_batches import batch_from_arrow
from monitor.decode.dictionaries import HAS_KERNELS
from monitor.ingest import repeated_ids
from monitor.ingest.repeated_ids import RepeatedIds
from schemas.batch import EventBatch, ModelSchema

needs_kernels = pytest.mark.skipif(not HAS_KERNELS, reason="needs compiled kernels")
IDS = st.lists(st.none() | st.text("ab\u00e9", max_size=40), max_size=60)


def batch_of(ids: list[str | None], model: str = "m") -> EventBatch:
    """Return events with these ids."""
    rows = pa.record_batch({"time_us": range(1, len(ids) + 1), "id": pa.array(ids, pa.string())})
    return batch_from_arrow(rows, ModelSchema("default", model, ()), 0)[0]


def n_in_set(ids: list[str | None], seen: set[str]) -> int:
    """Return how many of the ids that are not empty occur again, with all of them noted."""
    n = 0
    for text in ids:
        n += text in seen
        if text:
            seen.add(text)
    return n


@pytest.mark.parametrize("has_kernels", [True, False])
@given(batches=st.lists(IDS, min_size=1, max_size=4))
def test_ids_are_counted_as_a_set_counts_them(has_kernels, batches):
    seen, known = RepeatedIds(), set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeated_ids, "HAS_KERNELS", has_kernels and HAS_KERNELS)
        for ids in batches:
            assert seen.count(batch_of(ids)) == n_in_set(ids, known)


def test_ids_of_another_model_are_other_ids():
    seen = RepeatedIds()
    assert seen.count(batch_of(["a", "b"], "m")) == 0
    assert seen.count(batch_of(["a", "b"], "n")) == 0


@needs_kernels
def test_the_last_100_000_ids_are_remembered_and_the_oldest_forgotten():
    ids = [f"id-{i:09d}" for i in range(600_000)]
    seen = RepeatedIds()
    assert seen.count(batch_of(ids)) < 10
    assert seen.count(batch_of(ids[-100_000:])) > 99_900
    assert seen.count(batch_of(ids[:100_000])) < 10


@needs_kernels
def test_bytes_behind_the_ids_change_no_hash():
    text = "0123456789abcdefg"
    ids = np.frombuffer(text.encode(), np.uint8)
    hashes = np.full(len(text), 7, np.uint64)
    padded = np.frombuffer(text.encode() + b"\xff" * 8, np.uint8)
    spans = np.array([(at, len(text) - at) for at in range(len(text))], np.int64)
    expected = hashes.copy()
    for buffer, n_bytes, found in ((ids, len(ids), hashes), (padded, len(padded), expected)):
        repeated_ids.hash_ids(
            *(spans.ctypes.data, len(spans), buffer.ctypes.data, n_bytes, found.ctypes.data)
        )
    assert (hashes == expected).all()
    assert len(set(hashes.tolist())) == len(text)
