"""A pytest plugin for runs of ``tests.mutation``: it records times, or runs a given selection.

``MUTATION_TIMES`` names a file for the CPU seconds of each test that passed. ``MUTATION_TRIAL``
names one with the node IDs to run, in order; ``MUTATION_OUTCOME`` a file for those that failed.
"""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path

import pytest
from hypothesis import Phase, settings

MAX_BYTES = 12 << 30
"""Address space of a run: a mutated loop may allocate without end."""

settings.register_profile(
    "mutation",
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
seconds: dict[str, float] = {}
failed: list[str] = []


def pytest_configure(config):
    """Search for a counterexample, and do not shrink it; limit memory and CPU time."""
    settings.load_profile("mutation")
    if limit := os.environ.get("MUTATION_CPU_S"):
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Keep the selected tests, in their order."""
    if path := os.environ.get("MUTATION_TRIAL"):
        order = {test: i for i, test in enumerate(json.loads(Path(path).read_text()))}
        # A file stands for all of its tests.
        place = {i: order.get(i.nodeid, order.get(i.nodeid.partition("::")[0], -1)) for i in items}
        config.hook.pytest_deselected(items=[i for i in items if place[i] < 0])
        items[:] = sorted((i for i in items if place[i] >= 0), key=lambda i: place[i])


def pytest_runtest_logstart(nodeid):
    """Begin to measure the CPU time of a test."""
    seconds[nodeid] = -time.process_time()


def pytest_runtest_logfinish(nodeid):
    """End to measure it."""
    seconds[nodeid] += time.process_time()


def pytest_runtest_logreport(report):
    """Note failures."""
    if report.failed:
        failed.append(report.nodeid)


def pytest_collectreport(report):
    """Note a module that cannot be imported."""
    if report.failed:
        failed.append(report.nodeid)


def pytest_sessionfinish():
    """Write what was asked for."""
    passed = {test: round(s, 4) for test, s in seconds.items() if test not in failed}
    for name, content in (("MUTATION_TIMES", passed), ("MUTATION_OUTCOME", failed)):
        if path := os.environ.get(name):
            Path(path).write_text(json.dumps(content))
