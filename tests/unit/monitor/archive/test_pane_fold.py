"""What the store has of panes adds up to the panes, wherever ranges are cut and read again."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.archive.blocks import Place
from monitor.archive.pane_fold import PaneReader, fold_at
from monitor.archive.position import ArchivePosition, position_of
from monitor.core.windowing.codec import encode
from monitor.core.windowing.stored.spans import Span, Spans, model_number
from monitor.core.windowing.watermark import NO_WATERMARK
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.transport.types import Committed, Message
from schemas.panes import Pane, SeriesId, SeriesStats
from schemas.time_units import MINUTE_US, SECOND_US

PANE_US, BOUND_US = 10 * SECOND_US, 5 * SECOND_US
SPANS = Spans(Span(MINUTE_US, 20 * SECOND_US))
FIRST_US = 1_767_225_600_000_000
ID = "id"
READER = PaneReader({}, SPANS)
MODELS = ("m", "n")
Key = tuple[str, int, str, int]


@dataclass
class Source:
    """Ingest of one source partition, which publishes as the stage does."""

    partition: int
    n_partitions: int
    watermark_us: int = FIRST_US
    n_events: int = 0
    rows: dict[tuple[str, int], int] = field(default_factory=dict)
    changed: set[tuple[str, int]] = field(default_factory=set)
    n_owners: int = 0

    def event(self, model: str, ago_us: int, ahead_us: int) -> None:
        """Count an event unless its pane has been retired."""
        self.n_events += 1
        time_us = max(FIRST_US, self.watermark_us + BOUND_US + ahead_us - ago_us)
        start_us = time_us // PANE_US * PANE_US
        if start_us + PANE_US > self.retired_us:
            key = (model, start_us)
            self.rows[key] = self.rows.get(key, 0) + 1
            self.changed.add(key)
        self.watermark_us = max(self.watermark_us, time_us - BOUND_US)

    @property
    def retired_us(self) -> int:
        return self.watermark_us - SPANS.base.lateness_us

    def flush(self, *, is_idle: bool = False, again: bool = False) -> list[tuple[bytes, bytes]]:
        """Return messages: panes that changed, those of a lost owner again, the watermark."""
        self.n_owners += again
        keys = sorted(self.rows if again else self.changed)
        if not (is_idle or again):  # panes are published when their time is over
            keys = [k for k in keys if k[1] + PANE_US <= self.watermark_us]
        self.changed -= set(keys)
        found = [(b"pane", encode(self.pane(*key))[0]) for key in keys]
        word = WatermarkMessage(
            "s", self.partition, self.n_partitions, "o", self.watermark_us, is_idle=is_idle
        )
        return [*found, (word.key(), word.encode())]

    def pane(self, model: str, start_us: int) -> Pane:
        n = self.rows[model, start_us]
        stats = SeriesStats.empty(("*",), 1)
        stats.n_rows[:] = n
        stats.counts[0, 0, start_us // PANE_US % 60] = n
        stats.sums[:] = 3.0 * n
        stats.sums_sq[:] = 9.0 * n
        stats.minima[:] = stats.maxima[:] = 3.0
        place = (start_us, start_us + PANE_US, "s", self.partition, f"o{self.n_owners}")
        return Pane(SeriesId("t", model, "1", "p"), *place, self.n_events, stats)


step = st.tuples(
    st.sampled_from(["event"] * 6 + ["flush"] * 3 + ["idle", "again"]),
    st.integers(0, 2),
    st.sampled_from(MODELS),
    st.integers(0, 40) | st.just(0),
    st.integers(0, 30) | st.integers(0, 200),
)


def log_of(steps, n_partitions: int) -> tuple[list[Message], list[Source]]:
    """Return the log of one panes partition, which has tombstones and gaps too."""
    sources = [Source(p, n_partitions) for p in range(n_partitions)]
    log: list[Message] = []
    for kind, partition, model, ago_s, ahead_s in steps:
        source = sources[partition % n_partitions]
        if kind == "event":
            source.event(model, ago_s * SECOND_US, ahead_s * SECOND_US)
            continue
        for key, value in source.flush(is_idle=kind == "idle", again=kind == "again"):
            log.append(Message(2 * len(log), key, value, -1))
        log.append(Message(2 * len(log), b"gone", b"", -1))
    for source in sources:
        for key, value in source.flush(is_idle=True):
            log.append(Message(2 * len(log), key, value, -1))
    return log, sources


class StoreRows:
    """Rows of table ``panes``: of equal keys that with the highest version stands."""

    def __init__(self) -> None:
        self.by_key: dict[Key, Pane] = {}
        self.tokens: dict[tuple[int, int], list] = {}

    def insert(self, token: tuple[int, int], panes: list[Pane]) -> None:
        """Insert rows unless the token is known."""
        if token in self.tokens:
            assert self.tokens[token] == list(map(repr, panes)), "a range gave other rows"
            return
        self.tokens[token] = list(map(repr, panes))
        for pane in panes:
            key = (pane.series.model, pane.start_us, pane.source, pane.partition)
            known = self.by_key.get(key)
            if known is None or pane.pane_version >= known.pane_version:
                self.by_key[key] = pane

    def totals(self, span_us: int = MINUTE_US) -> dict:
        found: dict = defaultdict(lambda: [0, 0.0, np.zeros(64, np.int64)])
        for pane in self.by_key.values():
            total = found[pane.series.model, pane.start_us // span_us]
            total[0] += int(pane.segments.n_rows[0])
            total[1] += float(pane.segments.sums[0, 0])
            total[2] += pane.segments.counts[0, 0]
        return {k: (n, s, c.tolist()) for k, (n, s, c) in found.items()}


def wanted_of(sources: list[Source]) -> dict:
    rows = StoreRows()
    for i, source in enumerate(sources):
        panes = [source.pane(*key) for key in source.rows]
        rows.insert((i, i), [p for p in panes if p.segments.n_rows[0]])
    return rows.totals()


def archive(log, rng, rows: StoreRows, commit: Committed | None = None, reader=READER) -> Committed:
    """Archive a log in random ranges, by processes that die at random steps."""
    fold, end = None, log[-1].offset + 1
    while True:
        archived = reader.taken_over(position_of(commit, ID))
        if archived.lo >= end and archived.hi is None:
            return commit
        if archived.hi is None:
            hi = min(end, archived.lo + int(rng.integers(1, 30)))
            archived = ArchivePosition(
                archived.lo, hi, archived.back, archived.slots, archived.is_switch
            )
            commit = Committed(archived.lo, archived.metadata(ID))
        read = lambda start, stop: [m for m in log if start <= m.offset < stop]  # noqa: E731
        lo, hi = archived.lo, archived.hi
        if fold is None:
            fold = fold_at(archived, hi, Place(ID, 0), reader, read)
        spans = reader.spans if archived.is_switch else None
        written, refused = fold.take(read(lo, hi), hi, spans)
        assert not refused
        if rng.random() < 0.1:
            fold = None
            continue
        rows.insert((lo, hi), [pane for pane, _ in written])
        if rng.random() < 0.1:
            fold = None
            continue
        commit = Committed(hi, ArchivePosition(hi, back=fold.back, slots=fold.state).metadata(ID))
        if rng.random() < 0.2:
            fold = None


@settings(max_examples=200, deadline=None)
@given(st.lists(step, min_size=5, max_size=150), st.integers(1, 3), st.integers(0, 2**32))
def test_slots_and_late_panes_add_up_to_the_panes(steps, n_partitions, seed):
    log, sources = log_of(steps, n_partitions)
    rows = StoreRows()
    archive(log, np.random.default_rng(seed), rows)
    assert rows.totals() == wanted_of(sources)


@settings(max_examples=100, deadline=None)
@given(st.lists(step, min_size=20, max_size=150), st.integers(0, 2**32))
def test_an_upgrade_stores_each_row_once(steps, seed):
    log, sources = log_of(steps, 2)
    rng, rows = np.random.default_rng(seed), StoreRows()
    n_before = int(rng.integers(1, len(log)))
    commit = archive(log[:n_before], rng, rows, None, PaneReader({}))
    assert ";" not in commit.metadata
    archive(log, rng, rows, commit, PaneReader({}, SPANS, skew_us=300 * SECOND_US))
    assert rows.totals() == wanted_of(sources)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(step, min_size=20, max_size=150),
    st.integers(0, 2**32),
    st.sampled_from([20, 30, 120, 180]),
)
def test_a_change_of_the_lengths_stores_each_row_once(steps, seed, slot_s):
    log, sources = log_of(steps, 2)
    rng, rows = np.random.default_rng(seed), StoreRows()
    n_before = int(rng.integers(1, len(log)))
    commit = archive(log[:n_before], rng, rows)
    exceptions = {model_number("t", "n"): Span(slot_s * SECOND_US, SPANS.base.lateness_us)}
    archive(log, rng, rows, commit, PaneReader({}, Spans(SPANS.base, exceptions)))
    found, wanted = rows.totals(), wanted_of(sources)
    assert rows_of_models(found) == rows_of_models(wanted)
    assert {k: v for k, v in found.items() if k[0] == "m"} == {
        k: v for k, v in wanted.items() if k[0] == "m"
    }


def messages_of(source: Source, *, is_idle: bool = False) -> list[Message]:
    """Return what a source publishes now, from offset 100 n_events on."""
    first = 100 * source.n_events
    flushed = enumerate(source.flush(is_idle=is_idle))
    return [Message(first + i, key, value, -1) for i, (key, value) in flushed]


def begun(reader: PaneReader = READER):
    return fold_at(reader.taken_over(ArchivePosition(0)), 1, Place(ID, 0), reader, lambda *_: [])


def test_slots_close_where_an_intent_says_so_though_the_lengths_are_the_old_ones():
    source, fold = Source(0, 1), begun()
    source.event("m", 0, 0)
    source.event("m", 0, 30 * SECOND_US)
    assert fold.take(messages_of(source), 1_000)[0] == []
    written, _ = fold.take([], 1_001, SPANS)
    assert [pane.segments.n_rows[0] for pane, _ in written] == [1]
    assert fold.back is None


def test_a_pane_longer_than_its_slot_is_not_counted_again_by_longer_slots():
    """Ingest has longer panes, and was restarted before the archive."""
    longer = Spans(Span(2 * MINUTE_US, SPANS.base.lateness_us))
    rows, fold = StoreRows(), begun()
    for version, n_rows in ((1, 3), (2, 5)):
        stats = SeriesStats.empty(("*",), 1)
        stats.n_rows[:] = n_rows
        place = (FIRST_US, FIRST_US + 2 * MINUTE_US, "s", 0, "o")
        pane = Pane(SeriesId("t", "m", "1", "p"), *place, version, stats)
        message = Message(version, b"pane", encode(pane)[0], -1)
        written, _ = fold.take([message], version + 1, longer)
        rows.insert((version, version), [pane for pane, _ in written])
    late = WatermarkMessage("s", 0, 1, "o", FIRST_US + 10 * MINUTE_US, is_idle=False)
    written, _ = fold.take([Message(9, late.key(), late.encode(), -1)], 10)
    rows.insert((9, 9), [pane for pane, _ in written])
    assert [n for n, *_ in rows.totals().values()] == [5]


def test_slots_of_a_topic_that_was_recreated_close_before_the_new_one_has_events():
    source, fold = Source(0, 1), begun()
    source.event("m", 0, 0)
    source.event("m", 0, 30 * SECOND_US)
    messages = messages_of(source)
    for partition in range(2):
        word = WatermarkMessage("new", partition, 2, "o", NO_WATERMARK, is_idle=True)
        messages.append(Message(900 + partition, word.key(), word.encode(), -1))
    written, _ = fold.take(messages, 1_000)
    assert [pane.segments.n_rows[0] for pane, _ in written] == [1]
    assert fold.back is None


def rows_of_models(totals: dict) -> Counter:
    found: Counter = Counter()
    for (model, _), (n, *_) in totals.items():
        found[model] += n
    return found


def test_a_version_before_slots_refuses_the_commit():
    state = READER.taken_over(ArchivePosition(0)).metadata(ID)
    with pytest.raises(ValueError, match="invalid literal"):
        int(state.rsplit("|", 2)[2])
