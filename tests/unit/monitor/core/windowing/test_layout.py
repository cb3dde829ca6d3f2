"""From the codes of a column's strings to what is counted."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.core.windowing.layout import Layout, Remap
from schemas.batch import ModelSchema, StringColumn


def column(values: list[str]) -> StringColumn:
    return StringColumn(np.zeros(1, np.int32), values)


def test_a_table_has_the_target_of_null_and_of_each_string():
    remap = Remap({"b": 7}, null=62, unknown=63)
    assert remap.table(column([])).tolist() == [62]
    assert remap.table(column(["a", "b"])).tolist() == [62, 63, 7]


def test_a_table_grows_with_its_list_and_begins_again_with_another():
    remap, values = Remap({"b": 7, "c": 8}, null=62, unknown=63), ["b"]
    assert remap.table(column(values)).tolist() == [62, 7]
    values += ["a", "c"]
    assert remap.table(column(values)).tolist() == [62, 7, 63, 8]
    assert remap.table(column(values)).tolist() == [62, 7, 63, 8]
    assert remap.table(column(["c", "b", "a"])).tolist() == [62, 8, 7, 63]


@pytest.mark.parametrize("names", [(), ("region",)])
def test_without_a_baseline_predictions_are_given_or_missing(names):
    layout = Layout(ModelSchema("t", "m", ("x",), (), names), None)
    assert layout.positives.table(column(["yes", "no"])).tolist() == [0, 1, 1]
    assert (layout.n_variables, layout.profile_id) == (0, "")
