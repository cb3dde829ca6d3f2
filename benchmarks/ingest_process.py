"""One ingest process for the benchmarks: reads, publishes, commits, and says when.

Started by :mod:`benchmarks.ingest`, :mod:`benchmarks.scaling` and others with the address
of a broker, a prefix and a name; waits for a line on standard input, so that
no import and no compilation is measured; drains when the next line comes. Each line it
prints is JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from typing import Any

from benchmarks.worlds import WORLDS
from monitor.core.windowing.watermark import Commit
from monitor.ingest.on_kafka import source_window, warm_up
from monitor.ingest.worker import IngestWorker
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster


class NoFeed:
    """No baseline is published while a benchmark runs."""

    def poll(self) -> list[Any]:
        """Nothing new."""
        return []


def cpu_s() -> float:
    """CPU of all threads of this process, librdkafka's included."""
    return sum(os.times()[:2])


def rss_gib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**30


class WatchedIngest(IngestWorker):
    """Notes when the first event was read, and when commits covered how much."""

    begin_s = begin_cpu_s = last_s = last_cpu_s = 0.0
    n_committed = 0

    def _go_round(self) -> None:
        begin = time.time(), cpu_s()
        super()._go_round()
        if self._is_read and not self.begin_s:
            self.begin_s, self.begin_cpu_s = begin

    def _commit(self, now_s: float) -> None:
        super()._commit(now_s)
        n_committed = sum(positions(self).values())
        if n_committed != self.n_committed:
            self.n_committed, self.last_s, self.last_cpu_s = n_committed, time.time(), cpu_s()


def positions(worker: WatchedIngest) -> dict[int, int]:
    """F of the commits that were taken: all before it is read, published, acknowledged."""
    found = {}
    for partition, owned in list(worker._owned.items()):
        committed = owned.log._committed
        if committed is not None:
            found[partition] = Commit.parse(committed.offset, committed.metadata).position
    return found


def report(worker: WatchedIngest) -> dict[str, Any]:
    return {
        "n_committed": worker.n_committed,
        "begin_s": worker.begin_s,
        "last_s": worker.last_s,
        "n_partitions": len(worker._owned),
        "cpu_s": worker.last_cpu_s - worker.begin_cpu_s,
        "rss_gib": rss_gib(),
        "peak_rss_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main(bootstrap: str, prefix: str, world: str, every_s: str = "0.1", core: str = "") -> None:
    catalog = WORLDS[world]()
    lifecycle = Lifecycle("ingest")
    window = source_window(catalog)
    warm_up(catalog, window)
    print(json.dumps({"ready": True, "rss_gib": rss_gib()}), flush=True)
    sys.stdin.readline()
    if core:  # before the first thread of the worker and of librdkafka, which inherit it
        os.sched_setaffinity(0, {int(core)})
    cluster = Cluster(bootstrap, prefix=prefix)
    worker = WatchedIngest(cluster, catalog, window, NoFeed(), lifecycle)
    thread = threading.Thread(target=worker.run)
    thread.start()
    is_over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), is_over.set()), daemon=True).start()
    while thread.is_alive() and not is_over.wait(float(every_s)):
        print(json.dumps(report(worker)), flush=True)
    lifecycle.drain()
    thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
