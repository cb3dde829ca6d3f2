"""Outages in which a stage exits: drained while Kafka is unavailable, and after it is back.

Outages that the stages survive are in test_kafka_broker_outages.py.
"""

from __future__ import annotations

import signal

import pytest

from monitor.clock import elapsed_s
from tests.support.scenario.fault_run import FaultRun
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.slow]

STAGES = ("ingest", "detect", "notify", "archive")
GIVE_UP_S = 20.0
"""Eight seconds, with a margin for busy machines; the time-out of a drain is thirty."""
SESSION = "30s"
"""Longer than that.

A stage whose session expires first has lost its partitions, has nothing to finish, and drains. With
six seconds either happened.
"""


@pytest.mark.timeout(600)
def test_drained_while_the_broker_is_away_they_give_up_and_nothing_is_lost(
    new_broker, topic_prefix, nursery, database, tmp_path
):
    broker = new_broker().start()
    with FaultRun(
        tmp_path / "run",
        broker.bootstrap,
        topic_prefix,
        nursery,
        store=database,
        session_timeout=SESSION,
    ) as run:
        for stage in STAGES:
            run.start(stage, f"{stage}-1")
        run.await_ready()
        # Completely written, and mostly unprocessed when the broker is killed.
        run.feed(10)
        wait_until(lambda: bool(run.webhook.received), 90, "a first message")
        run.feed(6)
        broker.kill()
        begin_s = elapsed_s()
        for child in run.children.values():
            child.signal(signal.SIGTERM)
        codes = [child.wait(60) for child in run.children.values()]
        assert elapsed_s() - begin_s < GIVE_UP_S
        for child, code in zip(run.children.values(), codes, strict=True):
            said = child.log_file.read_text()
            n_given_up = said.count("did not drain: Kafka has not answered for")
            assert (code, n_given_up) == (1, 1), child.tail()
            assert " drained" not in said, child.tail()
            assert "Traceback" not in said, child.tail(200)
        broker.start()
        # A process that was killed may have sent a notification without logging it.
        run.n_kills["notify"] += 1
        for stage in STAGES:
            run.start(stage, f"{stage}-1")
        run.feed(4)
        run.check(run.finish(timeout_s=180))
