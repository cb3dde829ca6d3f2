"""Mutated messages on Driftline's own topics: readers go on, whatever comes.

A few hundred inputs for each reader; `make fuzz` sets DRIFTLINE_FUZZ_INPUTS to many more, and
DRIFTLINE_FUZZ_SEED begins elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.archive.pane_sets import PaneSets
from monitor.core.drift.partition import DriftPartition
from monitor.core.state.snapshot_store import SnapshotStore, state_writes
from monitor.core.topics import ALERTS, GPU, NOTIFICATIONS, PANES, PREDICTIONS, STATE
from monitor.core.windowing import baseline_codec as baseline_codec
from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import BATCH, decode, encode, encode_batch, pane_key
from monitor.core.windowing.intake_message import NOT_PANES
from monitor.core.windowing.packed_pane import PackedPane, pack_pane
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.decode import Decoder, chunk_of
from monitor.detect.gpu_partition import GpuPartition
from monitor.detect.in_memory import DriftDetect, GpuDetect
from monitor.detect.stage import PanesRules
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.notify.delivery.log import decode_entry, encode_entry
from monitor.notify.delivery.notifier import Notifier
from monitor.notify.in_memory import NotifyStage, TopicNotificationLog
from monitor.transport.memory import MemoryLog
from monitor.transport.types import Message
from schemas.alerts import Notification
from schemas.baselines import Baseline
from schemas.config.monitor import GpuConfig, MonitorConfig
from schemas.errors import BaselineError, DomainError
from schemas.panes import Pane
from tests.fuzz.mutation import flip, twist
from tests.support.log_chunks import fetch_chunk
from tests.support.pane_messages import apart
from tests.support.worlds.small import CONFIG, build_small_world, event_rows

N_INPUTS = int(os.environ.get("DRIFTLINE_FUZZ_INPUTS", "200"))
SEED = int(os.environ.get("DRIFTLINE_FUZZ_SEED", "1"))
ROUND = 25
"""Inputs that one reader takes before a new one begins: what they left in it must not hurt."""


class WriteRecorder:
    async def send(self, notification: Notification) -> str:
        return "sent"

    def remember(self, notification: Notification, detail: str) -> None:
        pass

    async def close(self) -> None:
        pass


@cache
def world() -> tuple[Catalog, MemoryLog]:
    """A small model's whole log: panes, watermarks, states, alerts, notifications."""
    small = build_small_world(has_storm=True)
    log, catalog = small.log(), small.catalog
    ingest = InMemoryIngest(log, catalog, CONFIG.window, Assignment(PREDICTIONS, 0, 1, "o"))
    ingest.take(fetch_chunk(log, PREDICTIONS, 0, 0, 10**6))
    ingest.finish()
    drift = DriftDetect(log, catalog)
    while drift.step():
        pass
    GpuDetect(log, GpuConfig()).take(fetch_chunk(log, GPU, 0, 0, 10**6))
    stage = notify_over(log)
    asyncio.run(stage.step(1 << 52))
    return catalog, log


def notify_over(log: MemoryLog) -> NotifyStage:
    keeper = TopicNotificationLog(log)
    return NotifyStage(log, Notifier(MonitorConfig(), [CONFIG], {"it": WriteRecorder()}, keeper))


def messages(topic: str) -> list[Message]:
    log = world()[1]
    found = log.fetch(topic, 0, 0, log.end_offset(topic, 0))
    if topic != PANES:
        return list(found)
    return [Message(i, *one, -1) for i, one in enumerate(apart((m.key, m.value) for m in found))]


def inputs(name: str) -> Iterable[tuple[int, random.Random]]:
    """Number the inputs of one test, each with randomness of its own."""
    for i in range(N_INPUTS):
        yield i, random.Random(f"{name}-{SEED}-{i}")


def plain(value: bytes) -> object:
    return msgspec.msgpack.decode(value)


