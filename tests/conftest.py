"""Rules that hold for every test: no network in unit tests, no quiet skips in CI."""

from __future__ import annotations

import os
import signal
import socket
import threading

import pytest
from hypothesis import HealthCheck, settings

from tests.support.data import NO_SHARED_DATA, SHARED
from tests.support.kafka.broker import broker, new_broker, topic_prefix
from tests.support.store.clickhouse_http import clickhouse

__all__ = ["broker", "clickhouse", "new_broker", "topic_prefix"]

NOT_PERMITTED = "not permitted here"
"""A skip for this reason is right in CI too: nothing can be installed against it."""
OFFLINE_FOLDERS = ("tests/unit/", "tests/property/")
ALLOWED_IN_CI = (NOT_PERMITTED, NO_SHARED_DATA)


# A busy machine is no fault of the code: no test fails because of how long an example took.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure():
    """Let Ctrl-C reach what tests start: a shell's background jobs inherit that it is ignored."""
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if is_ignored and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_sockets_in_unit_tests(request, monkeypatch):
    """Refuse connections in tests that are not marked ``integration``."""
    is_offline = request.node.nodeid.startswith(OFFLINE_FOLDERS)
    if not is_offline or request.node.get_closest_marker("integration"):
        return

    def refuse(self, address):
        if self.family != socket.AF_UNIX:
            raise AssertionError(f"a unit test connects to {address}; mark it integration")
        return connect(self, address)

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refuse)


def pytest_collection_modifyitems(items):
    """Begin with the files that need the broker: the longest ones must not come last.

    Within a file and among the others the order stays, and it is the same in every worker.
    Tests marked ``shared`` are skipped where the large data files are missing.
    """
    if not SHARED.is_dir():
        for item in items:
            if item.get_closest_marker("shared"):
                item.add_marker(pytest.mark.skip(reason=NO_SHARED_DATA))
    on_kafka = {item.path for item in items if item.get_closest_marker("kafka")}
    items.sort(key=lambda item: item.path not in on_kafka)


def pytest_sessionfinish(session, exitstatus):
    """In CI, fail when something was skipped that could have run; list what was skipped."""
    if os.environ.get("CI") != "true" or hasattr(session.config, "workerinput"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    reasons = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    missing = [r for r in reasons if not any(allowed in r for allowed in ALLOWED_IN_CI)]
    for allowed in ALLOWED_IN_CI:
        if count := sum(allowed in reason for reason in reasons):
            reporter.write_line(f"{count} tests were skipped, which is right in CI too: {allowed}")
    if missing:
        reporter.write_line(f"{len(missing)} tests were skipped in CI that must run there:")
        for reason in missing:
            reporter.write_line(f"  {reason}")
        session.exitstatus = 1
