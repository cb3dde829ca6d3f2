"""Slots: rows of counter arrays, handed to keys by first appearance and taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import accumulate
from schemas.batch import StringColumn
from schemas.events import MAX_VALUE_CHARS
from schemas.panes import N_CALIBRATION, N_COUNTERS, OTHER, SeriesStats

SLICES = ("host", "gpu_uuid")
"""Columns whose values the score is counted by."""
_MIN_SLOTS = 4
"""Fewer are not worth giving back."""


def slot_bytes(n_variables: int) -> int:
    """Return how much room the counters of a slot take.

    Examples
    --------
    >>> slot_bytes(21)
    11768
    """
    return n_variables * 8 * (N_COUNTERS + accumulate.N_MOMENTS) + 344


class FreeSlots:
    """Rows of arrays that grow together, and which of them are free.

    Parameters
    ----------
    empty : mapping of str to ndarray
        By the name of each array, an attribute: what one row holds while nothing is counted.

    Notes
    -----
    The arrays grow by a quarter when they are full, and shrink when their upper half is free.
    """

    def __init__(self, empty: Mapping[str, NDArray[np.generic]]) -> None:
        self._empty = dict(empty)
        self.n_slots = 0
        for name, row in self._empty.items():
            setattr(self, name, np.empty((0, *row.shape), row.dtype))
        self.free = np.empty(0, np.int32)
        self.n_free = 0

    def grow(self) -> None:
        """Add a quarter as many slots as there are (at least 2)."""
        n_new = max(2, self.n_slots // 4)
        for name, row in self._empty.items():
            more = np.broadcast_to(row, (n_new, *row.shape))
            setattr(self, name, np.concatenate((getattr(self, name), more)))
        free = np.empty(self.n_slots + n_new, np.int32)
        free[: self.n_free] = self.free[: self.n_free]
        # highest first, so that the lowest is handed out first and memory stays compact
        free[self.n_free : self.n_free + n_new] = np.arange(n_new)[::-1] + self.n_slots
        self.free = free
        self.n_free += n_new
        self.n_slots += n_new

    def release(self, slots: NDArray[np.int32]) -> None:
        """Clear slots and make them free."""
        for name, row in self._empty.items():
            getattr(self, name)[slots] = row
        self.free[self.n_free : self.n_free + len(slots)] = slots
        self.n_free += len(slots)
        # the lowest is handed out next, so that the upper ones come to be free
        self.free[: self.n_free] = -np.sort(-self.free[: self.n_free])
        self._shrink()

    def _shrink(self) -> None:
        """Give back the upper half when none of it is used."""
        half = self.n_slots // 2
        n_above = self.n_slots - half
        if half < _MIN_SLOTS or self.n_free < n_above or self.free[n_above - 1] < half:
            return
        for name in self._empty:
            setattr(self, name, getattr(self, name)[:half].copy())
        self.n_free -= n_above
        self.free = self.free[n_above:].copy()
        self.n_slots = half


class SlotPool(FreeSlots):
    """Counter arrays of many slots over V variables, and which of them are free.

    Parameters
    ----------
    n_variables : int
        V; with 0 only rows are counted.

    Notes
    -----
    A slot takes 544 V + 344 bytes: eight thousand series of twenty variables hold ten panes in
    .95 GB; after one catch-up over thirty panes they held 3.5 GB for good, while arrays did not
    shrink.
    """

    counts: NDArray[np.int64]
    moments: NDArray[np.float64]
    tallies: NDArray[np.int64]
    calibration: NDArray[np.float64]

    def __init__(self, n_variables: int) -> None:
        self.n_variables = n_variables
        moments = np.tile((0.0, 0.0, np.inf, -np.inf), (n_variables, 1))
        super().__init__(
            {
                "counts": np.zeros((n_variables, N_COUNTERS), np.int64),
                "moments": moments,
                "tallies": np.zeros(accumulate.N_TALLIES, np.int64),
                "calibration": np.zeros(N_CALIBRATION),
            }
        )

    def fold(
        self, slots: NDArray[np.int32], targets: NDArray[np.int32], names: Sequence[str]
    ) -> SeriesStats:
        """Add slots to their target series, shape (slots, T), in the order given."""
        counters = Counters(self.counts, self.moments, self.tallies, self.calibration)
        return counters.fold(slots, targets, names)


class Counters(NamedTuple):
    """The counters of some slots."""

    counts: NDArray[np.int64]
    """Shape (slots, V, 64)."""
    moments: NDArray[np.float64]
    """Shape (slots, V, 4)."""
    tallies: NDArray[np.int64]
    """Shape (slots, 23)."""
    calibration: NDArray[np.float64]
    """Shape (slots, 20)."""

    @staticmethod
    def empty(n_slots: int, n_variables: int) -> Counters:
        """Return counters of nothing."""
        moments = np.zeros((n_slots, n_variables, accumulate.N_MOMENTS))
        moments[:, :, 2] = np.inf
        moments[:, :, 3] = -np.inf
        return Counters(
            np.zeros((n_slots, n_variables, N_COUNTERS), np.int64),
            moments,
            np.zeros((n_slots, accumulate.N_TALLIES), np.int64),
            np.zeros((n_slots, N_CALIBRATION)),
        )

    def fold(
        self, slots: NDArray[np.int32], targets: NDArray[np.int32], names: Sequence[str]
    ) -> SeriesStats:
        """Add slots to their target series, shape (slots, T), in the order given."""
        total = Counters.empty(len(names), self.counts.shape[1])
        # values beyond 1e154 have no finite square; compiled kernels say nothing of it
        with np.errstate(over="ignore", invalid="ignore"):
            accumulate.fold(slots, targets, *self, *total)
        return total.stats(names)

    def stats(self, names: Sequence[str]) -> SeriesStats:
        """Return the statistics of series that have a slot each."""
        # + 0.0 turns -0.0 into 0.0: which of the two a minimum keeps depends on the order
        return SeriesStats(
            segments=tuple(names),
            n_rows=self.tallies[:, 0].copy(),
            counts=self.counts,
            sums=self.moments[:, :, 0].copy(),
            sums_sq=self.moments[:, :, 1].copy(),
            minima=self.moments[:, :, 2] + 0.0,
            maxima=self.moments[:, :, 3] + 0.0,
            n_predicted=self.tallies[:, 1].copy(),
            n_positive=self.tallies[:, 2].copy(),
            calibration_counts=self.tallies[:, 3:].copy(),
            calibration_sums=self.calibration,
        )


class SlotIndex:
    """Which slot belongs to which key of which pane.

    Parameters
    ----------
    pool : FreeSlots
        Where slots come from; several indexes may share one.
    radix : int
        Number of different keys a pane can have: keys are in [0, radix).
    capacity : int
        Keys a pane may hold; those that come after it is full overflow.
    """

    def __init__(self, pool: FreeSlots, radix: int, capacity: int) -> None:
        self.pool = pool
        self.radix = radix
        self.capacity = capacity
        self._keys = np.full(64, accumulate.EMPTY, np.int64)
        self._places = np.zeros(64, np.int32)
        self._n_keys = np.zeros(16, np.int64)
        self._state = np.zeros(5, np.int64)
        self.held: dict[int, list[tuple[int, int]]] = {}
        """Per pane ordinal its (key, slot) pairs in order of first appearance."""

    def assign(
        self, ordinals: NDArray[np.int32], joint: NDArray[np.int64], n_ordinals: int
    ) -> tuple[NDArray[np.int32], int, int]:
        """Return each row's slot, how often it changes, and how many rows overflowed."""
        n = len(ordinals)
        if len(self._n_keys) < n_ordinals:
            more = np.zeros(max(n_ordinals, 2 * len(self._n_keys)) - len(self._n_keys), np.int64)
            self._n_keys = np.concatenate((self._n_keys, more))
        out = np.empty(n, np.int32)
        state = self._state
        state[2:] = 0
        start = 0
        while True:
            state[0], state[4] = self.pool.n_free, 0
            new_keys = np.empty(self.pool.n_free, np.int64)
            start = accumulate.assign_slots(
                ordinals,
                joint,
                start,
                self.radix,
                self.capacity,
                self._keys,
                self._places,
                self._n_keys,
                self.pool.free,
                state,
                out,
                new_keys,
            )
            self._hold(new_keys[: int(state[4])])
            if start == n:
                return out, int(state[2]), int(state[3])
            if state[0] == 0:
                self.pool.grow()
            if state[1] * 2 >= len(self._keys):
                self._rebuild(len(self._keys) * 2)

    def _hold(self, new_keys: NDArray[np.int64]) -> None:
        """Note new keys; their slots were taken from the top of the stack."""
        top = self.pool.n_free - 1
        for j, key in enumerate(new_keys.tolist()):
            ordinal, joint = divmod(key, self.radix)
            self.held.setdefault(ordinal, []).append((joint, int(self.pool.free[top - j])))
        self.pool.n_free -= len(new_keys)

    def _rebuild(self, size: int) -> None:
        """Rebuild the hash table from the keys that are held."""
        held = [(o * self.radix + k, s) for o, pairs in self.held.items() for k, s in pairs]
        while size < 4 * len(held):
            size *= 2
        self._keys = np.full(size, accumulate.EMPTY, np.int64)
        self._places = np.zeros(size, np.int32)
        self._state[1] = len(held)
        live = np.array(held, np.int64).reshape(-1, 2)
        accumulate.fill_table(
            np.ascontiguousarray(live[:, 0]),
            np.ascontiguousarray(live[:, 1]).astype(np.int32),
            self._keys,
            self._places,
        )

    def release(self, ordinals: Sequence[int]) -> None:
        """Take back every slot of these panes."""
        slots = [slot for o in ordinals for _, slot in self.held.pop(o, ())]
        self._n_keys[[o for o in ordinals if o < len(self._n_keys)]] = 0
        if slots:
            self.pool.release(np.array(slots, np.int32))
            self._rebuild(64)


