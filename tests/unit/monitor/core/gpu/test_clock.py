"""A host whose clock is off is a ticket; it hides no loss, and causes none."""

from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest

from monitor.core.gpu.clock import HostClock, StreamClock, lag_of, offset_text
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.decode import chunk_of
from monitor.detect.gpu_partition import GpuPartition
from schemas.alerts import Alert, Severity
from schemas.config.monitor import GpuConfig
from schemas.time_units import DAY_US

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


def times_of(*events: tuple[int, str], n_hosts: int = 2) -> list[int]:
    """Stream times after events that may lie 60 ahead."""
    clock, times = StreamClock(), []
    for time_us, host in events:
        clock.advance(time_us, host, n_hosts, jump_us=60)
        times.append(clock.now_us)
    return times


@pytest.mark.parametrize(
    ("events", "times"),
    [
        ([(0, "a"), (60, "a"), (30, "b")], [0, 60, 60]),
        ([(0, "a"), (61, "a"), (62, "b")], [0, 0, 62]),
        ([(0, "a"), (61, "a"), (62, "a"), (63, "b")], [0, 0, 0, 63]),
        ([(0, "a"), (900, "a"), (30, "b"), (800, "b"), (810, "a")], [0, 0, 30, 30, 810]),
    ],
)
def test_a_leap_needs_the_next_event_of_another_host(events, times):
    assert times_of(*events) == times


def test_a_leap_of_one_host_is_accepted_after_sixteen_events():
    ahead = [(900 + i, "a") for i in range(17)]
    assert times_of((0, "b"), *ahead) == [0] * 17 + [916]


def test_a_leap_of_the_only_host_is_accepted_at_its_second_event():
    assert times_of((0, "a"), (900, "a"), (901, "a"), n_hosts=1) == [0, 0, 901]


def lags_of(lags_us: list[tuple[int, ...]], every_us: int = 100) -> HostClock:
    """A clock after stretches of events with these lags, and the begin of one more."""
    clock = HostClock()
    for stretch, lags in enumerate(lags_us):
        noted = [clock.note(lag, stretch * every_us + i, every_us) for i, lag in enumerate(lags)]
        assert noted == [True] + [False] * (len(lags) - 1)
    clock.note(0, len(lags_us) * every_us, every_us)
    return clock


def test_the_least_and_largest_lag_of_eight_stretches_are_kept():
    clock = lags_of([(5 * i, -i, 2) for i in range(10)])
    assert clock.lows_us == [-i for i in range(2, 10)]
    assert clock.highs_us == [5 * i for i in range(2, 10)]


def test_a_lag_is_steady_where_five_stretches_agree_within_fifteen_seconds():
    assert lags_of([(60 * S, 74 * S)] * 4).steady_us is None
    assert lags_of([(60 * S, 74 * S)] * 5).steady_us == 67 * S
    assert lags_of([(60 * S,)] * 4 + [(75 * S,)]).steady_us == 60 * S
    assert lags_of([(60 * S,)] * 4 + [(75 * S + 1,)]).steady_us is None


def test_a_clock_is_right_after_eight_stretches_below_the_limit():
    assert lags_of([(-9, 9)] * 8).is_right(10)
    assert not lags_of([(-9, 9)] * 7).is_right(10)
    assert not lags_of([(-9, 9)] * 7 + [(-10, 0)]).is_right(10)


@pytest.mark.parametrize(
    ("time_us", "record_us", "lag_us"),
    [(0, 90 * S, 90 * S), (90 * S, 0, -90 * S), (0, -1, 7), (0, 5 * S, 5 * S), (0, 5 * S - 1, 7)],
)
def test_a_lag_is_that_of_the_record_time_where_another_clock_made_it(time_us, record_us, lag_us):
    assert lag_of(time_us, record_us, now_us=time_us + 7) == lag_us


def test_a_record_time_of_a_day_later_is_a_history_that_is_read_in():
    assert lag_of(0, DAY_US, now_us=7) == 7
    assert lag_of(0, DAY_US - 1, now_us=7) == DAY_US - 1


def test_an_offset_is_written_in_minutes_with_its_direction():
    assert offset_text(600 * S) == "clock 10 min behind"
    assert offset_text(-90 * S) == "clock 1.5 min ahead"
