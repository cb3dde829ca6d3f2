"""The summary of the commonest values: its bounds hold for every stream and every merge."""

from __future__ import annotations

from collections import Counter
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.quality.heavy_hitters import HeavyHitters
from schemas.errors import DomainError

laws = settings(max_examples=150, deadline=None)
capacities = st.integers(1, 8)
streams = st.lists(st.integers(0, 25), max_size=200)


def summary(stream: list[int], capacity: int) -> HeavyHitters[int]:
    hitters = HeavyHitters[int](capacity)
    hitters.add(Counter(stream))
    return hitters


def assert_bounds_hold(hitters: HeavyHitters[int], stream: list[int]) -> None:
    truth = Counter(stream)
    k = hitters.capacity
    assert hitters.n == len(stream)
    assert len(hitters.counts) <= k
    assert hitters.error * (k + 1) <= len(stream) - sum(hitters.counts.values())
    for value in truth.keys() | hitters.counts.keys():
        kept = hitters.counts.get(value, 0)
        assert kept <= truth[value] <= kept + hitters.error


@given(streams, capacities)
@laws
def test_no_count_is_above_the_truth_nor_below_it_by_more_than_the_bound(stream, capacity):
    assert_bounds_hold(summary(stream, capacity), stream)


@given(streams, capacities)
@laws
def test_value_by_value_the_bounds_hold_too(stream, capacity):
    hitters = HeavyHitters[int](capacity)
    for value in stream:
        hitters.add({value: 1})
    assert_bounds_hold(hitters, stream)


@given(streams, capacities)
@laws
def test_every_value_in_more_than_a_fair_share_is_kept(stream, capacity):
    hitters = summary(stream, capacity)
    frequent = {v for v, n in Counter(stream).items() if n * (capacity + 1) > len(stream)}
    assert frequent <= hitters.counts.keys()


@given(st.lists(st.integers(0, 6), max_size=200))
@laws
def test_as_many_counters_as_values_count_exactly(stream):
    hitters = summary(stream, 7)
    assert hitters.is_exact
    assert hitters.counts == dict(Counter(stream))


@given(st.lists(streams, min_size=1, max_size=5), capacities, st.booleans())
@laws
def test_merged_in_any_grouping_the_bounds_are_those_of_all(parts, capacity, is_from_the_right):
    summaries = [summary(part, capacity) for part in parts]
    if is_from_the_right:
        merged = reduce(lambda right, left: left.merge(right), reversed(summaries))
    else:
        merged = reduce(lambda left, right: left.merge(right), summaries)
    assert_bounds_hold(merged, [value for part in parts for value in part])


@given(streams, streams, capacities)
@laws
def test_merging_is_commutative_and_the_empty_summary_is_its_identity(one, other, capacity):
    a, b = summary(one, capacity), summary(other, capacity)
    ab, ba = a.merge(b), b.merge(a)
    assert (ab.counts, ab.n, ab.error) == (ba.counts, ba.n, ba.error)
    same = a.merge(HeavyHitters[int](capacity))
    assert (same.counts, same.n, same.error) == (a.counts, a.n, a.error)


@given(streams, streams, capacities)
@laws
def test_merging_leaves_both_as_they_were(one, other, capacity):
    a, b = summary(one, capacity), summary(other, capacity)
    before = dict(a.counts), dict(b.counts)
    a.merge(b).add({-1: 5})
    assert (a.counts, b.counts) == before


def test_memory_is_bounded_while_a_large_piece_is_added(monkeypatch):
    largest = 0
    reduce_ = HeavyHitters._reduce

    def watched(self):
        nonlocal largest
        largest = max(largest, len(self.counts))
        reduce_(self)

    monkeypatch.setattr(HeavyHitters, "_reduce", watched)
    HeavyHitters[int](100).add(dict.fromkeys(range(100_000), 1))
    assert largest == 201


def test_the_commonest_of_a_long_tail_are_found_with_bounds_that_hold():
    truth = Counter({rank: 1_000_000 // (rank + 1) for rank in range(50_000)})
    hitters = HeavyHitters[int](1_000)
    items = list(truth.items())
    for start in range(0, len(items), 7_000):
        hitters.add(dict(items[start : start + 7_000]))
    found = hitters.heaviest(20)
    assert [hitter.value for hitter in found] == list(range(20))
    assert all(hitter.lower <= truth[hitter.value] <= hitter.upper for hitter in found)
    assert hitters.error <= sum(truth.values()) / 1_001


def test_an_empty_summary_says_so():
    hitters = HeavyHitters[str](3)
    hitters.add({})
    hitters.add({"a": 0})
    assert (hitters.n, hitters.counts, hitters.is_exact, hitters.heaviest()) == (0, {}, True, [])
    assert hitters.kept_share != hitters.kept_share


def test_what_is_wrong_is_refused_with_its_value():
    with pytest.raises(DomainError, match="capacity is 0"):
        HeavyHitters(0)
    hitters = HeavyHitters[str](2)
    with pytest.raises(DomainError, match="the count of 'b' is -1"):
        hitters.add({"a": 1, "b": -1})
    assert hitters.n == 0
    with pytest.raises(DomainError, match="capacities are 2 and 3"):
        hitters.merge(HeavyHitters[str](3))
