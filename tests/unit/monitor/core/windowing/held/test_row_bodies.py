"""Bodies of panes that hold rows: sums beyond float64, and many layouts in one flush."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.held import row_bodies
from monitor.core.windowing.layout import Layout
from monitor.core.windowing.packed_pane import pack_pane
from schemas.config.model import WindowConfig
from tests.support.batches import Row, RowMessage, baseline_of, chunk_of, mixed_of, schema_of
from tests.support.pane_logs import REFERENCE

WINDOW = WindowConfig(pane=10, length=10, bound=5, lateness=20, max_skew=30)


def layouts(tenant: str, model: str, version: str) -> Layout:
    n = int(model)
    schema = schema_of(Row(0, (0.0,) * (1 + n % 4), ("a",) * (n % 3), ("x",) * (n % 2), model))
    segments = ("*", "s0=x", "s0=a") if n % 2 else ("*",)
    return Layout(schema, baseline_of(schema, REFERENCE, segments, profile_id=f"p{n}"))


def bodies(rows: list[Row]) -> tuple[list[bytes], list[bytes]]:
    """The bodies of all panes as held rows give them, and as counters do."""
    found = []
    for is_packed in (True, False):
        aggregator = PartitionAggregator("s", 0, "o", WINDOW, layouts)
        chunk, batches = chunk_of([RowMessage(i, -1, (row,)) for i, row in enumerate(rows)])
        aggregator.add(chunk, (), (), mixed_of(batches))
        if is_packed:
            found.append([pane.body for pane in aggregator.flush_packed(is_end=True)])
        else:
            found.append([pack_pane(pane).body for pane in aggregator.flush_all()])
    return found[0], found[1]


@pytest.mark.parametrize("values", [(1e308, 1e308), (-1e308, -1e308), (1e308, 1e308, -1e308)])
def test_sums_that_are_not_finite_are_written_as_counters_write_them(values):
    rows = [Row(0, (x, 0.5), ("a",), (s,), "1") for s in ("x", "a") for x in values]
    packed, counted = bodies(rows + [Row(0, (-x, 0.5), ("a",), ("y",), "1") for x in values])
    assert packed == counted


def test_models_of_different_shapes_are_written_in_one_flush():
    rows = [
        Row(
            10 * (i // 80),
            (i / 7, *[i / 3] * (n % 4)),
            ("a",) * (n % 3),
            ("xab"[i % 3],) * (n % 2),
            str(n),
            host=f"h{i % 5}",
            gpu_uuid=None if i % 3 else f"g{i % 2}",
        )
        for i, n in enumerate(list(range(40)) * 4)
    ]
    packed, counted = bodies(rows)
    assert len(packed) == 2 * 40
    assert packed == counted


def test_bodies_that_end_with_zeros_end_where_counters_end_them():
    """The last variable has no value, so its moments are the last zeros of the body."""
    rows = [Row(t, (0.5, nan), ("a",), ("x",), "1") for t in (0, 0, 10, 20)]
    packed, counted = bodies(rows)
    assert len(packed) == 3
    assert packed == counted


@given(st.lists(st.integers(1, 12), max_size=20))
def test_panes_are_written_together_as_far_as_their_room_allows(rooms):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_bodies, "_MAX_ROOM", 10)
        cuts = list(row_bodies._cuts(np.array(rooms, np.int64)))
    assert [k for start, end in cuts for k in range(start, end)] == list(range(len(rooms)))
    for start, end in cuts:
        assert sum(rooms[start:end]) <= 10 or end == start + 1
        assert end == len(rooms) or sum(rooms[start : end + 1]) > 10, "one more does not fit"
