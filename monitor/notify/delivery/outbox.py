"""Background delivery with one lane per receiver, so that receivers do not delay each other."""

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
"""Retries every minute for a day before a message fails for good.

A restart of the process starts the day again. A message that is answered with errors delays only
messages of its own incident for that long.
"""
_STAGE = "notify"


@dataclass(slots=True)
class _Carrier:
    """One receiver with its lane and the task that sends its messages."""

    receiver: Receiver
    name: str
    lane: Lane
    task: asyncio.Task[None] | None = None
    n_left: int = 0
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a message was added that may be sent immediately."""
    is_resting: bool = False
    """Between two attempts, held, or idle."""


class Outbox:
    """Sends queued messages in the background, one at a time per receiver.

    Parameters
    ----------
    policy : RetryPolicy, optional
        Bounds of the attempts of one message. Later messages about the same incident wait for it,
        because a resolution must not be sent before its opening. Other messages wait while the
        receiver does not answer, and for a few attempts (``Lane``).
    may_send : callable, optional
        Returns the seconds to wait before the next attempt, or 0.
    now_s : callable, optional
        A monotonic clock.

    Notes
    -----
    The intent of every message was logged before, so messages that are lost with the process are
    sent after the restart. At most one message per receiver is repeated. Bound to one event loop.
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
        """Number of messages without an outcome."""
        return sum(carrier.n_left for carrier in self._carriers.values())

    def put(self, receiver: Receiver, notification: Notification, came_of: CameOf) -> None:
        """Queue a notification; does nothing after ``close``."""
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
        """Raise the error that ended a lane: an outcome could not be logged."""
        for carrier in self._carriers.values():
            task = carrier.task
            if task is not None and task.done() and not task.cancelled():
                task.result()

    def show_ages(self) -> None:
        """Update the metric of each receiver's oldest pending message."""
        ages: dict[str, float] = {}
        for carrier in self._carriers.values():
            # Retraining webhooks of several models share one name.
            age_s = carrier.lane.age_s(self._now_s())
            ages[carrier.name] = max(age_s, ages.get(carrier.name, 0.0))
        for name, age_s in ages.items():
            NOTIFICATION_AGE_SECONDS.labels(name).set(age_s)

    async def close(self, timeout_s: float) -> None:
        """Send the remaining messages while receivers accept them without delay, then stop.

        Parameters
        ----------
        timeout_s : float
            Messages that are not sent by then are sent after the restart.
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
        """Send the messages of a lane, one after the other."""
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
        """Send a message; remove it when it is accepted, rejected for good, or given up."""
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
    """Pause a lane for ``wait_s`` or until a message is added; ``close`` ends the pause."""
    carrier.is_resting = True
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds if seconds < math.inf else None):
                await carrier.woken.wait()
    finally:
        carrier.is_resting = False


def _is_moving(carrier: _Carrier) -> bool:
    """Return whether the lane can make progress without waiting."""
    is_alive = carrier.task is not None and not carrier.task.done()
    is_resting = carrier.is_resting and not carrier.woken.is_set()
    return is_alive and carrier.n_left > 0 and not is_resting


def _count(carrier: _Carrier, change: int) -> None:
    """Update the metric of pending messages."""
    carrier.n_left += change
    QUEUE.labels(_STAGE, f"to {carrier.name}").inc(change)


@dataclass(frozen=True, slots=True)
class _Timed:
    """A receiver that measures the duration of its sends."""

    receiver: Receiver

    async def send(self, notification: Notification) -> str:
        """Deliver one notification."""
        with STAGE_SECONDS.labels(_STAGE, "send").time():
            return await self.receiver.send(notification)

    def remember(self, notification: Notification, detail: str) -> None:
        """Restore what ``send`` returned before a restart."""
        self.receiver.remember(notification, detail)

    async def close(self) -> None:
        """Close connections."""
        await self.receiver.close()
