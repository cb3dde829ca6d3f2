"""What an event costs when one, two and four ingest processes share a full topic.

A real broker; broker and processes share the same cores, so more processes are not faster
here: what must not grow is the work. Eight partitions; the topic is full before the
processes, compiled and waiting, join the group together. ``cpu_growth``: CPU-seconds an
event of all processes together, librdkafka's threads included, with two or four processes
over one, less 1; the larger. ``finish_spread``: how much longer the last process takes
until everything it owns is published, acknowledged and committed than the first, less 1;
the larger.
"""

from __future__ import annotations

from benchmarks.events import make_messages
from benchmarks.ingest import N_DISTINCT, events
from benchmarks.ingest_run import create_topics, fill, forget, processes, topic, wait_committed
from benchmarks.output import Figures, main
from monitor.devkit.dev_broker import STEADY_LOAD, DevBroker

PREFIX, N_PARTITIONS = "s.", 8
NUMBERS = (1, 2, 4)
TOGETHER = {"group.initial.rebalance.delay.ms": "3000"}
"""So long the group waits for members to join before it gives out partitions."""


def share(bootstrap: str, n_processes: int, n: int) -> tuple[float, float]:
    """CPU microseconds an event, and how much longer the last takes than the first, less 1."""
    with processes(bootstrap, PREFIX, "fraud", n_processes) as started:
        for each in started:
            each.go_on()
        wait_committed(started, n)
        said = [p.said for p in started]
    forget(bootstrap, PREFIX)
    begin_s = min(s["begin_s"] for s in said)
    seconds = [s["last_s"] - begin_s for s in said]
    return sum(s["cpu_s"] for s in said) / n * 1e6, max(seconds) / min(seconds) - 1


def measure(quick: bool) -> Figures:
    n = 800_000 if quick else 6_000_000
    with DevBroker(jvm_options=STEADY_LOAD, properties=TOGETHER) as broker:
        create_topics(broker.bootstrap, PREFIX, N_PARTITIONS)
        messages = events(make_messages(N_DISTINCT), n, N_PARTITIONS)
        fill(broker.bootstrap, topic(PREFIX), messages)
        found = {k: share(broker.bootstrap, k, n) for k in NUMBERS}
    cpu_us = {k: cpu for k, (cpu, _) in found.items()}
    return {
        "cpu_growth": max(cpu_us[k] for k in NUMBERS[1:]) / cpu_us[1] - 1,
        "finish_spread": max(found[k][1] for k in NUMBERS[1:]),
        **{f"cpu_us_{k}": value for k, value in cpu_us.items()},
        "n_events": n,
    }


if __name__ == "__main__":
    main("CPU of an event with one, two and four ingest processes", measure)
