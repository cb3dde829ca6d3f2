"""Messages on their way: one lane a receiver, so that none waits for another."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from monitor.clock import elapsed_s
from monitor.metrics import NOTIFICATION_AGE_SECONDS, QUEUE, RETRIES, STAGE_SECONDS
from monitor.notify.delivery.attempts import RetryPolicy, Trouble, give_up, try_once
from monitor.notify.delivery.lane import CameOf, Lane, Waiting
from monitor.notify.receivers.protocol import Receiver
from schemas.alerts import Notification

DAY_LONG = RetryPolicy(n_attempts=1_500)
"""A receiver that is down is tried again every minute for a day, then given up on.

The day restarts with the process. Of a message that is answered with errors only those of
its own incident wait so long.
"""
_STAGE = "notify"


@dataclass(slots=True)
class _Carrier:
    """One receiver, its lane, and the task that works it."""

    receiver: Receiver
    name: str
    lane: Lane
    task: asyncio.Task[None] | None = None
    n_left: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    """Something came that may go at once."""
    is_resting: bool = False
    """Between two tries, or held, or idle."""


class Outbox:
    """Sends what is put into it, receiver by receiver, one at a time.

    Parameters
    ----------
    policy : RetryPolicy, optional
        Bounds of the tries of one message. While one is tried, those behind it about the same
        incident wait: its resolution must not be sent before its opening. Others
        wait while the receiver does not answer, and for a few tries (``Lane``).
    may_send : callable, optional
        Seconds to wait before the next try; 0 when it may be made.
    now_s : callable, optional
        A monotonic clock.

    Notes
    -----
    Everything in it was logged as an intent before, so whatever is lost with the process is
    sent after the restart; repeated is at most the one message each receiver was just sent.
    Belongs to one event loop.
    """

    def __init__(
        self,
        policy: RetryPolicy = DAY_LONG,
        may_send: Callable[[], float] = lambda: 0.0,
        now_s: Callable[[], float] = elapsed_s,
    ) -> None:
        self._policy, self._may_send, self._now_s = policy, may_send, now_s
        self._carriers: dict[int, _Carrier] = {}
        self._is_closed = False

    @property
    def n_left(self) -> int:
        """Messages that are not done."""
        return sum(carrier.n_left for carrier in self._carriers.values())

    def put(self, receiver: Receiver, notification: Notification, came_of: CameOf) -> None:
        """Send a notification in its turn; after ``close`` do nothing."""
        if self._is_closed:
            return
        carrier = self._carriers.get(id(receiver))
        if carrier is None:
            carrier = _Carrier(receiver, notification.receiver, Lane(self._policy))
            self._carriers[id(receiver)] = carrier
            carrier.task = asyncio.create_task(self._work(carrier))
        carrier.lane.put(notification, came_of, self._now_s())
        carrier.woken.set()
        _count(carrier, 1)

    def raise_failure(self) -> None:
        """Raise what ended a lane: an outcome that could not be written."""
        for carrier in self._carriers.values():
            task = carrier.task
            if task is not None and task.done() and not task.cancelled():
                task.result()

    def show_ages(self) -> None:
        """Show how long each receiver's oldest message is under way, as a metric."""
        ages: dict[str, float] = {}
        for carrier in self._carriers.values():
            # Several models' retraining webhooks go by one name.
            age_s = carrier.lane.age_s(self._now_s())
            ages[carrier.name] = max(age_s, ages.get(carrier.name, 0.0))
        for name, age_s in ages.items():
            NOTIFICATION_AGE_SECONDS.labels(name).set(age_s)

    async def close(self, timeout_s: float) -> None:
        """Send what is left as long as receivers take it at once; then stop.

        Parameters
        ----------
        timeout_s : float
            What takes longer is left to the next life.
        """
        self._is_closed = True
        deadline_s = elapsed_s() + timeout_s
        while elapsed_s() < deadline_s and any(map(_is_moving, self._carriers.values())):
            await asyncio.sleep(0.02)
        tasks = [each.task for each in self._carriers.values() if each.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for carrier in self._carriers.values():
            _count(carrier, -len(carrier.lane.clear()))
        self.show_ages()

    async def _work(self, carrier: _Carrier) -> None:
        """Try one after the other."""
        while True:
            carrier.woken.clear()
            chosen = carrier.lane.choose(self._now_s())
            if not isinstance(chosen, Waiting):
                await _rest(carrier, chosen)
            elif (wait_s := self._may_send()) > 0:
                await _rest(carrier, wait_s)
            else:
                await self._try(carrier, chosen)

    async def _try(self, carrier: _Carrier, waiting: Waiting) -> None:
        """Send a message; done with it when it is taken, refused for good, or given up."""
        notification, attempt = waiting.notification, waiting.n_tries + 1
        came = await try_once(_Timed(carrier.receiver), notification, self._policy, attempt)
        if not isinstance(came, Trouble):
            carrier.lane.note_answer()
        else:
            carrier.lane.note_trouble(waiting, came, self._now_s())
            if attempt < self._policy.n_attempts:
                RETRIES.labels(_STAGE, notification.receiver).inc()
                return
            came = give_up(notification, attempt, came)
        try:
            await waiting.came_of(notification, came)
        finally:
            carrier.lane.remove(waiting)
            _count(carrier, -1)


async def _rest(carrier: _Carrier, seconds: float) -> None:
    """Pause a lane until then, or until another message; ``close`` does not wait for it."""
    carrier.is_resting = True
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds if seconds < math.inf else None):
                await carrier.woken.wait()
    finally:
        carrier.is_resting = False


def _is_moving(carrier: _Carrier) -> bool:
    """Return whether waiting for a lane will help."""
    is_alive = carrier.task is not None and not carrier.task.done()
    is_resting = carrier.is_resting and not carrier.woken.is_set()
    return is_alive and carrier.n_left > 0 and not is_resting


def _count(carrier: _Carrier, change: int) -> None:
    """Keep count of what waits."""
    carrier.n_left += change
    QUEUE.labels(_STAGE, f"to {carrier.name}").inc(change)


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
        """Close connections."""
        await self.receiver.close()
