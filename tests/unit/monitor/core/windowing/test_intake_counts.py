"""Counters of rejected and late events: which are published, and which may still change."""

from __future__ import annotations

from collections import Counter

from monitor.core.windowing.intake_counts import IntakeCounts
from monitor.core.windowing.open_panes import Origin

ONE, TWO = ("t", "a"), ("t", "b")


def counted() -> IntakeCounts:
    counts = IntakeCounts()
    counts.add(TWO, 3, "mistyped", 2, Origin(9, 0, 0), is_published=False)
    counts.add(ONE, 3, "late", 1, Origin(7, 0, 0), is_published=False)
    counts.add(ONE, 1, "late", 4, Origin(8, 0, 0), is_published=False)
    counts.add(ONE, 2, "late", 5, Origin(6, 0, 0), is_published=True)
    return counts


def due(counts: IntakeCounts, before: int | None) -> list[tuple[int, str, Counter[str]]]:
    return [(c.place, c.key[1], c.counts) for c in counts.take_dirty(before)]


def test_what_was_not_published_is_due_by_pane_and_model():
    assert due(counted(), None) == [
        (1, "a", Counter(late=4)),
        (3, "a", Counter(late=1)),
        (3, "b", Counter(mistyped=2)),
    ]


def test_only_panes_below_an_index_are_due_and_only_once():
    counts = counted()
    assert due(counts, 1) == []
    assert due(counts, 3) == [(1, "a", Counter(late=4))]
    assert due(counts, 3) == []
    assert [place for place, _, _ in due(counts, None)] == [3, 3]


def test_a_counter_that_changes_is_due_again_with_all_it_has():
    counts = counted()
    due(counts, None)
    counts.add(ONE, 1, "late", 1, Origin(20, 0, 0), is_published=False)
    assert due(counts, None) == [(1, "a", Counter(late=5))]


def test_the_first_origin_is_that_of_the_oldest_pane_that_is_kept():
    counts = counted()
    assert counts.first == Origin(6, 0, 0)
    counts.retire(3)
    assert counts.first == Origin(9, 0, 0)
    assert [place for place, _, _ in due(counts, None)] == [3, 3]
    counts.retire(4)
    assert counts.first is None
