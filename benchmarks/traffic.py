"""A process that writes prediction events at a steady rate, and says what it wrote.

Started by :mod:`benchmarks.latency` and :mod:`benchmarks.recovery` with its orders as JSON
on the first line of standard input; a second line ends it. Events are made beforehand: only
the event time is written into them. Of each window it asks the broker for the record time
of the event that lets the window close in each partition: the first one whose event time
has passed ``window + lateness + bound``.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import msgspec
from confluent_kafka import Message, Producer

from benchmarks.events import make_messages

TICK_S = 0.01
N_DISTINCT = 20_000
N_WATCHED_EVENTS = 20
_TIME = b'"time_us": '
Template = tuple[bytes, bytes]


class Orders(msgspec.Struct):
    """What to write."""

    bootstrap: str
    topic: str
    n_partitions: int
    rate: int
    """Events a second."""
    begin_us: int
    """Event time of the first event."""
    speed: float = 1.0
    """Seconds of event time in a second."""
    pane_us: int = 10_000_000
    close_after_us: int = 0
    """Lateness and bound: how long after its end a window closes."""
    n_watched: int = 0
    """Small models beside the large one."""
    watched_rows: int = 0
    """Of each of them in a window."""
    drift_windows: list[int] = []
    """Of each of them: the number of the window from which on it drifts."""
    end_us: int = 0
    """Event time of the last event; 0 goes on until a line comes."""


def split(message: bytes) -> Template:
    """Split an event at its time."""
    at = message.index(_TIME) + len(_TIME)
    return message[:at], message[at + 16 :]


def watched_events(rng: random.Random, i: int, shift: float) -> list[bytes]:
    """Twenty events of a small model, sent again and again: two features and a score.

    Twenty numbers drawn at random, and repeated, are a drift of their own, and the rule found
    it within three windows. These lie at the middles of twenty equal parts.
    """
    middles = [(k + 0.5) / N_WATCHED_EVENTS for k in range(N_WATCHED_EVENTS)]
    normal = [NormalDist().inv_cdf(p) for p in middles]
    columns = zip(*(rng.sample(c, len(c)) for c in (normal, normal, middles)), strict=True)
    return [
        json.dumps(
            {
                "id": f"{rng.getrandbits(64):016x}",
                "model": watched_name(i),
                "model_version": "1",
                "time_us": 10**15,
                "features": {"a": a + shift, "b": b},
                "score": score,
            }
        ).encode()
        for a, b, score in columns
    ]


def watched_name(i: int) -> str:
    """Name of a small model."""
    return f"watched-{i:03d}"


@dataclass
class Writer:
    """Writes tick by tick, each at its time."""

    orders: Orders
    written: Counter[str] = field(default_factory=Counter)
    """Events by ``partition|pane``."""
    closing_ms: dict[int, dict[int, int]] = field(default_factory=dict)
    """End of a window -> partition -> record time of the event that lets it close."""
    n_written: int = 0
    n_failed: int = 0
    worst_delay_s: float = 0.0

    def __post_init__(self) -> None:
        o = self.orders
        self.load = [split(m) for m in make_messages(N_DISTINCT, 0.01, seed=9)]
        rng = random.Random(5)
        self.watched = [
            [[split(e) for e in watched_events(rng, i, shift)] for shift in (0.0, 4.0)]
            for i in range(o.n_watched)
        ]
        self.due_us = [(o.begin_us // o.pane_us + 1) * o.pane_us] * o.n_partitions
        self.producer = Producer(
            {
                "bootstrap.servers": o.bootstrap,
                "linger.ms": 5,
                "batch.num.messages": 10_000,
                "queue.buffering.max.messages": 2_000_000,
                "queue.buffering.max.kbytes": 1 << 20,
            }
        )
        self.k = self.w = 0

    def run(self, is_over: threading.Event) -> None:
        """Write until ``is_over`` is set, or until the last event is due."""
        begin_s, tick = time.perf_counter(), 0
        o = self.orders
        while not is_over.is_set():
            due_s = begin_s + tick * TICK_S
            wait_s = due_s - time.perf_counter()
            if wait_s > 0:
                time.sleep(wait_s)
            self.worst_delay_s = max(self.worst_delay_s, -wait_s)
            first_us = o.begin_us + round(tick * TICK_S * o.speed * 1e6)
            self.write(first_us, first_us + round(TICK_S * o.speed * 1e6))
            tick += 1
            if o.end_us and first_us >= o.end_us:
                break
        self.n_failed += self.producer.flush(60)
        self.seconds = time.perf_counter() - begin_s

    def write(self, first_us: int, end_us: int) -> None:
        """Write one tick: every partition its share, in order of time."""
        o = self.orders
        n = round(o.rate * TICK_S / o.n_partitions)
        n_watched = self._n_watched(n)
        for partition in range(o.n_partitions):
            values = []
            for i in range(n):
                time_us = first_us + (end_us - first_us) * i // n
                head, tail = self._next_watched(time_us) if i < n_watched else self._next_load()
                values.append({"value": b"%b%d%b" % (head, time_us, tail)})
            if first_us >= self.due_us[partition] + o.close_after_us:
                self._mark(partition, values.pop(0)["value"])
            self.producer.produce_batch(o.topic, values, partition)
            self.written[f"{partition}|{first_us // o.pane_us}"] += n
            self.n_written += n
        self.producer.poll(0)

    def _n_watched(self, n: int) -> int:
        """How many of a partition's share of a tick belong to small models."""
        o = self.orders
        ticks = o.pane_us / (TICK_S * o.speed * 1e6)
        return min(n, -(-round(o.n_watched * o.watched_rows / ticks) // o.n_partitions))

    def _next_load(self) -> Template:
        self.k = (self.k + 1) % len(self.load)
        return self.load[self.k]

    def _next_watched(self, time_us: int) -> Template:
        o = self.orders
        self.w += 1
        i = self.w % o.n_watched
        window = (time_us - o.begin_us) // o.pane_us
        return self.watched[i][window >= o.drift_windows[i]][
            self.w // o.n_watched % N_WATCHED_EVENTS
        ]

    def _mark(self, partition: int, value: bytes) -> None:
        """Write the event that lets windows close, and keep when it came."""
        o = self.orders
        end_us, self.due_us[partition] = self.due_us[partition], self.due_us[partition] + o.pane_us

        def delivered(error: Any, message: Message) -> None:
            self.n_failed += error is not None
            came_ms = message.timestamp()[1]
            self.closing_ms.setdefault(end_us, {})[partition] = came_ms

        self.producer.produce(o.topic, value, partition=partition, on_delivery=delivered)


def main() -> None:
    """Take orders, write, report."""
    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    writer = Writer(orders)
    print(json.dumps({"ready": True}), flush=True)
    begin = json.loads(sys.stdin.readline())
    if "begin_us" in begin:
        orders.begin_us, orders.end_us = begin["begin_us"], begin["end_us"]
        writer.due_us = [(orders.begin_us // orders.pane_us + 1) * orders.pane_us] * (
            orders.n_partitions
        )
    is_over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), is_over.set()), daemon=True).start()
    writer.run(is_over)
    report = {
        "n_written": writer.n_written,
        "n_failed": writer.n_failed,
        "rate": writer.n_written / writer.seconds,
        "worst_delay_s": writer.worst_delay_s,
        "written": writer.written,
        "closing_ms": writer.closing_ms,
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
