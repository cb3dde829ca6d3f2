"""Statistics of one model version, growing row by row, pane by pane.

A row belongs to ``*`` and to one value of every segment. Instead of counting it
1 + names times, each combination of segment values has one slot and the segments
are added up when the pane is published: 47 ns a row instead of 119 with two
segments. A pane keeps ``MAX_COMBINATIONS`` of them in order of first appearance;
rows of later ones are counted in their segments directly. Both orders, and so every
bit of the float sums, follow from the log alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import accumulate
from detectors.kernels.binning import fill_bins
from monitor.core.windowing.layout import Layout
from monitor.core.windowing.limits.name_limit import NameLimit
from monitor.core.windowing.slots import SLICES, Counters, Interner, SlotIndex, SlotPool
from schemas.batch import EventBatch, StringColumn
from schemas.panes import ALL, MAX_SEGMENT_VALUES, OTHER, SeriesId, SeriesStats

if TYPE_CHECKING:
    from monitor.core.windowing.held.held_rows import HeldRows

MAX_COMBINATIONS = 256
_UNLIMITED = 1 << 62
_N_FORGET = 4096
"""An interner with more names than this is asked to forget the unused ones."""

Slots = NDArray[np.int32]


def take(batch: EventBatch, rows: NDArray[np.int64] | slice) -> EventBatch:
    """Return the rows of a batch, in the order given; of a slice without copying them.

    Examples
    --------
    >>> from schemas.batch import ModelSchema
    >>> none = StringColumn(np.full(2, -1, np.int32), [])
    >>> zero = np.zeros(2, np.int64)
    >>> batch = EventBatch(ModelSchema("t", "m", ()), zero, np.arange(2), np.array([5, 6]), (),
    ...     (), (), np.zeros(2), none, none, none, none, np.zeros((2, 2), np.int64),
    ...     np.zeros(0, np.uint8))
    >>> take(batch, np.array([1])).time_us.tolist()
    [6]
    """

    def strings(column: StringColumn) -> StringColumn:
        return StringColumn(column.codes[rows], column.values)

    return replace(
        batch,
        message=batch.message[rows],
        row=batch.row[rows],
        time_us=batch.time_us[rows],
        numeric=tuple(c[rows] for c in batch.numeric),
        categorical=tuple(strings(c) for c in batch.categorical),
        segments=tuple(strings(c) for c in batch.segments),
        score=batch.score[rows],
        model_version=strings(batch.model_version),
        prediction=strings(batch.prediction),
        host=strings(batch.host),
        gpu_uuid=strings(batch.gpu_uuid),
        id_spans=batch.id_spans[rows],
        absent=batch.absent.take(rows),
    )


class SeriesAccumulator:
    """Counters of one series id for all its open panes.

    Parameters
    ----------
    series : SeriesId
        Whose rows these are.
    layout : Layout
        How they are counted.
    grain : int, optional
        Panes that are counted as one. Each of them still names its first
        ``MAX_SEGMENT_VALUES`` hosts and GPUs, as if it were counted by itself.

    Notes
    -----
    Panes are named by an ordinal, a small number the caller gives out and takes back.
    """

    def __init__(self, series: SeriesId, layout: Layout, grain: int = 1) -> None:
        self.series = series
        self.layout = layout
        self._pool = SlotPool(layout.n_variables)
        capacity = MAX_COMBINATIONS if layout.is_joint else 0
        radix = layout.n_joint if layout.is_joint else 1
        self._combinations = SlotIndex(self._pool, radix, capacity)
        self._direct = SlotIndex(self._pool, len(layout.segments), _UNLIMITED)
        self._slice_pool = SlotPool(1)
        self._interners = tuple(Interner() for _ in SLICES)
        self._limits = tuple(NameLimit(grain, MAX_SEGMENT_VALUES) for _ in SLICES if grain > 1)
        most = _UNLIMITED if grain > 1 else MAX_SEGMENT_VALUES
        self._slices = tuple(SlotIndex(self._slice_pool, 1 << 40, most) for _ in SLICES)
        self._rest = tuple(SlotIndex(self._slice_pool, 1, 1) for _ in SLICES)

    def add(
        self,
        batch: EventBatch,
        ordinals: Slots,
        n_ordinals: int,
        panes: NDArray[np.int64] | None = None,
        paired: NDArray[np.uint8] | None = None,
    ) -> None:
        """Add every row whose ordinal is not negative to that pane.

        Parameters
        ----------
        batch : EventBatch
            Rows of this series, in source order.
        ordinals : ndarray of int32, shape (n,)
            Pane of each row; negative ones are left out.
        n_ordinals : int
            More than any of them.
        panes : ndarray of int64, shape (n,), optional
            With a grain above 1: ``ordinal * grain`` and the row's pane within it.
        paired : ndarray of uint8, shape (F, n), optional
            Filled with the counters of ``layout.paired``, of all rows.
        """
        joint = np.zeros(len(batch), np.int64)
        if self.layout.is_joint:
            for remap, column in zip(self.layout.remaps, batch.segments, strict=False):
                radix = len(remap.index) + 1
                accumulate.mix(column.codes, remap.table(column), radix, joint)
        slots, n_changes, n_overflowed = self._combinations.assign(ordinals, joint, n_ordinals)
        is_runs = n_changes * 8 < len(batch)
        all_slots = [slots]
        if n_overflowed:
            late = np.where(slots == accumulate.OVERFLOWED, ordinals, np.int32(-1))
            all_slots += self._direct_slots(batch, late, n_ordinals)
        # values beyond 1e154 have no finite square; compiled kernels say nothing of it
        with np.errstate(over="ignore", invalid="ignore"):
            bins = self._add_columns(batch, all_slots, is_runs, paired)
            if self.layout.n_variables:
                for dimension in range(len(SLICES)):
                    self._add_slices(batch, bins, dimension, ordinals, n_ordinals, panes)

    def _direct_slots(self, batch: EventBatch, ordinals: Slots, n_ordinals: int) -> list[Slots]:
        """Return slots of rows counted in each of their segments: one array per segment name."""
        zeros = np.zeros(len(batch), np.int64)
        every = [self._direct.assign(ordinals, zeros, n_ordinals)[0]]
        layout = self.layout
        for remap, digits, column in zip(
            layout.remaps, layout.digits, batch.segments, strict=False
        ):
            series = digits[remap.table(column)][column.codes + 1].astype(np.int64)
            named = np.where(series >= 0, ordinals, np.int32(-1))
            every.append(self._direct.assign(named, series, n_ordinals)[0])
        return every

    def _add_columns(
        self,
        batch: EventBatch,
        all_slots: list[Slots],
        is_runs: bool,
        paired: NDArray[np.uint8] | None,
    ) -> NDArray[np.uint8]:
        """Add every column to its slots; returns the bins of the score."""
        scratch = np.empty(len(batch), np.uint8)
        pool, layout = self._pool, self.layout
        add_numeric = accumulate.add_numeric_runs if is_runs else accumulate.add_numeric
        positives = layout.positives.table(batch.prediction)
        for slots in all_slots:
            accumulate.add_rows(batch.prediction.codes, positives, slots, pool.tallies)
        if not layout.n_variables:
            return scratch
        n_numeric = len(batch.numeric)
        for v, remap in enumerate(layout.categories):
            column = batch.categorical[v]
            table = remap.table(column)
            for slots in all_slots:
                accumulate.add_categorical(column.codes, table, slots, n_numeric + v, pool.counts)
        last = layout.n_variables - 1
        numeric = [*enumerate(batch.numeric), (last, batch.score)]
        rows = layout.paired.rows if layout.paired is not None and paired is not None else {}
        for (v, values), grid in zip(numeric, layout.grids, strict=True):
            bins = paired[rows[v]] if paired is not None and v in rows else scratch
            fill_bins(values, grid.edges, grid.table, grid.origin, grid.scale, bins)
            for slots in all_slots:
                add_numeric(values, bins, slots, v, pool.counts, pool.moments)
        for slots in all_slots:
            accumulate.add_calibration(batch.score, slots, pool.tallies, pool.calibration)
        return scratch

    def _add_slices(
        self,
        batch: EventBatch,
        bins: NDArray[np.uint8],
        dimension: int,
        ordinals: Slots,
        n_ordinals: int,
        panes: NDArray[np.int64] | None,
    ) -> None:
        """Add the score to its host's or GPU's slot; the 101st value and later to ``other``."""
        column: StringColumn = getattr(batch, SLICES[dimension])
        numbers = self._interners[dimension].table(column)[column.codes + 1]
        if not numbers.any():
            return
        named = np.where(numbers > 0, ordinals, np.int32(-1))
        is_rest = None
        if panes is not None:
            is_rest = self._limits[dimension].refused(panes, np.where(named >= 0, numbers, 0))
            named = np.where(is_rest, np.int32(-1), named)
        slots, _, n_overflowed = self._slices[dimension].assign(named, numbers, n_ordinals)
        if n_overflowed:
            is_rest = slots == accumulate.OVERFLOWED
        if is_rest is not None and is_rest.any():
            rest = np.where(is_rest, ordinals, np.int32(-1))
            others = self._rest[dimension].assign(rest, np.zeros_like(numbers), n_ordinals)[0]
            slots = np.where(is_rest, others, slots)
        pool = self._slice_pool
        positives = self.layout.positives.table(batch.prediction)
        accumulate.add_rows(batch.prediction.codes, positives, slots, pool.tallies)
        accumulate.add_numeric(batch.score, bins, slots, 0, pool.counts, pool.moments)
        accumulate.add_calibration(batch.score, slots, pool.tallies, pool.calibration)

    def collect(self, ordinal: int) -> tuple[SeriesStats, SeriesStats]:
        """Return what one pane holds: segments (``*`` first, then sorted) and slices (sorted)."""
        return self._collect_segments(ordinal), self._collect_slices(ordinal)

    def _collect_segments(self, ordinal: int) -> SeriesStats:
        """Add combinations, then directly counted rows, to the segments that occur."""
        joint = self._combinations.held.get(ordinal, [])
        direct = self._direct.held.get(ordinal, [])
        targets, names = segment_targets(self.layout, [k for k, _ in joint], [k for k, _ in direct])
        slots = np.array([s for _, s in (*joint, *direct)], np.int32)
        return self._pool.fold(slots, targets, names)

    def _collect_slices(self, ordinal: int) -> SeriesStats:
        """Give each slice its name; values called ``other`` join the rest."""
        named: list[tuple[str, int]] = []
        for name, interner, index, rest in zip(
            SLICES, self._interners, self._slices, self._rest, strict=True
        ):
            for number, slot in index.held.get(ordinal, []):
                named.append((f"{name}={interner.names[number]}", slot))
            named += [(f"{name}={OTHER}", slot) for _, slot in rest.held.get(ordinal, [])]
        targets, names = slice_targets([name for name, _ in named])
        return self._slice_pool.fold(np.array([s for _, s in named], np.int32), targets, names)

    def add_rows(self, ordinal: int, n_ordinals: int, held: HeldRows) -> None:
        """Add rows that a pane held, which is counted from now on.

        Parameters
        ----------
        ordinal, n_ordinals : int
            Of the pane; more than any ordinal.
        held : HeldRows
            At most ``MAX_COMBINATIONS`` and ``MAX_SEGMENT_VALUES`` of them.
        """
        ordinals = np.full(len(held), ordinal, np.int32)
        pool = self._pool
        slots = self._combinations.assign(ordinals, held.combinations, n_ordinals)[0]
        held.pour(slots, Counters(pool.counts, pool.moments, pool.tallies, pool.calibration))
        if not self.layout.n_variables:
            return
        pool = self._slice_pool
        for interner, index, given in zip(
            self._interners, self._slices, held.names_of_rows(), strict=True
        ):
            numbers = np.array([0 if n is None else interner.number(n) for n in given], np.int64)
            named = np.where(numbers > 0, ordinals, np.int32(-1))
            slots = index.assign(named, numbers, n_ordinals)[0]
            counters = Counters(pool.counts, pool.moments, pool.tallies, pool.calibration)
            held.pour(slots, counters, is_score_only=True)

    def release(self, ordinals: Sequence[int]) -> None:
        """Forget these panes."""
        for index in (self._combinations, self._direct, *self._slices, *self._rest):
            index.release(ordinals)
        for limit in self._limits:
            limit.release(ordinals)
        for interner, index in zip(self._interners, self._slices, strict=True):
            if len(interner.names) > _N_FORGET:
                interner.forget({k for pairs in index.held.values() for k, _ in pairs})


def segment_targets(
    layout: Layout, combinations: Sequence[int], direct: Sequence[int] = ()
) -> tuple[NDArray[np.int32], list[str]]:
    """Return the segments that slots are added to, shape (slots, T), -1 is none; and their names.

    Parameters
    ----------
    combinations : sequence of int
        Of segment values, a slot each.
    direct : sequence of int
        Segments that have a slot of their own, behind the combinations.
    """
    n = len(combinations)
    targets = np.full((n + len(direct), 1 + len(layout.digits)), -1, np.int32)
    if layout.is_joint:
        targets[:n] = layout.series_of(np.array(combinations, np.int64))
    targets[n:, 0] = direct
    present = np.unique(targets[targets > 0])
    names = layout.segments
    order = [0, *sorted(present.tolist(), key=lambda i: names[i])]
    position = np.full(len(names) + 1, -1, np.int32)
    position[order] = np.arange(len(order))
    return position[targets], [names[i] for i in order]


def slice_targets(names: Sequence[str]) -> tuple[NDArray[np.int32], list[str]]:
    """Return the slice that each slot is added to, shape (slots, 1), and the slices' names."""
    found = sorted(set(names))
    position = {name: i for i, name in enumerate(found)}
    return np.array([position[name] for name in names], np.int32).reshape(-1, 1), found


def summarize(
    batch: EventBatch, layout: Layout, keep: NDArray[np.bool_] | None = None
) -> tuple[SeriesStats, SeriesStats]:
    """Return the statistics of a batch at once: what one pane holding it would say.

    Parameters
    ----------
    batch : EventBatch
        Rows, in order.
    layout : Layout
        How they are counted.
    keep : ndarray of bool, shape (n,), optional
        Rows to count; all where it is left out.

    Returns
    -------
    segments : SeriesStats
        ``*`` and the segments that occur, V variables.
    slices : SeriesStats
        The score by host and GPU, V = 1.

    Notes
    -----
    3-4 ns a value on one core. The model versions of the rows are not looked at.
    """
    ordinals = np.zeros(len(batch), np.int32)
    if keep is not None:
        ordinals[~keep] = -1
    schema = layout.schema
    series = SeriesId(schema.tenant, schema.model, "", layout.profile_id)
    accumulator = SeriesAccumulator(series, layout)
    accumulator.add(batch, ordinals, 1)
    return accumulator.collect(0)


__all__ = [
    "ALL",
    "MAX_COMBINATIONS",
    "MAX_SEGMENT_VALUES",
    "SeriesAccumulator",
    "summarize",
    "take",
]
