"""Every archived topic on a real broker with known contents, and the archive over it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np
from confluent_kafka import Producer

from monitor.archive.on_kafka import run_archive
from monitor.archive.pending_range import Cut
from monitor.core.drift.actions import encode_action
from monitor.core.topics import (
    ACTIONS,
    ALERTS,
    DEAD_LETTERS,
    GPU,
    LABELS,
    LATE,
    NOTIFICATIONS,
    PANES,
    PREDICTIONS,
    RESULTS,
)
from monitor.core.windowing import codec as pane_codec
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.service.armed_failpoints import VARIABLE, failpoints
from monitor.service.lifecycle import Lifecycle
from monitor.storage.clickhouse import Store
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.topics.changes import apply_changes
from monitor.transport.kafka.topics.connection import open_admin
from monitor.transport.kafka.topics.specs import plan_changes, topic_specs
from schemas.alerts import Delivery
from schemas.config.model import ModelConfig
from schemas.events import Reject, RejectReason
from schemas.refused import LateEvent, dead_letter
from tests.support.repository import ROOT
from tests.support.store.stored import action_of, alert_of, pane_of, result_of
from tests.support.waiting import wait_until

TABLES = {
    PREDICTIONS: "predictions",
    LABELS: "labels",
    GPU: "gpu",
    PANES: "panes",
    RESULTS: "results",
    ALERTS: "alerts",
    NOTIFICATIONS: "notifications",
    DEAD_LETTERS: "dead_letters",
    LATE: "late",
    ACTIONS: "actions",
}
CONFIGS = [
    ModelConfig.model_validate(
        {
            "model": model,
            "tenant": "acme",
            "features": {
                "age": {"kind": "numeric"},
                "income": {"kind": "numeric"},
                "job": {"kind": "categorical"},
            },
            "segments": ["region"],
        }
    )
    for model in ("loans", "other")
]
ROWS_OF_A_PANE = 9
encode = msgspec.msgpack.encode


@dataclass
class ArchiveWorld:
    """Topics of one test, with the messages written and their positions."""

    cluster: Cluster
    n_partitions: int = 2
    sent: Counter[str] = field(default_factory=Counter)
    """Rows that must be in each table."""
    _next: int = 0

    def create(self) -> ArchiveWorld:
        """Make the topics."""
        specs = topic_specs(
            n_input=self.n_partitions, n_keyed=self.n_partitions, prefix=self.cluster.prefix
        )
        with open_admin(self.cluster.bootstrap) as admin:
            apply_changes(admin, plan_changes(specs, {}))
        return self

    def write(self, topic: str, messages: list[tuple[bytes | None, bytes | None]]) -> None:
        """Write (key, value), round the partitions, acknowledged on return."""
        n = 1 if topic in (ACTIONS, ALERTS, NOTIFICATIONS) else self.n_partitions
        failed: list[object] = []
        producer = Producer({**self.cluster.client(), "enable.idempotence": True})
        for i, (key, value) in enumerate(messages):
            producer.produce(
                self.cluster.topic(topic),
                value,
                key=key,
                # The chunks of a pane keep together.
                partition=(i // 2 if topic == PANES else i) % n,
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
        assert producer.flush(60) == 0
        assert not failed

    def fill(self, n: int = 12, n_predictions: int = 400) -> None:
        """Write more into every topic; ids go on where they ended."""
        first = self._next
        numbers = range(first, first + n)
        self._next += n
        events = range(first * 1_000, first * 1_000 + n_predictions)
        self.write(PREDICTIONS, [(None, prediction(i)) for i in events])
        self.write(LABELS, [(None, label(i)) for i in numbers])
        self.write(GPU, [(b"h1", gpu(i)) for i in numbers])
        self.write(PANES, [pair for i in numbers for pair in pane(i)])
        # Slots close, and their panes are not final: each is stored by itself.
        n_panes = self.cluster.identity(PANES).n_partitions
        self.write(PANES, [idle(p) for p in range(4) for _ in range(2 * n_panes)])
        self.write(RESULTS, [(b"r", encode(result_of((i + 1) * 3_600_000_000))) for i in numbers])
        self.write(ALERTS, [(b"a", encode(alert_of(i))) for i in numbers])
        self.write(NOTIFICATIONS, [(f"n{i}".encode(), encode(delivery(i))) for i in numbers])
        self.write(DEAD_LETTERS, [(b"d", encode(letter(i))) for i in numbers])
        self.write(LATE, [(b"l", encode([late(i)])) for i in numbers])
        self.write(ACTIONS, [(b"i", encode_action(action_of(i))) for i in numbers])
        self.sent.update(dict.fromkeys(TABLES.values(), n))
        self.sent["predictions"] += n_predictions - n
        self.sent["panes"] += n * (ROWS_OF_A_PANE - 1)


def prediction(i: int) -> bytes:
    event = {
        "id": f"e{i}",
        "tenant": "acme",
        "model": "other" if i % 3 == 0 else "loans",
        "model_version": "v1",
        "time_us": 1_700_000_000_000_000 + i,
        "features": {"age": i / 7, "income": float(i), "job": f"job {i % 5}"},
        "segments": {"region": "north"},
        "score": 0.5,
    }
    return json.dumps(event).encode()


def label(i: int) -> bytes:
    event = {"id": f"e{i}", "tenant": "acme", "model": "loans", "label": 1}
    return json.dumps({**event, "time_us": 1_700_000_000_000_000 + i}).encode()


def gpu(i: int) -> bytes:
    event = {
        "host": "h1",
        "gpu_uuid": "GPU-1",
        "time_us": 1_700_000_000_000_005 + i,
        "fields": {"gpu_temp": 40},
    }
    return json.dumps(event).encode()


def pane(i: int) -> list[tuple[bytes, bytes]]:
    """A pane in two chunks; its counters do not compress."""
    made = pane_of(start_us=i * 10_000_000, version=i + 1)
    noise = np.random.default_rng(i)
    made.segments.counts[:] = noise.integers(0, 2**62, made.segments.counts.shape)
    values = pane_codec.encode(made, max_bytes=8192)
    assert len(values) == 2
    return [(pane_codec.pane_key(made, j).encode(), value) for j, value in enumerate(values)]


def idle(partition: int) -> tuple[bytes, bytes]:
    """An idle partition of the source of the panes, which has four."""
    word = WatermarkMessage("topic-1", partition, 4, "o1", 0, is_idle=True)
    return word.key(), word.encode()


def delivery(i: int) -> Delivery:
    return Delivery(notification_id=f"n{i}", receiver="console", state="done", time_us=i)


def letter(i: int) -> object:
    refused = Reject(0, 0, RejectReason.MALFORMED, "no", b"\xff{")
    return dead_letter(refused, source="t", partition=0, offset=i)


def late(i: int) -> LateEvent:
    return LateEvent(
        source="t",
        partition=0,
        offset=i,
        row=0,
        tenant="acme",
        model="loans",
        time_us=1,
        watermark_us=2,
    )


def counts(store: Store, *, final: bool = False) -> dict[str, int]:
    """Rows of every table: as inserted, or as FINAL counts them."""
    word = " FINAL" if final else ""
    parts = [f"SELECT '{t}' AS t, count() AS n FROM {t}{word}" for t in TABLES.values()]
    rows = store.query(" UNION ALL ".join(parts)).to_pydict()
    return dict(zip(rows["t"], rows["n"], strict=True))


def stop_merges(store: Store) -> None:
    """Stop merges, so that ReplacingMergeTree does not remove duplicated inserts."""
    for table in TABLES.values():
        store.command(
            f"ALTER TABLE {table} MODIFY SETTING max_bytes_to_merge_at_max_space_in_pool = 1, "
            "max_bytes_to_merge_at_min_space_in_pool = 1"
        )


def wait_for(store: Store, sent: Counter[str], bound_s: float = 90.0) -> None:
    """Wait until every table has its rows, then check that it has no more."""
    wait_until(lambda: not missing(counts(store), sent), bound_s, lambda: _lacking(store, sent))
    assert counts(store) == dict(sent)
    assert counts(store, final=True) == dict(sent)


def missing(found: dict[str, int], sent: Counter[str]) -> dict[str, int]:
    """Return how many rows each table lacks, of tables that lack any."""
    return {table: n - found[table] for table, n in sent.items() if found[table] < n}


def _lacking(store: Store, sent: Counter[str]) -> str:
    return f"the insert of all rows (lacking: {missing(counts(store), sent)} of {dict(sent)})"


class Archiving:
    """The archive stage in a thread; drained, and its error raised, at the end of a block."""

    def __init__(self, cluster: Cluster, url: str, **options) -> None:
        self.lifecycle = Lifecycle("archive", hit=options.pop("hit", lambda step: None))
        self._ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        options.setdefault("cut", Cut(max_messages=150, max_age_s=0.2))
        self._thread = threading.Thread(target=self._live, args=(cluster, url), kwargs=options)

    def _live(self, cluster: Cluster, url: str, **options) -> None:
        try:
            run_archive(cluster, CONFIGS, url, self.lifecycle, **options)
            self._ended.put(None)
        except BaseException as error:
            self._ended.put(error)

    def end(self, bound_s: float = 60.0) -> BaseException | None:
        """Wait for it to end; return its error, if any."""
        self._thread.join(bound_s)
        assert not self._thread.is_alive()
        return self._ended.get()

    def __enter__(self) -> Archiving:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Drain it; its error is raised in a failing block too, which it explains."""
        self.lifecycle.drain()
        if self._thread.is_alive() or not self._ended.empty():
            error = self.end()
            if error is not None:
                raise error


def start_process(
    cluster: Cluster, url: str, *, member: str | None = None, crash_at: str = "", **environment: str
) -> subprocess.Popen[bytes]:
    """Start the archive in a separate process, which can be killed and stopped."""
    given = {**os.environ, VARIABLE: crash_at, **environment}
    arguments = [cluster.bootstrap, cluster.prefix, url, member or ""]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.worlds.archive", *arguments], cwd=ROOT, env=given
    )


def _main(bootstrap: str, prefix: str, url: str, member: str) -> None:
    """Archive until killed."""
    cluster = Cluster(bootstrap, prefix, session_timeout_ms=6_000)
    hit: Callable[[str], None] = failpoints(os.environ)
    cut = Cut(max_messages=150, max_age_s=0.2)
    run_archive(
        cluster, CONFIGS, url, Lifecycle("archive", hit=hit), member=member or None, cut=cut
    )


if __name__ == "__main__":
    _main(*sys.argv[1:])
