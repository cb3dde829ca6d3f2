"""The bounded buffer between the model's threads and the sending thread."""

from __future__ import annotations

import threading
from collections import deque

from driftline.events import Reported


class Buffer:
    """First in, first out; a full buffer drops its oldest event.

    After an outage the newest events matter most. Dropped events are counted.

    Parameters
    ----------
    n_most : int
        Capacity, events.
    n_worth : int
        Events at which a waiting :meth:`take` is woken.

    Examples
    --------
    >>> buffer = Buffer(2, 10)
    >>> [buffer.put(Reported(False, str(i), i)) for i in range(3)]
    [False, False, True]
    >>> [event.id for event in buffer.take(10, wait_s=0, linger_s=0)]
    ['1', '2']
    """

    def __init__(self, n_most: int, n_worth: int) -> None:
        self._n_most = n_most
        self._n_worth = n_worth
        self._events: deque[Reported] = deque()
        self._ready = threading.Condition(threading.Lock())
        self._is_hurried = False

    def put(self, event: Reported) -> bool:
        """Append an event; return whether the oldest one was dropped for it."""
        with self._ready:
            self._events.append(event)
            if len(self._events) in (1, self._n_worth):
                self._ready.notify()  # one per event would cost the model's thread
            if len(self._events) > self._n_most:
                self._events.popleft()
                return True
            return False

    def take(self, n_most: int, *, wait_s: float, linger_s: float) -> list[Reported]:
        """Remove and return the oldest events.

        Parameters
        ----------
        n_most : int
            Most events to return.
        wait_s : float
            Longest wait for the first event.
        linger_s : float
            Longest wait for further events, so that batches are larger.

        Returns
        -------
        list of Reported
            Empty if none arrived.
        """
        with self._ready:
            self._ready.wait_for(lambda: self._events or self._is_hurried, wait_s)
            if 0 < len(self._events) < n_most and not self._is_hurried:
                self._ready.wait_for(
                    lambda: self._is_hurried or len(self._events) >= n_most, linger_s
                )
            n = min(n_most, len(self._events))
            return [self._events.popleft() for _ in range(n)]

    def hurry(self) -> None:
        """End current and later waits, because the reporter is closing."""
        with self._ready:
            self._is_hurried = True
            self._ready.notify_all()

    def __len__(self) -> int:
        return len(self._events)
