"""How soon and how surely a change is found; one measure for every rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

QUIET_WINDOWS = 24
"""Nothing is wrong for a day before something is planted."""
HORIZON = 48
"""Windows that every rule is given to find it."""


@dataclass(frozen=True, slots=True)
class RuleDelay:
    """How soon one rule found one change, planted in several variables."""

    windows: tuple[int, ...]
    """Of each variable in which it was found: planted windows up to the first alarm."""
    n_planted: int
    alarms_before: float
    """Of a variable, in the quiet day before: what came early cannot count as found."""

    @property
    def power(self) -> float:
        """Share found within the horizon."""
        return len(self.windows) / self.n_planted

    @property
    def median(self) -> float | None:
        """Median over all variables, misses infinite; None where it is infinite."""
        missed = [np.inf] * (self.n_planted - len(self.windows))
        middle = float(np.median([*self.windows, *missed]))
        return middle if np.isfinite(middle) else None


def delay_of(alarms: Sequence[Sequence[int]]) -> RuleDelay:
    """Measure the windows in which a rule alarmed, of each variable, counted from the first."""
    late = [[w for w in own if w >= QUIET_WINDOWS] for own in alarms]
    n_before = sum(len(own) for own in alarms) - sum(len(own) for own in late)
    found = tuple(min(own) - QUIET_WINDOWS + 1 for own in late if own)
    return RuleDelay(found, len(alarms), n_before / len(alarms))
