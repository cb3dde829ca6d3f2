"""The planted changes of the acceptance of the multi-scale rule, each with its bar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality import laws
from benchmarks.quality.laws import Columns, Integers, Law
from benchmarks.quality.worlds import DAY


@dataclass(frozen=True, slots=True)
class PlantedChange:
    """What happens to every feature from one hour on; 0 leaves a figure as it is."""

    shift: float = 0.0
    """Of the mean, in sd."""
    ramp: float = 0.0
    """Of the mean, in sd, reached after two weeks."""
    scale: float = 1.0
    """Of the sd."""
    constant: float = 0.0
    """Share of rows whose value becomes the median."""
    outliers: float = 0.0
    """Share of rows at +2 sd."""
    missing: tuple[float, float] = (0.0, 0.0)
    """Share of missing values before and after."""
    category: tuple[int, float] = (0, 0.0)
    """A category and by how much its share grows."""
    correlation: float = 0.0
    """Of every second feature with the one before it."""

    def apply(
        self, columns: Columns, hours: Integers, at_hour: int, rng: np.random.Generator
    ) -> Columns:
        """Return the columns of rows at these hours."""
        is_on = hours >= at_hour
        found = columns.copy()
        if self.category[1]:
            self._move_to_category(found, is_on, rng)
        if self.correlation:
            on = np.flatnonzero(is_on)
            r = self.correlation
            mixed = r * found[on, 0:-1:2] + np.sqrt(1 - r * r) * found[on, 1::2]
            found[on, 1::2] = mixed
        found[is_on] *= self.scale
        grown = np.minimum(1.0, (hours - at_hour + 1) / (14 * DAY))
        found += np.where(is_on, self.shift + self.ramp * grown, 0.0)[:, None]
        for share, value in ((self.constant, 0.0), (self.outliers, 2.0)):
            if share:
                found[(rng.random(found.shape) < share) & is_on[:, None]] = value
        if max(self.missing):
            rate = np.where(is_on, self.missing[1], self.missing[0])[:, None]
            found[rng.random(found.shape) < rate] = np.nan
        return found

    def _move_to_category(
        self, found: Columns, is_on: NDArray[np.bool_], rng: np.random.Generator
    ) -> None:
        """Turn rows of other categories into the one that grows."""
        code, grown = self.category
        others = 1 - laws.CATEGORY_SHARES[code]
        is_moved = (rng.random(found.shape) < grown / others) & (found != code)
        found[is_moved & is_on[:, None]] = code


@dataclass(frozen=True, slots=True)
class Planted:
    """A row of the table of planted changes."""

    name: str
    change: PlantedChange
    bar_hours: float
    """Median hours until the alert opens, at most; found in all features."""
    law: Law = laws.independent
    is_categorical: bool = False
    n_rows: int = 1_000
    reference_rows: int | None = None
    """None: 336,000 rows with times; otherwise so many without."""
    after_days: float = 5.0
    is_of_products: bool = False
    movement: str = ""
    """What differs by itself: "hours differ" or "days differ"."""


def planted_changes() -> list[Planted]:
    """Rows of the acceptance table, each with its bar."""
    tick = 1 / 12
    gross = [
        Planted("100 % missing", PlantedChange(missing=(0.001, 1.0)), 2 * tick),
        Planted("constant", PlantedChange(constant=1.0), 2 * tick),
        Planted("30 % missing", PlantedChange(missing=(0.001, 0.3)), 2 * tick),
        Planted("shift 2 sd", PlantedChange(shift=2.0), 2 * tick),
    ]
    thin = [Planted(f"{p.name}, 100 rows", p.change, 4 * tick, n_rows=100) for p in gross]
    shifts = [
        Planted(f"shift {d} sd", PlantedChange(shift=d), bar)
        for d, bar in ((0.1, 8), (0.2, 2), (0.3, 1), (0.5, 0.5))
    ]
    shapes = [
        Planted("sd x 1.15", PlantedChange(scale=1.15), 3),
        Planted("sd x 1.25", PlantedChange(scale=1.25), 1),
        Planted("3 % at +2 sd", PlantedChange(outliers=0.03), 4),
        Planted("5 % := median", PlantedChange(constant=0.05), 2),
    ]
    missing = [
        Planted(f"missing {100 * a:g} -> {100 * b:g} %", PlantedChange(missing=(a, b)), bar)
        for a, b, bar in ((0, 0.01, 0.75), (0.001, 0.01, 3), (0.001, 0.02, 1.5), (0.05, 0.08, 4))
    ]
    named = [
        Planted(
            f"category {p:.2f} -> {p + d:.2f}",
            PlantedChange(category=(code, d)),
            bar,
            laws.categories,
            is_categorical=True,
        )
        for code, p, d, bar in ((9, 0.01, 0.02, 3), (3, 0.10, 0.04, 4), (3, 0.10, 0.02, 16))
    ]
    slow = [
        Planted("correlation 0 -> .6", PlantedChange(correlation=0.6), 0.75, is_of_products=True),
        Planted("ramp to .5 sd in two weeks", PlantedChange(ramp=0.5), 55),
    ]
    return [*gross, *thin, *shifts, *shapes, *missing, *named, *slow, *_moving(), *_short()]


def _moving() -> list[Planted]:
    """Changes where hours or days differ by themselves."""
    hours, days = laws.hour_effects(0.08), laws.day_effects(0.1)
    rows = [
        ("hours differ: shift .2 sd", PlantedChange(shift=0.2), 16, hours),
        ("hours differ: shift .3 sd", PlantedChange(shift=0.3), 8, hours),
        ("hours differ: sd x 1.25", PlantedChange(scale=1.25), 1.5, hours),
        ("days differ: shift .5 sd", PlantedChange(shift=0.5), 8, days),
        ("days differ: sd x 1.25", PlantedChange(scale=1.25), 1.5, days),
    ]
    return [
        Planted(name, change, bar, law, movement=name.split(":")[0])
        for name, change, bar, law in rows
    ]


def _short() -> list[Planted]:
    """Changes with a short reference, after five days and from the first row."""
    rows = [
        ("shift .1 sd", PlantedChange(shift=0.1), 16.0, 2_000, 5.0),
        ("shift .2 sd", PlantedChange(shift=0.2), 3.0, 2_000, 5.0),
        ("shift .5 sd", PlantedChange(shift=0.5), 0.5, 2_000, 5.0),
        ("missing 5 -> 10 %", PlantedChange(missing=(0.05, 0.1)), 3.0, 2_000, 5.0),
        ("shift .5 sd", PlantedChange(shift=0.5), 8.0, 20_000, 0.0),
        ("missing .1 -> 4 %", PlantedChange(missing=(0.001, 0.04)), 8.0, 20_000, 0.0),
        ("100 % missing", PlantedChange(missing=(0.001, 1.0)), 2.0, 20_000, 0.0),
    ]
    found = []
    for name, change, bar, n, days in rows:
        when = "after five days" if days else "from the first row"
        text = f"reference of {n:,} rows, {when}: {name}"
        found.append(Planted(text, change, bar, reference_rows=n, after_days=days))
    return found
