"""Absent rows and new values of the open panes of one series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import name_limit as kernels
from detectors.kernels.components import BLOCK_ROWS, add_products
from monitor.core.windowing.details.block import (
    CellValues,
    PaneDetails,
    commonest,
    encode_details,
)
from monitor.core.windowing.details.new_texts import NewTexts
from monitor.core.windowing.layout import Layout
from monitor.core.windowing.slots import FreeSlots, SlotIndex
from schemas.batch import (
    ABSENT_BITS,
    Absent,
    EventBatch,
    Float64Array,
    Int32Array,
    Int64Array,
    MixedBatch,
    code_columns,
)

COUNTED_VALUES = 32
"""Values of a cell of an open pane that are counted; 528 bytes a cell."""
_UNLIMITED = 1 << 62
BoolArray = NDArray[np.bool_]


class Rows(Protocol):
    """Rows of one model."""

    absent: Absent
    texts: Sequence[Sequence[str]]
    """Of every column of codes."""

    def numbers(self, column: int) -> Float64Array:
        """Return a column of numbers: a feature, or behind them the score."""

    def columns(self, columns: Int64Array) -> Float64Array:
        """Return several columns of numbers, shape (columns, n)."""

    def codes(self, column: int) -> Int32Array:
        """Return a column of codes."""


class BatchRows:
    """All rows of a batch."""

    def __init__(self, batch: EventBatch) -> None:
        self._batch, self._columns = batch, code_columns(batch)
        self.absent: Absent = batch.absent
        self.texts: Sequence[Sequence[str]] = [column.values for column in self._columns]

    def numbers(self, column: int) -> Float64Array:
        """Return a column of numbers."""
        batch = self._batch
        return batch.numeric[column] if column < len(batch.numeric) else batch.score

    def columns(self, columns: Int64Array) -> Float64Array:
        """Return several columns of numbers, shape (columns, n)."""
        return np.array([self.numbers(column) for column in columns.tolist()])

    def codes(self, column: int) -> Int32Array:
        """Return a column of codes."""
        return self._columns[column].codes


class MixedRows:
    """Rows of one model of a mixed batch."""

    def __init__(self, mixed: MixedBatch, model: int, rows: Int64Array) -> None:
        self.absent: Absent = mixed.absent_of(model, rows)
        self.texts: Sequence[Sequence[str]] = mixed.values(model)
        self._mixed, self._rows = mixed, rows

    def numbers(self, column: int) -> Float64Array:
        """Return a column of numbers."""
        found: Float64Array = self._mixed.numbers[column, self._rows]
        return found

    def columns(self, columns: Int64Array) -> Float64Array:
        """Return several columns of numbers, shape (columns, n)."""
        found: Float64Array = self._mixed.numbers[columns[:, None], self._rows]
        return found

    def codes(self, column: int) -> Int32Array:
        """Return a column of codes."""
        found: Int32Array = self._mixed.codes[column, self._rows]
        return found


class FoundDetails(NamedTuple):
    """What rows have of details; arrays of shape (n,)."""

    absent: list[tuple[int, BoolArray]]
    """Variables, and which rows lack them."""
    new: list[tuple[int, Int64Array]]
    """Categorical features, and the number of each row's new text; 0 where it has none."""


class _ValuePool(FreeSlots):
    """Summaries of new values, a slot a cell."""

    values: Int64Array
    counts: Int64Array
    errors: Int64Array

    def __init__(self) -> None:
        empty, none = np.zeros(COUNTED_VALUES, np.int64), np.zeros((), np.int64)
        super().__init__({"values": empty, "counts": empty, "errors": none})


class _AbsentPool(FreeSlots):
    """Absent rows by variable, a slot a segment."""

    counts: Int64Array

    def __init__(self, n_variables: int) -> None:
        super().__init__({"counts": np.zeros(n_variables, np.int64)})


