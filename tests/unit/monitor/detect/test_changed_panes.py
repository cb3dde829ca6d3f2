"""A pane that changes after it was added up: its window is read again from the log."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import msgspec
import pytest

from monitor.core.state.result_messages import read_results
from monitor.core.topics import PANES, PREDICTIONS, RESULTS, STATE
from monitor.core.windowing.codec import BATCH, decode, encode, encode_batch, encode_one, pane_key
from monitor.core.windowing.intake_message import NOT_PANES
from monitor.core.windowing.packed_pane import pack_pane
from monitor.detect.in_memory import DriftDetect
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.transport.memory import MemoryLog
from schemas.panes import Pane
from schemas.results import DetectorResult
from tests.support.log_chunks import fetch_chunk
from tests.support.pane_messages import apart
from tests.support.worlds.small import CONFIG, SmallWorld, build_small_world

ALL = 10**9
Messages = list[tuple[bytes, bytes]]


@cache
def world() -> SmallWorld:
    return build_small_world()


@cache
def published() -> Messages:
    """What ingest publishes of the world, read in small chunks: watermarks between panes."""
    log = world().log()
    ingest = InMemoryIngest(log, world().catalog, CONFIG.window, Assignment(PREDICTIONS, 0, 1, "o"))
    while len(chunk := fetch_chunk(log, PREDICTIONS, 0, ingest.position, 20)):
        ingest.take(chunk)
    ingest.finish()
    return apart((m.key, m.value) for m in log.fetch(PANES, 0, 0, ALL))


def is_pane(message: tuple[bytes, bytes]) -> bool:
    return not message[0].startswith(NOT_PANES)


def message_of(pane: Pane, schema: int = 1) -> tuple[bytes, bytes]:
    (value,) = encode_one(pack_pane(pane)) if schema == BATCH else encode(pane, schema=schema)
    return pane_key(pane, 0).encode(), value


def changed(message: tuple[bytes, bytes], version: int = 1 << 40) -> Pane:
    """Another owner's pane of the same place, with three more rows."""
    pane = decode([message[1]])
    pane.owner, pane.pane_version = "foreign", version
    pane.segments.n_rows[0] += 3
    pane.segments.counts[0, :, 3] += 3
    pane.segments.sums += 1 / 3
    return pane


def run(messages: Messages, log: MemoryLog | None = None) -> tuple[DriftDetect, MemoryLog]:
    log = log or MemoryLog()
    for key, value in messages:
        log.produce(PANES, value, key=key)
    stage = DriftDetect(log, world().catalog)
    while stage.step():
        pass
    return stage, log


def results(log: MemoryLog) -> list[bytes]:
    return [m.value for m in log.fetch(RESULTS, 0, 0, ALL)]


def rows_of(values: list[bytes]) -> list[DetectorResult]:
    return [row for value in values for row in read_results(value)]


def places() -> tuple[int, int]:
    """An early pane of the third window, and the last pane before that window closes."""
    length = CONFIG.window.length_us
    panes = [(i, decode([m[1]])) for i, m in enumerate(published()) if is_pane(m)]
    start = panes[0][1].start_us // length * length + 2 * length
    own = [i for i, pane in panes if start <= pane.start_us < start + length]
    return own[0], own[-1]


@pytest.mark.parametrize("schema", [1, 2, BATCH])
def test_another_version_of_a_folded_pane_is_counted_and_its_window_is_read_again(schema):
    first, last = places()
    other = message_of(changed(published()[first]), schema)
    late = [*published()[: last + 1], other, *published()[last + 1 :]]
    early = [*published()[: first + 1], other, *published()[first + 1 :]]
    stage, log = run(late)
    assert (stage.counters["panes_changed"], stage.counters["panes_unreadable"]) == (1, 0)
    expected, plain = run(early)
    assert expected.counters["panes_changed"] == 0
    assert results(log) == results(plain) != results(run(published())[1])


