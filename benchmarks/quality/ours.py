"""Driftline's rule on streams: how often it fires for nothing, how soon for something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.quality.worlds import HOURS_A_MONTH, Change, Streams, World
from detectors.decision import Evidence, decide

QUIET_WINDOWS = 24
"""Nothing is wrong for a day before something is planted."""
PATIENCE_WINDOWS = 48


@dataclass(frozen=True, slots=True)
class Nights:
    """What woke people while nothing was wrong."""

    setting: str
    n_firings: int
    model_months: float

    @property
    def per_month(self) -> float:
        """False pages a model-month, any firing counted."""
        return self.n_firings / self.model_months

    @property
    def upper_95(self) -> float:
        """Upper end of the exact two-sided 95 % Poisson interval (Garwood 1936)."""
        return float(stats.chi2.ppf(0.975, 2 * self.n_firings + 2)) / 2 / self.model_months


def nights(world: World, n_models: int, n_features: int, seed: int) -> Nights:
    """Watch models for a month each."""
    streams = Streams(world, n_models * n_features, n_features, np.random.default_rng(seed))
    evidence, n = Evidence.start(streams.plan.layout), 0
    for hour in range(HOURS_A_MONTH):
        n += int(decide(streams.plan, evidence, streams.window(hour), n_rungs=1).has_fired.sum())
    return Nights(world.name, n, n_models)


@dataclass(frozen=True, slots=True)
class Delay:
    """How soon one planted change was found."""

    n_windows: float
    """Mean over those that were found; NaN where none was."""
    power: float
    """Share found within two days of hours."""


def delay(world: World, change: Change, n_repeats: int, n_features: int, seed: int) -> Delay:
    """Plant a change in each of many variables and count windows until it fires."""
    streams = Streams(world, n_repeats, n_features, np.random.default_rng(seed))
    evidence = Evidence.start(streams.plan.layout)
    for hour in range(QUIET_WINDOWS):
        decide(streams.plan, evidence, streams.window(hour), n_rungs=1)
    first = np.zeros(n_repeats)
    for k in range(1, PATIENCE_WINDOWS + 1):
        window = streams.window(QUIET_WINDOWS + k, change)
        fired = decide(streams.plan, evidence, window, n_rungs=1).has_fired
        first[fired & (first == 0)] = k
    is_found = first > 0
    mean = float(first[is_found].mean()) if is_found.any() else float("nan")
    return Delay(mean, float(is_found.mean()))
