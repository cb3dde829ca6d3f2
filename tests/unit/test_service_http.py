"""The signs of life over HTTP."""

from __future__ import annotations

import http.client
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.service.address import Address
from monitor.service.http import SignsOfLife
from monitor.service.life import Life
from schemas.errors import ConfigError

pytestmark = pytest.mark.integration


class Clock:
    """A clock that is set by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def ask(signs: SignsOfLife, path: str, method: str = "GET") -> tuple[int, str]:
    """Send one request."""
    connection = http.client.HTTPConnection(signs.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def life(clock) -> Life:
    return Life("detect", silence_s=30, clock_s=clock)


@pytest.fixture
def signs(life):
    with SignsOfLife(life, Address("127.0.0.1", 0)) as running:
        yield running


def test_ready_follows_the_stage_and_says_why_not(life, signs):
    assert ask(signs, "/readyz") == (503, "starting\n")
    life.ready()
    assert ask(signs, "/readyz") == (200, "ready\n")
    life.unready("the broker is away")
    assert ask(signs, "/readyz?verbose") == (503, "the broker is away\n")
    life.ready()
    life.drain()
    assert ask(signs, "/readyz") == (503, "draining\n")


def test_live_ends_with_the_beat(life, clock, signs):
    life.ready()
    assert ask(signs, "/healthz") == (200, "live\n")
    clock.now_s = 31
    assert ask(signs, "/healthz") == (503, "no beat for 31 s\n")
    life.beat()
    assert ask(signs, "/healthz") == (200, "live\n")


def test_metrics_parse_and_hold_the_process_and_the_stage(life, clock, signs):
    life.ready()
    clock.now_s = 7
    status, body = ask(signs, "/metrics")
    assert status == 200
    samples = {
        (s.name, s.labels.get("stage")): s.value
        for family in text_string_to_metric_families(body)
        for s in family.samples
    }
    assert samples["driftline_ready", "detect"] == 1
    assert samples["driftline_silent_seconds", "detect"] == 7
    assert samples["process_resident_memory_bytes", None] > 1e6


def test_other_paths_and_methods_are_refused(signs):
    status, body = ask(signs, "/")
    assert (status, "/metrics" in body) == (404, True)
    assert ask(signs, "/readyz", "POST")[0] == 501
    assert ask(signs, "/healthz", "HEAD") == (200, "")


def test_clients_that_say_nothing_do_not_keep_others_out(signs):
    address = signs.url.removeprefix("http://").split(":")
    silent = [socket.create_connection((address[0], int(address[1]))) for _ in range(20)]
    try:
        # Eight slots are taken until their requests time out.
        assert ask_patiently(signs) == (200, "live\n")
    finally:
        for each in silent:
            each.close()


def ask_patiently(signs: SignsOfLife) -> tuple[int, str]:
    """Ask with a bound that leaves room for two rounds of time-outs."""
    connection = http.client.HTTPConnection(signs.url.removeprefix("http://"), timeout=60)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_taken_port_is_an_error_that_names_it(life, signs):
    port = int(signs.url.rpartition(":")[2])
    with pytest.raises(ConfigError) as refused:
        SignsOfLife(life, Address("127.0.0.1", port))
    assert f"127.0.0.1:{port}" in str(refused.value)
    assert "address already in use" in str(refused.value)


def test_a_host_that_is_not_ours_is_an_error(life):
    with pytest.raises(ConfigError, match="cannot listen"):
        SignsOfLife(life, Address("192.0.2.1", 0))


def test_it_stops_answering_when_it_is_closed(life):
    signs = SignsOfLife(life, Address("127.0.0.1", 0))
    assert ask(signs, "/healthz")[0] == 200
    signs.close()
    with pytest.raises(OSError):
        ask(signs, "/healthz")
