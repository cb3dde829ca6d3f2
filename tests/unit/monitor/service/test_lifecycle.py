"""A stage's lifecycle, its failpoints, its address, and when a child is restarted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from monitor.service.address import Address, parse_address
from monitor.service.armed_failpoints import failpoints
from monitor.service.lifecycle import Lifecycle
from monitor.service.restarts import Restarts
from schemas.errors import ConfigError


def test_a_stage_is_live_while_it_beats():
    now = [0.0]
    lifecycle = Lifecycle("ingest", silence_s=10, clock_s=lambda: now[0])
    now[0] = 49.0
    assert lifecycle.is_live  # it may still compile its kernels
    lifecycle.beat()
    lifecycle.ready()
    now[0] = 58.9
    assert lifecycle.is_live
    now[0] = 59.0
    assert not lifecycle.is_live
    lifecycle.beat()
    assert lifecycle.is_live
    assert lifecycle.silent_s == 0


def test_a_draining_stage_is_not_ready_and_says_why():
    lifecycle = Lifecycle("archive")
    assert (lifecycle.is_ready, lifecycle.why_unready) == (False, "starting")
    lifecycle.ready()
    assert (lifecycle.is_ready, lifecycle.why_unready) == (True, "")
    lifecycle.unready("the store is down")
    lifecycle.drain()
    assert (lifecycle.is_ready, lifecycle.why_unready) == (False, "draining; the store is down")
    assert lifecycle.wait(60)


def test_a_failpoint_kills_at_the_count_given_and_at_no_other():
    reached, deaths = [], []
    hit = failpoints(
        {"DRIFTLINE_CRASH_AT": "ingest:pane:2, *:6"}, lambda: deaths.append(len(reached))
    )
    for step in ["ingest:pane", "ingest:commit"] * 4:
        reached.append(step)
        hit(step)
    assert deaths == [3, 6]


@pytest.mark.parametrize("text", ["ingest", "ingest:pane:x", ":3", "ingest:pane:-1"])
def test_a_failpoint_that_cannot_be_read_is_refused(text):
    with pytest.raises(ConfigError) as refused:
        failpoints({"DRIFTLINE_CRASH_AT": text})
    assert "DRIFTLINE_CRASH_AT" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", Address("127.0.0.1", 9104)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
        ("[::]:9101", Address("::", 9101)),
        ("9200", Address("127.0.0.1", 9200)),
        ("off", None),
    ],
)
def test_an_address_is_read(text, address):
    assert parse_address(text, "archive") == address


@pytest.mark.parametrize(
    "text", ["host", "host:", "host:99999", "host:-1", "[::1:80", "http://h:1"]
)
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="is not an address"):
        parse_address(text, "archive")


def test_pauses_double_up_to_a_bound_and_are_forgotten_after_a_minute_of_health():
    restarts = Restarts()
    pauses = [restarts.pause_s(started_s=0, ended_s=59) for _ in range(7)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert restarts.pause_s(started_s=100, ended_s=160) == 1
    assert restarts.pause_s(started_s=161, ended_s=162) == 2
    assert restarts.n_restarts == 9


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("monitor.app.stages", ("numba", "faust", "pyarrow", "confluent_kafka", "aiohttp")),
        ("monitor.archive.on_kafka", ("faust", "aiohttp", "jinja2", "resvg_py")),
        ("monitor.ingest.on_kafka", ("faust", "aiohttp", "jinja2", "resvg_py")),
        ("monitor.detect.on_kafka", ("jinja2", "resvg_py")),
        ("monitor.notify.on_kafka", ("numba", "jinja2", "resvg_py", "slack_sdk")),
        ("monitor.notify.receivers.slack", ("jinja2", "resvg_py")),
        ("monitor.cli.main", ("jinja2", "resvg_py", "markupsafe")),
        ("monitor.app.backtest", ("jinja2", "resvg_py")),
        ("monitor.app.compare", ("jinja2", "resvg_py")),
    ],
)
def test_a_stage_loads_only_what_it_uses(module, absent):
    code = f"import sys, {module}; print(*[m for m in {absent} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert found.stdout.strip() == ""
