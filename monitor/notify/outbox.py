"""Messages on their way: one lane a receiver, so that none waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from monitor.clock import elapsed_s
from monitor.metrics import QUEUE, RETRIES, STAGE_SECONDS
from monitor.notify.delivery import RetryPolicy, deliver
from monitor.notify.receiver import Receiver
from schemas.alerts import Delivery, Notification

CameOf = Callable[[Notification, Delivery], Awaitable[object]]
"""Told what came of a message; the next one of the lane waits for it."""

DAY_LONG = RetryPolicy(n_attempts=1_500)
"""A receiver that is down is tried again every minute for a day, then given up on."""
_STAGE = "notify"


@dataclass(slots=True)
class _Lane:
    """One receiver's messages, in the order in which they were decided."""

    receiver: Receiver
    queue: asyncio.Queue[tuple[Notification, CameOf]] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None
    n_left: int = 0
    is_pausing: bool = False
    """Between two tries, or held."""


class Outbox:
    """Sends what is put into it, receiver by receiver, each in order.

    Parameters
    ----------
    policy : RetryPolicy, optional
        Bounds of the tries of one message. While one is tried, those behind it to the same
        receiver wait: who was not told of an incident need not hear of its end first.
    may_send : callable, optional
        Seconds to wait before the next message may go out; 0 when it may.

    Notes
    -----
    Everything in it was logged as an intent before, so whatever is lost with the process is
    sent after the restart; repeated is at most the one message each receiver was just sent.
    Belongs to one event loop.
    """

    def __init__(
        self, policy: RetryPolicy = DAY_LONG, may_send: Callable[[], float] = lambda: 0.0
    ) -> None:
        self._policy, self._may_send = policy, may_send
        self._lanes: dict[int, _Lane] = {}
        self._is_closed = False

    @property
    def n_left(self) -> int:
        """Messages that are not done."""
        return sum(lane.n_left for lane in self._lanes.values())

    def put(self, receiver: Receiver, notification: Notification, came_of: CameOf) -> None:
        """Send a notification when those before it are done; after ``close`` do nothing."""
        if self._is_closed:
            return
        lane = self._lanes.get(id(receiver))
        if lane is None:
            lane = self._lanes[id(receiver)] = _Lane(receiver)
            lane.task = asyncio.create_task(self._work(lane))
        lane.queue.put_nowait((notification, came_of))
        self._count(lane, notification, 1)

    def raise_failure(self) -> None:
        """Raise what ended a lane: an outcome that could not be written."""
        for lane in self._lanes.values():
            if lane.task is not None and lane.task.done() and not lane.task.cancelled():
                lane.task.result()

    async def close(self, timeout_s: float) -> None:
        """Send what is left as long as receivers take it at once; then stop.

        Parameters
        ----------
        timeout_s : float
            What takes longer is left to the next life.
        """
        self._is_closed = True
        deadline_s = elapsed_s() + timeout_s
        while elapsed_s() < deadline_s and any(map(_is_moving, self._lanes.values())):
            await asyncio.sleep(0.02)
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for lane in self._lanes.values():
            while not lane.queue.empty():
                notification, _ = lane.queue.get_nowait()
                self._count(lane, notification, -1)

    async def _work(self, lane: _Lane) -> None:
        """Send one after the other."""
        while True:
            notification, came_of = await lane.queue.get()
            try:
                while (wait_s := self._may_send()) > 0:
                    await _pause(lane, wait_s)
                delivery = await self._send(lane, notification)
                await came_of(notification, delivery)
            finally:
                self._count(lane, notification, -1)

    async def _send(self, lane: _Lane, notification: Notification) -> Delivery:
        """Try until it is taken, refused for good, or given up."""

        async def pause(seconds: float) -> None:
            """Wait between two tries, and say that there will be another."""
            RETRIES.labels(_STAGE, notification.receiver).inc()
            await _pause(lane, seconds)

        return await deliver(_Timed(lane.receiver), notification, self._policy, pause)

    def _count(self, lane: _Lane, notification: Notification, change: int) -> None:
        """Keep count of what waits."""
        lane.n_left += change
        QUEUE.labels(_STAGE, f"to {notification.receiver}").inc(change)


async def _pause(lane: _Lane, seconds: float) -> None:
    """Let a lane rest; whoever closes the outbox does not wait for it."""
    lane.is_pausing = True
    try:
        await asyncio.sleep(seconds)
    finally:
        lane.is_pausing = False


def _is_moving(lane: _Lane) -> bool:
    """Say whether waiting for a lane will help."""
    is_alive = lane.task is not None and not lane.task.done()
    return is_alive and lane.n_left > 0 and not lane.is_pausing


@dataclass(frozen=True, slots=True)
class _Timed:
    """A receiver whose sends are timed."""

    receiver: Receiver

    async def send(self, notification: Notification) -> str:
        """Deliver one notification."""
        with STAGE_SECONDS.labels(_STAGE, "send").time():
            return await self.receiver.send(notification)

    def remember(self, notification: Notification, detail: str) -> None:
        """Take over from the log."""
        self.receiver.remember(notification, detail)

    async def close(self) -> None:
        """Let go of connections."""
        await self.receiver.close()
