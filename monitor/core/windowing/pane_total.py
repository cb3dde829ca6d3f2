"""The sum of panes, kept as it grows: a body is added to it without being unpacked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import pane_body as kernels
from detectors.kernels.accumulate import N_MOMENTS
from detectors.kernels.digest import add_and_compress
from monitor.core.windowing.details.block import decode_details
from monitor.core.windowing.details.total import DetailTotal
from monitor.core.windowing.merge import ordered_segments
from monitor.core.windowing.pane_body import PaneBody, empty_rows, stats_of
from monitor.core.windowing.pane_digest import KEYS, empty_results, joined_digest
from schemas.panes import ALL, N_CALIBRATION, CellDetails, SeriesStats

_MOST = 1 << 62


class _Rows:
    """Integers and floats of named series; a name that is new gets the next row."""

    __slots__ = ("_last", "_names", "_rows", "floats", "integers")

    def __init__(self, n_variables: int) -> None:
        self._names: dict[str, int] = {}
        self.integers, self.floats = empty_rows(0, n_variables)
        self._last: tuple[str, ...] = ()
        self._rows: NDArray[np.int32] = np.empty(0, np.int32)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the rows."""
        return tuple(self._names)

    def rows_of(self, names: tuple[str, ...]) -> NDArray[np.int32]:
        """Return the row of each name."""
        if names is not self._last:
            known = self._names
            for name in names:
                known.setdefault(name, len(known))
            self._grow(len(known) - len(self.integers))
            self._rows = np.array([known[name] for name in names], np.int32)
            self._last = names
        return self._rows

    def _grow(self, n_new: int) -> None:
        """Append rows."""
        if n_new:
            n_variables = (self.floats.shape[1] - N_CALIBRATION) // N_MOMENTS
            integers, floats = empty_rows(n_new, n_variables)
            self.integers = np.concatenate((self.integers, integers))
            self.floats = np.concatenate((self.floats, floats))

    def add(self, other: _Rows) -> None:
        """Add every series of another one."""
        rows = self.rows_of(other.names)
        kernels.add_rows(rows, other.integers, other.floats, self.integers, self.floats)

    def stats(self) -> SeriesStats:
        """Return the series in the order of :func:`ordered_segments`."""
        names = ordered_segments(self._names)
        order = [self._names[name] for name in names]
        return stats_of(names, self.integers[order], self.floats[order])


class PaneTotal:
    """Segments and slices of all panes added so far, in the order they were added.

    Parameters
    ----------
    n_variables : int
        Of the segments of every pane.
    has_slices : bool, optional
        False if only the segments are needed.

    Notes
    -----
    Bit for bit what :func:`~monitor.core.windowing.merge.merge_all` makes of the same panes in
    the same order: each series is its first pane added to zeros, then the next one.
    """

    __slots__ = ("_details", "_segments", "_slices", "has_slices", "n_panes", "n_variables")

    def __init__(self, n_variables: int, *, has_slices: bool = True) -> None:
        self.n_variables, self.n_panes, self.has_slices = n_variables, 0, has_slices
        self._segments, self._slices = _Rows(n_variables), _Rows(1)
        self._details: DetailTotal | None = None

    def add(self, body: PaneBody) -> None:
        """Add a pane that was checked, of the same number of variables."""
        self._add(body, None)

    def add_digested(self, body: PaneBody) -> int:
        """Add a pane as :meth:`add` does, and return its digest, of :func:`digest_of`."""
        results = empty_results(body)
        self._add(body, results)
        return joined_digest(body, results)

    def _add(self, body: PaneBody, results: NDArray[np.uint64] | None) -> None:
        """Add a pane, and compress it where there is room for results."""
        segments, slices = self._segments, self._slices
        rows = segments.rows_of(body.segments)
        # the kernel writes all slices: without them, into one row
        slice_rows = slices.rows_of(body.slices if self.has_slices else (ALL,) * len(body.slices))
        tokens, numbers = body.arrays()
        arguments = (
            tokens,
            numbers,
            body.n_variables,
            rows,
            segments.integers,
            segments.floats,
            slice_rows,
            slices.integers,
            slices.floats,
            _MOST,
        )
        if results is None:
            kernels.add_body(*arguments, False)
        else:
            add_and_compress(*arguments, KEYS, results)
        if body.details:
            self._own_details().add(decode_details(body.details, body.n_variables))
        self.n_panes += 1

    def _own_details(self) -> DetailTotal:
        """Return where details are added; most panes have none."""
        if self._details is None:
            self._details = DetailTotal(self.n_variables)
        return self._details

    def add_total(self, other: PaneTotal) -> None:
        """Add all that another total holds, as one pane."""
        self._segments.add(other._segments)
        self._slices.add(other._slices)
        if other._details is not None:
            self._own_details().add_total(other._details)
        self.n_panes += other.n_panes

    @property
    def n_bytes(self) -> int:
        """Bytes of its arrays, and about those of its details."""
        parts = (self._segments, self._slices)
        n_details = self._details.n_bytes if self._details is not None else 0
        return sum(part.integers.nbytes + part.floats.nbytes for part in parts) + n_details

    def copy(self) -> PaneTotal:
        """Return a total that grows by itself."""
        made = PaneTotal(self.n_variables, has_slices=self.has_slices)
        made.add_total(self)
        return made

    def stats(self) -> tuple[SeriesStats, SeriesStats]:
        """Return segments and slices as new arrays."""
        slices = self._slices.stats() if self.has_slices else SeriesStats.empty((), 1)
        return self._segments.stats(), slices

    @property
    def has_details(self) -> bool:
        """Whether all panes were counted with details."""
        return self._details is None or self._details.is_counted

    @property
    def products(self) -> NDArray[np.int64] | None:
        """Sums of products of features; None unless every pane has them."""
        own = self._details
        return own.products if own is not None and own.n_paired == self.n_panes else None

    def details(self) -> Mapping[tuple[str, int], CellDetails]:
        """Return the details of cells that have some, by segment and variable."""
        return self._details.cells() if self._details is not None else {}
