"""Details of panes: equal to plain counting, bounded, independent of how rows are read."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.kernels.name_limit import count_values
from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.details import open_details
from monitor.core.windowing.details.block import (
    MAX_TEXT_BYTES,
    MAX_VALUES,
    CellValues,
    PaneDetails,
    commonest,
    cut_text,
    decode_details,
    encode_details,
)
from monitor.core.windowing.details.total import DetailTotal
from monitor.core.windowing.layout import Layout
from schemas.batch import ABSENT
from schemas.config.model import WindowConfig
from tests.support.batches import (
    NOT_NAMED,
    Dictionary,
    Row,
    RowMessage,
    baseline_of,
    chunk_of,
    mixed_of,
    schema_of,
)

REFERENCE = np.linspace(0, 1, 100)
SEGMENTS = ("*", "s0=a", "s0=b")
TEXTS = st.sampled_from(
    ["a", "b", None, NOT_NAMED, "kiosk", "booth", "<script>", "a\nb", "x" * 80, "\u202e", "7"]
)
ROWS = st.lists(
    st.tuples(TEXTS, st.sampled_from([0.5, float("nan"), ABSENT]), st.sampled_from([None, "a"])),
    min_size=1,
    max_size=40,
)


def details_of(rows, sizes, *, is_mixed=False, n_dictionaries=1):
    """Aggregate rows of one pane in chunks of these sizes, with dictionaries in turn."""
    made = [Row(5, (number, 0.5), (text,), (segment,)) for text, number, segment in rows]
    schema = schema_of(made[0])
    layout = Layout(schema, baseline_of(schema, REFERENCE, SEGMENTS))
    aggregator = PartitionAggregator("s", 0, "o", WindowConfig(), lambda *_: layout)
    dictionaries = [Dictionary() for _ in range(n_dictionaries)]
    at, n_chunks = 0, 0
    sizes = iter(sizes)
    while at < len(made):
        n = next(sizes, len(made))
        messages = [RowMessage(at + k, 5, (row,)) for k, row in enumerate(made[at : at + n])]
        chunk, batches = chunk_of(messages, dictionaries[n_chunks % n_dictionaries])
        mixed = mixed_of(batches) if is_mixed else None
        aggregator.add(chunk, [] if is_mixed else batches, (), mixed)
        at, n_chunks = at + n, n_chunks + 1
    (pane,) = aggregator.flush_all()
    return pane.details


def counted(rows):
    """Return what a plain count says: absent rows and new values by segment and variable."""
    absent, new = Counter(), {}
    for text, number, segment in rows:
        for name in ["*", *([f"s0={segment}"] if segment else [])]:
            absent[name, 0] += np.array(number).view(np.int64) == np.array(ABSENT).view(np.int64)
            absent[name, 1] += text == NOT_NAMED
            if text not in ("a", "b", None, NOT_NAMED):
                new.setdefault((name, 1), Counter())[cut_text(text)] += 1
    return +absent, new


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(ROWS, st.lists(st.integers(1, 9), max_size=30), st.booleans(), st.integers(1, 3))
def test_details_are_those_of_a_plain_count_however_rows_are_cut(rows, sizes, is_mixed, n):
    raw = details_of(rows, sizes, is_mixed=is_mixed, n_dictionaries=n)
    absent, new = counted(rows)
    found = decode_details(raw, 3)
    assert {
        (segment, v): int(k)
        for segment, row in zip(found.segments, found.absent, strict=True)
        for v, k in enumerate(row)
        if k
    } == absent
    assert {(c.segment, c.variable): dict(c.values) for c in found.cells} == new
    assert raw == details_of(rows, [])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(0, 60), max_size=300), st.lists(st.integers(1, 50), max_size=20))
def test_a_full_summary_is_the_same_however_rows_are_cut(values, sizes):
    rows = [(f"new-{value}", 0.5, None) for value in values] or [("a", 0.5, None)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_details, "COUNTED_VALUES", 4)
        whole = details_of(rows, [])
        assert details_of(rows, sizes, n_dictionaries=2) == whole
        assert details_of(rows, sizes, is_mixed=True) == whole


@given(st.lists(st.integers(1, 12), max_size=400), st.integers(1, 6))
def test_counts_of_the_kernel_keep_the_misra_gries_bound(numbers, capacity):
    values, counts = np.zeros((1, capacity), np.int64), np.zeros((1, capacity), np.int64)
    errors = np.zeros(1, np.int64)
    slots = np.zeros(len(numbers), np.int32)
    count_values(slots, np.array(numbers, np.int64), values, counts, errors)
    kept = {v: c for v, c in zip(values[0].tolist(), counts[0].tolist(), strict=True) if v}
    true, error = Counter(numbers), int(errors[0])
    assert error * (capacity + 1) <= len(numbers) - sum(kept.values())
    assert all(kept.get(v, 0) <= n <= kept.get(v, 0) + error for v, n in true.items())


PARTS = st.lists(
    st.dictionaries(st.integers(0, 200).map(str), st.integers(1, 30), max_size=40),
    min_size=1,
    max_size=30,
)


def cells_of(counts):
    error, kept = commonest(counts.items(), 0)
    return (CellValues("*", 1, error, tuple(kept)),) if kept else ()


@settings(deadline=None)
@given(PARTS)
def test_values_of_a_seventh_of_the_rows_are_named_whatever_the_panes(parts):
    total, true = DetailTotal(2), Counter()
    for counts in parts:
        total.add(PaneDetails(cells=cells_of(counts)))
        true.update(counts)
    details = total.cells().get(("*", 1))
    n = sum(true.values())
    named = dict(details.new_values) if details else {}
    assert len(named) <= MAX_VALUES
    assert all(named[text] <= true[text] <= named[text] + details.error for text in named)
    assert {text for text, k in true.items() if 7 * k > n} <= set(named)


@settings(deadline=None)
@given(PARTS, st.integers(0, 30), st.integers(0, 30))
def test_it_does_not_matter_when_panes_are_folded(parts, i, j):
    plain = DetailTotal(2)
    for counts in parts:
        plain.add(PaneDetails(cells=cells_of(counts)))
    folded = DetailTotal(2)
    for k, counts in enumerate(parts):
        if k in (i, j):
            copy = DetailTotal(2)
            copy.add_total(folded)
            folded = copy
        folded.add(PaneDetails(cells=cells_of(counts)))
    assert folded.cells() == plain.cells()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(SEGMENTS),
            st.integers(0, 4),
            st.dictionaries(st.text(max_size=80), st.integers(1, 1 << 40), max_size=12),
        ),
        max_size=6,
        unique_by=lambda cell: cell[:2],
    ),
    st.lists(st.lists(st.integers(0, 1 << 31), min_size=5, max_size=5), max_size=3),
)
def test_details_come_back_as_they_were_encoded(cells, absent):
    made = []
    for segment, variable, counts in cells:
        error, kept = commonest(counts.items(), 3)
        made.append(CellValues(segment, variable, error, tuple(kept)))
    segments = SEGMENTS[: len(absent)]
    given_details = PaneDetails(
        True, segments, np.array(absent, np.int64).reshape(len(absent), 5), tuple(made)
    )
    found = decode_details(encode_details(given_details, 5), 5)
    assert sorted(found.cells) == sorted(made)
    assert dict(zip(found.segments, found.absent.tolist(), strict=True)) == dict(
        zip(segments, absent, strict=True)
    )
    for cell in found.cells:
        assert len(cell.values) <= MAX_VALUES
        assert all(len(text.encode()) <= MAX_TEXT_BYTES for text, _ in cell.values)
