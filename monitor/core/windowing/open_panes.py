"""Which panes of one source partition may still change, by their place in time.

A pane's place is its index: it starts at index * pane. All series share the places, so
what is due, what is retired and where reading must start again are questions about a
dozen places, not about thousands of series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from monitor.core.windowing.accumulators import SeriesAccumulator
from schemas.panes import SeriesId


class Origin(NamedTuple):
    """A message, and the state of the clock before it."""

    offset: int
    watermark_us: int
    retired_before_us: int


class OpenSeries:
    """The open panes of one series id: the ordinal each has in the accumulator."""

    def __init__(self, series: SeriesId, accumulator: SeriesAccumulator) -> None:
        self.series = series
        self.accumulator = accumulator
        self.from_us, self.until_us = -(1 << 62), 1 << 62
        """When its layout holds: panes are cut there."""
        self.ordinals: dict[int, int] = {}
        self._free: list[int] = []
        self.n_ordinals = 0

    def open(self, index: int) -> int:
        """Give the pane at ``index`` an ordinal of its own."""
        if not self._free:
            self._free.append(self.n_ordinals)
            self.n_ordinals += 1
        self.ordinals[index] = self._free.pop()
        return self.ordinals[index]

    def retire(self, indices: Sequence[int]) -> None:
        """Forget panes."""
        ordinals = [self.ordinals.pop(i) for i in indices]
        self.accumulator.release(ordinals)
        self._free += ordinals


class OpenPanes:
    """Every open pane, the origin of each place, and what is not yet published.

    Notes
    -----
    Asking whether anything is due costs a few microseconds however many series there are.
    """

    def __init__(self) -> None:
        self._open: dict[int, set[OpenSeries]] = {}
        self._dirty: dict[int, set[OpenSeries]] = {}
        self._origins: dict[int, Origin] = {}

    def ordinal(self, series: OpenSeries, index: int, origin: Origin) -> int:
        """Return the pane's ordinal; a new pane was opened by a message at or after ``origin``."""
        known = series.ordinals.get(index)
        if known is not None:
            return known
        self._open.setdefault(index, set()).add(series)
        self._origins.setdefault(index, origin)
        return series.open(index)

    def touch(self, series: OpenSeries, index: int) -> None:
        """Note that a pane holds what was not published."""
        self._dirty.setdefault(index, set()).add(series)

    @property
    def n_places(self) -> int:
        """How many places hold an open pane."""
        return len(self._open)

    @property
    def first(self) -> Origin | None:
        """Return the origin of the oldest pane that may still change."""
        return min(self._origins.values(), default=None)

    def take_dirty(self, before: int | None) -> list[tuple[OpenSeries, int]]:
        """Return what is to be published, by series and place; it is clean from now on.

        Parameters
        ----------
        before : int or None
            Only places below it; None for all.
        """
        due = [i for i in self._dirty if before is None or i < before]
        taken = [(series, i) for i in due for series in self._dirty.pop(i)]
        return sorted(taken, key=lambda pair: (pair[0].series, pair[1]))

    def retire(self, before: int) -> Iterator[OpenSeries]:
        """Forget places below ``before``; yields the series that have no open pane left."""
        gone: dict[OpenSeries, list[int]] = {}
        for index in sorted(i for i in self._open if i < before):
            for series in self._open.pop(index):
                gone.setdefault(series, []).append(index)
            del self._origins[index]
            self._dirty.pop(index, None)
        for series, indices in gone.items():
            series.retire(indices)
            if not series.ordinals:
                yield series
