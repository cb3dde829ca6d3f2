"""Which hosts and GPUs each pane counts by name, where several panes are counted as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.accumulate import EMPTY
from detectors.kernels.name_limit import RADIX, admit, refill

_N_PLACES = 256


class NameLimit:
    """The first values of each pane, in order of appearance; later ones are refused.

    Parameters
    ----------
    grain : int
        Panes that are counted together. The panes of ordinal k are k * grain and following.
    capacity : int
        Values a pane may have.

    Notes
    -----
    A hash table of (pane, value), 16 bytes a place: 3 ns a row.

    Examples
    --------
    >>> limit = NameLimit(2, 1)
    >>> panes, numbers = np.array([0, 0, 0, 1]), np.array([7, 8, 7, 8])
    >>> limit.refused(panes, numbers).tolist()
    [False, True, False, False]
    """

    def __init__(self, grain: int, capacity: int) -> None:
        self._grain, self._capacity = grain, capacity
        self._keys = np.full(_N_PLACES, EMPTY, np.int64)
        self._sizes = np.zeros(_N_PLACES, np.int64)
        self._state = np.zeros(1, np.int64)

    def refused(self, panes: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which rows have a value that came after their pane was full.

        Parameters
        ----------
        panes, numbers : ndarray of int64, shape (n,)
            Pane and value of each row, in order; a value of 0 is none.
        """
        out = np.zeros(len(panes), np.bool_)
        start = 0
        while True:
            start = admit(
                panes, numbers, start, self._capacity, self._keys, self._sizes, self._state, out
            )
            if start == len(panes):
                return out
            self._rebuild(self._keys >= 0, 2 * len(self._keys))

    def release(self, ordinals: Sequence[int]) -> None:
        """Forget the panes of these ordinals."""
        if self._state[0]:
            owner = self._keys // RADIX // self._grain
            self._rebuild((self._keys >= 0) & ~np.isin(owner, ordinals), _N_PLACES)

    def _rebuild(self, kept: NDArray[np.bool_], n_places: int) -> None:
        """Move what is kept to a table of at least so many places."""
        keys, sizes = self._keys[kept], self._sizes[kept]
        while n_places < 4 * len(keys):
            n_places *= 2
        self._keys = np.full(n_places, EMPTY, np.int64)
        self._sizes = np.zeros(n_places, np.int64)
        self._state[0] = len(keys)
        refill(keys, sizes, self._keys, self._sizes)
