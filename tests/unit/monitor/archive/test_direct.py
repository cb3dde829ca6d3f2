"""Results that one process hands on as objects are stored as those that pass through a log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from monitor.archive import direct
from monitor.archive.blocks import Place
from monitor.archive.direct import DirectArchive
from monitor.archive.messages import rows_by_table
from monitor.core.state.writes import result_writes
from monitor.core.topics import RESULTS
from monitor.transport.types import Message
from schemas.result_table import ResultTable
from schemas.results import DetectorResult
from tests.support.result_tables import random_columns, table_of, tables, verdict_tables


class RecordedWrites:
    """Takes the place of an archive: keeps what would be inserted."""

    def __init__(self) -> None:
        self.rows: dict[str, list[pa.Table]] = {}
        self.tokens: list[str] = []

    def write(self, table: str, rows: pa.Table, token: str) -> None:
        if rows.num_rows:
            self.rows.setdefault(table, []).append(rows)
            self.tokens.append(token)

    def all_rows(self, table: str) -> list[dict[str, Any]]:
        return [row for rows in self.rows.get(table, []) for row in rows.to_pylist()]


def through_a_log(
    structs: list[DetectorResult], found: list[ResultTable]
) -> list[dict[str, object]]:
    """Return the rows of the messages that detect would write."""
    values = [w.value for w in result_writes(("t", "m"), structs, 0, found)]
    messages = [Message(i, b"k", value or b"", -1) for i, value in enumerate(values)]
    [placed, _], refused = rows_by_table(RESULTS, messages, Place("t", 0))
    assert not refused
    return placed.rows.to_pylist()


@given(st.lists(tables() | verdict_tables(), max_size=4), tables())
def test_results_as_objects_make_the_rows_of_their_messages(found, also):
    structs = also.results()
    writes = RecordedWrites()
    archive = DirectArchive(writes, "run")  # type: ignore[arg-type]
    archive.results(structs, found)
    archive.flush()
    assert writes.all_rows("results") == through_a_log(structs, found)


def test_a_number_that_is_infinite_is_stored_as_null_like_nan():
    columns = random_columns(4, 0)
    odd = replace(columns, statistic=np.array([np.inf, -np.inf, np.nan, 1.0]))
    writes = RecordedWrites()
    archive = DirectArchive(writes, "run")  # type: ignore[arg-type]
    archive.results([], [table_of(odd)])
    archive.flush()
    rows = writes.all_rows("results")
    assert [row["statistic"] for row in rows] == [None, None, None, 1.0]
    assert rows == through_a_log([], [table_of(odd)])


def test_results_are_inserted_when_enough_wait_and_at_the_end(monkeypatch):
    monkeypatch.setattr(direct, "MAX_RESULT_ROWS", 5)
    writes = RecordedWrites()
    archive = DirectArchive(writes, "run")  # type: ignore[arg-type]
    for i in range(5):
        archive.results([], [table_of(random_columns(3, i))])
    archive.flush()
    assert [rows.num_rows for rows in writes.rows["results"]] == [6, 6, 3]
    assert len(set(writes.tokens)) == 3