def twisted(rng: random.Random, value: bytes, n: int = 1) -> bytes:
    """Change the plain data of a message; bytes where the result cannot be written."""
    data = plain(value)
    for _ in range(n):
        data = twist(rng, data)
    try:
        return msgspec.msgpack.encode(data)
    except (OverflowError, TypeError, ValueError, RecursionError):
        return flip(rng, value)


def twisted_pane(rng: random.Random, value: bytes) -> bytes:
    """Change a pane's header, or its body under a header that fits."""
    head, packed = plain(value)
    if rng.random() < 0.4:
        return twisted(rng, value)
    if head[0] == BATCH and rng.random() < 0.7:
        return repacked_batch(rng, head, packed)
    is_packed = head[0] == 1
    body = pa.decompress(packed, head[-1], codec="zstd", asbytes=True) if is_packed else packed
    raw = twisted(rng, body)
    head[-1] = len(raw)
    if rng.random() < 0.2:
        head = twist(rng, head)
    try:
        body = pa.compress(raw, codec="zstd", asbytes=True) if is_packed else raw
        return msgspec.msgpack.encode([head, body])
    except (OverflowError, TypeError):
        return flip(rng, value)


def repacked_batch(rng: random.Random, head: list, part: bytes) -> bytes:
    """Change the body or the series of one pane of a message, which stays whole."""
    entries = plain(part)
    entry = rng.choice(entries)
    place = rng.choice([0, 3])
    entry[place] = rng.choice([flip, twisted])(rng, entry[place])
    packed = msgspec.msgpack.encode(entries)
    return msgspec.msgpack.encode([[*head[:-1], len(packed)], packed])


def in_all_encodings(known: list[Message]) -> list[Message]:
    """Panes in encodings 1 to 3 by turns; and several of them in one message."""
    found, packed = [], []
    for i, message in enumerate(known):
        schema = i % 4
        if message.key.startswith(NOT_PANES):
            found.append(message)
            continue
        pane = decode([message.value])
        packed.append(pack_pane(pane))
        some = [replace_named(p, pane) for p in packed[-1 - i % 7 :]]
        value = encode(pane, schema=schema)[0] if schema in (1, 2) else encode_batch(some)
        found.append(replace(message, value=value))
    return found


def replace_named(packed: PackedPane, like: Pane) -> PackedPane:
    """Return a pane as one of the message of another."""
    return msgspec.structs.replace(
        packed,
        source=like.source,
        partition=like.partition,
        owner=like.owner,
        pane_version=like.pane_version,
    )


def hostile(rng: random.Random, message: Message) -> bytes:
    """Return a message of the panes topic with something wrong, most of the time."""
    if rng.random() < 0.25:
        return flip(rng, message.value)
    if message.key.startswith(NOT_PANES):
        return twisted(rng, message.value)
    return twisted_pane(rng, message.value)


def drain(groups: Iterable) -> list:
    """Let everything be decided, as the stage does; return what is to be written."""
    return [write for group in groups for phase in group for write in phase.writes]


def test_panes_and_watermarks_of_any_bytes_stop_no_partition():
    catalog, known = world()[0], in_all_encodings(messages(PANES))
    part, offset = DriftPartition(catalog, 0, "me"), 0
    for i, rng in inputs("panes"):
        if i % ROUND == 0:
            part, offset = DriftPartition(catalog, 0, "me"), 0
            part.restore(SnapshotStore())
        for good in known[i % ROUND * 4 : i % ROUND * 4 + 4]:
            drain(part.take(offset, good.key, good.value))
            offset += 1
        chosen = rng.choice(known)
        before = part.counters["panes_unreadable"]
        writes = drain(part.take(offset, chosen.key, hostile(rng, chosen), chosen.timestamp_us))
        offset += 1
        if part.counters["panes_unreadable"] > before:
            assert any(w.topic.endswith("deadletter") for w in writes)
    assert part.counters["panes_kept"] + part.counters["panes_late"] > 0


