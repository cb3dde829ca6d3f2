"""The health server over HTTP."""

from __future__ import annotations

import gc
import http.client
import socket
from contextlib import ExitStack, suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.service import health_server as http_server
from monitor.service.address import Address
from monitor.service.health_server import MAX_CONNECTIONS, HealthServer
from monitor.service.lifecycle import Lifecycle
from schemas.errors import ConfigError
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


class HealthClock:
    """A clock that is set by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str]:
    """Send one request."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def clock() -> HealthClock:
    return HealthClock()


@pytest.fixture
def lifecycle(clock) -> Lifecycle:
    return Lifecycle("detect", silence_s=30, clock_s=clock)


@pytest.fixture
def server(lifecycle):
    with HealthServer(lifecycle, Address("127.0.0.1", 0)) as running:
        yield running


def test_ready_follows_the_stage_and_says_why_not(lifecycle, server):
    assert ask(server, "/readyz") == (503, "starting\n")
    lifecycle.ready()
    assert ask(server, "/readyz") == (200, "ready\n")
    lifecycle.unready("the broker is away")
    assert ask(server, "/readyz?verbose") == (503, "the broker is away\n")
    lifecycle.ready()
    lifecycle.drain()
    assert ask(server, "/readyz") == (503, "draining\n")


def test_live_ends_with_the_beat(lifecycle, clock, server):
    lifecycle.ready()
    assert ask(server, "/healthz") == (200, "live\n")
    clock.now_s = 31
    assert ask(server, "/healthz") == (503, "no heartbeat for 31 s\n")
    lifecycle.beat()
    assert ask(server, "/healthz") == (200, "live\n")


def test_metrics_parse_and_hold_the_process_and_the_stage(lifecycle, clock, server):
    lifecycle.ready()
    clock.now_s = 7
    status, body = ask(server, "/metrics")
    assert status == 200
    samples = {
        (s.name, s.labels.get("stage")): s.value
        for family in text_string_to_metric_families(body)
        for s in family.samples
    }
    assert samples["driftline_ready", "detect"] == 1
    assert samples["driftline_silent_seconds", "detect"] == 7
    assert samples["process_resident_memory_bytes", None] > 1e6


def test_other_paths_and_methods_are_refused(server):
    status, body = ask(server, "/")
    assert (status, "/metrics" in body) == (404, True)
    assert ask(server, "/readyz", "POST")[0] == 501
    assert ask(server, "/healthz", "HEAD") == (200, "")


def connected(server: HealthServer) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


@pytest.mark.parametrize("first", [b"", b"GET /metrics HTTP/1.1\r\nX: "])
def test_clients_that_are_slow_do_not_keep_others_out(server, first):
    with ExitStack() as stack:
        slow = [stack.enter_context(connected(server)) for _ in range(2 * MAX_CONNECTIONS)]
        for each in slow:
            with suppress(OSError):
                each.sendall(first)
        for _ in range(5):
            assert ask(server, "/healthz") == (200, "live\n")
            for each in slow:
                with suppress(OSError):
                    each.sendall(b"a")


def test_a_connection_ends_after_its_time_however_it_drips(server, monkeypatch):
    monkeypatch.setattr(http_server, "REQUEST_S", 0.2)
    with connected(server) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert slow.recv(1) == b""


def test_an_unread_answer_ends_after_its_time(server, monkeypatch):
    monkeypatch.setattr(http_server, "REQUEST_S", 0.2)
    monkeypatch.setattr(http_server, "answer_to", lambda head, lifecycle: bytes(64 << 20))
    with connected(server) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        wait_until(lambda: not server._server._open, what="the connection to be given up")


def test_more_connections_than_are_kept_close_the_oldest(server):
    with ExitStack() as stack:
        first = stack.enter_context(connected(server))
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(connected(server))
        with suppress(ConnectionResetError):
            assert first.recv(1) == b""
        assert len(server._server._open) <= MAX_CONNECTIONS


@pytest.mark.parametrize("head", [b"GET /" + b"a" * 9_000, b"GET / HTTP/1.1\r\nX: " + b"a" * 9_000])
def test_a_head_without_end_is_refused(server, head):
    with connected(server) as client:
        client.sendall(head + b"\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.0 431 ")


@pytest.mark.parametrize(
    "head",
    [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01 TLS\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
     b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500 + b"\r\n"],
)  # fmt: skip
def test_what_is_no_request_does_no_harm(server, head):
    with connected(server) as client, suppress(ConnectionResetError):
        client.sendall(head)
        client.recv(100)
    assert ask(server, "/healthz")[0] == 200


def test_a_taken_port_is_an_error_that_names_it(lifecycle, server):
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(ConfigError) as refused:
        HealthServer(lifecycle, Address("127.0.0.1", port))
    assert f"127.0.0.1:{port}" in str(refused.value)
    assert "address already in use" in str(refused.value)


def test_a_host_that_is_not_ours_is_an_error(lifecycle):
    with pytest.raises(ConfigError, match="cannot listen"):
        HealthServer(lifecycle, Address("192.0.2.1", 0))


def test_connections_accepted_while_it_is_closed_leave_no_socket_open(lifecycle):
    for n in range(30):
        with ExitStack() as clients, HealthServer(lifecycle, Address("127.0.0.1", 0)) as server:
            for _ in range(1 + n % 10):
                clients.enter_context(connected(server))
        gc.collect()  # a socket or task that was left is a ResourceWarning, which fails the test


def test_it_stops_answering_when_it_is_closed(lifecycle):
    server = HealthServer(lifecycle, Address("127.0.0.1", 0))
    assert ask(server, "/healthz")[0] == 200
    server.close()
    with pytest.raises(OSError):
        ask(server, "/healthz")


def test_it_ends_without_a_word_while_connections_are_open(caplog):
    with (
        ExitStack() as clients,
        HealthServer(Lifecycle("ingest"), Address("127.0.0.1", 0)) as server,
    ):
        host, port = server.url.removeprefix("http://").split(":")
        for _ in range(20):
            client = clients.enter_context(socket.create_connection((host, int(port))))
            client.sendall(b"GET /heal")
        assert ask(server, "/metrics")[0] == 200
    gc.collect()  # a task that is collected while it waits says so
    assert caplog.text == ""
