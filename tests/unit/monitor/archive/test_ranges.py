"""Where ranges are cut, what a commit says, and that panes survive any cut and any restart."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.archive.pane_sets import LOOKBACK_MESSAGES, PaneSets
from monitor.archive.pending_range import Cut, Gathering, split
from monitor.archive.position import ArchivePosition, position_of
from monitor.core.windowing import codec as pane_codec
from monitor.decode import chunk_of
from monitor.transport.types import Committed, Message
from schemas.errors import TransportError
from tests.support.store.stored import pane_of

CUT = Cut(max_messages=4, max_bytes=1_000, max_age_s=1.0)


def messages(*offsets: int) -> list[Message]:
    return [Message(offset, b"", b"v%d" % offset, -1) for offset in offsets]


def offsets_of(found) -> list[int]:
    return [m.offset for piece in found.pieces for m in piece]


def test_nothing_is_cut_before_it_is_long_or_old_enough():
    gathering = Gathering(ArchivePosition(0), CUT)
    assert gathering.take(99.0, 0) is None
    gathering.add(messages(0, 1), now_s=5.0)
    assert gathering.take(5.9, 2) is None
    found = gathering.take(6.0, 2)
    assert (found.lo, found.hi, offsets_of(found)) == (0, 2, [0, 1])
    gathering.add(messages(2, 3, 4, 5), now_s=7.0)
    assert (gathering.take(7.0, 6).hi, gathering.lo) == (6, 6)
    gathering.add([Message(6, b"", bytes(1_000), -1)], now_s=7.0)
    assert gathering.take(7.0, 7).hi == 7


def test_the_age_is_that_of_the_first_message_and_starts_again_with_the_next_range():
    gathering = Gathering(ArchivePosition(0), CUT)
    gathering.add(messages(0), now_s=1.0)
    gathering.add(messages(1), now_s=1.9)
    assert gathering.take(2.0, 2).hi == 2
    gathering.add(messages(2), now_s=2.5)
    assert gathering.take(3.4, 3) is None


def test_what_is_not_read_further_is_cut_at_once_but_a_range_that_was_begun_stays_as_it_was():
    gathering = Gathering(ArchivePosition(0), CUT)
    assert gathering.take(0.0, 0, is_full=True) is None
    gathering.add(messages(0), now_s=0.0)
    assert gathering.take(0.0, 1, is_full=True).hi == 1
    begun = Gathering(ArchivePosition(0, hi=2), CUT)
    begun.add(messages(0), now_s=0.0)
    assert begun.take(0.0, 1, is_full=True) is None


@pytest.mark.parametrize("n_read", [1, 2, 3, 7])
def test_a_range_that_was_begun_is_read_again_exactly_and_the_rest_begins_the_next(n_read):
    gathering = Gathering(ArchivePosition(3, hi=6), CUT)
    left = messages(3, 4, 5, 6, 7, 8, 9)
    found, position = None, 3
    while found is None:
        assert gathering.take(0.0, position) is None
        gathering.add(left[:n_read], 0.0)
        position, left = left[:n_read][-1].offset + 1, left[n_read:]
        found = gathering.take(0.0, position)
    assert (found.lo, found.hi, offsets_of(found)) == (3, 6, [3, 4, 5])
    assert gathering.lo == 6
    gathering.add(left, 0.0)
    assert offsets_of(gathering.take(9.0, 10)) == [6, 7, 8, 9]


def test_a_begun_range_ends_though_its_last_messages_were_compacted_away():
    gathering = Gathering(ArchivePosition(3, hi=6), CUT)
    gathering.add(messages(3), 0.0)
    assert gathering.take(0.0, 4) is None
    assert offsets_of(gathering.take(0.0, 8)) == [3]
    at_the_end = Gathering(ArchivePosition(3, hi=6), CUT)
    assert at_the_end.take(0.0, 3, is_at_end=True).n_messages == 0


def test_a_begun_range_that_retention_has_eaten_is_over_and_the_log_goes_on():
    gathering = Gathering(ArchivePosition(3, hi=6), CUT)
    gathering.begins_at(20)
    assert gathering.take(0.0, 20).n_messages == 0
    gathering.add(messages(20), 0.0)
    assert offsets_of(gathering.take(9.0, 21)) == [20]


def test_after_a_hole_nothing_that_was_read_is_dropped():
    gathering = Gathering(ArchivePosition(0), CUT)
    gathering.add(messages(0, 1), 0.0)
    gathering.begins_at(50)
    gathering.add(messages(50), 0.0)
    found = gathering.take(9.0, 51)
    assert (found.lo, found.hi, offsets_of(found)) == (0, 51, [0, 1, 50])


def test_where_the_log_lost_its_end_it_is_read_again():
    gathering = Gathering(ArchivePosition(7), CUT)
    gathering.add(messages(7, 8), 0.0)
    gathering.begins_at(2)
    gathering.add(messages(2, 3), 0.0)
    found = gathering.take(9.0, 4)
    assert (found.lo, offsets_of(found)) == (2, [2, 3])


def test_a_chunk_is_split_into_the_same_messages():
    chunk = chunk_of([b"a", b"bb", b"", b"dddd"], "t", 0, 10)
    for hi in range(9, 16):
        head, tail = split(chunk, hi)
        texts = [
            part.buffer[a:b].tobytes()
            for part in (head, tail)
            for a, b in zip(part.offsets[:-1], part.offsets[1:], strict=True)
        ]
        assert texts == [b"a", b"bb", b"", b"dddd"]
        assert len(head) == min(max(hi - 10, 0), 4)
        assert np.concatenate([head.log_offset, tail.log_offset]).tolist() == [10, 11, 12, 13]
        assert int(tail.offsets[0]) == 0


@pytest.mark.parametrize(
    "archived",
    [
        ArchivePosition(7),
        ArchivePosition(7, 12),
        ArchivePosition(7, 12, 3),
        ArchivePosition(7, None, 3),
    ],
)
@pytest.mark.parametrize("topic_id", ["Ab-_9", "driftline.panes@file|name 1.parquet"])
def test_a_commit_says_what_was_meant(archived, topic_id):
    committed = Committed(archived.lo, archived.metadata(topic_id))
    assert position_of(committed, topic_id) == archived
    assert position_of(committed, topic_id + "x") == ArchivePosition(0)


def test_metadata_of_another_program_is_refused_and_an_empty_one_believed():
    assert position_of(Committed(7, ""), "id") == ArchivePosition(7)
    with pytest.raises(TransportError, match="not topic_id"):
        position_of(Committed(7, "something else"), "id")


def pane_log(rng: np.random.Generator) -> list[Message]:
    """Panes of three owners in one to three chunks, interleaved, some torn, some repeated."""
    queues = []
    for owner in ("a", "b", "c"):
        line = []
        for i in range(6):
            pane = pane_of(start_us=i * 10_000_000, version=int(rng.integers(1, 100)))
            pane.owner = owner
            noise = rng.integers(0, 2**62, pane.segments.counts.shape)
            pane.segments.counts[:] = noise if rng.random() < 0.7 else 1
            values = pane_codec.encode(pane, max_bytes=8192)
            keys = [pane_codec.pane_key(pane, j).encode() for j in range(len(values))]
            whole = list(zip(keys, values, strict=True))
            line += whole[:-1] if rng.random() < 0.2 else whole
            line += whole if rng.random() < 0.2 else []
        queues.append(line)
    log = []
    while any(queues):
        line = queues[rng.integers(3)]
        if line:
            key, value = line.pop(0)
            offset = log[-1].offset + int(rng.integers(1, 3)) if log else 0
            log.append(Message(offset, key, value, -1))
    return log


def found_in(sets: PaneSets, part: list[Message]) -> list[tuple[str, int, int, int]]:
    panes, refused = sets.take(part)
    assert not refused
    return [(p.owner, p.start_us, p.pane_version, m.offset) for p, m in panes]


@pytest.mark.parametrize("seed", range(30))
def test_panes_are_the_same_wherever_ranges_are_cut_after_any_restart(seed):
    rng = np.random.default_rng(seed)
    log = pane_log(rng)
    uncut = found_in(PaneSets(), log)
    assert len(uncut) > 5
    found, sets, back, at = [], PaneSets(), None, 0
    while at < len(log):
        stop = at + int(rng.integers(1, 6))
        if rng.random() < 0.5:  # another process, which knows only the commit
            sets = PaneSets()
            if back is not None:
                sets.begin([m for m in log[:at] if m.offset >= back])
        found += found_in(sets, log[at:stop])
        back, at = sets.first_offset, stop
    assert found == uncut


def test_a_torn_set_is_dropped_so_that_it_is_not_read_for_ever():
    rng = np.random.default_rng(1)
    pane = pane_of()
    pane.segments.counts[:] = rng.integers(0, 2**62, pane.segments.counts.shape)
    first = pane_codec.encode(pane, max_bytes=8192)[0]
    sets = PaneSets()
    sets.take([Message(100, b"k|0", first, -1)])
    sets.drop_torn(100 + LOOKBACK_MESSAGES)
    assert sets.first_offset == 100
    sets.drop_torn(101 + LOOKBACK_MESSAGES)
    assert sets.first_offset is None


def test_tombstones_and_watermarks_are_no_panes():
    sets = PaneSets()
    found = sets.take([Message(0, b"wm|t|0|o", b"1", -1), Message(1, b"a|0", b"", -1)])
    assert found == ([], [])