def test_a_window_is_read_again_once_however_many_of_its_panes_change():
    first, last = places()
    others = [message_of(changed(published()[first], (1 << 40) + i)) for i in range(5)]
    stage, log = run([*published()[: last + 1], *others, *published()[last + 1 :]])
    assert stage.counters["panes_changed"] == 1
    early = [*published()[: first + 1], others[-1], *published()[first + 1 :]]
    assert results(log) == results(run(early)[1])


def test_a_changed_pane_of_a_closed_window_revises_it():
    first, last = places()
    other = message_of(changed(published()[first]))
    stage, log = run(published()[: last + 1])
    closed = last + 1
    length = CONFIG.window.length_us
    end = (decode([published()[first][1]]).start_us // length + 1) * length
    while stage.windows.closed_until_us("default", "small") != end:
        log.produce(PANES, published()[closed][1], key=published()[closed][0])
        closed += 1
        stage.step()
    n_before = len(results(log))
    log.produce(PANES, other[1], key=other[0])
    for key, value in published()[closed:]:
        log.produce(PANES, value, key=key)
    while stage.step():
        pass
    assert stage.counters["panes_changed"] == 1
    revised = rows_of(results(log)[n_before:])
    whole = rows_of(results(run([*published()[: first + 1], other, *published()[first + 1 :]])[1]))
    own = [row for row in whole if (row.start_us, row.metric) == (end - length, "psi")]
    assert own
    assert all(msgspec.structs.replace(row, revised=True) in revised for row in own)


def test_a_restart_after_a_changed_pane_ends_with_the_same_state_and_results():
    first, last = places()
    other = message_of(changed(published()[first]))
    messages = [*published()[: last + 1], other, *published()[last + 1 :]]
    _, whole = run(messages)
    log = MemoryLog()
    for cut in range(first, len(messages), max(1, (len(messages) - first) // 7)):
        have = log.end_offset(PANES, 0)
        _, log = run(messages[have:cut], log)
    _, log = run(messages[log.end_offset(PANES, 0) :], log)
    assert set(results(log)) == set(results(whole))
    assert log.end_offset(STATE, 0) > 0


@pytest.mark.parametrize("n_before", [0, 1, 40])
def test_all_encodings_in_one_log_give_the_same_results(n_before):
    """As while ingest is restarted process by process."""
    mixed = []
    for i, message in enumerate(published()):
        is_new = is_pane(message) and i >= n_before and i % 3
        pane = decode([message[1]]) if is_new else None
        mixed.append(message_of(pane, i % 3) if pane is not None else message)
    stage, log = run(mixed)
    assert results(log) == results(run(published())[1])
    last = {m[0]: decode([m[1]]) for m in mixed if is_pane(m)}
    again = [message_of(replace(pane, pane_version=1 << 41), 1) for pane in last.values()]
    n_results = len(results(log))
    stage, log = run(again, log)
    assert stage.counters["panes_changed"] == 0
    assert stage.counters["panes_repeated"] > 0
    assert len(results(log)) == n_results


def test_several_changed_panes_of_one_message_are_read_again_together():
    """Panes of two windows: each of them changes, in one message."""
    first, last = places()
    length = CONFIG.window.length_us
    own = [i for i, message in enumerate(published()) if is_pane(message) and i <= last]
    before = decode([published()[first][1]]).start_us // length * length - length
    second = next(i for i in own if decode([published()[i][1]]).start_us >= before)
    others = [pack_pane(changed(published()[i])) for i in (second, first)]
    late = (b"foreign|0|foreign|0", encode_batch(others))
    stage, log = run([*published()[: last + 1], late, *published()[last + 1 :]])
    assert (stage.counters["panes_changed"], stage.counters["panes_unreadable"]) == (2, 0)
    apart = [message_of(changed(published()[i])) for i in (second, first)]
    _, expected = run([*published()[: last + 1], *apart, *published()[last + 1 :]])
    assert results(log) == results(expected) != results(run(published())[1])
