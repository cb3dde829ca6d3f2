"""The table of values of each pane is never more than half full."""

from __future__ import annotations

import numpy as np

from detectors.kernels.accumulate import EMPTY
from detectors.kernels.name_limit import admit


def test_a_table_stops_taking_rows_before_it_is_more_than_half_full():
    n_panes, size = 100, 64
    panes, numbers = np.arange(n_panes), np.ones(n_panes, np.int64)
    keys, sizes = np.full(size, EMPTY, np.int64), np.zeros(size, np.int64)
    state, out = np.zeros(1, np.int64), np.zeros(n_panes, bool)
    stopped = admit(panes, numbers, 0, 8, keys, sizes, state, out)
    n_used = int(np.count_nonzero(keys != EMPTY))
    assert n_used == state[0] == 2 * stopped, "two keys a pane: its values, and how many there are"
    assert size // 2 - 2 <= n_used <= size // 2
    assert not out.any()


def test_values_beyond_the_capacity_of_a_pane_are_marked():
    panes, numbers = np.zeros(6, np.int64), np.array([1, 2, 1, 3, 0, 4])
    keys, sizes = np.full(64, EMPTY, np.int64), np.zeros(64, np.int64)
    state, out = np.zeros(1, np.int64), np.zeros(6, bool)
    assert admit(panes, numbers, 0, 2, keys, sizes, state, out) == 6
    assert out.tolist() == [False, False, False, True, False, True]


def test_each_pane_admits_its_own_first_values():
    rng = np.random.default_rng(3)
    panes, numbers = rng.integers(0, 12, 2_000), rng.integers(0, 60, 2_000)
    keys, sizes = np.full(4_096, EMPTY, np.int64), np.zeros(4_096, np.int64)
    state, out = np.zeros(1, np.int64), np.zeros(len(panes), bool)
    assert admit(panes, numbers, 0, 20, keys, sizes, state, out) == len(panes)
    admitted: dict[int, set[int]] = {}
    for pane, number, is_beyond in zip(panes.tolist(), numbers.tolist(), out.tolist(), strict=True):
        own = admitted.setdefault(pane, set())
        assert is_beyond == (number != 0 and number not in own and len(own) == 20)
        if number and not is_beyond:
            own.add(number)
