"""Detection delays of planted shifts under a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.decision import Evidence, SetLayout, decide, plan_cells
from detectors.decision_rule.planting import plant, reference_sd, shift_matrix
from detectors.decision_rule.sets import cell_sets
from detectors.decision_rule.tolerance import TolerancePlan
from monitor.backtest.judging import n_rows_of
from monitor.core.drift.cells import align_counts
from monitor.core.drift.decide import SeriesDecider
from schemas.baselines import Baseline, Kind
from schemas.config.model import ModelConfig
from schemas.errors import ConfigError
from schemas.panes import N_COUNTERS, SeriesId, Window

SHIFTS_SD = (0.1, 0.2, 0.3, 0.5)
"""Planted where nothing else is asked for, in reference standard deviations."""
MAX_STARTS = 5
"""Places in the history where each shift is planted, evenly spread."""
MAX_HORIZON = 72
"""Windows a shift is given to be found."""

Counts = NDArray[np.int64]
Slots = tuple[int, ...]
"""Hours of the week that a window touches: windows with the same ones have one reference."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Detection rate and delay of one shift of one feature."""

    feature: str
    shift_sd: float
    at_us: int | None
    """Start of the first planted window or tick; None where it was planted at several places."""
    horizon: int
    """Windows with rows that the shift was given; under rule 2 ticks."""
    n_starts: int
    """0: the history has no quiet stretch to plant it into."""
    delays: tuple[int, ...]
    """Of each place where it was found: planted windows, or ticks, up to the one that fired."""
    is_firing_anyway: bool = False
    """The feature fired as soon without the shift: its delay is meaningless."""
    unit_us: int = 0
    """Length of the ticks that are counted; 0 where windows are."""

    @property
    def share_found(self) -> float | None:
        """Share of the places in which it was found; None without a place."""
        return len(self.delays) / self.n_starts if self.n_starts else None

    @property
    def median(self) -> float | None:
        """Median delay over all places, where at least half of them found it."""
        if not self.n_starts or 2 * len(self.delays) < self.n_starts:
            return None
        missed = [np.inf] * (self.n_starts - len(self.delays))
        middle = float(np.median([*self.delays, *missed]))
        return middle if np.isfinite(middle) else None


def plantable(config: ModelConfig) -> list[str]:
    """Return the numeric features of a model, into which shifts are planted by default."""
    return [name for name, f in config.features.items() if f.kind is Kind.NUMERIC]


def main_series(windows: Sequence[Window], baselines: Mapping[str, Baseline]) -> SeriesId | None:
    """Return the series with the most rows of those that have a baseline."""
    n_rows: dict[SeriesId, int] = {}
    for window in windows:
        if window.series.profile_id in baselines:
            n_rows[window.series] = n_rows.get(window.series, 0) + n_rows_of(window)
    return max(sorted(n_rows), key=n_rows.__getitem__, default=None)


def measure_delays(
    windows: Sequence[Window],
    config: ModelConfig,
    baselines: Mapping[str, Baseline],
    feature: str,
    shifts_sd: Sequence[float] = SHIFTS_SD,
    at_us: int | None = None,
) -> list[Delay]:
    """Plant shifts of one feature into the history, and count windows until it fires.

    Parameters
    ----------
    windows : sequence of Window
        Of one model under the config's window length.
    baselines : mapping of str to Baseline
        By id.
    feature : str
        A numeric feature, or ``score``.
    shifts_sd : sequence of float
        Sizes, in standard deviations of the reference.
    at_us : int, optional
        Plant from the first window that starts there or later to the end of the history.
        By default at up to five places, spread over the stretch before what makes the
        feature fire by itself, each with the same number of windows to come: half of that stretch,
        72 at most.

    Returns
    -------
    list of Delay
        One a shift, in order.

    Raises
    ------
    ConfigError
        If the model has no such numeric feature, or no window starts so late.

    Notes
    -----
    A feature that ends sharply leaves its range when it is shifted, as its rows would, and
    is found by that: on such a feature small shifts are found as soon as large ones.
    All segments are shifted alike, and the feature counts as found when any of its cells
    fires. Only the feature's cells are judged: cells do not see each other, and K, which
    they share, stays that of the model. The model version with the most rows is used,
    its windows without rows are skipped.
    """
    series = main_series(windows, baselines)
    if series is None:
        return [Delay(feature, shift, at_us, 0, 0, ()) for shift in shifts_sd]
    field = _Field(
        [w for w in windows if w.series == series and n_rows_of(w) and not w.is_baseline_changed],
        SeriesDecider(series, config, baselines[series.profile_id]),
        feature,
    )
    if at_us is not None:
        return field.planted_at(shifts_sd, at_us)
    return field.planted_everywhere(shifts_sd)


