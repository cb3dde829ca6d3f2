"""Lifecycle of a stage's process: readiness, draining, and the last heartbeat."""

from __future__ import annotations

import threading
from collections.abc import Callable

from monitor.clock import elapsed_s
from monitor.core.failpoints import Hit, pass_through

_START_FACTOR = 5.0


class Lifecycle:
    """Readiness, liveness and draining of a stage's main loop.

    Parameters
    ----------
    stage : str
        ``ingest``, ``detect``, ``notify`` or ``archive``.
    hit : callable, optional
        Called with the name of each failpoint.
    silence_s : float, optional
        Time without a heartbeat after which the process is not live; five times as long until it is
        ready for the first time, because compiling kernels takes a minute on a busy machine.

    Notes
    -----
    Every method may be called from any thread, ``drain`` also from a signal handler.

    Examples
    --------
    >>> lifecycle = Lifecycle("ingest")
    >>> lifecycle.is_ready, lifecycle.is_draining
    (False, False)
    >>> lifecycle.ready()
    >>> lifecycle.drain()
    >>> lifecycle.is_ready, lifecycle.is_draining
    (False, True)
    """

    def __init__(
        self,
        stage: str,
        *,
        hit: Hit = pass_through,
        silence_s: float = 60.0,
        clock_s: Callable[[], float] = elapsed_s,
    ) -> None:
        self.stage, self.hit = stage, hit
        self._silence_s, self._clock_s = silence_s, clock_s
        self._draining = threading.Event()
        self._unready = "starting"
        self._factor = _START_FACTOR
        self._beat_s = clock_s()

    @property
    def is_draining(self) -> bool:
        """Whether the loop must finish its current work, commit, and return."""
        return self._draining.is_set()

    def drain(self) -> None:
        """Request a drain of the loop (SIGTERM)."""
        self._draining.set()

    def beat(self) -> None:
        """Record a heartbeat of the loop; at least every few seconds."""
        self._beat_s = self._clock_s()

    def ready(self) -> None:
        """Set ready: joined the group, state restored."""
        self._unready = ""
        self._factor = 1.0

    def unready(self, reason: str) -> None:
        """Set unready with a reason: the broker is unavailable, the store is down."""
        self._unready = reason

    @property
    def is_ready(self) -> bool:
        """For ``/readyz``."""
        return not self._unready and not self.is_draining

    @property
    def why_unready(self) -> str:
        """Reason for ``/readyz``; empty when ready."""
        if not self.is_draining:
            return self._unready
        return f"draining; {self._unready}" if self._unready else "draining"

    @property
    def silent_s(self) -> float:
        """Seconds since the last beat."""
        return self._clock_s() - self._beat_s

    @property
    def is_live(self) -> bool:
        """For ``/healthz``."""
        return self.silent_s < self._silence_s * self._factor

    def wait(self, seconds: float) -> bool:
        """Sleep until the time-out or a drain; return whether draining."""
        return self._draining.wait(seconds)
