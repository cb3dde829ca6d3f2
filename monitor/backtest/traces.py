"""The evidence of a cell over a history, window by window."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from schemas.panes import Window

Cell = tuple[str, str, str, str]
"""Model version, monitor, feature, segment."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The evidence of one cell, window by window."""

    time_us: array[int] = field(default_factory=lambda: array("q"))
    """Ends of the windows."""
    log_m: array[float] = field(default_factory=lambda: array("d"))
    fired_us: list[int] = field(default_factory=list)
    """Ends of the windows in which the cell fired."""

    def add(self, time_us: int, log_m: float, has_fired: bool) -> None:
        """Take the next window."""
        self.time_us.append(time_us)
        self.log_m.append(log_m)
        if has_fired:
            self.fired_us.append(time_us)


def n_rows_of(window: Window) -> int:
    """Return how many rows a window has."""
    return int(window.segments.n_rows[0]) if window.segments.segments else 0
