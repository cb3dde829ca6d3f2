"""Panes of one partition of the panes topic, added up to slots for the store.

Pure: what is written is a function of the log, so a range that is read again gives the same
rows. Each pane is either part of one total, or written by itself; which of the two never
changes, whenever slots are closed:

- A slot *closes* once. Its total is the sum of those of its panes that their partitions have
  retired, which are final. Its other panes are written one by one, under their own version.
- A pane that comes after its slot has closed, and which its partition has not retired, cannot
  be in a total, and is written by itself. It replaces its version before.
- A pane that comes after its partition has retired it has come before, since a partition's
  watermark follows its panes: it is a repetition, and is left out.

So a slot may close at any time, and sums are right. When it does decides only how many rows
there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from monitor.core.windowing.packed_pane import PackedPane
from monitor.core.windowing.pane_total import PaneTotal
from monitor.core.windowing.stats_codec import with_finite_sums
from monitor.core.windowing.stored.spans import Spans
from monitor.core.windowing.stored.state import SlotState
from monitor.core.windowing.watermark import NO_WATERMARK, Watermarks
from monitor.core.windowing.watermark_message import WatermarkMessage
from schemas.panes import Pane, SeriesId
from schemas.time_units import DAY_US, HOUR_US

SLOTS: Final = "slots"
"""Source of the totals in table ``panes``, before the id of the panes topic."""
HOLD_US = HOUR_US
"""A partition that is so far behind the newest one holds slots no longer."""
FORGET_US = 7 * DAY_US
"""A source that is so far behind is gone."""
MAX_HELD_BYTES = 64 << 20
"""Of the panes of open slots; beyond it all of them close."""
_PANE_BYTES = 300
"""Of an open pane besides its body."""


class _Slot(NamedTuple):
    """Whose slot, and where."""

    series: SeriesId
    start_us: int
    end_us: int
    n_variables: int


class _Place(NamedTuple):
    """Whose pane in a slot."""

    source: str
    partition: int
    start_us: int


@dataclass(slots=True)
class _Open:
    """Panes of a slot that has not closed."""

    first_offset: int
    panes: dict[_Place, PackedPane] = field(default_factory=dict)


class StoredSlots:
    """Open slots of all models in one partition of the panes topic.

    Parameters
    ----------
    partition : int
        Of the panes topic.
    topic_id : str
        Its id: offsets of another one are not comparable.
    state : SlotState
        At the first message; panes of the slots that were open then are to be put back by
        :meth:`restore`.

    Attributes
    ----------
    counters : Counter of str
        ``slots`` written, ``alone``: panes written by themselves, ``repeated`` panes.
    """

    def __init__(self, partition: int, topic_id: str, state: SlotState) -> None:
        self._partition, self._source = partition, f"{SLOTS}:{topic_id}"
        self._spans = state.spans
        self._horizon_us, self._since_us = state.horizon_us, state.since_us
        self._marks = Watermarks()
        self._marks.restore(state.sources)
        self._open: dict[_Slot, _Open] = {}
        self._due_us: float = float("inf")
        self._n_bytes = 0
        self.counters: Counter[str] = Counter()

    @property
    def first_offset(self) -> int | None:
        """Offset of the oldest pane of an open slot; None if there is none."""
        return min((found.first_offset for found in self._open.values()), default=None)

    def state(self) -> SlotState:
        """Return the state after the last message."""
        return SlotState(self._marks.export(), self._horizon_us, self._since_us, self._spans)

    def restore(self, pane: PackedPane, offset: int) -> None:
        """Put a pane back that came before the state; nothing where its slot has closed."""
        self._put(pane, offset)

    def add(self, pane: PackedPane, offset: int) -> list[Pane]:
        """Take the next pane; return what is written at once.

        Returns
        -------
        list of Pane
            The pane itself if its slot has closed; others once too many bytes are held.
        """
        if not self._put(pane, offset):
            name = (pane.series.tenant, pane.series.model)
            if self._is_retired(pane, self._spans[name].lateness_us):
                self.counters["repeated"] += 1
                return []
            self.counters["alone"] += 1
            return [*self._keep_clear_of(pane, offset), pane.unpack()]
        return self.close_all(offset) if self._n_bytes > MAX_HELD_BYTES else []

    def _keep_clear_of(self, pane: PackedPane, offset: int) -> list[Pane]:
        """Close what is open where a pane is longer than its slot, which ingest counted by others.

        No slot that begins before its end may hold its next version.
        """
        series = pane.series
        slot_us = self._spans[series.tenant, series.model].slot_us
        if pane.end_us <= pane.start_us // slot_us * slot_us + slot_us:
            return []
        written = self.close_all(offset)
        self._since_us = max(self._since_us, pane.end_us)
        return written

    def _put(self, pane: PackedPane, offset: int) -> bool:
        """Keep a pane in its slot; False if the slot is not open."""
        series = pane.series
        span = self._spans[series.tenant, series.model]
        start_us = pane.start_us // span.slot_us * span.slot_us
        end_us = start_us + span.slot_us
        is_closed = start_us < self._since_us or end_us + span.lateness_us <= self._horizon_us
        if is_closed or pane.end_us > end_us:
            return False
        slot = _Slot(series, start_us, end_us, pane.n_variables)
        found = self._open.setdefault(slot, _Open(offset))
        place = _Place(pane.source, pane.partition, pane.start_us)
        known = found.panes.get(place)
        if known is None or pane.pane_version > known.pane_version:
            found.panes[place] = pane
            self._n_bytes += len(pane.body) + _PANE_BYTES
            self._n_bytes -= len(known.body) + _PANE_BYTES if known is not None else 0
        self._due_us = min(self._due_us, end_us + span.lateness_us)
        return True

    def observe(self, word: WatermarkMessage, offset: int) -> list[Pane]:
        """Take a watermark; return the totals of slots that close, and panes of them.

        Raises
        ------
        DomainError
            If it is of one source too many.
        """
        self._forget_sources()
        self._marks.replaced_by(word.source)
        is_idle = word.is_idle or word.is_end
        marks = (word.source, word.partition, word.n_partitions, word.watermark_us)
        self._marks.observe(*marks, is_idle=is_idle)
        if self._marks.is_idle:
            return self.close_all(offset)
        newest_us, least_us = self._marks.newest_us, self._marks.minimum_us
        if newest_us is not None:
            known_us = NO_WATERMARK if least_us is None else least_us
            self._horizon_us = max(self._horizon_us, known_us, newest_us - HOLD_US)
        return list(self._close(offset)) if self._due_us <= self._horizon_us else []

    def _forget_sources(self) -> None:
        """Expect nothing of sources that are long gone."""
        newest_us = self._marks.newest_us
        if newest_us is None or self._marks.n_sources == 1:
            return
        for each in self._marks.export():
            last_us = max(each.watermarks.values(), default=newest_us)
            # a source of which nothing but idle partitions is known may be a new one
            if NO_WATERMARK < last_us < newest_us - FORGET_US:
                self._marks.retire(each.source)

    def close_all(self, offset: int) -> list[Pane]:
        """Close every open slot; panes that come into them later are written by themselves."""
        self._since_us = max(self._since_us, *(slot.end_us for slot in self._open), NO_WATERMARK)
        return list(self._close(offset, is_all=True))

    def adopt(self, spans: Spans, offset: int) -> list[Pane]:
        """Change to other spans: slots of the old ones close.

        They close where the spans are equal, too: the intent of a range says that they do, and
        the configuration may have been changed back since.
        """
        written = self.close_all(offset)
        self._spans = spans
        # no slot of another length begins before the end of one that was written
        self._since_us = max(self._since_us, self._horizon_us)
        return written

    def _close(self, offset: int, *, is_all: bool = False) -> Iterator[Pane]:
        """Close what is due, in an order that does not depend on that of arrival."""
        left: dict[_Slot, _Open] = {}
        due: list[tuple[_Slot, int]] = []
        self._due_us = float("inf")
        for slot, found in self._open.items():
            lateness_us = self._spans[slot.series.tenant, slot.series.model].lateness_us
            if is_all or slot.end_us + lateness_us <= self._horizon_us:
                due.append((slot, lateness_us))
            else:
                left[slot] = found
                self._due_us = min(self._due_us, slot.end_us + lateness_us)
        for slot, lateness_us in sorted(due):
            yield from self._written(slot, lateness_us, offset)
        self._open = left

    def _written(self, slot: _Slot, lateness_us: int, offset: int) -> Iterator[Pane]:
        """Return the total of a slot, and those of its panes that may still change."""
        total = PaneTotal(slot.n_variables)
        for _, pane in sorted(self._open[slot].panes.items()):
            self._n_bytes -= len(pane.body) + _PANE_BYTES
            if self._is_retired(pane, lateness_us):
                total.add(pane.open())
            else:
                self.counters["alone"] += 1
                yield pane.unpack()
        if total.n_panes:
            self.counters["slots"] += 1
            segments, slices = map(with_finite_sums, total.stats())
            place = (slot.start_us, slot.end_us, self._source, self._partition, "archive", offset)
            yield Pane(slot.series, *place, segments, slices)

    def _is_retired(self, pane: PackedPane, lateness_us: int) -> bool:
        """Return whether the partition of a pane changes it no more."""
        return pane.end_us <= self._marks.last_us(pane.source, pane.partition) - lateness_us


def since_of(newest_pane_us: int, newest_mark_us: int, skew_us: int) -> int:
    """Return a time that no pane reaches which an earlier version has written by itself.

    Parameters
    ----------
    newest_pane_us, newest_mark_us : int
        Latest end of the panes, and highest watermark, that were read before.
    skew_us : int
        How far an event may be ahead of the watermark of its partition.

    Examples
    --------
    >>> since_of(7_000_000_000, 6_900_000_000, 300_000_000) / 3.6e9
    2.0
    """
    last_us = max(newest_pane_us, newest_mark_us + skew_us)
    return -(-last_us // HOUR_US) * HOUR_US
