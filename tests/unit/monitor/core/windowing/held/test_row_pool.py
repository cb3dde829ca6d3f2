"""Chains of rows keep their order while others come and go, and memory is given back."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.windowing.held.row_pool import RowPool, row_bytes
from monitor.core.windowing.layout import Layout
from monitor.core.windowing.slots import slot_bytes
from schemas.batch import MixedBatch
from tests.support.batches import Row, baseline_of, batch_of, schema_of

ROW = Row(0, (0.0, 0.0), (), (), host="h")
LAYOUT = Layout(schema_of(ROW), baseline_of(schema_of(ROW), np.arange(100.0)))


def numbered(first: int, n: int) -> MixedBatch:
    """Rows whose values are their numbers, for panes that know their texts."""
    rows = [(0, i, Row(0, (float(i), 0.5), host="h")) for i in range(first, first + n)]
    mixed = MixedBatch.of(batch_of(rows), np.arange(n))
    LAYOUT.row_tables.refresh(mixed.values(0))
    return mixed


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60), st.booleans()), max_size=30))
def test_chains_keep_their_rows_in_order_while_others_come_and_go(steps):
    pool, chains, expected, n_given = RowPool(LAYOUT.row_tables.words), {}, {}, 0
    for name, n, is_release in steps:
        if is_release and name in chains:
            pool.release([chains.pop(name)])
            del expected[name]
        elif n:
            if name not in chains:
                chains[name], expected[name] = pool.open(), []
            at = np.full(n, chains[name], np.int64)
            pool.append(LAYOUT.row_tables, numbered(n_given, n), np.arange(n), at)
            expected[name] += range(n_given, n_given + n)
            n_given += n
        for key, chain in chains.items():
            records, _ = pool.list(LAYOUT.row_tables, chain)
            assert pool.floats[records.astype(np.int64) * pool.words].tolist() == expected[key]
            assert pool.size(chain) == len(expected[key])
    assert pool.n_rows == sum(map(len, expected.values()))


def test_memory_is_given_back_when_most_rows_are_gone():
    pool = RowPool(LAYOUT.row_tables.words)
    chains = [pool.open() for _ in range(100)]
    for chain in chains:
        at = np.full(50, chain, np.int64)
        pool.append(LAYOUT.row_tables, numbered(0, 50), np.arange(50), at)
    full = len(pool.following)
    pool.release(chains[1:])
    assert len(pool.following) < full / 10
    assert pool.n_rows == 50


def test_fifty_rows_of_21_variables_take_as_much_room_as_counters():
    names = tuple(f"f{i}" for i in range(20))
    row = Row(0, (0.0,) * (len(names) + 1))
    layout = Layout(schema_of(row), baseline_of(schema_of(row), np.arange(100.0)))
    assert slot_bytes(21) // row_bytes(layout.row_tables.words) in range(48, 56)
