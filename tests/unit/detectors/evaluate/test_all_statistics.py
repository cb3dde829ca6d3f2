"""A window against its baseline: every cell gets a number or a reason."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from detectors.evaluate.all_statistics import Statistic, evaluate, evaluate_fairness
from schemas.baselines import Baseline
from schemas.errors import DomainError, ShapeError
from schemas.panes import SeriesStats
from schemas.results import Reason
from tests.support.binned import Columns, baseline_of, stats_of

NUMERIC = {
    "psi",
    "jensen_shannon",
    "hellinger",
    "total_variation",
    "ks",
    "wasserstein",
    "wasserstein_raw",
    "mean_shift",
    "sd_ratio",
    "missing",
    "out_of_range",
}
CATEGORICAL = {
    "psi",
    "jensen_shannon",
    "hellinger",
    "total_variation",
    "chi_square",
    "l_infinity",
    "missing",
    "unseen",
}


def draw(n: int, shift: float = 0.0, seed: int = 0) -> Columns:
    rng = np.random.default_rng(seed)
    return {
        "amount": rng.normal(shift, 1, n),
        "colour": rng.choice(np.array(["red", "blue", "green"]), n, p=[0.5, 0.3, 0.2]),
        "score": rng.uniform(0, 1, n),
    }


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    return baseline_of({"*": draw(20_000), "g=a": draw(5000, seed=1), "g=b": draw(3000, seed=2)})


def window(baseline: Baseline, **segments: Columns) -> SeriesStats:
    names = {"all_": "*", "a": "g=a", "b": "g=b", "c": "g=c"}
    return stats_of({names[k]: v for k, v in segments.items()}, baseline.variables)


def find(rows: list[Statistic], feature: str, metric: str, segment: str = "*") -> Statistic:
    (row,) = [r for r in rows if (r.feature, r.metric, r.segment) == (feature, metric, segment)]
    return row


def test_each_cell_gets_each_metric_of_its_kind_once(baseline: Baseline) -> None:
    rows = evaluate(window(baseline, all_=draw(1000), a=draw(300), b=draw(200)), baseline)
    for segment in ("*", "g=a", "g=b"):
        for feature, metrics in (("amount", NUMERIC), ("score", NUMERIC), ("colour", CATEGORICAL)):
            got = [r.metric for r in rows if (r.feature, r.segment) == (feature, segment)]
            assert sorted(got) == sorted(metrics)
    assert {r.reason for r in rows} == {Reason.DESCRIPTIVE}
    assert all(type(r.reason) is Reason for r in rows)
    assert all(r.statistic is not None for r in rows)
    assert msgspec.json.decode(msgspec.json.encode(rows), type=list[Statistic]) == rows


def test_a_gaussian_shift_is_the_same_d_in_every_metric(baseline: Baseline) -> None:
    reference = baseline_of({"*": draw(200_000)})
    rows = evaluate(window(reference, all_=draw(200_000, 0.3, seed=5)), reference)
    for metric in ("psi", "jensen_shannon", "hellinger", "total_variation", "ks", "wasserstein"):
        assert find(rows, "amount", metric).effect_size == pytest.approx(0.3, rel=0.06), metric
    assert find(rows, "amount", "mean_shift").statistic == pytest.approx(0.3, abs=0.01)
    assert find(rows, "amount", "sd_ratio").statistic == pytest.approx(1.0, abs=0.01)
    assert find(rows, "score", "psi").effect_size == pytest.approx(0.0, abs=0.03)


def test_without_drift_the_effect_is_not_the_noise_of_few_rows(baseline: Baseline) -> None:
    effects: dict[str, list[float]] = {"psi": [], "jensen_shannon": [], "hellinger": []}
    for seed in range(40):
        rows = evaluate(window(baseline, all_=draw(300, seed=100 + seed)), baseline)
        for metric, seen in effects.items():
            seen.append(find(rows, "amount", metric).effect_size)
    # Uncorrected, the median is sqrt(9 / 300) = .17.
    assert all(np.median(seen) < 0.08 for seen in effects.values())


@pytest.mark.parametrize("far", [-50.0, 50.0])
def test_rows_beyond_either_end_have_their_place_in_the_order(
    baseline: Baseline, far: float
) -> None:
    half = dict(draw(1000))
    half["amount"] = np.where(np.arange(1000) < 500, far, half["amount"])
    rows = evaluate(window(baseline, all_=half), baseline)
    assert find(rows, "amount", "ks").statistic == pytest.approx(0.5, abs=0.03)
    assert find(rows, "amount", "total_variation").statistic == pytest.approx(0.45, abs=0.03)
    assert find(rows, "amount", "mean_shift").statistic == pytest.approx(far / 2, rel=0.02)
    for metric in ("ks", "psi", "wasserstein"):
        assert find(rows, "amount", metric).n == 1000


def test_out_of_bounds_rows_are_counted_and_measured(baseline: Baseline) -> None:
    far = dict(draw(1000))
    far["amount"] = np.where(np.arange(1000) < 100, 50.0, far["amount"])
    rows = evaluate(window(baseline, all_=far), baseline)
    assert find(rows, "amount", "out_of_range").statistic == pytest.approx(0.1)
    moved = find(rows, "amount", "wasserstein_raw")
    assert moved.statistic == pytest.approx(5.0, rel=0.02)
    assert moved.low is not None
    assert moved.high is not None
    assert moved.low <= 5.0 <= moved.high
    high = evaluate(window(baseline, all_=far), baseline, ranges={"amount": (-10.0, 40.0)})
    assert find(high, "amount", "range").statistic == pytest.approx(10.0)
    ignored = evaluate(
        window(baseline, all_=far), baseline, ranges={"colour": (0, 1), "age": (0, 1)}
    )
    assert [r for r in ignored if r.metric == "range"] == []


def test_missing_is_a_category_of_its_own(baseline: Baseline) -> None:
    gone = dict(draw(1000))
    gone["amount"] = np.where(np.arange(1000) < 800, np.nan, gone["amount"])
    gone["colour"] = np.where(np.arange(1000) < 800, "", gone["colour"])
    rows = evaluate(window(baseline, all_=gone), baseline)
    for feature in ("amount", "colour"):
        assert find(rows, feature, "missing").statistic == pytest.approx(0.8)
        assert find(rows, feature, "missing").p_value == pytest.approx(0.0, abs=1e-100)
        assert find(rows, feature, "total_variation").statistic >= 0.8
        assert find(rows, feature, "psi").statistic > 5
    assert find(rows, "amount", "ks").n == 200
    assert find(rows, "amount", "psi").n == 1000
    assert find(rows, "amount", "ks").p_value > 1e-6


def test_an_unseen_category_is_seen(baseline: Baseline) -> None:
    new = dict(draw(1000))
    new["colour"] = np.where(np.arange(1000) < 50, "violet", new["colour"])
    rows = evaluate(window(baseline, all_=new), baseline)
    assert find(rows, "colour", "unseen").statistic == pytest.approx(0.05)
    assert find(rows, "colour", "l_infinity").statistic == pytest.approx(0.05, abs=0.003)
    assert 0 < find(rows, "colour", "chi_square").p_value < 1e-20


def test_a_segment_without_rows_has_no_data(baseline: Baseline) -> None:
    rows = evaluate(window(baseline, all_=draw(1000)), baseline)
    absent = [r for r in rows if r.segment == "g=b"]
    assert len(absent) == 2 * len(NUMERIC) + len(CATEGORICAL)
    assert {(r.reason, r.statistic, r.p_value, r.effect_size, r.n) for r in absent} == {
        (Reason.NO_DATA, None, None, None, 0)
    }


def test_an_empty_window_has_no_data_anywhere(baseline: Baseline) -> None:
    rows = evaluate(SeriesStats.empty(("*",), 3), baseline)
    assert {r.reason for r in rows} == {Reason.NO_DATA}
    assert {r.statistic for r in rows} == {None}


def test_few_rows_get_a_reason_and_no_number(baseline: Baseline) -> None:
    rows = evaluate(window(baseline, all_=draw(29)), baseline)
    assert {(r.reason, r.n) for r in rows if r.segment == "*"} == {(Reason.TOO_FEW_SAMPLES, 29)}
    rows = evaluate(window(baseline, all_=draw(29)), baseline, min_rows=29)
    assert {r.reason for r in rows if r.segment == "*"} == {Reason.DESCRIPTIVE}


def test_all_values_missing_leaves_the_share_and_no_distance(baseline: Baseline) -> None:
    gone = dict(draw(100))
    gone["score"] = np.full(100, np.nan)
    rows = evaluate(window(baseline, all_=gone), baseline)
    assert find(rows, "score", "missing").statistic == 1.0
    for metric in ("ks", "wasserstein", "mean_shift", "sd_ratio"):
        assert find(rows, "score", metric).reason is Reason.NO_DATA
        assert find(rows, "score", metric).statistic is None


def test_an_unknown_segment_is_named_once(baseline: Baseline) -> None:
    rows = evaluate(window(baseline, all_=draw(100), c=draw(60)), baseline)
    unknown = [r for r in rows if r.segment == "g=c"]
    assert unknown == [Statistic("*", "g=c", "rows", None, n=60, reason=Reason.SEGMENT_UNKNOWN)]


def test_a_reference_without_rows_is_no_baseline() -> None:
    empty = baseline_of({"*": draw(500), "g=a": {k: v[:0] for k, v in draw(1).items()}})
    rows = evaluate(window(empty, all_=draw(100), a=draw(100)), empty)
    assert {r.reason for r in rows if r.segment == "g=a"} == {Reason.NO_BASELINE}


def test_a_constant_reference_gets_numbers() -> None:
    constant = baseline_of({"*": {"x": np.full(500, 3.0)}})
    same = evaluate(stats_of({"*": {"x": np.full(50, 3.0)}}, constant.variables), constant)
    assert all(find(same, "x", m).statistic == 0 for m in ("psi", "ks", "wasserstein"))
    moved = evaluate(stats_of({"*": {"x": np.full(50, 4.0)}}, constant.variables), constant)
    assert find(moved, "x", "ks").statistic == 1.0
    assert find(moved, "x", "wasserstein_raw").statistic == pytest.approx(1.0)
    assert find(moved, "x", "out_of_range").statistic == 1.0


def test_only_numeric_or_only_categorical_variables() -> None:
    for name in ("amount", "colour"):
        one = baseline_of({"*": {name: draw(500)[name]}})
        rows = evaluate(stats_of({"*": {name: draw(200)[name]}}, one.variables), one)
        assert {r.metric for r in rows} == (NUMERIC if name == "amount" else CATEGORICAL)


def test_values_of_any_size_stay_finite() -> None:
    rng = np.random.default_rng(1)
    for scale in (1e-300, 1e-9, 1e15, 1e150):
        huge = baseline_of({"*": {"x": rng.normal(0, scale, 500)}})
        stats = stats_of({"*": {"x": rng.normal(0, 2 * scale, 100)}}, huge.variables)
        rows = evaluate(stats, huge)
        for row in rows:
            values = (row.statistic, row.p_value, row.effect_size, row.low, row.high)
            assert all(v is None or np.isfinite(v) for v in values)
        assert find(rows, "x", "wasserstein_raw").statistic > 0


def test_a_window_in_another_layout_is_refused(baseline: Baseline) -> None:
    with pytest.raises(ShapeError, match=r"window: counts have shape \(1, 2, 64\)"):
        evaluate(SeriesStats.empty(("*",), 2), baseline)


def grouped(**groups: tuple[int, int]) -> SeriesStats:
    stats = SeriesStats.empty(("*", *(f"sex={g}" for g in groups), "sexuality=x"), 1)
    for i, (positive, predicted) in enumerate(groups.values(), start=1):
        stats.n_positive[i], stats.n_predicted[i] = positive, predicted
    stats.n_positive[-1], stats.n_predicted[-1] = 1000, 1000
    return stats


def test_parity_compares_the_groups_of_one_attribute_only() -> None:
    rows = evaluate_fairness(grouped(f=(60, 200), m=(150, 300), x=(10, 12)), ("sex",))
    difference = find(rows, "sex", "demographic_parity_difference")
    assert difference.statistic == pytest.approx(0.2)
    assert difference.low is not None
    assert difference.high is not None
    assert 0.1 < difference.low < 0.2 < difference.high < 0.3
    assert difference.p_value < 1e-4
    assert difference.n == 512
    assert find(rows, "sex", "demographic_parity_ratio").statistic == pytest.approx(0.6)
    assert find(rows, "sex", "disparate_impact", "sex=f").statistic == pytest.approx(0.6)
    assert find(rows, "sex", "disparate_impact", "sex=f").effect_size == pytest.approx(-0.2)
    assert find(rows, "sex", "disparate_impact", "sex=m").statistic == 1.0
    small = find(rows, "sex", "disparate_impact", "sex=x")
    assert (small.statistic, small.reason, small.n) == (None, Reason.TOO_FEW_SAMPLES, 12)
    assert find(rows, "sex", "positive_rate", "sex=m").statistic == pytest.approx(0.5)


def test_the_more_groups_the_wider_the_interval_of_the_extreme_pair() -> None:
    two = evaluate_fairness(grouped(f=(60, 200), m=(100, 200)), ("sex",))
    more = evaluate_fairness(grouped(f=(60, 200), m=(100, 200), x=(80, 200)), ("sex",))
    narrow, wide = (find(r, "sex", "demographic_parity_difference") for r in (two, more))
    assert narrow.statistic == wide.statistic
    assert wide.low < narrow.low
    assert wide.high > narrow.high
    assert wide.p_value == pytest.approx(3 * narrow.p_value, rel=1e-9)


def test_one_large_group_cannot_be_compared() -> None:
    rows = evaluate_fairness(grouped(f=(5, 29), m=(150, 300)), ("sex",))
    for metric in ("demographic_parity_difference", "demographic_parity_ratio"):
        row = find(rows, "sex", metric)
        assert (row.statistic, row.reason) == (None, Reason.TOO_FEW_SAMPLES)
    assert find(rows, "sex", "positive_rate", "sex=m").statistic == pytest.approx(0.5)


def test_no_positives_have_a_difference_and_no_ratio() -> None:
    rows = evaluate_fairness(grouped(f=(0, 100), m=(0, 100)), ("sex",))
    assert find(rows, "sex", "demographic_parity_difference").statistic == 0
    ratio = find(rows, "sex", "demographic_parity_ratio")
    assert (ratio.statistic, ratio.reason) == (None, Reason.NO_DATA)
    impact = find(rows, "sex", "disparate_impact", "sex=f")
    assert (impact.statistic, impact.reason) == (None, Reason.NO_DATA)


def test_a_missing_attribute_has_no_data() -> None:
    rows = evaluate_fairness(SeriesStats.empty(("*",), 1), ("sex",))
    assert [(r.metric, r.reason) for r in rows] == [
        ("demographic_parity_difference", Reason.NO_DATA),
        ("demographic_parity_ratio", Reason.NO_DATA),
    ]


def test_more_positives_than_predictions_are_refused() -> None:
    with pytest.raises(DomainError, match="sex=f: 5 positives of 4"):
        evaluate_fairness(grouped(f=(5, 4), m=(1, 100)), ("sex",))


def test_picking_the_extreme_of_many_equal_groups_is_not_called_significant() -> None:
    rng = np.random.default_rng(8)
    n_significant = 0
    for _ in range(300):
        groups = {f"g{i}": (int(rng.binomial(200, 0.3)), 200) for i in range(8)}
        rows = evaluate_fairness(grouped(**groups), ("sex",))
        n_significant += find(rows, "sex", "demographic_parity_difference").p_value < 0.05
    assert n_significant <= 0.05 * 300 + 5 * np.sqrt(300 * 0.05 * 0.95)
