"""Acceptance case 8, and the published delays of the default rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from detectors.decision_rule.decision import (
    CellSets,
    Evidence,
    Rule,
    SetLayout,
    cell_sets,
    decide,
    plan_cells,
)
from schemas.baselines import Kind, VariableBaseline

pytestmark = pytest.mark.oracle

N_HALF_LINES = 18


def test_case_8_of_the_acceptance_cases():
    reference, window = np.zeros((2, 1, 64), np.int64)
    reference[0, :10] = 10_000_000
    window[0, :10] = [60, 80, 95, 100, 100, 100, 105, 110, 120, 130]
    every = cell_sets(VariableBaseline("x", Kind.NUMERIC, np.arange(11.0)), reference[0])
    kept = slice(0, N_HALF_LINES)
    sets = CellSets(
        *(every.names[kept], every.first[kept], every.stop[kept]),
        *(every.extra[kept], every.is_complement[kept]),
    )
    layout = SetLayout.of([sets])
    rule = Rule(alpha=1e-20, n_cells=1, m=1)  # a cap of 50 nats is none
    plan = plan_cells(rule, layout, reference, np.ones(1), np.zeros(1))
    assert plan.eps[0] == 0.02
    base = plan.gain[:, :4]
    assert base.size == 72
    assert (base == 0).sum() == 6
    inside = layout.tally(window)[:, None]
    nats = inside * base + (1000 - inside) * plan.loss[:, :4]
    assert nats.max() == pytest.approx(5.343293, abs=5e-7)
    evidence = Evidence.start(layout)
    first, second = (decide(plan, evidence, window) for _ in range(2))
    assert first.window_evidence[0] == pytest.approx(2.422243, abs=5e-7)
    assert first.log_m[0] == pytest.approx(2.422243, abs=5e-7)
    assert second.log_m[0] == pytest.approx(7.175368, abs=5e-7)


def delays(shift_sd: float, n: int, n_runs: int = 200, n_windows: int = 40) -> np.ndarray:
    """Windows from a shift of the mean to the alarm, one run a cell; 0 where none came."""
    rng = np.random.default_rng(11)
    edges = np.quantile(rng.normal(size=400_000), np.linspace(0, 1, 61)[1:-1])
    variable = VariableBaseline("x", Kind.NUMERIC, np.arange(61.0))
    reference = np.zeros((n_runs, 64), np.int64)
    reference[:, :60] = 1000
    layout = SetLayout.of([cell_sets(variable, reference[0])] * n_runs)
    rule = Rule(alpha=1 / 7300, n_cells=50)
    plan = plan_cells(rule, layout, reference, np.ones(n_runs), np.zeros(n_runs))
    p = np.diff(norm.cdf(np.concatenate([[-np.inf], edges, [np.inf]]), loc=shift_sd))
    evidence, found = Evidence.start(layout), np.zeros(n_runs, np.int64)
    for w in range(1, n_windows + 1):
        counts = np.zeros((n_runs, 64), np.int64)
        counts[:, :60] = rng.multinomial(n, p, n_runs)
        fired = decide(plan, evidence, counts).has_fired
        found[fired & (found == 0)] = w
    return found


@pytest.mark.parametrize(
    ("n", "shift_sd", "soonest", "latest"),
    [(1000, 0.2, 2, 4), (1000, 0.3, 2, 2), (1000, 0.5, 2, 2), (5000, 0.1, 3, 9)],
)
def test_delays_are_the_published_ones(n, shift_sd, soonest, latest):
    found = delays(shift_sd, n)
    assert (found > 0).all()
    low, high = np.quantile(found, [0.1, 0.9])
    assert soonest <= low <= high <= latest, np.bincount(found)
