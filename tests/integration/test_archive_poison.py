"""Rows the store refuses for good, in the real engine: all others are there, once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from monitor.archive.blocks import InsertBlock, Place, PlacedRows
from monitor.archive.poison import TableMisfitError, insert_what_fits
from monitor.storage.clickhouse import Store
from schemas.errors import QueryError, RowsRefusedError

pytestmark = pytest.mark.integration

N = 300


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        store.migrate()
        store.command("SYSTEM STOP MERGES predictions")
        store.command("ALTER TABLE predictions ADD CONSTRAINT c CHECK NOT startsWith(id, 'bad')")
        yield store


def block_of(n: int, bad: set[int]) -> InsertBlock:
    ids = [f"bad{i}" if i in bad else f"e{i}" for i in range(n)]
    numbers = np.arange(n)
    placed = PlacedRows(
        "predictions", pa.table({"id": ids, "time_us": numbers}), numbers + 7, numbers * 0
    )
    return InsertBlock(
        placed, f"t:0:7:{n + 7}", Place("t", 0), lambda offset: b"message %d" % offset
    )


def n_rows(store: Store, table: str) -> int:
    return store.query(f"SELECT count() AS n FROM {table}")["n"][0].as_py()


@pytest.mark.parametrize("bad", [{0}, {N - 1}, {0, 150, 151, N - 1}, set(range(40, 60))])
def test_only_the_bad_rows_are_left_out_however_often_it_is_repeated(store, bad):
    for _ in range(2):
        assert insert_what_fits(store, block_of(N, bad), lambda: None) == len(bad)
    assert n_rows(store, "predictions") == N - len(bad)
    letters = store.query("SELECT offset, payload FROM dead_letters ORDER BY offset").to_pylist()
    assert [row["offset"] for row in letters] == [i + 7 for i in sorted(bad)]
    assert letters[0]["payload"] == f"message {min(bad) + 7}"


def test_given_up_half_way_the_next_one_completes_it(store):
    class GivenUpError(Exception):
        pass

    for n_allowed in (1, 3, 5):
        left = [n_allowed]

        def go_on(left=left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise GivenUpError

        with pytest.raises(GivenUpError):
            insert_what_fits(store, block_of(N, {5, 200}), go_on)
    insert_what_fits(store, block_of(N, {5, 200}), lambda: None)
    assert n_rows(store, "predictions") == N - 2


def test_a_table_that_refuses_everything_is_said_and_not_hidden_in_dead_letters(store):
    with pytest.raises(TableMisfitError, match="Constraint"):
        insert_what_fits(store, block_of(N, set(range(N))), lambda: None)
    assert n_rows(store, "dead_letters") == 0


def test_a_query_that_cannot_be_parsed_is_no_refused_row(store):
    with pytest.raises(QueryError) as caught:
        store.query("SELECT toInt64('x')")
    assert not isinstance(caught.value, RowsRefusedError)
    with pytest.raises(RowsRefusedError):
        store.insert("predictions", block_of(1, {0}).placed.rows)


def test_a_table_that_is_gone_may_be_back_tomorrow(store):
    store.command("DROP TABLE predictions")
    with pytest.raises(QueryError) as caught:
        insert_what_fits(store, block_of(2, set()), lambda: None)
    assert not isinstance(caught.value, RowsRefusedError)
