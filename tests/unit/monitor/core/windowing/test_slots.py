"""Slots: handed out, taken back, and given back to the system after a rush."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.windowing.slots import SlotIndex, SlotPool


def assign(index: SlotIndex, ordinals: list[int]) -> list[int]:
    at = np.array(ordinals, np.int32)
    slots, _, _ = index.assign(at, np.zeros(len(at), np.int64), max(ordinals, default=0) + 1)
    return slots.tolist()


def test_memory_of_a_catch_up_is_given_back_once_its_panes_are_retired():
    pool = SlotPool(3)
    index = SlotIndex(pool, 1, 1)
    assign(index, list(range(100)))
    assert pool.n_slots >= 100
    index.release(range(8, 100))
    for ordinal in range(200, 230):  # life goes on with nine panes
        assign(index, [ordinal])
        index.release([ordinal])
    assert 8 <= pool.n_slots <= 20
    assert len(pool.counts) == len(pool.tallies) == len(pool.free) == pool.n_slots


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=80))
def test_what_a_slot_holds_survives_whatever_else_comes_and_goes(steps):
    pool = SlotPool(1)
    index = SlotIndex(pool, 1, 1)
    held: dict[int, int] = {}
    for is_added, ordinal in steps:
        if is_added:
            (slot,) = assign(index, [ordinal])
            pool.tallies[slot, 0] += 1
            held[ordinal] = held.get(ordinal, 0) + 1
        elif ordinal in held:
            index.release([ordinal])
            del held[ordinal]
        slots = {o: pairs[0][1] for o, pairs in index.held.items()}
        assert {o: int(pool.tallies[s, 0]) for o, s in slots.items()} == held
        free = set(pool.free[: pool.n_free].tolist())
        assert free.isdisjoint(slots.values())
        assert len(free) == pool.n_free == pool.n_slots - len(slots)
        assert not pool.tallies[sorted(free)].any()


def test_the_lowest_free_slots_are_handed_out_first():
    index = SlotIndex(SlotPool(1), 1, 1)
    assert [assign(index, [ordinal]) for ordinal in range(9)] == [[slot] for slot in range(9)]
