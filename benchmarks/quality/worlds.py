"""The worlds of the acceptance of the multi-scale rule, in which nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.quality import laws
from benchmarks.quality.counter_streams import HOURS_A_MONTH
from benchmarks.quality.laws import Integers, Law
from benchmarks.quality.recurring import AUDIENCE, DAYS, PROBES, RESTARTS, recurring

DAY = 24
LEAST_MONTHS = 36
"""Model-months of each world in a full run."""
QUIET_UPPER = 0.25
"""Upper end of the 95 % interval in a quiet world, at most."""
QUIET, MOVING, SEASON = "quiet", "moving", "season"
JOB, RECURRING, CHANGING = "job", "recurring", "changing"


def constant(n: int) -> Callable[[Integers], Integers]:
    """Return as many rows in every hour."""
    return lambda hours: np.full(len(hours), n, np.int64)


def day_and_night(hours: Integers) -> Integers:
    """30 rows an hour at midnight, 3,000 at noon."""
    light = 0.5 - 0.5 * np.cos(2 * np.pi * (hours % DAY) / DAY)
    return np.round(30 * 100**light).astype(np.int64)


THOUSAND = constant(1_000)


def at_night(hours: Integers) -> Integers:
    """50,000 rows at half past two of every night."""
    return np.where(hours % DAY == 2, 50_000, 0)


def three_hours(hours: Integers) -> Integers:
    """50,000 rows over three hours of the tenth day."""
    return np.where((hours >= 10 * DAY + 2) & (hours < 10 * DAY + 5), 50_000 // 3, 0)


@dataclass(frozen=True, slots=True)
class World:
    """One kind of stream, in which nothing is wrong unless its group is ``changing``."""

    name: str
    group: str
    law: Law
    bar: float
    """Incidents a model and month, at most; NaN where the acceptance has no figure."""
    rows: Callable[[Integers], Integers] = THOUSAND
    reference_hours: int = 21 * DAY
    has_times: bool = True
    is_shuffled: bool = False
    is_categorical: bool = False
    days: int = 90
    job: Callable[[Integers], Integers] | None = None
    """Equal rows that a job adds to the hours of the stream, in one tick of each."""
    job_ticks: int = 1
    """Ticks over which those of an hour are spread."""
    counts_models: bool = False
    """Whether ``bar`` is of incidents of the model, in which cells that open within two hours
    are one; otherwise each cell counts, which is at least as many.
    """

    @property
    def upper_bar(self) -> float:
        """Upper end of the 95 % interval of the rate, at most."""
        return QUIET_UPPER if self.group == QUIET else np.inf

    @property
    def n_models(self) -> int:
        """Models of a full run: together at least 36 months."""
        return -(-LEAST_MONTHS * HOURS_A_MONTH // (DAY * self.days))


def quiet_worlds() -> list[World]:
    """Worlds in which nothing is wrong and nothing moves: at most .1 a month, surely .25."""
    short = {"has_times": False}
    return [
        World("independent", QUIET, laws.independent, 0.1),
        World(
            "independent, 5,000 rows",
            QUIET,
            laws.independent,
            0.1,
            constant(5_000),
            8 * DAY,
            days=30,
        ),
        World("AR(1) .9 in order", QUIET, laws.autoregressive, 0.1),
        World(
            "AR(1) .9, reference shuffled",
            QUIET,
            laws.autoregressive,
            0.1,
            is_shuffled=True,
            **short,
        ),
        World("sessions in order", QUIET, laws.sessions, 0.1, reference_hours=20, **short),
        World(
            "sessions, reference shuffled",
            QUIET,
            laws.sessions,
            0.1,
            reference_hours=20,
            is_shuffled=True,
            **short,
        ),
        World(
            "50 interleaved sessions",
            QUIET,
            laws.interleaved_sessions,
            0.1,
            reference_hours=20,
            **short,
        ),
        World("reference of 2,000 rows", QUIET, laws.independent, 0.1, reference_hours=2, **short),
        World("prices, counts, zeros", QUIET, laws.prices, 0.1),
        World("30 to 3,000 rows", QUIET, laws.independent, 0.1, day_and_night),
    ]


def moving_worlds() -> list[World]:
    """Worlds that move by themselves."""
    found = [
        World(f"hours differ by .08, {n:,} rows", MOVING, laws.hour_effects(0.08), 0.2, constant(n))
        for n in (900, 1_000, 1_100)
    ]
    found += [
        World(f"days differ by .1, {n:,} rows", MOVING, laws.day_effects(0.1), 0.2, constant(n))
        for n in (400, 1_000)
    ]
    wandering = laws.wandering_missing_rate
    return [
        *found,
        World("missing rate wanders", MOVING, wandering, 0.2),
        World(
            "missing rate wanders, 5,000 rows",
            MOVING,
            wandering,
            1.0,
            constant(5_000),
            8 * DAY,
            days=30,
        ),
    ]


def seasonal_worlds() -> list[World]:
    """Worlds with a season of the day and the weekend."""
    holidays = laws.season(laws.HOLIDAYS)
    return [
        World("season, nine holidays", SEASON, holidays, 0.2, reference_hours=56 * DAY),
        World("season, 3 weeks of reference", SEASON, laws.season(), 0.2),
        World(
            "season, the clock moves by an hour",
            SEASON,
            laws.season(clock_moves_at=30 * DAY),
            0.6,
            reference_hours=56 * DAY,
        ),
    ]


def job_worlds() -> list[World]:
    """Jobs that send equal rows, without precedent in the reference."""
    return [
        World(
            "50,000 equal rows at night",
            JOB,
            laws.independent,
            0.0,
            reference_hours=14 * DAY,
            days=45,
            job=at_night,
        ),
        World(
            "50,000 equal rows over three hours",
            JOB,
            laws.independent,
            730 / (30 * DAY),
            reference_hours=14 * DAY,
            days=30,
            job=three_hours,
            job_ticks=12,
            counts_models=True,
        ),
    ]


def recurring_worlds() -> list[World]:
    """Short excursions that the eight weeks of reference contain."""
    kinds = [
        ("another audience three times a week", (AUDIENCE,)),
        ("two days a month differ", (DAYS,)),
        ("missing for half an hour twice a week", (RESTARTS,)),
        ("probes of an hour once a week", (PROBES,)),
        ("another audience, and missing values", (AUDIENCE, RESTARTS)),
    ]
    return [
        World(name, RECURRING, recurring(*own), 0.3, reference_hours=56 * DAY, counts_models=True)
        for name, own in kinds
    ]


def changing_worlds() -> list[World]:
    """Worlds that change truly: slowly, a little each day, or for a day."""
    return [
        World("1 % of sd a week", CHANGING, laws.trend, np.nan),
        World(
            "products are replaced", CHANGING, laws.replaced_products, np.nan, is_categorical=True
        ),
        World("bots", CHANGING, laws.bots, 5.0, reference_hours=30, has_times=False),
    ]


def worlds() -> list[World]:
    """All of them, by group."""
    return [
        *quiet_worlds(),
        *moving_worlds(),
        *seasonal_worlds(),
        *job_worlds(),
        *recurring_worlds(),
        *changing_worlds(),
    ]
