"""Fixtures of the fault scenarios on Kafka: the process that forks stages, a store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.scenario.forked_stages import Nursery
from tests.support.store.clickhouse_http import fresh_database


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """One process for the session from which stages are forked."""
    with Nursery() as running:
        yield running


@pytest.fixture
def database(clickhouse: str) -> Iterator[str]:
    """The URL of an empty database that the archive and the test share."""
    with fresh_database(clickhouse) as url:
        yield url
