"""What every log keeps, whichever transport carries it. Kafka joins this suite later."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.write import Write
from monitor.transport.memory import MemoryLog
from monitor.transport.types import Message
from schemas.errors import TransportError
from tests.support.log_chunks import fetch_chunk


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


def test_offsets_count_each_partition_by_itself(log):
    assert [
        log.produce("t", b"a"),
        log.produce("t", b"b"),
        log.produce("t", b"c", partition=1),
    ] == [0, 1, 0]
    assert log.end_offset("t", 0) == 2
    assert log.partitions("t") == [0, 1]


def test_a_write_is_appended_with_its_key_partition_and_time(log):
    log.append(Write("t", b"k", b"v", 1, 7_000))
    log.append(Write("t", b"k", None))
    (whole,), (tombstone,) = log.fetch("t", 1, 0, 10), log.fetch("t", 0, 0, 10)
    assert whole == Message(0, b"k", b"v", 7_000)
    assert tombstone == Message(0, b"k", b"", -1)


def test_fetch_starts_where_asked_and_ends_at_the_end(log):
    for i in range(5):
        log.produce("t", bytes([i]))
    assert [m.value[0] for m in log.fetch("t", 0, 3, 10)] == [3, 4]
    assert list(log.fetch("t", 0, 5, 10)) == []


def test_a_chunk_holds_the_same_bytes_as_the_messages(log):
    values = [b"", b"one", b"", b"three3"]
    for i, value in enumerate(values):
        log.produce("t", value, timestamp_us=100 + i)
    chunk = fetch_chunk(log, "t", 0, 1, 10)
    cut = [
        chunk.buffer[a:b].tobytes() for a, b in zip(chunk.offsets, chunk.offsets[1:], strict=False)
    ]
    assert cut == values[1:]
    assert chunk.log_offset.tolist() == [1, 2, 3]
    assert chunk.record_time_us.tolist() == [101, 102, 103]
    assert chunk.offsets.dtype == np.int64


def test_an_empty_chunk_has_one_offset(log):
    chunk = fetch_chunk(log, "t", 0, 0, 10)
    assert len(chunk) == 0
    assert chunk.offsets.tolist() == [0]


def test_a_commit_returns_its_metadata_and_the_last_one_counts(log):
    assert log.committed("g", "t", 0) is None
    log.commit("g", "t", 0, 3, "x" * 700)
    log.commit("g", "t", 0, 4, "y")
    assert log.committed("g", "t", 0) == (committed := log.committed("g", "t", 0))
    assert (committed.offset, committed.metadata) == (4, "y")
    assert log.committed("other", "t", 0) is None


def test_metadata_longer_than_a_broker_takes_is_refused(log):
    with pytest.raises(TransportError, match="1024"):
        log.commit("g", "t", 0, 0, "z" * 1024)


def test_retention_takes_the_oldest_and_offsets_stay(log):
    for i in range(5):
        log.produce("t", bytes([i]))
    log.forget("t", 0, 3)
    log.forget("t", 0, 2)
    assert [(m.offset, m.value[0]) for m in log.fetch("t", 0, 0, 10)] == [(3, 3), (4, 4)]
    assert [m.offset for m in log.fetch("t", 0, 4, 10)] == [4]
    assert log.produce("t", b"next") == 5
    assert log.end_offset("t", 0) == 6
    assert fetch_chunk(log, "t", 0, 3, 10).log_offset.tolist() == [3, 4, 5]