class _Field:
    """One feature's counters over a history, to be planted."""

    def __init__(self, windows: Sequence[Window], decider: SeriesDecider, feature: str) -> None:
        self._baseline = baseline = decider.baseline
        self._rule, self._starts = decider.rule, [w.start_us for w in windows]
        self._phi = decider.config.decision.phi
        self._feature = feature
        self._variable = v = variable_index(baseline, feature)
        n_variables, segments = len(baseline.variables), baseline.reference.segments
        shape = (len(segments), n_variables, N_COUNTERS)
        # Copies: a view of one variable would keep the counters of all of them.
        self._counts = [
            align_counts(w.segments, segments).reshape(shape)[:, v].copy() for w in windows
        ]
        self._slots = [decider.slots_at(w) for w in windows]
        self._references: dict[Slots, Counts] = {}
        for window, slots in zip(windows, self._slots, strict=True):
            if slots not in self._references:
                reference = decider.reference_at(window).reshape(shape)[:, v]
                self._references[slots] = reference.copy()
        self._plans: dict[tuple[Slots, int], TolerancePlan] = {}
        self._layout = _layout(baseline, v, 1)

    def _plan(self, i: int, n_copies: int) -> TolerancePlan:
        """Plan the feature's cells in window i, as often as there are shifts."""
        slots, v = self._slots[i], self._variable
        key = slots, n_copies
        if key not in self._plans:
            phi = self._baseline.phi[:, v]
            self._plans[key] = plan_cells(
                self._rule,
                _layout(self._baseline, v, n_copies),
                np.tile(self._references[slots], (n_copies, 1)),
                np.tile(phi if self._phi is None else np.full_like(phi, self._phi), n_copies),
                np.tile(self._baseline.eps_learned[:, v], n_copies),
            )
        return self._plans[key]

    def planted_everywhere(self, shifts_sd: Sequence[float]) -> list[Delay]:
        """Plant at several places of the quiet stretch."""
        _, n_quiet = self._first_firing(0)
        horizon = min(MAX_HORIZON, n_quiet // 2)
        if horizon == 0:
            return [Delay(self._feature, shift, None, 0, 0, ()) for shift in shifts_sd]
        starts = np.unique(np.linspace(0, n_quiet - horizon, MAX_STARTS).astype(int)).tolist()
        before = self._evidence_at(starts)
        found = [self._found(shifts_sd, s, s + horizon, before[s]) for s in starts]
        return [
            Delay(
                self._feature,
                shift,
                None,
                horizon,
                len(starts),
                tuple(d for own in found if (d := own[k]) is not None),
            )
            for k, shift in enumerate(shifts_sd)
        ]

    def planted_at(self, shifts_sd: Sequence[float], at_us: int) -> list[Delay]:
        """Plant from one time on."""
        start = next((i for i, s in enumerate(self._starts) if s >= at_us), None)
        if start is None:
            raise ConfigError(
                f"no window with rows starts at or after the time of {self._feature}",
                where="--plant",
                fix="name a time within the history",
            )
        end = len(self._starts)
        found = self._found(shifts_sd, start, end, self._evidence_at([start])[start])
        anyway = self._first_firing(start)[0] - start + 1
        return [
            Delay(
                self._feature,
                shift,
                self._starts[start],
                end - start,
                1,
                () if delay is None else (delay,),
                is_firing_anyway=anyway <= (delay or 0),
            )
            for shift, delay in zip(shifts_sd, found, strict=True)
        ]

    def _first_firing(self, start: int) -> tuple[int, int]:
        """Return the first window from ``start`` on that fires by itself, and where that began."""
        evidence = Evidence.start(self._layout)
        for i, counts in enumerate(self._counts):
            decision = decide(self._plan(i, 1), evidence, counts, n_rungs=1)
            if decision.has_fired.any() and i >= start:
                return i, i + 1 - int(decision.n_windows[decision.has_fired].max())
        return len(self._counts), len(self._counts)

    def _evidence_at(self, starts: Sequence[int]) -> dict[int, Evidence]:
        """Return what was gathered before each of some windows."""
        evidence, found = Evidence.start(self._layout), {}
        for i in range(max(starts) + 1):
            if i in starts:
                found[i] = evidence.copy()
            decide(self._plan(i, 1), evidence, self._counts[i], n_rungs=1)
        return found

    def _found(
        self, shifts_sd: Sequence[float], start: int, end: int, before: Evidence
    ) -> list[int | None]:
        """Return after how many windows each shift is found; None where it is not."""
        n_shifts, n_cells = len(shifts_sd), len(self._counts[0])
        # Side by side: one call of the kernel a window for all sizes.
        evidence = Evidence(
            np.tile(before.ratios, (n_shifts, 1)),
            np.tile(before.history, n_shifts),
            np.tile(before.n_windows, n_shifts),
        )
        matrices = [planting_matrix(self._baseline, self._variable, s) for s in shifts_sd]
        found: list[int | None] = [None] * n_shifts
        for i in range(start, end):
            counts = np.concatenate([plant(self._counts[i], matrix) for matrix in matrices])
            fired = decide(self._plan(i, n_shifts), evidence, counts, n_rungs=1).has_fired
            for k in np.flatnonzero(fired.reshape(n_shifts, n_cells).any(axis=1)).tolist():
                found[k] = found[k] or i - start + 1
            if None not in found:
                break
        return found


def planting_matrix(baseline: Baseline, variable: int, shift_sd: float) -> NDArray[np.float64]:
    """Return how a shift moves the rows of a variable; a constant has no scale, and does not move.

    Parameters
    ----------
    variable : int
        Index into ``baseline.variables``.
    shift_sd : float
        In standard deviations of the reference.

    Returns
    -------
    ndarray of float64, shape (64, 64)
        Of :func:`detectors.decision_rule.planting.shift_matrix`.
    """
    shift = shift_sd * reference_sd(baseline, variable)
    if shift == 0:
        return np.eye(N_COUNTERS)
    counts = baseline.reference.counts[0, variable]
    return shift_matrix(baseline.variables[variable].edges, counts, shift)


def variable_index(baseline: Baseline, feature: str) -> int:
    """Return the index of a numeric variable.

    Raises
    ------
    ConfigError
        If the baseline has none of that name.
    """
    known = [v.name for v in baseline.variables if v.kind is Kind.NUMERIC]
    if feature not in known:
        raise ConfigError(
            f"{baseline.model!r} has no numeric feature {feature!r}",
            where="--plant",
            fix=f"use one of {', '.join(known)}",
        )
    return next(i for i, v in enumerate(baseline.variables) if v.name == feature)


def _layout(baseline: Baseline, v: int, n_copies: int) -> SetLayout:
    """Lay out one variable's sets in every segment; those of the whole reference at any hour."""
    reference = baseline.reference.counts[:, v]
    return SetLayout.of([cell_sets(baseline.variables[v], c) for c in reference] * n_copies)
