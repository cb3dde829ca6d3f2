"""The details of many panes, added as they come."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.quality.heavy_hitters import HeavyHitters
from monitor.core.windowing.details.block import PaneDetails
from monitor.core.windowing.details.limits import MAX_VALUES
from schemas.panes import CellDetails

KEPT_VALUES = 32
"""Values of a cell that are kept while panes are added."""
_VALUE_BYTES = 200
"""Of a text and its place in a dictionary."""
Cell = tuple[str, int]
"""Segment and variable."""


class DetailTotal:
    """Absent rows and new values of all panes added so far.

    Parameters
    ----------
    n_variables : int
        Of every pane.

    Notes
    -----
    A value is among those of its cell if it is more than a seventh of the cell's new values: a
    pane drops less than a ninth of its own (the ninth commonest, which eight others exceed), adding
    them a thirty-third (:class:`~detectors.quality.heavy_hitters.HeavyHitters`). Which rarer ones
    are, depends on the panes and on their order, in which they are always added.
    """

    __slots__ = ("_absent", "_rows", "_values", "is_counted", "n_paired", "products")

    def __init__(self, n_variables: int) -> None:
        self.is_counted = True
        self.products: NDArray[np.int64] | None = None
        self.n_paired = 0
        """Panes whose products are in ``products``."""
        self._rows: dict[str, int] = {}
        self._absent: NDArray[np.int64] = np.zeros((0, n_variables), np.int64)
        self._values: dict[Cell, HeavyHitters[str]] = {}

    def add(self, details: PaneDetails) -> None:
        """Add the details of a pane."""
        self.is_counted &= details.is_counted
        self._add_absent(details.segments, details.absent)
        for segment, variable, error, values in details.cells:
            known = self._values.get((segment, variable))
            if known is None:
                known = self._values[segment, variable] = HeavyHitters(KEPT_VALUES)
            known.add(dict(values))
            known.error += error
        if details.products is not None:
            self._add_products(details.products, 1)

    def add_total(self, other: DetailTotal) -> None:
        """Add all that another total holds."""
        self.is_counted &= other.is_counted
        self._add_absent(tuple(other._rows), other._absent)
        for cell, values in other._values.items():
            known = self._values.get(cell, HeavyHitters[str](KEPT_VALUES))
            self._values[cell] = known.merge(values)
        if other.products is not None:
            self._add_products(other.products, other.n_paired)

    def _add_products(self, products: NDArray[np.int64], n_panes: int) -> None:
        """Add sums of products; those of another number of pairs are not counted."""
        if self.products is None:
            self.products = products.copy()
        elif len(products) == len(self.products):
            self.products += products
        else:
            return
        self.n_paired += n_panes

    def _add_absent(self, segments: tuple[str, ...], absent: NDArray[np.int64]) -> None:
        """Add absent rows; a segment that is new gets the next row."""
        if not segments:
            return
        known = self._rows
        rows = [known.setdefault(name, len(known)) for name in segments]
        n_new = len(known) - len(self._absent)
        if n_new:
            more = np.zeros((n_new, self._absent.shape[1]), np.int64)
            self._absent = np.concatenate((self._absent, more))
        self._absent[rows] += absent

    @property
    def n_bytes(self) -> int:
        """About how many bytes it takes."""
        n_values = sum(len(values.counts) for values in self._values.values())
        n_products = 0 if self.products is None else self.products.nbytes
        return self._absent.nbytes + n_values * _VALUE_BYTES + n_products

    def cells(self) -> Mapping[Cell, CellDetails]:
        """Return the details of every cell that has some."""
        found = {cell: self._details(values) for cell, values in sorted(self._values.items())}
        for name, row in self._rows.items():
            for v in np.flatnonzero(self._absent[row]).tolist():
                cell, n_absent = (name, v), int(self._absent[row, v])
                values = found.get(cell, CellDetails())
                found[cell] = CellDetails(n_absent, values.new_values, values.error)
        return found

    def _details(self, values: HeavyHitters[str]) -> CellDetails:
        """Return the new values of a cell."""
        ranked = values.heaviest(MAX_VALUES)
        return CellDetails(0, tuple((v.value, v.lower) for v in ranked), values.error)
