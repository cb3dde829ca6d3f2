"""What one topic's archive may hold in memory, and what must be read beyond it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from monitor.archive.pane_fold import PaneReader
from monitor.archive.pending_range import Cut, Gathering, Range
from monitor.archive.position import ArchivePosition
from monitor.archive.raw import RawTopics
from monitor.archive.topic import ArchivedPartition, RangeStep, TopicArchive
from monitor.core.topics import PANES, PREDICTIONS
from monitor.core.windowing.stored.spans import Span, Spans
from monitor.core.windowing.stored.state import SlotState
from monitor.service.lifecycle import Lifecycle
from schemas.batch import Chunk
from schemas.time_units import MINUTE_US

EVENT_BYTES, N_BEGUN = 400, 1_000


class EndlessReader:
    """Three partitions that never end."""

    def __init__(self) -> None:
        self.at = dict.fromkeys(range(3), 0)

    def read(self, partition: int, n: int) -> Chunk:
        low = self.at[partition]
        self.at[partition] = low + n
        offsets = np.arange(n + 1, dtype=np.int64) * EVENT_BYTES
        values = np.zeros(n * EVENT_BYTES, np.uint8)
        log_offset = np.arange(low, low + n, dtype=np.int64)
        return Chunk("s", partition, values, offsets, log_offset, np.zeros(n, np.int64))

    def position(self, partition: int) -> int:
        return self.at[partition]

    def is_at_end(self, partition: int) -> bool:
        return False


def archive(budget_bytes: int, hi: int | None) -> TopicArchive:
    """One that owns three partitions, without a broker."""
    made = TopicArchive.__new__(TopicArchive)
    made._topic, made._budget, made._reader = PREDICTIONS, budget_bytes, EndlessReader()
    made._raw = RawTopics()
    at = ArchivePosition(0, hi=hi)
    made._owned = {p: ArchivedPartition(Gathering(at, Cut()), at) for p in range(3)}
    made._commit_at_s = 1e18
    return made


def test_ranges_that_were_begun_become_whole_though_together_they_exceed_the_budget():
    made = archive(N_BEGUN * EVENT_BYTES, hi=N_BEGUN)
    for _ in range(50):
        made.gather()
        made.advance()
    assert [o.hand and o.hand.hi for o in made._owned.values()] == [N_BEGUN] * 3


def test_nothing_new_is_read_beyond_the_budget():
    made = archive(N_BEGUN * EVENT_BYTES, hi=None)
    for _ in range(50):
        made.gather()
    assert sum(o.gathering.n_bytes for o in made._owned.values()) >= N_BEGUN * EVENT_BYTES
    before = dict(made._reader.at)
    assert made.gather() == 0
    assert made._reader.at == before


def test_a_change_of_slots_is_seen_after_a_range_that_was_begun():
    """A range is repeated as it was begun; the next one changes the lengths."""
    old, new = (Spans(Span(n * MINUTE_US, MINUTE_US)) for n in (5, 1))
    made = archive(1, None)
    made._topic, made._lifecycle = PANES, Lifecycle("archive")
    made._panes = PaneReader({}, new)
    slots = SlotState([], spans=old).text()
    begun = made._next_at(ArchivePosition(0, hi=1, slots=slots))
    assert not begun.is_switch
    rows = SimpleNamespace(back=None, slots=slots)
    owned = ArchivedPartition(Gathering(begun, Cut()), begun, rows, Range(0, 1, []))
    owned.step = RangeStep.INSERTED
    made._go_on(0, owned)
    assert owned.at.is_switch
    assert (owned.at.lo, owned.at.hi) == (1, None)


class RefusingGroup(EndlessReader):
    """It takes no commit."""

    source = "id"

    def commit_all(self, commits: object) -> bool:
        return False


def test_commits_that_were_refused_are_forgotten_with_the_partition(monkeypatch):
    monkeypatch.setattr("monitor.archive.topic._COMMIT_PAUSE_S", 0.0)
    made = archive(1, None)
    made._reader, made._lifecycle, made._commit_at_s = RefusingGroup(), Lifecycle("archive"), 0.0
    made.n_refused_commits = 0
    at = ArchivePosition(0)
    made._owned = {0: ArchivedPartition(Gathering(at, Cut()), at, hand=Range(0, 1, []))}
    for _ in range(60):
        made.settle()
    assert made.n_refused_commits == 60
    made._on_lost(0)
    made.settle()
    assert made.n_refused_commits == 0, "the stage would be unready for good"
