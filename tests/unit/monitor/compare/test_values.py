"""What a comparison reads out of columns and JSON lines, however they were written."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from monitor.baseline.event_table import table_of_events
from monitor.compare.samples import category_pair, number_pair
from monitor.compare.values import numbers_of, text_of
from monitor.transport.lines import read_lines
from schemas.errors import TransportError

NAN = float("nan")


def column(values: list, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, kind)])


def table(*lines: object, chunk_rows: int = 5_000) -> pa.Table:
    """A table of JSON values, or of bytes as they are."""
    data = b"".join((v if isinstance(v, bytes) else json.dumps(v).encode()) + b"\n" for v in lines)
    blocks = iter([data])
    return table_of_events(read_lines(lambda n: next(blocks, b""), "f@1", chunk_rows, "f"))


@pytest.mark.parametrize(
    ("values", "kind", "expected", "n_mistyped"),
    [
        ([1, None, 3], pa.int32(), [1, NAN, 3], 0),
        ([0.5, float("inf"), NAN, -float("inf")], pa.float32(), [0.5, NAN, NAN, NAN], 0),
        ([True, False, None], pa.bool_(), [1, 0, NAN], 0),
        (["1", " 2.5 ", "1e-3", "-.5", "7."], pa.string(), [1, 2.5, 1e-3, -0.5, 7], 0),
        (["NA", "null", "", None, "None"], pa.string(), [NAN] * 5, 0),
        (["1", "one", "1,5", "0x10", "1_0", "--1"], pa.string(), [1] + [NAN] * 5, 5),
        ([b"1.5", b"\xff", None], pa.binary(), [1.5, NAN, NAN], 1),
        (["3", "3", "x"], pa.dictionary(pa.int8(), pa.string()), [3, 3, NAN], 1),
        ([[1.0], None], pa.list_(pa.float64()), [NAN, NAN], 1),
        ([], pa.string(), [], 0),
    ],
)
def test_numbers_of_any_type(values, kind, expected, n_mistyped):
    found, n = numbers_of(column(values, kind))
    assert found.tolist() == pytest.approx(expected, nan_ok=True)
    assert n == n_mistyped


def test_numbers_may_begin_with_a_plus():
    assert numbers_of(column(["+1.5", "+7"]))[0].tolist() == [1.5, 7.0]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None], pa.int64(), ["1", None]),
        ([1.0, 0.5], pa.float64(), ["1", "0.5"]),
        ([True, False], pa.bool_(), ["true", "false"]),
        ([b"a", b"\xffb"], pa.binary(), ["a", "\ufffdb"]),
        (["a", None], pa.dictionary(pa.int8(), pa.string()), ["a", None]),
    ],
)
def test_categories_of_any_type(values, kind, expected):
    found, n_mistyped = text_of(column(values, kind))
    assert (found.to_pylist(), n_mistyped) == (expected, 0)


def test_a_list_is_no_category():
    assert text_of(column([[1], None]))[1] == 1


def test_rows_are_present_missing_or_mistyped():
    pair = number_pair(column([1.5, None, 2.5]), column(["1", "x", "NA", None]))
    assert (pair.n_present, pair.n_missing, pair.n_mistyped) == ((2, 1), (1, 2), (0, 1))
    p, q = pair.deciles()
    assert (p.sum(), q.sum(), p[-1], q[-1]) == (3, 4, 1, 3)
    values, *counts = pair.points()
    assert values.tolist() == [1.0, 1.5, 2.5]
    assert [c.tolist() for c in counts] == [[0, 1, 1], [1, 0, 0]]


def test_categories_are_counted_on_both_sides():
    pair = category_pair(column(["b", "a", "b", None]), column(["c", "c", "a"]))
    assert pair.categories == ("b", "a", "c")
    assert [c.tolist() for c in pair.table()] == [[2, 1, 0, 1], [0, 1, 2, 0]]
    before, now = pair.raw()
    assert (sorted(before), sorted(now)) == (["a", "b", "b"], ["a", "c", "c"])


@pytest.mark.parametrize(
    ("before", "now", "categories"),
    [
        ([True, True, False], ["1", "0", "0"], ("true", "false")),
        ([1, 0, 0], ["False", "True", None], ("0", "1")),
        ([True, False, False], ["true", "1", "0"], ("false", "true")),
    ],
)
def test_booleans_may_be_words_on_one_side_and_digits_on_the_other(before, now, categories):
    assert category_pair(column(before), column(now)).categories == categories


def test_a_float32_copy_in_float64_is_the_numbers_that_were_meant():
    meant = np.array([0.1, 0.7, 3.0, np.nan])
    copied = pa.chunked_array([pa.array(meant.astype(np.float32).astype(np.float64))])
    assert np.array_equal(numbers_of(copied)[0], meant, equal_nan=True)
    whole = pa.chunked_array([pa.array([123_456_792.0, 7.0])])
    assert numbers_of(whole)[0].tolist() == [123_456_792.0, 7.0]


def test_digits_beside_other_categories_are_no_booleans():
    pair = category_pair(column(["1", "2"]), column(["true", "1"]))
    assert set(pair.categories) == {"1", "2", "true"}


def test_json_lines_become_columns_with_nested_names():
    found = table(
        {"id": "a", "features": {"age": 3, "land": "fr"}, "score": 0.5},
        {"id": "b", "features": {"age": 4.5}, "score": None, "tags": [1, 2]},
    )
    assert found.to_pydict() == {
        "id": ["a", "b"],
        "features.age": [3.0, 4.5],
        "features.land": ["fr", None],
        "score": [0.5, None],
        "tags": [None, [1, 2]],
    }


@pytest.mark.parametrize("chunk_rows", [1, 2, 5_000])
def test_how_json_lines_are_cut_changes_nothing(chunk_rows):
    lines = [{"x": 1}, {"y": "a"}, {"x": 2.5, "y": "b"}, {}, {"x": None, "z": True}]
    found = table(*lines, chunk_rows=chunk_rows)
    assert found.column_names == ["x", "y", "z"]
    assert found.to_pydict() == {
        "x": [1.0, None, 2.5, None, None],
        "y": [None, "a", "b", None, None],
        "z": [None, None, None, None, True],
    }


@pytest.mark.parametrize("chunk_rows", [1, 5_000])
def test_a_field_of_several_types_becomes_text(chunk_rows):
    found = table({"x": 1}, {"x": "two"}, {"x": True}, {"x": 2**70}, chunk_rows=chunk_rows)
    assert found["x"].to_pylist() == ["1", "two", "true", str(2**70)]
    assert numbers_of(found["x"])[1] == 1


@pytest.mark.parametrize("line", [b"{", b"[1]", b"7", b'{"a": "\xff"}'])
def test_a_line_that_is_no_object_is_named(line):
    with pytest.raises(TransportError, match="line 2 is no JSON object"):
        table({"a": 1}, line)


def test_numbers_are_not_changed_in_the_column_itself():
    values = np.array([1.5, np.inf, 3.0])
    source = pa.chunked_array([pa.array(values)])
    numbers_of(source)
    assert source.to_pylist() == values.tolist()
