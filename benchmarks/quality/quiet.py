"""Incidents of the multi-scale rule in worlds in which nothing is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.quality.counter_streams import HOURS_A_MONTH
from benchmarks.quality.laws import Columns, Integers
from benchmarks.quality.ticks import STRETCH_HOURS, TICKS_AN_HOUR, build, draw, judged
from benchmarks.quality.worlds import LEAST_MONTHS, World
from detectors.multiscale.rule import Verdicts

JOB_VALUE = 0.37
REOPENING_HOURS = 48
TOGETHER_HOURS = 2


@dataclass(frozen=True, slots=True)
class QuietRun:
    """One model of one world."""

    months: float
    n_incidents: int
    """Alerts of cells; one that re-opens within 48 h of its close is the same."""
    n_together: int
    """Cells whose alerts open within 2 h are one."""
    n_reopened: int
    open_share: float
    """Of cell-ticks."""
    most_a_cell: int | None = None
    """Alerts of the cell that had most, those that re-opened left out; None of older runs."""


@dataclass(frozen=True, slots=True)
class QuietRate:
    """All models of one world."""

    world: World
    runs: tuple[QuietRun, ...]

    @property
    def months(self) -> float:
        """Model-months."""
        return sum(r.months for r in self.runs)

    @property
    def n_incidents(self) -> int:
        """Incidents of cells."""
        return sum(r.n_incidents for r in self.runs)

    @property
    def n_counted(self) -> int:
        """Incidents that the bar of the world is of: cells, or the model."""
        if self.world.counts_models:
            return sum(r.n_together for r in self.runs)
        return self.n_incidents

    @property
    def per_month(self) -> float:
        """Incidents a model and month."""
        return self.n_counted / self.months

    @property
    def is_met(self) -> bool:
        """Whether the rate is within the bar, and surely: with 36 months also its upper bound."""
        is_sure = self.months < LEAST_MONTHS or self.interval[1] <= self.world.upper_bar
        return is_sure and self.per_month <= self.world.bar * (1 + 1e-9)

    @property
    def interval(self) -> tuple[float, float]:
        """Exact 95 % Poisson interval of the rate (Garwood 1936)."""
        n = self.n_counted
        low = float(stats.chi2.ppf(0.025, 2 * n)) / 2 / self.months if n else 0.0
        return low, float(stats.chi2.ppf(0.975, 2 * n + 2)) / 2 / self.months

    @property
    def n_fired(self) -> int:
        """Models with an incident."""
        return sum(r.n_incidents > 0 for r in self.runs)


def quiet_run(world: World, seed: int, days: int | None = None) -> QuietRun:
    """Run the rule over one model of a world."""
    rng = np.random.default_rng(seed)
    drawer = draw(world.law, rng)
    hours = np.arange(-world.reference_hours, 0)
    n = world.rows(hours)
    features, _, tick = drawer.stretch(hours, n)
    if world.is_shuffled:
        features = features[rng.permutation(len(features))]
    model = build(
        drawer.with_score(features, world.is_categorical),
        tick if world.has_times else None,
        n_categorical=features.shape[1] if world.is_categorical else 0,
        rows_a_tick=float(n.mean()) / TICKS_AN_HOUR,
        first_hour=-world.reference_hours,
    )
    incidents = Incidents(model.plan.n_cells)
    last = 24 * (world.days if days is None else days)
    t = 0
    for begin in range(0, last, STRETCH_HOURS):
        hours = np.arange(begin, min(last, begin + STRETCH_HOURS))
        features, _, tick = drawer.stretch(hours, world.rows(hours))
        columns = drawer.with_score(features, world.is_categorical)
        columns, tick = with_job(world, hours, columns, tick)
        for verdicts, _ in judged(model, columns, tick, hours):
            incidents.add(t, verdicts)
            t += 1
    return incidents.run(last / HOURS_A_MONTH, t)


def with_job(
    world: World, hours: Integers, columns: Columns, tick: Integers
) -> tuple[Columns, Integers]:
    """Add the equal rows of the world's job, in the middle of an hour or over all of it."""
    if world.job is None:
        return columns, tick
    per_tick = world.job(hours) // world.job_ticks
    within = np.arange(world.job_ticks) + (TICKS_AN_HOUR - world.job_ticks) // 2
    ticks: NDArray[np.int64] = np.arange(len(hours))[:, None] * TICKS_AN_HOUR + within
    added = np.repeat(ticks.ravel(), np.repeat(per_tick, world.job_ticks))
    equal = np.full((len(added), columns.shape[1]), JOB_VALUE)
    order = np.argsort(np.concatenate([tick, added]), kind="stable")
    return np.concatenate([columns, equal])[order], np.concatenate([tick, added])[order]


class Incidents:
    """Counts alerts as they open and close."""

    def __init__(self, n_cells: int) -> None:
        self._closed = np.full(n_cells, -np.inf)
        self._is_open = np.zeros(n_cells, bool)
        self._begun: list[float] = []
        self._n_begun = np.zeros(n_cells, np.int64)
        self._n_reopened = 0
        self._open_ticks = 0

    def add(self, t: int, verdicts: Verdicts) -> None:
        """Add the tick t."""
        hour = t / TICKS_AN_HOUR
        self._closed[verdicts.has_closed] = hour
        self._is_open &= ~verdicts.has_closed
        self._is_open |= verdicts.has_opened
        self._open_ticks += int(self._is_open.sum())
        if verdicts.has_opened.any():
            is_again = verdicts.has_opened & (hour - self._closed <= REOPENING_HOURS)
            is_first = verdicts.has_opened & ~is_again
            self._n_reopened += int(is_again.sum())
            self._n_begun += is_first
            self._begun += [hour] * int(is_first.sum())

    def run(self, months: float, n_ticks: int) -> QuietRun:
        """Return what was counted over so many months and ticks."""
        gaps = np.diff(self._begun, prepend=-np.inf)
        share = self._open_ticks / (n_ticks * len(self._closed))
        n_together = int((gaps > TOGETHER_HOURS).sum())
        most = int(self._n_begun.max())
        return QuietRun(months, len(self._begun), n_together, self._n_reopened, share, most)
