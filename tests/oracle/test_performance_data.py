"""Outcomes of real data: recorded figures of NannyML, fairlearn's rates, delays by class."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from detectors.performance.areas import roc_auc
from detectors.performance.counters import BinaryOutcomes
from detectors.performance.estimated import CalibrationMap, estimated_auc, estimated_confusion
from detectors.performance.grid import balanced_edges, bins_of
from detectors.performance.groups import gap_of, group_outcomes
from detectors.performance.maturity import known_shares
from tests.support.data import SHARED, needs_shared_data

CBPE_AUC = (
    (0.970744, 0.971011, 0.971407, 0.971091, 0.971123),
    (0.961090, 0.961825, 0.961073, 0.962533, 0.961316),
)
"""Of NannyML 0.13.1 on car_loan, chunks of 5,000 rows."""
REALISED_AUC = (
    (0.970962, 0.970248, 0.976282, 0.967721, 0.969886),
    (0.960050, 0.958530, 0.959041, 0.963094, 0.957556),
)


def columns(name, *wanted):
    table = pq.read_table(SHARED / f"{name}.parquet", columns=list(wanted))
    return [table[column].to_numpy(zero_copy_only=False) for column in wanted]


@needs_shared_data
def test_estimates_of_car_loan_are_as_near_as_nannymls():
    labels, scores = columns("car_loan_reference", "repaid", "y_pred_proba")
    edges = balanced_edges(scores, labels)
    reference = BinaryOutcomes.of(labels, scores > 0.5, scores, edges)
    known = CalibrationMap.of(reference.by_score)
    scores, predicted = columns("car_loan_analysis", "y_pred_proba", "y_pred")
    (labels,) = columns("car_loan_analysis_target", "repaid")
    realised, errors, accuracy = np.ravel(REALISED_AUC), [], []
    for chunk in range(10):
        part = slice(chunk * 5_000, (chunk + 1) * 5_000)
        outcomes = BinaryOutcomes.of(labels[part], predicted[part], scores[part], edges)
        assert roc_auc(outcomes.by_score).metric.value == pytest.approx(realised[chunk], abs=5e-4)
        estimate = estimated_auc(outcomes.by_score.sum(axis=0), known).value
        assert estimate == pytest.approx(np.ravel(CBPE_AUC)[chunk], abs=1.5e-3)
        errors.append(abs(estimate - realised[chunk]))
        expected = estimated_confusion(outcomes.counts.sum(axis=0)[:, :-1], known)
        confusion = outcomes.confusion
        accuracy.append(abs(np.trace(expected) - np.trace(confusion)) / confusion.sum())
    assert np.mean(errors) <= 0.0025
    assert np.mean(accuracy) <= 0.004


@needs_shared_data
def test_groups_of_the_census_have_fairlearns_rates():
    year, sex, race, predicted = columns(
        "employment_MA_analysis", "year", "SEX", "RAC1P", "prediction"
    )
    (labels,) = columns("employment_MA_analysis_target", "employed")
    in_2016 = year == 2016

    def confusions(groups):
        names = sorted({str(group) for group in groups[in_2016]})
        where = [in_2016 & (groups.astype(str) == name) for name in names]
        return names, [
            np.bincount(labels[rows].astype(int) * 2 + predicted[rows].astype(int), minlength=4)
            for rows in where
        ]

    names, counts = confusions(sex)
    found = group_outcomes(names, np.reshape(counts, (-1, 2, 2)))
    recall = [found.rates["recall"][name].value for name in names]
    assert recall == pytest.approx([0.867294, 0.854722], abs=5e-7)
    falsely = [found.rates["false_positive_rate"][name].value for name in names]
    assert falsely == pytest.approx([0.181875, 0.235056], abs=5e-7)
    assert found.equalized_odds_difference.value == pytest.approx(0.053181, abs=5e-7)
    assert found.equalized_odds_mean.value == pytest.approx(0.032876, abs=1e-6)
    assert found.gaps["selection_rate"].difference == pytest.approx(0.002535, abs=5e-7)
    assert found.gaps["selection_rate"].ratio == pytest.approx(0.995285, abs=5e-7)

    names, counts = confusions(race)
    found = group_outcomes(names, np.reshape(counts, (-1, 2, 2)))
    assert found.gaps["recall"].difference == pytest.approx(0.027428, abs=5e-7)
    assert set(found.gaps["recall"].left_out) == {"4", "5", "7"}
    assert found.gaps["false_positive_rate"].difference == pytest.approx(0.229627, abs=5e-7)
    # fairlearn compares every group
    assert gap_of(found.rates["recall"], 1).difference == pytest.approx(0.181818, abs=5e-7)
    assert found.gaps["selection_rate"].difference == pytest.approx(0.192574, abs=5e-7)


@needs_shared_data
@pytest.mark.parametrize(
    ("year", "auc"), [(2015, 0.9034), (2016, 0.9020), (2017, 0.9051), (2018, 0.9057)]
)
def test_the_area_of_the_census_is_the_recorded_one(year, auc):
    labels, scores = columns("employment_MA_reference", "employed", "predicted_probability")
    edges = balanced_edges(scores, labels)
    if year > 2015:
        years, scores = columns("employment_MA_analysis", "year", "predicted_probability")
        (labels,) = columns("employment_MA_analysis_target", "employed")
        labels, scores = labels[years == year], scores[years == year]
    found = roc_auc(BinaryOutcomes.of(labels, scores > 0.5, scores, edges).by_score)
    assert found.low <= auc + 5e-5
    assert found.high >= auc - 5e-5
    assert found.metric.value == pytest.approx(auc, abs=2e-4)


def test_weights_by_class_correct_the_precision_of_young_windows():
    rng = np.random.default_rng(1)
    ages_h, n_windows, n = np.array([6.0, 24.0, 96.0, 168.0, 5_000.0]), 80, 4_000
    truth = rng.random((n_windows, n)) < 0.1
    guess = rng.random((n_windows, n)) < np.where(truth, 0.7, 0.05)
    delay = np.where(truth, 150 * rng.weibull(0.8, truth.shape), 20 * rng.weibull(1.2, truth.shape))
    known = delay[:, None] <= ages_h[:, None]
    triangle = np.stack([(known & (truth == c)[:, None]).sum(axis=2) for c in (0, 1)], axis=2)
    learned = known_shares(triangle[:40])
    assert learned.weights(0) is None, "seven of a hundred positives are known"
    for age, naive_bias in ((1, 0.15), (2, 0.1)):
        seen = known[40:, age]
        hits = (seen & truth[40:] & guess[40:]).sum(axis=1)
        alarms = (seen & ~truth[40:] & guess[40:]).sum(axis=1)
        weights = learned.weights(age)
        true = (truth & guess)[40:].sum() / guess[40:].sum()
        naive = hits.sum() / (hits + alarms).sum()
        corrected = np.mean(hits * weights[1] / (hits * weights[1] + alarms * weights[0]))
        assert true - naive > naive_bias
        assert abs(corrected - true) < 0.015


def test_too_few_labels_correct_nothing():
    nan = float("nan")
    assert known_shares([[[29], [290]]]).weights(0) is None
    assert known_shares([[[30], [310]]]).weights(0) is None
    assert known_shares([[[31], [310]]]).weights(0) == pytest.approx([10.0])
    assert known_shares([[[0], [50]]]).weights(0) is None
    assert known_shares([[[50], [nan]]]).weights(0) is None
    assert known_shares([[[50], [nan]]]).weights(1) == pytest.approx([1.0])


def test_bins_of_the_grid_hold_both_classes_evenly():
    rng = np.random.default_rng(2)
    labels = rng.random(100_000) < 0.01
    scores = rng.random(100_000) ** np.where(labels, 0.5, 3)
    edges = balanced_edges(scores, labels)
    counts = [np.bincount(bins_of(scores[labels == c], edges)) for c in (False, True)]
    assert max(counts[0]) <= 1.02 * (~labels).sum() / 64
    assert max(counts[1]) <= 1.1 * labels.sum() / 64 + 1
