"""Messages of results: structs and tables are read alike, damaged ones are refused."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.state.result_messages import (
    TABLE_PREFIX,
    ResultDecoder,
    encode_table,
    read_results,
)
from monitor.storage.result_columns import result_message_rows
from schemas.errors import TransportError
from schemas.result_table import ResultTable
from schemas.results import DetectorResult, Verdict
from tests.support.result_tables import (
    random_columns,
    table_of,
    tables,
    verdict_tables,
    with_verdicts,
)


@given(tables() | verdict_tables())
def test_a_table_is_read_as_it_was_written(table: ResultTable) -> None:
    (value,) = encode_table(table)
    found = ResultDecoder().decode(value)
    assert isinstance(found, ResultTable)
    assert found.results() == table.results() == read_results(value)


def test_a_row_of_a_table_has_every_field_of_its_result() -> None:
    columns = random_columns(40, 3)
    table = table_of(columns, revised=True)
    for i, row in enumerate(table.results()):
        assert (row.tenant, row.monitor, row.closed_by) == ("default", "drift", "watermark")
        assert (row.feature, row.segment) == (f"f{columns.feature[i]}", f"s={columns.segment[i]}")
        assert row.metric == f"metric{columns.metric[i]}"
        assert (row.n, row.n_reference) == (columns.n[i], columns.n_reference[i])
        for name in ("statistic", "p_value", "effect_size", "threshold"):
            number = getattr(columns, name)[i]
            assert getattr(row, name) == (None if np.isnan(number) else number)
        assert row.verdict is Verdict.NONE
        assert row.revised


def test_one_struct_and_a_list_of_structs_are_read_as_before() -> None:
    results = table_of(random_columns(3, 0)).results()
    assert read_results(msgspec.msgpack.encode(results)) == results
    assert read_results(msgspec.msgpack.encode(results[0])) == results[:1]


def test_no_reader_of_structs_takes_a_table_for_something_else() -> None:
    (value,) = encode_table(table_of(random_columns(3, 0)))
    with pytest.raises(msgspec.DecodeError):
        msgspec.msgpack.decode(value, type=DetectorResult | list[DetectorResult])


def test_a_table_takes_a_tenth_of_the_bytes_of_its_structs() -> None:
    table = table_of(random_columns(1_064, 1, n_names=40))
    (value,) = encode_table(table)
    assert len(value) < 0.12 * len(msgspec.msgpack.encode(table.results()))


def test_a_table_too_long_for_a_message_is_cut_and_none_of_its_rows_is_lost() -> None:
    long = tuple(f"{i}={'x' * 1_000}" for i in range(900))
    columns = replace(random_columns(900, 2, n_names=900), segments=long)
    table = table_of(columns)
    values = encode_table(table)
    assert len(values) > 1
    assert max(map(len, values)) < 1_048_588
    assert [row for value in values for row in read_results(value)] == table.results()


@given(st.data())
def test_a_damaged_table_is_refused_or_is_a_whole_table(data: st.DataObject) -> None:
    columns = random_columns(9, 4)
    if data.draw(st.booleans()):
        columns = with_verdicts(columns, 4, ("", "> 3"))
    (value,) = encode_table(table_of(columns))
    damaged = bytearray(value)
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(len(TABLE_PREFIX), len(damaged) - 1))
        damaged[i] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for bad in (bytes(damaged), bytes(damaged[:cut])):
        try:
            found = ResultDecoder().decode(bad)
        except TransportError:
            continue
        assert isinstance(found, ResultTable)
        assert result_message_rows([found]).num_rows == len(found) == len(found.results())


def test_a_row_of_a_verdict_has_every_field_of_its_result() -> None:
    columns = with_verdicts(random_columns(40, 3), 5, ("", "> 3", "missing"))
    for i, row in enumerate(table_of(columns).results()):
        assert row.verdict is columns.verdicts[columns.verdict[i]]
        assert row.rung == columns.rungs[columns.rung[i]]
        assert row.effect_where == columns.wheres[columns.effect_where[i]]
        for name in ("evidence", "minimum_detectable_effect", "eps", "effect_size"):
            number = getattr(columns, name)[i]
            assert getattr(row, name) == (None if np.isnan(number) else number)


def test_a_long_table_of_verdicts_is_cut_and_none_of_its_rows_is_lost() -> None:
    long = tuple(f"{i}={'x' * 1_000}" for i in range(900))
    table = table_of(with_verdicts(random_columns(900, 2), 3, long))
    values = encode_table(table)
    assert len(values) > 1
    assert [row for value in values for row in read_results(value)] == table.results()


@pytest.mark.parametrize(
    "name", ["feature", "segment", "metric", "reason", "verdict", "rung", "effect_where"]
)
def test_a_position_beyond_the_names_is_refused(name: str) -> None:
    columns = with_verdicts(random_columns(3, 0), 1, ("", "> 3"))
    getattr(columns, name)[1] = 99
    (value,) = encode_table(table_of(columns))
    with pytest.raises(TransportError, match="99"):
        ResultDecoder().decode(value)
