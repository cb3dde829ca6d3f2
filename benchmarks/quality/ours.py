"""Driftline's rule on streams: how often it fires for nothing, how soon for something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.quality.counter_streams import (
    HOURS_A_MONTH,
    NOTHING,
    PlantedChange,
    QualityWorld,
    Streams,
)
from benchmarks.quality.delays import HORIZON, QUIET_WINDOWS, RuleDelay, delay_of
from detectors.decision_rule.decision import Evidence, decide


@dataclass(frozen=True, slots=True)
class Nights:
    """What woke people while nothing was wrong, in one month of each model."""

    setting: str
    n_firings: int
    n_models: int
    n_models_fired: int
    """Models that fired at least once."""

    @property
    def per_month(self) -> float:
        """False pages a model-month, any firing counted."""
        return self.n_firings / self.n_models

    @property
    def upper_95(self) -> float:
        """Upper end of the exact two-sided 95 % Poisson interval of the rate (Garwood 1936).

        It takes firings for independent, but a model keeps its baseline for the month: where
        one model fires several times, the interval is too narrow.
        """
        return float(stats.chi2.ppf(0.975, 2 * self.n_firings + 2)) / 2 / self.n_models

    @property
    def upper_95_by_model(self) -> float:
        """Upper end of the exact two-sided 95 % interval of the share of models that fire.

        Models are independent, so this holds however firings cluster (Clopper, Pearson 1934);
        how often a model fires that does, it does not say.
        """
        n_silent = self.n_models - self.n_models_fired
        return float(stats.beta.ppf(0.975, self.n_models_fired + 1, n_silent)) if n_silent else 1.0


def nights(world: QualityWorld, n_models: int, n_features: int, seed: int) -> Nights:
    """Watch models for a month each, every variable with a baseline of its own."""
    streams = Streams(world, n_models * n_features, n_features, np.random.default_rng(seed))
    evidence, n = Evidence.start(streams.plan.layout), 0
    is_loud = np.zeros(n_models, bool)
    for hour in range(HOURS_A_MONTH):
        fired = decide(streams.plan, evidence, streams.window(hour), n_rungs=1).has_fired
        n += int(fired.sum())
        is_loud |= fired.reshape(n_models, n_features).any(axis=1)
    return Nights(world.name, n, n_models, int(is_loud.sum()))


def delay(
    world: QualityWorld, change: PlantedChange, n_repeats: int, n_features: int, seed: int
) -> RuleDelay:
    """Plant a change in each of many variables and count windows until it fires."""
    streams = Streams(world, n_repeats, n_features, np.random.default_rng(seed))
    evidence = Evidence.start(streams.plan.layout)
    alarms: list[list[int]] = [[] for _ in range(n_repeats)]
    for hour in range(QUIET_WINDOWS + HORIZON):
        window = streams.window(hour, change if hour >= QUIET_WINDOWS else NOTHING)
        fired = decide(streams.plan, evidence, window, n_rungs=1).has_fired
        for cell in np.flatnonzero(fired).tolist():
            alarms[cell].append(hour)
    return delay_of(alarms)
