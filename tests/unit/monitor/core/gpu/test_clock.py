"""A host whose clock is off is a ticket; it hides no loss, and causes none."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from monitor.core.state.snapshot_store import SnapshotStore
from monitor.decode import chunk_of
from monitor.detect.gpu_partition import GpuPartition
from schemas.alerts import Alert, Severity
from schemas.config.monitor import GpuConfig

S, MINUTE = 1_000_000, 60
BASE_S = 1_700_000_000


class ClockStream:
    """Three hosts with two GPUs each, every 30 s, over one partition."""

    def __init__(self, *, has_record_time: bool) -> None:
        self.partition = GpuPartition(GpuConfig(), 0, "owner")
        self.partition.restore(SnapshotStore())
        self.has_record_time = has_record_time
        self.alerts: list[Alert] = []

    def send(self, second: int, host: str, gpu: int, off_s: float = 0, **more: object) -> None:
        event = {
            "host": host,
            "gpu_uuid": f"{host}-{gpu}",
            "gpu": gpu,
            "time_us": int((BASE_S + second + gpu / 10 + off_s) * S),
            "fields": {"gpu_temp": 60, "clocks_event_reasons": 0},
        }
        record_us = (BASE_S + second + 1) * S if self.has_record_time else -1
        chunk = chunk_of(
            [json.dumps(event | more).encode()],
            "t",
            0,
            self.partition.position,
            np.array([record_us], np.int64),
        )
        for phase in self.partition.take(chunk)[1]:
            for write in phase.writes:
                if write.topic == "driftline.alerts" and write.value:
                    self.alerts.append(msgspec.msgpack.decode(write.value, type=Alert))

    def run(self, off_s, *, end: int = 1800, dies: dict[str, int] | None = None) -> list[Alert]:
        """Send everything; ``off_s`` maps a second to how far n2's clock is off then."""
        for second in range(0, end, 30):
            for host in ("n1", "n2", "n3"):
                for gpu in range(2):
                    if second <= (dies or {}).get(host, end):
                        self.send(second, host, gpu, off_s(second) if host == "n2" else 0)
        return self.alerts


def changes(alerts: list[Alert]) -> list[tuple[str, str, str]]:
    return [(a.rule, a.host, a.transition.value) for a in alerts]


OFFSETS = [-2 * MINUTE, -10 * MINUTE, -3600, 2 * MINUTE, 4 * MINUTE, 10 * MINUTE, 3600]


@pytest.mark.parametrize("has_record_time", [True, False])
@pytest.mark.parametrize("off_s", OFFSETS)
def test_a_clock_that_is_minutes_off_is_a_ticket_and_no_page(has_record_time, off_s):
    alerts = ClockStream(has_record_time=has_record_time).run(lambda second: off_s)
    assert changes(alerts) == [("clock_offset", "n2", "opened")]
    assert alerts[0].severity is Severity.TICKET
    direction = "ahead" if off_s > 0 else "behind"
    assert direction in alerts[0].title


@pytest.mark.parametrize("has_record_time", [True, False])
@pytest.mark.parametrize("off_s", OFFSETS)
def test_a_clock_that_steps_and_is_set_right_again_raises_no_page(has_record_time, off_s):
    stream = ClockStream(has_record_time=has_record_time)
    alerts = stream.run(lambda second: off_s if 600 <= second < 2400 else 0, end=3600)
    assert changes(alerts) == [
        ("clock_offset", "n2", "opened"),
        ("clock_offset", "n2", "resolved"),
    ]


@pytest.mark.parametrize("has_record_time", [True, False])
@pytest.mark.parametrize("off_s", OFFSETS)
@pytest.mark.parametrize("lost", ["n1", "n2"])
def test_a_clock_that_is_off_hides_no_loss(has_record_time, off_s, lost):
    stream = ClockStream(has_record_time=has_record_time)
    alerts = stream.run(lambda second: off_s, end=2400, dies={lost: 1200})
    assert ("node_lost", lost, "opened") in changes(alerts)
    assert {a.host for a in alerts if a.rule == "node_lost"} == {lost}
    (page,) = (a for a in alerts if a.rule == "node_lost")
    assert BASE_S + 1290 <= page.time_us / S <= BASE_S + 1200 + 150


@pytest.mark.parametrize("off_s", [-10 * MINUTE, 4 * MINUTE])
def test_faults_of_a_gpu_whose_clock_is_off_are_found(off_s):
    stream = ClockStream(has_record_time=True)
    stream.run(lambda second: off_s)
    for second in range(1800, 2400, 30):
        stream.send(second, "n2", 0, off_s, fields={"row_remap_failure": 1})
        stream.send(second, "n1", 0)
    assert "row_remap_failure" in {a.rule for a in stream.alerts}


def test_telemetry_that_comes_late_in_bursts_is_no_clock():
    stream = ClockStream(has_record_time=True)
    for minute in range(0, 60, 5):
        for host in ("n1", "n3"):
            for step in range(10):
                stream.send(minute * 60 + step * 30, host, 0)
        for step in range(10):
            stream.send(minute * 60 + 300, "n2", 0, step * 30 - 300)
    assert "clock_offset" not in {a.rule for a in stream.alerts}


def test_a_way_that_is_slow_for_all_hosts_is_no_clock():
    stream = ClockStream(has_record_time=True)
    for second in range(0, 1800, 30):
        for host in ("n1", "n2", "n3", "n4"):
            stream.send(second, host, 0, -120)
    assert len({a.host for a in stream.alerts if a.rule == "clock_offset"}) < 3


@pytest.mark.parametrize("at", [0, 5, 20])
def test_one_event_stamped_a_day_ahead_changes_nothing(at):
    stream = ClockStream(has_record_time=False)
    stray = {"second": at * 30}
    alerts = stream.run(lambda second: 86_400 if second == stray["second"] else 0, dies={"n3": 900})
    assert changes(alerts) == [("node_lost", "n3", "opened")]
