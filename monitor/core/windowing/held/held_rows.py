"""Rows of one pane that holds too few to be counted, and the statistics made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import rows as kernels
from monitor.core.windowing.accumulators import segment_targets, slice_targets
from monitor.core.windowing.held.row_names import RowNames
from monitor.core.windowing.held.row_pool import RowPool
from monitor.core.windowing.layout import Layout
from monitor.core.windowing.slots import SLICES, Counters
from schemas.panes import ALL, SeriesStats


@dataclass(frozen=True, slots=True)
class HeldRows:
    """The rows of one pane, in the order in which they came."""

    layout: Layout
    pool: RowPool
    names: RowNames
    """Of hosts and GPUs."""
    records: NDArray[np.int32]
    integers: NDArray[np.int64]
    """Shape (3, n): combination of segment values, host, GPU."""

    @staticmethod
    def of(layout: Layout, pool: RowPool, names: RowNames, chain: int) -> HeldRows:
        """Return the rows of a chain; they are valid until the pool changes."""
        return HeldRows(layout, pool, names, *pool.list(layout.row_tables, chain))

    def __len__(self) -> int:
        return len(self.records)

    @property
    def combinations(self) -> NDArray[np.int64]:
        """Combination of segment values of each row."""
        found: NDArray[np.int64] = self.integers[kernels.COMBINATION]
        return found

    def names_of_rows(self) -> list[list[str | None]]:
        """Return the host of each row, and the GPU of each row."""
        return [
            [interner.names.get(number) for number in numbers.tolist()]
            for interner, numbers in zip(self.names.interners, self.integers[1:], strict=True)
        ]

    def pour(
        self, slots: NDArray[np.int32], counters: Counters, *, is_score_only: bool = False
    ) -> None:
        """Add each row to its slot; rows with a negative one are left out."""
        first = self.layout.n_variables - 1 if is_score_only else 0
        pool, shape = self.pool, self.layout.row_tables.shape
        # values beyond 1e154 have no finite square; compiled kernels say nothing of it
        with np.errstate(over="ignore", invalid="ignore"):
            kernels.pour_rows(
                self.records,
                slots,
                first,
                shape,
                pool.floats,
                pool.octets,
                counters.counts.reshape(-1),
                counters.moments.reshape(-1),
                counters.tallies.reshape(-1),
                counters.calibration.reshape(-1),
            )

    def segments(self) -> SeriesStats:
        """Return the statistics of ``*`` and of the segments that occur."""
        layout = self.layout
        if layout.n_joint == 1:
            total = Counters.empty(1, layout.n_variables)
            self.pour(np.zeros(len(self), np.int32), total)
            return total.stats((ALL,))
        found: dict[int, int] = {}
        slots = [found.setdefault(key, len(found)) for key in self.combinations.tolist()]
        counters = Counters.empty(len(found), layout.n_variables)
        self.pour(np.array(slots, np.int32), counters)
        every = np.arange(len(found), dtype=np.int32)
        return counters.fold(every, *segment_targets(layout, list(found)))

    def slices(self) -> SeriesStats:
        """Return the statistics of the score by host and by GPU."""
        named: list[str] = []
        slots_of_rows: list[NDArray[np.int32]] = []
        for dimension, interner, numbers in zip(
            SLICES, self.names.interners, self.integers[1:], strict=True
        ):
            first, found = len(named), dict[int, int]()
            slots = [
                found.setdefault(number, first + len(found)) if number else -1
                for number in numbers.tolist()
            ]
            named += [f"{dimension}={interner.names[number]}" for number in found]
            slots_of_rows.append(np.array(slots, np.int32))
        if not named or not self.layout.n_variables:
            return SeriesStats.empty((), 1)
        counters = Counters.empty(len(named), 1)
        for places in slots_of_rows:
            self.pour(places, counters, is_score_only=True)
        if len(named) == 1:
            return counters.stats(named)
        return counters.fold(np.arange(len(named), dtype=np.int32), *slice_targets(named))
