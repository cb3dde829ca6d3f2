"""How many JSON events a second come out of a broker as columns, by either reader.

A real broker, its own topic, events of about 386 bytes (1 % of them deviating), broker
and reader on the same cores. ``bulk_events_per_s``: partition queues read into chunks of
5,000, each decoded. ``bulk_read_events_per_s``: chunks only. ``consume_...``: the same by
``consume()``. ``msgspec_events_per_s``: msgspec alone, from memory into the same columns,
in its best chunk size (:mod:`benchmarks.decode`). ``..._cpu_us``: CPU of all threads of
this process for an event, librdkafka's included; the broker's is not.

Each figure is the best of several laps over the whole topic by the clock, sought back to
the beginning between laps; the clock starts with the first chunk, since a seek waits for
the fetch that is under way.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable

from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.decode import CHUNK, MSGSPEC_CHUNKS, SCHEMA, best_rate, msgspec_columns
from benchmarks.events import make_messages
from benchmarks.output import Figures, main
from monitor.decode import Decoder
from monitor.devkit.dev_broker import STEADY_LOAD, DevBroker
from monitor.transport.kafka.group_reader import GroupReader
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.kafka.readers.reader import ReaderKind, open_reader
from monitor.transport.kafka.settings import ReaderSettings
from schemas.batch import Chunk

TOPIC, N_PARTITIONS, N_DISTINCT = "bench", 4, 50_000


def fill(bootstrap: str, messages: list[bytes], n: int) -> None:
    client = {"bootstrap.servers": bootstrap}
    admin = AdminClient(client)
    admin.create_topics([NewTopic(TOPIC, N_PARTITIONS, 1)])[TOPIC].result(30)
    with LogProducer(client) as producer:
        for i in range(n):
            value = messages[i % len(messages)]
            producer.produce(TOPIC, value, partition=i * N_PARTITIONS // n)


def read_all(reader: GroupReader, n: int, use: Callable[[Chunk], int]) -> tuple[float, float]:
    """Read ``n`` events; events a second and CPU of one, from the first chunk's arrival on."""
    n_used = n_first = 0
    begin = cpu = 0.0
    while n_used < n:
        reader.poll(0.1)
        for partition in reader.partitions:
            chunk = reader.read(partition, CHUNK)
            n_used += use(chunk) if len(chunk) else 0
            if n_used and not n_first:
                n_first, begin, cpu = n_used, time.perf_counter(), cpu_s()
    n_timed = n_used - n_first
    return n_timed / (time.perf_counter() - begin), (cpu_s() - cpu) / n_timed * 1e6


def cpu_s() -> float:
    return sum(os.times()[:2])


def best_lap(
    bootstrap: str, kind: ReaderKind, n: int, n_laps: int, use: Callable[[Chunk], int]
) -> tuple[float, float]:
    """Events a second of the best lap, and CPU microseconds an event in it."""
    settings = ReaderSettings(TOPIC, f"bench-{kind}", {"bootstrap.servers": bootstrap})
    best = (0.0, 0.0)
    with open_reader(settings, kind=kind) as reader:
        read_all(reader, n, use)
        for _ in range(n_laps):
            for partition in reader.partitions:
                reader.seek(partition, 0)
            best = max(best, read_all(reader, n, use))
    return best


def measure(quick: bool) -> Figures:
    gc.disable()
    n, n_laps = (200_000, 3) if quick else (1_000_000, 6)
    messages = make_messages(N_DISTINCT)
    decoder = Decoder([SCHEMA])
    uses = {
        "": lambda chunk: sum(len(batch) for batch in decoder.decode(chunk).batches),
        "_read": len,
    }
    figures: dict[str, float | int] = {}
    with DevBroker(jvm_options=STEADY_LOAD) as broker:
        fill(broker.bootstrap, messages, n)
        for kind in ("bulk", "consume"):
            for name, use in uses.items():
                rate, cpu_us = best_lap(broker.bootstrap, kind, n, n_laps, use)
                figures[f"{kind}{name}_events_per_s"] = rate
                figures[f"{kind}{name}_cpu_us"] = cpu_us
    msgspec_rate = max(
        best_rate(lambda size=size: msgspec_columns(messages, size), len(messages), 2 * n_laps)
        for size in MSGSPEC_CHUNKS
    )
    return {
        **figures,
        "ratio_consume": figures["bulk_events_per_s"] / figures["consume_events_per_s"],
        "msgspec_events_per_s": msgspec_rate,
        "ratio_msgspec": figures["bulk_events_per_s"] / msgspec_rate,
        "mean_event_bytes": sum(map(len, messages)) / len(messages),
        "n_events": n,
    }


if __name__ == "__main__":
    main("JSON events from a broker into columns, by either reader", measure)
