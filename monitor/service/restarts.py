"""When a child that died is started again."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST_S, LONGEST_S = 1.0, 30.0
HEALTHY_S = 60.0
FOR_GOOD = frozenset({2})
"""Exit codes that the same start would give again: a wrong command line or config."""


@dataclass(slots=True)
class Restarts:
    """Doubling pauses, forgotten after a minute of health; time is an argument.

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
        """Return how long to wait after an end, and count it."""
        if ended_s - started_s >= HEALTHY_S:
            self._next_s = FIRST_S
        pause, self._next_s = self._next_s, min(self._next_s * 2, LONGEST_S)
        self.n_restarts += 1
        return pause
