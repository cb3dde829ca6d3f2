"""Laws of streams that leave their baseline for minutes or days, again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.laws import N_FEATURES, Columns, Draw, Law, Stretch

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MINUTES_A_DAY = 1_440


@dataclass(frozen=True, slots=True)
class Burst:
    """One excursion: minutes from its begin to its end, and a random size in 0 to 1."""

    begin: float
    end: float
    size: float


Plan = Callable[[np.random.Generator, int], list[Burst]]
"""Excursions of one period, from its first minute on."""
Effect = Callable[[np.random.Generator, Columns, Bools, float], None]
"""Changes the rows of an excursion of this size."""


@dataclass(frozen=True, slots=True)
class Excursions:
    """One kind of excursion: when it comes, and what it does."""

    period_days: int
    plan: Plan
    effect: Effect


def random_days(period_days: int, n: int, minutes: tuple[float, float]) -> Plan:
    """Return a plan of n distinct days a period, begin and length at random within the day."""

    def plan(rng: np.random.Generator, first_minute: int) -> list[Burst]:
        days = rng.choice(period_days, n, replace=False)
        length = rng.uniform(*minutes, n)
        begin = days * MINUTES_A_DAY + rng.uniform(0, 1, n) * (MINUTES_A_DAY - length)
        return [
            Burst(first_minute + b, first_minute + b + k, s)
            for b, k, s in zip(begin, length, rng.random(n), strict=True)
        ]

    return plan


def audience(rng: np.random.Generator, found: Columns, is_on: Bools, size: float) -> None:
    """25 to 35 % of the rows come from other people: 1.2 sd higher in five features."""
    is_theirs = is_on & (rng.random(len(found)) < 0.25 + 0.1 * size)
    found[is_theirs, : N_FEATURES // 2] += 1.2


def whole_day(rng: np.random.Generator, found: Columns, is_on: Bools, size: float) -> None:
    """Every feature is .35 to .45 sd higher."""
    found[is_on] += 0.35 + 0.1 * size


def restart(rng: np.random.Generator, found: Columns, is_on: Bools, size: float) -> None:
    """Two features are missing."""
    found[is_on, :2] = np.nan


def probes(rng: np.random.Generator, found: Columns, is_on: Bools, size: float) -> None:
    """8 to 12 % of the rows have the same values."""
    found[is_on & (rng.random(len(found)) < 0.08 + 0.04 * size)] = 0.37


AUDIENCE = Excursions(7, random_days(7, 3, (40, 150)), audience)
DAYS = Excursions(28, random_days(28, 2, (1_440, 1_440)), whole_day)
RESTARTS = Excursions(7, random_days(7, 2, (20, 45)), restart)
PROBES = Excursions(7, random_days(7, 1, (50, 70)), probes)


def recurring(*kinds: Excursions) -> Law:
    """Return a law of ten Gaussians with excursions of these kinds, in reference and stream."""

    def law(rng: np.random.Generator) -> Draw:
        known: list[dict[int, list[Burst]]] = [{} for _ in kinds]

        def draw(rows: Stretch) -> Columns:
            found = rng.normal(size=(rows.n, N_FEATURES))
            minute = minutes(rows)
            for kind, own in zip(kinds, known, strict=True):
                length = kind.period_days * MINUTES_A_DAY
                for period in np.unique(minute // length).astype(int).tolist():
                    if period not in own:
                        own[period] = kind.plan(rng, period * length)
                    for burst in own[period]:
                        is_on = (minute >= burst.begin) & (minute < burst.end)
                        if is_on.any():
                            kind.effect(rng, found, is_on, burst.size)
            return found

        return draw

    return law


def minutes(rows: Stretch) -> Floats:
    """Minute of every row, evenly within its hour."""
    n = np.bincount(rows.hour, minlength=len(rows.hours))
    begin = np.cumsum(n) - n
    within = (np.arange(rows.n) - begin[rows.hour]) / np.maximum(n[rows.hour], 1)
    found: Floats = 60.0 * (rows.hours[rows.hour] + within)
    return found
