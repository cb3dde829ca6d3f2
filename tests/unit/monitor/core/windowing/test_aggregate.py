"""Aggregation: named cases, limits, and what a lost piece of log does."""

from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from monitor.core.windowing.aggregate import Layout, PartitionAggregator, summarize
from monitor.core.windowing.layout import segment_names
from monitor.core.windowing.slots import Interner
from monitor.core.windowing.watermark import NO_WATERMARK, Commit
from schemas.batch import StringColumn
from schemas.config.model import WindowConfig
from schemas.errors import BaselineError, TransportError
from schemas.events import Reject, RejectReason
from schemas.panes import MISSING, UNSEEN, Pane
from tests.support.batches import (
    Row,
    RowMessage,
    as_bits,
    baseline_of,
    batch_of,
    chunk_of,
    schema_of,
)

WINDOW = WindowConfig(pane=10, length=10, bound=5, lateness=20, max_skew=30)
REFERENCE = np.linspace(0, 1, 200)


def row(t: int = 0, **changes) -> Row:
    fields = {"values": (0.5, 0.25), "categories": ("a",), "segments": ("x",), **changes}
    return Row(t, **fields)


def layout(**changes) -> Layout:
    schema = schema_of(row())
    return Layout(schema, baseline_of(schema, REFERENCE, ("*", "s0=x", "s0=y"), **changes))


def summary(*rows: Row, **changes):
    batch = batch_of([(i, 0, r) for i, r in enumerate(rows)])
    return summarize(batch, layout(**changes))


def panes_of(*rows: Row, layouts=None) -> list[Pane]:
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, layouts or (lambda *_: layout()))
    aggregator.add(*chunk_of([RowMessage(i, -1, (r,)) for i, r in enumerate(rows)]))
    return aggregator.flush_all()


def test_categories_are_listed_other_unseen_or_missing():
    names = ("a", "b", "k", "new", None, "")
    segments, _ = summary(
        *(row(categories=(c,)) for c in names), categories=("a", "b", "other"), known=("k",)
    )
    counts = segments.counts[0, 1]
    assert counts[[0, 1, 2, UNSEEN, MISSING]].tolist() == [1, 1, 1, 2, 1]
    assert counts.sum() == len(names)


def test_a_null_segment_is_counted_in_all_only_and_an_unknown_one_in_other():
    segments, _ = summary(*(row(segments=(s,)) for s in ("y", None, "new", "y")))
    assert dict(zip(segments.segments, segments.n_rows.tolist(), strict=True)) == {
        "*": 4,
        "s0=other": 1,
        "s0=y": 2,
    }


def test_missing_values_leave_the_moments_alone():
    segments, _ = summary(*(row(values=(v, 0.5)) for v in (1.0, float("nan"), 3.0, -1.0)))
    assert segments.counts[0, 0, MISSING] == 1
    assert (segments.sums[0, 0], segments.sums_sq[0, 0]) == (3.0, 11.0)
    assert (segments.minima[0, 0], segments.maxima[0, 0]) == (-1.0, 3.0)


def test_calibration_counts_scores_on_the_unit_interval():
    segments, _ = summary(*(row(values=(0.0, s)) for s in (0.0, 0.05, 0.999, 1.0, 1.01, -0.1)))
    assert segments.calibration_counts[0].tolist() == [1, 1, *[0] * 17, 2]
    assert segments.calibration_sums[0, 19] == 1.999


def test_rows_not_kept_are_not_counted():
    batch = batch_of([(i, 0, row(values=(i / 4, 0.5))) for i in range(4)])
    segments, _ = summarize(batch, layout(), np.array([True, False, False, True]))
    assert (segments.n_rows[0], segments.sums[0, 0]) == (2, 0.75)


def test_the_hundred_and_first_host_is_other():
    _, slices = summary(*(row(host=f"h{i:03}") for i in [*range(103), 5, 101]))
    counts = dict(zip(slices.segments, slices.n_rows.tolist(), strict=True))
    assert len(counts) == 101
    assert (counts["host=h005"], counts["host=other"]) == (2, 4)


