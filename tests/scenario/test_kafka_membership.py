"""Workers that join, leave, crash, and stall while events arrive: no loss, no duplicates."""

from __future__ import annotations

import signal

import pytest

from tests.support.scenario.fault_run import FaultRun
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.slow]

INGEST, DETECT, NOTIFY = "driftline-ingest", "driftline-detect", "driftline-notify"
ARCHIVE = "driftline-archive-predictions"


@pytest.mark.timeout(600)
def test_workers_join_and_leave_under_load(broker, topic_prefix, nursery, database, tmp_path):
    with FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery, store=database) as run:
        run.start("ingest", "i1")
        run.start("detect", "d1")
        run.start("notify", "n1")
        run.start("archive", "a1")
        with run.feeding(pause_s=0.5):
            # Members without a name: their partitions move as soon as they leave.
            run.start("ingest", "i3", is_static=False)
            run.start("detect", "d2", is_static=False)
            run.start("archive", "a2", is_static=False)
            run.await_members(INGEST, 2)
            run.await_members(DETECT, 2)
            run.await_members(ARCHIVE, 2)
            run.await_ready()
            # The last member only gains partitions: the first one that it revokes, and crashes at,
            # is the one it has when it is drained (or loses to a member that rejoins).
            leaver = run.start("ingest", "i2", is_static=False, crash_at="ingest:revoke:1")
            run.await_members(INGEST, 3)
            wait_until(lambda: leaver.n_partitions() > 0 or not leaver.is_running, 90, "i2 owner")
            run.start("notify", "n2", is_static=False)
            run.await_members(NOTIFY, 2)
            # One crashes while it revokes on a drain, one is killed, one is drained.
            leaver.signal(signal.SIGTERM)
            run.kill("d1")
            run.kill("a1")
            run.children["i3"].stop()
            run.kill("n1")
            assert leaver.wait() == -9, "it did not die at its failpoint"
            run.n_kills["ingest"] += 1
            run.await_members(INGEST, 1)
            run.await_members(DETECT, 1)
            run.await_members(ARCHIVE, 1)
            run.await_members(NOTIFY, 1)
            run.await_ready_of("i1", "d2", "a2", "n2")
            run.await_windows(4)
        run.check(run.finish())


@pytest.mark.timeout(600)
def test_zombies_that_wake_after_their_partitions_moved(
    broker, topic_prefix, nursery, database, tmp_path
):
    with FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery, store=database) as run:
        names = ("i1", "i2", "d1", "d2", "a1", "a2")
        for name in names:
            stage = {"i": "ingest", "d": "detect", "a": "archive"}[name[0]]
            run.start(stage, name)
        run.start("notify", "n1")
        for group in (INGEST, DETECT, ARCHIVE):
            run.await_members(group, 2)
        run.await_ready()
        with run.feeding(pause_s=0.5):
            run.await_windows(4)
            zombies = ("i1", "d1", "a1")
            for name in zombies:
                run.children[name].signal(signal.SIGSTOP)
            for group in (INGEST, DETECT, ARCHIVE):
                run.await_members(group, 1)
            run.await_ready_of("i2", "d2", "a2")
            run.await_windows(6)
            for name in zombies:
                run.children[name].signal(signal.SIGCONT)
            run.await_windows(4)
            for name in zombies:
                # It exits when fenced by its static member ID, and is restarted, as by `up`.
                if not run.children[name].is_running:
                    stage = run.children[name].arguments[0]
                    run.start(stage, name)
        run.check(run.finish())
