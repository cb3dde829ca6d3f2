"""Rows of ``results`` made of columns are those made of structs."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from monitor.archive.blocks import Place
from monitor.archive.messages import STRUCT_TOPICS, struct_rows
from monitor.core.state.result_messages import encode_table
from monitor.core.topics import RESULTS
from monitor.storage.result_columns import result_message_rows
from monitor.storage.rows import result_rows
from monitor.transport.types import Message
from schemas.result_table import ResultTable
from tests.support.result_tables import (
    random_columns,
    table_of,
    tables,
    verdict_tables,
    with_verdicts,
)


@given(st.lists(tables() | verdict_tables(), max_size=4))
def test_rows_of_tables_are_the_rows_of_their_structs(found: list[ResultTable]) -> None:
    structs = [row for table in found for row in table.results()]
    assert result_message_rows(found).to_pylist() == result_rows(structs).to_pylist()


def test_structs_and_tables_of_one_range_are_all_archived_under_their_offsets() -> None:
    first, second = (table_of(random_columns(n, n), model=f"m{n}") for n in (3, 5))
    old = table_of(random_columns(2, 7), model="old").results()
    values = [encode_table(first)[0], msgspec.msgpack.encode(old), encode_table(second)[0]]
    messages = [Message(10 + i, b"k", value, -1) for i, value in enumerate(values)]
    placed, refused = struct_rows(STRUCT_TOPICS[RESULTS], messages, Place("t", 0))
    assert not refused
    assert (
        placed.rows.to_pylist()
        == result_rows([*old, *first.results(), *second.results()]).to_pylist()
    )
    assert placed.offsets.tolist() == [11] * 2 + [10] * 3 + [12] * 5
    assert placed.numbers.tolist() == [0, 1, 0, 1, 2, 0, 1, 2, 3, 4]


def test_statistics_and_verdicts_of_one_range_are_archived_under_their_offsets() -> None:
    statistics = table_of(random_columns(3, 1))
    verdicts = table_of(with_verdicts(random_columns(2, 2), 2, ("", "> 3")))
    every = [verdicts, statistics, verdicts]
    messages = [Message(10 + i, b"k", encode_table(t)[0], -1) for i, t in enumerate(every)]
    placed, refused = struct_rows(STRUCT_TOPICS[RESULTS], messages, Place("t", 0))
    assert not refused
    assert placed.offsets.tolist() == [11] * 3 + [10] * 2 + [12] * 2
    structs = [row for table in (statistics, verdicts, verdicts) for row in table.results()]
    assert placed.rows.to_pylist() == result_rows(structs).to_pylist()


def test_a_table_that_cannot_be_read_is_one_dead_letter() -> None:
    table = table_of(random_columns(3, 0))
    good, bad = encode_table(table)[0], encode_table(table)[0][:-3]
    messages = [Message(5, b"k", bad, -1), Message(6, b"k", good, -1)]
    placed, refused = struct_rows(STRUCT_TOPICS[RESULTS], messages, Place("t", 0))
    assert [letter.offset for letter in refused] == [5]
    assert len(placed) == 3
