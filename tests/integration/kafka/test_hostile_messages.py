"""Hostile messages between good ones in our own topics: stages go on, letters are written."""

from __future__ import annotations

import hashlib
import random

import msgspec
import pyarrow as pa
import pytest

from monitor.core import topics
from monitor.core.state.snapshot_store import StateKey
from monitor.core.windowing.codec import encode, pane_key
from monitor.core.windowing.intake_message import NOT_PANES
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.storage.clickhouse import Store
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.kafka.readers.topic_scan import scan
from schemas.panes import Pane, SeriesId, SeriesStats
from schemas.refused import DeadLetter
from tests.fuzz.mutation import flip, twist
from tests.support.installation import command, event, install
from tests.support.stage_processes import Stages
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.timeout(600)]
N = 4_000
FAR_US = (1 << 63) - 1


def hostile_panes() -> list[tuple[bytes, bytes]]:
    """Panes and watermarks of what stopped detect, or closed every window for good."""
    stats = SeriesStats.empty(("*",), 0)
    pane = Pane(SeriesId("default", "loans", "", ""), 0, 10, "s", 0, "o", 1, stats)
    key, (value,) = pane_key(pane, 0).encode(), encode(pane)
    head, part = msgspec.msgpack.decode(value)
    far = msgspec.msgpack.encode([[*head[:5], FAR_US, FAR_US, *head[7:]], part])
    body = msgspec.msgpack.encode([[["*"], 2**64 - 1, [], []], [[], 1, [], []]])
    packed = pa.compress(body, codec="zstd", asbytes=True)
    wide = msgspec.msgpack.encode([[*head[:-1], len(body)], packed])
    words = [WatermarkMessage("s", 0, 1 << 60, "o", 5), WatermarkMessage("s", 0, 1, "o", FAR_US)]
    return [(key, far), (key, wide), (key, b"\xc1"), *((w.key(), w.encode()) for w in words)]


def hostile_baselines() -> list[tuple[bytes, bytes]]:
    """Keys and baselines that ended ingest and detect at every start."""

    def sealed(content: bytes) -> bytes:
        packed = pa.Codec("zstd").compress(content, asbytes=True)
        checksum = hashlib.sha256(packed).hexdigest().encode()
        return b"driftline-profile 1 %d %s\n" % (len(content), checksum) + packed

    return [
        (b"a|%s|2" % (b"9" * 5_000), b"x"),
        (b"b", b"driftline-profile %s 1 x\n" % (b"1" * 5_000)),
        (b"c", sealed(msgspec.msgpack.encode(7))),
        (b"d", sealed(b"\xc1\xc1")),
        (b"e", b"driftline-profile 1 %d x\n" % (1 << 30)),
    ]


def hostile_states() -> list[tuple[bytes, bytes]]:
    """States that cannot be read, or are another model's."""
    key = StateKey("model", ("default", "loans"), "o", 0, 0).encode()
    body = pa.compress(b"no state", codec="zstd", asbytes=True)
    chunks = [(1, 2, 0, 10**9, 10, b"x"), (1, 2**64 - 2, 0, 1, 10, b"x"), (1, 4, 0, 1, 8, body)]
    found = [(key + b"%d" % 0, msgspec.msgpack.encode(chunk)) for chunk in chunks[:2]]
    return [*found, (key, msgspec.msgpack.encode(chunks[2])), (b"|||", b"x")]


def mutated(messages: list, n: int = 20) -> list[tuple[bytes, bytes]]:
    """Messages that stages wrote, as bytes that were damaged."""
    rng = random.Random(7)
    made = []
    for _ in range(n):
        one = rng.choice(messages)
        try:
            value = msgspec.msgpack.encode(twist(rng, msgspec.msgpack.decode(one.value)))
        except (OverflowError, TypeError, ValueError):
            value = flip(rng, one.value)
        made.append((one.key, value))
    return [*made, (b"k", b"\xc1")]


