"""The guarantee: a cell inside its tolerance fires at most alpha / K per window.

Tested as a guarantee, at alpha = 1/50, with the law of every window at the very
boundary of the null, many runs side by side; and as a practice, on quiet fleets.
"""

from __future__ import annotations

import numpy as np
import pytest

from detectors.decision_rule.decision import (
    Evidence,
    Rule,
    SetLayout,
    cell_sets,
    decide,
    plan_cells,
)
from detectors.decision_rule.design_effect import learned_eps
from schemas.baselines import Kind, VariableBaseline

ALPHA = 1 / 50


def plan_of(p, n_runs, rule, n0=10**9, phi=1.0, learned=0.0):
    variable = VariableBaseline("x", Kind.NUMERIC, np.arange(len(p) + 1.0))
    reference = np.zeros((n_runs, 64), np.int64)
    reference[:, : len(p)] = np.round(n0 * np.asarray(p))
    layout = SetLayout.of([cell_sets(variable, reference[0])] * n_runs)
    return plan_cells(rule, layout, reference, np.full(n_runs, phi), np.full(n_runs, learned))


def alarms(plan, laws, n, rng, cluster=1):
    """Alarms of each run over the windows whose laws are given."""
    evidence = Evidence.start(plan.layout)
    n_runs, total = plan.layout.n_cells, np.zeros(plan.layout.n_cells, np.int64)
    for q in laws:
        counts = np.zeros((n_runs, 64), np.int64)
        counts[:, : len(q)] = cluster * rng.multinomial(n // cluster, q, n_runs)
        total += decide(plan, evidence, counts).has_fired
    return total


P = np.full(10, 0.1)
UP = P + np.r_[0.02, np.zeros(8), -0.02]
"""Every half-line {x <= e} has grown by eps exactly."""


@pytest.mark.parametrize("m", [1, 2])
@pytest.mark.parametrize("n", [100, 1000, 5000])
def test_at_the_boundary_of_the_null_alarms_are_rarer_than_alpha(m, n):
    rule = Rule(alpha=ALPHA, n_cells=1, m=m)
    rng, n_runs, n_windows = np.random.default_rng(m * n), 300, 400
    total = alarms(plan_of(P, n_runs, rule), [UP] * n_windows, n, rng)
    rate = total / n_windows
    upper = rate.mean() + 3 * rate.std() / np.sqrt(n_runs)
    assert upper <= ALPHA
    assert m == 2 or total.sum() > 0  # the bound is not kept by being deaf


def test_a_law_that_wanders_inside_the_null_keeps_the_bound():
    rule = Rule(alpha=ALPHA, n_cells=1, m=1)
    rng = np.random.default_rng(3)
    laws = [UP if w % 3 else UP[::-1] for w in range(400)]
    total = alarms(plan_of(P, 300, rule), laws, 1000, rng)
    assert total.mean() / 400 <= ALPHA


def test_rows_in_identical_tens_keep_the_bound_at_phi_ten_and_break_it_at_one():
    rule = Rule(alpha=ALPHA, n_cells=1, m=1)
    rng = np.random.default_rng(4)
    kept = alarms(plan_of(P, 200, rule, phi=10.0), [UP] * 300, 1000, rng, cluster=10)
    broken = alarms(plan_of(P, 200, rule), [UP] * 300, 1000, rng, cluster=10)
    assert kept.mean() / 300 <= ALPHA < broken.mean() / 300


@pytest.mark.parametrize("n0", [1_000, 10_000])
@pytest.mark.parametrize("n", [200, 5000])
def test_a_quiet_month_of_thirty_cells_is_silent_whatever_the_baseline(n0, n):
    rng = np.random.default_rng(n0 + n)
    rule, k = Rule(alpha=1 / 7300, n_cells=30), 30
    p = np.full(60, 1 / 60)
    variable = VariableBaseline("x", Kind.NUMERIC, np.arange(61.0))
    reference = np.zeros((k, 64), np.int64)
    reference[:, :60] = rng.multinomial(n0, p, k)  # a sample, as a baseline is
    layout = SetLayout.of([cell_sets(variable, row) for row in reference])
    plan = plan_cells(rule, layout, reference, np.ones(k), np.zeros(k))
    assert alarms(plan, [p] * 730, n, rng).sum() == 0


def test_a_diurnal_wobble_is_learned_and_then_silent():
    rng, hours = np.random.default_rng(5), np.arange(400)
    wobble = 0.06 * np.sin(2 * np.pi * hours / 24)
    laws = P + wobble[:, None] * np.r_[1, np.zeros(8), -1]
    past = np.zeros((400, 64), np.int64)
    past[:, :10] = [rng.multinomial(100_000, q) for q in laws]
    total = past.sum(axis=0)
    sets = cell_sets(VariableBaseline("x", Kind.NUMERIC, np.arange(11.0)), total)
    eps = learned_eps(past, sets, total, phi=1.0)
    assert 0.05 < eps < 0.06
    rule = Rule(alpha=1 / 7300, n_cells=20)
    assert alarms(plan_of(P, 20, rule, learned=eps), laws, 100_000, rng).sum() == 0
    assert alarms(plan_of(P, 20, rule), laws, 100_000, rng).sum() > 0
