"""A real Apache Kafka node for tests: one a session, and more where a test harms it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from monitor.devkit.dev_broker import DevBroker
from monitor.devkit.distribution import INSTALL_LINE, missing_tools

KEPT = {"log.retention.ms": "-1"}
"""Tests write records stamped with event time, months ago: a broker that looked for expired
segments (30 s after its start, and every 5 minutes) deleted them before they were read."""
SKIP_REASON = f"needs Apache Kafka: {INSTALL_LINE}"


def require_kafka() -> None:
    """Skip the test where no broker can run; in CI that skip is a failure."""
    missing = missing_tools()
    if missing:
        pytest.skip(f"{SKIP_REASON} ({missing})")


@pytest.fixture(scope="session")
def broker() -> Iterator[DevBroker]:
    """One broker for the session (one a worker under xdist): use unique topic names."""
    require_kafka()
    with DevBroker(properties=KEPT) as running:
        yield running


@pytest.fixture
def new_broker() -> Iterator[Callable[..., DevBroker]]:
    """Make brokers that a test may stop, kill or configure; all are closed after it."""
    require_kafka()
    made: list[DevBroker] = []

    def make(*arguments: Any, **options: Any) -> DevBroker:
        properties = KEPT | dict(options.pop("properties", {}))
        made.append(DevBroker(*arguments, properties=properties, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test, worker or run uses."""
    return f"t{os.getpid()}-{uuid.uuid4().hex[:12]}."
