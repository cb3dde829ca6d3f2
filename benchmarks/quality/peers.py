"""Peers of hourly windows, calibrated to the false alarms of our budget in the same world.

The two-sample KS statistic, chi-square, an EWMA chart of shares by chi-square, and a CUSUM
chart of the mean. Each threshold is that at which a peer alarms .1 times a model of ten
features and month in counters simulated without a change: no user could set them so, because
that takes years of a stream without changes. They bound what hourly windows can find.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.quality import laws
from benchmarks.quality.changes import Planted
from benchmarks.quality.laws import Columns, Integers
from benchmarks.quality.ticks import TICKS_AN_HOUR, Model

Floats = NDArray[np.float64]

KS, CHI2, EWMA, CUSUM = "KS", "chi-square", "EWMA chi-square", "CUSUM of the mean"
MEMORY = 0.1
"""Weight of the newest window in the EWMA chart."""
SLACK = 0.5
"""Of the CUSUM chart, in standard errors."""
ALARMS_A_WINDOW = 0.1 / 730 / laws.N_FEATURES
QUIET_WINDOWS = 4
"""So many windows without alarm end one."""
N_FEATURES_SIMULATED, N_WINDOWS_SIMULATED = 1_500, 1_500
_N_HALVINGS = 40
_N_GROUPS = 20


@dataclass(frozen=True, slots=True)
class Hourly:
    """One feature by the hour."""

    counts: Floats
    """Shape (H, G): groups or categories, then special shares."""
    reference: Floats
    """Shape (G,): rows of the reference."""
    scores: Floats | None
    """Shape (H,): mean less the reference's, in standard errors; None of categories."""


@dataclass(frozen=True, slots=True)
class NullWorld:
    """What a calibration depends on."""

    n_rows: int
    n_reference: int
    missing: float
    movement: str
    """What differs by itself: "hours differ", "days differ", or nothing."""
    is_categorical: bool


def null_world(planted: Planted, n_reference: int) -> NullWorld:
    """Return the world of a planted change before it begins."""
    missing = planted.change.missing[0]
    categorical = planted.is_categorical
    return NullWorld(planted.n_rows, n_reference, missing, planted.movement, categorical)


class Charts:
    """Statistics of F features, window by window."""

    def __init__(self, reference: Floats) -> None:
        total = reference.sum(axis=-1, keepdims=True)
        self._expected = reference / total
        self._smooth = (reference + 0.5) / (reference + 0.5).sum(axis=-1, keepdims=True)
        self._average = self._smooth
        self._up = self._down = np.zeros(len(reference))

    def add(self, counts: Floats, scores: Floats | None) -> dict[str, Floats]:
        """Return the statistic of every peer in the next window, shape (F,).

        Parameters
        ----------
        counts : ndarray, shape (F, G)
        scores : ndarray of float64, shape (F,), or None
            Mean less the reference's, in standard errors.
        """
        n = np.maximum(counts.sum(axis=-1), 1)
        shares = counts / n[:, None]
        gap = np.abs(np.cumsum(shares - self._expected, axis=-1)).max(axis=-1)
        self._average = (1 - MEMORY) * self._average + MEMORY * shares
        found = {
            KS: np.sqrt(n) * gap,
            CHI2: n * self._distance(shares),
            EWMA: n * self._distance(self._average) * (2 - MEMORY) / MEMORY,
        }
        if scores is not None:
            self._up = np.maximum(0, self._up + scores - SLACK)
            self._down = np.maximum(0, self._down - scores - SLACK)
            found[CUSUM] = np.maximum(self._up, self._down)
        return found

    def _distance(self, shares: Floats) -> Floats:
        found: Floats = ((shares - self._smooth) ** 2 / self._smooth).sum(axis=-1)
        return found


def statistics(hourly: Hourly) -> dict[str, Floats]:
    """Return the statistic of every peer in every window, shape (H,)."""
    charts, scores = Charts(hourly.reference[None]), hourly.scores
    found = [
        charts.add(own[None], None if scores is None else scores[t : t + 1])
        for t, own in enumerate(hourly.counts)
    ]
    return {name: np.concatenate([own[name] for own in found]) for name in found[0]}


def threshold(values: Floats, rate: float = ALARMS_A_WINDOW) -> float:
    """Return the threshold that is passed ``rate`` times a window, alarms counted once.

    Parameters
    ----------
    values : ndarray of float64, shape (H, F)
        Statistic without a change.
    """
    low, high = float(np.median(values)), float(values.max()) * 1.05
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        is_on = values > middle
        is_new = is_on.copy()
        for gap in range(1, QUIET_WINDOWS + 1):
            is_new[gap:] &= ~is_on[:-gap]
        if is_new.sum() / values.size > rate:
            low = middle
        else:
            high = middle
    return high


