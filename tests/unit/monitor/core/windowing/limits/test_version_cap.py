"""At most so many versions of a model are counted by name in one pane."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.limits import version_cap
from schemas.batch import EventBatch
from schemas.config.model import WindowConfig
from schemas.events import MAX_VALUE_CHARS
from schemas.panes import OTHER, Pane
from tests.support.batches import Dictionary, Row, RowMessage, batch_of, chunk_of

PANE, CAP = 10, 3
WINDOW = WindowConfig(pane=PANE, length=10, bound=5, lateness=20, max_skew=10_000)


@pytest.fixture(autouse=True)
def _small_cap(monkeypatch):
    monkeypatch.setattr(version_cap, "MAX_VERSIONS", CAP)


events = st.lists(
    st.tuples(st.integers(-25, 6), st.sampled_from([None, "other", *"abcdefg"])),
    min_size=1,
    max_size=60,
)


def log_of(drawn) -> list[RowMessage]:
    now, log = 100, []
    for i, (step, version) in enumerate(drawn):
        now += max(step, 0)
        log.append(RowMessage(i, -1, (Row(now + min(step, 0), (0.5, 0.5), version=version),)))
    return log


def expected(log: list[RowMessage]) -> Counter:
    """Event by event: the first three versions of a pane keep their name."""
    counts, names, wm, s = Counter(), {}, -(10**9), -(10**9)
    for message in log:
        (row,) = message.rows
        wm = max(wm, row.time_us - 5)
        s = max(s, (wm - 20) // PANE * PANE)
        if row.time_us < s:
            continue
        start = row.time_us // PANE * PANE
        seen, version = names.setdefault(start, set()), row.version or ""
        if version != OTHER and version not in seen:
            if len(seen) < CAP:
                seen.add(version)
            else:
                version = OTHER
        counts[start, version] += 1
    return counts


def counted(log: list[RowMessage], sizes, crashes) -> dict[tuple[int, str], int]:
    """Read in chunks of these sizes, dying after some of them, and keep the last versions."""
    panes: dict[tuple[int, str], Pane] = {}
    sizes, crashes, commit, owner = iter(sizes), iter(crashes), None, 0
    while True:
        owner += 1
        aggregator = PartitionAggregator("log", 0, f"o{owner}", WINDOW, lambda *_: None)
        if commit is not None:
            aggregator.restore(commit)
        at, dictionary = aggregator.position, Dictionary()
        while True:
            todo = [m for m in log if m.offset >= at][: next(sizes, 1_000)]
            if todo:
                aggregator.add(*chunk_of(todo, dictionary))
                at = todo[-1].offset + 1
            if next(crashes, False):
                break
            is_end = at >= len(log)
            for pane in aggregator.flush(at, is_end=is_end):
                panes[pane.start_us, pane.series.model_version] = pane
            commit = aggregator.commit_point()
            if is_end:
                return {key: int(p.segments.n_rows[0]) for key, p in panes.items()}


@settings(max_examples=150, deadline=None)
@given(events, st.lists(st.integers(1, 9), max_size=30), st.lists(st.booleans(), max_size=12))
def test_the_first_versions_of_a_pane_keep_their_name_however_it_is_read(drawn, sizes, crashes):
    log = log_of(drawn)
    assert counted(log, sizes, crashes) == expected(log)


LONG = "v" * (MAX_VALUE_CHARS + 1)


def versions(*names: str | None) -> EventBatch:
    return batch_of([(0, i, Row(100, (0.5,), version=name)) for i, name in enumerate(names)])


def test_the_name_of_a_code_is_its_version_where_that_is_not_too_long():
    batch = versions("a", LONG[1:], LONG, None)
    codes = [*batch.model_version.codes.tolist(), version_cap.OTHER_CODE]
    values = batch.model_version.values
    assert [version_cap.version_name(values, c) for c in codes] == ["a", LONG[1:], OTHER, "", OTHER]


def test_versions_too_long_to_be_named_have_one_code():
    batch, other = versions("a", LONG, None, LONG + "w", "a"), version_cap.OTHER_CODE
    joined = version_cap.others_joined(batch, batch.model_version.codes)
    assert joined.tolist() == [0, other, -1, other, 0]
    short = versions("a", "b", None, LONG[1:])
    codes = short.model_version.codes
    assert version_cap.others_joined(short, codes).tolist() == codes.tolist()
