"""How often layouts are learned: at most 5 % of decoding, and rarely after vain lessons."""

from __future__ import annotations

from dataclasses import dataclass

SHARE = 0.05
"""Of the time that decoding takes, for lessons."""
FAST_US, STRICT_US = 0.1, 2.5
"""What an event costs on either path, about."""
SAVED_US = STRICT_US - FAST_US
"""What a lesson saves with every event that has what it taught."""
ALLOWANCE = 16
"""Lessons that may be given before anything was decoded; one more for each model."""
LESSON_US = 200.0
"""What a usual lesson costs at most."""
MAX_PRICE = 4_096


def lesson_us(n_bytes: int, n_members: int) -> float:
    """Return about what a lesson costs.

    Parameters
    ----------
    n_bytes : int
        Of the event.
    n_members : int
        Of the layout that was made, 0 if there is none.
    """
    return 50 + n_bytes / 8 + 4 * n_members


@dataclass(slots=True)
class Ration:
    """When learning is worth its cost.

    Lessons are paid out of a budget, to which every decoded event adds ``SHARE`` of what it
    cost. A lesson is paid back as far as it saves: keys that change every ten events are learned
    again and again, and were ten times as slow as without learning when ten hits paid for all.
    Each lesson in vain doubles the number of refused events that the next one costs, up to
    ``MAX_PRICE``; a useful one makes it 1 again.

    Costs are nominal: what is learned does not depend on a clock.
    """

    most_us: float = ALLOWANCE * LESSON_US
    price: int = 1
    saved: int = 0
    budget_us: float = 0.0

    def __post_init__(self) -> None:
        self.budget_us = self.most_us

    def may_learn(self) -> bool:
        """Count one refused event; True when a lesson from it can be paid."""
        self.saved += 1
        if self.saved < self.price or self.budget_us <= 0:
            return False
        self.saved = 0
        return True

    def save(self, n_events: int) -> None:
        """Count events that were not tried as refused ones, towards the next lesson."""
        self.saved += n_events

    def spend(self, us: float) -> None:
        """Pay a lesson; the last one may cost more than is left."""
        self.budget_us -= us

    def earn(self, n_fast: int, n_strict: int) -> None:
        """Add the share of events that were decoded."""
        self._add(SHARE * (FAST_US * n_fast + STRICT_US * n_strict))

    def useful(self, us: float) -> None:
        """Pay back lessons that proved useful."""
        self.price = 1
        self._add(us)

    def vain(self, n_lessons: int = 1) -> None:
        """Raise the price by lessons that were in vain."""
        self.price = min(self.price << min(n_lessons, 12), MAX_PRICE)

    def _add(self, us: float) -> None:
        self.budget_us = min(self.budget_us + us, self.most_us)