@cache
def thresholds(
    world: NullWorld, n_features: int = N_FEATURES_SIMULATED, seed: int = 7
) -> Mapping[str, float]:
    """Simulate counters without a change, and return the threshold of every peer."""
    rng = np.random.default_rng(seed)
    charts = Charts(_reference(world, rng, n_features))
    error = rng.normal(0, 1 / np.sqrt(world.n_reference), n_features)
    sd = {"hours differ": 0.08, "days differ": 0.1}.get(world.movement, 0.0)
    every = 24 if world.movement == "days differ" else 1
    mean, found = np.zeros(n_features), []
    for t in range(N_WINDOWS_SIMULATED):
        if sd and t % every == 0:
            mean = rng.normal(0, sd, n_features)
        counts = rng.multinomial(world.n_rows, _shares(world, mean))
        scores = (mean - error) * np.sqrt(world.n_rows) + rng.normal(size=n_features)
        found.append(charts.add(counts.astype(np.float64), scores))
    return {name: threshold(np.stack([own[name] for own in found])) for name in found[0]}


def _shares(world: NullWorld, mean: Floats) -> Floats:
    if world.is_categorical:
        return np.tile([*laws.CATEGORY_SHARES, 0.0, 0.0], (len(mean), 1))
    edges = stats.norm.ppf(np.arange(1, _N_GROUPS) / _N_GROUPS)
    below = stats.norm.cdf(edges - mean[:, None])
    below = np.column_stack([np.zeros(len(mean)), below, np.ones(len(mean))])
    own = (1 - world.missing) * np.diff(below, axis=1)
    return np.column_stack([own, np.full(len(mean), world.missing)])


def _reference(world: NullWorld, rng: np.random.Generator, n: int) -> Floats:
    """Return references; where hours or days differ, their own error averages out."""
    shares = _shares(world, np.zeros(n))
    if world.movement:
        return world.n_reference * shares
    return rng.multinomial(world.n_reference, shares).astype(np.float64)


def hourly(model: Model, sums: Floats, scores: Floats | None) -> list[Hourly]:
    """Return the features of a model by the hour.

    Parameters
    ----------
    sums : ndarray, shape (T, I)
        Components of each tick.
    scores : ndarray of float64, shape (H, F), or None
        Standardised means.
    """
    plan, found = model.plan, []
    n_hours = len(sums) // TICKS_AN_HOUR
    by_hour = sums[: n_hours * TICKS_AN_HOUR].reshape(n_hours, TICKS_AN_HOUR, -1)
    totals = by_hour.sum(axis=1, dtype=np.float64)
    for c, cell in enumerate(model.layout.cells[:-1]):
        begin = int(plan.offsets[c])
        own = [begin + g for g in range(cell.n_groups)]
        own += [begin + cell.names.index("missing")] if own else range(begin, begin + len(cell))
        expected = plan.constants[own, 0] * plan.references[c, 0]
        found.append(
            Hourly(totals[:, own], expected, None if scores is None else scores[:n_hours, c])
        )
    return found


def standardised(
    columns: Columns, hour: Integers, n_hours: int, mean: Floats, sd: Floats
) -> Floats:
    """Return the mean of every column by the hour less the reference's, in standard errors.

    Parameters
    ----------
    columns : ndarray of float64, shape (n, F)
        NaN is left out; an hour without values is 0.
    hour : ndarray of int64, shape (n,)
        0 to ``n_hours`` - 1.
    mean, sd : ndarray of float64, shape (F,)
        Of the reference.

    Returns
    -------
    ndarray of float64, shape (n_hours, F)
    """
    z = (columns - mean) / np.maximum(sd, 1e-9)
    n = np.stack([np.bincount(hour, own, n_hours) for own in ~np.isnan(z).T], axis=1)
    total = np.stack([np.bincount(hour, own, n_hours) for own in np.nan_to_num(z).T], axis=1)
    found: Floats = total / np.sqrt(np.maximum(n, 1))
    return found


def peer_delays(
    features: list[Hourly], limits: Mapping[str, float], begin_hour: int
) -> dict[str, list[float]]:
    """Return the hours until each peer alarms after a change, of every feature; inf if never."""
    found: dict[str, list[float]] = {}
    for feature in features:
        for name, values in statistics(feature).items():
            late = np.flatnonzero(values[begin_hour:] > limits[name])
            found.setdefault(name, []).append(float(late[0]) + 1.0 if len(late) else np.inf)
    return found
