"""Columns of predictions as Arrow: every gap, every order of ids, any size of body."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from monitor.storage.arrow_body import ArrowBody
from monitor.storage.event_columns import _gather
from monitor.storage.map_columns import number_map, string_map
from schemas.batch import StringColumn

NAN = float("nan")
BYTES = np.frombuffer("0a1bb2cccdé".encode(), np.uint8)


@pytest.mark.parametrize(
    ("starts", "lengths"),
    [
        ([1, 3, 6], [1, 2, 3]),
        ([6, 1, 3], [3, 1, 2]),
        ([1, 1, 3], [1, 0, 2]),
        ([3, 3, 4], [2, 2, 4]),
        ([10], [2]),
    ],
    ids=["ascending", "any order", "empty", "overlapping", "the last"],
)
def test_spans_are_copied_together_in_the_order_asked_for(starts, lengths):
    found = _gather(BYTES, np.array(starts), np.array(lengths))
    found.validate(full=True)
    spans = zip(starts, lengths, strict=True)
    assert found.to_pylist() == [BYTES[s : s + n].tobytes().decode() for s, n in spans]


@pytest.mark.parametrize("second", [[3.0, 4.0], [NAN, 4.0], [NAN, NAN]])
def test_a_map_holds_the_numbers_there_are(second):
    found = number_map(["a", "b"], [np.array([1.0, 2.0]), np.array(second)], 2)
    found.validate(full=True)
    expected = [
        [(k, v) for k, v in (("a", a), ("b", b)) if v == v]
        for a, b in zip([1.0, 2.0], second, strict=True)
    ]
    assert found.to_pylist() == expected


@pytest.mark.parametrize("codes", [[0, 1], [-1, 1], [-1, -1]])
def test_a_map_holds_the_strings_there_are_though_columns_share_words(codes):
    columns = [
        StringColumn(np.array([1, 0], np.int32), ["x", "y"]),
        StringColumn(np.array(codes, np.int32), ["y", "z"]),
    ]
    found = string_map(["a", "b"], columns, 2)
    found.validate(full=True)
    second = [None if c < 0 else ["y", "z"][c] for c in codes]
    assert found.to_pylist() == [
        [(k, v) for k, v in (("a", a), ("b", b)) if v is not None]
        for a, b in zip(["y", "x"], second, strict=True)
    ]


def test_bodies_are_right_one_after_another_and_at_once():
    body = ArrowBody()
    tables = [pa.table({"n": np.arange(n)}) for n in (10, 1_000, 3, 0)]
    for table in tables:
        with body.write(table) as data:
            assert pa.ipc.open_file(data).read_all().equals(table)
    with body.write(tables[0]) as one, body.write(tables[1]) as other:
        assert pa.ipc.open_file(one).read_all().equals(tables[0])
        assert pa.ipc.open_file(other).read_all().equals(tables[1])
