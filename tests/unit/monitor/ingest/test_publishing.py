"""What a worker does between reading and committing: publishing, and saying that it is ready."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest

from monitor.ingest.worker import CAUGHT_UP_S, CHUNK_MESSAGES, TICK_S, IngestPartition, IngestWorker
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.settings import ReadFault
from schemas.config.model import WindowConfig
from schemas.errors import TransportError
from tests.support.log_chunks import blank_chunk


class Reader:
    """Hands on chunks; at the end of the log where there is none."""

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def read(self, partition: int, n: int):
        return blank_chunk(min(n, self.lengths.pop(0) if self.lengths else 0))

    def is_at_end(self, partition: int) -> bool:
        return not self.lengths


@pytest.fixture
def world():
    """A worker of one partition, and how often it published."""
    made = IngestWorker.__new__(IngestWorker)
    published: list[float] = []
    made.now_s = 0.0
    ingest = SimpleNamespace(
        add=lambda chunk: None,
        publish=lambda **_: published.append(made.now_s),
        counters=Counter(),
        n_open_panes=0,
        is_due=False,
        gaps=[],
    )
    made._owned = {0: IngestPartition(ingest, None, read_s=0.0, published_s=0.0)}
    made._reader, made._window = Reader(), WindowConfig()
    made._most_messages = CHUNK_MESSAGES
    made._tally = SimpleNamespace(count=lambda counters: None)
    made._lifecycle = Lifecycle("ingest")
    made._is_read = made._is_behind = made._is_away = False
    return made, published


def go_round(made: IngestWorker, now_s: float) -> None:
    made.now_s = now_s
    made._read(0, now_s)
    made._publish_if_due(0, now_s)


def test_the_end_of_a_catch_up_is_published_at_once(world):
    made, published = world
    made._reader.lengths = [CHUNK_MESSAGES, CHUNK_MESSAGES, 7]
    for i in range(4):
        go_round(made, 0.2 + 0.01 * i)
    assert published == [0.2 + 0.01 * 2]


def test_it_is_published_once_and_then_each_second(world):
    made, published = world
    made._reader.lengths = [CHUNK_MESSAGES]
    for i in range(26):
        go_round(made, 0.1 * i)
    assert published == pytest.approx([CAUGHT_UP_S, CAUGHT_UP_S + TICK_S, CAUGHT_UP_S + 2 * TICK_S])


def test_a_trickle_is_published_each_second_only(world):
    made, published = world
    for i in range(26):
        made._reader.lengths = [3]
        go_round(made, 0.1 * i)
    assert published == pytest.approx([TICK_S, 2 * TICK_S])


def test_short_catch_ups_one_after_the_other_are_not_published_each(world):
    made, published = world
    for i in range(100):
        made._reader.lengths = [CHUNK_MESSAGES] if i % 2 == 0 else [1]
        go_round(made, 0.01 * i)
    assert 8 <= len(published) <= 10


@pytest.fixture
def stand_by(world):
    """A worker that has joined, owns nothing, and gets errors that the brokers are away."""
    made, _ = world
    made._owned.clear()
    made._feed = SimpleNamespace(poll=lambda: None)
    made._tally.show_process = lambda *_: None
    made._writes = SimpleNamespace(n_outstanding=0)
    made._lifecycle.ready()
    made._is_ready = True
    made._on_fault(ReadFault(-1, "_ALL_BROKERS_DOWN", "1/1 down"))
    assert not made._lifecycle.is_ready
    return made


def test_a_stand_by_is_ready_again_when_a_broker_answers(stand_by):
    stand_by._look_for_brokers = lambda: None
    stand_by._tick(1.0)
    assert stand_by._lifecycle.is_ready


def test_a_stand_by_is_unready_while_no_broker_answers(stand_by):
    def no_broker():
        raise TransportError("no answer")

    stand_by._look_for_brokers = no_broker
    stand_by._tick(1.0)
    assert not stand_by._lifecycle.is_ready


def test_a_worker_that_never_joined_is_not_ready_because_a_broker_answers(stand_by):
    stand_by._is_ready = False
    stand_by._look_for_brokers = lambda: None
    stand_by._tick(1.0)
    assert not stand_by._lifecycle.is_ready


def test_what_was_read_ahead_is_no_sign_of_a_broker(world):
    made, _ = world
    made._lifecycle.ready()
    made._on_fault(ReadFault(-1, "_ALL_BROKERS_DOWN", "1/1 down"))
    made._reader.lengths = [1]
    go_round(made, 0.5)
    assert not made._lifecycle.is_ready
