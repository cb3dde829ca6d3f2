"""Which message of a receiver goes next: in order within an incident, past one it cannot take."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from monitor.notify.delivery.attempts import RetryPolicy, Trouble
from schemas.alerts import Delivery, Notification

CameOf = Callable[[Notification, Delivery], Awaitable[object]]
"""Called with the outcome of a message; the next one of the lane waits for it."""

N_ERRORS_HELD = 3
"""Error answers after which other incidents' messages pass: three seconds of waits.

Enough for a hiccup, or a load balancer's one bad node, to keep the order in which things were
decided; that order is a courtesy between incidents, and a page must not wait longer for it.
"""


@dataclass(slots=True, eq=False)
class Waiting:
    """One message under way, and how its tries went."""

    notification: Notification
    came_of: CameOf
    number: int
    """Its place in the order in which messages were decided."""
    since_s: float
    n_tries: int = 0
    due_s: float = 0.0
    is_passed: bool = False
    """Others go first; it is tried when none of them is left."""


def choose(
    heads: Sequence[Waiting], now_s: float, held_until_s: float = 0.0, retry_from_s: float = 0.0
) -> Waiting | float:
    """Choose what is tried now.

    Parameters
    ----------
    heads : sequence of Waiting
        The first message of each incident.
    now_s : float
        Of a monotonic clock.
    held_until_s : float
        Until when nothing is tried.
    retry_from_s : float
        Until when nothing that was passed is tried.

    Returns
    -------
    Waiting or float
        What is tried, or the seconds for which nothing is; infinite when nothing is left.

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
    """One receiver's messages; time is an argument.

    Parameters
    ----------
    policy : RetryPolicy
        How long waits between tries are.

    Notes
    -----
    No answer, or one that asks to wait (429), is about the receiver: everything waits, and
    the same message is tried again. An error answer is about its message: that one is tried
    ``N_ERRORS_HELD`` times, then passed, and tried again after waits of its own. A receiver that
    answers everything with errors gets every incident's message once more, and from then on at
    most one try in ``first_wait_s``, however many incidents there are.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._by_key: dict[str, deque[Waiting]] = {}
        self._n_put = 0
        self._n_silent = 0
        self._n_errors = 0
        """Error answers since something was taken, whatever they were about."""
        self._held_until_s = self._retry_from_s = 0.0

    def put(self, notification: Notification, came_of: CameOf, now_s: float) -> None:
        """Take a message in, behind those of its incident."""
        self._n_put += 1
        waiting = Waiting(notification, came_of, self._n_put, now_s)
        self._by_key.setdefault(notification.dedup_key, deque()).append(waiting)

    def choose(self, now_s: float) -> Waiting | float:
        """Return what is tried now, or for how many seconds nothing is."""
        return choose(self._heads(), now_s, self._held_until_s, self._retry_from_s)

    def note_trouble(self, waiting: Waiting, trouble: Trouble, now_s: float) -> None:
        """Note that a try failed, and let it or everything wait."""
        waiting.n_tries += 1
        waiting.due_s = now_s + self._policy.wait_s(waiting.n_tries, trouble.asked_s)
        if not trouble.is_answer:
            # By the lane's count: one that is passed and tried for the fortieth time must not
            # hold the others for as long as it waits itself.
            self._n_silent += 1
            self._held_until_s = now_s + self._policy.wait_s(self._n_silent, trouble.asked_s)
            return
        self._n_silent = 0
        self._n_errors += 1
        self._retry_from_s = now_s + self._policy.first_wait_s
        # By the lane's count: behind a hundred that fail the next page must not wait for three
        # tries of each. Until one is passed no other is tried, so its own is never higher.
        if self._n_errors >= N_ERRORS_HELD:
            waiting.is_passed = True
        if not waiting.is_passed:
            self._held_until_s = waiting.due_s

    def note_answer(self) -> None:
        """Note that the receiver took a message, or refused it for good: it works."""
        self._n_silent = self._n_errors = 0
        self._held_until_s = self._retry_from_s = 0.0

    def remove(self, waiting: Waiting) -> None:
        """Remove a finished message: the next of its incident may be sent."""
        key = waiting.notification.dedup_key
        self._by_key[key].remove(waiting)
        if not self._by_key[key]:
            del self._by_key[key]

    def clear(self) -> list[Waiting]:
        """Remove everything, and return it."""
        left = [waiting for each in self._by_key.values() for waiting in each]
        self._by_key.clear()
        return left

    def age_s(self, now_s: float) -> float:
        """Return how long the oldest message is under way; 0 when there is none."""
        return max((now_s - head.since_s for head in self._heads()), default=0.0)

    def _heads(self) -> list[Waiting]:
        """Return the first message of each incident."""
        return [each[0] for each in self._by_key.values()]
