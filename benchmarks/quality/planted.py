"""Delays and onsets of the multi-scale rule where a change is planted in every feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.changes import Planted
from benchmarks.quality.laws import Integers
from benchmarks.quality.peers import (
    N_FEATURES_SIMULATED,
    hourly,
    null_world,
    peer_delays,
    standardised,
    thresholds,
)
from benchmarks.quality.ticks import STRETCH_HOURS, TICKS_AN_HOUR, Model, build, draw, judged
from benchmarks.quality.worlds import constant
from detectors.kernels.scale_state import CORRECTION
from detectors.multiscale.onset import look_back_ticks, onset
from detectors.multiscale.rule import Verdicts

Floats = NDArray[np.float64]

AFTER_HOURS = 30 * 24
SETTLE_HOURS = 5 * 24
"""After the last alert has opened: time in which alerts may close and open again."""
REFERENCE_ROWS = 336_000


@dataclass(frozen=True, slots=True)
class PlantedRun:
    """Delays of one change in the features of one model, in hours; inf where not found."""

    planted: Planted
    delays: tuple[float, ...]
    onset_errors: tuple[float, ...]
    """Hours by which the most likely beginning is late, of what was found."""
    n_covered: int
    """Intervals that hold the beginning."""
    n_before: int
    """Alerts before the change."""
    n_reopened: int
    peers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Delays of calibrated peers; infinite beyond the end of the run."""


@dataclass(frozen=True, slots=True)
class PlantedFigures:
    """One change over several models."""

    planted: Planted
    median_hours: float
    share_found: float
    onset_error_ticks: float
    onset_error_90_hours: float
    share_covered: float
    n_before: int
    n_reopened: int
    n_planted: int
    peer_hours: Mapping[str, float]
    """Median delay of every calibrated peer."""

    @property
    def delay_ratio(self) -> float:
        """Median delay over that of the fastest calibrated peer; NaN if there is none."""
        fastest = min(self.peer_hours.values(), default=np.nan)
        return (
            np.nan
            if np.isinf(fastest) and np.isinf(self.median_hours)
            else (self.median_hours / fastest)
        )

    @property
    def is_met(self) -> bool:
        """Whether the median is within the bar and all were found."""
        is_soon = self.median_hours <= self.planted.bar_hours * (1 + 1e-9)
        return is_soon and self.share_found == 1.0

    @staticmethod
    def of(runs: Sequence[PlantedRun]) -> PlantedFigures:
        """Take all runs of one change together."""
        delays = np.array([d for r in runs for d in r.delays])
        errors = np.abs([e for r in runs for e in r.onset_errors])
        has_errors = len(errors) > 0
        names = runs[0].peers
        peers = {n: float(np.median([d for r in runs for d in r.peers[n]])) for n in names}
        return PlantedFigures(
            runs[0].planted,
            float(np.median(delays)),
            float(np.isfinite(delays).mean()),
            float(np.median(errors)) * TICKS_AN_HOUR if has_errors else np.nan,
            float(np.quantile(errors, 0.9)) if has_errors else np.nan,
            sum(r.n_covered for r in runs) / len(errors) if has_errors else np.nan,
            sum(r.n_before for r in runs),
            sum(r.n_reopened for r in runs),
            len(delays),
            peers,
        )


