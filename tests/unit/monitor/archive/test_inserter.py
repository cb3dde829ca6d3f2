"""What the inserter says of the store: while it says that it is in trouble nothing is read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from monitor.archive.blocks import InsertBlock, Place, PlacedRows
from monitor.archive.inserter import Inserter, Job
from schemas.errors import StorageError
from tests.support.waiting import wait_until


class FakeStore:
    """One that is away until it comes back."""

    is_away = True

    def insert(self, table: str, rows: pa.Table, token: str | None = None) -> int:
        if self.is_away:
            raise StorageError("the store does not answer")
        return rows.num_rows


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def inserter(store: FakeStore) -> Iterator[Inserter]:
    made = Inserter(store, lambda: True)
    yield made
    made.stop(10)


def job() -> Job:
    rows = PlacedRows("labels", pa.table({"a": [1]}), np.zeros(1, np.int64), np.zeros(1, np.int64))
    return Job([InsertBlock(rows, "token", Place("topic", 0), lambda offset: b"")])


def test_trouble_ends_when_the_store_takes_the_job(inserter: Inserter, store: FakeStore) -> None:
    given = job()
    inserter.submit(given)
    wait_until(lambda: inserter.trouble)
    store.is_away = False
    assert given.is_over.wait(30)
    assert given.is_whole
    assert not inserter.trouble


def test_trouble_ends_when_the_last_job_is_given_up(inserter: Inserter) -> None:
    given = job()
    inserter.submit(given)
    wait_until(lambda: inserter.trouble)
    given.abandon()
    assert given.is_over.wait(30)
    assert not given.is_whole
    assert not inserter.trouble, "nothing would be read, and the recovery would go unnoticed"


def test_trouble_goes_on_with_the_next_job(inserter: Inserter) -> None:
    first, second = job(), job()
    inserter.submit(first)
    inserter.submit(second)
    wait_until(lambda: inserter.trouble)
    first.abandon()
    assert first.is_over.wait(30)
    wait_until(lambda: inserter.trouble)
    assert not second.is_over.is_set()
    second.abandon()
