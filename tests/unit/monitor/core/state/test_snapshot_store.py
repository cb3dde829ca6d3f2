"""State messages: larger than a broker takes, half written, stale, damaged."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.state import snapshot_store
from monitor.core.state.snapshot_store import (
    SnapshotStore,
    StateKey,
    refused_writes,
    state_writes,
)

NAME = ("default", "small|%")


def body(sequence: int, n_bytes: int = 2_000) -> bytes:
    """Bytes that do not shrink."""
    return np.random.default_rng(sequence).bytes(n_bytes)


def snapshots_of(writes) -> SnapshotStore:
    snapshots = SnapshotStore()
    for write in writes:
        snapshots.add(write.key, write.value or b"")
    return snapshots


def standing(snapshots: SnapshotStore):
    return next(iter(snapshots.stored("model", NAME)), None)


def test_a_state_beyond_what_a_broker_takes_goes_in_chunks_and_comes_back():
    large = body(1, 3_000_000)
    writes = state_writes("model", NAME, "o", 1, large, partition=0)
    assert len(writes) == 4
    assert all(len(w.value or b"") < 905_000 for w in writes)
    assert len({w.key for w in writes}) == 4
    assert standing(snapshots_of(writes[::-1])).body == large


def test_a_half_written_state_leaves_the_last_complete_one_standing():
    one, two, three = (
        state_writes("model", NAME, "o", i, body(i), 500, partition=0) for i in (1, 2, 3)
    )
    for n in range(len(three)):
        compacted = {w.key: w for w in (*one, *two, *three[:n])}
        assert standing(snapshots_of(compacted.values())).sequence == 2
    assert standing(snapshots_of([*one, *two, *three])).body == body(3)


def test_a_zombies_lower_sequence_does_not_stand_over_the_new_owners():
    old = state_writes("model", NAME, "old", 5, body(5), partition=0)
    new = [w for i in (6, 7) for w in state_writes("model", NAME, "new", i, body(i), partition=0)]
    zombie = state_writes("model", NAME, "old", 6, body(60), partition=0)
    snapshots = snapshots_of([*old, *new, *zombie])
    assert standing(snapshots)[:2] == (7, "new")
    assert snapshots.last_sequence("model", NAME) == 7


def test_what_is_damaged_is_passed_over_for_the_one_before():
    one, two = (state_writes("model", NAME, "o", i, body(i), partition=0) for i in (1, 2))
    *head, part = msgspec.msgpack.decode(two[0].value)
    broken = two[0]._replace(value=msgspec.msgpack.encode([*head, part[:-9]]))
    snapshots = snapshots_of([*one, broken])
    assert standing(snapshots).body == body(1)
    assert snapshots.n_unreadable == 1
    snapshots.add(b"\xff", b"junk")
    snapshots.add(StateKey("model", NAME, "o", 0, 0).encode(), b"junk")
    assert snapshots.n_unreadable == 3


def test_a_message_that_cannot_be_used_keeps_its_place_in_the_log():
    *head, _ = msgspec.msgpack.decode(
        state_writes("model", NAME, "o", 2, b"x", partition=0)[0].value
    )
    broken = msgspec.msgpack.encode([*head, b"not compressed"])
    snapshots = SnapshotStore()
    snapshots.add(StateKey("model", NAME, "o", 0, 0).encode(), broken, 41, 1_000)
    snapshots.add(StateKey("model", NAME, "o", 1, 0).encode(), broken, 42, 2_000)
    assert standing(snapshots) is None
    assert [(r.offset, r.record_time_us) for r in snapshots.refused] == [(42, 2_000), (41, 1_000)]
    assert len(refused_writes(snapshots, 0, first=1)) == 1


def test_a_refused_state_without_a_place_has_no_offset():
    snapshots = snapshots_of(state_writes("model", NAME, "o", 1, b"x", partition=0))
    snapshots.refuse("model", standing(snapshots), NAME, "negative")
    (refused,) = snapshots.refused
    assert (refused.offset, refused.record_time_us) == (-1, -1)
    assert refused.detail == "damaged state: negative"


def test_an_empty_state_is_a_state():
    assert standing(snapshots_of(state_writes("model", NAME, "o", 1, b"", partition=0))).body == b""


def test_a_damaged_sequence_leaves_room_above_it():
    snapshots = snapshots_of(state_writes("model", NAME, "o", 1 << 53, b"x", partition=0))
    assert standing(snapshots).sequence == 1 << 53
    assert snapshots.last_sequence("model", NAME) == 1 << 52


def test_a_declared_size_that_cannot_be_allocated_is_damage():
    *head, size, part = msgspec.msgpack.decode(
        state_writes("model", NAME, "o", 2, body(2), partition=0)[0].value
    )
    for declared in (size - 1, size + 1, 1 << 28):
        value = msgspec.msgpack.encode([*head, declared, part])
        snapshots = snapshots_of([])
        snapshots.add(StateKey("model", NAME, "o", 0, 0).encode(), value)
        assert standing(snapshots) is None
        assert snapshots.n_unreadable == 1


def test_states_of_one_partition_are_bounded_together(monkeypatch):
    monkeypatch.setattr(snapshot_store, "MAX_SNAPSHOT_BYTES", 5_000)
    one, two, three = (state_writes("model", (n,), "o", 1, body(1), partition=0) for n in "abc")
    snapshots = snapshots_of([*one, *two, *three, *one])
    assert snapshots.names("model") == [("a",), ("b",)]
    assert snapshots.n_unreadable == 1
    snapshots.forget("model", ("a",))
    snapshots.add(three[0].key, three[0].value)
    assert snapshots.names("model") == [("b",), ("c",)]


def test_the_bound_of_a_partition_s_states_is_two_gibibytes():
    assert snapshot_store.MAX_SNAPSHOT_BYTES == 2 * 1024**3


def test_tombstones_take_an_owners_states_back_and_nothing_else():
    mine = state_writes("model", NAME, "o", 1, body(1), 500, partition=0)
    other = state_writes("gpu", ("0",), "o", 1, body(2), partition=0)
    snapshots = snapshots_of([*mine, *other])
    snapshots = snapshots_of([*mine, *other, *snapshots.tombstones("model", NAME, 0)])
    assert standing(snapshots) is None
    assert [s.body for s in snapshots.stored("gpu", ("0",))] == [body(2)]


@settings(max_examples=200, deadline=None)
@given(
    lives=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=6),
    is_compacted=st.booleans(),
)
def test_after_any_deaths_the_highest_complete_state_is_current(lives, is_compacted):
    log: list = []
    expected = 0
    for owner, (n_whole, n_torn) in enumerate(lives):
        sequence = snapshots_of(log).last_sequence("model", NAME)
        for i in range(n_whole):
            log += state_writes(
                "model", NAME, str(owner), sequence + 1 + i, body(i), 500, partition=0
            )
            expected = sequence + 1 + i
        torn = state_writes(
            "model", NAME, str(owner), sequence + 1 + n_whole, body(99), 500, partition=0
        )
        log += torn[: min(n_torn, len(torn) - 1)]
    kept = {w.key: w for w in log}.values() if is_compacted else log
    found = standing(snapshots_of(kept))
    assert (found.sequence if found else 0) == expected