def test_panes_of_any_bytes_stop_no_archive():
    panes = [m for m in messages(PANES) if not m.key.startswith(NOT_PANES)]
    known = in_all_encodings(panes)
    sets = PaneSets()
    for i, rng in inputs("archive"):
        chosen = rng.choice(known)
        bad = replace(chosen, offset=2 * i, value=hostile(rng, chosen))
        sets.take([bad, replace(chosen, offset=2 * i + 1)])
        sets.drop_torn(2 * i)


def state_bodies() -> list[tuple[tuple[str, tuple[str, ...]], bytes]]:
    snapshots = SnapshotStore()
    bodies = []
    for message in messages(STATE):
        snapshots.add(message.key, message.value)
        for kind in ("model", "gpu", "silence"):
            for name in snapshots.names(kind):
                bodies += [((kind, name), stored.body) for stored in snapshots.stored(kind, name)][
                    :1
                ]
    return bodies


def hostile_states(rng: random.Random, bodies: list) -> list[tuple[bytes, bytes]]:
    """Return messages of the state topic: damaged as they are, or whole with a changed body."""
    if rng.random() < 0.3:
        chosen = rng.choice(messages(STATE))
        value = flip(rng, chosen.value) if rng.random() < 0.5 else twisted(rng, chosen.value)
        key = chosen.key if rng.random() < 0.8 else flip(rng, chosen.key)
        return [(key, value)]
    (kind, name), body = rng.choice(bodies)
    raw = twisted(rng, body, rng.choice((1, 1, 2)))
    return [(w.key, w.value or b"") for w in state_writes(kind, name, "x", 8, raw, partition=0)]


