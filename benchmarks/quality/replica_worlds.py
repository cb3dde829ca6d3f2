"""Replicas in which nothing is wrong, and changes of one of them: score values by tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TICKS_A_DAY: Final = 288
N_REPLICAS: Final = 8
RATE: Final = 1_000.0
"""Rows an hour of all replicas together, on average."""

Scores = Mapping[str, Floats]
"""Scores of one tick, by replica."""
Law = Callable[[np.random.Generator, int], Scores]
"""(generator, tick) -> scores."""


@dataclass(frozen=True, slots=True)
class ReplicaWorld:
    """Replicas in which nothing is wrong."""

    name: str
    law: Callable[[], Law]


@dataclass(frozen=True, slots=True)
class ReplicaChange:
    """What one of the replicas does from some time on."""

    name: str
    change: Callable[[np.random.Generator, Floats], Floats]


def even(
    offsets: Sequence[float], *, weights: Sequence[float] | None = None, rate: float = RATE
) -> Callable[[], Law]:
    """Return a law of Gaussian scores, each replica off by so many standard deviations."""
    part = np.ones(len(offsets)) if weights is None else np.array(weights)
    per_tick = rate / 12 * part / part.sum()

    def law(rng: np.random.Generator, tick: int) -> Scores:
        counts = rng.poisson(per_tick).tolist()
        return {
            f"host={i}": rng.normal(offset, 1.0, n)
            for i, (offset, n) in enumerate(zip(offsets, counts, strict=True))
        }

    return lambda: law


def season(rng: np.random.Generator, tick: int) -> Scores:
    """A day shared by all, of .8 sd, spread and volume; one replica is .3 sd off."""
    angle = 2 * np.pi * (tick % TICKS_A_DAY) / TICKS_A_DAY
    mean, sd = 0.8 * np.sin(angle), 1.0 + 0.3 * np.cos(angle)
    counts = rng.poisson(RATE / 12 / N_REPLICAS * (1.0 + 0.9 * np.sin(angle - 2.0)), N_REPLICAS)
    return {
        f"host={i}": rng.normal(mean + 0.3 * (i == 0), sd, n) for i, n in enumerate(counts.tolist())
    }


def come_and_go(rng: np.random.Generator, tick: int) -> Scores:
    """One of 3 times the traffic, .3 sd off, works by day; a new one, as far off, comes on day 9.

    On day 20 and 40 all are replaced.
    """
    day, hour = tick // TICKS_A_DAY, tick % TICKS_A_DAY / 12
    present = [i for i in range(N_REPLICAS) if i or 8 <= hour < 20]
    if day >= 9:
        present.append(N_REPLICAS)
    weights = np.array([1.0 if i else 3.0 for i in present])
    counts = rng.poisson(RATE / 12 * weights / weights.sum()).tolist()
    return {
        f"host=v{day // 20}-{i}": rng.normal(0.3 * (i in (0, N_REPLICAS)), 1.0, n)
        for i, n in zip(present, counts, strict=True)
    }


def short_lived(rng: np.random.Generator, tick: int) -> Scores:
    """Every replica lives for two days and gets a new name."""
    day = tick // TICKS_A_DAY
    counts = rng.poisson(RATE / 12 / N_REPLICAS, N_REPLICAS).tolist()
    return {f"host={(day + i % 2) // 2}-{i}": rng.normal(size=n) for i, n in enumerate(counts)}


def data_shift(rng: np.random.Generator, tick: int) -> Scores:
    """The scores of all change on day 12 and day 40; a fault of the data, of no replica."""
    day = tick // TICKS_A_DAY
    mean, sd = (0.0, 1.0) if day < 12 else (1.2, 0.7) if day < 40 else (-1.5, 1.5)
    counts = rng.poisson(RATE / 12 / N_REPLICAS, N_REPLICAS).tolist()
    return {f"host={i}": rng.normal(mean, sd, n) for i, n in enumerate(counts)}


def hour_effects() -> Law:
    """Every replica wanders by itself: its hours differ by .08 sd."""
    effects: dict[int, Floats] = {}

    def law(rng: np.random.Generator, tick: int) -> Scores:
        hour = tick // 12
        if hour not in effects:
            effects.clear()
            effects[hour] = rng.normal(0.0, 0.08, N_REPLICAS)
        counts = rng.poisson(RATE / 12 / N_REPLICAS, N_REPLICAS).tolist()
        return {f"host={i}": rng.normal(effects[hour][i], 1.0, n) for i, n in enumerate(counts)}

    return law


def sessions(rng: np.random.Generator, tick: int) -> Scores:
    """Twenty rows in a row are of one user, whose scores are alike, and go to one replica."""
    counts = rng.poisson(RATE / 12 / N_REPLICAS / 20, N_REPLICAS).tolist()
    return {
        f"host={i}": np.repeat(rng.normal(0, 0.9, n), 20) + rng.normal(0, 0.44, 20 * n)
        for i, n in enumerate(counts)
    }


_UNEVEN = (1, 1, 1, 5, 20, 20, 25, 27)
_REGIONS = (0.3, -0.3, *[0.0] * (N_REPLICAS - 2))

QUIET: Final = (
    ReplicaWorld("alike", even([0.0] * N_REPLICAS)),
    ReplicaWorld("two regions .3 sd off", even(_REGIONS)),
    ReplicaWorld("two replicas, one .3 sd off", even((0.3, 0.0))),
    ReplicaWorld("three replicas, one .3 sd off", even((0.3, 0.0, 0.0))),
    ReplicaWorld("10 to 270 rows an hour each", even(_REGIONS, weights=_UNEVEN)),
    ReplicaWorld("100 rows an hour of all", even(_REGIONS, rate=100.0)),
    ReplicaWorld("a day shared by all", lambda: season),
    ReplicaWorld("replicas come and go", lambda: come_and_go),
    ReplicaWorld("replicas live for two days", lambda: short_lived),
    ReplicaWorld("the data of all change", lambda: data_shift),
    ReplicaWorld("hours of each differ by .08 sd", hour_effects),
    ReplicaWorld("sessions stay with a replica", lambda: sessions),
)

CHANGES: Final = (
    ReplicaChange(".3 sd", lambda rng, x: x + 0.3),
    ReplicaChange(".5 sd", lambda rng, x: x + 0.5),
    ReplicaChange("1 sd", lambda rng, x: x + 1.0),
    ReplicaChange("sd x 1.5", lambda rng, x: 1.5 * x),
    ReplicaChange("a constant", lambda rng, x: np.full(len(x), 0.37)),
    ReplicaChange("permuted", lambda rng, x: rng.permutation(x)),
)
