"""How the rows of a world are drawn: one function for each law, hour by hour.

A law is called with the generator of a seed and returns what draws the columns of a stretch
of hours, so that a law with memory (missing rates that wander, effects of a day) carries on
from stretch to stretch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

N_FEATURES = 10
HOLIDAYS = (10, 18, 31, 38, 45, 59, 66, 73, 87)
"""Days of the stream, all of them weekdays, on which people behave as on a Sunday."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of some hours: the hour of each row as an index into ``hours``, in order of time."""

    hours: Integers
    """Hours since Monday 00:00; negative in the reference."""
    hour: Integers

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.hour)


Columns = Floats
"""Shape (n, features); NaN is missing; codes of a categorical feature."""
Draw = Callable[[Stretch], Columns]
Law = Callable[[np.random.Generator], Draw]


def independent(rng: np.random.Generator) -> Draw:
    """Ten standard Gaussians."""
    return lambda rows: rng.normal(size=(rows.n, N_FEATURES))


def autoregressive(rng: np.random.Generator) -> Draw:
    """AR(1) of .9 from row to row."""

    def draw(rows: Stretch) -> Columns:
        noise = rng.normal(0, np.sqrt(1 - 0.81), (rows.n, N_FEATURES))
        start = 0.9 * rng.normal(size=(1, N_FEATURES))
        found: Columns = lfilter([1], [1, -0.9], noise, axis=0, zi=start)[0]
        return found

    return draw