def test_a_baseline_that_does_not_fit_is_refused():
    baseline = baseline_of(schema_of(row()), REFERENCE)
    with pytest.raises(BaselineError, match="has variables"):
        Layout(schema_of(row(values=(1.0, 2.0, 3.0))), baseline)


def test_a_pane_with_more_rows_than_are_held_adds_none_to_the_others():
    """As many panes hold rows as the pool has chains at first, and one more has counters."""
    n_held, n_many = 16, 200
    times = [10 * i for i in range(n_held)] + [10 * n_held] * n_many
    panes = panes_of(*map(row, times))
    counted = {pane.start_us: int(pane.segments.n_rows[0]) for pane in panes}
    assert counted == dict.fromkeys(times[:n_held], 1) | {10 * n_held: n_many}


def test_late_rows_are_in_no_pane_beside_held_ones():
    times = [*range(0, 160, 10), 0, 200, 10, 20]
    counted = {pane.start_us: int(pane.segments.n_rows[0]) for pane in panes_of(*map(row, times))}
    assert counted == dict.fromkeys(range(0, 160, 10), 1) | {200: 1}


def test_without_a_baseline_only_rows_are_counted():
    (pane,) = panes_of(row(1, host="h"), row(2), layouts=lambda *_: None)
    assert (pane.series.profile_id, pane.segments.segments) == ("", ("*",))
    assert pane.segments.counts.shape == (1, 0, 64)
    assert pane.segments.n_rows.tolist() == [2]
    assert pane.slices.segments == ()


def test_a_baseline_holds_from_the_first_pane_that_starts_after_it():
    old, new = layout(), layout(profile_id="q", active_from_us=105)
    panes = panes_of(row(100), row(109), row(110), layouts=lambda *_: (old, new))
    found = [(p.start_us, p.series.profile_id, int(p.segments.n_rows[0])) for p in panes]
    assert found == [(100, "p", 2), (110, "q", 1)]


def test_panes_far_apart_in_one_batch():
    panes = panes_of(*(row(t) for t in (0, 10**9, 10**14)))
    assert [p.start_us for p in panes] == [0, 10**9, 10**14]


def test_a_pane_is_published_when_the_watermark_passes_and_again_when_it_changed():
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, lambda *_: layout())

    def feed(offset: int, t: int) -> list[tuple[int, int, int]]:
        aggregator.add(*chunk_of([RowMessage(offset, -1, (row(t),))]))
        panes = aggregator.flush()
        return [(p.start_us, p.pane_version, int(p.segments.n_rows[0])) for p in panes]

    assert feed(0, 8) == []
    assert feed(1, 14) == []
    assert feed(2, 15) == [(0, 3, 1)]
    assert feed(3, 16) == []
    assert feed(4, 9) == [(0, 5, 2)]
    assert feed(7, 35) == [(10, 8, 3)]
    assert aggregator.commit_point() == Commit(1, 30, 10, 8, "s", clock=(3, -20))


def test_reading_again_tells_and_publishes_nothing_twice():
    log = [RowMessage(i, -1, (row(t),)) for i, t in enumerate((8, 60, 8, 95))]
    first = PartitionAggregator("s", 0, "o1", WINDOW, lambda *_: layout())
    assert [len(p.rows) for p in first.add(*chunk_of(log[:3])).late] == [1]
    first.flush()
    commit = first.commit_point()
    assert commit == Commit(0, 55, 30, 3, "s", clock=(NO_WATERMARK, NO_WATERMARK))
    second = PartitionAggregator("s", 0, "o2", WINDOW, lambda *_: layout())
    second.restore(commit)
    assert second.add(*chunk_of(log[:2])).late == ()
    assert second.is_catching_up
    assert second.flush() == []
    assert second.commit_point() == commit
    assert second.add(*chunk_of(log[2:])).late == ()
    assert [p.start_us for p in second.flush()] == [60]
    assert [(p.start_us, p.n_late) for p in second.take_intake()] == [(60, 1)]


