"""Which rows of a chunk lie in which pane."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.kernels.event_time import ACCEPTED, LATE, find_extents


@pytest.mark.parametrize("seed", range(5))
def test_extents_are_the_first_and_last_accepted_rows_and_their_number(seed):
    rng = np.random.default_rng(seed)
    lowest, n_panes = 1_000, 6
    pane = lowest + np.repeat(rng.integers(0, n_panes, 40), rng.integers(1, 6, 40))
    verdicts = np.where(rng.random(len(pane)) < 0.3, LATE, ACCEPTED).astype(np.uint8)
    first, last = np.full(n_panes, -1), np.full(n_panes, -1)
    n_rows = np.zeros(n_panes, np.int64)
    find_extents(pane, verdicts, lowest, first, last, n_rows)
    for k in range(n_panes):
        rows = np.flatnonzero((pane == lowest + k) & (verdicts == ACCEPTED))
        assert n_rows[k] == len(rows)
        assert [first[k], last[k]] == ([rows[0], rows[-1]] if len(rows) else [-1, -1])


def test_a_chunk_without_accepted_rows_has_no_extent():
    first, last, n_rows = np.array([-1]), np.array([-1]), np.zeros(1, np.int64)
    find_extents(np.zeros(4, np.int64), np.full(4, LATE, np.uint8), 0, first, last, n_rows)
    assert (first[0], last[0], n_rows[0]) == (-1, -1, 0)
