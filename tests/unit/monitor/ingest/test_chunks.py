"""How long a chunk may be: many messages, yet few panes at once."""

from __future__ import annotations

from monitor.ingest.worker import CHUNK_MESSAGES, IngestPartition, IngestWorker
from tests.support.log_chunks import blank_chunk


def worker(most: int) -> IngestWorker:
    made = IngestWorker.__new__(IngestWorker)
    made._most_messages = most
    return made


def test_chunks_shrink_while_each_opens_many_panes_and_grow_again_afterwards():
    made, owned = worker(50_000), IngestPartition(None, None, 0.0, 0.0, most_messages=50_000)
    lengths = []
    for n_opened in (50, 25, 12, 6, 3, 2, 2):
        made._adapt(owned, blank_chunk(owned.most_messages), n_opened)
        lengths.append(owned.chunk_messages)
    assert lengths == [25_000, 12_500, 6_250, 3_125, 1_562, 1_562, 1_562]
    for _ in range(8):
        made._adapt(owned, blank_chunk(owned.chunk_messages), 0)
    assert owned.chunk_messages == 50_000


def test_batches_of_many_rows_are_taken_one_by_one_where_each_opens_many_panes():
    made, owned = worker(CHUNK_MESSAGES), IngestPartition(None, None, 0.0, 0.0)
    for _ in range(8):
        made._adapt(owned, blank_chunk(min(owned.chunk_messages, 80), event_bytes=200_000), 10)
    assert owned.chunk_messages == 1


def test_a_chunk_is_never_longer_than_the_buffer():
    made, owned = worker(CHUNK_MESSAGES), IngestPartition(None, None, 0.0, 0.0)
    made._adapt(owned, blank_chunk(10, event_bytes=200_000), 0)
    assert owned.chunk_messages == (16 << 20) // 200_001
