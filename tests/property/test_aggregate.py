"""Panes are a function of the log: chunking and crashes never change a bit of them."""

import struct
from collections import Counter, defaultdict

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.windowing import accumulators
from monitor.core.windowing.details.block import decode_details
from schemas.batch import ABSENT
from schemas.panes import MISSING, OVERFLOW, UNDERFLOW, UNSEEN, Pane
from tests.support.aggregation import run
from tests.support.batches import NOT_NAMED, Row, RowMessage
from tests.support.pane_logs import (
    BOUND,
    LATENESS,
    PANE,
    SKEW,
    layouts,
    logs,
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    logs(),
    st.lists(st.integers(1, 6), max_size=60),
    st.lists(st.integers(0, 4), max_size=25),
    st.sampled_from([1, 4]),
)
def test_chunks_and_crashes_never_change_a_bit(log, sizes, crashes, grain):
    calm = run(log, [1] * len(log), [], grain)
    other = run(log, sizes, crashes, grain)
    assert other.bits() == calm.bits()
    assert other.late == calm.late
    assert other.future == calm.future
    assert other.counted() == calm.counted()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs(), st.lists(st.integers(1, 6), max_size=60), st.lists(st.integers(0, 4), max_size=25))
def test_the_law_holds_when_combinations_overflow(log, sizes, crashes):
    before = accumulators.MAX_COMBINATIONS, accumulators.MAX_SEGMENT_VALUES
    accumulators.MAX_COMBINATIONS, accumulators.MAX_SEGMENT_VALUES = 2, 1
    try:
        calm = run(log, [], [])
        assert run(log, sizes, crashes).bits() == calm.bits()
    finally:
        accumulators.MAX_COMBINATIONS, accumulators.MAX_SEGMENT_VALUES = before
    wide = run(log, [], [])
    for key, pane in wide.panes.items():
        narrow = calm.panes[key].segments
        assert narrow.segments == pane.segments.segments
        for name in ("n_rows", "counts", "n_predicted", "n_positive", "calibration_counts"):
            np.testing.assert_array_equal(getattr(narrow, name), getattr(pane.segments, name))
        np.testing.assert_array_equal(narrow.minima, pane.segments.minima)
        np.testing.assert_allclose(narrow.sums, pane.segments.sums, rtol=1e-12, atol=1e-12)


def judged(log: list[RowMessage]):
    """The design's rules, one event after the other, without a line of the code under test.

    Yields offset, row number, event, verdict, and the pane of the newest event time so far.
    """
    wm = s = -(10**18)
    for message in log:
        for j, row in enumerate(message.rows):
            t = row.time_us
            if row.rejected == "untimed":
                yield message.offset, j, row, "rejected", newest_pane(wm)
                continue
            record = t if message.record_time_us < 0 else message.record_time_us
            if t > record + SKEW:
                verdict = "rejected" if row.rejected else "future"
                yield message.offset, j, row, verdict, newest_pane(wm)
                continue
            wm = max(wm, min(t, record) - BOUND)
            s = max(s, (wm - LATENESS) // PANE * PANE)
            if row.rejected:
                yield message.offset, j, row, "rejected", newest_pane(wm if t < s else t - BOUND)
            else:
                yield message.offset, j, row, "late" if t < s else "accepted", newest_pane(wm)


def newest_pane(wm: int) -> int | None:
    """Start of the pane that the newest event time lies in; None before any."""
    return (wm + BOUND) // PANE * PANE if wm > -(10**18) else None


def counter(x: float, edges: np.ndarray) -> int:
    if not np.isfinite(x):
        return MISSING
    if x < edges[0] or x > edges[-1]:
        return UNDERFLOW if x < edges[0] else OVERFLOW
    return int((edges[1:] < x).sum())


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs(), st.lists(st.integers(1, 6), max_size=40))
def test_panes_hold_what_the_rules_say_event_by_event(log, sizes):
    world = run(log, sizes, [])
    expected = defaultdict(list)
    refused = {"late": set(), "future": set(), "rejected": set()}
    intake = Counter()
    for offset, j, row, verdict, newest in judged(log):
        start = row.time_us // PANE * PANE
        if verdict != "accepted":
            if newest is not None:
                what = "mistyped" if verdict == "rejected" else verdict
                intake[row.model, newest, what] += 1
            refused[verdict].add((offset, j))
            continue
        profile_id = "" if row.model == "n" or start < 0 else "q" if start >= 1030 else "p"
        expected[row.model, row.version or "", profile_id, start].append(row)
    assert (world.late, world.future) == (refused["late"], refused["future"])
    assert world.counted() == dict(intake)
    found = {
        (k[0].model, k[0].model_version, k[0].profile_id, k[1]): p for k, p in world.panes.items()
    }
    assert set(found) == set(expected)
    for key, events in expected.items():
        check_pane(found[key], events, key[2])


