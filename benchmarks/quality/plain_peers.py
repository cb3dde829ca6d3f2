"""Peers that a user can set up: evidently's default, and a chart calibrated by the reference.

``python -m benchmarks.quality.plain_peers FILE [--seed 90000]`` writes a JSON line for each
planted change that FILE does not have; ``benchmarks.quality.records`` puts them on the page.
Windows of an hour, the rows of one model of :func:`benchmarks.quality.planted.planted_run`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.quality.changes import Planted, planted_changes
from benchmarks.quality.laws import N_FEATURES, Columns, Integers
from benchmarks.quality.peers import EWMA, QUIET_WINDOWS, Hourly, statistics
from benchmarks.quality.planted import REFERENCE_ROWS
from benchmarks.quality.ticks import draw
from benchmarks.quality.worlds import constant
from detectors.conventions import evidently_default, peer_score

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

EVIDENTLY, FROM_REFERENCE = "evidently's default", "EWMA chi-square, by the reference"
AFTER_HOURS = 240
RATE = 1e-5
"""Alarms of a feature and window for which the chart is set."""
SETTLED = 20
"""Windows of the reference before its chart has its lasting variance."""
EVIDENTLY_ROWS = 10_000
_N_GROUPS = 20


@dataclass(frozen=True, slots=True)
class PlainRun:
    """One change in ten features; delays in hours, infinite where not found in ten days."""

    name: str
    movement: str
    delays: Mapping[str, tuple[float, ...]]
    n_before: Mapping[str, int]
    """Alarms before the change; one that goes on or comes again within four hours is the same."""
    hours_before: int


def plain_run(planted: Planted, seed: int) -> PlainRun:
    """Plant a change and note when each peer alarms; the chart needs a reference with times."""
    rng = np.random.default_rng(seed)
    drawer = draw(planted.law, rng)
    rows, begin = constant(planted.n_rows), int(planted.after_days * 24)
    n_hours = -(-(planted.reference_rows or REFERENCE_ROWS) // planted.n_rows)

    def columns_of(hours: Integers) -> tuple[Columns, Integers]:
        features, stretch, _ = drawer.stretch(hours, rows(hours))
        return planted.change.apply(features, hours[stretch.hour], begin, rng), stretch.hour

    reference, hour = columns_of(np.arange(-n_hours, 0))
    charts: list[Callable[[Columns, Integers, int], Bools]] = []
    names = [EVIDENTLY]
    charts.append(Evidently(reference, rng, is_categorical=planted.is_categorical).alarms)
    if planted.reference_rows is None:
        names.append(FROM_REFERENCE)
        chart = ReferenceChart(reference, hour, n_hours, is_categorical=planted.is_categorical)
        charts.append(chart.alarms)
    columns, at = columns_of(np.arange(0, begin + AFTER_HOURS))
    is_on = [chart(columns, at, begin + AFTER_HOURS) for chart in charts]
    return PlainRun(
        planted.name,
        planted.movement,
        {name: tuple(delays(own[begin:])) for name, own in zip(names, is_on, strict=True)},
        {name: n_alarms(own[:begin]) for name, own in zip(names, is_on, strict=True)},
        begin,
    )


def delays(is_on: Bools) -> Iterator[float]:
    """Yield the windows until each feature alarms, shape (H, F); inf if never."""
    for own in is_on.T:
        late = np.flatnonzero(own)
        yield float(late[0]) + 1.0 if len(late) else np.inf


def n_alarms(is_on: Bools) -> int:
    """Count alarms of all features, one that comes again within four windows only once."""
    is_new = is_on.copy()
    for gap in range(1, QUIET_WINDOWS + 1):
        is_new[gap:] &= ~is_on[:-gap]
    return int(is_new.sum())


class Evidently:
    """The test and the threshold that evidently takes when none is named, hour by hour."""

    def __init__(
        self, reference: Columns, rng: np.random.Generator, *, is_categorical: bool
    ) -> None:
        picked = rng.permutation(len(reference))[:EVIDENTLY_ROWS]
        self._reference, self._kind = reference[picked], "numeric"
        if is_categorical:
            self._kind = "categorical"

    def alarms(self, columns: Columns, hour: Integers, n_hours: int) -> Bools:
        """Return the hours in which each feature drifts, shape (H, F); also without a value."""
        found = np.zeros((n_hours, N_FEATURES), bool)
        bounds = np.searchsorted(hour, np.arange(n_hours + 1))
        for k in range(N_FEATURES):
            expected = self._reference[:, k]
            expected = expected[~np.isnan(expected)]
            name = ""
            for t in range(n_hours):
                own = columns[bounds[t] : bounds[t + 1], k]
                own = own[~np.isnan(own)]
                if len(own) == 0:
                    found[t, k] = True
                    continue
                if not name:
                    name, kind, limit = evidently_default(expected, own, kind=self._kind)
                score = peer_score(name, expected, own, convention="evidently", kind=kind)
                is_small = score.quantity == "p_value"
                found[t, k] = score.value < limit if is_small else score.value >= limit
        return found


class ReferenceChart:
    """An EWMA chart of shares by chi-square, its limit from the reference's own hours.

    A gamma law of the statistic's mean and variance, exceeded once in 100,000 windows.
    """

    def __init__(
        self, reference: Columns, hour: Integers, n_hours: int, *, is_categorical: bool
    ) -> None:
        inner = np.arange(1, _N_GROUPS) / _N_GROUPS
        values = reference if is_categorical else np.nanquantile(reference, inner, axis=0)
        self._edges = [np.unique(x) for x in values.T]
        counts = self._counts(reference, hour, n_hours)
        self._totals = [own.sum(axis=0) for own in counts]
        self._limits = []
        for own, total in zip(counts, self._totals, strict=True):
            seen = statistics(Hourly(own, total, None))[EWMA][SETTLED:]
            mean, variance = float(seen.mean()), float(seen.var())
            self._limits.append(
                float(stats.gamma.isf(RATE, mean**2 / variance, scale=variance / mean))
            )

    def alarms(self, columns: Columns, hour: Integers, n_hours: int) -> Bools:
        """Return the hours in which each feature is beyond its limit, shape (H, F)."""
        counts = self._counts(columns, hour, n_hours)
        found = [
            statistics(Hourly(own, total, None))[EWMA] > limit
            for own, total, limit in zip(counts, self._totals, self._limits, strict=True)
        ]
        return np.stack(found, axis=1)

    def _counts(self, columns: Columns, hour: Integers, n_hours: int) -> list[Floats]:
        """Rows of each group by the hour, those without a value last."""
        found = []
        for x, edges in zip(columns.T, self._edges, strict=True):
            n = len(edges) + 2
            group = np.where(np.isnan(x), n - 1, np.searchsorted(edges, x))
            flat = np.bincount(hour * n + group, minlength=n_hours * n)
            found.append(flat.reshape(n_hours, n).astype(np.float64))
        return found


def read(path: Path) -> list[PlainRun]:
    """Read the runs of a file; none if it does not exist."""
    if not path.is_file():
        return []
    return [PlainRun(**json.loads(line)) for line in path.read_text().splitlines()]


def alarms_a_month(runs: Sequence[PlainRun], peer: str, movement: str) -> float:
    """Alarms of a peer a model and month before the changes of one kind of world."""
    own = [r for r in runs if r.movement == movement and peer in r.n_before]
    hours = sum(r.hours_before for r in own)
    return 730 * sum(r.n_before[peer] for r in own) / hours if hours else np.nan


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description="peers that a user can set up")
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=90_000)
    options = parser.parse_args()
    known = {run.name for run in read(options.file)}
    for planted in planted_changes():
        if planted.name not in known:
            with options.file.open("a") as out:
                out.write(json.dumps(asdict(plain_run(planted, options.seed))) + "\n")


if __name__ == "__main__":
    main()
