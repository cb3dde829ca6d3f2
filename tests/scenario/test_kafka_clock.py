"""Clocks that jump: the workers' by an hour in both directions, the broker's temporarily."""

from __future__ import annotations

import pytest

from tests.support.scenario.fault_run import FaultRun
from tests.support.scenario.forked_stages import CLOCK_VARIABLE

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.slow]

HOUR_S = 3_600


@pytest.mark.timeout(600)
def test_wall_clocks_that_jump(broker, topic_prefix, nursery, database, tmp_path):
    clocks = {stage: tmp_path / f"{stage}-clock" for stage in ("ingest", "detect", "notify")}
    clocks["archive"] = tmp_path / "archive-clock"
    with FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery, store=database) as run:
        for stage, file in clocks.items():
            file.write_text("0")
            run.start(stage, f"{stage}-1", **{CLOCK_VARIABLE: str(file)})
        run.await_ready()
        for jumps in ((HOUR_S, -HOUR_S, HOUR_S, -HOUR_S), (-HOUR_S, HOUR_S, -HOUR_S, 0), (0,) * 4):
            run.feed(5, pause_s=0.2)
            for file, offset_s in zip(clocks.values(), jumps, strict=True):
                file.write_text(str(offset_s))
        run.feed(5, pause_s=0.2)
        run.check(run.finish())


@pytest.mark.timeout(600)
def test_a_brokers_clock_that_jumps(broker, topic_prefix, nursery, tmp_path):
    """Record times that are an hour off for a while give the results of the batch computation."""
    with FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery) as run:
        for stage in ("ingest", "detect", "notify"):
            run.start(stage, f"{stage}-1")
        run.feed(5)
        for offset_s in (HOUR_S, -HOUR_S):
            window = run.world.next_window()
            cut = len(window) // 3
            run.write(window[:cut])
            run.write(
                one._replace(record_us=one.record_us + offset_s * 1_000_000)
                for one in window[cut : 2 * cut]
            )
            run.write(window[2 * cut :])
            run.feed(4)
        expected = run.finish()
        assert sum(r == "future" for b in expected.batches.values() for r in b.dead.values()) > 100
        run.check(expected)