class Interner:
    """Numbers for strings of unknown number: hosts, GPUs.

    Notes
    -----
    ``forget`` keeps only what is still used; numbers are never given twice.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self._next = 1
        self._values: Sequence[str] | None = None
        self._table: NDArray[np.int64] = np.zeros(1, np.int64)

    def table(self, column: StringColumn) -> NDArray[np.int64]:
        """Return the table: entry ``code + 1`` is the number of that string, 0 is null."""
        return self.table_of(column.values)

    def table_of(self, values: Sequence[str]) -> NDArray[np.int64]:
        """Return the table of a column that has these values."""
        if self._values is not values:
            self._values = values
            self._table = np.zeros(1, np.int64)
        n_known = len(self._table) - 1
        if n_known < len(values):
            new = [self.number(name) for name in values[n_known:]]
            self._table = np.concatenate((self._table, np.array(new, np.int64)))
        return self._table

    def number(self, name: str) -> int:
        """Return the string's number, a new one if it has none; too long ones are ``other``."""
        name = name if len(name) <= MAX_VALUE_CHARS else OTHER
        number = self.numbers.get(name)
        if number is None:
            number = self._next
            self._next += 1
            self.numbers[name] = number
            self.names[number] = name
        return number

    def forget(self, used: set[int]) -> None:
        """Keep only these numbers."""
        self.names = {k: v for k, v in self.names.items() if k in used}
        self.numbers = {v: k for k, v in self.names.items()}
        self._values = None
