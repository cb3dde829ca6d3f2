"""Rows of a world as ticks of components, and the model that its reference gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.laws import Columns, Integers, Law, Stretch
from detectors.decision_rule.edges import quantile_edges
from detectors.kernels.binning import bin_values, make_grid
from detectors.multiscale.components import (
    CellComponents,
    ComponentLayout,
    categorical_components,
    numeric_components,
)
from detectors.multiscale.excursion_watch import ExcursionWatch, learn_excursions
from detectors.multiscale.excursions import reference_kinds
from detectors.multiscale.plan import ScalePlan, block_phi, plan_cells
from detectors.multiscale.products import counter_values, product_sums
from detectors.multiscale.rule import TICK_US, ScaleRule, Verdicts, judge, learn_reference
from detectors.multiscale.seasons import fit_season
from detectors.multiscale.state import ScaleState
from schemas.panes import N_BINS, N_COUNTERS, UNSEEN

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

TICKS_AN_HOUR = 3_600_000_000 // TICK_US
STRETCH_HOURS = 120
SCORE_NOISE = 0.7


@dataclass(frozen=True, slots=True)
class Rows:
    """Columns of a stretch, the score last, and the tick of each row from its first hour."""

    columns: Columns
    tick: Integers
    n_ticks: int


def draw(law: Law, rng: np.random.Generator) -> Drawer:
    """Return what draws stretches of one stream, evenly spaced within their hours."""
    return Drawer(law(rng), rng)


class Drawer:
    """Stretches of one stream; the score is a logistic function of the first two features.

    It is standardised by the figures of the first stretch, the reference, so that it does
    not move by itself.
    """

    def __init__(self, draw_columns: object, rng: np.random.Generator) -> None:
        self._draw = draw_columns
        self.rng = rng
        self._scale: tuple[Floats, Floats] | None = None

    def stretch(self, hours: Integers, n: Integers) -> tuple[Columns, Stretch, Integers]:
        """Return features, their hours, and the tick of each row."""
        rows = Stretch(hours, np.repeat(np.arange(len(hours)), n))
        begin = np.concatenate([[0], np.cumsum(n)])[:-1]
        within = (np.arange(rows.n) - begin[rows.hour]) * TICKS_AN_HOUR // n[rows.hour]
        return self._draw(rows), rows, rows.hour * TICKS_AN_HOUR + within  # type: ignore[operator]

    def with_score(self, features: Columns, is_categorical: bool) -> Columns:
        """Add the score, after any change of the features."""
        first = np.zeros((len(features), 2)) if is_categorical else features[:, :2]
        if self._scale is None:
            self._scale = np.nanmean(first, axis=0), np.nanstd(first, axis=0) + 1e-9
        mean, sd = self._scale
        logit = SCORE_NOISE * np.nan_to_num((first - mean) / sd).sum(axis=1)
        logit += self.rng.normal(0, SCORE_NOISE, len(features))
        return np.column_stack([features, 1 / (1 + np.exp(-logit))])


class Binning:
    """Counters of every column of a model, by the quantiles or categories of its reference."""

    def __init__(self, reference: Columns, n_categorical: int) -> None:
        self.is_numeric = np.arange(reference.shape[1]) >= n_categorical
        self.edges: list[Floats] = []
        """Empty of a categorical column."""
        self.codes: list[Integers] = []
        """Codes of a categorical column, the most frequent first."""
        for is_numeric, column in zip(self.is_numeric, reference.T, strict=True):
            self.edges.append(quantile_edges(column) if is_numeric else np.empty(0))
            codes, n = np.unique([] if is_numeric else column, return_counts=True)
            self.codes.append(codes[np.argsort(-n, kind="stable")].astype(np.int64))

    def components(self, k: int, counts: Counts) -> CellComponents:
        """Components of a column with these counters in the reference."""
        if self.is_numeric[k]:
            return numeric_components(self.edges[k], counts)
        names = [f"c{code}" for code in self.codes[k].tolist()]
        if len(names) > N_BINS:
            names[N_BINS - 1 :] = ["other"]
        return categorical_components(names)

    def bins(self, columns: Columns) -> NDArray[np.uint8]:
        """Counter of every value, shape (V, n)."""
        found = np.empty((columns.shape[1], len(columns)), np.uint8)
        for k, edges in enumerate(self.edges):
            x = columns[:, k]
            if not self.is_numeric[k]:
                counter = np.full(int(max(x.max(), self.codes[k].max())) + 1, UNSEEN)
                counter[self.codes[k]] = np.minimum(np.arange(len(self.codes[k])), N_BINS - 1)
                found[k] = counter[x.astype(np.int64)]
                continue
            bin_values(x, make_grid(edges), found[k])
        return found

    def counts(self, bins: NDArray[np.uint8], tick: Integers, n_ticks: int) -> Counts:
        """Counters by tick, shape (T, V, 64)."""
        found = np.empty((n_ticks, len(bins), N_COUNTERS), np.int64)
        for k, own in enumerate(bins):
            flat = np.bincount(tick * N_COUNTERS + own, minlength=n_ticks * N_COUNTERS)
            found[:, k] = flat.reshape(n_ticks, N_COUNTERS)
        return found


@dataclass(slots=True)
class Model:
    """A model as its reference gives it: cells by column, products of features last."""

    binning: Binning
    layout: ComponentLayout
    plan: ScalePlan
    rule: ScaleRule
    state: ScaleState
    watch: ExcursionWatch

    def ticks(
        self, columns: Columns, tick: Integers, n_ticks: int
    ) -> Iterator[tuple[Floats, Floats]]:
        """Add up each tick of some rows, which are in order of time."""
        return ticks_of(self.binning, self.layout, columns, tick, n_ticks)


def ticks_of(
    binning: Binning, layout: ComponentLayout, columns: Columns, tick: Integers, n_ticks: int
) -> Iterator[tuple[Floats, Floats]]:
    """Add up each tick of some rows, which are in order of time."""
    bins = binning.bins(columns)
    counts = binning.counts(bins, tick, n_ticks)
    bounds = np.searchsorted(tick, np.arange(n_ticks + 1))
    paired = sorted({c for pair in layout.pairs for c in pair})
    values = counter_values([layout.cells[c] for c in paired])
    own = np.ascontiguousarray(bins[paired])
    for t in range(n_ticks):
        part = own[:, bounds[t] : bounds[t + 1]]
        yield layout.add_up(counts[t], product_sums(part, values) if paired else None)


def build(
    reference: Columns,
    tick: Integers | None,
    *,
    n_categorical: int,
    rows_a_tick: float,
    first_hour: int,
) -> Model:
    """Build a model from its reference.

    Parameters
    ----------
    reference : ndarray, shape (n, V)
        Rows, the score last.
    tick : ndarray of int64, shape (n,), or None
        Tick of each row; None for a reference without times, whose blocks of
        ``rows_a_tick`` rows give the design effect only.
    first_hour : int
        Hour of the first tick.
    """
    binning = Binning(reference, n_categorical)
    has_times = tick is not None
    if tick is None:
        tick = (np.arange(len(reference)) / max(1.0, rows_a_tick)).astype(np.int64)
    n_ticks = int(tick[-1]) + 1
    counts = binning.counts(binning.bins(reference), np.zeros_like(tick), 1)[0]
    cells = [binning.components(k, own) for k, own in enumerate(counts)]
    numeric = [k for k in range(len(cells) - 1) if binning.is_numeric[k]]
    layout = ComponentLayout.of(cells, numeric[:10])
    ticks = list(ticks_of(binning, layout, reference, tick, n_ticks))
    sums, rows = (np.stack(found) for found in zip(*ticks, strict=True))
    hours = n_ticks / TICKS_AN_HOUR if has_times else 0.0
    plan = plan_cells(layout, sums.sum(axis=0), rows.sum(axis=0), hours=hours)
    watch = ExcursionWatch()
    plan = plan.with_phi(block_phi(plan, sums, rows))
    rule = ScaleRule.of(plan.n_components)
    hour = first_hour + np.arange(n_ticks) // TICKS_AN_HOUR
    if has_times:
        plan = fit_season(plan, sums, rows, slots(hour), hour // 24)
    state = ScaleState.start(plan)
    if has_times:
        learn_reference(plan, rule, state, sums, rows, slots(hour))
        seen = learn_excursions(plan, rule, state, ticks, slots(hour).tolist())
        watch = ExcursionWatch(reference_kinds(seen, hours))
    return Model(binning, layout, plan, rule, state, watch)


def slots(hour: Integers) -> Integers:
    """Slot of hours since a Monday."""
    return hour % 24 + 24 * (hour // 24 % 7 >= 5)


def judged(
    model: Model, columns: Floats, tick: Integers, hours: Integers
) -> Iterator[tuple[Verdicts, tuple[Floats, Floats]]]:
    """Judge a stretch of a stream tick by tick; yields verdicts, sums and rows."""
    n_ticks = len(hours) * TICKS_AN_HOUR
    slot = np.repeat(slots(hours), TICKS_AN_HOUR).tolist()
    for t, own in enumerate(model.ticks(columns, tick, n_ticks)):
        verdicts = judge(model.plan, model.rule, model.state, *own, slot[t])
        yield model.watch.follow(model.plan, model.rule, model.state, verdicts, slot[t]), own