def sessions(rng: np.random.Generator) -> Draw:
    """Sessions of 20 rows on average follow one another; half of the features are theirs."""

    def draw(rows: Stretch) -> Columns:
        lengths = rng.geometric(1 / 20, rows.n // 5 + 100)
        session = np.repeat(np.arange(len(lengths)), lengths)[: rows.n]
        return _half_of(session, len(lengths), rows.n, rng)

    return draw


def interleaved_sessions(rng: np.random.Generator) -> Draw:
    """The same sessions, fifty of them at a time."""

    def draw(rows: Stretch) -> Columns:
        left, own = rng.geometric(1 / 20, 50), np.arange(50)
        place, session = rng.integers(0, 50, rows.n), np.empty(rows.n, np.int64)
        n_sessions, lengths = 50, rng.geometric(1 / 20, rows.n + 1)
        for i, j in enumerate(place.tolist()):
            session[i] = own[j]
            left[j] -= 1
            if left[j] == 0:
                own[j], left[j] = n_sessions, lengths[i]
                n_sessions += 1
        return _half_of(session, n_sessions, rows.n, rng)

    return draw


def _half_of(session: Integers, n_sessions: int, n: int, rng: np.random.Generator) -> Columns:
    """Five features of the session, five of the row."""
    own = rng.normal(size=(n_sessions, N_FEATURES // 2))
    return np.concatenate([own[session], rng.normal(size=(n, N_FEATURES // 2))], axis=1)


def prices(rng: np.random.Generator) -> Draw:
    """Prices at .99, in steps of .05, in hundreds; zero-inflated amounts; counts; five prices."""

    def draw(rows: Stretch) -> Columns:
        n = rows.n

        def often_zero(share: float) -> Floats:
            return np.where(rng.random(n) < share, 0.0, rng.lognormal(3, 1, n))

        found = [
            np.floor(rng.lognormal(3, 0.8, n)) + 0.99,
            np.round(rng.lognormal(2, 0.5, n) / 0.05) * 0.05,
            np.round(rng.lognormal(7, 0.4, n) / 100) * 100,
            often_zero(0.7),
            often_zero(0.95),
            rng.poisson(3, n),
            rng.poisson(0.2, n),
            rng.negative_binomial(1, 0.02, n),
            rng.choice([9.99, 19.99, 29.99, 49.99, 99.99], n, p=[0.4, 0.3, 0.15, 0.1, 0.05]),
        ]
        return np.stack(found, axis=1).astype(np.float64)

    return draw


def hour_effects(sd: float) -> Law:
    """Return a law of Gaussians whose mean is off by its own amount in every hour."""

    def law(rng: np.random.Generator) -> Draw:
        def draw(rows: Stretch) -> Columns:
            off = rng.normal(0, sd, (len(rows.hours), N_FEATURES))
            return rng.normal(size=(rows.n, N_FEATURES)) + off[rows.hour]

        return draw

    return law


def wobble(rng: np.random.Generator) -> Draw:
    """A daily swing of .03 sd and .02 sd of each hour's own."""

    def draw(rows: Stretch) -> Columns:
        off = rng.normal(0, 0.02, (len(rows.hours), N_FEATURES))
        off += 0.03 * np.sin(2 * np.pi * rows.hours / 24)[:, None]
        return rng.normal(size=(rows.n, N_FEATURES)) + off[rows.hour]

    return draw


def day_effects(sd: float) -> Law:
    """Return a law of Gaussians whose mean is off by its own amount in every day."""

    def law(rng: np.random.Generator) -> Draw:
        known: dict[int, Floats] = {}

        def draw(rows: Stretch) -> Columns:
            for day in np.unique(rows.hours // 24).tolist():
                known.setdefault(day, rng.normal(0, sd, N_FEATURES))
            off = np.stack([known[day] for day in (rows.hours // 24).tolist()])
            return rng.normal(size=(rows.n, N_FEATURES)) + off[rows.hour]

        return draw

    return law


def wandering_missing_rate(rng: np.random.Generator) -> Draw:
    """Missing at 5 % and 1 %, by the hour times exp(.5 z), z an AR(1) of .8."""
    z = np.zeros(N_FEATURES)
    usual = np.where(np.arange(N_FEATURES) < N_FEATURES // 2, 0.05, 0.01)

    def draw(rows: Stretch) -> Columns:
        rate = np.empty((len(rows.hours), N_FEATURES))
        for i in range(len(rows.hours)):
            z[:] = 0.8 * z + 0.6 * rng.normal(size=N_FEATURES)
            rate[i] = np.minimum(usual * np.exp(0.5 * z), 0.6)
        found = rng.normal(size=(rows.n, N_FEATURES))
        found[rng.random(found.shape) < rate[rows.hour]] = np.nan
        return found

    return draw


def season(holidays: tuple[int, ...] = (), clock_moves_at: int | None = None) -> Law:
    """Return a law with .4 sd by hour of the day and .4 sd at weekends.

    Parameters
    ----------
    holidays : tuple of int, optional
        Days of the stream that are like Sundays.
    clock_moves_at : int, optional
        Hour from which the same people come an hour earlier.
    """

    def law(rng: np.random.Generator) -> Draw:
        def draw(rows: Stretch) -> Columns:
            hours = rows.hours
            if clock_moves_at is not None:
                hours = np.where(hours >= clock_moves_at, hours + 1, hours)
            day = hours // 24
            is_free = (day % 7 >= 5) | np.isin(day, holidays)
            mean = 0.4 * np.sin(2 * np.pi * (hours % 24) / 24) - 0.4 * is_free
            return rng.normal(size=(rows.n, N_FEATURES)) + mean[rows.hour][:, None]

        return draw

    return law


def trend(rng: np.random.Generator) -> Draw:
    """1 % of an sd a week in every feature."""

    def draw(rows: Stretch) -> Columns:
        mean = 0.01 * np.maximum(rows.hours, 0) / 168
        return rng.normal(size=(rows.n, N_FEATURES)) + mean[rows.hour][:, None]

    return draw


def bots(rng: np.random.Generator) -> Draw:
    """1 % of the rows come from one client with constant values, a new one each day."""
    known: dict[int, Floats] = {}

    def draw(rows: Stretch) -> Columns:
        days = rows.hours // 24
        for day in np.unique(days).tolist():
            known.setdefault(day, rng.normal(0, 1.5, N_FEATURES))
        found = rng.normal(size=(rows.n, N_FEATURES))
        is_bot = rng.random(rows.n) < 0.01
        found[is_bot] = np.stack([known[day] for day in days.tolist()])[rows.hour[is_bot]]
        return found

    return draw


def replaced_products(rng: np.random.Generator) -> Draw:
    """Two features of 300 and 40 products, Zipf; 1 % and .2 % of them are replaced each day."""
    sizes, rates = (300, 40), (0.01, 0.002)
    shares = [_zipf(n) for n in sizes]
    ids = [np.arange(n) for n in sizes]
    last_day: list[int | None] = [None]

    def draw(rows: Stretch) -> Columns:
        found = np.empty((rows.n, 2))
        days = (rows.hours // 24)[rows.hour]
        for day in np.unique(days).tolist():
            if last_day[0] not in (None, day):
                for k, rate in enumerate(rates):
                    is_gone = rng.random(sizes[k]) < rate
                    ids[k] = ids[k].copy()
                    ids[k][is_gone] = ids[k].max() + 1 + np.arange(is_gone.sum())
            last_day[0] = day
            is_today = days == day
            for k in range(2):
                picked = rng.choice(sizes[k], int(is_today.sum()), p=shares[k])
                found[is_today, k] = ids[k][picked]
        return found

    return draw


def _zipf(n: int) -> Floats:
    weight = 1 / np.arange(1, n + 1) ** 0.8
    return weight / weight.sum()


CATEGORY_SHARES = np.array([0.3, 0.2, 0.12, 0.1, 0.08, 0.07, 0.05, 0.04, 0.03, 0.01])


def categories(rng: np.random.Generator) -> Draw:
    """Ten features of ten categories each."""
    return lambda rows: rng.choice(10, (rows.n, N_FEATURES), p=CATEGORY_SHARES).astype(float)
