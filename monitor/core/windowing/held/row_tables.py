"""How an event becomes a row of a pane that holds too few to be counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.kernels import rows as kernels
from monitor.core.windowing.held.row_names import RowNames

if TYPE_CHECKING:
    from monitor.core.windowing.layout import Layout

N_FORGET = 4_096
"""With more names of hosts or GPUs than this, new rows get numbers of their own."""
_MAX_KNOWN = 4_096
"""Sets of segments that are remembered."""


class RowTables:
    """A layout's edges, look-up tables and tables of codes, as :func:`append_rows` takes them.

    Parameters
    ----------
    layout : Layout
        Its grids and remaps are shared, not copied.

    Attributes
    ----------
    shape : ndarray of int64
        See :mod:`detectors.kernels.rows`.
    names : RowNames
        Numbers of hosts and GPUs. Replaced by new ones when there are too many: rows that
        were written before keep the old ones.
    digits : ndarray of int64
        See :mod:`detectors.kernels.row_bodies`.
    """

    def __init__(self, layout: Layout) -> None:
        schema, grids = layout.schema, layout.grids
        first = len(schema.categorical)
        following = first + len(schema.segments)
        v = layout.n_variables
        self.words = kernels.record_words(len(grids), v)
        places = (first, following + 1, following + 2, following + 3)
        self.shape = np.array((len(grids), v, len(layout.remaps), *places, self.words), np.int64)
        self.n_edges = np.array([len(grid.edges) for grid in grids], np.int64)
        width = int(self.n_edges.max(initial=0))
        padded = [np.pad(grid.edges, (0, width - len(grid.edges))) for grid in grids]
        self.edges = np.concatenate(padded) if grids else np.empty(0)
        self.grids = _joined_tables(layout)
        self.scales = np.array([x for grid in grids for x in (grid.origin, grid.scale)], float)
        self.radices = np.array([len(remap.index) + 1 for remap in layout.remaps], np.int64)
        self.names = RowNames()
        self.n_variables = v
        self.digits, self._segments = _ranked_digits(layout)
        self._known_segments: dict[tuple[int, ...], bytes] = {}
        self._layout = layout
        self._known: list[tuple[Sequence[str], int]] = []
        self.tables: NDArray[np.int64] = np.empty(0, np.int64)
        self.starts: NDArray[np.int64] = np.empty(0, np.int64)

    def refresh(self, values: Sequence[Sequence[str]]) -> None:
        """Take note of texts that are new.

        Parameters
        ----------
        values : sequence of sequence of str
            Texts of every column of codes: categorical variables, segments, model version,
            prediction, host, GPU.
        """
        if len(self._known) == len(values) and all(
            known is texts and n == len(texts)
            for (known, n), texts in zip(self._known, values, strict=True)
        ):
            return
        self._known = [(texts, len(texts)) for texts in values]
        if len(self.names) > N_FORGET:
            self.names = RowNames()
        layout, first = self._layout, len(self._layout.schema.categorical)
        *_, prediction, host, gpu = values
        parts = [
            *(remap.table_of(values[i]) for i, remap in enumerate(layout.categories)),
            *(remap.table_of(values[first + i]) for i, remap in enumerate(layout.remaps)),
            layout.positives.table_of(prediction),
            self.names.interners[0].table_of(host),
            self.names.interners[1].table_of(gpu),
        ]
        self.tables = np.concatenate(parts)
        ends = np.cumsum([len(part) for part in parts])
        self.starts = np.concatenate(([0], ends[:-1]))

    def segment_names(self, ranks: tuple[int, ...]) -> bytes:
        """Return MessagePack of the names of ``*`` and of segments, given by rank."""
        found = self._known_segments.get(ranks)
        if found is None:
            if len(self._known_segments) >= _MAX_KNOWN:
                self._known_segments.clear()
            names = [self._segments[rank] for rank in (0, *ranks)]
            found = self._known_segments[ranks] = msgspec.msgpack.encode(names)
        return found


def _ranked_digits(layout: Layout) -> tuple[NDArray[np.int64], list[str]]:
    """Return the radices and ranks of segment values, and all segments by rank."""
    names = layout.segments
    order = [0, *sorted(range(1, len(names)), key=lambda i: names[i])]
    ranks = np.full(len(names) + 1, -1, np.int64)  # of the digit -1: the last one
    ranks[order] = np.arange(len(order))
    radices = np.array([len(digits) for digits in layout.digits], np.int64)
    return np.concatenate([radices, *(ranks[d] for d in layout.digits)]), [names[i] for i in order]


def _joined_tables(layout: Layout) -> NDArray[np.uint8]:
    """Return the look-up tables of all grids as one array: they lie behind each other."""
    if not layout.grids:
        return np.empty(0, np.uint8)
    joined = layout.grids[0].table.base
    assert joined is not None
    return joined.reshape(-1)
