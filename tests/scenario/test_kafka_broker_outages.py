"""Short and long outages of the broker, by stop and by kill: no loss, no duplicates."""

from __future__ import annotations

import threading

import pytest

from tests.support.scenario.fault_run import FaultRun

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.slow]

SESSION_S = 6.0


@pytest.mark.timeout(600)
def test_a_broker_that_goes_away_three_times(new_broker, topic_prefix, nursery, database, tmp_path):
    broker = new_broker().start()
    with FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery, store=database) as run:
        run.start("ingest", "i1")
        run.start("detect", "d1")
        run.start("notify", "n1")
        run.start("archive", "a1")
        run.await_ready()
        pause = threading.Event()
        # A stage that exits is restarted at any time, and continues from the log.
        with run.keeping():
            with run.feeding(pause_s=0.4):
                # Shorter than the session time-out, longer than it, and killed.
                for end, away_s in (
                    (broker.stop, 1.0),
                    (broker.stop, SESSION_S + 3),
                    (broker.kill, 1),
                ):
                    run.await_windows(5)
                    end()
                    pause.wait(away_s)
                    broker.start()
                run.await_windows(5)
            expected = run.settle(timeout_s=240)
        run.stop_all()
        run.look()
        run.check(expected)
