"""Rows of many open panes, each pane's in a chain: 220 bytes a row of 21 variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detectors.kernels import rows as kernels
from monitor.core.windowing.held.row_tables import RowTables

if TYPE_CHECKING:
    from schemas.batch import MixedBatch

_LINK_BYTES = 8
"""Of a record beside its words: the next one, and its place on the stack of free ones."""
_LEAST = 64
"""Fewer records are not worth giving back."""


def row_bytes(words: int) -> int:
    """Return how much room a row takes.

    Examples
    --------
    >>> row_bytes(27)
    224
    """
    return 8 * words + _LINK_BYTES


class RowPool:
    """Records of one size, in chains.

    Parameters
    ----------
    words : int
        Of a record.

    Notes
    -----
    The arrays grow by a quarter when they are full, and shrink to what is used when less than
    a quarter of them is.
    """

    def __init__(self, words: int) -> None:
        self.words = words
        self.chains: NDArray[np.int32] = np.zeros((0, 3), np.int32)
        self._free_chains: list[int] = []
        self._allocate(0)

    def _allocate(self, n: int) -> None:
        """Make empty arrays."""
        self.integers: NDArray[np.int64] = np.zeros(n * self.words, np.int64)
        self.following: NDArray[np.int32] = np.empty(n, np.int32)
        self._free: NDArray[np.int32] = np.arange(n - 1, -1, -1, dtype=np.int32)
        self._n_free = n
        self.floats = self.integers.view(np.float64)
        self.octets = self.integers.view(np.uint8)

    @property
    def n_rows(self) -> int:
        """Rows held."""
        return len(self._free) - self._n_free

    def open(self) -> int:
        """Return a new, empty chain."""
        if not self._free_chains:
            n, n_new = len(self.chains), max(16, len(self.chains) // 4)
            self.chains = np.concatenate((self.chains, np.zeros((n_new, 3), np.int32)))
            self._free_chains = [*range(n + n_new - 1, n - 1, -1)]
        return self._free_chains.pop()

    def size(self, chain: int) -> int:
        """Return how many rows a chain has."""
        return int(self.chains[chain, kernels.SIZE])

    def append(
        self,
        tables: RowTables,
        mixed: MixedBatch,
        rows: NDArray[np.int64],
        chains: NDArray[np.int64],
    ) -> None:
        """Append rows of one layout, each to its chain, in the order given.

        Parameters
        ----------
        tables : RowTables
            Of the layout; it knows the texts of these rows.
        rows, chains : ndarray of int64, shape (n,)
            Indices into the batch, and where each row belongs.
        """
        n = len(rows)
        if n > self._n_free:
            self._move(max(_LEAST, self.n_rows + n, len(self._free) * 5 // 4))
        kernels.append_rows(
            rows,
            chains,
            mixed.numbers,
            mixed.codes,
            tables.shape,
            tables.edges,
            tables.n_edges,
            tables.grids,
            tables.scales,
            tables.tables,
            tables.starts,
            tables.radices,
            self.chains,
            self.following,
            self._free,
            self._n_free,
            self.floats,
            self.integers,
            self.octets,
        )
        self._n_free -= n

    def list(self, tables: RowTables, chain: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the records of a chain, and their integers, shape (3, n)."""
        head, _, n = self.chains[chain].tolist()
        records, found = np.empty(n, np.int32), np.empty((kernels.N_INTEGERS, n), np.int64)
        kernels.list_rows(head, self.following, tables.shape, self.integers, records, found)
        return records, found

    def release(self, chains: Sequence[int]) -> None:
        """Forget chains and their rows."""
        found = np.array(chains, np.int64)
        self._n_free = kernels.free_chains(
            found, self.chains, self.following, self._free, self._n_free
        )
        self._free_chains += chains
        if len(self._free) > _LEAST and self.n_rows < len(self._free) // 4:
            self._move(max(_LEAST, self.n_rows * 5 // 4))

    def _move(self, n: int) -> None:
        """Move all rows to arrays of ``n`` records."""
        following, integers = self.following, self.integers
        self._allocate(n)
        n_moved = kernels.move_rows(
            self.chains, following, self.words, integers, self.following, self.integers
        )
        self._n_free = n - n_moved


class RowPools:
    """A pool for each size of record."""

    def __init__(self) -> None:
        self._pools: dict[int, RowPool] = {}

    def of(self, words: int) -> RowPool:
        """Return the pool of records of so many words."""
        if words not in self._pools:
            self._pools[words] = RowPool(words)
        return self._pools[words]
