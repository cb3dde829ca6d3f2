"""Detect over the panes topic: an unreadable message is dead-lettered, and nothing waits for it."""

from __future__ import annotations

from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.topics import DEAD_LETTERS, PANES, PREDICTIONS, RESULTS
from monitor.core.windowing.codec import decode, encode, encode_batch, encode_one, pane_key
from monitor.core.windowing.intake_message import NOT_PANES
from monitor.core.windowing.packed_pane import pack_pane
from monitor.detect.in_memory import DriftDetect
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.transport.memory import MemoryLog
from monitor.transport.types import Message
from schemas.panes import SeriesId, SeriesStats
from schemas.refused import DeadLetter
from tests.support.log_chunks import fetch_chunk
from tests.support.pane_messages import apart
from tests.support.worlds.small import CONFIG, SmallWorld, build_small_world

ALL = 10**9
JUNK_KEY = b"default|small|1|p|0|t|0|o|0"


@pytest.fixture(scope="module", name="world")
def _world() -> SmallWorld:
    return small_world()


@pytest.fixture(scope="module", name="panes")
def _panes() -> list[Message]:
    return published()


@cache
def small_world() -> SmallWorld:
    return build_small_world()


@cache
def published() -> list[Message]:
    """What ingest publishes of the whole world."""
    world = small_world()
    log = world.log()
    ingest = InMemoryIngest(log, world.catalog, CONFIG.window, Assignment(PREDICTIONS, 0, 1, "o"))
    while len(chunk := fetch_chunk(log, PREDICTIONS, 0, ingest.position, 300)):
        ingest.take(chunk)
    ingest.finish()
    found = apart((m.key, m.value) for m in log.fetch(PANES, 0, 0, ALL))
    return [Message(i, *message, -1) for i, message in enumerate(found)]


@pytest.fixture(scope="module")
def expected(world, panes) -> list[bytes]:
    log = MemoryLog()
    detect(world, log, [(m.key, m.value) for m in panes])
    return results(log)


def detect(world: SmallWorld, log: MemoryLog, messages: list[tuple[bytes, bytes]]) -> DriftDetect:
    for key, value in messages:
        log.produce(PANES, value, key=key)
    stage = DriftDetect(log, world.catalog)
    while stage.step():
        pass
    return stage


def results(log: MemoryLog) -> list[bytes]:
    return [m.value for m in log.fetch(RESULTS, 0, 0, ALL)]


def letters(log: MemoryLog) -> list[DeadLetter]:
    found = log.fetch(DEAD_LETTERS, 0, 0, ALL)
    return [msgspec.msgpack.decode(m.value, type=DeadLetter) for m in found]


def cut_short(value: bytes) -> bytes:
    """A pane that is whole by its header, with a body that is not."""
    head, part = msgspec.msgpack.decode(value)
    return msgspec.msgpack.encode([head, part[:-5]])