def test_events_read_again_under_an_old_commit_are_not_counted_as_late():
    log = [RowMessage(i, -1, (row(t),)) for i, t in enumerate((8, 60, 95))]
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, lambda *_: layout())
    aggregator.restore(Commit(0, 55, 30, 2, "s"))
    for message in log:
        aggregator.add(*chunk_of([message]))
        aggregator.flush(is_end=message.offset == 2)
    assert aggregator.take_intake() == []


def intake_of(*messages: RowMessage, rejects: dict[int, Reject]) -> list[tuple[int, int, dict]]:
    """Return (start, late, rejected) of what is counted; ``rejects`` by message."""
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, lambda *_: layout())
    kept = [replace(m, rows=()) if i in rejects else m for i, m in enumerate(messages)]
    chunk, batches = chunk_of(kept)
    own = [structs.replace(r, message=i) for i, r in rejects.items()]
    aggregator.add(chunk, batches, own)
    aggregator.flush_all()
    return [(p.start_us, p.n_late, p.rejected) for p in aggregator.take_intake()]


REJECT = Reject(0, 0, RejectReason.MISTYPED, "", b"", "default", "m")


def test_a_rejected_event_counts_at_its_own_time_and_moves_the_watermark():
    first, second = RowMessage(0, -1, (row(8),)), RowMessage(1, -1, (row(95),))
    rejects = {1: structs.replace(REJECT, time_us=95)}
    assert intake_of(first, second, rejects=rejects) == [(90, 0, {"mistyped": 1})]
    late = RowMessage(2, -1, (row(12),))
    found = intake_of(first, second, late, rejects=rejects)
    assert found == [(90, 1, {"mistyped": 1})]


def test_a_rejected_event_without_a_time_counts_where_its_partition_has_come_to():
    rejects = {0: REJECT, 2: REJECT}
    messages = [RowMessage(i, -1, (row(t),)) for i, t in enumerate((0, 47, 0, 52))]
    # the first one came before any time was known
    assert intake_of(*messages, rejects=rejects) == [(40, 0, {"mistyped": 1})]


def test_a_future_event_counts_as_rejected_where_its_partition_has_come_to():
    messages = [RowMessage(0, 47, (row(47),)), RowMessage(1, 48, (row(500),))]
    assert intake_of(*messages, rejects={}) == [(40, 0, {"future": 1})]


def test_rejected_events_of_no_known_model_count_for_no_model():
    unknown = structs.replace(REJECT, reason=RejectReason.UNKNOWN_MODEL, time_us=10)
    unreadable = structs.replace(REJECT, model="", tenant="")
    messages = [RowMessage(i, -1, (row(8),)) for i in range(3)]
    assert intake_of(*messages, rejects={1: unknown, 2: unreadable}) == []


def test_events_lost_to_retention_close_every_pane_they_may_have_been_in():
    commit = Commit(10, 95, 70, 40)
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, lambda *_: layout())
    gap = aggregator.restore(commit, first_offset=50, first_record_time_us=200)
    assert gap is not None
    assert (gap.first_offset, gap.next_offset, gap.before_us) == (10, 50, 240)
    added = aggregator.add(*chunk_of([RowMessage(50, 215, (row(239), row(240)))]))
    assert (added.n_accepted, len(added.late[0].rows)) == (1, 1)


def test_late_events_behind_a_gap_are_counted_once_however_often_it_is_flushed():
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, lambda *_: layout())
    aggregator.add(*chunk_of([RowMessage(0, 8, (row(8),)), RowMessage(1, 14, (row(14),))]))
    assert aggregator.skip(50, 100).before_us == 140
    late = [RowMessage(50 + i, 100 + i, (row(100 + i),)) for i in range(3)]
    for message in late:
        aggregator.add(*chunk_of([message]))
        aggregator.flush()
    commit = aggregator.commit_point()
    again = PartitionAggregator("s", 0, "o2", WINDOW, lambda *_: layout())
    again.restore(commit)
    again.add(*chunk_of(late[commit.offset - 50 :]))
    last = RowMessage(53, 103, (row(103),))
    for one in (aggregator, again):
        one.add(*chunk_of([last]))
        one.flush_all()
        newest = one.take_intake()[-1]
        assert (newest.start_us, newest.n_late) == (140, 4)


