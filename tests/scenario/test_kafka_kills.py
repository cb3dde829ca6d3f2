"""kill -9 at every step of every stage's cycle, on real Kafka: no loss, no duplicates."""

from __future__ import annotations

import pytest

from tests.support.scenario.fault_run import FaultRun
from tests.support.scenario.kill_sequence import (
    ELSEWHERE,
    MOVING,
    RARE,
    STEPS,
    KillSequence,
    names_of,
    reap,
    schedule_of,
    steps_in_the_code,
)

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.slow]

N_LIVES = 26
"""Kills per stage: 104 in total."""


def test_every_step_that_the_code_names_is_died_at():
    assert names_of(STEPS, RARE, MOVING) == steps_in_the_code() - ELSEWHERE.keys()


@pytest.mark.timeout(900)
def test_a_hundred_kills_leave_no_trace(broker, topic_prefix, nursery, database, tmp_path):
    with FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery, store=database) as run:
        reapers = [
            KillSequence(run, "ingest", "i1", schedule_of(["ingest"], N_LIVES)),
            KillSequence(run, "detect", "d1", schedule_of(["detect", "gpu"], N_LIVES)),
            KillSequence(run, "notify", "n1", schedule_of(["notify"], N_LIVES)),
            KillSequence(run, "archive", "a1", schedule_of(["archive"], N_LIVES)),
        ]
        reap(run, reapers)
        run.check(run.finish(timeout_s=240))
        assert sum(run.n_kills.values()) >= 100
        died = {step for reaper in reapers for step in reaper.died_at}
        assert died == names_of(STEPS)
