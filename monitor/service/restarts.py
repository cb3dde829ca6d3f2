"""Restart policy of child processes."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_S, LONGEST_S = 1.0, 30.0
HEALTHY_S = 60.0
FOR_GOOD = frozenset({2})
"""Exit codes that a restart cannot fix: a wrong command line or config."""


@dataclass(slots=True)
class Restarts:
    """Exponential back-off, reset after a run of a minute; time is an argument.

    Examples
    --------
    >>> restarts = Restarts()
    >>> [restarts.pause_s(started_s=0, ended_s=5) for _ in range(6)]
    [1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    >>> restarts.pause_s(started_s=0, ended_s=61)
    1.0
    """

    n_restarts: int = 0
    _next_s: float = field(default=FIRST_S)

    def pause_s(self, *, started_s: float, ended_s: float) -> float:
        """Return the seconds to wait before the restart, and count the exit."""
        if ended_s - started_s >= HEALTHY_S:
            self._next_s = FIRST_S
        pause, self._next_s = self._next_s, min(self._next_s * 2, LONGEST_S)
        self.n_restarts += 1
        return pause
