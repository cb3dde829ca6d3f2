"""The slice that carries a drift is found, and chance is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from detectors.explain.slice_search import SURE, SliceSearch, _CodedTables, slice_search
from detectors.statistics.intervals import newcombe_interval
from schemas.errors import DomainError, ShapeError

Table = dict[str, np.ndarray]
LEVEL = 0.05


def attributes(rng: np.random.Generator, n: int) -> Table:
    return {
        "region": rng.choice(["eu", "us", "asia"], n, p=[0.5, 0.3, 0.2]),
        "sex": rng.choice(["f", "m"], n),
        "device": rng.choice(["ios", "android", "web"], n),
    }


def search(
    seed: int,
    planted: Callable[[Table], np.ndarray] | None = None,
    n0: int = 6_000,
    n: int = 3_000,
    **settings: Any,
) -> SliceSearch:
    """Two samples with a share of hits that depends on sex; more hits where it is planted."""
    rng = np.random.default_rng(seed)
    before, now = attributes(rng, n0), attributes(rng, n)
    rates = [np.where(t["sex"] == "f", 0.1, 0.2) for t in (before, now)]
    if planted is not None:
        rates[1] = rates[1] + planted(now)
    hits = [rng.random(len(rate)) < rate for rate in rates]
    return slice_search(before, now, *hits, **settings)


def names(found: SliceSearch) -> list[str]:
    return [one.name for one in found.found]


def test_a_planted_value_is_found_alone():
    runs = [names(search(seed, lambda t: 0.15 * (t["region"] == "us"))) for seed in range(60)]
    n_misled = sum(run[:1] != ["region=us"] for run in runs)
    assert n_misled <= binom.ppf(0.999, 60, SURE)
    assert sum(run != ["region=us"] for run in runs) <= binom.ppf(0.999, 60, SURE + LEVEL)


def test_a_planted_pair_is_found_and_not_its_parents():
    def planted(table: Table) -> np.ndarray:
        return 0.3 * ((table["region"] == "eu") & (table["sex"] == "f"))

    runs = [names(search(seed, planted)) for seed in range(60)]
    n_misled = sum(run[:1] != ["region=eu & sex=f"] for run in runs)
    assert n_misled <= binom.ppf(0.999, 60, SURE)
    assert sum(run != ["region=eu & sex=f"] for run in runs) <= binom.ppf(0.999, 60, SURE + LEVEL)


def test_two_planted_values_are_both_found():
    def planted(table: Table) -> np.ndarray:
        return 0.2 * (table["region"] == "us") - 0.12 * (table["region"] == "asia")

    runs = [set(names(search(seed, planted, n=6_000))) for seed in range(20)]
    assert sum(run >= {"region=us", "region=asia"} for run in runs) >= 18


def test_a_change_that_all_share_is_that_of_all_rows():
    runs = [names(search(seed, lambda t: np.full(len(t["sex"]), 0.1))) for seed in range(40)]
    assert runs == [["*"]] * 40


@pytest.mark.parametrize("control", ["holm", "benjamini_yekutieli"])
def test_under_no_change_a_slice_is_found_no_more_often_than_the_level(control):
    n_runs = 400
    runs = [search(seed, n0=900, n=500, control=control) for seed in range(n_runs)]
    assert runs[0].n_tested > 25
    n_false = sum(bool(run.found) for run in runs)
    assert n_false <= binom.ppf(0.999, n_runs, LEVEL), n_false


def test_a_finding_says_how_large_and_of_how_many():
    (one,) = search(1, lambda t: 0.15 * (t["region"] == "us")).found
    assert one.where == (("region", "us"),)
    assert one.low < 0.15 < one.high
    assert one.low < one.effect < one.high
    assert 800 < one.n < 1_000
    assert 1_600 < one.n_reference < 2_000
    assert one.p_value < 1e-6


def test_rows_without_a_value_are_a_slice():
    rng = np.random.default_rng(0)
    tables = [{"land": np.array(["a", "b", None], object)[rng.integers(0, 3, 3_000)]} for _ in "12"]
    hits = [rng.random(3_000) < 0.1 for _ in "12"]
    hits[1] |= np.equal(tables[1]["land"], None) & (rng.random(3_000) < 0.3)
    (one,) = slice_search(*tables, *hits).found
    assert one.where == (("land", None),)
    numbers = [
        {"land": np.array([np.nan if v is None else 1.0 for v in t["land"]])} for t in tables
    ]
    (same,) = slice_search(*numbers, *hits).found
    assert (same.where, same.n) == (one.where, one.n)


def test_slices_below_the_minimum_are_not_tested():
    rng = np.random.default_rng(0)
    rare = np.array(["common"] * 971 + ["rare"] * 29)
    hits = np.array([False] * 971 + [True] * 29)
    tested = slice_search({"a": rare}, {"a": rare}, rng.random(1_000) < 0, hits)
    assert tested.n_tested == 2
    assert "a=rare" not in names(tested)
    more = slice_search({"a": rare}, {"a": rare}, rng.random(1_000) < 0, hits, min_rows=29)
    assert more.n_tested == 3
    assert names(more)[0] == "a=rare"


def test_pairs_are_left_out_where_only_values_are_asked_for():
    def planted(table: Table) -> np.ndarray:
        return 0.3 * ((table["region"] == "eu") & (table["sex"] == "f"))

    found = search(0, planted, max_attributes=1)
    assert found.n_tested == 1 + 3 + 2 + 3
    assert set(names(found)) <= {"region=eu", "sex=f"}
    assert found.found


def test_clustered_rows_are_worth_fewer():
    def planted(table: Table) -> np.ndarray:
        return 0.08 * (table["region"] == "us")

    assert names(search(3, planted)) == ["region=us"]
    assert names(search(3, planted, phi=10.0)) == []


def test_the_interval_of_clustered_rows_is_that_of_fewer_rows():
    def planted(table: Table) -> np.ndarray:
        return 0.4 * (table["region"] == "us")

    (single,), (clustered,) = (search(3, planted, phi=phi).found for phi in (1.0, 20.0))
    assert clustered[:2] == single[:2]
    assert clustered.low < single.low < single.effect < single.high < clustered.high
    widths = [one.high - one.low for one in (clustered, single)]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(20), rel=0.05)


def test_the_effect_lies_in_its_interval_where_few_rows_count():
    hits = np.zeros(100, bool), np.arange(100) < 99
    (one,) = slice_search({}, {}, *hits, phi=20.0).found
    assert one.low < one.effect == 0.99 < one.high
    assert (one.low, one.high) == (newcombe_interval(5, 5, 0, 5).low, 1.0)


def test_a_rest_of_less_than_one_row_shows_nothing():
    rng = np.random.default_rng(0)
    a = rng.random(8_000) < 0.5
    b = a.copy()
    b[np.flatnonzero(~a)[:35]] = True  # 35 rows, and clusters of 40
    table, hits = {"a": a, "b": b}, (rng.random(8_000) < 0.1, rng.random(8_000) < 0.1 + 0.6 * a)
    assert names(slice_search(table, table, *hits, phi=40.0)) == ["a=True"]


def test_rows_are_passed_over_once_for_all_and_once_for_each_slice_left(monkeypatch):
    n_passes, count = 0, _CodedTables.count

    def counted(*args: Any, **settings: Any) -> Any:
        nonlocal n_passes
        n_passes += 1
        return count(*args, **settings)

    monkeypatch.setattr(_CodedTables, "count", counted)
    found = search(0, lambda t: np.full(len(t["sex"]), 0.3))
    assert names(found) == ["*"]  # every slice changed, and none by more than the rest
    assert n_passes == 2


def test_the_order_of_rows_and_attributes_does_not_matter():
    rng = np.random.default_rng(5)
    before, now = attributes(rng, 2_000), attributes(rng, 2_000)
    hits = rng.random(2_000) < 0.1, rng.random(2_000) < 0.1 + 0.2 * (now["region"] == "us")
    order = rng.permutation(2_000)
    turned = {name: now[name][order] for name in reversed(now)}
    assert slice_search(before, now, *hits) == slice_search(before, turned, hits[0], hits[1][order])


def test_nothing_to_slice_by_leaves_all_rows():
    hits = np.arange(200) < 20, np.arange(200) < 120
    (one,) = slice_search({}, {}, *hits).found
    assert (one.name, one.n, round(one.effect, 2)) == ("*", 200, 0.5)
    empty = slice_search({}, {}, np.zeros(0, bool), np.zeros(0, bool))
    assert (empty.found, empty.n_tested) == ((), 0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"max_attributes": 3}, "max_attributes is 3"),
        ({"min_rows": 0}, "min_rows is 0"),
        ({"level": 0.0}, "level is 0"),
        ({"control": "bonferroni"}, "control is 'bonferroni'"),
        ({"phi": 0.9}, r"phi is 0\.9"),
    ],
)
def test_settings_outside_their_domain_are_refused(settings, says):
    with pytest.raises(DomainError, match=says):
        search(0, n0=100, n=100, **settings)


def test_bad_tables_are_refused():
    hits, values = np.zeros(4, bool), np.array(list("abab"))
    with pytest.raises(DomainError, match="only one table has 'b'"):
        slice_search({"a": values}, {"a": values, "b": values}, hits, hits)
    with pytest.raises(ShapeError, match=r"a has shape \(4,\), the hits \(3,\)"):
        slice_search({"a": values}, {"a": values}, hits[:3], hits)
    with pytest.raises(ShapeError, match="dtype int64"):
        slice_search({"a": values}, {"a": values}, hits.astype(np.int64), hits)
    many = {name: np.arange(200) for name in "ab"}
    with pytest.raises(DomainError, match="40,401 slices"):
        slice_search(many, many, np.zeros(200, bool), np.zeros(200, bool))
