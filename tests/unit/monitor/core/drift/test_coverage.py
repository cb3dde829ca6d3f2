"""Coverage: what was judged, what was not, and why, in counts and in words."""

from __future__ import annotations

from collections import Counter

import pytest

from monitor.core.drift.coverage import Coverage
from monitor.core.drift.coverage_text import coverage_lines
from tests.support.worlds.small import CONFIG

NAME = ("default", "small")


def covered(*windows: tuple[int, str], cells: tuple[tuple[str, str], ...] = ()) -> Coverage:
    coverage = Coverage()
    for n_rows, reason in windows:
        coverage.note(n_rows, reason)
    for segment, reason in cells:
        coverage.note_cell(segment, reason)
    return coverage


def test_windows_without_rows_are_counted_apart():
    coverage = covered((0, "no_data"), (50, ""), (0, ""), (7, "pipeline"), (5, "pipeline"))
    assert coverage.n_empty == 2
    assert coverage.rows == Counter({"": 50, "pipeline": 12})
    assert coverage.windows == Counter({"": 1, "pipeline": 2})


def test_cells_are_counted_by_segment_and_reason():
    cells = (("*", ""), ("*", ""), ("r=eu", "no_data"), ("r=us", "no_data"), ("r=us", ""))
    coverage = covered((9, ""), cells=cells)
    assert coverage.cells == Counter({"": 3, "no_data": 2})
    assert coverage.segments == {
        "*": Counter({"": 2}),
        "r=eu": Counter({"no_data": 1}),
        "r=us": Counter({"no_data": 1, "": 1}),
    }


def test_a_segment_without_a_verdict_has_its_most_frequent_reason():
    seldom, often = ("r=eu", "no_data"), ("r=eu", "too_few_samples")
    coverage = covered((9, ""), cells=(("*", ""), seldom, often, often))
    assert coverage.unjudged_segments() == {"r=eu": "too_few_samples"}
    assert covered((9, "x"), cells=(seldom,)).unjudged_segments() == {}


def lines_of(coverage: Coverage, n_read: int | None = None) -> list[str]:
    return coverage_lines({NAME: coverage}, {NAME: CONFIG}, n_read)


def test_the_first_line_has_what_was_judged_of_what_was_read():
    cells = (("*", ""), ("*", "no_data"))
    assert lines_of(covered((60, ""), (20, "no_data"), cells=cells), 120)[0] == (
        "Judged: 60 of 120 events (50 %), 1 of 2 windows with events, 1 of 2 cells."
    )


def test_a_reason_is_one_line_with_its_advice():
    lines = lines_of(covered((1_000, ""), (900, "no_baseline"), (1, "pipeline")))
    assert lines[1:] == [
        "  small: 900 events in 1 window not judged, no baseline; "
        "build one: driftline baseline build MODEL.yaml --reference FILE",
        "  small: 1 event in 1 window not judged, pipeline; "
        "see the pipeline alert: rejected or late events are missing",
    ]


@pytest.mark.parametrize(
    ("n_judged", "reason"),
    [
        (0, "too few rows: 10 a window, a verdict needs 30; set window.length to "),
        (10_000, "too few samples"),
    ],
)
def test_thin_windows_advise_a_length_only_where_they_are_many(n_judged, reason):
    lines = lines_of(covered((n_judged, ""), (10, "too_few_samples"), (10, "too_few_samples")))
    assert lines[1].startswith(f"  small: 20 events in 2 windows not judged, {reason}")


@pytest.mark.parametrize(
    ("n_segments", "named"),
    [(1, "r=0"), (4, "r=0, r=1, r=2, r=3"), (5, "r=0, r=1, r=2, r=3 and 1 more")],
)
def test_four_segments_are_named_and_further_ones_counted(n_segments, named):
    cells = (("*", ""), *((f"r={i}", "no_data") for i in range(n_segments)))
    assert lines_of(covered((9, ""), cells=cells))[1:] == [
        f"  small: no verdict in any window for {named}: "
        "no rows; do the events carry it, with the values of the baseline?"
    ]