def check_pane(pane: Pane, events: list[Row], profile_id: str) -> None:
    names = {"*"}
    if profile_id:
        for row in events:
            for i, value in enumerate(row.segments):
                if value is not None:
                    names.add(f"s{i}={value if value in ('a', 'b') else 'other'}")
    assert set(pane.segments.segments) == names
    assert pane.segments.segments[0] == "*"
    if not profile_id:
        assert pane.segments.n_rows.tolist() == [len(events)]
        assert pane.slices.segments == ()
        return
    tables = layouts("", "m", "")[profile_id == "q"].baseline.variables
    details = decode_details(pane.details, 4)
    categories = {"a": 0, "other": 1, "zz": 1} if profile_id == "p" else {"a": 0, "b": 1}
    for name in names:
        members = [r for r in events if name == "*" or belongs(r, name)]
        i = pane.segments.segments.index(name)
        assert pane.segments.n_rows[i] == len(members)
        assert pane.segments.n_predicted[i] == sum(r.prediction is not None for r in members)
        assert pane.segments.n_positive[i] == sum(r.prediction == "yes" for r in members)
        for v, column in ((0, 0), (1, 1), (3, 2)):
            xs = [r.values[column] for r in members]
            counts = np.bincount([counter(x, tables[v].edges) for x in xs], minlength=64)
            np.testing.assert_array_equal(pane.segments.counts[i, v], counts)
            seen = [x for x in xs if np.isfinite(x)]
            np.testing.assert_allclose(pane.segments.sums[i, v], sum(seen), rtol=1e-9, atol=1e-9)
            assert pane.segments.minima[i, v] == min(seen, default=np.inf)
            assert pane.segments.maxima[i, v] == max(seen, default=-np.inf)
        codes = [
            MISSING
            if r.categories[0] in (None, NOT_NAMED)
            else categories.get(r.categories[0], UNSEEN)
            for r in members
        ]
        np.testing.assert_array_equal(pane.segments.counts[i, 2], np.bincount(codes, minlength=64))
        lacking = [sum(is_absent(r, v) for r in members) for v in range(4)]
        found = details.absent[details.segments.index(name)] if name in details.segments else ()
        assert [*found, *[0] * (4 - len(found))] == lacking
        inside = [r.values[2] for r in members if 0 <= r.values[2] <= 1]
        assert pane.segments.calibration_counts[i].sum() == len(inside)
    hosts = defaultdict(int)
    for row in events:
        for kind in ("host", "gpu_uuid"):
            if getattr(row, kind) is not None:
                hosts[f"{kind}={getattr(row, kind)}"] += 1
    assert dict(zip(pane.slices.segments, pane.slices.n_rows.tolist(), strict=True)) == hosts


def is_absent(row: Row, variable: int) -> bool:
    """Whether an event does not name a variable: two numbers, a category and the score."""
    if variable == 2:
        return row.categories[0] == NOT_NAMED
    return struct.pack("<d", row.values[min(variable, 2)]) == struct.pack("<d", ABSENT)


def belongs(row: Row, name: str) -> bool:
    i, value = int(name[1]), name.split("=")[1]
    own = row.segments[i]
    return own is not None and (own if own in ("a", "b") else "other") == value