def test_nothing_is_committed_before_the_first_flush():
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, lambda *_: layout())
    assert aggregator.commit_point() is None
    assert aggregator.watermark_us == NO_WATERMARK
    assert aggregator.flush(7) == []
    assert aggregator.commit_point() == Commit(7, NO_WATERMARK, NO_WATERMARK, 7, "s")


def test_slots_are_cleared_before_they_are_used_again():
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, lambda *_: layout())
    published = []
    for i in range(60):
        aggregator.add(*chunk_of([RowMessage(i, -1, (row(10 * i, host=f"h{i}"),))]))
        published += aggregator.flush()
    published += aggregator.flush_all()
    alone = [panes_of(row(10 * i, host=f"h{i}"))[0] for i in range(60)]
    assert [as_bits(p.segments) for p in published] == [as_bits(p.segments) for p in alone]
    assert [as_bits(p.slices) for p in published] == [as_bits(p.slices) for p in alone]


def test_an_interner_never_gives_a_number_twice():
    interner = Interner()
    column = StringColumn(np.array([0, 1], np.int32), ["a", "b"])
    a, b = interner.table(column)[1:].tolist()
    interner.forget({b})
    again = interner.table(column)[1:].tolist()
    assert again[1] == b
    assert again[0] not in (a, b)


def test_a_reference_keeps_its_commonest_segment_values():
    rows = [row(segments=(s,)) for s in ("b", "b", "a", None)]
    rows += [row(segments=(f"v{i:03}",)) for i in range(120)]
    names = segment_names(batch_of([(i, 0, r) for i, r in enumerate(rows)]))
    assert names[:4] == ("*", "s0=b", "s0=a", "s0=v000")
    assert (len(names), names[-1]) == (102, "s0=other")


def test_a_gap_while_reading_publishes_what_may_lack_events_and_goes_on_behind_it():
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, lambda *_: layout())
    aggregator.add(*chunk_of([RowMessage(0, 8, (row(8),)), RowMessage(1, 14, (row(14),))]))
    gap = aggregator.skip(50, 100)
    assert (gap.first_offset, gap.next_offset, gap.before_us) == (2, 50, 140)
    added = aggregator.add(*chunk_of([RowMessage(50, 120, (row(139), row(140)))]))
    assert (added.n_accepted, len(added.late[0].rows)) == (1, 1)
    panes = aggregator.flush()
    assert [(p.start_us, p.pane_version) for p in panes] == [(0, 51), (10, 51)]
    assert aggregator.commit_point().offset == 50
    assert aggregator.skip(51, 100) is None


def test_a_flush_is_due_when_the_watermark_has_passed_a_panes_end_and_not_before():
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, lambda *_: layout())
    found = []
    for offset, t in enumerate((12, 14, 15, 16, 24, 25, 60)):
        aggregator.add(*chunk_of([RowMessage(offset, -1, (row(t),))]))
        found.append(aggregator.is_due)
        if aggregator.is_due:
            aggregator.flush()
    assert found == [True, False, True, False, False, True, True]


def test_a_foreign_commit_is_refused_by_name():
    with pytest.raises(TransportError, match="commit at 5"):
        Commit.parse(5, "foreign metadata")


def test_a_baseline_heard_of_late_shortens_no_pane_counted_before():
    known = [layout()]
    aggregator = PartitionAggregator("s", 0, "o", WINDOW, lambda *_: tuple(known))
    aggregator.add(*chunk_of([RowMessage(0, -1, (row(11), row(21)))]))
    known.append(layout(profile_id="q", active_from_us=20))
    aggregator.add(*chunk_of([RowMessage(1, -1, (row(12),))]))
    panes = [(p.start_us, p.end_us, p.segments.n_rows[0]) for p in aggregator.flush_all()]
    assert panes == [(10, 20, 2), (20, 30, 1)]