class OpenDetails:
    """Counts absent rows and new values by pane, segment and variable.

    Parameters
    ----------
    layout : Layout
        Of the series.

    Notes
    -----
    Rows that have neither cost nothing: features of which all values are known and present are
    not looked at. A new value takes about 15 ns for ``*`` and for each segment of its row.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        unnamed = layout.schema.unnamed
        self._texts = [
            NewTexts(remap) if name not in unnamed else None
            for name, remap in zip(layout.schema.categorical, layout.categories, strict=False)
        ]
        self._ordinals: dict[int, int] = {}
        self._free: list[int] = []
        self._n_ordinals = 0
        n_paired = len(layout.paired.columns) if layout.paired is not None else 0
        self._products: Int64Array = np.zeros((0, n_paired * (n_paired - 1) // 2), np.int64)

    @cached_property
    def _values(self) -> _ValuePool:
        return _ValuePool()

    @cached_property
    def _value_index(self) -> SlotIndex:
        radix = len(self._layout.segments) * max(1, len(self._texts))
        return SlotIndex(self._values, radix, _UNLIMITED)

    @cached_property
    def _absent(self) -> _AbsentPool:
        return _AbsentPool(self._layout.n_variables)

    @cached_property
    def _absent_index(self) -> SlotIndex:
        return SlotIndex(self._absent, len(self._layout.segments), _UNLIMITED)

    def find(self, rows: Rows) -> FoundDetails | None:
        """Return what rows have of details; None if nothing, as most have."""
        if not self._layout.n_variables:
            return None
        absent, new = self._find_absent(rows), self._find_new(rows)
        return FoundDetails(absent, new) if absent or new else None

    def _find_absent(self, rows: Rows) -> list[tuple[int, BoolArray]]:
        n_numeric = len(self._layout.schema.numeric)
        found = [
            (
                c if c < n_numeric else self._layout.n_variables - 1,
                rows.numbers(c).view(np.int64) == ABSENT_BITS,
            )
            for c in rows.absent.numbers
        ]
        found += [(n_numeric + c, mask) for c, mask in rows.absent.categories.items()]
        return [(v, is_absent) for v, is_absent in found if is_absent.any()]

    def _find_new(self, rows: Rows) -> list[tuple[int, Int64Array]]:
        found: list[tuple[int, Int64Array]] = []
        for c, (texts, values) in enumerate(zip(self._texts, rows.texts, strict=False)):
            if texts is None:
                continue
            if not texts.is_current(values):
                texts.begin(values, self._live(c))
            table = texts.numbers()
            if table is not None and (numbers := table[rows.codes(c) + 1]).any():
                found.append((c, numbers))
        return found

    def _live(self, column: int) -> list[int]:
        """Return the numbers of a feature's texts that open panes count."""
        if not self._ordinals:
            return []
        held = self._value_index.held.values()
        slots = [s for pairs in held for key, s in pairs if key % len(self._texts) == column]
        values = self._values.values[slots]
        live: list[int] = np.unique(values[values > 0]).tolist()
        return live

    def ordinal(self, index: int) -> int:
        """Return the ordinal of the pane at a place."""
        if index not in self._ordinals:
            if not self._free:
                self._free.append(self._n_ordinals)
                self._n_ordinals += 1
            self._ordinals[index] = self._free.pop()
        return self._ordinals[index]

    def add(self, rows: Rows, found: FoundDetails, ordinals: Int32Array) -> None:
        """Count what was found in rows.

        Parameters
        ----------
        ordinals : ndarray of int32, shape (n,)
            Pane of each row; negative ones are left out.
        """
        if found.absent:
            is_any = np.logical_or.reduce([is_absent for _, is_absent in found.absent])
            picked = np.flatnonzero(is_any & (ordinals >= 0))
            for series in self._series(rows, picked):
                own = np.where(series >= 0, ordinals[picked], np.int32(-1))
                slots = self._absent_index.assign(own, series, self._n_ordinals)[0]
                for variable, is_absent in found.absent:
                    kernels.count_absent(slots, is_absent[picked], variable, self._absent.counts)
        for column, numbers in found.new:
            picked = np.flatnonzero((numbers > 0) & (ordinals >= 0))
            for series in self._series(rows, picked):
                own = np.where(series >= 0, ordinals[picked], np.int32(-1))
                keys = series * len(self._texts) + column
                slots = self._value_index.assign(own, keys, self._n_ordinals)[0]
                pool = self._values
                kernels.count_values(slots, numbers[picked], pool.values, pool.counts, pool.errors)

    def add_products(self, bins: NDArray[np.uint8], ordinals: Int32Array) -> None:
        """Sum the products of features, of a layout that has some.

        Parameters
        ----------
        bins : ndarray of uint8, shape (F, n)
            Counters of ``layout.paired``.
        ordinals : ndarray of int32, shape (n,)
            Pane of each row; negative ones are left out.
        """
        paired = self._layout.paired
        assert paired is not None
        n_new = self._n_ordinals - len(self._products)
        if n_new > 0:
            # room for a quarter more: a kernel cannot append
            n_more = max(n_new, len(self._products) // 4)
            more = np.zeros((n_more, self._products.shape[1]), np.int64)
            self._products = np.concatenate((self._products, more))
        block = np.empty((len(bins), BLOCK_ROWS), np.int32)
        add_products(bins, paired.steps, ordinals, block, self._products)

    def _series(self, rows: Rows, picked: Int64Array) -> Iterator[Int64Array]:
        """Yield the segments of rows: 0 for ``*``, then of each name, -1 where there is none."""
        layout, first = self._layout, len(self._layout.schema.categorical)
        yield np.zeros(len(picked), np.int64)
        for s, (remap, digits) in enumerate(zip(layout.remaps, layout.digits, strict=True)):
            table = digits[remap.table_of(rows.texts[first + s])]
            yield table[rows.codes(first + s)[picked] + 1].astype(np.int64)

    def collect(self, index: int) -> bytes:
        """Return the details of the pane at a place as bytes; empty if it has none."""
        ordinal = self._ordinals.get(index)
        if ordinal is None:
            return b""
        names, n_variables = self._layout.segments, self._layout.n_variables
        cells = tuple(self._cells(ordinal))
        held = self._absent_index.held.get(ordinal, [])
        counts = self._absent.counts[[slot for _, slot in held]]
        segments = tuple(names[key] for key, _ in held)
        products = self._products[ordinal] if self._layout.paired is not None else None
        found = PaneDetails(True, segments, counts, cells, products)
        return encode_details(found, n_variables)

    def _cells(self, ordinal: int) -> Iterator[CellValues]:
        """Yield the new values of a pane's cells."""
        names, n_numeric = self._layout.segments, len(self._layout.schema.numeric)
        for key, slot in self._value_index.held.get(ordinal, []):
            segment, column = divmod(key, len(self._texts))
            texts = self._texts[column]
            assert texts is not None
            pool = self._values
            numbers, counts = pool.values[slot].tolist(), pool.counts[slot].tolist()
            known = [(texts.text(k), n) for k, n in zip(numbers, counts, strict=True) if k]
            error, kept = commonest(known, int(pool.errors[slot]))
            yield CellValues(names[segment], n_numeric + column, error, tuple(kept))

    def retire(self, indices: Sequence[int]) -> None:
        """Forget panes."""
        ordinals = [self._ordinals.pop(i) for i in indices if i in self._ordinals]
        if ordinals:
            self._value_index.release(ordinals)
            self._absent_index.release(ordinals)
            if self._layout.paired is not None:
                self._products[ordinals] = 0
            self._free += ordinals