def test_poison_is_counted_and_dead_lettered_and_every_window_is_judged_as_without(
    world, panes, expected
):
    whole = next(m.value for m in panes if not m.key.startswith(NOT_PANES))
    poison = [
        (JUNK_KEY, b""),
        (JUNK_KEY, b"\xc1 no pane"),
        (JUNK_KEY, whole[:40]),
        (JUNK_KEY, cut_short(whole)),
        (b"wm|t|0|o", b"\xc1 no word"),
    ]
    messages = [(m.key, m.value) for m in panes]
    for i, bad in enumerate(poison):
        messages.insert(i * len(messages) // len(poison), bad)
    log = MemoryLog()
    stage = detect(world, log, messages)
    assert results(log) == expected
    assert stage.counters["panes_unreadable"] == len(poison)
    found = letters(log)
    assert [d.payload for d in found] == [value for _, value in poison]
    assert {(d.source, d.reason) for d in found} == {(PANES, "malformed")}
    assert [messages[d.offset] for d in found] == poison


def test_a_pane_in_another_layout_than_its_baselines_is_refused(world, panes, expected):
    pane = decode([next(m.value for m in panes if not m.key.startswith(NOT_PANES))])
    pane.segments = SeriesStats.empty(("*",), 7)
    messages = [(pane_key(pane, 0).encode(), encode(pane)[0])]
    log = MemoryLog()
    stage = detect(world, log, messages + [(m.key, m.value) for m in panes])
    assert stage.counters["panes_unreadable"] == 1
    assert "7 variables" in letters(log)[0].detail
    assert results(log) == expected


def test_panes_of_a_model_gone_from_the_config_are_counted_and_stop_nothing(world, panes, expected):
    pane = decode([next(m.value for m in panes if not m.key.startswith(NOT_PANES))])
    pane.series = SeriesId("default", "gone", "1", "p")
    messages = [(pane_key(pane, 0).encode(), encode(pane)[0])]
    log = MemoryLog()
    stage = detect(world, log, messages + [(m.key, m.value) for m in panes])
    assert stage.counters["panes_unknown_model"] == 1
    assert letters(log) == []
    assert results(log) == expected


def test_a_new_owner_puts_the_same_poison_aside_under_the_same_key(world, panes):
    log = MemoryLog()
    first, *others = ((m.key, m.value) for m in panes[:5])
    detect(world, log, [first, (JUNK_KEY, b"junk"), *others])
    again = DriftDetect(log, world.catalog)
    while again.step():
        pass
    keys = [m.key for m in log.fetch(DEAD_LETTERS, 0, 0, ALL)]
    assert keys == [f"{PANES}|0|1|0".encode()] * 2


@settings(max_examples=200, deadline=None)
@given(
    which=st.integers(0, 4),
    damage=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), max_size=4),
    length=st.sampled_from([None, 0, 1, -1, 1 << 40]),
    schema=st.sampled_from([1, 2, 3]),
)
def test_no_damage_to_a_body_stops_detect(which, damage, length, schema):
    message = [m for m in published() if not m.key.startswith(NOT_PANES)][which]
    pane = decode([message.value])
    (value,) = encode_one(pack_pane(pane)) if schema == 3 else encode(pane, schema=schema)
    head, part = msgspec.msgpack.decode(value)
    body = np.frombuffer(part, np.uint8).copy()
    for place, bits in damage:
        body[place % len(body)] ^= bits
    head = head if length is None else [*head[:-1], length]
    log = MemoryLog()
    damaged = msgspec.msgpack.encode([head, body.tobytes()])
    stage = detect(small_world(), log, [(message.key, damaged)])
    outcomes = ("panes_unreadable", "panes_kept", "panes_unknown_model")
    assert sum(stage.counters[name] for name in outcomes) == 1


@pytest.mark.parametrize("which", [0, 3, 7])
def test_a_damaged_pane_of_a_message_takes_no_other_with_it(world, panes, expected, which):
    """All panes in messages of eight; one of them is followed by a pane that cannot be read."""
    own = [decode([m.value]) for m in panes if not m.key.startswith(NOT_PANES)]
    others = [(m.key, m.value) for m in panes if m.key.startswith(NOT_PANES)]
    groups = [own[i : i + 8] for i in range(0, len(own), 8)]
    found = list[tuple[bytes, bytes]]()
    for i, group in enumerate(groups):
        packed = [
            msgspec.structs.replace(pack_pane(pane), pane_version=group[-1].pane_version)
            for pane in group
        ]
        if i == 1:
            packed.insert(which, msgspec.structs.replace(packed[0], body=packed[0].body[:-9]))
        found.append((b"s|0|o|%d" % i, encode_batch(packed)))
    log = MemoryLog()
    stage = detect(world, log, [*found, *others])
    assert results(log) == expected
    assert stage.counters["panes_unreadable"] == 1
    (letter,) = letters(log)
    assert letter.payload == found[1][1]
    assert stage.counters["panes_kept"] == len(own)
