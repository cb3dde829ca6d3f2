"""The length of stored panes is chosen from the head of a file, however little of it is read."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.core.windowing.catalog import Catalog
from monitor.decode.chunk import chunk_of
from monitor.replay import stored_slot
from schemas.batch import Chunk
from schemas.limits import MessageLimits
from tests.support.worlds.small import CONFIG


def test_a_file_without_events_of_a_known_model_is_not_held_in_memory(monkeypatch):
    monkeypatch.setattr(stored_slot, "HEAD_ROWS", 100)
    read = []

    def chunks() -> Iterator[Chunk]:
        for number in range(50):
            read.append(number)
            yield chunk_of([b'{"model": "another"}'] * 10, "f")

    slot_us, found = stored_slot.slot_and_chunks(
        chunks(), Catalog.of([CONFIG], []), MessageLimits()
    )
    assert (slot_us, len(read)) == (CONFIG.window.length_us, 10)
    assert sum(map(len, found)) == 500
