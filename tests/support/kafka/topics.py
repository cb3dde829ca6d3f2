"""Topics of a test, with writers and readers."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from monitor.clock import elapsed_s
from monitor.transport.kafka.group_reader import GroupReader
from monitor.transport.kafka.readers.reader import ReaderKind, open_reader
from monitor.transport.kafka.settings import (
    Callbacks,
    LogGap,
    ReaderSettings,
    ReadFault,
    Unreadable,
)
from monitor.transport.kafka.topics.changes import apply_changes
from monitor.transport.kafka.topics.connection import open_admin
from monitor.transport.kafka.topics.specs import plan_changes, topic_specs
from monitor.transport.types import Committed
from schemas.batch import Chunk

_NUMBERS = itertools.count()


def wait_until(is_so: Callable[[], object], step: Callable[[], object], bound_s: float = 60.0):
    """Run steps until a condition holds; fail after the time-out."""
    deadline = elapsed_s() + bound_s
    while not is_so():
        assert elapsed_s() < deadline, f"nothing came of it in {bound_s} s"
        step()


def create_stage_topics(bootstrap: str, prefix: str) -> None:
    """Create every topic of the stages, with two partitions each."""
    specs = topic_specs(n_input=2, n_keyed=2, prefix=prefix)
    with open_admin(bootstrap) as admin:
        apply_changes(admin, plan_changes(specs, {}))


@dataclass
class Topic:
    """A topic for one test."""

    bootstrap: str
    n_partitions: int = 1
    config: dict[str, str] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self):
        self.name = self.name or f"test-{os.getpid()}-{next(_NUMBERS)}"
        self.client = {"bootstrap.servers": self.bootstrap}
        self.admin = AdminClient(self.client)
        self.create()

    def create(self):
        made = self.admin.create_topics(
            [NewTopic(self.name, self.n_partitions, 1, config=self.config)]
        )
        made[self.name].result(30)
        # The controller answers before the broker shows it.
        wait_until(self._is_shown, lambda: time.sleep(0.02))

    def _is_shown(self) -> bool:
        shown = self.admin.list_topics(timeout=30).topics.get(self.name)
        return shown is not None and len(shown.partitions) == self.n_partitions

    def delete(self):
        self.admin.delete_topics([self.name])[self.name].result(30)

    def grow(self, n_partitions: int):
        self.admin.create_partitions([NewPartitions(self.name, n_partitions)])[self.name].result(30)

    def write(self, values: Iterable[bytes | None], partition: int = 0, **more):
        """Write values and wait until they lie in the log."""
        producer = Producer(
            {
                **self.client,
                "queue.buffering.max.messages": 1_000_000,
                # Without it a first batch that finds no leader yet comes after the second.
                "enable.idempotence": True,
            }
        )
        failed = []
        for value in values:
            producer.produce(
                self.name,
                value,
                partition=partition,
                on_delivery=lambda error, _: failed.append(error) if error else None,
                **more,
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        assert not failed


@dataclass
class Watcher:
    """Records the callbacks of a reader."""

    assigned: dict[int, Committed | None] = field(default_factory=dict)
    revoked: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    gaps: list[LogGap] = field(default_factory=list)
    faults: list[ReadFault] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    starts: dict[int, int] = field(default_factory=dict)

    def callbacks(self) -> Callbacks:
        def on_assign(partition, committed):
            self.assigned[partition] = committed
            return self.starts.get(partition)

        return Callbacks(
            on_assign,
            self.revoked.append,
            self.lost.append,
            self.gaps.append,
            self.faults.append,
            self.unreadable.append,
        )


def settings_of(topic: Topic, group: str, **more) -> ReaderSettings:
    client = {**topic.client, **more.pop("client", {})}
    return ReaderSettings(topic.name, group, client, session_timeout_ms=6_000, **more)


def open_on(
    topic: Topic, kind: ReaderKind, group: str = "g", watcher: Watcher | None = None, **more
) -> GroupReader:
    callbacks = (watcher or Watcher()).callbacks()
    unwrap = more.pop("unwrap", None)
    return open_reader(settings_of(topic, group, **more), callbacks, kind=kind, unwrap=unwrap)


def join(reader: GroupReader, n_partitions: int = 1):
    """Poll until so many partitions are owned."""
    wait_until(lambda: len(reader.partitions) == n_partitions, lambda: reader.poll(0.05))


def numbered(n: int, first: int = 0) -> list[bytes]:
    """Return values that contain their position."""
    return [b"%d" % i for i in range(first, first + n)]


def payloads(chunk: Chunk) -> list[bytes]:
    return [
        chunk.buffer[a:b].tobytes()
        for a, b in zip(chunk.offsets[:-1], chunk.offsets[1:], strict=True)
    ]


def read_until(
    reader: GroupReader, n: int, max_messages: int = 5_000, partitions: tuple[int, ...] = ()
) -> dict[int, list[Chunk]]:
    """Read so many messages, of all partitions owned or the ones given."""
    found: dict[int, list[Chunk]] = {}

    def step():
        reader.poll(0.05)
        for partition in partitions or reader.partitions:
            chunk = reader.read(partition, max_messages)
            if len(chunk):
                found.setdefault(partition, []).append(chunk)

    wait_until(lambda: sum(len(c) for cs in found.values() for c in cs) >= n, step)
    return found


def offsets_of(chunks: Iterable[Chunk]) -> list[int]:
    return np.concatenate([c.log_offset for c in chunks]).tolist()
