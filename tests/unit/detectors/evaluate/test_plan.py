"""Columns from the kernel are the rows that the functions of ``detectors.statistics`` give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.evaluate.all_statistics import evaluate
from detectors.evaluate.plan import StatisticPlan
from schemas.baselines import Baseline, Kind, VariableBaseline
from schemas.errors import DomainError, ShapeError
from schemas.panes import N_COUNTERS, OVERFLOW, UNDERFLOW, UNSEEN, SeriesStats
from schemas.results import Reason

FLOATS = ("statistic", "p_value", "effect_size", "threshold")
SEGMENTS = ("*", "g=a")
COUNTS = st.sampled_from([0, 0, 1, 2, 7, 30, 1_000, 1 << 33])


def edges_of(n: int, scale: float, at: float) -> np.ndarray:
    return at + scale * np.linspace(-1, 1, n + 1)


@st.composite
def stats(draw: st.DrawFn, variables: tuple[VariableBaseline, ...], segments=SEGMENTS):
    """Counters of any sizes with sums and extremes that fit them, as panes hold them."""
    found = SeriesStats.empty(segments, len(variables))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    for s in range(len(segments)):
        largest = draw(COUNTS)
        for v, variable in enumerate(variables):
            used = np.array([*range(len(variable.edges) - 1 or 4), UNDERFLOW, OVERFLOW, 62, 63])
            if variable.kind is Kind.NUMERIC:
                used = used[:-1]
            some = rng.random(len(used)) < draw(st.sampled_from([0.1, 0.5, 1.0]))
            found.counts[s, v, used] = np.where(some, rng.integers(0, largest + 1, len(used)), 0)
            if variable.kind is Kind.NUMERIC:
                put_sums(found, s, v, variable.edges, rng)
        found.n_rows[s] = found.counts[s].sum(axis=-1).max(initial=0)
    return found


def put_sums(found: SeriesStats, s: int, v: int, edges: np.ndarray, rng) -> None:
    width, counts = edges[-1] - edges[0] or 1.0, found.counts[s, v]
    places = np.full(N_COUNTERS, edges[-1])
    places[: len(edges) - 1] = (edges[:-1] + edges[1:]) / 2
    places[UNDERFLOW] = edges[0] - width * rng.random()
    places[OVERFLOW] = edges[-1] + width * rng.random() * 10
    present = counts.copy()
    present[62:] = 0
    found.sums[s, v] = (present * places).sum()
    found.sums_sq[s, v] = (present * places**2).sum()
    if present.any():
        held = places[present > 0]
        found.minima[s, v], found.maxima[s, v] = held.min(), held.max()


@st.composite
def pairs(draw: st.DrawFn):
    scale, at = draw(st.sampled_from([(1.0, 0.0), (1e-6, 0.0), (3.0, 50.0), (1e6, -1e6)]))
    n_bins = draw(st.sampled_from([1, 3, 10, 60]))
    kinds = draw(st.lists(st.sampled_from(["number", "text"]), min_size=1, max_size=3))
    variables = tuple(
        VariableBaseline(f"v{i}", Kind.NUMERIC, edges_of(n_bins, scale, at), ())
        if kind == "number"
        else VariableBaseline(f"v{i}", Kind.CATEGORICAL, np.empty(0), tuple("abcd"))
        for i, kind in enumerate(kinds)
    )
    reference = draw(stats(variables))
    ones = np.ones((2, len(variables)))
    baseline = Baseline(
        "p", "t", "m", "", variables, reference, ones, 0 * ones, 0, "default", "", 0, ""
    )
    shown = draw(st.sampled_from([SEGMENTS, SEGMENTS[:1], (*SEGMENTS, "g=new")]))
    return baseline, draw(stats(variables, shown)), (at - scale, at + scale / 2)


@given(pairs(), st.sampled_from([0, 1, 30]))
def test_a_plan_gives_what_the_statistics_give_one_by_one(given, min_rows: int) -> None:
    baseline, current, limits = given
    names = [v.name for v in baseline.variables if v.kind is Kind.NUMERIC][:1]
    ranges = dict.fromkeys(names, limits)
    with np.errstate(all="ignore"):
        rows = evaluate(current, baseline, min_rows=min_rows, ranges=ranges)
    columns = StatisticPlan(baseline, min_rows=min_rows, ranges=ranges).columns(current)
    assert [columns.reasons[i] for i in columns.reason] == [r.reason for r in rows]
    for name in ("feature", "segment", "metric"):
        listed = getattr(columns, f"{name}s")
        assert [listed[i] for i in getattr(columns, name)] == [getattr(r, name) for r in rows]
    for name in ("n", "n_reference"):
        assert getattr(columns, name).tolist() == [getattr(r, name) for r in rows]
    for name in FLOATS:
        expected = np.array([getattr(r, name) for r in rows], np.float64)
        np.testing.assert_allclose(getattr(columns, name), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("side", ["window", "reference"])
def test_a_counter_that_numbers_do_not_use_is_part_of_no_distance(baseline, side) -> None:
    """Panes come from a topic: the unseen counter of a number may hold anything."""
    current = SeriesStats.empty(("*",), 1)
    current.counts[0, 0, :3], current.n_rows[0] = (40, 60, 50), 150
    changed = current if side == "window" else baseline.reference
    changed.counts[0, 0, UNSEEN] = 90
    rows = evaluate(current, baseline, min_rows=30)
    columns = StatisticPlan(baseline, min_rows=30, ranges={}).columns(current)
    assert columns.n.tolist() == [r.n for r in rows]
    assert columns.n_reference.tolist() == [r.n_reference for r in rows]
    expected = np.array([r.statistic for r in rows], np.float64)
    np.testing.assert_allclose(columns.statistic, expected, rtol=1e-12)
    by_metric = {r.metric: (r.n, r.n_reference) for r in rows}
    assert by_metric["psi"] == by_metric["total_variation"] == (150, 150)


@pytest.fixture
def baseline() -> Baseline:
    reference = SeriesStats.empty(("*",), 1)
    reference.counts[0, 0, :3], reference.n_rows[0] = 50, 150
    reference.sums[0, 0], reference.sums_sq[0, 0] = 0.0, 100.0
    variable = VariableBaseline("x", Kind.NUMERIC, edges_of(3, 1.5, 0.0), ())
    one = np.ones((1, 1))
    return Baseline("p", "t", "m", "", (variable,), reference, one, 0 * one, 0, "t", "", 0, "")


def test_a_plan_keeps_nothing_from_one_window_to_the_next(baseline: Baseline) -> None:
    plan = StatisticPlan(baseline, min_rows=30, ranges={})
    first = plan.columns(baseline.reference)
    kept = first.statistic.copy()
    assert np.isnan(plan.columns(SeriesStats.empty(("*",), 1)).statistic).all()
    np.testing.assert_array_equal(first.statistic, kept)
    np.testing.assert_array_equal(plan.columns(baseline.reference).statistic, kept)


def test_an_unknown_segment_has_one_row_under_the_whole_model(baseline: Baseline) -> None:
    stats = SeriesStats.empty(("*", "g=new"), 1)
    stats.n_rows[1] = 7
    columns = StatisticPlan(baseline, min_rows=30, ranges={}).columns(stats)
    last = columns.part(len(columns) - 1, len(columns))
    assert (last.features, last.segments, last.metrics) == (("*",), ("g=new",), ("rows",))
    assert last.reasons == (Reason.SEGMENT_UNKNOWN,)
    assert last.n.tolist() == [7]


def test_windows_in_another_layout_and_negative_counts_are_refused(baseline: Baseline) -> None:
    plan = StatisticPlan(baseline, min_rows=30, ranges={})
    with pytest.raises(ShapeError, match="window: counts have shape"):
        plan.columns(SeriesStats.empty(("*",), 2))
    negative = SeriesStats.empty(("*",), 1)
    negative.counts[0, 0, 3] = -1
    with pytest.raises(DomainError, match="a count is -1"):
        plan.columns(negative)


@pytest.mark.parametrize("limits", [(1.0, 0.0), (float("nan"), 1.0)])
def test_a_range_upside_down_is_refused(baseline: Baseline, limits) -> None:
    with pytest.raises(DomainError, match="range is"):
        StatisticPlan(baseline, min_rows=30, ranges={"x": limits})
