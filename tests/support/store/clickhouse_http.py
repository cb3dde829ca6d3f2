"""ClickHouse over HTTP for tests: ``driftline store serve``, or a real server.

``DRIFTLINE_TEST_CLICKHOUSE=http://host:port`` names a real server (user and password as
for the store: ``DRIFTLINE_STORE_USER``, ``DRIFTLINE_STORE_PASSWORD``); without it
``driftline store serve`` is started. Each test gets a database of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from monitor.storage.clickhouse import Store
from tests.support.repository import ROOT

SERVER_VARIABLE = "DRIFTLINE_TEST_CLICKHOUSE"
COMMAND = (sys.executable, "-m", "monitor.cli.main", "store", "serve")


class Server:
    """``driftline store serve`` in a separate process."""

    def __init__(
        self, folder: Path, *options: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "--store", str(folder), "--port", "0", *options],
            cwd=ROOT,
            env=_environment() | dict(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server did not start: {self.process.communicate()[1]}")
        self.url = line.split()[-1]

    def stop(self) -> int:
        """Stop the server; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        return self.process.returncode


def _environment() -> dict[str, str]:
    """Return the environment without passwords and proxies."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DRIFTLINE_STORE") and not name.lower().endswith("_proxy")
    }


@contextlib.contextmanager
def running(
    folder: Path, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run our server over a folder for the length of a block."""
    server = Server(folder, *options, environment=environment)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory) -> Iterator[str]:
    """The URL of one server for the whole session, without a database."""
    if given := os.environ.get(SERVER_VARIABLE):
        yield given.rstrip("/")
        return
    with running(tmp_path_factory.mktemp("served") / "store") as server:
        yield server.url


@contextlib.contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """Make a database on a server; yield the URL of it, and drop it afterwards."""
    name = f"driftline_{uuid.uuid4().hex}"
    with Store.open(f"{url}/default") as store:
        store.command(f"CREATE DATABASE {name}")
        try:
            yield f"{url}/{name}"
        finally:
            store.command(f"DROP DATABASE {name}")