def test_states_of_any_bytes_stop_no_restoration_and_nothing_after_it():
    catalog, known, bodies = world()[0], messages(PANES), state_bodies()
    assert {kind for (kind, _), _ in bodies} == {"model", "gpu"}
    gpu = fetch_chunk(world()[1], GPU, 0, 0, 40)
    for i, rng in inputs("states"):
        snapshots = SnapshotStore()
        for key, value in hostile_states(rng, bodies):
            snapshots.add(key, value, i)
        rules = PanesRules(catalog, 0, "me", "", lambda: 0.0)
        drain([rules.restore(snapshots)])
        rules.position = 0
        for message in known[:: max(1, len(known) // 40)]:
            taken = replace(message, offset=rules.position)
            drain(rules.hear(taken))
        drain(rules.tick(PREDICTIONS))
        partition = GpuPartition(GpuConfig(), 0, "me")
        drain([partition.restore(snapshots)])
        partition.take(gpu, is_stored=True)


def sealed(content: bytes) -> bytes:
    packed = pa.Codec("zstd").compress(content, asbytes=True)
    checksum = hashlib.sha256(packed).hexdigest().encode()
    return b"driftline-profile 1 %d %s\n" % (len(content), checksum) + packed


def test_baselines_of_any_bytes_are_used_or_refused():
    (baseline,) = next(iter(world()[0].baselines.values()))
    content = msgspec.msgpack.encode(baseline_codec._content(baseline))
    events = [json.dumps(row).encode() for row in dated_rows()]
    n_used = 0
    parts = baseline_codec.BaselineParts()
    for _, rng in inputs("profiles"):
        key = baseline.profile_id.encode()
        data = baseline_codec.encode(baseline)
        data = flip(rng, data) if rng.random() < 0.2 else sealed(twisted(rng, content))
        if rng.random() < 0.1:
            key = rng.choice(
                (b"", b"|", b"a|0|1000", b"\xff", b"a|%s|2" % (b"9" * 5_000), b"a|1|2")
            )
        catalog = Catalog.of([CONFIG], [])
        try:
            found = parts.add(key, data)
            is_used = found is not None and catalog.add(found)
        except BaselineError:
            continue
        if is_used and found is not None:
            use(catalog, found, events)
            n_used += 1
    assert n_used < N_INPUTS


def dated_rows() -> list[dict]:
    rows = event_rows(np.random.default_rng(5), 300, 0)
    return [row | {"time_us": 1_000_000 * i} for i, row in enumerate(rows)]


def use(catalog: Catalog, baseline: Baseline, events: list[bytes]) -> None:
    """Do with a baseline what ingest and detect do once it is in the catalog."""
    aggregator = PartitionAggregator("s", 0, "o", CONFIG.window, catalog.layout)
    chunk = chunk_of(events, "s")
    aggregator.add(chunk, Decoder([CONFIG.schema_]).decode(chunk).batches)
    part = DriftPartition(catalog, 0, "me")
    part.restore(SnapshotStore())
    for pane in aggregator.flush(is_end=True):
        for value in encode(pane):
            drain(part.take(part.position, pane_key(pane, 0).encode(), value))
    end = WatermarkMessage("s", 0, 1, "o", 10**15, False, True)
    drain(part.take(part.position, end.key(), end.encode()))


def hostile_event(rng: random.Random, value: bytes) -> bytes:
    if rng.random() < 0.3:
        return flip(rng, value)
    data = twist(rng, json.loads(value))
    try:
        return json.dumps(data, default=repr).encode()
    except (TypeError, ValueError):
        return flip(rng, value)


def test_gpu_events_of_any_bytes_stop_no_rules_and_their_state_can_be_read_back():
    known = messages(GPU)
    partition = GpuPartition(GpuConfig(), 0, "me")
    for i, rng in inputs("gpu"):
        if i % ROUND == 0:
            partition = GpuPartition(GpuConfig(), 0, "me")
        chosen = rng.choice(known)
        values = [chosen.value, hostile_event(rng, chosen.value)]
        times = np.full(2, chosen.timestamp_us, np.int64)
        _, phases = partition.take(chunk_of(values, GPU, 0, 2 * i, times), is_stored=True)
        snapshots = SnapshotStore()
        for write in drain([phases]):
            if write.topic == STATE:
                snapshots.add(write.key, write.value or b"")
        after = GpuPartition(GpuConfig(), 0, "other")
        after.restore(snapshots)
        assert after.position == 2 * i + 2
        assert not snapshots.refused


def fed(topic: str, values: list[tuple[bytes, int]]) -> MemoryLog:
    log = MemoryLog()
    for value, time_us in values:
        log.produce(topic, value, timestamp_us=time_us)
    return log


def rounds(name: str, known: list[Message], change: Callable) -> Iterable[list[tuple[bytes, int]]]:
    """Good messages with changed ones between them, some at a time."""
    made: list[tuple[bytes, int]] = []
    for i, rng in inputs(name):
        good, bad = known[i % len(known)], rng.choice(known)
        made += [(good.value, good.timestamp_us), (change(rng, bad.value), bad.timestamp_us)]
        if len(made) >= 2 * ROUND:
            yield made
            made = []


def test_alerts_of_any_bytes_stop_no_notifier():
    known = messages(ALERTS)
    for values in rounds("alerts", known, twisted):
        stage = notify_over(fed(ALERTS, values))

        async def live(stage: NotifyStage = stage) -> None:
            await stage.start()
            await stage.step(1 << 52)

        asyncio.run(live())


def test_steps_of_notifications_of_any_bytes_stop_no_start():
    known = messages(NOTIFICATIONS)
    for values in rounds("notifications", known, twisted):
        log = MemoryLog()
        for value, time_us in values:
            try:
                entry = decode_entry(value)
            except DomainError:
                continue
            log.produce(NOTIFICATIONS, encode_entry(entry), timestamp_us=time_us)
        asyncio.run(notify_over(log).start())


@pytest.mark.parametrize("topic", [PANES, STATE, ALERTS, NOTIFICATIONS, GPU])
def test_the_log_that_is_mutated_holds_messages_of_every_topic(topic):
    assert messages(topic)
