"""Replicas against each other: laws of the comparison, whatever the ticks hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kernels import scale_state as at
from detectors.multiscale.components import numeric_components
from detectors.multiscale.replicas import (
    FORGOTTEN_US,
    LEARNING_HOURS,
    LEAST_OTHERS,
    MOST_KNOWN,
    ReplicaPlan,
    ReplicaRule,
    ReplicaState,
    forgotten,
)
from detectors.multiscale.rule import TICK_US
from schemas.errors import ShapeError
from schemas.panes import N_COUNTERS

COUNTS = np.zeros(N_COUNTERS, np.int64)
COUNTS[:60] = 1_000
PLAN = ReplicaPlan(numeric_components(np.arange(61.0), COUNTS), COUNTS)
J = len(PLAN.components)
N_KNOWN = 3 * 288
"""Ticks after which a replica has a baseline of its own."""


def rule() -> ReplicaRule:
    return ReplicaRule(PLAN, 0.1, TICK_US, 297)


def counts_of(rng: np.random.Generator, n: int, lift: float = 0.0) -> np.ndarray:
    bins = np.minimum((60 * rng.random(n) ** np.exp(-lift)).astype(int), 59)
    return np.bincount(bins, minlength=N_COUNTERS)


def run(seed: int, n_ticks: int, names, lifts, own=None, state=None, begin=0):
    """Judge ticks of 20 rows a replica; return what opened and the state."""
    rng = np.random.default_rng(seed)
    own, state = own or rule(), state or ReplicaState.start(PLAN)
    opened = []
    for tick in range(begin, begin + n_ticks):
        counts = np.array([counts_of(rng, 20, lift) for lift in lifts])
        judged, state = own.judge(state, names, counts, (tick + 1) * TICK_US)
        opened += [state.names[r] for r in np.flatnonzero(judged.verdicts.has_opened)]
    return opened, state, judged


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000), st.permutations(range(5)))
def test_the_order_of_replicas_in_a_tick_changes_nothing(seed, order):
    rng = np.random.default_rng(seed)
    names = [f"host={i}" for i in range(5)]
    one, other = ReplicaState.start(PLAN), ReplicaState.start(PLAN)
    for tick in range(1, 9):
        counts = np.array([counts_of(rng, n) for n in rng.integers(1, 40, 5)])
        end_us = tick * TICK_US
        _, one = rule().judge(one, names, counts, end_us)
        _, other = rule().judge(other, [names[i] for i in order], counts[list(order)], end_us)
    assert one.names == other.names
    for part in ("components", "scales", "cells"):
        assert np.array_equal(getattr(one.averages, part), getattr(other.averages, part))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000), st.integers(2, 6))
def test_replicas_with_the_same_counters_differ_in_nothing(seed, n):
    rng = np.random.default_rng(seed)
    own, state = rule(), ReplicaState.start(PLAN)
    for tick in range(1, 9):
        counts = np.repeat(counts_of(rng, 30, rng.normal())[None], n, axis=0)
        judged, state = own.judge(state, [str(i) for i in range(n)], counts, tick * TICK_US)
        assert np.abs(judged.sums).max() < 1e-9
    assert np.abs(state.averages.components[:, at.SUM : at.SUM + at.N_SCALES]).max() < 1e-6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1_000), st.integers(0, 59), st.integers(100, 5_000))
def test_one_tick_of_any_content_alone_never_fires(seed, value, n):
    names = ["a", "b", "c"]
    own, state = rule(), ReplicaState.start(PLAN)
    rng = np.random.default_rng(seed)
    for tick in range(1, 60):
        counts = np.array([counts_of(rng, 20) for _ in names])
        if tick == 40:
            counts[1] = 0
            counts[1, value] = n
        judged, state = own.judge(state, names, counts, tick * TICK_US)
        assert not judged.verdicts.has_opened.any()


def test_a_gross_fault_of_one_of_three_does_not_name_the_others():
    names, rng = ["a", "b", "c"], np.random.default_rng(1)
    opened, state, _ = run(1, N_KNOWN, names, (0, 0, 0))
    assert opened == []
    own, found = rule(), []
    for tick in range(N_KNOWN, N_KNOWN + 30):
        counts = np.array([counts_of(rng, 20) for _ in names])
        counts[2] = 0
        counts[2, 7] = 20
        judged, state = own.judge(state, names, counts, (tick + 1) * TICK_US)
        found += [state.names[r] for r in np.flatnonzero(judged.verdicts.has_opened)]
    assert found == ["c"]


def test_the_baseline_is_the_first_week_and_stands_still_after_it():
    names, lifts = ["a", "b", "c", "d"], (0.3, 0, 0, 0)
    n_days = int(LEARNING_HOURS / 24) + 2
    own = rule()
    opened, state, _ = run(2, 288 * n_days, names, lifts, own)
    assert opened == []
    learned = state.averages.components[:, at.CORRECTION].copy()
    location = PLAN.components.location
    assert learned[location] > 0.15
    assert np.abs(learned[J * np.arange(1, 4) + location]).max() < learned[location] / 2
    run(3, 288 * 2, names, (0, 0, 0, 0), own, state, begin=288 * n_days)
    assert np.array_equal(state.averages.components[:, at.CORRECTION], learned)


def test_a_replica_that_goes_or_comes_moves_no_other():
    names, lifts = ["a", "b", "c", "d"], (1.0, 0, 0, 0)
    own = rule()
    opened, state, before = run(4, 288 * 4, names, lifts, own)
    assert opened == []
    opened, state, _ = run(5, 288, names[1:], lifts[1:], own, state, begin=288 * 4)
    assert opened == []
    location = PLAN.components.location
    level = state.averages.components[:, at.SUM + 3].reshape(4, J)[1:, location]
    weight = state.averages.scales[1:, 3, at.WEIGHT]
    assert np.abs(level / weight).max() < 0.05
    opened, _, _ = run(6, 288, [*names[1:], "e"], (0, 0, 0, 1.0), own, state, begin=288 * 5)
    assert opened == []


def test_without_enough_rows_of_others_a_replica_is_not_judged():
    own, state = rule(), ReplicaState.start(PLAN)
    counts = np.array([np.bincount([3] * 50, minlength=64), np.bincount([3] * 4, minlength=64)])
    judged, state = own.judge(state, ["a", "b"], counts, TICK_US)
    assert LEAST_OTHERS > 4
    assert judged.rows.tolist() == [0.0, pytest.approx(1 / (1 / 4 + 1 / 50))]
    judged, state = own.judge(state, ["a"], counts[:1], 2 * TICK_US)
    assert judged.rows.tolist() == [0.0, 0.0]


def test_a_forgotten_replica_leaves_the_alerts_of_the_others():
    own = rule()
    _, state, _ = run(7, N_KNOWN, ["a", "b", "c", "d"], (0, 0, 0, 0), own)
    opened, state, _ = run(8, 60, ["b", "c", "d"], (0, 0, 3.0), own, state, begin=N_KNOWN)
    assert opened == ["d"]
    component = state.averages.cells[3, at.OPEN_COMPONENT] - 3 * J
    is_gone = forgotten(state, N_KNOWN * TICK_US + FORGOTTEN_US)
    assert is_gone.tolist() == [True, False, False, False]
    left = state.without(is_gone)
    assert left.names == ("b", "c", "d")
    assert left.averages.cells[2, at.OPEN_COMPONENT] - 2 * J == component
    opened, left, _ = run(9, 3, ["b", "c", "d"], (0, 0, 3.0), own, left, begin=N_KNOWN + 60)
    assert opened == []
    assert left.averages.cells[:, at.IS_OPEN].tolist() == [0.0, 0.0, 1.0]


def test_names_that_do_not_fit_are_refused():
    for names, n in ((["a"], 2), (["a", "a"], 2)):
        with pytest.raises(ShapeError):
            rule().judge(ReplicaState.start(PLAN), names, np.ones((n, 64), np.int64), TICK_US)


def test_beyond_the_most_known_those_longest_without_rows_are_forgotten():
    state = ReplicaState.start(PLAN)
    n_first, n_later = MOST_KNOWN - 10, 25
    for tick, (begin, n) in enumerate([(0, n_first), (n_first, n_later)], 1):
        names = [f"host={i}" for i in range(begin, begin + n)]
        counts = np.tile(counts_of(np.random.default_rng(tick), 20), (n, 1))
        _, state = rule().judge(state, names, counts, tick * TICK_US)
    is_gone = forgotten(state, 3 * TICK_US)
    assert np.flatnonzero(is_gone).tolist() == list(range(n_first + n_later - MOST_KNOWN))
    assert not forgotten(state.without(is_gone), 3 * TICK_US).any()