def test_every_stage_goes_on_behind_hostile_messages_and_after_a_restart(
    broker, topic_prefix, tmp_path
):
    site = install(tmp_path / "site")
    file = site / "driftline.yaml"
    file.write_text(f"models: [models/*.yaml]\nkafka: {{prefix: {topic_prefix!r}}}\n")
    address = ("--bootstrap", broker.bootstrap, "--prefix", topic_prefix)
    small = ("--partitions", 1, "--input-partitions", 1)
    assert command("topics", "create", "--yes", *small, *address).code == 0
    cluster = Cluster(broker.bootstrap, topic_prefix)
    environment = {"DRIFTLINE_LOG": "text"}
    with (
        Stages(file, broker.bootstrap, environment) as stages,
        LogProducer(cluster.client()) as producer,
    ):

        def write(topic: str, messages: list[tuple[bytes, bytes]]) -> None:
            for key, value in messages:
                producer.produce(cluster.topic(topic), value, key=key, partition=0)
            producer.flush_acks(30)

        def predictions(first: int, n: int) -> None:
            write(topics.PREDICTIONS, [(b"loans", event(i)) for i in range(first, first + n)])

        def read(topic: str) -> list:
            return [m for m in scan(cluster, topic, 0) if m.value]

        def letters() -> list[DeadLetter]:
            return [
                msgspec.msgpack.decode(m.value, type=DeadLetter)
                for m in read(topics.DEAD_LETTERS)
                if m.key.startswith(b"driftline.")
            ]

        # Before any stage runs: what ended them at each start.
        write(topics.BASELINES, hostile_baselines())
        write(topics.STATE, hostile_states())
        running = {name: stages.start(name) for name in ("ingest", "detect", "notify", "archive")}
        for process in running.values():
            process.wait_ready()
        predictions(0, N // 2)
        write(topics.PANES, hostile_panes())
        write(
            topics.GPU, [(b"n", b'{"host":"h","gpu_uuid":"g","time_us":1,"xid":%s}' % (b"9" * 30))]
        )
        write(topics.ALERTS, [(b"a", b"\xc1"), (b"b", msgspec.msgpack.encode({"time_us": FAR_US}))])
        predictions(N // 2, N // 2)
        wait_until(lambda: running["detect"].metric("driftline_windows_total") > 0, 120, "a window")
        wait_until(lambda: len(read(topics.RESULTS)) > 0, 60, "results")
        write(
            topics.PANES,
            mutated([m for m in read(topics.PANES) if not m.key.startswith(NOT_PANES)]),
        )
        write(topics.RESULTS, mutated(read(topics.RESULTS)))
        write(topics.STATE, mutated(read(topics.STATE)))
        write(topics.NOTIFICATIONS, [(b"n", b"\xc1"), (b"m", msgspec.msgpack.encode([1, 2]))])
        wait_until(
            lambda: {x.source for x in letters()} >= {topics.PANES, topics.BASELINES}, 60, "letters"
        )
        assert all(process.is_running for process in running.values())
        for name in ("detect", "notify", "ingest"):
            assert running[name].stop(60) == 0, running[name].log
            running[name].start().wait_ready()
        n_windows = running["detect"].metric("driftline_windows_total")
        predictions(2 * N, N)
        wait_until(
            lambda: running["detect"].metric("driftline_windows_total") > n_windows, 120, "a window"
        )
        found = {x.source for x in letters()}
        for process in running.values():
            assert process.stop(60) == 0, process.log
            assert "Traceback" not in process.log, process.log
    assert found >= {
        topics.PANES,
        topics.BASELINES,
        topics.STATE,
        topics.ALERTS,
        topics.NOTIFICATIONS,
    }
    with Store.open(str(site / "driftline-store")) as store:
        n = store.query("SELECT count() AS n FROM predictions")["n"][0].as_py()
    assert n == 2 * N
