"""Plans are built once as long as they are kept, and those used last are kept within a bound."""

from __future__ import annotations

import numpy as np

from detectors.decision_rule.decision import Rule, SetLayout, cell_sets, plan_cells
from monitor.core.drift.season_plans import PlanOfHours, SeasonPlans
from schemas.baselines import Kind, VariableBaseline

COUNTS = np.zeros((1, 64), np.int64)
COUNTS[0, :2] = 900, 100
LAND = VariableBaseline("land", Kind.CATEGORICAL, np.empty(0), ("a", "b"))


class Builder:
    """Builds the same plan again and counts how often."""

    def __init__(self) -> None:
        self.n_built = 0

    def __call__(self) -> PlanOfHours:
        self.n_built += 1
        layout = SetLayout.of([cell_sets(LAND, COUNTS[0])])
        rule = Rule(alpha=0.01, n_cells=1)
        return plan_cells(rule, layout, COUNTS, np.ones(1), np.zeros(1)), COUNTS


def n_bytes() -> int:
    plan, reference = Builder()()
    arrays = (plan.gain, plan.loss, plan.p_ref, plan.eps_set, reference)
    return sum(array.nbytes for array in arrays)


def test_a_plan_that_is_kept_is_not_built_again():
    plans, build = SeasonPlans(n_bytes()), Builder()
    first = plans.find("monday", build)
    assert plans.find("monday", build) is first
    assert build.n_built == 1


def test_without_room_every_plan_is_built():
    plans, build = SeasonPlans(), Builder()
    for _ in range(3):
        plans.find("monday", build)
    assert build.n_built == 3


def test_the_plan_that_was_not_used_for_longest_goes_first():
    plans, build = SeasonPlans(2 * n_bytes()), Builder()
    for key in ("monday", "tuesday", "monday", "friday"):
        plans.find(key, build)
    assert build.n_built == 3
    plans.find("monday", build)
    plans.find("friday", build)
    assert build.n_built == 3
    plans.find("tuesday", build)
    assert build.n_built == 4
