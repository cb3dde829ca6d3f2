"""Order of a receiver's messages: FIFO per incident; failing messages do not block the others."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from monitor.notify.delivery.attempts import RetryPolicy, Trouble
from schemas.alerts import Delivery, Notification

CameOf = Callable[[Notification, Delivery], Awaitable[object]]
"""Called with the outcome of a message, before the next message of the lane is sent."""

N_ERRORS_HELD = 3
"""Error answers after which messages of other incidents are sent first: three seconds of waits.

Long enough to keep the order of decisions during a short failure or with one bad node behind a load
balancer. Order between incidents is best effort; a page must not wait longer for it.
"""


@dataclass(slots=True, eq=False)
class Waiting:
    """A message in the lane, with the state of its attempts."""

    notification: Notification
    came_of: CameOf
    number: int
    """Position in the order in which messages were decided."""
    since_s: float
    n_tries: int = 0
    due_s: float = 0.0
    is_passed: bool = False
    """Deferred: tried only when no other message is left."""


def choose(
    heads: Sequence[Waiting], now_s: float, held_until_s: float = 0.0, retry_from_s: float = 0.0
) -> Waiting | float:
    """Choose the next message to try.

    Parameters
    ----------
    heads : sequence of Waiting
        The first message of each incident.
    now_s : float
        Reading of a monotonic clock.
    held_until_s : float
        No message is tried before this time.
    retry_from_s : float
        No deferred message is tried before this time.

    Returns
    -------
    Waiting or float
        The message to try, or the seconds to wait; infinite when the lane is empty.

    Examples
    --------
    >>> choose([], 0.0)
    inf
    """
    if not heads:
        return math.inf
    if now_s < held_until_s:
        return held_until_s - now_s
    in_order = [head for head in heads if not head.is_passed]
    if in_order:
        return min(in_order, key=lambda head: head.number)
    again = min(heads, key=lambda head: (head.due_s, head.number))
    wait_s = max(again.due_s, retry_from_s) - now_s
    return wait_s if wait_s > 0 else again


class Lane:
    """Queue of one receiver's messages; time is an argument.

    Parameters
    ----------
    policy : RetryPolicy
        Waits between attempts.

    Notes
    -----
    A missing answer, or a request to wait (429), concerns the receiver: the whole lane waits and
    the same message is retried. An error answer concerns its message: it is tried ``N_ERRORS_HELD``
    times, then deferred and retried with its own back-off. A receiver that answers every message
    with an error is sent one message per incident, and after that at most one attempt per
    ``first_wait_s``, regardless of the number of incidents.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._by_key: dict[str, deque[Waiting]] = {}
        self._n_put = 0
        self._n_silent = 0
        self._n_errors = 0
        """Error answers since the last accepted message, over all messages."""
        self._held_until_s = self._retry_from_s = 0.0

    def put(self, notification: Notification, came_of: CameOf, now_s: float) -> None:
        """Append a message behind those of its incident."""
        self._n_put += 1
        waiting = Waiting(notification, came_of, self._n_put, now_s)
        self._by_key.setdefault(notification.dedup_key, deque()).append(waiting)

    def choose(self, now_s: float) -> Waiting | float:
        """Return the message to try now, or the seconds to wait."""
        return choose(self._heads(), now_s, self._held_until_s, self._retry_from_s)

    def note_trouble(self, waiting: Waiting, trouble: Trouble, now_s: float) -> None:
        """Record a failed attempt, and delay the message or the whole lane."""
        waiting.n_tries += 1
        waiting.due_s = now_s + self._policy.wait_s(waiting.n_tries, trouble.asked_s)
        if not trouble.is_answer:
            # By the lane's count: a deferred message at its fortieth attempt must not delay the
            # others by its own long wait.
            self._n_silent += 1
            self._held_until_s = now_s + self._policy.wait_s(self._n_silent, trouble.asked_s)
            return
        self._n_silent = 0
        self._n_errors += 1
        self._retry_from_s = now_s + self._policy.first_wait_s
        # By the lane's count: a new page must not wait for three attempts of each of a hundred
        # failing messages. Until one message is deferred no other is tried, so its own count is
        # never higher.
        if self._n_errors >= N_ERRORS_HELD:
            waiting.is_passed = True
        if not waiting.is_passed:
            self._held_until_s = waiting.due_s

    def note_answer(self) -> None:
        """Record a definite answer (accepted, or rejected for good): the receiver works."""
        self._n_silent = self._n_errors = 0
        self._held_until_s = self._retry_from_s = 0.0

    def remove(self, waiting: Waiting) -> None:
        """Remove a finished message: the next of its incident may be sent."""
        key = waiting.notification.dedup_key
        self._by_key[key].remove(waiting)
        if not self._by_key[key]:
            del self._by_key[key]

    def clear(self) -> list[Waiting]:
        """Remove and return all messages."""
        left = [waiting for each in self._by_key.values() for waiting in each]
        self._by_key.clear()
        return left

    def age_s(self, now_s: float) -> float:
        """Return the age of the oldest message in seconds; 0 when there is none."""
        return max((now_s - head.since_s for head in self._heads()), default=0.0)

    def _heads(self) -> list[Waiting]:
        """Return the first message of each incident."""
        return [each[0] for each in self._by_key.values()]
