"""Panes of one source partition in one window: those that are final as a sum, others as bytes."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from enum import Enum, auto

import msgspec

from monitor.core.windowing.packed_pane import PackedPane
from monitor.core.windowing.pane_body import statistics_of
from monitor.core.windowing.pane_total import PaneTotal


class Placed(Enum):
    """What a pane was to those that were there."""

    NEW = auto()
    """The first of its time."""
    REPLACED = auto()
    """Another content than the version before, which was held as bytes."""
    SAME = auto()
    """The content of the version before, which is held as bytes."""
    SAME_FOLDED = auto()
    """The content of the version before, which is part of the sum."""
    STALE = auto()
    """A version as high was there."""
    CHANGED = auto()
    """It cannot be added any more: another version of it, or panes after it, are in the sum."""


class _Waiting(msgspec.Struct, frozen=True, gc=False):
    """A pane that may change; the garbage collector need not visit it, it is part of no cycle."""

    pane: PackedPane
    offset: int


class SourcePanes:
    """Panes of one series and source partition in one window, by their start.

    Parameters
    ----------
    has_slices : bool, optional
        False if only the segments of the panes are added up.

    Notes
    -----
    A pane is *folded* once its partition has retired it, and all before it: it is added to the
    running total, and of the pane itself 32 bytes are kept (start, version, offset, digest), in
    arrays, since as objects they would take four times the room of a sparse model's totals.
    Folding keeps to the order of time, so sums have the bits that adding all panes at the end
    would give, whenever they are folded.

    The digest is Python's hash of the statistics: details follow from the same rows, and versions
    of ingest that do not count them publish the same statistics. It has 64 bits under a key of
    this process, which no writer knows. It is compared in this process only.
    """

    __slots__ = ("_digests", "_first_offset", "_has_slices", "_offsets", "_starts", "_totals",
                 "_versions", "_waiting")  # fmt: skip

    def __init__(self, *, has_slices: bool = True) -> None:
        self._has_slices = has_slices
        self._starts, self._versions = array("q"), array("q")
        self._offsets, self._digests = array("q"), array("q")
        self._first_offset: int | None = None
        self._totals: dict[int, PaneTotal] = {}
        """By the number of variables: panes counted without a baseline have none."""
        self._waiting: dict[int, _Waiting] = {}

    def put(self, pane: PackedPane, offset: int) -> Placed:
        """Take a pane; of two of the same start the one with the higher version counts."""
        start = pane.start_us
        waiting = self._waiting.get(start)
        if waiting is not None:
            if waiting.pane.pane_version >= pane.pane_version:
                return Placed.STALE
            self._waiting[start] = _Waiting(pane, offset)
            is_same = statistics_of(waiting.pane.body) == statistics_of(pane.body)
            return Placed.SAME if is_same else Placed.REPLACED
        if not self._starts or start > self._starts[-1]:
            self._waiting[start] = _Waiting(pane, offset)
            return Placed.NEW
        return self._put_folded(pane, offset)

    def _put_folded(self, pane: PackedPane, offset: int) -> Placed:
        """Take a pane of a time up to which all are folded."""
        i = bisect_left(self._starts, pane.start_us)
        if self._starts[i] != pane.start_us:
            return Placed.CHANGED
        if self._versions[i] >= pane.pane_version:
            return Placed.STALE
        if self._digests[i] != hash(statistics_of(pane.body)):
            return self._put_alone(pane, offset) if len(self._starts) == 1 else Placed.CHANGED
        self._versions[i], self._offsets[i] = pane.pane_version, offset
        self._first_offset = min(self._offsets)
        return Placed.SAME_FOLDED

    def _put_alone(self, pane: PackedPane, offset: int) -> Placed:
        """Replace the only pane of the sum: nothing was added to it."""
        for each in (self._starts, self._versions, self._offsets, self._digests):
            del each[:]
        self._first_offset = None
        self._totals.clear()
        self._waiting[pane.start_us] = _Waiting(pane, offset)
        return Placed.REPLACED

    def settle(self, retired_us: int) -> None:
        """Fold the panes that end by ``retired_us``, up to the first that does not."""
        starts = sorted(self._waiting)
        n_folded = 0
        for start in starts:
            if self._waiting[start].pane.end_us > retired_us:
                break
            self._fold(self._waiting[start])
            n_folded += 1
        if n_folded:
            # a new dictionary: one that held hundreds keeps their room
            self._waiting = {start: self._waiting[start] for start in starts[n_folded:]}

    def settle_oldest(self, retired_us: int) -> None:
        """Fold as :meth:`settle` does, where the pane that came first has retired.

        Asked at every pane: where nothing retires, sorting all that wait would take time
        that grows with their square.
        """
        oldest = next(iter(self._waiting.values()), None)
        if oldest is not None and oldest.pane.end_us <= retired_us:
            self.settle(retired_us)

    def _fold(self, waiting: _Waiting) -> None:
        """Add a pane to the sum, and remember which it was."""
        pane = waiting.pane
        self._add(self._totals, pane)
        self._starts.append(pane.start_us)
        self._versions.append(pane.pane_version)
        self._offsets.append(waiting.offset)
        self._digests.append(hash(statistics_of(pane.body)))
        known = self._first_offset
        self._first_offset = waiting.offset if known is None else min(known, waiting.offset)

    @property
    def is_waiting(self) -> bool:
        """Whether a pane may still change."""
        return bool(self._waiting)

    @property
    def n_bytes(self) -> int:
        """Bytes of totals, of what is kept of folded panes, and of the bodies of others."""
        totals = sum(total.n_bytes for total in self._totals.values())
        waiting = sum(len(each.pane.body) for each in self._waiting.values())
        return totals + 4 * self._starts.itemsize * len(self._starts) + waiting

    @property
    def first_offset(self) -> int:
        """The lowest log offset of a pane."""
        offsets = [waiting.offset for waiting in self._waiting.values()]
        return min(offsets if self._first_offset is None else [self._first_offset, *offsets])

    @property
    def last_start_us(self) -> int:
        """The start of the last pane."""
        return max((*self._starts[-1:], *self._waiting))

    @property
    def n_variables(self) -> int:
        """The fewest variables that a pane has."""
        waiting = (waiting.pane.n_variables for waiting in self._waiting.values())
        return min((*self._totals, *waiting))

    def total(self, n_variables: int) -> PaneTotal | None:
        """Return the sum of the panes of so many variables; None if there is none."""
        waiting = [self._waiting[s].pane for s in sorted(self._waiting)]
        own = [pane for pane in waiting if pane.n_variables == n_variables]
        total = self._totals.get(n_variables)
        if not own:
            return total
        made = {n_variables: total.copy()} if total is not None else {}
        for pane in own:
            self._add(made, pane)
        return made[n_variables]

    def _add(self, totals: dict[int, PaneTotal], pane: PackedPane) -> None:
        """Add a pane to the total of its number of variables."""
        n = pane.n_variables
        total = totals.get(n)
        if total is None:
            total = totals[n] = PaneTotal(n, has_slices=self._has_slices)
        total.add(pane.open())
