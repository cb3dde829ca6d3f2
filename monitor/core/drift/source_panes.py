"""Panes of one source partition in one window: those that are final as a sum, others as bytes."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from enum import Enum, auto

import msgspec

from monitor.core.windowing.packed_pane import PackedPane
from monitor.core.windowing.pane_body import (
    VIEWED_BYTES,
    PaneBody,
    statistics_of,
    view_body,
)
from monitor.core.windowing.pane_digest import digest_of
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

    end_us: int
    version: int
    n_variables: int
    body: bytes
    offset: int
    opened: PaneBody | None
    """``body``, opened, if it is large: a small one takes less room than what is opened of it."""

    @staticmethod
    def of(pane: PackedPane, offset: int, opened: PaneBody | None) -> _Waiting:
        """Return what is kept of a pane."""
        body = pane.body
        kept = opened if len(body) >= VIEWED_BYTES else None
        return _Waiting(pane.end_us, pane.pane_version, pane.n_variables, body, offset, kept)

    @property
    def n_bytes(self) -> int:
        """Bytes of its body, and of the floats that were copied from it."""
        return len(self.body) + (len(self.opened.floats) if self.opened is not None else 0)


class _Folded:
    """Which panes are in a sum, by their start: 32 bytes of each, in arrays."""

    __slots__ = ("digests", "first_offset", "offsets", "starts", "versions")

    def __init__(self) -> None:
        self.starts, self.versions = array("q"), array("q")
        self.offsets, self.digests = array("q"), array("q")
        self.first_offset: int | None = None
        """The lowest log offset of them."""

    def append(self, start_us: int, waiting: _Waiting, digest: int) -> None:
        """Note a pane that starts after all others."""
        self.starts.append(start_us)
        self.versions.append(waiting.version)
        self.offsets.append(waiting.offset)
        self.digests.append(digest)
        known = self.first_offset
        self.first_offset = waiting.offset if known is None else min(known, waiting.offset)

    def put(self, pane: PackedPane, offset: int) -> Placed:
        """Take a pane of a time up to which all are folded."""
        i = bisect_left(self.starts, pane.start_us)
        if self.starts[i] != pane.start_us:
            return Placed.CHANGED
        if self.versions[i] >= pane.pane_version:
            return Placed.STALE
        if self.digests[i] != digest_of(view_body(pane.body)):
            return Placed.CHANGED
        self.versions[i], self.offsets[i] = pane.pane_version, offset
        self.first_offset = min(self.offsets)
        return Placed.SAME_FOLDED

    @property
    def n_bytes(self) -> int:
        """Bytes of the arrays."""
        return 4 * self.starts.itemsize * len(self.starts)


class SourcePanes(msgspec.Struct, gc=False, eq=False, kw_only=True):
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

    The digest is that of the statistics: details follow from the same rows, and versions of
    ingest that do not count them publish the same statistics. It has 64 bits under a key of this
    process, which no writer knows. It is compared in this process only.

    A sparse model has thousands of these with a pane each: what only folded panes need is made
    with the first of them.
    """

    has_slices: bool = True
    _folded: _Folded | None = None
    _totals: dict[int, PaneTotal] | None = None
    """By the number of variables: panes counted without a baseline have none."""
    _waiting: dict[int, _Waiting] = msgspec.field(default_factory=dict)

    def put(self, pane: PackedPane, offset: int, opened: PaneBody | None = None) -> Placed:
        """Take a pane; of two of the same start the one with the higher version counts.

        ``opened`` is its body, if that has been opened already.
        """
        start = pane.start_us
        waiting = self._waiting.get(start)
        if waiting is not None:
            if waiting.version >= pane.pane_version:
                return Placed.STALE
            self._waiting[start] = _Waiting.of(pane, offset, opened)
            is_same = statistics_of(waiting.body) == statistics_of(pane.body)
            return Placed.SAME if is_same else Placed.REPLACED
        folded = self._folded
        if folded is None or start > folded.starts[-1]:
            self._waiting[start] = _Waiting.of(pane, offset, opened)
            return Placed.NEW
        placed = folded.put(pane, offset)
        if placed is Placed.CHANGED and folded.starts.tolist() == [start]:
            # the only pane of the sum: nothing was added to it
            self._folded = self._totals = None
            self._waiting[start] = _Waiting.of(pane, offset, opened)
            return Placed.REPLACED
        return placed

    def settle(self, retired_us: int) -> None:
        """Fold the panes that end by ``retired_us``, up to the first that does not."""
        starts = sorted(self._waiting)
        n_folded = 0
        for start in starts:
            waiting = self._waiting[start]
            if waiting.end_us > retired_us:
                break
            self._fold(start, waiting)
            n_folded += 1
        if n_folded == 1:
            del self._waiting[starts[0]]
        elif n_folded:
            # a new dictionary: one that held hundreds keeps their room
            self._waiting = {start: self._waiting[start] for start in starts[n_folded:]}

    def settle_oldest(self, retired_us: int) -> None:
        """Fold as :meth:`settle` does, where the pane that came first has retired.

        Asked at every pane: where nothing retires, sorting all that wait would take time
        that grows with their square.
        """
        oldest = next(iter(self._waiting.values()), None)
        if oldest is not None and oldest.end_us <= retired_us:
            self.settle(retired_us)

    def _fold(self, start_us: int, waiting: _Waiting) -> None:
        """Add a pane to the sum, and remember which it was."""
        if self._totals is None:
            self._totals = {}
        total = self._total_of(self._totals, waiting.n_variables)
        digest = total.add_digested(waiting.opened or view_body(waiting.body))
        if self._folded is None:
            self._folded = _Folded()
        self._folded.append(start_us, waiting, digest)

    @property
    def is_waiting(self) -> bool:
        """Whether a pane may still change."""
        return bool(self._waiting)

    @property
    def n_bytes(self) -> int:
        """Bytes of totals, of what is kept of folded panes, and of the bodies of others."""
        totals = sum(total.n_bytes for total in (self._totals or {}).values())
        waiting = sum(each.n_bytes for each in self._waiting.values())
        return totals + waiting + (self._folded.n_bytes if self._folded is not None else 0)

    @property
    def first_offset(self) -> int:
        """The lowest log offset of a pane."""
        offsets = [waiting.offset for waiting in self._waiting.values()]
        folded = self._folded.first_offset if self._folded is not None else None
        return min(offsets if folded is None else [folded, *offsets])

    @property
    def last_start_us(self) -> int:
        """The start of the last pane."""
        starts = [*self._waiting]
        if self._folded is not None:
            starts.append(self._folded.starts[-1])
        return max(starts)

    @property
    def n_variables(self) -> int:
        """The fewest variables that a pane has."""
        waiting = [waiting.n_variables for waiting in self._waiting.values()]
        return min([*(self._totals or {}), *waiting])

    def total(self, n_variables: int) -> PaneTotal | None:
        """Return the sum of the panes of so many variables; None if there is none."""
        waiting = [self._waiting[start] for start in sorted(self._waiting)]
        own = [pane for pane in waiting if pane.n_variables == n_variables]
        total = (self._totals or {}).get(n_variables)
        if not own:
            return total
        made = {n_variables: total.copy()} if total is not None else {}
        for pane in own:
            self._total_of(made, n_variables).add(pane.opened or view_body(pane.body))
        return made[n_variables]

    def _total_of(self, totals: dict[int, PaneTotal], n_variables: int) -> PaneTotal:
        """Return the total of the panes of so many variables."""
        total = totals.get(n_variables)
        if total is None:
            total = totals[n_variables] = PaneTotal(n_variables, has_slices=self.has_slices)
        return total
