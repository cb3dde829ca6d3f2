"""ClickHouse is down, slow, flapping, or full: pages are sent, and the archive catches up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scenario.fault_run import FaultRun
from tests.support.store.clickhouse_http import fresh_database, running
from tests.support.store.fault_proxy import Fault, FaultProxy
from tests.support.store.small_disk import fill, small_disk_at
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.slow]

FLAPS = (Fault.UNAVAILABLE, Fault.NONE, Fault.DROPPED_ANSWER, Fault.OUTAGE, Fault.NONE,
         Fault.CUT_REQUEST, Fault.HALF_ANSWER, Fault.NONE, Fault.GATEWAY)  # fmt: skip


@pytest.mark.timeout(600)
def test_a_store_that_is_down_then_slow_then_flapping(
    broker, topic_prefix, nursery, database, tmp_path
):
    with (
        FaultProxy(database) as proxy,
        FaultRun(
            tmp_path / "run",
            broker.bootstrap,
            topic_prefix,
            nursery,
            store=database,
            archive_store=proxy.url,
        ) as run,
    ):
        for stage in ("ingest", "detect", "notify", "archive"):
            run.start(stage, f"{stage}-1")
        run.await_ready()
        with run.feeding(pause_s=0.3):
            _await_received(run, 1)
            proxy.go_down()
            _await_received(run, len(run.webhook.received) + 8)
            proxy.come_back()
            proxy.standing, proxy.slow_s = Fault.SLOW, 0.5
            _await_received(run, len(run.webhook.received) + 4)
            proxy.standing = Fault.NONE
            proxy.faults.extend(itertools.islice(itertools.cycle(FLAPS), 45))
            wait_until(lambda: not proxy.faults, 120, "every flap met")
        assert {fault for fault in proxy.met if fault is not Fault.NONE} >= set(FLAPS) - {
            Fault.NONE
        }
        run.check(run.finish(timeout_s=180))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 48 MB, if mounting is allowed."""
    with small_disk_at(tmp_path / "disk", "48m") as disk:
        yield disk


@pytest.mark.timeout(600)
def test_a_full_disk_under_the_store(broker, topic_prefix, nursery, small_disk, tmp_path):
    ballast = small_disk / "ballast"
    with (
        running(small_disk / "store") as server,
        fresh_database(server.url) as url,
        FaultRun(tmp_path / "run", broker.bootstrap, topic_prefix, nursery, store=url) as run,
    ):
        for stage in ("ingest", "detect", "notify", "archive"):
            run.start(stage, f"{stage}-1")
        run.await_ready()
        with run.feeding(pause_s=0.5):
            _await_received(run, 1)
            # An insert may be in progress, which the engine would damage on a disk without a byte.
            fill(ballast, keep_bytes=512 << 10)
            _await_received(run, len(run.webhook.received) + 8)
            wait_until(lambda: not run.children["archive-1"].is_ready(), 60, "archive unready")
            ballast.unlink()
            _await_received(run, len(run.webhook.received) + 2)
        run.check(run.finish(timeout_s=180))


def _await_received(run: FaultRun, n: int) -> None:
    """Wait until the receiver has got ``n`` messages."""
    wait_until(lambda: len(run.webhook.received) >= n, 120, f"{n} messages")
