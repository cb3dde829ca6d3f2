"""Messages of panes: what shares one, and what compaction leaves of them."""

from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.bounds import MAX_VALUE_BYTES
from monitor.core.windowing.codec import PaneAssembler, pane_partition
from monitor.core.windowing.packed_pane import PackedPane, pack_pane
from monitor.core.windowing.pane_batch import MAX_BATCH_BYTES
from monitor.core.write import Write
from monitor.ingest.pane_writer import PaneWriter
from schemas.panes import Pane, SeriesId, SeriesStats

N_MODELS, N_SLOTS = 6, 4


class Change(NamedTuple):
    """Rows that come for some panes, then a flush of what changed."""

    places: list[tuple[int, int]]
    """Model and slot."""
    is_new_owner: bool


CHANGES = st.lists(
    st.builds(
        Change,
        st.lists(st.tuples(st.integers(0, N_MODELS - 1), st.integers(0, N_SLOTS - 1)), max_size=9),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


def packed(model: int, slot: int, n_rows: int, version: int, owner: str) -> PackedPane:
    stats = SeriesStats.empty(("*",), 1)
    stats.n_rows[:] = n_rows
    stats.sums[:] = n_rows / 3
    series = SeriesId("t", f"m{model}", "1", "p")
    pane = Pane(series, 10 * slot, 10 * slot + 10, "s", 0, owner, version, stats)
    return pack_pane(pane)


def compacted(log: list[Write], before: int) -> list[Write]:
    """What the log cleaner may leave: below an offset, the last message of each key."""
    last = {(w.partition, w.key): i for i, w in enumerate(log)}
    return [w for i, w in enumerate(log) if i >= before or last[w.partition, w.key] == i]


def highest(log: list[Write]) -> dict[tuple[SeriesId, int], tuple[int, bytes]]:
    """Version and content of each pane that a reader of the log ends with."""
    found: dict[tuple[SeriesId, int], tuple[int, bytes]] = {}
    for partition in {w.partition for w in log}:
        assembler = PaneAssembler()
        for offset, write in enumerate(w for w in log if w.partition == partition):
            for whole in assembler.add(write.value, offset):
                pane = whole.packed
                key = (pane.series, pane.start_us)
                if key not in found or found[key][0] < pane.pane_version:
                    found[key] = (pane.pane_version, pane.body)
    return found


@settings(max_examples=150, deadline=None)
@given(CHANGES, st.integers(1, 3), st.data())
def test_compaction_at_any_point_keeps_the_highest_version_of_every_pane(changes, n, data):
    log: list[Write] = []
    rows: dict[tuple[int, int], int] = {}
    owner, writer, expected = 0, PaneWriter(n), {}
    for version, change in enumerate(changes, 1):
        if change.is_new_owner:
            owner, writer = owner + 1, PaneWriter(n)
        for place in change.places:
            rows[place] = rows.get(place, 0) + 1
        panes = [packed(*p, rows[p], version, f"o{owner}") for p in sorted(set(change.places))]
        log += writer.writes(panes)
        expected |= {(p.series, p.start_us): (version, p.body) for p in panes}
        if data.draw(st.booleans()):
            # the cleaner runs while the log grows, and runs again over what it left
            log = compacted(log, data.draw(st.integers(0, len(log))))
        assert highest(log) == expected
        assert highest(compacted(log, len(log))) == expected
    assert all(
        pane_partition(s.tenant, s.model, n) == w.partition
        for w in log
        for s in [whole.packed.series for whole in PaneAssembler().add(w.value, 0)]
    )


def test_a_pane_that_changes_again_and_again_is_kept_twice_by_compaction():
    writer, log = PaneWriter(1), list[Write]()
    for version in range(1, 30):
        models = range(N_MODELS) if version == 1 else [3]
        log += writer.writes([packed(m, 0, version, version, "o") for m in models])
    left = compacted(log, len(log))
    assert len(left) == 2
    assert highest(left)[SeriesId("t", "m3", "1", "p"), 0][0] == 29


def test_panes_of_one_flush_and_panes_partition_share_a_message():
    writer = PaneWriter(4)
    panes = [packed(model, slot, 1, 5, "o") for model in range(40) for slot in range(2)]
    writes = list(writer.writes(panes))
    assert sorted(w.partition or 0 for w in writes) == [0, 1, 2, 3]
    assert len({w.key for w in writes}) == 4
    found = [p.packed for w in writes for p in PaneAssembler().add(w.value, 0)]
    assert sorted(found, key=msgspec.structs.astuple) == sorted(panes, key=msgspec.structs.astuple)
    assert writes == list(PaneWriter(4).writes(panes))


def test_messages_of_many_panes_stay_below_the_limit_and_a_large_pane_is_cut():
    rng = np.random.default_rng(1)
    large = SeriesStats.empty(("*", *(f"a={i}" for i in range(199))), 20)
    large.counts[...] = rng.integers(0, 1 << 40, large.counts.shape)
    small = SeriesStats.empty(("*",), 20)
    small.counts[...] = rng.integers(0, 1 << 40, small.counts.shape)
    panes = [
        pack_pane(Pane(SeriesId("t", f"m{i}", "1", "p"), 0, 10, "s", 0, "o", 1, stats))
        for i, stats in enumerate([small] * 60 + [large] + [small] * 60)
    ]
    writes = list(PaneWriter(1).writes(panes))
    sizes = [len(w.value or b"") for w in writes]
    assert max(sizes) <= MAX_VALUE_BYTES
    assert sum(size > MAX_BATCH_BYTES + 500 for size in sizes) >= 2
    assert len({w.key for w in writes}) == len(writes)
    assembler = PaneAssembler()
    found = [p.packed for i, w in enumerate(writes) for p in assembler.add(w.value, i)]
    assert found == panes


def test_a_pane_of_one_row_takes_little_more_than_its_numbers():
    stats, slices = SeriesStats.empty(("*", "a=1"), 21), SeriesStats.empty(("host=h",), 1)
    for one in (stats, slices):
        one.n_rows[:] = 1
        one.counts[:, :, 7] = 1
        one.sums[:] = one.minima[:] = one.maxima[:] = 0.3
        one.sums_sq[:] = 0.3 * 0.3
    panes = [
        pack_pane(
            Pane(SeriesId("default", f"m{i}", "", f"p{i}"), 0, 10, "s", 0, "o", 9, stats, slices)
        )
        for i in range(100)
    ]
    (write,) = PaneWriter(1).writes(panes)
    assert len(write.key) + len(write.value or b"") < 100 * (9 * 21 + 60)


def test_a_retired_pane_is_forgotten():
    writer = PaneWriter(1)
    (first,) = writer.writes([packed(0, 0, 1, 1, "o"), packed(1, 0, 1, 1, "o")])
    (again,) = writer.writes([packed(0, 0, 2, 2, "o")])
    assert again.key != first.key
    writer.forget(10)
    (shared,) = writer.writes([packed(m, 0, 3, 3, "o") for m in range(2)])
    assert shared.key not in (first.key, again.key)


@pytest.mark.parametrize("part", [b"", b"\xc1", msgspec.msgpack.encode([[b"", 0, 0]]), b"\x80"])
def test_what_holds_no_panes_is_refused(part):
    (write,) = PaneWriter(1).writes([packed(0, 0, 1, 1, "o")])
    head, _ = msgspec.msgpack.decode(write.value or b"")
    value = msgspec.msgpack.encode([[*head[:-1], len(part)], part])
    with pytest.raises(Exception, match="no list of panes"):
        PaneAssembler().add(value, 0)
