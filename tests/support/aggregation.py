"""Aggregators that read a log, crash and go on: what they published and recorded."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.packed_pane import PackedPane, pack_pane
from schemas.intake import IntakePane
from schemas.panes import Pane
from tests.support.batches import Dictionary, RowMessage, as_bits, chunk_of, mixed_of, rejects_of
from tests.support.pane_logs import WINDOW, layouts


@dataclass
class AggregateWorld:
    """What survives a crash: published panes, recorded events, the last commit."""

    panes: dict = field(default_factory=dict)
    intake: dict = field(default_factory=dict)
    late: set = field(default_factory=set)
    future: set = field(default_factory=set)
    n_accepted: int = 0

    def publish(self, pane: Pane | PackedPane) -> None:
        key = (pane.series, pane.start_us, pane.end_us)
        if key not in self.panes or self.panes[key].pane_version < pane.pane_version:
            self.panes[key] = pane

    def publish_intake(self, pane: IntakePane) -> None:
        key = (pane.model, pane.start_us)
        if key not in self.intake or self.intake[key].pane_version < pane.pane_version:
            self.intake[key] = pane

    def counted(self) -> dict:
        return {
            (*key, what): n
            for key, pane in self.intake.items()
            for what, n in (("late", pane.n_late), *pane.rejected.items())
            if n
        }

    def record(self, chunk, added) -> None:
        for kind, refused in ((self.late, added.late), (self.future, added.future)):
            for part in refused:
                for i in part.rows.tolist():
                    offset = chunk.log_offset[part.batch.message[i]]
                    kind.add((int(offset), int(part.batch.row[i])))

    def bodies(self) -> dict:
        """Return the bytes of every pane."""
        return {
            key: p.body if isinstance(p, PackedPane) else pack_pane(p).body
            for key, p in sorted(self.panes.items())
        }

    def bits(self) -> dict:
        return {
            key: (as_bits(p.segments), as_bits(p.slices), p.details)
            for key, p in sorted(self.panes.items())
        }


def run(
    log: list[RowMessage],
    sizes,
    crashes,
    grain: int = 1,
    *,
    is_mixed: bool = False,
    is_packed: bool = False,
) -> AggregateWorld:
    """Read the log in chunks of these sizes; crash as scheduled: 1 after add, 2 within the
    publishing, 3 after it and before the commit. With ``is_mixed`` all models are one batch,
    with ``is_packed`` panes are published as bytes."""
    world, commit, owner = AggregateWorld(), None, 0
    sizes, crashes = iter(sizes), iter(crashes)
    end = log[-1].offset + 1
    while True:
        owner += 1
        aggregator = PartitionAggregator("log", 0, f"o{owner}", WINDOW, layouts, grain=grain)
        dictionary = Dictionary()
        if commit is not None:
            assert aggregator.restore(commit) is None
        at = 0 if commit is None else commit.offset
        while True:
            todo = [m for m in log if m.offset >= at][: next(sizes, 1000)]
            crash = next(crashes, 0)
            if todo:
                chunk, batches = chunk_of(todo, dictionary)
                mixed = mixed_of(batches) if is_mixed and batches else None
                rejects = rejects_of(todo)
                added = aggregator.add(chunk, [] if mixed else batches, rejects, mixed)
                if crash == 1:
                    break
                world.record(chunk, added)
                at = todo[-1].offset + 1
            done = at >= end
            flush = aggregator.flush_packed if is_packed else aggregator.flush
            panes = flush(at, is_end=done)
            for pane in panes[: len(panes) // 2] if crash == 2 else panes:
                world.publish(pane)
            intake = aggregator.take_intake()
            for pane in intake[: len(intake) // 2] if crash == 2 else intake:
                world.publish_intake(pane)
            if crash in (2, 3):
                break
            commit = aggregator.commit_point()
            assert commit.parse(commit.offset, commit.metadata()) == commit
            if done:
                return world
            if crash == 4:
                break
