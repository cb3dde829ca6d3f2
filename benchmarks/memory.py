"""How much memory one ingest process needs for a thousand models, and whether it stays so.

A thousand models of twenty numeric features, each with a baseline of its own and events in
each of eight partitions, all owned by one process: eight thousand series with every pane
that may still change open (lateness 60 s, panes of 10 s, so eight or nine of each).
``rss_gib``: the most that was ever resident, the start included.

``soak_growth``: for twenty minutes events keep coming, event time twice as fast as the
clock; the most that was resident in the last minute over the most in the sixth, less 1.
With ``--quick`` there is no soak, and it is null.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator

from benchmarks.ingest_run import (
    IngestProcess,
    create_topics,
    fill,
    processes,
    topic,
    wait_committed,
)
from benchmarks.output import Figures, main
from benchmarks.worlds import N_FEATURES, N_MODELS
from monitor.devkit.dev_broker import STEADY_LOAD, DevBroker

PREFIX, N_PARTITIONS = "m.", 8
PANE_US = 10_000_000
FIRST_US = 1_767_225_600_000_000
N_PANES = 9
SOAK_S, SETTLED_S, MINUTE_S = 1_200, 300, 60
SECONDS_A_PANE = 5.0


def templates() -> list[tuple[bytes, bytes]]:
    """Return the bytes before and after the time in an event of each model."""
    rng = random.Random(1)
    found = []
    for i in range(N_MODELS):
        features = ", ".join(f'"f{k}": {rng.gauss(0, 1):.4f}' for k in range(N_FEATURES))
        head = f'{{"id": "{rng.getrandbits(64):016x}", "model": "model-{i}", "time_us": '
        tail = f', "host": "host-{i % 8}", "features": {{{features}}}, "score": 0.{i:04}}}'
        found.append((head.encode(), tail.encode()))
    return found


def pane_of_events(known: list[tuple[bytes, bytes]], pane: int) -> Iterator[tuple[int, bytes]]:
    """One event of every model in every partition, within one pane."""
    for i, (head, tail) in enumerate(known):
        time_us = FIRST_US + pane * PANE_US + i * PANE_US // N_MODELS
        for partition in range(N_PARTITIONS):
            yield partition, b"%b%d%b" % (head, time_us + partition, tail)


def soak(bootstrap: str, process: IngestProcess, known: list[tuple[bytes, bytes]], n: int) -> float:
    """Feed it for twenty minutes; by how much its memory grew after the fifth."""
    begin_s = time.monotonic()
    seen: dict[int, float] = {}
    for pane in itertools.count(N_PANES):
        n += fill(bootstrap, topic(PREFIX), pane_of_events(known, pane))
        due_s = begin_s + (pane - N_PANES + 1) * SECONDS_A_PANE
        while time.monotonic() < due_s:
            process.check()
            minute = int((time.monotonic() - begin_s) // MINUTE_S)
            seen[minute] = max(seen.get(minute, 0.0), process.said["rss_gib"])
            time.sleep(0.1)
        if time.monotonic() - begin_s >= SOAK_S:
            break
    wait_committed([process], n)
    last = SOAK_S // MINUTE_S - 1
    return seen[last] / seen[SETTLED_S // MINUTE_S] - 1


def measure(quick: bool) -> Figures:
    known = templates()
    with DevBroker(jvm_options=STEADY_LOAD) as broker:
        address = broker.bootstrap
        create_topics(address, PREFIX, N_PARTITIONS)
        n = sum(
            fill(address, topic(PREFIX), pane_of_events(known, pane)) for pane in range(N_PANES)
        )
        with processes(address, PREFIX, "many") as (process,):
            at_rest = process.said["rss_gib"]
            process.go_on()
            wait_committed([process], n)
            growth = None if quick else soak(address, process, known, n)
            said = process.said
    return {
        "rss_gib": said["peak_rss_gib"],
        "soak_growth": growth,
        "idle_rss_gib": at_rest,
        "events_per_s": n / (said["last_s"] - said["begin_s"]) if quick else None,
        "n_series": N_MODELS * N_PARTITIONS,
        "n_events": n,
    }


if __name__ == "__main__":
    main("memory of one ingest process with a thousand models", measure)
