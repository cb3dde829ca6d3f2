"""Laws of the statistics: bounds, symmetries, merging."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detectors.evaluate.all_statistics import Statistic, evaluate
from detectors.evaluate.fairness import demographic_parity
from detectors.statistics.chi_square import chi_square
from detectors.statistics.deciles import group_by_quantile
from detectors.statistics.hellinger import hellinger
from detectors.statistics.histogram import atoms, reference_quantiles
from detectors.statistics.intervals import newcombe_interval
from detectors.statistics.jensen_shannon import js_distance, js_divergence
from detectors.statistics.kl import kl
from detectors.statistics.ks import ks, ks_p_value
from detectors.statistics.l_infinity import l_infinity
from detectors.statistics.psi import psi
from detectors.statistics.total_variation import total_variation
from detectors.statistics.wasserstein import Tails, wasserstein, wasserstein_binned
from schemas.panes import N_BINS, OVERFLOW, UNDERFLOW, SeriesStats
from tests.support.binned import baseline_of, count_numbers, quantile_edges, stats_of

N_CATEGORIES = 7
counts = arrays(np.int64, N_CATEGORIES, elements=st.integers(0, 500)).filter(lambda c: c.sum() > 0)
finite = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)
few_valued = st.integers(-4, 4).map(float)
samples = st.one_of(
    st.lists(finite, min_size=1, max_size=80),
    st.lists(few_valued, min_size=1, max_size=80),
    st.lists(st.floats(-1, 1), min_size=1, max_size=80),
).map(np.array)


@given(samples, samples, st.integers(1, N_BINS))
@settings(deadline=None)
def test_ks_of_bins_bounds_ks_of_rows(x: np.ndarray, y: np.ndarray, n_bins: int) -> None:
    edges = quantile_edges(x, n_bins)
    order = np.r_[UNDERFLOW, np.arange(N_BINS), OVERFLOW]
    p, q = count_numbers(x, edges)[order], count_numbers(y, edges)[order]
    rows = ks(*atoms(x, y)[:2])
    assert ks(p, q) <= rows + 1e-12
    assert rows <= ks(p, q) + p.max() / len(x) + 1e-12


@given(samples, samples, st.integers(1, N_BINS))
@settings(deadline=None)
def test_wasserstein_of_rows_is_within_the_bounds_of_bins(
    x: np.ndarray, y: np.ndarray, n_bins: int
) -> None:
    edges = quantile_edges(x, n_bins)
    padded = np.concatenate([edges, np.full(N_BINS + 1 - len(edges), edges[-1])])
    p, q = count_numbers(x, edges), count_numbers(y, edges)
    tails = Tails(q[UNDERFLOW], q[OVERFLOW], y.sum(), y.min(), y.max())
    values = atoms(x, y)
    exact = wasserstein(values.edges, values.reference, values.current)
    rounding = 1e-12 * max(np.abs(x).max(), np.abs(y).max(), 1e-300)
    for known in (None, x.sum()):
        near = wasserstein_binned(padded, p[:N_BINS], q[:N_BINS], tails, sum_reference=known)
        assert near.low - rounding <= exact <= near.high + rounding
        assert near.low <= near.value <= near.high


@given(samples, st.lists(st.floats(1.5, 1e9), min_size=1, max_size=1))
@settings(deadline=None)
def test_one_value_far_out_is_measured_exactly_beyond_the_edge(
    x: np.ndarray, far: list[float]
) -> None:
    edges = quantile_edges(x)
    value = edges[-1] + far[0]
    assume(value > edges[-1])
    q = count_numbers(np.array([value]), edges)
    tails = Tails(q[UNDERFLOW], q[OVERFLOW], np.array(value), np.array(value), np.array(value))
    p = count_numbers(x, edges)[: len(edges) - 1]
    near = wasserstein_binned(edges, p, q[: len(edges) - 1], tails)
    exact = value - x.mean()
    rounding = 1e-9 * max(abs(value), np.abs(x).max())
    assert near.low - rounding <= exact <= near.high + rounding
    assert near.high - near.low <= 2 * (edges[-1] - edges[0]) + rounding
    known = wasserstein_binned(edges, p, q[: len(edges) - 1], tails, sum_reference=x.sum())
    assert known.value == pytest.approx(exact, abs=rounding)


@given(counts, counts)
@settings(deadline=None)
def test_distances_are_symmetric_and_in_their_ranges(p: np.ndarray, q: np.ndarray) -> None:
    ranges = (
        (psi, np.inf),
        (js_distance, np.sqrt(np.log(2))),
        (hellinger, 1.0),
        (total_variation, 1.0),
        (ks, 1.0),
    )
    for distance, most in ranges:
        there, back = float(distance(p, q)), float(distance(q, p))
        assert there == pytest.approx(back, rel=1e-9, abs=1e-12)
        assert -1e-12 <= there <= most + 1e-9
        assert distance(p, p) == pytest.approx(0.0, abs=1e-7)


@given(counts, counts)
@settings(deadline=None)
def test_distances_agree_with_each_other(p: np.ndarray, q: np.ndarray) -> None:
    tv, h = float(total_variation(p, q)), float(hellinger(p, q))
    assert h * h <= tv + 1e-9
    assert tv <= np.sqrt(2) * h + 1e-9
    assert js_divergence(p, q) <= np.log(2) * tv + 1e-9
    assert float(l_infinity(p, q).statistic) <= tv + 1e-12
    assert float(ks(p, q)) <= tv + 1e-12
    both = kl(p, q, convention="exact") + kl(q, p, convention="exact")
    assert psi(p, q, convention="exact") == pytest.approx(both, rel=1e-9, abs=1e-12)


@given(counts, counts, st.permutations(range(N_CATEGORIES)))
@settings(deadline=None)
def test_the_order_of_categories_does_not_matter(
    p: np.ndarray, q: np.ndarray, order: list[int]
) -> None:
    for distance in (psi, kl, js_distance, hellinger, total_variation):
        assert distance(p[order], q[order]) == pytest.approx(float(distance(p, q)), abs=1e-9)
    mixed, straight = chi_square(p[order], q[order]), chi_square(p, q)
    assert mixed.p_value == pytest.approx(straight.p_value, rel=1e-9)


@given(counts, counts, st.integers(2, 50))
@settings(deadline=None)
def test_more_rows_of_the_same_shares_change_the_test_and_not_the_distance(
    p: np.ndarray, q: np.ndarray, times: int
) -> None:
    for distance in (psi, js_distance, hellinger, total_variation, ks):
        assert distance(p * times, q * times) == pytest.approx(float(distance(p, q)), abs=1e-9)
    one, many = (chi_square(p * k, q * k, correction=False) for k in (1, times))
    assert many.statistic == pytest.approx(one.statistic * times, rel=1e-9, abs=1e-9)
    assert many.cramers_v == pytest.approx(float(one.cramers_v), abs=1e-9)


@given(st.floats(0, 1), st.integers(1, 60), st.integers(1, 60))
@settings(deadline=None)
def test_exact_ks_p_value_is_a_falling_probability(d: float, n0: int, n: int) -> None:
    here = ks_p_value(d, n0, n, method="exact")
    more = ks_p_value(min(d + 0.1, 1.0), n0, n, method="exact")
    assert 0 < here <= 1
    assert more <= here + 1e-12


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_deciles_of_sixty_bins_are_the_deciles_of_the_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # 61 quantiles of 6,001 distinct rows are rows themselves.
    x, y = rng.normal(size=6001), rng.normal(0.3, 1.5, 900)
    edges = quantile_edges(x)
    p, q = (count_numbers(sample, edges) for sample in (x, y))
    for c in (p, q):
        c[0] += c[UNDERFLOW]
        c[N_BINS - 1] += c[OVERFLOW]
    groups = group_by_quantile(p[:N_BINS], q[:N_BINS])
    raw = reference_quantiles(x, y)
    # numpy closes its bins on the left: the nine rows on inner edges change sides.
    assert np.abs(groups[0] - raw.reference).max() <= 1
    assert np.array_equal(groups[1], raw.current)


@given(arrays(np.int64, 20, elements=st.integers(0, 40)), st.integers(2, 12))
@settings(deadline=None)
def test_groups_keep_every_row_and_are_never_empty_in_the_reference_alone(
    p: np.ndarray, n_groups: int
) -> None:
    q = np.arange(20)
    before, now = group_by_quantile(p, q, n_groups=n_groups)
    assert (before.sum(), now.sum()) == (p.sum(), q.sum())
    if p.sum():
        assert not ((before == 0) & (now > 0)).any()


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=2, max_size=6),
    st.integers(0, 60),
)
@settings(deadline=None)
def test_parity_is_ordered_and_inside_its_interval(
    pairs: list[tuple[int, int]], min_rows: int
) -> None:
    positive = [x for x, _ in pairs]
    predicted = [x + rest for x, rest in pairs]
    names = [str(i) for i in range(len(pairs))]
    parity = demographic_parity(names, positive, predicted, min_rows=min_rows)
    large = [i for i, n in enumerate(predicted) if n >= max(min_rows, 1)]
    assert (parity.difference is None) == (len(large) < 2)
    if parity.difference is None or parity.difference_interval is None:
        return
    rates = [positive[i] / predicted[i] for i in large]
    assert parity.difference == max(rates) - min(rates)
    interval = parity.difference_interval
    assert interval.low - 1e-12 <= parity.difference <= interval.high + 1e-12
    assert (parity.ratio is None) == (max(rates) == 0)


@given(st.integers(0, 80), st.integers(0, 80), st.integers(0, 80), st.integers(0, 80))
@settings(deadline=None)
def test_newcombes_interval_turns_with_its_groups(x: int, a: int, y: int, b: int) -> None:
    assume(x + a > 0 and y + b > 0)
    there = newcombe_interval(x, x + a, y, y + b)
    back = newcombe_interval(y, y + b, x, x + a)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-12)
    assert -1 - 1e-12 <= there.low <= there.high <= 1 + 1e-12


def merged(a: SeriesStats, b: SeriesStats) -> SeriesStats:
    """Sum of two series with the same segments."""
    return SeriesStats(
        segments=a.segments,
        n_rows=a.n_rows + b.n_rows,
        counts=a.counts + b.counts,
        sums=a.sums + b.sums,
        sums_sq=a.sums_sq + b.sums_sq,
        minima=np.minimum(a.minima, b.minima),
        maxima=np.maximum(a.maxima, b.maxima),
        n_predicted=a.n_predicted + b.n_predicted,
        n_positive=a.n_positive + b.n_positive,
        calibration_counts=a.calibration_counts + b.calibration_counts,
        calibration_sums=a.calibration_sums + b.calibration_sums,
    )


@given(st.integers(0, 2**32 - 1), st.integers(0, 400))
@settings(max_examples=30, deadline=None)
def test_statistics_of_merged_panes_are_those_of_all_rows(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)

    def draw(n: int, mean: float) -> dict[str, np.ndarray]:
        x = rng.normal(mean, 1, n)
        x[rng.random(n) < 0.1] = np.nan
        letters = rng.choice(np.array(["", "a", "b", "c", "new"]), n, p=[0.1, 0.4, 0.3, 0.15, 0.05])
        return {"x": x, "letter": letters}

    known = draw(2000, 0.0)
    known["letter"][known["letter"] == "new"] = "a"
    baseline, window = baseline_of({"*": known}), draw(400, 0.2)
    parts = [{k: v[at] for k, v in window.items()} for at in (slice(cut), slice(cut, None))]
    panes = [stats_of({"*": part}, baseline.variables) for part in parts]
    whole = evaluate(stats_of({"*": window}, baseline.variables), baseline)
    summed = evaluate(merged(panes[0], panes[1]), baseline)

    def key(row: Statistic) -> tuple[object, ...]:
        return row.feature, row.segment, row.metric, row.n, row.n_reference, row.reason

    assert [key(row) for row in whole] == [key(row) for row in summed]
    for one, other in zip(whole, summed, strict=True):
        for mine, theirs in ((one.statistic, other.statistic), (one.p_value, other.p_value)):
            assert (mine is None) == (theirs is None)
            assert (mine or 0.0) == pytest.approx(theirs or 0.0, rel=1e-9, abs=1e-12)
