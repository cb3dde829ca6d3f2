"""What the fault scenarios on Kafka share: the process that forks stages, a store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clickhouse_http import fresh_database
from tests.support.forked_stages import Nursery


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
