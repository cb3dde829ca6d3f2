"""The page of a comparison: whole in itself, safe against hostile names, complete."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from monitor.compare.comparison import compare
from monitor.compare.page import comparison_page
from monitor.compare.picture import MAX_CATEGORIES, MISSING, N_COLUMNS
from monitor.compare.results import Comparison, Options
from monitor.compare.words import document, headline

_VOID = {"meta", "br"}


class _Tags(HTMLParser):
    """Checks that every tag is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tags(page: str) -> list[str]:
    parser = _Tags()
    parser.feed(page)
    assert parser.open == []
    return parser.seen


def tables(n: int = 400) -> tuple[pa.Table, pa.Table]:
    rng = np.random.default_rng(0)
    return tuple(
        pa.table(
            {
                "pay": np.where(rng.random(n) < hole, np.nan, rng.normal(move, 1, n)),
                "land": rng.choice(["de", "fr", "it"], n),
                "gone": rng.normal(size=n),
            }
        ).select(["pay", "land", "gone"][: 3 - is_current])
        for is_current, (hole, move) in enumerate([(0.0, 0.0), (0.1, 0.6)])
    )  # type: ignore[return-value]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(*tables(), options=Options(convention="evidently"))


def test_the_page_is_well_formed_and_shows_every_variable_and_statistic(comparison):
    page = comparison_page(comparison, "train.parquet", "may.csv")
    seen = tags(page)
    assert seen.count("svg") == len(comparison.variables) == 2
    for v in comparison.variables:
        assert f"<h3>{v.name} " in page
        for s in v.statistics:
            assert f"<td>{s.name}" in page or s.is_idle
    for words in ("train.parquet", "may.csv", "400 rows", "only in the reference", "evidently"):
        assert words in page
    assert page.count('class="beyond"') == sum(
        s.is_beyond for v in comparison.variables for s in v.statistics
    )


def test_the_page_needs_nothing_from_outside_and_runs_no_script(comparison):
    page = comparison_page(comparison, "a", "b")
    assert "script" not in tags(page)
    assert not re.search(r'(src|href)="https?:', page)
    assert "url(" not in page
    assert "@import" not in page


def test_hostile_names_and_values_stay_text():
    evil = '<img src=x onerror="alert(1)">'
    a = pa.table({evil: [evil, "b"] * 50, f"{evil}2": [0.5] * 100})
    b = pa.table({evil: ["c", evil] * 50})
    page = comparison_page(compare(a, b), evil, evil)
    assert "img" not in tags(page)


def test_every_link_leads_to_a_card(comparison):
    page = comparison_page(comparison, "a", "b")
    assert re.findall(r'href="#(\w+)"', page) == re.findall(r' id="(\w+)"', page)


@pytest.mark.parametrize(
    "column",
    [
        np.linspace(0.0, 1.0, 100),
        np.repeat(0.5, 100),
        np.tile([1.0, 2.0, 7.0], 34)[:100],
        np.concatenate([np.zeros(99), [1e308]]),
        np.geomspace(1e-300, 1e300, 100),
        ["a"] * 100,
        [f"c{i % 40}" for i in range(100)],
        ["a very long category indeed, too long for its bar", "b"] * 50,
    ],
    ids=lambda c: str(c[-1])[:20],
)
def test_any_column_has_a_picture_that_holds_every_row(column):
    table = pa.table({"x": column})
    other = pa.table({"x": [*table["x"].to_pylist()[:60], None]})
    found = compare(table, other)
    [v] = found.variables
    assert (v.picture.reference.sum(), v.picture.current.sum()) == (100, 61)
    assert v.picture.labels[-1] == MISSING
    assert len(v.picture.labels) == len(v.picture.reference) == len(v.picture.current)
    assert len(v.picture.labels) <= max(N_COLUMNS, MAX_CATEGORIES) + 2
    page = comparison_page(found, "a", "b")
    tags(page)
    assert "nan" not in re.sub(r"<style>.*?</style>", "", page)


def test_columns_of_whole_numbers_hold_equally_many_of_them():
    ages = pa.table({"age": [i % 95 for i in range(950)]})
    [v] = compare(ages, ages).variables
    assert set(np.diff(v.picture.edges)) == {3.0}
    assert set(v.picture.reference[1:-1].tolist()) == {30}


def test_a_comparison_of_nothing_is_a_page_too():
    found = compare(pa.table({"a": [0.5]}), pa.table({"b": [0.5]}))
    page = comparison_page(found, "a", "b")
    tags(page)
    assert "No column could be compared." in page


def test_the_headline_counts_columns_that_are_gone(comparison):
    assert headline(comparison) == "Drift in 2 of 3: gone (gone), pay."
    same = tables()[0]
    assert headline(compare(same, same)) == "No drift in 3 variables."
    assert (
        headline(compare(same.select(["pay"]), same.select(["pay"]))) == "No drift in 1 variable."
    )


def test_the_document_holds_every_number_once(comparison):
    plain = document(comparison, "a", "b")
    assert plain["drifted"] == ["gone", "pay"]
    assert plain["omitted"] == [
        {"name": "gone", "reason": "only in the reference", "is_drift": True}
    ]
    for v, described in zip(comparison.variables, plain["variables"], strict=True):
        assert [s["name"] for s in described["statistics"]] == [s.name for s in v.statistics]
        for s, one in zip(v.statistics, described["statistics"], strict=True):
            assert one["value"] == (None if s.value != s.value else s.value)
            assert one["is_beyond"] == s.is_beyond
