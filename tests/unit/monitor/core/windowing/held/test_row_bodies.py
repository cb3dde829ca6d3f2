"""Bodies of panes that hold rows: sums beyond float64, and many layouts in one flush."""

from __future__ import annotations

import pytest

from monitor.core.windowing.aggregate import PartitionAggregator
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
