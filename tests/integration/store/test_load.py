"""Bounds of the store that hold: turns, connections, memory, answers, bodies."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from backports import zstd

from tests.support.store.clickhouse_http import Server, running
from tests.support.store.client import PASSWORDS, READER_PASSWORD, WRITER_PASSWORD, Reply, ask, send
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

MEMORY_MIB = 1024
BOUNDS = ("--memory-mib", str(MEMORY_MIB), "--query-mib", "768", "--result-mib", "16")
SPOOL = ("--spool-mib", "64", "--body-mib", "48")
N_IDLE = 3000


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("load") / "store"
    with running(folder, *BOUNDS, *SPOOL, environment=PASSWORDS) as server:
        ask(server.url, "CREATE TABLE t (a String) ENGINE = MergeTree ORDER BY a", "default")
        yield server


def write(server: Server) -> Reply:
    """Insert a row as the archive does."""
    headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": WRITER_PASSWORD}
    return send(server.url, b"x\n", headers=headers, query="INSERT INTO t FORMAT LineAsString")


def peak_mib(server: Server) -> int:
    """Return the most memory since :func:`forget_peak`."""
    status = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) >> 10


def forget_peak(server: Server) -> int:
    """Reset the peak; return what is in use now, in MiB."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    return peak_mib(server)


def n_sleeping(server: Server) -> int:
    sql = "SELECT countIf(query LIKE 'SELECT sleepEachRow%') FROM system.processes"
    return int(ask(server.url, sql, "default").body)


def test_sleeping_readers_do_not_keep_the_writer_out(server):
    sleep = "SELECT sleepEachRow(1) FROM numbers(8) SETTINGS max_block_size = 1"
    with ThreadPoolExecutor(12) as readers:
        jobs = [readers.submit(ask, server.url, sleep) for _ in range(12)]
        wait_until(lambda: n_sleeping(server) == 8)
        assert write(server).status == 200
        assert n_sleeping(server) >= 4
        answers = [job.result() for job in jobs]
    assert {answer.code for answer in answers} <= {0, 202}


@contextlib.contextmanager
def idle_connections(server: Server, n: int, first_bytes: bytes) -> Iterator[list[socket.socket]]:
    """Open connections that send no whole request."""
    host, port = server.url.removeprefix("http://").split(":")
    opened = []
    try:
        for _ in range(n):
            client = socket.create_connection((host, int(port)), timeout=30)
            if first_bytes:
                with contextlib.suppress(ConnectionError):
                    client.sendall(first_bytes)
            opened.append(client)
        yield opened
    finally:
        for client in opened:
            client.close()


@pytest.mark.parametrize("first_bytes", [b"", b"GET / HTTP/1.1\r\nX: "])
def test_idle_connections_do_not_keep_the_writer_out(server, first_bytes):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < N_IDLE + 200:
        pytest.skip(f"needs {N_IDLE + 200} open files, the limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, N_IDLE + 200), hard))
    before = forget_peak(server)
    try:
        with idle_connections(server, N_IDLE, first_bytes):
            for _ in range(3):
                assert write(server).status == 200
            files = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
            assert files < 1024 + 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert peak_mib(server) - before < 128


def test_bodies_that_stop_half_way_do_not_keep_the_writer_out(server):
    key = f"X-ClickHouse-User: reader\r\nX-ClickHouse-Key: {READER_PASSWORD}\r\n"
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{key}Content-Length: 99\r\n\r\nSELECT"
    before = forget_peak(server)
    with idle_connections(server, 700, head.encode()):
        for _ in range(3):
            assert write(server).status == 200
    assert peak_mib(server) - before < 128


def test_clients_beyond_the_turns_wait_and_are_served(server):
    before = forget_peak(server)
    with ThreadPoolExecutor(200) as clients:
        sql = "SELECT count() FROM numbers(100000)"
        jobs = [clients.submit(ask, server.url, sql) for _ in range(200)]
        assert write(server).status == 200
        answers = [job.result() for job in jobs]
    served = [answer for answer in answers if answer.status == 200]
    assert {answer.body for answer in served} == {b"100000\n"}
    assert {answer.code for answer in answers} <= {0, 202}
    assert len(served) > 20
    assert peak_mib(server) - before < 512


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT number FROM numbers(100000000)",
        # One block of them is ten times as long as the bound.
        "SELECT repeat('x', 3000) FROM numbers(60000)",
        "SELECT repeat('\"', 10000) FROM numbers(60000) FORMAT JSON",
        "SELECT number FROM numbers(10000000) FORMAT JSONEachRow",
    ],
)
def test_an_answer_is_cut_at_its_bytes(server, sql):
    before = forget_peak(server)
    assert ask(server.url, sql).code == 396
    assert peak_mib(server) - before < 900  # a query may take 768


def test_an_answer_at_its_bound_comes_whole(server):
    reply = ask(server.url, "SELECT repeat('x', 1023) FROM numbers(16384)")
    assert (reply.status, len(reply.body)) == (200, 16 << 20)
    assert ask(server.url, "SELECT repeat('x', 1023) FROM numbers(16385)").code == 396
    own = ask(server.url, "SELECT repeat('x', 1023) FROM numbers(9)", max_result_bytes="8192")
    assert own.code == 396


def test_all_queries_together_keep_one_memory_bound(server):
    forget_peak(server)
    greedy = "SELECT length(groupArray(number)) FROM numbers(60000000)"
    with ThreadPoolExecutor(6) as readers:
        jobs = [readers.submit(ask, server.url, greedy) for _ in range(6)]
        assert write(server).status == 200
        answers = [job.result() for job in jobs]
    assert {answer.code for answer in answers} <= {0, 159, 202, 241}
    assert peak_mib(server) < 2 * MEMORY_MIB + 512  # arrays grow by doubling


def test_all_bodies_together_keep_one_bound(server, tmp_path_factory):
    spool = next(tmp_path_factory.getbasetemp().glob("load*/store/spool"))
    body = zstd.compress(b"x" * 1023 + b"\n") * (40 << 10)  # 40 MiB, of 64 for all
    headers = {
        "X-ClickHouse-User": "default",
        "X-ClickHouse-Key": WRITER_PASSWORD,
        "Content-Encoding": "zstd",
    }
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            sizes = []
            for file in spool.iterdir():
                with contextlib.suppress(OSError):
                    sizes.append(file.stat().st_size)
            most[0] = max(most[0], sum(sizes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(8) as clients:
            query = "INSERT INTO t FORMAT LineAsString"
            jobs = [
                clients.submit(send, server.url, body, headers=headers, query=query)
                for _ in range(8)
            ]
            codes = {job.result().code for job in jobs}
    finally:
        done.set()
        watcher.join()
    assert codes <= {0, 202}
    assert most[0] <= 64 << 20
    assert list(spool.iterdir()) == []
    assert write(server).status == 200
