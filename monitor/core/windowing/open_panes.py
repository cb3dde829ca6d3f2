"""Which panes of one source partition may still change, by their place in time.

A pane's place is its index: it starts at index * pane. All series share the places, so
what is due, what is retired and where reading must start again are questions about a
dozen places, not about thousands of series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from monitor.core.windowing import accumulators
from monitor.core.windowing.accumulators import SeriesAccumulator
from monitor.core.windowing.details.open_details import OpenDetails
from monitor.core.windowing.held.held_rows import HeldRows
from monitor.core.windowing.held.row_bodies import RowsOfPane, row_bodies
from monitor.core.windowing.held.row_pool import RowPool, RowPools, row_bytes
from monitor.core.windowing.layout import Layout
from monitor.core.windowing.pane_body import encode_body, with_details
from monitor.core.windowing.slots import slot_bytes
from schemas.panes import SeriesId, SeriesStats


class Origin(NamedTuple):
    """A message, and the state of the clock before it."""

    offset: int
    watermark_us: int
    retired_before_us: int


class OpenSeries:
    """The open panes of one series id: each holds rows, or has counters.

    Parameters
    ----------
    series : SeriesId
        Whose panes they are.
    layout : Layout
        How its rows are counted.
    pools : RowPools
        Where panes hold rows.
    grain : int
        Panes that are counted as one; with more than one all have counters.

    Attributes
    ----------
    rows : dict of int to int
        Chain in the pool, by place, of panes that hold rows.
    ordinals : dict of int to int
        Ordinal in the accumulator, by place, of panes that have counters.
    max_rows : int
        So many rows of a pane take less room than counters.
    """

    def __init__(self, series: SeriesId, layout: Layout, pools: RowPools, grain: int = 1) -> None:
        self.series = series
        self.layout = layout
        self.from_us, self.until_us = -(1 << 62), 1 << 62
        """When its layout holds: panes are cut there."""
        self.ordinals: dict[int, int] = {}
        self.rows: dict[int, int] = {}
        self._free: list[int] = []
        self.n_ordinals = 0
        self._grain = grain
        words = layout.row_tables.words
        self.pool = pools.of(words)
        self._names = layout.row_tables.names
        self.max_rows = 0
        if grain == 1 and layout.is_joint:
            room = slot_bytes(layout.n_variables) // row_bytes(words)
            most = min(accumulators.MAX_COMBINATIONS, accumulators.MAX_SEGMENT_VALUES)
            self.max_rows = min(room, most)

    @cached_property
    def details(self) -> OpenDetails:
        """Absent rows and new values of all open panes."""
        return OpenDetails(self.layout)

    @cached_property
    def accumulator(self) -> SeriesAccumulator:
        """Counters of the panes that have some."""
        return SeriesAccumulator(self.series, self.layout, self._grain)

    @property
    def is_empty(self) -> bool:
        """Whether no pane is open."""
        return not (self.rows or self.ordinals)

    def holds(self, index: int) -> bool:
        """Whether the pane at ``index`` is open."""
        return index in self.rows or index in self.ordinals

    def has_room(self, index: int, n_new: int) -> bool:
        """Whether a pane may hold so many more rows; else they are counted."""
        chain = self.rows.get(index)
        if chain is not None:
            return self.pool.size(chain) + n_new <= self.max_rows
        return n_new <= self.max_rows and index not in self.ordinals

    def chain(self, index: int) -> int:
        """Return the chain of a pane that may hold rows, a new one if it has none."""
        chain = self.rows.get(index)
        if chain is None:
            chain = self.rows[index] = self.pool.open()
        return chain

    def learn_texts(self, values: Sequence[Sequence[str]]) -> None:
        """Take note of the texts of rows that panes are going to hold.

        Where hosts and GPUs get numbers of their own from now on, panes that hold rows with the
        old ones are counted first.

        Parameters
        ----------
        values : sequence of sequence of str
            As of ``RowTables.refresh``.
        """
        tables = self.layout.row_tables
        tables.refresh(values)
        if self._names is not tables.names:
            for index in list(self.rows):
                self.ordinal(index)
            self._names = tables.names

    def ordinal(self, index: int) -> int:
        """Return the ordinal of a pane, which has counters from now on."""
        if index in self.ordinals:
            return self.ordinals[index]
        if not self._free:
            self._free.append(self.n_ordinals)
            self.n_ordinals += 1
        ordinal = self.ordinals[index] = self._free.pop()
        chain = self.rows.pop(index, None)
        if chain is not None:
            self.accumulator.add_rows(ordinal, self.n_ordinals, self._held(chain))
            self.pool.release([chain])
        return ordinal

    def collect(self, index: int) -> tuple[SeriesStats, SeriesStats]:
        """Return what a pane holds: segments (``*`` first, then sorted) and slices (sorted)."""
        chain = self.rows.get(index)
        if chain is None:
            return self.accumulator.collect(self.ordinals[index])
        held = self._held(chain)
        return held.segments(), held.slices()

    def rows_of(self, index: int) -> RowsOfPane | None:
        """Return where the rows of a pane are; None where it has counters."""
        chain = self.rows.get(index)
        if chain is None:
            return None
        return RowsOfPane(self.layout.row_tables, self._names, chain)

    def _held(self, chain: int) -> HeldRows:
        return HeldRows.of(self.layout, self.pool, self._names, chain)

    def retire(self, indices: Sequence[int]) -> None:
        """Forget panes."""
        self.details.retire(indices)
        chains = [self.rows.pop(i) for i in indices if i in self.rows]
        if chains:
            self.pool.release(chains)
        ordinals = [self.ordinals.pop(i) for i in indices if i in self.ordinals]
        if ordinals:
            self.accumulator.release(ordinals)
            self._free += ordinals


def bodies_of(panes: Sequence[tuple[OpenSeries, int]]) -> list[bytes]:
    """Return the body of each pane, given by series and place."""
    found: list[bytes] = [b""] * len(panes)
    by_pool: dict[RowPool, list[tuple[int, RowsOfPane]]] = {}
    for i, (series, index) in enumerate(panes):
        held = series.rows_of(index)
        if held is None:
            found[i] = encode_body(*series.collect(index))
        else:
            by_pool.setdefault(series.pool, []).append((i, held))
    for pool, some in by_pool.items():
        for (i, _), body in zip(some, row_bodies(pool, [held for _, held in some]), strict=True):
            found[i] = body
    return [
        with_details(body, series.details.collect(index))
        for (series, index), body in zip(panes, found, strict=True)
    ]


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

    def open(self, series: OpenSeries, index: int, origin: Origin) -> None:
        """Note a pane that was opened by a message at or after ``origin``, if it is new."""
        if not series.holds(index):
            self._open.setdefault(index, set()).add(series)
            self._origins.setdefault(index, origin)

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
            if series.is_empty:
                yield series
