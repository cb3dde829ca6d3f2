"""kill -9 at rare steps: floods, invalid messages, rejections, and reassigned partitions."""

from __future__ import annotations

import pytest

from tests.support.scenario.fault_run import FaultRun
from tests.support.scenario.kill_sequence import MOVING, RARE, KillSequence, names_of, reap
from tests.support.scenario.rare_input import (
    GARBAGE,
    PUT_ASIDE,
    await_internal_letters,
    check_internal_letters,
    flood_alerts,
    write_flood,
)
from tests.support.scenario.webhook_recorder import REFUSING

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.slow]

RECEIVERS = {
    "hook": {"kind": "webhook", "url_env": "DRIFTLINE_TEST_HOOK"},
    "deaf": {"kind": "webhook", "url_env": "DRIFTLINE_TEST_DEAF"},
}


def schedules(run: FaultRun) -> list[KillSequence]:
    """Return kills at each rare step, and of the archive while it has unreadable messages."""
    of = {
        "ingest": ["ingest:alert:1", "ingest:alert:2"],
        "detect": [f"{kind}:dead_letter:{n}" for n in (1, 3) for kind in ("detect", "gpu")],
        "notify": [f"notify:{step}:{n}" for n in (1, 2) for step in RARE["notify"]],
        "archive": [f"archive:{step}:{n}" for n in (1, 5) for step in ("intent", "rows", "commit")],
    }
    return [KillSequence(run, stage, f"{stage}-1", due, 40.0) for stage, due in of.items()]


@pytest.mark.timeout(600)
def test_deaths_at_floods_garbage_and_refusals_leave_no_trace(
    broker, topic_prefix, nursery, database, tmp_path
):
    with FaultRun(
        tmp_path / "run",
        broker.bootstrap,
        topic_prefix,
        nursery,
        store=database,
        monitor={"receivers": RECEIVERS},
    ) as run:
        run.environment["DRIFTLINE_TEST_DEAF"] = run.webhook.url + REFUSING

        def feed() -> None:
            run.feed(1)
            for topic in PUT_ASIDE:
                run.write_garbage(topic, GARBAGE)

        run.feed(2)
        minute = write_flood(run)
        reapers = schedules(run)
        reap(run, reapers, feed=feed)
        expected = run.settle(timeout_s=240)
        await_internal_letters(run)
        run.stop_all()
        run.look()
        run.check(expected)
        check_internal_letters(run)
        assert flood_alerts(run) == {("opened", minute), ("resolved", minute + 2)}
        died = {step for reaper in reapers for step in reaper.died_at}
        assert died >= names_of(RARE)


@pytest.mark.timeout(600)
def test_deaths_while_handing_partitions_over_leave_no_trace(
    broker, topic_prefix, nursery, database, tmp_path
):
    with FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery, store=database) as run:
        for kind, steps in MOVING.items():
            for step in steps:
                # Static: it rejoins within its session with its previous assignment, and partitions
                # that it had revoked would have no owner.
                run.start(kind, f"{kind}-1", crash_at=f"{kind}:{step}:1")
        run.start("detect", "detect-1")
        run.start("notify", "notify-1")
        run.await_ready()
        with run.feeding(pause_s=0.5):
            run.await_windows(4)
            for kind in MOVING:
                # A second member, so that the first revokes some of its partitions.
                run.start(kind, f"{kind}-2", is_static=False)
            for kind in MOVING:
                assert run.children[f"{kind}-1"].wait(60) == -9, run.children[f"{kind}-1"].tail()
                run.n_kills[kind] += 1
                run.start(kind, f"{kind}-1")
            run.await_members("driftline-ingest", 2)
            run.await_members("driftline-archive-predictions", 2)
            run.await_ready()
        run.check(run.finish())
