"""How much more an event costs when four ingest processes share a topic than with one.

A real broker on one core, the processes on another, so that neither moves the other's caches;
more processes are not faster there, and what must not grow is the work. Eight partitions; the
topic is full before the processes, compiled and waiting, join the group together. One process
and four alternate, because the speed of a machine drifts within minutes: each four is compared
with the mean of the runs of one process before and after it.

``cpu_growth``: CPU-seconds an event of four processes together, librdkafka's threads included,
over one, less 1: the median of the pairs, with the quartiles ``cpu_growth_q1`` and
``cpu_growth_q3``. null where the processes cannot be pinned, with the reason in ``why_null``.
``finish_spread``: how much longer the last of four takes until everything it owns is published,
acknowledged and committed than the first, less 1; the median.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import numpy as np

from benchmarks.events import make_messages
from benchmarks.ingest import N_DISTINCT, events
from benchmarks.ingest_run import create_topics, fill, forget, processes, topic, wait_committed
from benchmarks.output import Figures, main
from monitor.devkit.dev_broker import STEADY_LOAD, DevBroker

PREFIX, N_PARTITIONS, N_TOGETHER = "s.", 8, 4
TOGETHER = {"group.initial.rebalance.delay.ms": "3000"}
"""So long the group waits for members to join before it gives out partitions."""


class NoPinning(Exception):
    """Processes cannot be kept on a core here."""


def two_cores() -> tuple[int, int]:
    """Return a core for the broker and one for the processes.

    Raises
    ------
    NoPinning
        If the system cannot pin, or this process may use one core only.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise NoPinning("this system has no sched_setaffinity")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise NoPinning("one core only")
    return cores[0], cores[-1]


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep this thread, and the processes it starts, on one core."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        raise NoPinning(f"sched_setaffinity: {error}") from None
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def share(bootstrap: str, n_processes: int, n: int, core: int) -> tuple[float, float]:
    """CPU microseconds an event, and how much longer the last takes than the first, less 1."""
    with processes(bootstrap, PREFIX, "fraud", n_processes, core) as started:
        for each in started:
            each.go_on()
        wait_committed(started, n)
        said = [p.said for p in started]
    forget(bootstrap, PREFIX)
    begin_s = min(s["begin_s"] for s in said)
    seconds = [s["last_s"] - begin_s for s in said]
    return sum(s["cpu_s"] for s in said) / n * 1e6, max(seconds) / min(seconds) - 1


def growths(alone: Sequence[float], together: Sequence[float]) -> list[float]:
    """Compare each run of several processes with the runs of one before and after it, less 1.

    Examples
    --------
    >>> growths([1.0, 3.0, 2.0], [2.2, 3.0])
    [0.10000000000000009, 0.19999999999999996]
    """
    return [
        cost / statistics.mean(pair) - 1
        for cost, pair in zip(together, pairwise(alone), strict=True)
    ]


def alternate(n: int, n_pairs: int) -> list[tuple[float, float]]:
    """Run one process and several in turn over one full topic, one first and last."""
    broker_core, core = two_cores()
    with ExitStack() as stack:
        with pinned(broker_core):
            broker = stack.enter_context(DevBroker(jvm_options=STEADY_LOAD, properties=TOGETHER))
        create_topics(broker.bootstrap, PREFIX, N_PARTITIONS)
        messages = events(make_messages(N_DISTINCT), n, N_PARTITIONS)
        fill(broker.bootstrap, topic(PREFIX), messages)
        share(broker.bootstrap, 1, n, core)  # not counted: it warms up the broker
        order = [1, N_TOGETHER] * n_pairs + [1]
        return [share(broker.bootstrap, n_processes, n, core) for n_processes in order]


def measure(quick: bool) -> Figures:
    n, n_pairs = (800_000, 2) if quick else (6_000_000, 5)
    try:
        runs = alternate(n, n_pairs)
    except NoPinning as why:
        return {"cpu_growth": None, "cpu_growth_q1": None, "cpu_growth_q3": None,
                "finish_spread": None, "why_null": str(why)}  # fmt: skip
    alone, together = [cpu for cpu, _ in runs[::2]], [cpu for cpu, _ in runs[1::2]]
    q1, median, q3 = np.quantile(growths(alone, together), (0.25, 0.5, 0.75)).tolist()
    return {
        "cpu_growth": median,
        "cpu_growth_q1": q1,
        "cpu_growth_q3": q3,
        "finish_spread": statistics.median(spread for _, spread in runs[1::2]),
        "cpu_us_1": statistics.median(alone),
        "cpu_us_4": statistics.median(together),
        "n_pairs": n_pairs,
        "n_events": n,
    }


if __name__ == "__main__":
    main(__doc__ or "", measure)
