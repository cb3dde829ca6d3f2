"""Numbers that no longer move together drift, though each looks as always."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from monitor.compare.comparison import compare
from monitor.compare.page import comparison_page
from monitor.compare.together import MAX_CLASSIFIED, MIN_COMPLETE, look_together
from monitor.compare.words import document, headline, together_text


def numbers(n: int, seed: int, rho: float, tail: bool = False) -> pa.Table:
    rng = np.random.default_rng(seed)
    x, y, z = rng.normal(size=(3, n))
    y = rho * x + np.sqrt(1 - rho * rho) * y
    return pa.table({"a": np.exp(3 * x) if tail else x, "b": y, "c": z})


def test_a_correlation_that_is_gone_drifts_and_its_columns_do_not():
    found = compare(numbers(3_000, 1, 0.6), numbers(3_000, 2, 0.0))
    assert found.drifted == ("correlation of a and b",)
    assert headline(found) == "Drift in 1 of 3: correlation of a and b."
    assert found.together.pair == ("a", "b")
    assert found.together.auc > 0.5 + 4 * found.together.auc_sd


@pytest.mark.parametrize("tail", [False, True])
def test_the_same_dependence_is_none_whatever_the_tails(tail):
    p_values = []
    for seed in range(12):
        one, other = numbers(800, 2 * seed, 0.5, tail), numbers(800, 2 * seed + 1, 0.5, tail)
        p_values.append(look_together(one, other, ["a", "b", "c"]).p_value)
    assert min(p_values) > 1e-3
    assert np.median(p_values) > 0.2


def test_a_shift_a_stretch_and_another_unit_change_no_correlation():
    one, other = numbers(2_000, 1, 0.5), numbers(2_000, 2, 0.5)
    moved = pa.table({"a": other["a"].to_numpy() * 1e6 + 5, "b": other["b"], "c": other["c"]})
    plain, shifted = (look_together(one, t, ["a", "b", "c"]) for t in (other, moved))
    assert (plain.before, plain.now, plain.p_value) == (
        shifted.before,
        shifted.now,
        shifted.p_value,
    )
    assert shifted.auc > plain.auc


def test_correlations_are_those_of_ranks():
    table = numbers(3_000, 3, 0.7)
    found = look_together(table, numbers(3_000, 4, 0.1), ["a", "b"])
    rho = spearmanr(table["a"], table["b"]).statistic
    # Of normal scores; Spearman's is 6 / pi asin(r / 2) of it for normal data.
    assert 6 / np.pi * np.arcsin(found.before / 2) == pytest.approx(rho, abs=0.01)


def test_rows_with_a_gap_are_left_out_and_few_rows_say_nothing():
    table = numbers(400, 1, 0.5)
    gaps = np.where(np.arange(400) % 2, np.nan, table["a"].to_numpy())
    half = pa.table({"a": pa.array(gaps, from_pandas=True), "b": table["b"]})
    assert look_together(half, half, ["a", "b"]).n_reference == 200
    few = half.slice(0, 2 * MIN_COMPLETE - 2)
    assert look_together(few, half, ["a", "b"]) is None
    assert look_together(table, table, ["a"]) is None
    constant = pa.table({"a": [1.0] * 400, "b": table["b"]})
    assert look_together(constant, table, ["a", "b"]) is None


def test_many_columns_are_not_given_to_the_classifier():
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(MAX_CLASSIFIED + 1)]
    wide = pa.table({name: rng.normal(size=300) for name in names})
    found = look_together(wide, wide, names)
    assert np.isnan(found.auc)
    assert found.pair
    assert "classifier" not in together_text(found)


def test_page_and_document_say_it():
    found = compare(numbers(2_000, 1, 0.6), numbers(2_000, 2, 0.0))
    page = comparison_page(found, "one", "two")
    assert "<h2>Together</h2>" in page
    assert f"that of a and b, {found.together.before:.2f} and now" in page
    plain = json.loads(json.dumps(document(found, "one", "two")))
    assert plain["together"]["pair"] == ["a", "b"]
    assert plain["together"]["is_drifted"]
    none = compare(numbers(500, 1, 0.0).select(["a"]), numbers(500, 2, 0.0).select(["a"]))
    assert document(none, "one", "two")["together"] is None
    assert "<h2>Together</h2>" not in comparison_page(none, "one", "two")
