"""The decision rule window by window: what fires, what does not, and what it says."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.decision_rule.decision import (
    Evidence,
    Rule,
    SetLayout,
    alpha_of,
    cell_sets,
    decide,
    plan_cells,
)
from detectors.decision_rule.settings import RARE_BETS
from schemas.baselines import Kind, VariableBaseline
from schemas.errors import DomainError, ShapeError
from schemas.panes import MISSING, UNSEEN
from schemas.results import Reason, Verdict

HOURLY = 1 / 7300


def categorical(shares, n0=50_000, rule=None, n_cells=1, phi=1.0, learned=0.0):
    names = tuple("abcdefgh"[: len(shares)])
    variable = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), names)
    reference = np.zeros((n_cells, 64), np.int64)
    reference[:, : len(shares)] = np.round(np.array(shares) * n0)
    layout = SetLayout.of([cell_sets(variable, reference[0])] * n_cells)
    rule = rule or Rule(alpha=HOURLY, n_cells=20)
    full = np.full(n_cells, 1.0)
    return plan_cells(rule, layout, reference, phi * full, learned * full)


def window(*counts, missing=0, unseen=0):
    row = np.zeros((1, 64), np.int64)
    row[0, : len(counts)] = counts
    row[0, [MISSING, UNSEEN]] = missing, unseen
    return row


def run(plan, *windows):
    evidence = Evidence.start(plan.layout)
    return [decide(plan, evidence, counts) for counts in windows], evidence


@pytest.mark.parametrize("rows", [300, 10_000, 1_000_000_000])
def test_one_bad_window_however_large_fires_nothing(rows):
    plan = categorical([0.7, 0.2, 0.1])
    quiet = window(700, 200, 100)
    seen, _ = run(plan, quiet, quiet, window(0, 0, 0, unseen=rows), *[quiet] * 20)
    assert not any(d.has_fired[0] for d in seen)
    assert seen[2].is_positive[0]


def test_one_bad_window_over_the_threshold_is_called_not_persistent():
    plan = categorical([0.7, 0.2, 0.1], rule=Rule(alpha=1.0, n_cells=1))
    (first, second), _ = run(plan, *[window(200, 200, 600)] * 2)
    assert first.log_m[0] > first.threshold
    assert first.reason_of(0) is Reason.NOT_PERSISTENT
    assert first.verdict_of(0) is Verdict.NORMAL
    assert second.reason_of(0) is Reason.EVIDENCE


def test_a_clear_shift_fires_in_the_second_window_and_names_the_set():
    plan = categorical([0.7, 0.2, 0.1])
    (first, second, third), _ = run(plan, *[window(400, 200, 400)] * 3)
    assert [d.has_fired[0] for d in (first, second, third)] == [False, True, False]
    assert first.reason_of(0) is Reason.ACCUMULATING
    assert second.verdict_of(0) is Verdict.DRIFT
    assert plan.layout.names[second.set_index[0]] in ("land=c", "not land=a")
    assert second.effect[0] == pytest.approx(0.3)
    assert second.n_windows[0] == 2
    assert third.n_windows[0] == 1
    assert second.rung_of(0) == ".125"
    assert first.rung_of(0) == ""


@pytest.mark.parametrize(
    ("moved", "top"), [(0.03, "eps"), (0.035, "eps"), (0.07, ".04"), (0.11, ".08"), (0.2, ".125")]
)
def test_the_rungs_rank_by_size_of_the_shift(moved, top):
    plan = categorical([0.7, 0.2, 0.1])
    n = 100_000
    counts = window(int(n * (0.7 - moved)), n // 5, int(n * (0.1 + moved)))
    seen, _ = run(plan, *[counts] * 12)
    assert {d.rung_of(0) for d in seen if d.has_fired[0]} == {top}


def test_a_rung_on_the_way_keeps_its_evidence_when_the_base_fires():
    plan = categorical([0.7, 0.2, 0.1])
    seen, _ = run(plan, *[window(590, 200, 210)] * 30)
    rungs = [int(d.rung[0]) for d in seen if d.has_fired[0]]
    assert rungs[0] < 2 <= max(rungs)


def test_only_the_cell_that_fired_is_reset():
    plan = categorical([0.7, 0.2, 0.1], n_cells=2)
    bad, quiet = window(400, 200, 400), window(700, 200, 100)
    seen, evidence = run(plan, *[np.vstack([bad, quiet])] * 2)
    alone, beside = run(categorical([0.7, 0.2, 0.1]), *[quiet] * 2)
    assert seen[1].has_fired.tolist() == [True, False]
    half = plan.layout.n_sets // 2
    assert not evidence.ratios[:half, :4].any()
    np.testing.assert_array_equal(evidence.ratios[half:], beside.ratios)
    assert seen[1].log_m[1] == alone[1].log_m[0]


def test_after_firing_it_takes_m_windows_to_fire_again():
    plan = categorical([0.7, 0.2, 0.1])
    seen, _ = run(plan, *[window(400, 200, 400)] * 6)
    assert [bool(d.has_fired[0]) for d in seen] == [False, True] * 3


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_persistence_asks_for_m_positive_windows(m):
    plan = categorical([0.7, 0.2, 0.1], rule=Rule(alpha=HOURLY, n_cells=20, m=m))
    seen, _ = run(plan, *[window(0, 0, 10_000)] * 6)
    assert next(i for i, d in enumerate(seen) if d.has_fired[0]) == m - 1


def test_positive_windows_must_lie_within_2m():
    rule = Rule(alpha=1.0, n_cells=1)
    bad, quiet = window(0, 0, 50), window(35, 10, 5)
    plan = categorical([0.7, 0.2, 0.1], rule=rule)
    near, _ = run(plan, bad, quiet, bad)
    far, _ = run(plan, bad, *[quiet] * 3, bad)
    assert near[2].has_fired[0]
    assert far[4].log_m[0] > far[4].threshold
    assert far[4].reason_of(0) is Reason.NOT_PERSISTENT


def test_a_rare_category_of_one_percent_is_found_in_a_few_windows():
    plan = categorical([0.3] + [0.1] * 7, rule=Rule(alpha=HOURLY, n_cells=50))
    seen, _ = run(plan, *[window(297, *[99] * 7, unseen=10)] * 6)
    first = next(i for i, d in enumerate(seen) if d.has_fired[0]) + 1
    assert 3 <= first <= 4
    assert plan.layout.names[seen[first - 1].set_index[0]] == "unseen"
    assert seen[first - 1].eps[0] == pytest.approx(0.002)


def test_missing_values_are_rows_and_a_set_of_their_own():
    plan = categorical([0.7, 0.2, 0.1])
    (_, second), _ = run(plan, *[window(350, 100, 50, missing=500)] * 2)
    assert second.has_fired[0]
    assert second.n[0] == 1000
    assert plan.layout.names[second.set_index[0]] == "missing"


def test_a_set_is_rare_below_ten_reference_rows():
    plan = categorical([0.9990, 0.0009, 0.0001], n0=10_000)
    names = plan.layout.names
    eps = dict(zip(names, plan.eps_set, strict=True))
    assert eps["land=b"] == pytest.approx(0.002)
    assert eps["land=a"] == pytest.approx(plan.eps[0])
    assert eps["missing"] == pytest.approx(0.002)
    small = categorical([0.5, 0.5], n0=100)
    assert small.eps_set[-1] == pytest.approx(0.07)
    q0, q1 = 0.002, 0.002 + np.array(RARE_BETS)
    np.testing.assert_allclose(plan.gain[names.index("unseen"), :4], np.log(q1 / q0))


def test_a_dead_bet_is_zero_and_still_counted():
    plan = categorical([0.96, 0.04])
    row = plan.layout.names.index("land=a")
    assert (plan.gain[row, :4] != 0).tolist() == [False] * 4  # .98 + .02 is beyond .995 too
    assert plan.cap[0] == pytest.approx(np.log(20 * 4 * 8 * 7300) / 2)


@pytest.mark.parametrize(
    ("n0", "phi", "learned", "eps"),
    [
        (10**9, 1.0, 0.0, 0.02),
        (1000, 1.0, 0.0, np.sqrt(np.log(4000) / 2000)),
        (10_000, 2.0, 0.0, np.sqrt(np.log(4000) / 10_000)),
        (10_000, 1.0, 0.07, 0.07),
    ],
)
def test_eps_is_the_largest_of_floor_baseline_and_learned(n0, phi, learned, eps):
    assert categorical([0.5, 0.5], n0=n0, phi=phi, learned=learned).eps[0] == pytest.approx(eps)


def test_phi_divides_the_evidence():
    shares, counts = [0.7, 0.2, 0.1], window(400, 200, 400)
    plain, _ = run(categorical(shares, n0=10**8), counts)
    clustered = categorical(shares, n0=10**8, phi=10.0)
    np.testing.assert_allclose(clustered.gain * 10, categorical(shares, n0=10**8).gain)
    seen, _ = run(clustered, counts)
    assert seen[0].window_evidence[0] < plain[0].window_evidence[0]


def test_every_silence_has_its_reason():
    plan = categorical([0.7, 0.2, 0.1])
    (none, few, quiet), _ = run(plan, window(), window(7, 2, 1), window(700, 200, 100))
    assert none.reason_of(0) is Reason.NO_DATA
    assert few.reason_of(0) is Reason.TOO_FEW_SAMPLES
    assert quiet.reason_of(0) is Reason.WITHIN_TOLERANCE
    verdicts = [d.verdict_of(0) for d in (none, few, quiet)]
    assert verdicts == [Verdict.NONE, Verdict.NONE, Verdict.NORMAL]
    assert none.set_index[0] == -1
    assert np.isnan(none.p_current[0])


def test_without_a_baseline_nothing_is_judged():
    seen, evidence = run(categorical([0.0, 0.0], n0=1), *[window(0, 500)] * 4)
    assert {d.reason_of(0) for d in seen} == {Reason.NO_BASELINE}
    assert not evidence.ratios.any()


def test_small_windows_gather_evidence_but_a_full_one_has_to_say_it():
    plan = categorical([0.7, 0.2, 0.1])
    seen, _ = run(plan, *[window(0, 0, 20)] * 5, window(0, 0, 30))
    assert not any(d.has_fired[0] for d in seen[:5])
    assert seen[4].log_m[0] > seen[4].threshold
    assert seen[5].has_fired[0]


def test_a_window_at_its_minimum_detectable_effect_reaches_the_cap():
    plan = categorical([0.5, 0.5], n0=10**8)
    evidence = Evidence.start(plan.layout)
    mde = decide(plan, evidence, window(50_000, 50_000)).mde[0]
    row = plan.hardest[0]
    inside = 100_000 * (plan.p_ref[row] + mde)
    nats = inside * plan.gain[row, :4] + (100_000 - inside) * plan.loss[row, :4]
    assert nats.max() == pytest.approx(plan.cap[0])


def test_the_minimum_detectable_effect_is_unknown_where_no_shift_would_do():
    seen, _ = run(categorical([0.5, 0.5]), window(8, 7))
    assert np.isnan(seen[0].mde[0])


def test_judging_a_copy_adds_nothing():
    plan = categorical([0.7, 0.2, 0.1])
    _, evidence = run(plan, window(400, 200, 400))
    before = evidence.to_bytes()
    assert decide(plan, evidence.copy(), window(400, 200, 400)).has_fired[0]
    assert evidence.to_bytes() == before


def test_evidence_saturates_and_does_not_overflow():
    plan = categorical([0.7, 0.2, 0.1], rule=Rule(alpha=HOURLY, n_cells=20, min_rows=100_000))
    seen, evidence = run(plan, *[window(0, 0, 9_999)] * 60)
    assert np.isfinite(evidence.ratios).all()
    assert seen[-1].log_m[0] > 80


def test_an_hourly_model_with_a_tenth_of_a_page_a_month():
    assert alpha_of(3_600_000_000, 0.1) == pytest.approx(HOURLY)
    assert alpha_of(60_000_000, 0.1) == pytest.approx(HOURLY / 60)


@pytest.mark.parametrize(
    "bad",
    [
        {"alpha": 0.0},
        {"alpha": 1.5},
        {"alpha": float("nan")},
        {"n_cells": 0},
        {"m": 0},
        {"m": 9},
        {"eps_floor": 0.5},
        {"min_rows": 0},
        {"alpha": 1e-40},
    ],
)
def test_a_setting_outside_its_domain_is_refused(bad):
    with pytest.raises(DomainError):
        Rule(**{"alpha": HOURLY, "n_cells": 20, **bad})


def test_counts_and_evidence_that_do_not_fit_are_refused():
    plan, other = categorical([0.7, 0.3]), categorical([0.7, 0.2, 0.1])
    with pytest.raises(ShapeError, match="counts of shape"):
        decide(plan, Evidence.start(plan.layout), np.zeros((2, 64), np.int64))
    with pytest.raises(ShapeError, match="evidence of 1 cells and 10 sets"):
        decide(plan, Evidence.start(other.layout), window(1))
    with pytest.raises(ShapeError, match="bytes of evidence"):
        Evidence.from_bytes(Evidence.start(other.layout).to_bytes(), plan.layout)