def planted_run(
    planted: Planted,
    seed: int,
    after_hours: int = AFTER_HOURS,
    n_calibrated: int = N_FEATURES_SIMULATED,
) -> PlantedRun:
    """Plant a change in every feature of a model and wait until the alerts open.

    Stops five days after all features have been found, or ``after_hours`` after the change.
    Calibrated peers see the same rows, in windows of an hour.
    """
    rng = np.random.default_rng(seed)
    drawer = draw(planted.law, rng)
    has_times = planted.reference_rows is None
    n_hours = -(-(planted.reference_rows or REFERENCE_ROWS) // planted.n_rows)
    hours = np.arange(-n_hours, 0)
    rows = constant(planted.n_rows)
    begin_hour = int(planted.after_days * 24)

    def columns_of(hours: Integers) -> tuple[Floats, Integers]:
        features, stretch, tick = drawer.stretch(hours, rows(hours))
        features = planted.change.apply(features, hours[stretch.hour], begin_hour, rng)
        return drawer.with_score(features, planted.is_categorical), tick

    columns, tick = columns_of(hours)
    scale = np.nanmean(columns, axis=0), np.nanstd(columns, axis=0)
    scores: list[Floats] = []
    model = build(
        columns,
        tick if has_times else None,
        n_categorical=columns.shape[1] - 1 if planted.is_categorical else 0,
        rows_a_tick=planted.n_rows / TICKS_AN_HOUR,
        first_hour=-n_hours,
    )
    last = begin_hour + after_hours
    watch = Watch(model, begin_hour * TICKS_AN_HOUR, planted.is_of_products)
    for begin in range(0, last, STRETCH_HOURS):
        hours = np.arange(begin, min(last, begin + STRETCH_HOURS))
        columns, tick = columns_of(hours)
        scores.append(standardised(columns, tick // TICKS_AN_HOUR, len(hours), *scale))
        for verdicts, own in judged(model, columns, tick, hours):
            watch.add(verdicts, *own)
            if watch.is_complete:
                break
        if watch.is_complete:
            break
    found = watch.run(planted)
    limits = thresholds(null_world(planted, planted.reference_rows or REFERENCE_ROWS), n_calibrated)
    own_scores = None if planted.is_categorical else np.concatenate(scores)
    features = hourly(model, np.stack(watch.sums), own_scores)
    delays = peer_delays(features, limits, begin_hour)
    return replace(found, peers={name: tuple(own) for name, own in delays.items()})


class Watch:
    """Notes when the alert of each watched cell opens, and where the onset is put."""

    def __init__(self, model: Model, begin: int, is_of_products: bool) -> None:
        n_features = len(model.layout.cells) - 1
        cell = model.plan.n_cells - 1
        self._cells = [cell] if is_of_products else list(range(n_features))
        self._model, self._begin = model, begin
        self.sums: list[NDArray[np.float32]] = []
        """Components of every tick."""
        self._rows: list[NDArray[np.float32]] = []
        self._found: dict[int, float] = {}
        self._errors: list[float] = []
        self._n_covered = self._n_before = self._n_reopened = 0

    @property
    def is_complete(self) -> bool:
        """Whether all watched cells were found, five days ago."""
        if len(self._found) < len(self._cells):
            return False
        hours = (len(self.sums) - self._begin) / TICKS_AN_HOUR
        return hours >= max(self._found.values()) + SETTLE_HOURS

    def add(self, verdicts: Verdicts, sums: Floats, rows: Floats) -> None:
        """Add a tick."""
        t = len(self.sums)
        self.sums.append(sums.astype(np.float32))
        self._rows.append(rows.astype(np.float32))
        if t < self._begin:
            self._n_before += int(verdicts.has_opened.sum())
            return
        for c in self._cells:
            if not verdicts.has_opened[c]:
                continue
            if c in self._found:
                self._n_reopened += 1
                continue
            self._found[c] = (t - self._begin + 1) / TICKS_AN_HOUR
            self._locate(verdicts, c)

    def _locate(self, verdicts: Verdicts, c: int) -> None:
        plan, i = self._model.plan, int(verdicts.component[c])
        back = look_back_ticks(int(verdicts.scale[c]), self._model.rule.tick_hours)
        first = max(0, len(self.sums) - back)
        sums = np.array([x[i] for x in self.sums[first:]], np.float64)
        rows = np.array([x[c] for x in self._rows[first:]], np.float64)
        expected = plan.constants[i, 0] + float(self._model.state.components[i, CORRECTION])
        sampling, natural = float(verdicts.sampling[c]), float(verdicts.natural[c])
        found = onset(
            sums,
            rows,
            expected,
            is_share=bool(plan.codes[i, 0]),
            n_reference=plan.references[c, 0],
            inflation=1.0 + natural / sampling,
        )
        self._errors.append((first + found.tick - self._begin) / TICKS_AN_HOUR)
        self._n_covered += first + found.low <= self._begin <= first + found.high

    def run(self, planted: Planted) -> PlantedRun:
        """Return what was found."""
        delays = tuple(self._found.get(c, np.inf) for c in self._cells)
        return PlantedRun(
            planted,
            delays,
            tuple(self._errors),
            self._n_covered,
            self._n_before,
            self._n_reopened,
        )
