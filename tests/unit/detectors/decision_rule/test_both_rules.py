"""The decision through one call, for windows under rule 1 and ticks under rule 2."""

from __future__ import annotations

import numpy as np
import pytest

from detectors import Evidence, TickPlan, decide, plan_baseline
from detectors.multiscale.rule import ScaleRule
from schemas.errors import DomainError, ShapeError
from tests.support.worlds.backtest import small_baseline

N_TICKS = 60
SHIFTED = 30
"""The tick in which half of the rows of the first variable move to one bin."""


@pytest.fixture(scope="module")
def baseline():
    return small_baseline()


def counts_of(baseline, shifted, rows=100):
    """Rows in the shares of the reference; of the first cell half of them in one bin."""
    reference = baseline.reference.counts.reshape(-1, 64)
    found = np.round(reference / reference.sum(axis=1, keepdims=True).clip(1) * rows)
    counts = found.astype(np.int64)
    if shifted:
        counts[0] //= 2
        counts[0, 5] += rows // 2
    return counts


def test_rule_2_finds_in_ticks_what_rule_1_finds_in_windows(baseline):
    plans = {rule: plan_baseline(rule, baseline) for rule in (1, 2)}
    states = {1: Evidence.start(plans[1].layout), 2: plans[2].start()}
    for rule, plan in plans.items():
        found = [
            decide(plan, states[rule], counts_of(baseline, t >= SHIFTED), rule=rule)
            for t in range(N_TICKS)
        ]
        fired = [bool((v.has_opened if rule == 2 else v.has_fired)[0]) for v in found]
        assert SHIFTED <= fired.index(True) <= SHIFTED + 3
        others = [(v.has_opened if rule == 2 else v.has_fired)[1:].any() for v in found]
        assert not any(others)


def test_settings_of_rule_2_are_those_of_its_plan(baseline):
    plan = TickPlan.of(baseline, budget=1.0, tick_us=60_000_000)
    rule = ScaleRule.of(plan.layout.n_components, 1.0, 60_000_000)
    assert plan.rule.thresholds.tolist() == rule.thresholds.tolist()


def test_a_plan_of_the_other_rule_is_refused(baseline):
    one, two = plan_baseline(1, baseline), plan_baseline(2, baseline)
    counts = counts_of(baseline, shifted=False)
    with pytest.raises(DomainError, match="the plan is of rule 2"):
        decide(two, two.start(), counts, rule=1)
    with pytest.raises(DomainError, match="evidence of the other rule"):
        decide(one, two.start(), counts)
    with pytest.raises(DomainError, match="pass 1 or 2"):
        plan_baseline(3, baseline)
    with pytest.raises(ShapeError, match="counts of shape"):
        decide(two, two.start(), counts[:1])
