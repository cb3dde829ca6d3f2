"""How many predictions a second go from Kafka into chDB: one archive process, one store.

A real broker, ``driftline store serve`` and one archive, all on the same cores; 386-byte
JSON events with ten features and two segments, written before the clock starts.

``rows_per_s``: from the moment the archive starts on a full topic until the store holds the
last row, by the store's own count, every intent and commit included; joining the groups is
not (``join_s``). ``insert_rows_per_s``: blocks of ``insert_block_rows`` over HTTP into the
same store, one after another, and no more. ``decode_rows_per_s``: messages in memory into
such blocks. ``archive_cpu_us``, ``store_cpu_us``: CPU of a row in these processes, merges
and one-off costs of the start included. ``lost``, ``double``: by raw counts, without FINAL.
``limited_by`` names the lower of the two rates; when ``rows_per_s`` is far below both, the
cores are what is short: the archive, the store and the broker share them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.events import make_messages, model_config
from benchmarks.output import Figures, main
from monitor.archive.blocks import PlacedRows
from monitor.archive.on_kafka import run_archive
from monitor.archive.raw import RawTopics
from monitor.archive.topic import READ_MESSAGES
from monitor.core.topics import PREDICTIONS
from monitor.decode import Decoder, chunk_of
from monitor.devkit.dev_broker import STEADY_LOAD, DevBroker
from monitor.service.lifecycle import Lifecycle
from monitor.storage.clickhouse import Store
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.kafka.topics.changes import apply_changes
from monitor.transport.kafka.topics.connection import open_admin
from monitor.transport.kafka.topics.specs import plan_changes, topic_specs

N_PARTITIONS, N_DISTINCT, BLOCK_ROWS = 4, 20_000, 100_000
BOUND_S = 600.0
POLL_S = 0.2
"""Between two looks at the store: twenty a second took a tenth of a core from the archive."""


@contextlib.contextmanager
def served_store(folder: str) -> Iterator[tuple[str, int]]:
    """``driftline store serve`` in a process of its own; its URL and process id."""
    command = (sys.executable, "-m", "monitor.cli.main", "store", "serve", "--port", "0")
    server = subprocess.Popen([*command, "--store", folder], stdout=subprocess.PIPE, text=True)
    try:
        yield server.stdout.readline().split()[-1] + "/default", server.pid
    finally:
        server.terminate()
        server.wait()


def fill(bootstrap: str, messages: list[bytes], n: int) -> None:
    specs = topic_specs(n_input=N_PARTITIONS, n_keyed=N_PARTITIONS)
    with open_admin(bootstrap) as admin:
        apply_changes(admin, plan_changes(specs, {}))
    with LogProducer({"bootstrap.servers": bootstrap}) as producer:
        for i in range(n):
            value = renamed(messages[i % len(messages)], i)
            producer.produce(PREDICTIONS, value, partition=i % N_PARTITIONS)


def renamed(message: bytes, i: int) -> bytes:
    """The event under an id of its own: merges collapse equal rows, and would look like loss."""
    at = message.index(b'"id": "') + 7
    return b"%s%016x%s" % (message[:at], i, message[at + 16 :])


def cpu_of(pid: int) -> float:
    """CPU seconds of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def n_stored(store: Store) -> int:
    return store.query("SELECT count() AS n FROM predictions")["n"][0].as_py()


def archive_all(cluster: Cluster, url: str, store_pid: int, n: int) -> dict[str, float | int]:
    """Run the stage until the store holds everything."""
    lifecycle, ended = Lifecycle("archive"), queue.SimpleQueue[BaseException | None]()

    def live() -> None:
        try:
            run_archive(cluster, [model_config()], url, lifecycle)
            ended.put(None)
        except BaseException as error:
            ended.put(error)

    thread = threading.Thread(target=live)
    begin = time.perf_counter()
    with Store.open(url) as store:
        thread.start()
        first_s = joined_s = 0.0
        cpu, store_cpu = cpu_of(os.getpid()), cpu_of(store_pid)
        while (stored := n_stored(store)) < n and ended.empty():
            now_s = time.perf_counter() - begin
            joined_s = joined_s or (now_s if lifecycle.is_ready else 0.0)
            first_s = first_s or (now_s if stored else 0.0)
            assert now_s < BOUND_S, f"{stored} of {n} rows after {now_s:.0f} s"
            time.sleep(POLL_S)
        last_s = time.perf_counter() - begin
        cpu, store_cpu = cpu_of(os.getpid()) - cpu, cpu_of(store_pid) - store_cpu
        lifecycle.drain()
        thread.join()
        if (error := ended.get()) is not None:
            raise error
        stored = n_stored(store)
    return {
        "rows_per_s": n / (last_s - joined_s),
        "join_s": joined_s,
        "first_rows_s": first_s - joined_s,
        "archive_cpu_us": cpu / n * 1e6,
        "store_cpu_us": store_cpu / n * 1e6,
        "lost": max(0, n - stored),
        "double": max(0, stored - n),
    }


def blocks_of(messages: list[bytes], n_blocks: int) -> tuple[list[PlacedRows], float]:
    """Blocks as the archive makes them, and rows a second of making them."""
    raw = RawTopics(Decoder([model_config().schema_]))
    many = [renamed(messages[i % len(messages)], i) for i in range(BLOCK_ROWS)]
    chunks = [
        chunk_of(many[i : i + READ_MESSAGES], "bench", 0, i)
        for i in range(0, BLOCK_ROWS, READ_MESSAGES)
    ]
    raw.rows(PREDICTIONS, chunks)
    begin = time.perf_counter()
    blocks = [raw.rows(PREDICTIONS, chunks) for _ in range(n_blocks)]
    return blocks, n_blocks * BLOCK_ROWS / (time.perf_counter() - begin)


def insert_alone(url: str, blocks: list[PlacedRows]) -> float:
    with Store.open(url) as store:
        begin = time.perf_counter()
        for i, block in enumerate(blocks):
            store.insert("predictions", block.rows, f"bench-alone:{i}")
        return len(blocks) * BLOCK_ROWS / (time.perf_counter() - begin)


def measure(quick: bool) -> Figures:
    n, n_blocks = (400_000, 4) if quick else (4_000_000, 20)
    messages = make_messages(N_DISTINCT)
    blocks, decode_rate = blocks_of(messages, n_blocks)
    with (
        tempfile.TemporaryDirectory() as folder,
        DevBroker(jvm_options=STEADY_LOAD) as broker,
        served_store(str(Path(folder) / "store")) as (url, store_pid),
    ):
        fill(broker.bootstrap, messages, n)
        figures = archive_all(Cluster(broker.bootstrap), url, store_pid, n)
        insert_rate = insert_alone(url, blocks)
    slowest = "store" if insert_rate < decode_rate else "decode"
    return {
        **figures,
        "insert_rows_per_s": insert_rate,
        "insert_block_rows": BLOCK_ROWS,
        "decode_rows_per_s": decode_rate,
        "limited_by": slowest if figures["rows_per_s"] > 0.7 * min(insert_rate, decode_rate)
        else "cores",
        "n_rows": n,
    }  # fmt: skip


if __name__ == "__main__":
    main("predictions from Kafka into chDB behind `driftline store serve`", measure)
