"""Products of features in panes: those of the rows, however they are read, merged or damaged."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.kernels.binning import bin_values
from detectors.multiscale.pairs import paired_values
from detectors.multiscale.products import product_sums
from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.codec import decode, encode
from monitor.core.windowing.details.block import (
    PaneDetails,
    decode_details,
    encode_details,
)
from monitor.core.windowing.layout import Layout
from monitor.core.windowing.packed_pane import pack_pane
from monitor.core.windowing.pane_body import check_body, open_body, statistics_of
from monitor.core.windowing.pane_total import PaneTotal
from schemas.baselines import ReferenceProducts
from schemas.batch import ABSENT
from schemas.config.model import WindowConfig
from schemas.errors import DomainError
from schemas.panes import Pane
from tests.support.batches import (
    Dictionary,
    Row,
    RowMessage,
    baseline_of,
    chunk_of,
    mixed_of,
    schema_of,
)

REFERENCE = np.linspace(0, 1, 100)
NUMBERS = st.one_of(st.floats(-0.5, 1.5), st.sampled_from([float("nan"), ABSENT, 0.0, 1e308]))
ROWS = st.lists(st.tuples(st.integers(0, 3), NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=120)
SCHEMA = schema_of(Row(5, (0.5, 0.5, 0.5, 0.5), ("a",), ("a",)))


def layout(has_products: bool = True) -> Layout:
    plain = baseline_of(SCHEMA, REFERENCE, ("*",))
    plain.reference.counts[0, :, :60] = 10
    numeric = SCHEMA.numeric
    products = ReferenceProducts((numeric[2], numeric[0], numeric[1]), np.zeros(3, np.int64))
    return Layout(SCHEMA, replace(plain, products=products if has_products else None))


LAYOUT = layout()


def panes_of(rows, sizes, *, is_mixed=False, has_products=True, grain=1) -> list[Pane]:
    """Aggregate rows of four panes in chunks of these sizes."""
    made = [Row(10_000_000 * p + 5, (*numbers, 0.5), ("a",), ("a",)) for p, *numbers in rows]
    own = layout(has_products)
    window = WindowConfig(lateness="1h")
    aggregator = PartitionAggregator("s", 0, "o", window, lambda *_: own, grain=grain)
    at, sizes, dictionary = 0, iter(sizes), Dictionary()
    while at < len(made):
        n = next(sizes, len(made))
        messages = [RowMessage(at + k, 5, (row,)) for k, row in enumerate(made[at : at + n])]
        chunk, batches = chunk_of(messages, dictionary)
        aggregator.add(
            chunk, [] if is_mixed else batches, (), mixed_of(batches) if is_mixed else None
        )
        at += n
    return aggregator.flush_all()


def counted(rows) -> list[int]:
    """Products of rows, by the definition."""
    columns = np.array([numbers for _, *numbers in rows]).T.reshape(3, -1)
    grids = LAYOUT.grids
    bins = np.stack([bin_values(columns[c], grids[c]) for c in LAYOUT.paired.columns])
    own = LAYOUT.baseline
    values = paired_values(own.variables, own.reference.counts[0], own.products.features)
    return product_sums(bins, values).tolist()


def total_of(panes) -> PaneTotal:
    total = PaneTotal(panes[0].segments.counts.shape[1])
    for pane in panes:
        total.add(open_body(body_of(pane)))
    return total


def body_of(pane: Pane) -> bytes:
    return pack_pane(pane).body


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS, st.lists(st.integers(1, 60), max_size=20), st.booleans(), st.sampled_from([1, 2]))
def test_products_are_those_of_the_rows_however_they_are_cut(rows, sizes, is_mixed, grain):
    panes = panes_of(rows, sizes, is_mixed=is_mixed, grain=grain)
    for pane in panes:
        own = [row for row in rows if pane.start_us <= row[0] * 10_000_000 < pane.end_us]
        assert decode_details(pane.details, 5).products.tolist() == counted(own)
    assert total_of(panes).products.tolist() == counted(rows)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS, st.integers(0, 4))
def test_totals_of_totals_have_the_products_of_all_panes(rows, cut):
    panes = panes_of(rows, [])
    parts = [part for part in (panes[:cut], panes[cut:]) if part]
    total = PaneTotal(panes[0].segments.counts.shape[1])
    for part in parts:
        total.add_total(total_of(part))
    assert total.products.tolist() == counted(rows)
    assert total.copy().products.tolist() == counted(rows)
    without = PaneTotal(total.n_variables)
    for pane in panes:
        without.add(open_body(statistics_of(body_of(pane))))
    assert total.n_bytes >= without.n_bytes + total.products.nbytes


def test_a_pane_counted_without_products_leaves_its_window_without_them():
    rows = [(p, 0.1, 0.2, 0.9) for p in (0, 1)]
    one, other = panes_of(rows, [])
    total = total_of([one])
    assert total.products is not None
    total.add(open_body(statistics_of(body_of(other))))
    assert total.products is None
    assert total.details() == {}


def test_a_baseline_without_products_costs_no_bytes():
    rows = [(0, 0.1, 0.2, 0.9)] * 3
    (plain,) = panes_of(rows, [], has_products=False)
    (paired,) = panes_of(rows, [])
    assert plain.details == b""
    assert statistics_of(body_of(paired)) == body_of(plain)
    assert len(paired.details) < 60


def test_a_reader_of_six_members_ignores_the_products():
    class Six(msgspec.Struct, array_like=True):
        version: int
        segments: tuple[str, ...]
        n_variables: int
        with_absent: tuple[int, ...]
        absent: bytes
        cells: tuple[tuple[int, int, int, tuple[tuple[str, int], ...]], ...]

    raw = encode_details(PaneDetails(products=np.arange(3)), 5)
    assert msgspec.msgpack.decode(raw, type=Six).n_variables == 5
    six = msgspec.msgpack.encode(msgspec.msgpack.decode(raw)[:6])
    assert decode_details(six, 5).products is None


@pytest.mark.parametrize("n_bytes", [1, 7, 16, 8 * 46, 8 * 55])
def test_products_of_no_number_of_pairs_are_refused(n_bytes):
    raw = msgspec.msgpack.decode(encode_details(PaneDetails(products=np.arange(3)), 5))
    raw[6] = bytes(n_bytes)
    with pytest.raises(DomainError):
        decode_details(msgspec.msgpack.encode(raw), 5)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_body_is_refused_or_has_whole_products(data):
    (pane,) = panes_of([(0, 0.1, 0.2, 0.9)] * 5, [])
    body = bytearray(body_of(pane))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        opened = open_body(bytes(body[: data.draw(st.integers(0, len(body)))]))
        check_body(opened, 1 << 53)
        total = PaneTotal(opened.n_variables)
        total.add(opened)
    except DomainError:
        return
    assert total.products is None or len(total.products) in {n * (n - 1) // 2 for n in range(2, 11)}


def test_products_come_back_from_the_message_of_a_pane():
    rows = [(0, 0.1 * k, 0.9 - 0.1 * k, 0.5) for k in range(8)]
    (pane,) = panes_of(rows, [])
    assert decode_details(decode(encode(pane, schema=2)).details, 5).products.tolist() == counted(
        rows
    )
