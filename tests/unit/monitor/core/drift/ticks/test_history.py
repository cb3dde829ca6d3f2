"""Ticks by age: nothing is lost or counted twice, and a restored history equals the kept one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from monitor.core.drift.ticks.closing import Tick
from monitor.core.drift.ticks.history import (
    BLOCK_US,
    HOURS_US,
    KEPT_US,
    TICKS_US,
    TickHistory,
)
from schemas.errors import ShapeError
from schemas.time_units import HOUR_US, MINUTE_US

TICK_US = 5 * MINUTE_US


def ticks(n, rng, present=1.0):
    """Ticks of a random walk of counts, some of them absent."""
    for i in range(n):
        if rng.random() < present:
            rows = rng.integers(1, 100)
            sums = np.array([rng.integers(0, rows + 1), rows], float)
            yield Tick(i * TICK_US, (i + 1) * TICK_US, sums, np.array([float(rows)]))


@pytest.mark.parametrize("present", [1.0, 0.3])
def test_every_row_of_the_last_month_is_there_once_and_in_order(present):
    rng = np.random.default_rng(3)
    history, every = TickHistory(2, 1), list(ticks(9_500, rng, present))
    for tick in every:
        history.add(tick)
    now_us = every[-1].end_us
    past = history.past(0, 0, 0)
    assert all(a <= b for a, b in pairwise(past.start_us.tolist()))
    assert all(end <= start for end, start in zip(past.end_us, past.start_us[1:], strict=False))
    kept = [t for t in every if t.start_us >= past.start_us[0]]
    assert past.sums.sum() == sum(t.sums[0] for t in kept)
    assert past.rows.sum() == sum(t.rows[0] for t in kept)
    assert past.start_us[0] > now_us - KEPT_US - 2 * BLOCK_US
    assert len(past.rows) <= 73 + 51 + 98
    recent = past.end_us > now_us - TICKS_US
    assert (past.end_us - past.start_us)[recent].tolist() == [TICK_US] * int(recent.sum())
    middle = ~recent & (past.end_us > now_us - HOURS_US)
    assert (past.end_us - past.start_us)[middle].max() <= HOUR_US
    assert (past.end_us - past.start_us).max() <= BLOCK_US


@pytest.mark.parametrize("at", [0, 1, 50, 75, 700, 1_500])
def test_a_history_that_was_stored_goes_on_as_if_it_had_not_been(at):
    rng = np.random.default_rng(4)
    every = list(ticks(1_600, rng, 0.8))
    kept, stored = TickHistory(2, 1), TickHistory(2, 1)
    for i, tick in enumerate(every):
        if i == at:
            again = TickHistory(2, 1)
            again.restore(stored.export())
            stored = again
        kept.add(tick)
        stored.add(tick)
    assert stored.export() == kept.export()


def test_only_what_ends_after_a_time_is_returned():
    history = TickHistory(2, 1)
    for tick in ticks(20, np.random.default_rng(5)):
        history.add(tick)
    assert history.past(0, 0, 15 * TICK_US).start_us.tolist() == [
        k * TICK_US for k in range(15, 20)
    ]


def test_the_history_of_another_baseline_is_refused():
    history, other = TickHistory(2, 1), TickHistory(3, 1)
    for tick in ticks(2, np.random.default_rng(6)):
        history.add(tick)
    with pytest.raises(ShapeError, match="another baseline"):
        other.restore(history.export())
