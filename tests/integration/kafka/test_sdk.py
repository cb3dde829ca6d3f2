"""The producer SDK against a real broker: right, late, interrupted, and never in the way."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from driftline import Reporter
from driftline.compression import choose_codec
from monitor.decode import Decoder
from monitor.decode.chunk import chunk_of
from schemas.batch import ModelSchema
from tests.support.kafka.messages import consume_all, create_topic
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.kafka,
    # kafka-python 3.0 leaves the socket of a refused connection to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket"),
]

SCHEMA = ModelSchema("default", "loans", ("age", "income"), ("job",), ("region",))
BOUND_S = 60.0


@pytest.fixture(autouse=True)
def _refused_sockets_are_collected_here():
    """See above: not in a later test, which has no such filter."""
    before = set(threading.enumerate())
    yield
    wait_until(lambda: not set(threading.enumerate()) - before, BOUND_S, "the threads' end")
    gc.collect()


@pytest.fixture
def topics(broker, topic_prefix) -> dict[str, str]:
    names = {
        "predictions_topic": f"{topic_prefix}predictions",
        "labels_topic": f"{topic_prefix}labels",
    }
    for name in names.values():
        create_topic(broker.bootstrap, name, 1)
    return names


def ids_in(bootstrap: str, topic: str, n_messages: int) -> list[str]:
    return [
        event["id"]
        for payload in consume_all(bootstrap, topic, n_messages)
        for event in json.loads(payload)
    ]


@pytest.mark.parametrize("format", ["json", "arrow"])
def test_what_was_reported_comes_out_of_the_decoder(broker, topics, format):
    rng = np.random.default_rng(3)
    n = 1_000
    ages, scores = rng.normal(40, 9, n), rng.random(n)
    reporter = Reporter(
        broker.bootstrap, model="loans", n_batch=n, linger_s=30.0, format=format, **topics
    )
    for i in range(n):
        reporter.predict(
            {"age": ages[i], "income": None if i % 7 == 0 else i, "job": f"j{i % 5}"},
            score=scores[i],
            id=f"id{i}",
            segments={"region": "north" if i % 2 else "south"},
            time_us=1_000_000 + i,
        )
    assert reporter.close(BOUND_S)
    counters = reporter.counters
    assert (counters.n_sent, counters.last_error) == (n, "")
    payloads = consume_all(broker.bootstrap, topics["predictions_topic"], 1)
    assert (payloads[0][:4] == b"\xff\xff\xff\xff") == (format == "arrow")
    decoded = Decoder([SCHEMA]).decode(chunk_of(payloads, "topic"))
    assert decoded.rejects == ()
    (batch,) = decoded.batches
    assert batch.time_us.tolist() == [1_000_000 + i for i in range(n)]
    np.testing.assert_array_equal(batch.numeric[0], ages)
    np.testing.assert_array_equal(
        batch.numeric[1], [np.nan if i % 7 == 0 else float(i) for i in range(n)]
    )
    np.testing.assert_array_equal(batch.score, scores)
    jobs = batch.categorical[0]
    assert [jobs.values[code] for code in jobs.codes] == [f"j{i % 5}" for i in range(n)]
    regions = batch.segments[0]
    assert [regions.values[code] for code in regions.codes][:2] == ["south", "north"]


@pytest.mark.parametrize("compression", ["auto", "gzip"])
def test_a_compressed_topic_is_a_fraction_of_the_size_and_holds_the_same(
    broker, topic_prefix, compression
):
    rng = np.random.default_rng(4)
    names = [f"feature{k}" for k in range(8)]
    rows = [dict(zip(names, rng.normal(size=8).round(2), strict=True)) for _ in range(500)]
    payloads, n_bytes = {}, {}
    for used in (compression, "none"):
        topic = f"{topic_prefix}{used}"
        create_topic(broker.bootstrap, topic, 1)
        reporter = Reporter(
            broker.bootstrap,
            model="loans",
            predictions_topic=topic,
            linger_s=30.0,
            compression=used,
        )
        for number, row in enumerate(rows):
            reporter.predict(row, score=0.5, id=str(number), time_us=1_000_000 + number)
        assert reporter.close(BOUND_S)
        payloads[used] = consume_all(broker.bootstrap, topic, 1)
        n_bytes[used] = sum(f.stat().st_size for f in broker.folder.rglob(f"{topic}-0/*.log"))
    assert payloads[compression] == payloads["none"]
    has_codec = choose_codec(compression) is not None
    assert n_bytes["none"] > len(payloads["none"][0])
    assert (n_bytes[compression] < 0.6 * n_bytes["none"]) == has_codec


def test_labels_arrive_on_their_topic(broker, topics):
    reporter = Reporter(broker.bootstrap, model="loans", **topics)
    id_ = reporter.predict({"age": 41})
    reporter.label(id_, 1, time_us=5)
    assert reporter.close(BOUND_S)
    (payload,) = consume_all(broker.bootstrap, topics["labels_topic"], 1)
    assert json.loads(payload) == [{"id": id_, "model": "loans", "time_us": 5, "label": 1.0}]


@pytest.mark.slow
def test_a_broker_that_comes_later_gets_everything(new_broker):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, "predictions", 1)
    broker.stop()
    reporter = Reporter(
        broker.bootstrap, model="loans", predictions_topic="predictions", n_batch=100
    )
    begin = time.perf_counter()
    for i in range(300):
        reporter.predict({"age": i}, id=str(i))
    assert time.perf_counter() - begin < 5
    wait_until(lambda: bool(reporter.counters.last_error), BOUND_S)
    assert reporter.counters.n_waiting == 300
    broker.start()
    wait_until(lambda: reporter.counters.n_sent == 300, BOUND_S)
    assert reporter.close(BOUND_S)
    assert ids_in(broker.bootstrap, "predictions", 3) == [str(i) for i in range(300)]


@pytest.mark.slow
def test_a_broker_that_dies_and_returns_loses_and_doubles_nothing(new_broker):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, "predictions", 1)
    reporter = Reporter(
        broker.bootstrap, model="loans", predictions_topic="predictions", n_batch=1, n_in_flight=4
    )
    for i in range(50):
        reporter.predict({}, id=str(i))
    wait_until(lambda: reporter.counters.n_sent == 50, BOUND_S)
    broker.kill()
    for i in range(50, 100):
        reporter.predict({}, id=str(i))
    broker.start()
    wait_until(lambda: reporter.counters.n_sent == 100, BOUND_S)
    assert reporter.close(BOUND_S)
    assert reporter.counters.n_failed == 0
    assert ids_in(broker.bootstrap, "predictions", 100) == [str(i) for i in range(100)]


@pytest.mark.slow
def test_a_broker_that_stays_away_costs_the_oldest_events_and_a_bounded_end(new_broker):
    broker = new_broker()
    broker.start()
    address = broker.bootstrap
    broker.stop()
    reporter = Reporter(address, model="loans", n_buffered=10, n_batch=5)
    for i in range(1_000):
        reporter.predict({}, id=str(i))
    wait_until(lambda: bool(reporter.counters.last_error), BOUND_S)
    begin = time.monotonic()
    assert not reporter.close(1.0)
    assert time.monotonic() - begin < 10
    counters = reporter.counters
    assert counters.n_dropped >= 980
    assert counters.n_dropped + counters.n_unsent == 1_000
    assert counters.is_complete


def test_a_topic_that_is_missing_is_counted_and_tried_again(broker, topic_prefix):
    topic = f"{topic_prefix}late"
    reporter = Reporter(
        broker.bootstrap, model="loans", predictions_topic=topic, kafka={"max_block_ms": 500}
    )
    reporter.predict({}, id="a")
    wait_until(lambda: bool(reporter.counters.last_error), BOUND_S)
    create_topic(broker.bootstrap, topic, 1)
    wait_until(lambda: reporter.counters.n_sent == 1, BOUND_S)
    assert reporter.close(BOUND_S)


SERVICE = """
import os, sys
from driftline import Reporter
bootstrap, topic = sys.argv[1:]
reporter = Reporter(bootstrap, model="loans", predictions_topic=topic, linger_s=0.01, exit_s=30)
reporter.predict({}, id="preloaded")
import time
deadline = time.monotonic() + 60
while reporter.counters.n_sent < 1:
    assert time.monotonic() < deadline
children = []
for k in range(3):
    pid = os.fork()
    if pid == 0:
        for i in range(100):
            reporter.predict({}, id=f"{k}-{i}")
        sys.exit(0 if reporter.close(30) and reporter.counters.n_sent == 100 else 1)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
reporter.predict({}, id="at the end")
"""


def test_forked_workers_and_the_end_of_the_process_deliver_once(broker, topics):
    topic = topics["predictions_topic"]
    done = subprocess.run(
        [sys.executable, "-c", SERVICE, broker.bootstrap, topic],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = {"preloaded", "at the end"} | {f"{k}-{i}" for k in range(3) for i in range(100)}
    got: list[str] = []
    wait_until(lambda: _read(broker.bootstrap, topic, got) >= len(expected))
    assert sorted(got) == sorted(expected)


def _read(bootstrap: str, topic: str, got: list[str]) -> int:
    """Read the whole topic; return how many events there are."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end = consumer.end_offsets([place])[place]
        got.clear()
        while consumer.position(place) < end:
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    got.extend(event["id"] for event in json.loads(record.value))
        return len(got)
    finally:
        consumer.close()
