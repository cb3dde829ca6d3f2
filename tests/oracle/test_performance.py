"""Metrics of outcomes against scikit-learn, over the rows the counters were made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from detectors.performance.areas import average_precision, roc_auc
from detectors.performance.calibration import calibration
from detectors.performance.confusion import confusion_metrics
from detectors.performance.counters import BinaryOutcomes
from detectors.performance.grid import balanced_edges, bins_of
from detectors.performance.regression import RegressionOutcomes, regression_metrics

NAMES = {
    "accuracy": sk.accuracy_score,
    "precision": sk.precision_score,
    "recall": sk.recall_score,
    "f1": sk.f1_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "matthews": sk.matthews_corrcoef,
}


def rows(seed, rate, n):
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < rate
    scores = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.9 * labels - 2)))
    return labels, scores


@pytest.mark.parametrize("rate", [0.5, 0.05, 0.02])
def test_rates_and_losses_are_those_of_sklearn(rate):
    labels, scores = rows(1, rate, 20_000)
    outcomes = BinaryOutcomes.of(labels, scores > 0.3, scores, np.array([0.5]))
    found = confusion_metrics(outcomes.confusion)
    for name, oracle in NAMES.items():
        assert found[name].value == pytest.approx(oracle(labels, scores > 0.3), abs=1e-9), name
    quality = calibration(outcomes)
    assert quality.brier.value == pytest.approx(sk.brier_score_loss(labels, scores), abs=1e-9)
    assert quality.log_loss.value == pytest.approx(sk.log_loss(labels, scores), abs=1e-6)


@pytest.mark.parametrize(("rate", "n"), [(0.5, 100_000), (0.05, 100_000), (0.002, 2_000_000)])
def test_areas_are_near_sklearn_and_within_their_bounds(rate, n):
    labels, scores = rows(2, rate, n)
    edges = balanced_edges(*reversed(rows(3, rate, n)))
    outcomes = BinaryOutcomes.of(labels, scores > 0.5, scores, edges)
    auc, precision = roc_auc(outcomes.by_score), average_precision(outcomes.by_score)
    true_auc, true_ap = sk.roc_auc_score(labels, scores), sk.average_precision_score(labels, scores)
    assert auc.low <= true_auc <= auc.high
    assert abs(auc.metric.value - true_auc) < 5e-4
    assert precision.low <= true_ap <= precision.high
    assert abs(precision.metric.value - true_ap) <= 0.005


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=8),
    st.integers(0, 2**32 - 1),
)
def test_bounds_hold_any_order_of_rows_within_bins(bins, seed):
    counts = np.array(bins).T
    positives, negatives = counts[1].sum(), counts[0].sum()
    rng = np.random.default_rng(seed)
    labels, scores = [], []
    for b, (n, p) in enumerate(bins):
        order = rng.permutation(n + p)
        labels += [*[0] * n, *[1] * p]
        scores += [b + (i + 1) / 100 for i in order]
    auc, precision = roc_auc(counts), average_precision(counts)
    if positives and negatives:
        assert auc.low - 1e-12 <= sk.roc_auc_score(labels, scores) <= auc.high + 1e-12
        assert auc.low <= auc.metric.value <= auc.high
    else:
        assert auc.metric.value is None
        assert auc.metric.reason
    if positives:
        true = sk.average_precision_score(labels, scores)
        assert precision.low - 1e-9 <= true <= precision.high + 1e-9
        assert precision.low - 1e-9 <= precision.metric.value <= precision.high + 1e-9


def test_scores_with_few_values_give_the_exact_area():
    rng = np.random.default_rng(4)
    labels = rng.random(5_000) < 0.3
    scores = np.round(np.clip(rng.normal(0.3 + 0.3 * labels, 0.2), 0, 1), 1)
    edges = balanced_edges(scores, labels)
    outcomes = BinaryOutcomes.of(labels, scores > 0.5, scores, edges)
    # every value that a quantile falls on ends a bin; the others share one
    assert roc_auc(outcomes.by_score).metric.value == pytest.approx(
        sk.roc_auc_score(labels, bins_of(scores, edges)), abs=1e-12
    )


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_errors_of_numbers_are_those_of_sklearn(scale):
    rng = np.random.default_rng(5)
    labels = rng.lognormal(size=4_000) * scale
    predictions = labels * rng.lognormal(0, 0.2, 4_000)
    found = regression_metrics(RegressionOutcomes.of(labels, predictions))
    for name, oracle in {
        "mae": sk.mean_absolute_error(labels, predictions),
        "mse": sk.mean_squared_error(labels, predictions),
        "rmse": math.sqrt(sk.mean_squared_error(labels, predictions)),
        "r2": sk.r2_score(labels, predictions),
        "mape": sk.mean_absolute_percentage_error(labels, predictions),
        "msle": sk.mean_squared_log_error(labels, predictions),
    }.items():
        assert found[name].value == pytest.approx(oracle, rel=1e-9), name


def test_a_label_of_0_leaves_the_relative_error_alone():
    found = regression_metrics(RegressionOutcomes.of([0.0, 2.0], [5.0, 3.0]))["mape"]
    assert (found.value, found.n) == (0.5, 1)


def test_delong_has_the_variance_of_the_area_over_samples():
    areas, variances = [], []
    for seed in range(300):
        labels, scores = rows(seed, 0.3, 400)
        edges = np.linspace(0, 1, 64)[1:-1]
        found = roc_auc(BinaryOutcomes.of(labels, scores > 0.5, scores, edges).by_score).metric
        areas.append(found.value)
        variances.append(((found.interval.high - found.interval.low) / 2 / 1.959964) ** 2)
    assert np.mean(variances) / np.var(areas) == pytest.approx(1, abs=0.25)


def test_parts_of_brier_add_up():
    labels, scores = rows(6, 0.3, 10_000)
    found = calibration(BinaryOutcomes.of(labels, scores > 0.5, np.round(scores, 1), np.zeros(0)))
    total = found.reliability - found.resolution + found.uncertainty + found.within_bins
    assert total == pytest.approx(found.brier.value, abs=1e-12)
    # rounded to .1, and bins of .05: the scores of one bin are equal
    assert found.within_bins == pytest.approx(0, abs=1e-12)
