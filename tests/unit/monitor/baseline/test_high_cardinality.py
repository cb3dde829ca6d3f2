"""Columns of very many categories, constants and keys: what a baseline learns of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from detectors.quality.heavy_hitters import HeavyHitters
from monitor.baseline import variables
from monitor.baseline.build import build_baseline
from monitor.baseline.description import describe_variables
from monitor.core.windowing.accumulators import summarize
from monitor.core.windowing.layout import Layout
from monitor.decode.arrow.record_batches import batch_from_arrow
from monitor.transport.canonical import canonical
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import BaselineError
from schemas.panes import OVERFLOW, UNDERFLOW, UNSEEN

CONFIG = ModelConfig.model_validate(
    {
        "model": "m",
        "features": {"age": {"kind": "numeric"}, "shop": {"kind": "categorical"}},
        "segments": ("sex",),
    }
)


def table(shop: np.ndarray, age: object = 40.0, seed: int = 0) -> pa.Table:
    n = len(shop)
    sex = np.random.default_rng(seed).choice(["f", "m"], n, p=[0.9, 0.1])
    return pa.table({"age": np.broadcast_to(age, n), "shop": shop, "sex": sex})


def zipf(n: int, n_categories: int, seed: int) -> np.ndarray:
    """Draw names whose shares fall as 1 / rank."""
    weights = 1 / np.arange(1, n_categories + 1)
    ranks = np.random.default_rng(seed).choice(n_categories, n, p=weights / weights.sum())
    return np.char.add("s", ranks.astype(str))


def counted(rows: pa.Table, baseline: Baseline) -> np.ndarray:
    """Counters of the rows in the baseline's layout, as a worker counts them; shape (S, V, 64)."""
    columns = canonical(rows, CONFIG).append_column("time_us", pa.array(np.arange(rows.num_rows)))
    batch, _ = batch_from_arrow(columns.combine_chunks().to_batches()[0], CONFIG.schema_, 0)
    stats = summarize(batch, Layout(CONFIG.schema_, baseline))[0]
    at = {name: i for i, name in enumerate(stats.segments)}
    return np.stack([stats.counts[at[name]] for name in baseline.reference.segments])


@pytest.fixture(scope="module")
def long_tail() -> Baseline:
    """100,000 shops in 60,000 rows: about a third of the rows hold one that occurs once."""
    return build_baseline(table(zipf(60_000, 100_000, 1)), CONFIG)


def test_the_commonest_have_counters_and_the_rest_is_other(long_tail):
    shop = long_tail.variables[1]
    names, counts = np.unique(zipf(60_000, 100_000, 1), return_counts=True)
    order = sorted(zip(-counts, names, strict=True))
    assert shop.categories == (*(str(name) for _, name in order[:59]), "other")
    assert len(shop.known) == len(names) - 59
    assert (long_tail.reference.counts.sum(axis=2) == long_tail.reference.n_rows[:, None]).all()


def test_the_reference_expects_as_many_new_categories_as_later_rows_bring(long_tail):
    later = counted(table(zipf(60_000, 100_000, 2), seed=3), long_tail)[:, 1]
    before = long_tail.reference.counts[:, 1]
    for s, name in enumerate(long_tail.reference.segments):
        n0, n = before[s].sum(), later[s].sum()
        p0, p = before[s, UNSEEN] / n0, later[s, UNSEEN] / n
        assert 0.1 < p0 < 0.5, name
        # n0 p0 counts what occurs once; its variance is at most that of twice as many rows
        assert abs(p - p0) < 4 * np.sqrt(2 * p0 / n0 + p / n), name


def test_categories_that_fit_their_counters_are_never_unseen_to_the_reference():
    shop = zipf(5_000, 40, 3)
    built = build_baseline(table(shop), CONFIG)
    assert not built.reference.counts[:, 1, UNSEEN].any()


def test_the_description_says_how_many_are_new(long_tail):
    note = describe_variables(long_tail)[1].note
    share = 100 * long_tail.reference.counts[0, 1, UNSEEN] / 60_000
    assert f"{share:.2g} % of the rows hold a rarer one: as many new ones are expected" in note
    assert "count as other" in note


def test_beyond_the_limit_the_commonest_are_found_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(variables, "MAX_CATEGORIES", 1_000)
    shop = zipf(40_000, 20_000, 4)
    built = build_baseline(table(shop), CONFIG)
    variable = built.variables[1]
    names, counts = np.unique(shop, return_counts=True)
    truth = dict(zip(names.tolist(), counts.tolist(), strict=True))
    assert len(variable.categories) == 60
    assert len(variable.known) <= 1_000 - 59
    least = min(truth[name] for name in variable.categories[:-1])
    missed = max(n for name, n in truth.items() if name not in variable.categories)
    assert missed - least <= len(shop) / 1_001
    listed = built.reference.counts[0, 1, :59]
    assert listed.tolist() == [truth[name] for name in variable.categories[:-1]]
    assert built.reference.counts[0, 1].sum() == len(shop)
    assert built.reference.counts[0, 1, UNSEEN] > 0
    assert "of the rows hold a rarer one" in describe_variables(built)[1].note


def test_many_categories_of_which_none_is_common_are_refused(monkeypatch):
    monkeypatch.setattr(variables, "MAX_CATEGORIES", 500)
    shop = np.char.add("s", (np.arange(20_000) % 5_000).astype(str))
    with pytest.raises(BaselineError, match="has over 500 categories in 20,000 rows, none of them"):
        build_baseline(table(shop), CONFIG)


def test_a_key_named_as_a_category_is_refused_below_the_limit_too():
    shop = np.char.add("s", np.arange(1_000).astype(str))
    with pytest.raises(
        BaselineError, match="feature shop: has 1,000 categories in 1,000 rows, so nearly all later"
    ):
        build_baseline(table(shop), CONFIG)


def test_pieces_that_code_their_strings_differently_are_counted_together():
    one = variables.StringColumn(np.array([0, 0, 1, -1], np.int32), ["a", "b"])
    other = variables.StringColumn(np.array([0, 1, 1], np.int32), ["b", "c"])
    counts = variables.count_values([one, other])
    assert isinstance(counts, HeavyHitters)
    assert (counts.counts, counts.n, counts.is_exact) == ({"a": 2, "b": 2, "c": 2}, 6, True)


@pytest.mark.parametrize("value", [40.0, 0.0, -1e300])
def test_of_a_constant_number_every_other_value_is_outside(value):
    built = build_baseline(table(zipf(1_000, 5, 5), value), CONFIG)
    age = built.variables[0]
    assert (age.n_bins, set(age.edges.tolist())) == (1, {value})
    assert built.reference.counts[0, 0, 0] == 1_000
    around = [np.nextafter(value, -np.inf), value, np.nextafter(value, np.inf)] * 100
    now = counted(table(zipf(300, 5, 6), np.array(around)), built)[0, 0]
    assert (now[UNDERFLOW], now[0], now[OVERFLOW]) == (100, 100, 100)
    assert describe_variables(built)[0].note == "always the same"


def test_of_a_constant_category_every_other_value_is_unseen():
    built = build_baseline(table(np.full(1_000, "x")), CONFIG)
    assert built.variables[1].categories == ("x",)
    now = counted(table(np.array(["x", "y", "z"] * 100)), built)[0, 1]
    assert (now[0], now[UNSEEN]) == (100, 200)
