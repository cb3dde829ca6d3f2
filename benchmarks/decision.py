"""How many cells a second the decision rule judges on one core.

``cells_per_s``: windows of N = 1,000 rows, numeric cells of 20 bins, so 19 edges
on both sides and the four special sets, four bets each: 168 components, base
statistic only. ``cells_per_s_with_rungs``: the same with the three severity rungs,
as :func:`detectors.rule.decision.decide` runs by default (672 components). Half of the
cells hold independent rows of their reference, half are shifted by .3 sd. Both
are whole calls of ``decide``, minimum detectable effects included; each is the
median of the repetitions. ``ratio_numpy``: the base statistic against the same
rule in plain vectorised NumPy (logaddexp and logsumexp), in the same run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from benchmarks.output import Figures, main
from detectors.rule.decision import Evidence, Rule, SetLayout, TolerancePlan, cell_sets, decide
from detectors.rule.tolerance import plan_cells
from schemas.baselines import Kind, VariableBaseline

N_BINS = 20
N_ROWS = 1_000
SHIFT = 0.3


def reference_plan(n_cells: int) -> TolerancePlan:
    reference = np.zeros((n_cells, 64), np.int64)
    reference[:, :N_BINS] = 50_000 // N_BINS
    variable = VariableBaseline("x", Kind.NUMERIC, np.linspace(0.0, 1.0, N_BINS + 1))
    layout = SetLayout.of([cell_sets(variable, reference[0])] * n_cells)
    rule = Rule(alpha=1 / 7300, n_cells=n_cells)
    return plan_cells(rule, layout, reference, np.ones(n_cells), np.zeros(n_cells))


def windows(n_cells: int, n_windows: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(3)
    edges = np.quantile(rng.normal(size=200_000), np.linspace(0, 1, N_BINS + 1)[1:-1])
    shift = np.where(np.arange(n_cells) % 2 == 0, 0.0, SHIFT)
    counts = np.zeros((n_windows, n_cells, 64), np.int64)
    for window in counts:
        for cell in range(n_cells):
            bins = np.searchsorted(edges, rng.normal(shift[cell], 1.0, N_ROWS))
            window[cell, :N_BINS] = np.bincount(bins, minlength=N_BINS)
    return counts


def decide_in_numpy(plan: TolerancePlan, log_ratios: NDArray[np.float64], counts: NDArray) -> None:
    layout = plan.layout
    inside = layout.tally(counts)
    n = counts.sum(axis=1)[layout.cell]
    nats = inside[:, None] * plan.gain[:, :4] + (n - inside)[:, None] * plan.loss[:, :4]
    nats = np.minimum(nats, plan.cap[layout.cell][:, None])
    log_ratios[:] = nats + np.logaddexp(0.0, log_ratios)
    per_cell = log_ratios.reshape(layout.n_cells, -1)
    fired = logsumexp(per_cell, axis=1) - np.log(per_cell.shape[1]) >= plan.rule.threshold
    logsumexp(nats.reshape(layout.n_cells, -1), axis=1)
    per_cell[fired] = -np.inf


def seconds(act: Callable[[NDArray[np.int64]], object], counts: NDArray[np.int64]) -> float:
    laps = []
    for window in counts:
        begin = time.perf_counter()
        act(window)
        laps.append(time.perf_counter() - begin)
    return statistics.median(laps)


def measure(quick: bool) -> Figures:
    n_cells, n_windows = (400, 40) if quick else (2_000, 60)
    plan, counts = reference_plan(n_cells), windows(n_cells, n_windows)
    decide(plan, Evidence.start(plan.layout), counts[0])  # compiled before the clock starts
    base, full = Evidence.start(plan.layout), Evidence.start(plan.layout)
    base_s = seconds(lambda window: decide(plan, base, window, n_rungs=1), counts)
    full_s = seconds(lambda window: decide(plan, full, window), counts)
    log_ratios = np.full((plan.layout.n_sets, 4), -np.inf)
    numpy_s = seconds(lambda window: decide_in_numpy(plan, log_ratios, window), counts[:10])
    return {
        "cells_per_s": n_cells / base_s,
        "cells_per_s_with_rungs": n_cells / full_s,
        "ratio_numpy": numpy_s / base_s,
        "n_cells": n_cells,
        "n_components": 4 * plan.layout.n_sets // n_cells,
        "n_rows": N_ROWS,
    }


if __name__ == "__main__":
    main("cells judged a second by the decision rule, one core", measure)
