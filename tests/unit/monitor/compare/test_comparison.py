"""Two tables side by side: numbers as scipy has them, a verdict neither blind nor nervous."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pyarrow as pa
import pytest
from scipy import integrate, stats

from detectors.registry import DETECTORS
from monitor.compare.comparison import compare
from monitor.compare.effect import ANDERSON_DARLING_SLOPE, CRAMER_VON_MISES_SLOPE
from monitor.compare.results import Comparison, Omitted, Options, Variable, VariableStatistic
from monitor.compare.words import headline
from schemas.baselines import Kind
from schemas.errors import DomainError, ShapeError


def variable(comparison: Comparison, name: str) -> Variable:
    return next(v for v in comparison.variables if v.name == name)


def of(comparison: Comparison, name: str, statistic: str) -> VariableStatistic:
    return next(s for s in variable(comparison, name).statistics if s.name == statistic)


def numbers(seed: int, n: int, shift: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(seed)
    colours = rng.choice(["red", "green", "blue"], n, p=[0.5, 0.3, 0.2])
    return pa.table({"x": rng.normal(shift, 1.0, n), "colour": colours})


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def test_every_number_of_a_numeric_column_is_scipys():
    a, b = numbers(1, 700), numbers(2, 500, 0.2)
    x, y = a["x"].to_numpy(), b["x"].to_numpy()
    found = compare(a, b)
    ks = stats.ks_2samp(x, y)
    assert of(found, "x", "ks").value == close(ks.statistic)
    assert of(found, "x", "ks").p_value == pytest.approx(ks.pvalue, rel=1e-6)
    assert of(found, "x", "wasserstein").value == close(stats.wasserstein_distance(x, y))
    assert of(found, "x", "normed_wasserstein").value == close(
        stats.wasserstein_distance(x, y) / x.std()
    )
    assert of(found, "x", "energy").value == close(stats.energy_distance(x, y))
    cvm = stats.cramervonmises_2samp(x, y)
    assert of(found, "x", "cramer_von_mises").value == close(cvm.statistic)
    assert of(found, "x", "cramer_von_mises").p_value == pytest.approx(cvm.pvalue, rel=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of p-values outside its table
        darling = stats.anderson_ksamp([x, y], variant="midrank")
    assert of(found, "x", "anderson_darling").value == close(darling.statistic)
    whitney = stats.mannwhitneyu(x, y)
    assert of(found, "x", "mann_whitney").value == close(whitney.statistic)
    assert of(found, "x", "mann_whitney").p_value == close(whitney.pvalue)
    welch = stats.ttest_ind(y, x, equal_var=False)
    assert of(found, "x", "welch_t").value == close(welch.statistic)
    assert of(found, "x", "welch_t").p_value == close(welch.pvalue)
    assert of(found, "x", "mean_shift").value == close((y.mean() - x.mean()) / x.std())
    assert of(found, "x", "sd_shift").value == close(y.std() / x.std())
    assert {s.name for s in variable(found, "x").statistics} == {
        *(d.name for d in DETECTORS.values() if "numeric" in d.kinds),
        *("missing", "mistyped", "out_of_range"),
    }


def test_every_number_of_a_categorical_column_is_scipys():
    a, b = numbers(1, 700), numbers(2, 500)
    found = compare(a, b)
    names = ["red", "green", "blue"]
    table = np.array([[t["colour"].to_pylist().count(n) for n in names] for t in (a, b)])
    chi, g = stats.chi2_contingency(table), stats.chi2_contingency(table, lambda_="log-likelihood")
    assert of(found, "colour", "chi_square").value == close(chi.statistic)
    assert of(found, "colour", "chi_square").p_value == close(chi.pvalue)
    assert of(found, "colour", "g_test").value == close(g.statistic)
    v = stats.contingency.association(table, method="cramer")
    assert of(found, "colour", "cramers_v").value == close(v)
    p, q = table / table.sum(axis=1, keepdims=True)
    assert of(found, "colour", "l_infinity").value == close(np.abs(p - q).max())
    assert of(found, "colour", "total_variation").value == close(np.abs(p - q).sum() / 2)
    assert of(found, "colour", "psi").value == close(((q - p) * np.log(q / p)).sum())
    assert "fisher_exact" not in {s.name for s in variable(found, "colour").statistics}


def test_two_categories_get_the_tests_of_pairs():
    a = pa.table({"is_new": [True] * 12 + [False] * 30 + [None]})
    b = pa.table({"is_new": [True] * 25 + [False] * 20})
    found = compare(a, b)
    fisher = stats.fisher_exact([[30, 12], [20, 25]])
    assert of(found, "is_new", "fisher_exact").p_value == close(fisher.pvalue)
    # Rows without a value are a category of the table, and no property of the pair.
    assert of(found, "is_new", "fisher_exact").n_reference == 42
    assert of(found, "is_new", "chi_square").n_reference == 43
    chi = stats.chi2_contingency([[30, 12, 1], [20, 25, 0]])
    assert of(found, "is_new", "chi_square").p_value == close(chi.pvalue)


def test_a_table_against_itself_has_no_distance_and_no_drift():
    table = numbers(3, 2_000)
    found = compare(table, table)
    assert found.drifted == ()
    for v in found.variables:
        assert not v.is_beyond("distance", "effect", "test", "share")
        assert [s.value for s in v.statistics if s.quantity == "distance"] == pytest.approx(
            [0.0] * sum(s.quantity == "distance" for s in v.statistics), abs=1e-12
        )
        assert all(s.p_value > 0.9 for s in v.statistics if s.quantity == "test")


@pytest.mark.parametrize("n", [60, 600, 20_000])
def test_without_drift_hardly_any_comparison_says_drift(n):
    """At alpha = .05; 40 comparisons of two columns: more than 6 false ones have p < .01."""
    false = sum(
        bool(compare(numbers(seed, n), numbers(1_000 + seed, n)).drifted) for seed in range(40)
    )
    assert false <= 6


@pytest.mark.parametrize(("n_reference", "n_current"), [(300, 300), (5_000, 200), (200, 5_000)])
def test_a_long_tail_of_categories_is_no_drift(n_reference, n_current):
    """At alpha = .05; of 40 comparisons more than 6 false ones have p < .01."""

    def draw(rng: np.random.Generator, n: int) -> pa.Table:
        return pa.table({"zip": [f"z{k}" for k in rng.zipf(1.5, n)]})

    false = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        tables = draw(rng, n_reference), draw(rng, n_current)
        false += bool(compare(*tables).drifted)
    assert false <= 6


def test_rare_categories_are_joined_for_the_tests_alone():
    a = pa.table({"c": ["x"] * 50 + ["y"] * 50 + [f"r{i}" for i in range(8)]})
    b = pa.table({"c": ["x"] * 60 + ["y"] * 40 + [f"s{i}" for i in range(8)]})
    found = compare(a, b)
    joined = stats.chi2_contingency([[50, 50, 8], [60, 40, 8]])
    assert of(found, "c", "chi_square").p_value == close(joined.pvalue)
    full = np.array([[50, 50, *[1] * 8, *[0] * 8], [60, 40, *[0] * 8, *[1] * 8]])
    v = stats.contingency.association(full, method="cramer")
    assert of(found, "c", "cramers_v").value == close(v)


def test_what_is_certain_but_small_is_no_drift_and_what_is_large_but_chance_neither():
    certain = compare(numbers(1, 40_000), numbers(2, 40_000, 0.04))
    assert variable(certain, "x").is_beyond("test")
    assert not variable(certain, "x").is_drifted
    chance = compare(numbers(1, 20), numbers(2, 20, 0.2))
    assert variable(chance, "x").is_beyond("distance")
    assert not variable(chance, "x").is_drifted
    both = compare(numbers(1, 2_000), numbers(2, 2_000, 0.3))
    assert both.drifted == ("x",)
    assert [v.name for v in both.variables] == ["x", "colour"]


def test_a_threshold_of_ones_own_replaces_the_usual_one():
    a, b = numbers(1, 2_000), numbers(2, 2_000, 0.3)
    names = ("psi", "kl", "jensen_shannon", "hellinger", "total_variation", "normed_wasserstein")
    lax = Options(thresholds=dict.fromkeys(names, 0.9))
    assert compare(a, b, options=lax).drifted == ()
    strict = Options(thresholds={"mean_shift": 0.05})
    small = compare(numbers(1, 40_000), numbers(2, 40_000, 0.08), options=strict)
    assert of(small, "x", "mean_shift").is_beyond
    assert small.drifted == ("x",)
    with pytest.raises(DomainError, match="there is no 'pis'"):
        compare(a, b, options=Options(thresholds={"pis": 0.1}))


def test_a_distance_with_a_unit_counts_only_under_a_threshold_of_ones_own():
    """The usual threshold of the energy distance knows no unit: euros would always pass it."""
    rng = np.random.default_rng(5)
    a, b = (pa.table({"pay": rng.normal(50_000 + d, 10_000, 20_000)}) for d in (0, 500))
    energy = of(compare(a, b), "pay", "energy")
    assert (energy.is_beyond, energy.is_counted) == (True, False)
    assert compare(a, b).drifted == ()
    assert compare(a, b, options=Options(thresholds={"energy": 1.0})).drifted == ("pay",)


def test_distances_of_numbers_are_those_of_the_references_deciles():
    a, b = numbers(1, 700), numbers(2, 500, 0.2)
    x, y = a["x"].to_numpy(), b["x"].to_numpy()
    edges = [-np.inf, *np.quantile(x, np.arange(1, 10) / 10), np.inf]
    p, q = (np.histogram(v, edges)[0] / len(v) for v in (x, y))
    found = compare(a, b)
    assert of(found, "x", "psi").value == close(((q - p) * np.log(q / p)).sum())
    assert of(found, "x", "total_variation").value == close(np.abs(p - q).sum() / 2)


@pytest.mark.parametrize("current", [[2.0] * 100, [0.5] * 100, [1.0] * 40 + [2.0] * 60])
def test_a_constant_that_became_another_number_has_a_distance(current):
    for reference in ([1.0] * 100, [1.0] * 90 + [i / 10 for i in range(10)]):
        found = compare(pa.table({"x": reference}), pa.table({"x": current}))
        moved = sum(v > max(reference) or v < min(reference) for v in current) / 100
        assert of(found, "x", "total_variation").value >= moved - 1e-12
        assert found.drifted == ("x",)
        assert math.isfinite(variable(found, "x").shift)


def test_p_values_are_adjusted_over_all_variables():
    rng = np.random.default_rng(0)
    tables = [pa.table({f"x{i}": rng.normal(size=300) for i in range(6)}) for _ in range(2)]
    found = compare(*tables)
    tested = [s for v in found.variables for s in v.statistics if not math.isnan(s.p_value)]
    assert len(tested) + 1 == found.n_tests >= 6 * 6  # and one of all columns together
    smallest = min(tested, key=lambda s: s.p_value)
    assert smallest.p_adjusted == close(min(1.0, found.n_tests * smallest.p_value))
    assert all(s.p_adjusted >= s.p_value for s in tested)


@pytest.mark.parametrize("d", [0.1, 0.3])
def test_every_statistic_of_a_gaussian_that_moved_by_d_is_called_d(d):
    n = 200_001
    x = stats.norm.ppf((np.arange(n) + 0.5) / n)
    found = compare(pa.table({"x": x}), pa.table({"x": x + d}))
    shares = ("missing", "mistyped", "out_of_range", "sd_shift")
    for s in variable(found, "x").statistics:
        if s.name not in shares:
            # Deciles hide a little of a distance; first-order terms a little more.
            assert s.shift == pytest.approx(d, rel=0.06), s.name


def test_a_gaussian_that_widened_has_the_same_shift_by_its_ratio_and_by_its_psi():
    n = 20_001
    x = stats.norm.ppf((np.arange(n) + 0.5) / n)
    found = compare(pa.table({"x": x}), pa.table({"x": 1.2 * x}))
    assert of(found, "x", "sd_shift").shift == close(math.sqrt(2) * math.log(1.2))
    # The outer deciles hide more of a widening than of a move.
    assert of(found, "x", "psi").shift == pytest.approx(of(found, "x", "sd_shift").shift, rel=0.25)


def test_slopes_are_the_integrals_they_claim_to_be():
    phi, cdf, tail = stats.norm.pdf, stats.norm.cdf, stats.norm.sf
    cubed = integrate.quad(lambda z: phi(z) ** 3, -12, 12)[0]
    weighted = integrate.quad(lambda z: phi(z) ** 3 / (cdf(z) * tail(z)), -12, 12)[0]
    assert pytest.approx(cubed, rel=1e-9) == CRAMER_VON_MISES_SLOPE
    assert pytest.approx(weighted, abs=5e-6) == ANDERSON_DARLING_SLOPE


def test_unequal_numbers_of_rows_do_not_make_a_table_look_smaller():
    a = pa.table({"c": ["x"] * 500 + ["y"] * 500})
    few, many = (pa.table({"c": ["x"] * 60 * k + ["y"] * 40 * k}) for k in (1, 10))
    small, large = (of(compare(a, b), "c", "cramers_v") for b in (few, many))
    assert small.value < large.value
    assert small.shift == pytest.approx(large.shift, rel=0.06)


def test_columns_of_one_side_are_reported_and_a_missing_one_is_drift():
    a = pa.table({"x": [0.5, 1.5], "old": [0.1, 0.2]})
    b = pa.table({"x": [0.5, 1.5], "new": [0.1, 0.2]})
    found = compare(a, b)
    assert [tuple(o) for o in found.omitted] == [
        ("old", "only in the reference", True),
        ("new", "only in the current rows", False),
    ]
    assert found.drifted == ("old",)
    assert compare(a, b, kinds={"x": Kind.NUMERIC, "new": Kind.NUMERIC}).drifted == ()


def test_a_declared_column_that_is_missing_is_an_error_that_names_it():
    table = pa.table({"x": [0.5, 1.5]})
    with pytest.raises(ShapeError, match="'z' is in neither of them"):
        compare(table, table, kinds={"x": Kind.NUMERIC, "z": Kind.NUMERIC})
    with pytest.raises(ShapeError, match="'z' is in neither of them"):
        compare(table, table, kinds={"z": Kind.NUMERIC})


def test_nothing_to_compare_is_no_verdict_of_no_drift():
    keys = pa.table({"a|b": [f"{i}|{7 * i}" for i in range(200)]})
    with pytest.raises(
        ShapeError, match=r"nothing can be compared; 'a\|b': .*check how they were read"
    ):
        compare(keys, keys)
    with pytest.raises(ShapeError, match="no column is left"):
        compare(keys.select([]), keys.select([]))
    many = pa.table({f"k{i}": keys["a|b"] for i in range(20)})
    with pytest.raises(ShapeError, match="; and 12 more"):
        compare(many, many)
    # What came new alone says nothing of what was there.
    with pytest.raises(ShapeError, match="'x': only in the current rows"):
        compare(keys, keys.append_column("x", [[0.5] * 200]))


def test_columns_that_were_left_out_before_are_listed():
    table = pa.table({"x": [0.5, 1.5]})
    left = [Omitted("asked", "says when its rows were")]
    assert compare(table, table, omitted=left).omitted == (left[0],)
    with pytest.raises(ShapeError, match="'asked': says when its rows were"):
        compare(table.select([]), table.select([]), omitted=left)


@pytest.mark.parametrize("empty_side", [0, 1])
def test_a_side_without_rows_is_refused(empty_side):
    tables = [numbers(0, 10), numbers(0, 10)]
    tables[empty_side] = tables[empty_side].slice(0, 0)
    with pytest.raises(ShapeError, match="has no rows"):
        compare(*tables)


def test_two_columns_of_one_name_are_refused():
    twice = pa.table([[1.5], [2.5]], names=["x", "x"])
    with pytest.raises(ShapeError, match="two columns 'x'"):
        compare(twice, twice)


def test_one_row_gives_numbers_but_no_drift():
    found = compare(numbers(0, 1_000), numbers(1, 1))
    assert found.drifted == ()
    assert of(found, "x", "ks").value > 0
    assert math.isnan(of(found, "x", "welch_t").value)
    assert of(found, "x", "welch_t").is_beyond is False
    assert "always" in variable(found, "x").notes[0]


def test_a_column_that_goes_missing_is_drift_and_one_that_never_was_is_nothing():
    a = pa.table({"x": np.linspace(0.5, 9.5, 200), "y": pa.nulls(200, pa.float64())})
    b = pa.table({"x": pa.nulls(200, pa.float64()), "y": pa.nulls(200, pa.float64())})
    found = compare(a, b)
    assert found.drifted == ("x",)
    assert of(found, "x", "missing").value == 1.0
    assert [s.name for s in variable(found, "x").statistics] == ["missing", "mistyped"]
    assert "no value in the current rows" in variable(found, "x").notes
    assert [o.name for o in found.omitted] == ["y"]
    assert compare(b, a).drifted == ("x",)


def test_missing_rows_are_compared_by_their_share():
    rng = np.random.default_rng(1)
    x = rng.normal(size=1_000)
    fewer = np.where(np.arange(1_000) % 10 == 0, np.nan, x)
    found = compare(pa.table({"x": x}), pa.table({"x": fewer}))
    missing = of(found, "x", "missing")
    assert missing.value == close(0.1)
    pooled = np.array([[1_000, 0], [900, 100]])
    assert missing.p_value == close(stats.chi2_contingency(pooled, correction=False).pvalue)
    assert found.drifted == ("x",)


def test_words_among_numbers_are_type_errors_and_infinite_is_missing():
    x = np.linspace(0.5, 9.5, 1_000)
    texts = [f"{v}" for v in x]
    texts[::20] = ["n.n."] * 50
    found = compare(pa.table({"x": x}), pa.table({"x": texts}))
    assert of(found, "x", "mistyped").value == close(0.05)
    assert of(found, "x", "missing").value == 0
    assert found.drifted == ("x",)
    infinite = np.where(np.arange(1_000) < 5, np.inf, x)
    found = compare(pa.table({"x": x}), pa.table({"x": infinite}))
    assert of(found, "x", "missing").value == close(0.005)


def test_numbers_and_text_of_the_same_categories_are_the_same():
    a = pa.table({"code": pa.array([1, 2, 3] * 100)})
    b = pa.table({"code": ["1", "2", "3"] * 100})
    assert compare(a, b, kinds={"code": Kind.CATEGORICAL}).drifted == ()
    times = pa.table({"code": pa.array([0] * 300, pa.timestamp("us"))})
    found = compare(pa.table({"code": np.linspace(0.1, 0.9, 300)}), times)
    assert of(found, "code", "mistyped").value == 1.0


def test_new_categories_and_values_beyond_the_range_are_held_against_what_is_expected():
    rng = np.random.default_rng(2)
    a, b = (pa.table({"zip": [f"z{k}" for k in rng.zipf(1.6, 3_000)]}) for _ in range(2))
    tail = compare(a, b)
    unseen = of(tail, "zip", "unseen")
    assert unseen.value > 0.02
    assert not unseen.is_beyond
    news = pa.table({"zip": [*b["zip"].to_pylist()[:2_700], *["new"] * 300]})
    assert of(compare(a, news), "zip", "unseen").is_beyond
    assert variable(compare(a, news), "zip").notes == ("new: `new` (10 %)",)
    x = rng.normal(size=60)
    beyond = of(compare(pa.table({"x": x}), pa.table({"x": rng.normal(size=5_000)})), "x",
                "out_of_range")  # fmt: skip
    assert beyond.value > 0
    assert not beyond.is_beyond
    ages = rng.uniform(20, 60, 1_000)
    # A file without any new value has fewer than expected, which is no fault.
    itself = of(compare(a, a), "zip", "unseen")
    assert (itself.effect < 0, itself.shift, itself.is_beyond) == (True, 0.0, False)
    in_months = np.append(ages[:940], 12 * ages[:60])
    months = compare(pa.table({"x": ages}), pa.table({"x": in_months}))
    assert of(months, "x", "out_of_range").is_beyond


def test_constant_columns_are_noted():
    a = pa.table({"x": [1.5] * 50, "y": np.linspace(0, 1, 50), "c": ["a"] * 50})
    b = pa.table({"x": [1.5] * 50, "y": [0.25] * 50, "c": ["b"] * 50})
    found = compare(a, b)
    assert variable(found, "x").notes == ("always 1.5",)
    assert variable(found, "y").notes == ("always 0.25 in the current rows",)
    assert variable(found, "c").notes == ("a, now b",)
    assert set(found.drifted) == {"y", "c"}


@pytest.mark.parametrize("convention", ["evidently", "nannyml", "scipy"])
def test_a_peers_numbers_are_shown_beside_driftlines(convention):
    a, b = numbers(1, 1_200), numbers(2, 800, 0.2)
    found = compare(a, b, options=Options(convention=convention))
    for v in found.variables:
        kind = str(v.kind)
        for s in v.statistics:
            known = s.name in DETECTORS and convention in DETECTORS[s.name].conventions
            if s.peer is not None:
                assert known, (kind, s.name)
    x, y = a["x"].to_numpy(), b["x"].to_numpy()
    peer = of(found, "x", "ks").peer
    ks = stats.ks_2samp(x, y)
    expected = ks.statistic if convention == "nannyml" else ks.pvalue
    assert peer.value == pytest.approx(expected, rel=1e-6)
    assert of(compare(a, b), "x", "ks").peer is None
    # evidently takes Wasserstein over the standard deviation, nannyml and scipy as it is.
    name = "normed_wasserstein" if convention == "evidently" else "wasserstein"
    scale = x.std() if convention == "evidently" else 1.0
    assert of(found, "x", name).peer.value == close(stats.wasserstein_distance(x, y) / scale)


def test_extreme_numbers_are_compared_without_a_warning():
    a = pa.table({"x": [-1e308, 1e308, 0.5, 5e-324]})
    b = pa.table({"x": [1e-300, 2.5, 1e308, -7.5]})
    found = compare(a, b)
    assert of(found, "x", "ks").value == pytest.approx(0.25)
    assert found.drifted == ()


def test_kinds_that_are_given_are_kept():
    codes = pa.table({"code": [i % 7 for i in range(400)]})
    as_number = compare(codes, codes, kinds={"code": Kind.NUMERIC})
    assert variable(as_number, "code").kind is Kind.NUMERIC
    assert variable(compare(codes, codes), "code").kind is Kind.CATEGORICAL


def test_no_columns_in_common_is_an_error():
    found = compare(pa.table({"a": [0.5]}), pa.table({"b": [0.5]}))
    assert (found.variables, found.drifted, found.n_tests) == ((), ("a",), 0)
    assert headline(found) == "Drift in 1 of 1: a (gone)."
    assert headline(Comparison(1, 1, (), (), Options(), 0)) == "Nothing was compared."
