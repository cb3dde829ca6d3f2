"""Laws of outcome counters and of the evidence on them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import binom

from detectors.performance.counters import BinaryOutcomes
from detectors.performance.label_given_score import MeaningOfScores, label_log_evidence
from detectors.performance.paired import paired_log_evidence
from detectors.performance.regression import RegressionOutcomes
from detectors.performance.two_samples import log_evidence, projected
from schemas.errors import DomainError, ShapeError

ROWS = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.floats(-1, 2) | st.just(float("nan"))), max_size=60
)
RATES = st.floats(0.01, 0.99)


@given(ROWS, st.integers(0, 60))
def test_counters_of_parts_add_up_to_those_of_the_whole(rows, cut):
    edges = np.array([0.2, 0.5, 0.9])

    def counted(part):
        columns = zip(*part, strict=True) if part else ([], [], [])
        return BinaryOutcomes.of(*columns, edges)

    whole, parts = counted(rows), counted(rows[:cut]) + counted(rows[cut:])
    assert np.array_equal(whole.counts, parts.counts)
    assert whole.calibration == pytest.approx(parts.calibration, abs=1e-12)
    assert whole.sums == pytest.approx(parts.sums, abs=1e-9)
    assert whole.counts.sum() == len(rows)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), max_size=40))
def test_sums_of_parts_add_up_to_those_of_the_whole(rows):
    def summed(part):
        return RegressionOutcomes.of([y for y, _ in part], [p for _, p in part])

    whole, parts = summed(rows), summed(rows[:7]) + summed(rows[7:])
    for name in RegressionOutcomes.__slots__:
        assert getattr(whole, name) == pytest.approx(getattr(parts, name), rel=1e-9, abs=1e-6)


@given(st.integers(1, 40), st.integers(1, 40), RATES, RATES, st.floats(0, 0.3), RATES)
def test_two_samples_evidence_is_valid_everywhere_in_the_null(n_a, n_b, q_a, q_b, c, where):
    """Exactly: the mean over all outcomes, on the null's border and within it."""
    if q_a - q_b <= c:
        assert log_evidence(0, n_a, n_b, n_b, q_a, q_b, c) == 0
        return
    k_a, k_b = np.meshgrid(np.arange(n_a + 1), np.arange(n_b + 1), indexing="ij")
    logs = log_evidence(k_a, n_a, k_b, n_b, q_a, q_b, c)
    for gap in (c, c / 2, -c):
        p_b = max(0.0, -gap) + where * (1 - abs(gap))
        chances = binom.logpmf(k_a, n_a, p_b + gap) + binom.logpmf(k_b, n_b, p_b)
        assert logsumexp(logs + chances) <= 1e-9


@given(st.integers(1, 5_000), st.integers(1, 5_000), RATES, RATES, st.floats(0, 0.3))
def test_the_projection_is_the_nearest_point_of_the_border(n_a, n_b, q_a, q_b, c):
    def divergence(t):
        pairs = ((n_a, q_a, t + c), (n_b, q_b, t))
        return sum(n * (q * math.log(q / s) + (1 - q) * math.log((1 - q) / (1 - s)))
                   for n, q, s in pairs)  # fmt: skip

    point = projected(n_a, n_b, q_a, q_b, c)
    assert point.a - point.b == pytest.approx(c, abs=1e-12)
    best = divergence(float(point.b))
    for t in np.linspace(1e-3, 1 - c - 1e-3, 50):
        assert best <= divergence(t) + 1e-9 * (1 + abs(best))


@given(st.integers(1, 25), RATES, st.floats(0, 0.2), st.floats(0, 1))
def test_paired_evidence_has_a_mean_of_at_most_one(n, p_differ, tolerance, share):
    """Growth of the error rate equal to the tolerance, or none."""
    for growth in (min(tolerance, p_differ), 0.0, -p_differ * share):
        worse, better = (p_differ + growth) / 2, (p_differ - growth) / 2
        logs, chances = [], []
        for k in range(n + 1):
            for j in range(n + 1 - k):
                logs.append(float(paired_log_evidence(k, n - k - j, j, tolerance=tolerance)))
                first = binom.logpmf(k, n, worse)
                left = better / (1 - worse) if worse < 1 else 0.0
                chances.append(first + binom.logpmf(j, n - k, left))
        assert logsumexp(np.array(logs) + np.array(chances)) <= 1e-9


@given(st.integers(1, 12), st.integers(0, 12), RATES, RATES)
def test_labels_within_the_tolerance_give_no_evidence_on_average(n_low, n_high, low, high):
    reference = np.round(
        np.array([[5_000 * (1 - low), 800 * (1 - high)], [5_000 * low, 800 * high]])
    )
    meaning = MeaningOfScores.of(reference.astype(np.int64), n_cells=10)
    k, j = np.meshgrid(np.arange(n_low + 1), np.arange(n_high + 1), indexing="ij")
    counts = np.stack([np.stack([n_low - k, n_high - j], -1), np.stack([k, j], -1)], -2)
    logs = label_log_evidence(counts, meaning)
    for sign in (-1, 0, 1):
        p = np.clip(meaning.shares + sign * meaning.tolerances, 0, 1)
        chances = binom.logpmf(k, n_low, p[0]) + binom.logpmf(j, n_high, p[1])
        assert logsumexp(logs + chances) <= 1e-9


def test_a_shift_of_the_scores_alone_is_no_evidence():
    meaning = MeaningOfScores.of([[9_000, 1_000], [1_000, 9_000]], n_cells=10)
    assert label_log_evidence([[90, 500], [10, 4_500]], meaning) < 0
    assert label_log_evidence([[90, 1_000], [10, 4_000]], meaning) > 5


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: log_evidence(1, 2, 1, 2, 0.0, 0.5, 0.0),
        lambda: log_evidence(3, 2, 1, 2, 0.6, 0.5, 0.0),
        lambda: projected(1, 1, 0.5, 0.5, 1.0),
        lambda: paired_log_evidence(1, -1, 0, tolerance=0.0),
        lambda: paired_log_evidence(1, 1, 0, tolerance=-0.1),
        lambda: MeaningOfScores.of([[1], [1]], n_cells=0),
    ],
)
def test_what_is_no_bet_is_refused(wrong):
    with pytest.raises(DomainError):
        wrong()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: BinaryOutcomes.of([1], [1, 0], [0.5], np.zeros(0)),
        lambda: RegressionOutcomes.of([1.0], [1.0, 2.0]),
        lambda: MeaningOfScores.of([1, 2], n_cells=1),
        lambda: label_log_evidence([[1], [1]], MeaningOfScores.of([[1, 1], [1, 1]], n_cells=1)),
    ],
)
def test_arrays_of_other_shapes_are_refused(wrong):
    with pytest.raises(ShapeError):
        wrong()
