"""The outbox: no receiver waits for another, order is kept, what is left over is left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from monitor.notify.delivery.attempts import RetryPolicy
from monitor.notify.delivery.outbox import DAY_LONG, Outbox
from monitor.notify.on_kafka import StallDetector
from monitor.notify.receivers.protocol import ErrorAnswer
from schemas.alerts import Delivery, Notification
from schemas.errors import RefusedDelivery, RetryableDelivery, TransportError
from tests.support.alerts import notification

SOON = RetryPolicy(n_attempts=50, first_wait_s=0.001, longest_wait_s=0.001)


class GatedReceiver:
    """Accepts messages when its door is open; refuses or fails as often as set."""

    def __init__(self, *troubles: Exception) -> None:
        self.taken: list[str] = []
        self.troubles = list(troubles)
        self.door = asyncio.Event()
        self.door.set()

    async def send(self, notification: Notification) -> str:
        await self.door.wait()
        if self.troubles:
            raise self.troubles.pop(0)
        self.taken.append(notification.notification_id)
        return "taken"

    def remember(self, notification: Notification, detail: str) -> None:
        pass

    async def close(self) -> None:
        pass


class Outcomes:
    """What came of messages."""

    def __init__(self) -> None:
        self.states: list[tuple[str, str]] = []

    async def __call__(self, notification: Notification, delivery: Delivery) -> None:
        self.states.append((notification.notification_id, delivery.state))


def notes(n: int) -> list[Notification]:
    return [notification(number=i) for i in range(1, n + 1)]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0)


def play(story: Callable[[Outbox, Outcomes], Awaitable[None]], **more: object) -> None:
    async def run() -> None:
        outbox = Outbox(SOON, **more)  # type: ignore[arg-type]
        await story(outbox, Outcomes())
        await outbox.close(0.0)

    asyncio.run(run())


def test_one_that_is_stuck_holds_up_no_other():
    async def story(outbox: Outbox, outcomes: Outcomes) -> None:
        stuck, well = GatedReceiver(), GatedReceiver()
        stuck.door.clear()
        for note in notes(3):
            outbox.put(stuck, note, outcomes)
            outbox.put(well, note, outcomes)
        await until(lambda: len(well.taken) == 3)
        assert (stuck.taken, outbox.n_left) == ([], 3)
        stuck.door.set()
        await until(lambda: outbox.n_left == 0)
        assert stuck.taken == well.taken == ["n-1", "n-2", "n-3"]

    play(story)


@pytest.mark.parametrize(
    ("trouble", "keys"), [(RetryableDelivery, ("a", "b")), (ErrorAnswer, ("a", "a"))]
)
def test_while_one_message_is_tried_those_behind_it_wait(trouble, keys):
    async def story(outbox: Outbox, outcomes: Outcomes) -> None:
        receiver = GatedReceiver(*(trouble("down", where="it") for _ in range(9)))
        for number, key in enumerate(keys, 1):
            outbox.put(receiver, of_incident(number, key), outcomes)
        await until(lambda: outbox.n_left == 0)
        assert outcomes.states == [("n-1", "done"), ("n-2", "done")]

    play(story)


class Choosy(GatedReceiver):
    """Answers some messages with an error, as long as it is not mended."""

    def __init__(self, *broken: str) -> None:
        super().__init__()
        self.broken = set(broken)
        self.tried: list[str] = []

    async def send(self, notification: Notification) -> str:
        self.tried.append(notification.notification_id)
        if notification.notification_id in self.broken:
            raise ErrorAnswer("answered 500", where="it")
        return await super().send(notification)


def of_incident(number: int, key: str) -> Notification:
    return notification(number=number, dedup_key=key)


def test_one_that_is_answered_with_errors_holds_up_only_its_own_incident():
    async def story(outbox: Outbox, outcomes: Outcomes) -> None:
        receiver = Choosy("n-1")
        for i, key in enumerate(["a", "b", "a", "b"], 1):
            outbox.put(receiver, of_incident(i, key), outcomes)
        await until(lambda: len(receiver.taken) == 2)
        assert receiver.tried[:5] == ["n-1", "n-1", "n-1", "n-2", "n-4"]
        assert outbox.n_left == 2
        receiver.broken.clear()
        await until(lambda: outbox.n_left == 0)
        assert receiver.taken == ["n-2", "n-4", "n-1", "n-3"]
        assert outcomes.states == [(n, "done") for n in receiver.taken]

    play(story)


def test_one_that_comes_while_a_broken_one_waits_goes_at_once():
    async def story(outbox: Outbox, outcomes: Outcomes) -> None:
        receiver = Choosy("n-1")
        outbox = Outbox(RetryPolicy(first_wait_s=0.01, longest_wait_s=600.0, n_attempts=99))
        outbox.put(receiver, of_incident(1, "a"), outcomes)
        await until(lambda: len(receiver.tried) == 4)
        outbox.put(receiver, of_incident(2, "b"), outcomes)
        # Of what may go at once ``close`` sends all, and waits for nothing else.
        await outbox.close(10.0)
        assert (receiver.taken, outbox.n_left) == (["n-2"], 0)
        assert outcomes.states == [("n-2", "done")]

    play(story)


def test_one_that_stays_broken_is_given_up_and_the_next_of_its_incident_goes():
    async def story(outbox: Outbox, outcomes: Outcomes) -> None:
        receiver = Choosy("n-1")
        for number in (1, 2):
            outbox.put(receiver, of_incident(number, "a"), outcomes)
        await until(lambda: outbox.n_left == 0)
        assert receiver.tried == ["n-1"] * SOON.n_attempts + ["n-2"]
        assert outcomes.states == [("n-1", "failed"), ("n-2", "done")]

    play(story)


def test_the_age_of_the_oldest_message_is_shown_by_receiver():
    now = [100.0]

    def shown_s(name: str) -> float | None:
        return REGISTRY.get_sample_value("driftline_notification_age_seconds", {"receiver": name})

    async def story(outbox: Outbox, outcomes: Outcomes) -> None:
        stuck, second, well = GatedReceiver(), GatedReceiver(), GatedReceiver()
        stuck.door.clear()
        outbox.put(stuck, notification(receiver="aged"), outcomes)
        now[0] = 130.0
        # Another lane of the same name, as of two models' retraining webhooks.
        second.door.clear()
        outbox.put(second, notification(receiver="aged"), outcomes)
        outbox.put(well, notification(receiver="young"), outcomes)
        await until(lambda: outbox.n_left == 2)
        now[0] = 160.0
        outbox.show_ages()
        assert (shown_s("aged"), shown_s("young")) == (60, 0)
        stuck.door.set()
        await until(lambda: outbox.n_left == 1)
        outbox.show_ages()
        assert shown_s("aged") == 30
        await outbox.close(0.0)
        assert shown_s("aged") == 0

    play(story, now_s=lambda: now[0])


def test_what_is_refused_for_good_is_failed_and_the_next_one_goes():
    async def story(outbox: Outbox, outcomes: Outcomes) -> None:
        receiver = GatedReceiver(RefusedDelivery("no", where="it"))
        for note in notes(2):
            outbox.put(receiver, note, outcomes)
        await until(lambda: outbox.n_left == 0)
        assert outcomes.states == [("n-1", "failed"), ("n-2", "done")]

    play(story)


def test_closing_sends_what_is_taken_at_once_and_leaves_the_rest():
    async def run() -> None:
        outcomes, well, ill = Outcomes(), GatedReceiver(), GatedReceiver()
        ill.troubles = [RetryableDelivery("down", where="it", retry_after_s=60.0)]
        outbox = Outbox(DAY_LONG)
        for note in notes(3):
            outbox.put(well, note, outcomes)
            outbox.put(ill, note, outcomes)
        await until(lambda: not ill.troubles)
        await outbox.close(10.0)
        assert (well.taken, ill.taken, outbox.n_left) == (["n-1", "n-2", "n-3"], [], 0)
        outbox.put(well, notification(number=9), outcomes)
        assert outbox.n_left == 0

    asyncio.run(run())


def test_an_outcome_that_cannot_be_written_is_raised_not_swallowed():
    async def broken(notification: Notification, delivery: Delivery) -> None:
        raise TransportError("a write failed", where="log")

    async def story(outbox: Outbox, outcomes: Outcomes) -> None:
        outbox.raise_failure()
        outbox.put(GatedReceiver(), notification(), broken)
        await until(lambda: outbox.n_left == 0)
        await asyncio.sleep(0)
        with pytest.raises(TransportError, match="a write failed"):
            outbox.raise_failure()

    play(story)


def test_nothing_is_sent_while_another_may_have_taken_over():
    is_held = True

    def wait_s() -> float:
        return 0.001 if is_held else 0.0

    async def story(outbox: Outbox, outcomes: Outcomes) -> None:
        nonlocal is_held
        receiver = GatedReceiver()
        outbox.put(receiver, notification(), outcomes)
        await asyncio.sleep(0.02)
        assert receiver.taken == []
        is_held = False
        await until(lambda: receiver.taken == ["n-1"])

    play(story, may_send=wait_s)


def test_nothing_is_tried_again_either_while_another_may_have_taken_over():
    is_held = False

    def wait_s() -> float:
        return 0.001 if is_held else 0.0

    async def story(outbox: Outbox, outcomes: Outcomes) -> None:
        nonlocal is_held
        receiver = Choosy("n-1")
        outbox.put(receiver, notification(), outcomes)
        await until(lambda: len(receiver.tried) == 2)
        is_held = True
        await asyncio.sleep(0.02)
        assert len(receiver.tried) == 2

    play(story, may_send=wait_s)


def test_a_day_of_tries_is_a_day():
    waits = [DAY_LONG.wait_s(i, None) for i in range(1, DAY_LONG.n_attempts)]
    assert 86_400 < sum(waits) < 100_000
    assert max(waits) == 60.0


def test_a_process_that_hung_longer_than_the_session_waits_for_the_group(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("monitor.notify.on_kafka.elapsed_s", lambda: now[0])
    stall_detector = StallDetector(session_s=6.0)
    for _ in range(20):
        now[0] += 1
        stall_detector.beat()
        assert stall_detector.wait_s() == 0
    now[0] += 30
    assert stall_detector.wait_s() > 0
    stall_detector.beat()
    assert stall_detector.wait_s() == 6
    now[0] += 6
    stall_detector.beat()
    assert stall_detector.wait_s() == 0
    now[0] += 30
    stall_detector.begin()
    assert stall_detector.wait_s() == 0
