"""The sender of the SDK: when it gives a producer up, and what becomes of the messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import kafka
import pytest
from kafka import errors
from kafka.future import Future
from kafka.producer.transaction_manager import (
    ProducerIdAndEpoch,
    TransactionManager,
    TransactionState,
)

from driftline import Counters, Reporter
from driftline.batches import OutgoingMessage
from driftline.kafka_sender import REPLACE_PAUSE_S, KafkaSender
from schemas.errors import TransportError

BOUND_S = 20
REFUSED = errors.TopicAuthorizationFailedError("t")


class FakeProducer:
    """Answers on request; after its first fatal error it can only fail."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.open: list[Future] = []
        self.fatal: Exception | None = None
        self.closed_with_s: list[float] = []
        self.is_forced = self._closed = False
        self._sender = SimpleNamespace(force_close=self._force_close)

    def send(self, topic: str, value: bytes) -> Future:
        self.taken.append(value)
        self.open.append(Future())
        return self.open[-1]

    def answer(self, error: Exception | None = None) -> None:
        """Answer the oldest open message, on a thread as the real one does."""
        error = self.fatal or error
        if error and not isinstance(error, errors.RetriableError | TimeoutError):
            self.fatal = error
        future = self.open.pop(0)
        answer = (future.failure, error) if error else (future.success, None)
        thread = threading.Thread(target=answer[0], args=(answer[1],))
        thread.start()
        thread.join(BOUND_S)

    def flush(self, timeout: float) -> None:
        pass

    def close(self, timeout: float) -> None:
        self.closed_with_s.append(timeout)
        if self.open:  # it flushes before it closes anything
            raise errors.KafkaTimeoutError("Timeout waiting for future")
        self._closed = True

    def _force_close(self) -> None:
        self.is_forced = True


