"""How many cells a second the decision rule judges on one core.

``cells_per_s``: windows of N = 1,000 rows, numeric cells of 20 bins, so 19 edges
on both sides and the four special sets, four bets each: 168 components, base
statistic only. ``cells_per_s_with_rungs``: the same with the three severity rungs,
as :func:`detectors.decision_rule.decision.decide` runs by default (672 components). Half of the
cells hold independent rows of their reference, half are shifted by .3 sd. Both
are whole calls of ``decide``, minimum detectable effects included; each is the
median of the repetitions. ``ratio_numpy``: the base statistic against the same
rule in plain vectorised NumPy (logaddexp and logsumexp), in the same run.

``rule2_cell_ticks_per_s``: of :func:`detectors.multiscale.rule.judge`, numeric cells of 27
components in ticks of 83 rows, learning on, whole calls; ``_categories60`` the same for 60
categories (62 components). ``rule2_components_per_s``: cells a second whose counters are
turned into components. ``rule2_state_bytes_*``: state of a cell.
``rule2_rebuild_14d_1000_cells_s``: CPU seconds in which the state of 1,000 numeric cells is
rebuilt from the counters of 14 days of ticks; ``--quick`` takes a day of them, times 14.
``onset_ms``: the search for the beginning over 32 days of stored ticks, six time constants of
the longest scale.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from benchmarks.output import Figures, main
from detectors.decision_rule.decision import (
    Evidence,
    Rule,
    SetLayout,
    TolerancePlan,
    cell_sets,
    decide,
)
from detectors.decision_rule.tolerance import plan_cells
from detectors.multiscale.components import (
    CellComponents,
    ComponentLayout,
    categorical_components,
    numeric_components,
)
from detectors.multiscale.onset import look_back_ticks, onset
from detectors.multiscale.plan import plan_cells as plan_scales
from detectors.multiscale.rule import ScaleRule, judge
from detectors.multiscale.state import ScaleState
from schemas.baselines import Kind, VariableBaseline

N_BINS = 20
N_ROWS = 1_000
N_TICK_ROWS = 83
"""1,000 rows an hour in ticks of 5 minutes."""
SHIFT = 0.3
REBUILT_CELLS, REBUILT_TICKS = 1_000, 14 * 288


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


def scale_figures(n_cells: int, n_ticks: int, n_rebuilt: int) -> dict[str, float | int]:
    """Throughput, state, rebuild and onset of the multi-scale rule."""
    reference = np.zeros(64, np.int64)
    reference[:60] = 20_000 // 60
    numeric = numeric_components(np.arange(61.0), reference)
    categories = categorical_components([f"c{i}" for i in range(60)])
    numbers = scale_speed(numeric, reference, n_cells, n_ticks)
    names = scale_speed(categories, reference, n_cells // 2, n_ticks)
    return {
        "rule2_cell_ticks_per_s": numbers[0],
        "rule2_cell_ticks_per_s_categories60": names[0],
        "rule2_components_per_s": numbers[1],
        "rule2_state_bytes_numeric": numbers[2],
        "rule2_state_bytes_categories60": names[2],
        "rule2_rebuild_14d_1000_cells_s": rebuild_s(n_rebuilt),
        "onset_ms": onset_ms(),
    }


def scale_speed(
    cell: CellComponents, reference: NDArray[np.int64], n_cells: int, n_ticks: int
) -> tuple[float, float, int]:
    """Cell-ticks a second, cells added up a second, bytes of a cell."""
    layout = ComponentLayout.of([cell] * n_cells)
    plan = plan_scales(layout, *layout.add_up(np.tile(reference, (n_cells, 1))))
    rule, state = ScaleRule.of(342), ScaleState.start(plan)
    rng = np.random.default_rng(4)
    counts = rng.multinomial(N_TICK_ROWS, reference / reference.sum(), (10, n_cells))
    ticks = [layout.add_up(own) for own in counts]
    for tick in ticks:  # compiled before the clock starts
        judge(plan, rule, state, *tick)
    begin = time.process_time()  # the mean, because ticks that are learned cost more
    for t in range(n_ticks):
        judge(plan, rule, state, *ticks[t % len(ticks)])
    judging_s = (time.process_time() - begin) / n_ticks
    adding_s = seconds(layout.add_up, counts)
    size = state.n_bytes - state.model.nbytes
    return n_cells / judging_s, n_cells / adding_s, size // n_cells


def rebuild_s(n_ticks: int) -> float:
    """CPU seconds to rebuild 1,000 numeric cells from 14 days of counters."""
    reference = np.zeros(64, np.int64)
    reference[:60] = 20_000 // 60
    layout = ComponentLayout.of([numeric_components(np.arange(61.0), reference)] * REBUILT_CELLS)
    plan = plan_scales(layout, *layout.add_up(np.tile(reference, (REBUILT_CELLS, 1))))
    rule, state = ScaleRule.of(plan.n_components), ScaleState.start(plan)
    rng = np.random.default_rng(6)
    counts = rng.multinomial(N_TICK_ROWS, reference / reference.sum(), (10, REBUILT_CELLS))
    judge(plan, rule, state, *layout.add_up(counts[0]))  # compiled before the clock starts
    begin = time.process_time()
    for t in range(n_ticks):
        judge(plan, rule, state, *layout.add_up(counts[t % len(counts)]))
    return (time.process_time() - begin) * REBUILT_TICKS / n_ticks


def onset_ms() -> float:
    """Median time of a search over the longest stretch."""
    rng = np.random.default_rng(5)
    n_ticks = look_back_ticks(5, 1 / 12)
    rows = np.full(n_ticks, float(N_TICK_ROWS))
    shares = np.where(np.arange(n_ticks) < 9_000, 0.05, 0.06)
    counts = rng.binomial(N_TICK_ROWS, shares, (20, n_ticks))

    def search(own: NDArray[np.int64]) -> object:
        return onset(own.astype(float), rows, 0.05, is_share=True, n_reference=3e5)

    search(counts[0])
    return 1e3 * seconds(search, counts)


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
        **scale_figures(
            200 if quick else 1_000,
            300 if quick else 600,
            REBUILT_TICKS // 14 if quick else REBUILT_TICKS,
        ),
    }


if __name__ == "__main__":
    main("cells judged a second by the decision rule, one core", measure)
