"""Products of the most important numeric features over the rows of a reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.kernels.binning import bin_columns, grid_tables
from detectors.multiscale.pairs import MAX_PAIRED, PairCells, pairable, paired_values
from detectors.multiscale.products import product_sums, product_sums_of_parts
from detectors.multiscale.rule import ScaleRule, judge
from detectors.multiscale.state import ScaleState
from monitor.baseline.blocks import Range, time_windows
from monitor.baseline.reference_ticks import MAX_CELL_TICKS, MIN_TICKS, merged_ticks
from monitor.core.drift.ticks.closing import Tick
from monitor.core.windowing.layout import Layout
from schemas.baselines import Baseline, LearnedProducts, ReferenceProducts
from schemas.batch import EventBatch
from schemas.config.model import Importance, ModelConfig
from schemas.time_units import HOUR_US

_RANK: Final = {Importance.HIGH: 0, Importance.MEDIUM: 1, Importance.LOW: 2}
Bins = NDArray[np.uint8]


def reference_products(
    baseline: Baseline, batch: EventBatch, layout: Layout, config: ModelConfig
) -> ReferenceProducts | None:
    """Return the products of every two of the ten most important numeric features.

    Parameters
    ----------
    baseline : Baseline
        With the reference of all rows.
    batch : EventBatch
        The reference's rows.
    layout : Layout
        In which the reference was counted.
    config : ModelConfig
        ``importance`` of features is used; equal ones in the order of the columns.

    Returns
    -------
    ReferenceProducts or None
        None with fewer than two features that have a location.
    """
    counts = baseline.reference.counts[0]
    usable = pairable(baseline.variables, counts)
    ranked = sorted(usable, key=lambda name: _RANK[config.features[name].importance])
    chosen = tuple(ranked[:MAX_PAIRED])
    if len(chosen) < 2:
        return None
    values = paired_values(baseline.variables, counts, chosen)
    return ReferenceProducts(chosen, product_sums(_bins(batch, layout, chosen), values))


def with_learned_products(
    baseline: Baseline, batch: EventBatch, layout: Layout, config: ModelConfig
) -> Baseline:
    """Return a baseline that knows how its products move in the reference's own ticks.

    Parameters
    ----------
    baseline : Baseline
        With products, phi and the number of its windows.
    batch : EventBatch
        The reference's rows, with event times.
    layout : Layout
        In which the reference was counted.
    config : ModelConfig
        ``decision`` is used.

    Returns
    -------
    Baseline
        The same one without products, or with fewer than 24 ticks that have rows.
    """
    hours = baseline.n_reference_windows * config.window.length_us / HOUR_US
    cells = PairCells.of(baseline, hours, config.decision.smallest)
    order, ranges = time_windows(batch.time_us, config.tick_us)
    products = baseline.products
    if products is None or cells is None or len(ranges) < MIN_TICKS:
        return baseline
    ranges = ranges[-max(1, MAX_CELL_TICKS // cells.plan.n_cells) :]
    bins = _bins(batch, layout, cells.features)[:, order]
    state, n_ticks = ScaleState.start(cells.plan), 0
    rule = ScaleRule.of(cells.plan.n_components, tick_us=config.tick_us)
    for tick in merged_ticks(_ticks(cells, bins, batch.time_us[order], ranges, config.tick_us)):
        judge(cells.plan, rule, state, tick.sums, tick.rows, is_firing=False)
        n_ticks += 1
    state.restart()
    arrays = state.components, state.scales, state.cells
    learned = LearnedProducts(config.tick_us, n_ticks, *arrays)
    return replace(baseline, products=replace(products, learned=learned))


def paired_text(baseline: Baseline, config: ModelConfig) -> str:
    """Return which features are paired, and why those; empty without products."""
    if baseline.products is None:
        return ""
    names = baseline.products.features
    own = ", ".join(f"{name} ({config.features[name].importance})" for name in names)
    n_others = len(pairable(baseline.variables, baseline.reference.counts[0])) - len(names)
    text = f"of every two of {own}"
    if n_others:
        text += f"; {n_others} of lower importance, or later in the file, are left out"
    return text


def _bins(batch: EventBatch, layout: Layout, features: tuple[str, ...]) -> Bins:
    """Return the counters of the rows' features, shape (F, n)."""
    columns = [batch.schema.numeric.index(name) for name in features]
    values = np.array([batch.numeric[c] for c in columns])
    return bin_columns(values, grid_tables([layout.grids[c] for c in columns]))


def _ticks(
    cells: PairCells, bins: Bins, time_us: NDArray[np.int64], ranges: list[Range], tick_us: int
) -> Iterator[Tick]:
    """Yield the sums of each range of rows, in order of time."""
    parts: NDArray[np.int32] = np.full(bins.shape[1], -1, np.int32)
    for k, (start, stop) in enumerate(ranges):
        parts[start:stop] = k
    products = product_sums_of_parts(bins, cells.values, parts, len(ranges))
    for k, (start, stop) in enumerate(ranges):
        own = bins[:, start:stop]
        located = np.take_along_axis(cells.values, own.astype(np.int64), axis=1).sum(axis=1)
        sums, rows = cells.sums_of(located, products[k], stop - start)
        start_us = int(time_us[start]) // tick_us * tick_us
        yield Tick(start_us, start_us + tick_us, sums, rows)