class SenderWorld:
    """A manual clock, the producers that were made, and one sender."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.made: list[FakeProducer] = []
        self.fault: Exception | None = None
        self.sender = KafkaSender("nowhere:9", {}, _now_s=lambda: self.now_s)

    def new_producer(self, **options) -> FakeProducer:
        if self.fault is not None:
            raise self.fault
        self.made.append(FakeProducer())
        return self.made[-1]

    def send(self, payload: bytes = b"x") -> list[BaseException | None]:
        """Send one message; what it returns holds its answers as they come."""
        answers: list[BaseException | None] = []
        self.sender.send(OutgoingMessage("t", payload, 1), answers.append)
        return answers


@pytest.fixture
def world(monkeypatch) -> SenderWorld:
    world = SenderWorld()
    monkeypatch.setattr(kafka, "KafkaProducer", world.new_producer)
    return world


def idempotent() -> TransactionManager:
    """What the real producer keeps its state in, after it got its id."""
    manager = TransactionManager(api_version=(2, 5))
    manager.init_producer_id()
    manager.set_producer_id_and_epoch(ProducerIdAndEpoch(7, 0))
    manager._transition_to(TransactionState.READY)
    return manager


def test_after_a_fatal_error_the_next_message_goes_through_a_new_producer(world):
    refused = world.send(b"a")
    world.made[0].answer(REFUSED)
    world.now_s += REPLACE_PAUSE_S
    answers = world.send(b"b")
    world.made[1].answer()
    assert (refused, answers) == ([REFUSED], [None])
    assert [producer.taken for producer in world.made] == [[b"a"], [b"b"]]
    assert [producer.closed_with_s for producer in world.made] == [[0], []]


@pytest.mark.parametrize(
    "error",
    [
        errors.MessageSizeTooLargeError("m"),
        errors.InvalidRecordError("m"),
        errors.PolicyViolationError("m"),
        errors.KafkaProtocolError("m"),
        RuntimeError("Detected more than one in-flight transactional request."),
    ],
)
def test_every_error_that_no_retry_mends_ends_the_producer(world, error):
    world.send()
    world.made[0].answer(error)
    world.now_s += REPLACE_PAUSE_S
    world.send()
    assert len(world.made) == 2


@pytest.mark.parametrize(
    "error",
    [
        errors.NotEnoughReplicasError("m"),
        errors.KafkaConnectionError("m"),
        errors.KafkaTimeoutError("m"),
        TimeoutError("m"),
    ],
)
def test_a_retriable_error_or_a_time_out_does_not_end_it(world, error):
    failed = world.send()
    world.made[0].answer(error)
    world.now_s += 10 * REPLACE_PAUSE_S
    answers = world.send()
    world.made[0].answer()
    assert (failed, answers) == ([error], [None])
    assert len(world.made) == 1
    assert world.made[0].closed_with_s == []


def test_a_late_answer_of_the_old_producer_does_not_end_the_new_one(world):
    world.send(b"a")
    late = world.send(b"b")
    world.made[0].answer(REFUSED)
    world.now_s += REPLACE_PAUSE_S
    world.send(b"c")
    world.made[0].answer()
    assert late == [REFUSED]
    world.now_s += REPLACE_PAUSE_S
    world.send(b"d")
    assert world.made[1].taken == [b"c", b"d"]
    assert len(world.made) == 2


def test_the_old_producer_goes_at_once_although_messages_are_open(world):
    world.send()
    open_ = world.send()
    world.made[0].answer(REFUSED)
    world.now_s += REPLACE_PAUSE_S
    world.send()
    old = world.made[0]
    assert (old.closed_with_s, old.is_forced, old._closed) == ([0], True, True)
    assert open_ == []  # its own thread answers


def test_a_producer_that_cannot_even_be_closed_is_replaced(world):
    world.send()
    del world.made[0]._sender
    world.made[0].close = lambda timeout: 1 / 0
    world.made[0].answer(REFUSED)
    world.now_s += REPLACE_PAUSE_S
    world.send(b"b")
    assert world.made[1].taken == [b"b"]


def test_no_producer_is_made_within_a_second_of_the_last(world):
    for n_made in range(1, 4):
        world.send()
        assert len(world.made) == n_made
        world.made[-1].answer(REFUSED)
        world.now_s += 0.9 * REPLACE_PAUSE_S
        for _ in range(3):
            with pytest.raises(TransportError, match="TopicAuthorizationFailed"):
                world.send(b"too soon")
        assert world.made[-1].closed_with_s == [0]
        world.now_s += 0.1 * REPLACE_PAUSE_S + 1e-6
    assert b"too soon" not in [value for producer in world.made for value in producer.taken]


def test_a_producer_that_cannot_be_made_is_tried_once_a_second(world):
    world.fault = ValueError("no such option")
    with pytest.raises(ValueError, match="no such option"):
        world.send()
    world.fault = None
    with pytest.raises(TransportError, match="no such option"):
        world.send()
    world.now_s += REPLACE_PAUSE_S
    world.send()
    assert len(world.made) == 1


def test_a_message_refused_at_once_is_not_taken_and_its_error_counts(world, monkeypatch):
    refused = Future().failure(REFUSED)
    monkeypatch.setattr(FakeProducer, "send", lambda self, topic, value: refused)
    answers: list[BaseException | None] = []
    with pytest.raises(errors.TopicAuthorizationFailedError):
        world.sender.send(OutgoingMessage("t", b"x", 1), answers.append)
    assert answers == []
    monkeypatch.undo()
    with pytest.raises(TransportError, match="TopicAuthorizationFailed"):
        world.send()


def test_the_real_state_says_that_it_is_fatal_though_no_message_did(world):
    world.send()
    world.made[0]._transaction_manager = manager = idempotent()
    world.now_s += REPLACE_PAUSE_S
    world.send()
    assert len(world.made) == 1
    manager.transition_to_fatal_error(errors.KafkaError("no id"))
    world.send()
    assert len(world.made) == 2


def test_the_real_state_says_that_the_id_is_lost_for_good(world):
    world.send()
    world.made[0]._transaction_manager = manager = idempotent()
    manager.reset_producer_id()  # as after a time-out of what had been tried
    manager.init_producer_id()  # as at each round of its thread
    world.now_s += REPLACE_PAUSE_S
    world.send()
    assert not manager._pending_requests[1:], "it asks again: the rule is needed no more"
    assert len(world.made) == 2


def test_a_flush_does_not_wait_for_what_will_never_be_answered(world, monkeypatch):
    flushed: list[float] = []
    monkeypatch.setattr(FakeProducer, "flush", lambda self, timeout: flushed.append(timeout))
    world.send()
    world.sender.flush(30.0)
    world.made[0].answer(REFUSED)
    world.sender.flush(30.0)
    assert flushed == [30.0]
    assert world.made[0].closed_with_s == [0]


def test_a_producer_that_has_no_id_yet_is_kept(world):
    world.send()
    world.made[0]._transaction_manager = manager = TransactionManager(api_version=(2, 5))
    world.now_s += REPLACE_PAUSE_S
    world.send()
    manager.init_producer_id()
    world.send()
    assert len(world.made) == 1


@pytest.mark.parametrize("manager", [None, idempotent()], ids=["not idempotent", "recovers"])
def test_a_producer_that_goes_on_after_a_refusal_is_kept(world, manager):
    world.send()
    open_ = world.send()
    world.made[0]._transaction_manager = manager
    world.made[0].answer(errors.OutOfOrderSequenceNumberError("m"))
    world.made[0].fatal = None
    world.now_s += REPLACE_PAUSE_S
    world.send()
    world.made[0].answer()
    assert open_ == [None]
    assert len(world.made) == 1


def test_a_forked_child_touches_neither_producer_of_its_parent(world):
    world.send()
    world.made[0].answer(REFUSED)
    world.sender.abandon()
    world.now_s += REPLACE_PAUSE_S
    world.send()
    assert world.made[0].closed_with_s == []
    assert len(world.made) == 2


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        threading.Event().wait(0.002)


def test_every_event_is_counted_once_though_the_producer_is_replaced(world):
    made = world.made
    reporter = Reporter(
        "nowhere:9", model="m", host="h", linger_s=0.0, _sender=lambda: world.sender
    )
    reporter.predict({}, id="a")
    wait_until(lambda: len(made) == 1 and len(made[0].open) == 1)
    reporter.predict({}, id="b")
    wait_until(lambda: len(made[0].open) == 2)
    made[0].answer(REFUSED)
    reporter.predict({}, id="c")
    wait_until(lambda: "no producer" in reporter.counters.last_error)
    counters = reporter.counters
    assert (counters.n_failed, counters.n_sent, counters.n_waiting) == (1, 0, 2)
    assert len(made) == 1
    world.now_s += REPLACE_PAUSE_S
    wait_until(lambda: len(made) == 2 and len(made[1].open) == 1)
    made[1].answer()
    made[0].answer()  # late: the old one's thread gives up what it held
    wait_until(lambda: reporter.counters.n_waiting == 0)
    assert reporter.close(BOUND_S)
    counters = reporter.counters
    assert counters == Counters(n_reported=3, n_sent=1, n_failed=2, last_error=counters.last_error)
    assert "TopicAuthorizationFailed" in counters.last_error
    assert [b'"c"' in value for value in made[1].taken] == [True]


def test_messages_that_will_never_be_answered_do_not_hold_up_the_others(world):
    made = world.made
    reporter = Reporter(
        "nowhere:9",
        model="m",
        host="h",
        linger_s=0.0,
        n_in_flight=1,
        _sender=lambda: world.sender,
    )
    reporter.predict({}, id="a")
    wait_until(lambda: len(made) == 1 and len(made[0].open) == 1)
    reporter.predict({}, id="b")
    made[0]._transaction_manager = manager = idempotent()
    manager.reset_producer_id()
    world.now_s += REPLACE_PAUSE_S
    wait_until(lambda: made[0].is_forced)
    made[0].answer(errors.IllegalStateError("Producer is closed forcefully."))
    wait_until(lambda: len(made) == 2 and len(made[1].open) == 1)
    made[1].answer()
    assert reporter.close(BOUND_S)
    counters = reporter.counters
    assert (counters.n_reported, counters.n_failed, counters.n_sent) == (2, 1, 1)
    assert counters.is_complete


def test_nothing_more_is_made_when_the_end_comes_too_soon_for_it(world):
    reporter = Reporter(
        "nowhere:9", model="m", host="h", linger_s=0.0, _sender=lambda: world.sender
    )
    reporter.predict({})
    wait_until(lambda: len(world.made) == 1 and len(world.made[0].open) == 1)
    world.made[0].answer(REFUSED)
    reporter.predict({})
    begin = time.monotonic()
    assert not reporter.close(0.3)
    assert time.monotonic() - begin < BOUND_S / 2
    counters = reporter.counters
    assert (counters.n_failed, counters.n_unsent, counters.n_waiting) == (1, 1, 0)
    assert counters.is_complete
    assert len(world.made) == 1
