"""Panes that hold rows say bit for bit what they say when each row is counted at once."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.windowing import accumulators, open_panes
from monitor.core.windowing.held import row_bodies, row_tables
from tests.support.aggregation import run
from tests.support.pane_logs import logs

SIZES = st.lists(st.integers(1, 8), max_size=40)
CRASHES = st.lists(st.integers(0, 4), max_size=15)


@contextmanager
def held(n: int, n_forget: int = row_tables.N_FORGET):
    """Let a pane hold at most so many rows; with 0 every row is counted when it comes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_panes, "slot_bytes", lambda _: n * 1_000)
        patch.setattr(open_panes, "row_bytes", lambda _: 1_000)
        patch.setattr(row_tables, "N_FORGET", n_forget)
        yield


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs(), SIZES, CRASHES, st.sampled_from([1, 2, 3, 5, 100]), st.sampled_from([1, 4_096]))
def test_held_rows_and_counters_give_the_same_bits(log, sizes, crashes, n, n_forget):
    with held(0):
        counted = run(log, [], [])
    for is_mixed in (False, True):
        with held(n, n_forget):
            found = run(log, sizes, crashes, is_mixed=is_mixed)
        assert found.bits() == counted.bits()
        assert (found.late, found.future) == (counted.late, counted.future)
        assert found.counted() == counted.counted()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs(), SIZES, CRASHES)
def test_held_rows_respect_the_limits_of_combinations_and_names(log, sizes, crashes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accumulators, "MAX_COMBINATIONS", 2)
        patch.setattr(accumulators, "MAX_SEGMENT_VALUES", 1)
        with held(0):
            counted = run(log, [], [])
        with held(100):
            assert run(log, sizes, crashes, is_mixed=True).bits() == counted.bits()


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs(), SIZES, CRASHES, st.sampled_from([0, 2, 5, 100]), st.sampled_from([1, 4_096]))
def test_bodies_of_held_rows_have_the_bytes_of_bodies_of_counters(log, sizes, crashes, n, n_forget):
    with held(0):
        counted = run(log, [], [])
    for room in (1, 1 << 23):
        with held(n, n_forget), pytest.MonkeyPatch.context() as patch:
            patch.setattr(row_bodies, "_MAX_ROOM", room)
            found = run(log, sizes, crashes, is_mixed=True, is_packed=True)
        assert found.bodies() == counted.bodies()
