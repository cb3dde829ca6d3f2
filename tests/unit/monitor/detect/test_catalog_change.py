"""A new baseline under way: all workers change at one pane, the window between has no verdict."""

from __future__ import annotations

import pytest

from monitor.core.topics import PANES, PREDICTIONS, RESULTS
from monitor.core.windowing.catalog import Catalog
from monitor.detect.in_memory import DriftDetect
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.transport.memory import MemoryLog
from schemas.baselines import Baseline
from schemas.panes import Pane
from schemas.results import DetectorResult
from tests.support.log_chunks import fetch_chunk
from tests.support.worlds.baseline_change import check_change, dated, panes_of, results_of
from tests.support.worlds.small import CONFIG, build_small_world

WORLD = build_small_world()
(OLD,) = WORLD.catalog.baselines["default", "small"]
N_PARTITIONS = 2
CHUNK = 50


def panes(log: MemoryLog) -> list[Pane]:
    return panes_of(log.fetch(PANES, 0, 0, log.end_offset(PANES, 0)))


def results(log: MemoryLog) -> list[DetectorResult]:
    return results_of(log.fetch(RESULTS, 0, 0, log.end_offset(RESULTS, 0)))


def run(new: Baseline, heard_at: tuple[int, int, int], dies_at: int) -> MemoryLog:
    """Run two ingest workers and a detect worker that hear of a baseline at different rounds."""
    log = MemoryLog()
    for i, (value, time_us) in enumerate(WORLD.predictions):
        log.produce(PREDICTIONS, value, partition=i % N_PARTITIONS, timestamp_us=time_us)
    catalogs = [Catalog.of([CONFIG], [OLD]) for _ in range(N_PARTITIONS + 1)]

    def ingest(partition: int, life: int) -> InMemoryIngest:
        owner = f"owner-{partition}-{life}"
        assignment = Assignment(PREDICTIONS, partition, N_PARTITIONS, owner)
        return InMemoryIngest(log, catalogs[partition], CONFIG.window, assignment)

    workers = [ingest(p, 0) for p in range(N_PARTITIONS)]
    detect = DriftDetect(log, catalogs[-1])
    n_rounds = 0
    while True:
        for catalog, n in zip(catalogs, heard_at, strict=True):
            if n_rounds == n:
                assert catalog.add(new)
        if n_rounds == dies_at:
            workers[0] = ingest(0, 1)
            detect = DriftDetect(log, catalogs[-1])
        chunks = [
            fetch_chunk(log, PREDICTIONS, p, w.position, w.read_limit or CHUNK)
            for p, w in enumerate(workers)
        ]
        if not any(len(c) for c in chunks):
            break
        for worker, chunk in zip(workers, chunks, strict=True):
            worker.take(chunk)
        while detect.step():
            pass
        n_rounds += 1
    assert n_rounds > max(*heard_at, dies_at)
    for worker in workers:
        worker.finish()
    while detect.step():
        pass
    return log


@pytest.mark.parametrize(
    ("seconds", "boundary"), [(450, 450), (441, 450), (500, 500)], ids=["pane", "between", "window"]
)
def test_all_workers_change_at_the_first_pane_boundary(seconds, boundary):
    new = dated(OLD, seconds)
    # A round reads 100 of 1,920 events, about 63 s: the change comes after the sixth.
    log = run(new, heard_at=(1, 4, 2), dies_at=9)
    check_change(panes(log), results(log), OLD, new, boundary)


def test_when_it_arrives_and_who_dies_changes_nothing():
    new = dated(OLD, 441)
    runs = [
        run(new, (0, 0, 0), dies_at=3),
        run(new, (4, 1, 0), dies_at=7),
        run(new, (2, 5, 5), dies_at=15),
    ]
    highest = [
        {
            (p.partition, p.start_us, p.series): (p.pane_version, p.segments.n_rows.tolist())
            for p in sorted(panes(log), key=lambda p: p.pane_version)
        }
        for log in runs
    ]
    assert highest[0] == highest[1] == highest[2]
    found = [
        {(r.start_us, r.feature, r.segment, r.metric): r for r in results(log)} for log in runs
    ]
    assert found[0] == found[1] == found[2]
