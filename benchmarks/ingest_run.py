"""Topics filled beforehand, and ingest processes that empty them: what three benchmarks share."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from monitor.core.topics import PREDICTIONS
from monitor.ingest.stage import GROUP
from monitor.transport.kafka.topics.specs import topic_specs

ROOT = Path(__file__).resolve().parents[1]
N_PANES_PARTITIONS = 4


def create_topics(bootstrap: str, prefix: str, n_partitions: int) -> None:
    specs = topic_specs(n_input=n_partitions, n_keyed=N_PANES_PARTITIONS, prefix=prefix)
    made = [NewTopic(s.name, s.n_partitions, 1, config=dict(s.settings)) for s in specs]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics(made).values():
        future.result(60)
    # The controller answers before the broker shows them.
    deadline = time.monotonic() + 60
    while not {t.topic for t in made} <= admin.list_topics(timeout=30).topics.keys():
        if time.monotonic() > deadline:
            raise SystemExit("the broker does not show its new topics")
        time.sleep(0.05)


def fill(bootstrap: str, topic: str, messages: Iterable[tuple[int, bytes]]) -> int:
    """Write messages, each to its partition; all are acknowledged on return."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "batch.num.messages": 20_000,
            "batch.size": 900_000,
            "queue.buffering.max.messages": 400_000,
            "queue.buffering.max.kbytes": 1 << 18,
        }
    )
    n = 0
    for partition, value in messages:
        n += 1
        while True:
            try:
                producer.produce(topic, value, partition=partition)
            except BufferError:
                producer.poll(0.05)
                continue
            break
        if n % 1_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise SystemExit("not everything was written")
    return n


class IngestProcess:
    """A process of :mod:`benchmarks.ingest_process`, and the last thing it said."""

    def __init__(self, bootstrap: str, prefix: str, world: str, core: int | None = None) -> None:
        pinning = () if core is None else ("0.1", str(core))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ingest_process", bootstrap, prefix, world, *pinning],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: dict[str, Any] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said = json.loads(line)

    def wait(self, name: str) -> dict[str, Any]:
        """Return what it says once a figure is there."""
        while not self.said.get(name):
            self.check()
            time.sleep(0.02)
        return self.said

    def check(self) -> None:
        """Fail when it has ended by itself."""
        if self._process.poll() is not None:
            raise SystemExit(f"an ingest process ended with {self._process.returncode}")

    def go_on(self) -> None:
        """Let it begin; the second time, let it end."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Drain it."""
        if self._process.poll() is None:
            self.go_on()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.communicate()


@contextmanager
def processes(
    bootstrap: str, prefix: str, world: str, n: int = 1, core: int | None = None
) -> Iterator[list[IngestProcess]]:
    """Start processes, compiled and waiting; with a core, they will do all their work on it."""
    with ExitStack() as stack:
        started = [IngestProcess(bootstrap, prefix, world, core) for _ in range(n)]
        for each in started:
            stack.callback(each.end)
        for each in started:
            each.wait("ready")
        yield started


def wait_committed(started: list[IngestProcess], n: int, bound_s: float = 600.0) -> None:
    """Return when the commits of all processes cover ``n`` messages."""
    deadline = time.monotonic() + bound_s
    while sum(p.said.get("n_committed", 0) for p in started) < n:
        for each in started:
            each.check()
        if time.monotonic() > deadline:
            raise SystemExit(f"not done in {bound_s:.0f} s: {[p.said for p in started]}")
        time.sleep(0.05)


def rate(bootstrap: str, prefix: str, world: str, n: int) -> tuple[float, float]:
    """Messages a second of one process over a full topic, and CPU microseconds of each.

    From the first read until every pane lies acknowledged in the log and is covered by a
    commit.
    """
    with processes(bootstrap, prefix, world) as started:
        started[0].go_on()
        wait_committed(started, n)
        said = started[0].said
    forget(bootstrap, prefix)
    return n / (said["last_s"] - said["begin_s"]), said["cpu_s"] / n * 1e6


def forget(bootstrap: str, prefix: str) -> None:
    """Delete the group's commits: the next process begins at the beginning."""
    admin, group = AdminClient({"bootstrap.servers": bootstrap}), prefix + GROUP
    admin.delete_consumer_groups([group])[group].result(30)


def topic(prefix: str) -> str:
    return prefix + PREDICTIONS
