"""How many events a second one ingest process takes from Kafka to acknowledged panes.

A real broker; broker and process share the same cores. The topics are full before a
process begins. JSON: 386 bytes, ten features, two segments, 1 % deviating from their
layout, in four partitions. ``events_per_s``: from the first read of one process until all
panes are acknowledged and covered by a commit; the median of the runs.

``ratio_msgspec``: over msgspec alone, in its best chunk size, decoding the same events into
columns from memory (:mod:`benchmarks.decode`; it makes no panes and reads no broker).
``ratio_faust``: over a plain Faust agent doing the same work on the same topic
(:mod:`benchmarks.faust_agent`), which sees fewer events because it is slower.
``arrow_rows_per_s``: the same rows as Arrow batches of 1,000, as the SDK sends them.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.decode import MSGSPEC_CHUNKS, best_rate, msgspec_columns
from benchmarks.events import FIRST_US, STEP_US, make_messages
from benchmarks.ingest_run import ROOT, create_topics, fill, rate, topic
from benchmarks.output import Figures, main
from driftline.arrow import arrow_stream
from monitor.decode.arrow.record_batches import stream_of
from monitor.devkit.dev_broker import STEADY_LOAD, DevBroker
from schemas.events import PredictionEvent

N_PARTITIONS, N_DISTINCT, ROWS_A_BATCH = 4, 50_000, 1_000
FULL_STEP_US = 10
"""100,000 events a second of event time, read faster than they came: a catch-up. In
``--quick`` 5,000, which makes twenty times as many panes of the same events."""
_TIME = b'"time_us": '


def events(
    messages: list[bytes], n: int, n_partitions: int = N_PARTITIONS, step_us: int = STEP_US
) -> Iterator[tuple[int, bytes]]:
    """The messages again and again, later each time, spread over the partitions."""
    places = [m.index(_TIME) + len(_TIME) for m in messages]
    for i in range(n):
        k = i % len(messages)
        message, at = messages[k], places[k]
        time_us = FIRST_US + i * step_us
        yield i % n_partitions, b"%b%d%b" % (message[:at], time_us, message[at + 16 :])


def arrow_batches(
    messages: list[bytes], n_batches: int, step_us: int = STEP_US
) -> Iterator[tuple[int, bytes]]:
    """The same rows as the SDK sends them, a thousand a message."""
    sent = [msgspec.json.decode(m, type=PredictionEvent) for m in messages[: 20 * ROWS_A_BATCH]]
    streams = [arrow_stream(sent[k : k + ROWS_A_BATCH]) for k in range(0, len(sent), ROWS_A_BATCH)]
    batches = [pa.ipc.open_stream(stream).read_next_batch() for stream in streams]
    place = batches[0].schema.get_field_index("time_us")
    for i in range(n_batches):
        times = FIRST_US + (i * ROWS_A_BATCH + np.arange(ROWS_A_BATCH, dtype=np.int64)) * step_us
        batch = batches[i % len(batches)].set_column(place, "time_us", pa.array(times))
        yield i % N_PARTITIONS, stream_of(batch)


def faust_rate(bootstrap: str, name: str, n: int) -> float:
    panes = NewTopic(f"{name}-faust-panes", N_PARTITIONS, 1)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([panes])[panes.topic].result(30)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.faust_agent", bootstrap, name, str(n), folder],
            cwd=ROOT,
            stdout=sys.stderr,
            timeout=40 + n / 2_000,
            check=True,
        )
        said = json.loads(Path(folder, "result.json").read_text())
    return said["n"] / said["seconds"]


def msgspec_rate(messages: list[bytes], quick: bool) -> float:
    return max(
        best_rate(lambda size=size: msgspec_columns(messages, size), N_DISTINCT, 4 if quick else 12)
        for size in MSGSPEC_CHUNKS
    )


def measure(quick: bool) -> Figures:
    n, n_batches, n_faust, n_runs, step_us = (1_200_000, 3_000, 40_000, 1, STEP_US) if quick else (
        10_000_000, 20_000, 200_000, 3, FULL_STEP_US)  # fmt: skip
    messages = make_messages(N_DISTINCT)
    before = msgspec_rate(messages, quick)
    with DevBroker(jvm_options=STEADY_LOAD) as broker:
        address = broker.bootstrap
        for prefix in ("j.", "a."):
            create_topics(address, prefix, N_PARTITIONS)
        fill(address, topic("j."), events(messages, n, step_us=step_us))
        runs = [rate(address, "j.", "fraud", n) for _ in range(n_runs)]
        by_faust = faust_rate(address, topic("j."), n_faust)
        fill(address, topic("a."), arrow_batches(messages, n_batches, step_us))
        arrow = rate(address, "a.", "fraud", n_batches)[0] * ROWS_A_BATCH
    # Cores that others use too were seen to halve their speed within minutes.
    by_msgspec = max(before, msgspec_rate(messages, quick))
    events_per_s = statistics.median(run[0] for run in runs)
    return {
        "events_per_s": events_per_s,
        "ratio_msgspec": events_per_s / by_msgspec,
        "ratio_faust": events_per_s / by_faust,
        "arrow_rows_per_s": arrow,
        "msgspec_events_per_s": by_msgspec,
        "faust_events_per_s": by_faust,
        "cpu_us_an_event": statistics.median(run[1] for run in runs),
        "best_events_per_s": max(run[0] for run in runs),
        "mean_event_bytes": sum(map(len, messages)) / len(messages),
        "n_events": n,
    }


if __name__ == "__main__":
    main("events from Kafka to acknowledged panes, one process", measure)
