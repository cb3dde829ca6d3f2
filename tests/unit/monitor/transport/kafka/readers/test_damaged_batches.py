"""Record batches that the client cannot unpack: no good message before one is lost."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

from confluent_kafka import KafkaError

from monitor.transport.kafka.readers.consume import ConsumeReader
from monitor.transport.kafka.settings import Callbacks


class Seeks:
    """Takes the place of the client, which only is sent elsewhere here."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def seek(self, place) -> None:
        self.offsets.append(place.offset)


def reader_at(position: int) -> tuple[ConsumeReader, list[int], list[int]]:
    """Return a reader of partition 0, where it is sent, and what it passes over."""
    reader, seeks, passed = ConsumeReader.__new__(ConsumeReader), Seeks(), list[int]()
    reader._settings, reader._consumer = SimpleNamespace(topic="t", group="g"), seeks
    reader._callbacks = Callbacks(on_unreadable=lambda message: passed.append(message.offset))
    reader._positions, reader._at_end, reader._unproven = {0: position}, set(), set()
    reader._ahead, reader.counters = {}, Counter()
    reader._lines, reader._line_ends, reader._held, reader._paused = {}, {}, set(), set()
    reader._attach(0)
    return reader, seeks.offsets, passed


def damaged(reader: ConsumeReader, base: int) -> bool:
    return reader._on_event(0, KafkaError(KafkaError._BAD_COMPRESSION), base)


def test_a_damaged_batch_is_passed_over_offset_by_offset():
    reader, sought, passed = reader_at(7)
    assert all([damaged(reader, 7), damaged(reader, 7)])
    assert (sought, passed) == ([8, 9], [7, 8])


def test_messages_dropped_before_a_damaged_batch_are_read_first():
    reader, sought, passed = reader_at(3)
    assert damaged(reader, 7)
    assert (sought, passed, reader._positions) == ([3], [], {0: 3})
    reader._positions[0] = 7
    assert damaged(reader, 7)
    assert (sought, passed) == ([3, 8], [7])


def test_a_hole_before_a_damaged_batch_is_not_a_message():
    reader, sought, passed = reader_at(3)
    assert all([damaged(reader, 7), damaged(reader, 7)])
    assert (sought, passed, reader._positions) == ([3, 8], [7], {0: 8})
