"""What a comparison prints: one line a drifted column, within a terminal's width."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.cli.compare_text import WIDTH, summary_lines
from monitor.compare.comparison import compare
from monitor.compare.results import Omitted

N = 600
RNG = np.random.default_rng(0)
BASE = pa.table({"x": RNG.normal(10, 1, N), "c": RNG.choice(list("ab"), N), "y": RNG.random(N)})


def said(reference: pa.Table, current: pa.Table, **more) -> list[str]:
    return summary_lines(compare(reference, current, **more), "a.parquet", "b.parquet")


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("x", RNG.normal(14, 1, N), "median 9.96, now 14; "),
        ("x", RNG.normal(10, 9, N), "now "),
        ("c", ["a"] * N, "50 % of rows, now 0 %; "),
        ("c", ["new"] * N, "in categories that the reference lacks"),
        ("x", pa.array([None] * 300 + [10.0] * 300, pa.float64()), "50 % missing, was 0 %"),
        ("x", ["text"] * 300 + ["10"] * 300, "50 % of another type, was 0 %"),
    ],
)
def test_a_drifted_column_has_one_line_with_its_strongest_reason(name, values, words):
    at = BASE.column_names.index(name)
    lines = said(BASE, BASE.set_column(at, name, [values]))
    assert lines[0].startswith("Drift in 1 of 3: ")
    [reason, *_] = lines[1 : lines.index("")]
    assert words in reason
    assert reason.startswith(f"  {name}  ")


def test_without_drift_the_counts_say_what_was_looked_at():
    omitted = [Omitted("when", "says when its rows were")]
    assert said(BASE, BASE, omitted=omitted) == [
        "No drift in 3 of 4 columns; 1 was not compared.",
        "",
        "a.parquet: 600 rows; b.parquet: 600 rows",
        "3 variables compared, 3 unchanged, 1 left out. --all shows every statistic.",
        "  when  not compared: says when its rows were",
    ]


def test_many_columns_that_are_left_out_are_counted_and_not_all_listed():
    omitted = [Omitted(f"k{i}", "a key") for i in range(100)]
    lines = said(BASE, BASE, omitted=omitted)
    assert lines[-1] == "  and 88 more; --all lists them"
    whole = summary_lines(compare(BASE, BASE, omitted=omitted), "a", "b", has_all=True)
    assert len(whole) > 100


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("abc _-"), min_size=1, max_size=70), unique=True, max_size=4)
)
def test_lines_fit_a_terminal_whatever_columns_are_called(names):
    reference = pa.table({name: RNG.normal(0, 1, 50) for name in names or ["x"]})
    current = pa.table({name: RNG.normal(5, 1, 50) for name in names or ["x"]})
    assert max(map(len, said(reference, current))) <= WIDTH
