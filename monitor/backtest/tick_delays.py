"""Detection delays of planted shifts under rule 2, which judges ticks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.planting import plant
from monitor.backtest.delays import (
    MAX_HORIZON,
    MAX_STARTS,
    Delay,
    main_series,
    planting_matrix,
    variable_index,
)
from monitor.backtest.history import History
from monitor.backtest.scale_judging import is_tick_withheld
from monitor.backtest.traces import n_rows_of
from monitor.core.drift.ticks.decider import ScaleDecider
from schemas.alerts import Alert, Transition
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import ConfigError
from schemas.monitors import Monitor
from schemas.panes import SeriesStats, Window

Sizes = Mapping[tuple[str, int | None], Sequence[float]]
"""Shifts, in standard deviations of the reference, by feature and time of planting."""


def measure_tick_delays(
    history: History,
    config: ModelConfig,
    baselines: Mapping[str, Baseline],
    alerts: Sequence[Alert],
    sizes: Sizes,
    advance: Callable[[str], None] = lambda note: None,
) -> list[Delay]:
    """Plant shifts into the ticks of a history, and count ticks until the feature's alert opens.

    Parameters
    ----------
    history : History
        With ticks.
    baselines : mapping of str to Baseline
        By ``profile_id``.
    alerts : sequence of Alert
        Changes of alerts in the history itself: a feature is quiet before its first one began.
    sizes : mapping of (str, int or None) to sequence of float
        None as the time of planting: at up to five places of the quiet stretch, each with the
        same time to come: half of that stretch, 72 windows at most.
    advance : callable, optional
        Called with a description of each step.

    Returns
    -------
    list of Delay
        In ticks, for each feature in the order of its sizes.

    Raises
    ------
    ConfigError
        If the model has no such numeric feature, or no tick with rows starts so late.

    Notes
    -----
    A planted copy of the model continues from the averages of that time and judges all cells,
    because contexts are those of the whole model; replicas are left out. About half a
    millisecond for a tick of ten features.
    """
    series = main_series(history.ticks, baselines)
    ticks = [
        replace(tick, slices=SeriesStats.empty((), tick.slices.counts.shape[1]))
        for tick in history.ticks
        if tick.series == series and not tick.is_baseline_changed
        if not is_tick_withheld(tick, config, history.withheld)
    ]
    if series is None or not ticks:
        return [
            Delay(feature, shift, at_us, 0, 0, (), unit_us=config.tick_us)
            for (feature, at_us), shifts in sizes.items()
            for shift in shifts
        ]
    field = _TickField(ticks, config, baselines[series.profile_id], alerts)
    plans = {key: field.places(*key) for key in sizes}
    return field.measure(sizes, plans, advance)


class _TickField:
    """Ticks of one series, to be planted.

    Parameters
    ----------
    alerts : sequence of Alert
        Of the history.
    """

    def __init__(
        self,
        ticks: Sequence[Window],
        config: ModelConfig,
        baseline: Baseline,
        alerts: Sequence[Alert],
    ) -> None:
        self._ticks, self._config, self._baseline = ticks, config, baseline
        self._firing: set[tuple[str, int | None]] = set()
        """Features whose alert is open where they are planted."""
        self._with_rows = [i for i, tick in enumerate(ticks) if n_rows_of(tick)]
        version = ticks[0].series.model_version
        self._opened = [
            a
            for a in alerts
            if a.transition is Transition.OPENED
            and a.monitor == Monitor.DRIFT
            and a.model_version == version
        ]

    def places(self, feature: str, at_us: int | None) -> tuple[list[int], int]:
        """Return the ticks from which a shift is planted, and for how many ticks."""
        if at_us is not None:
            start = next((i for i in self._with_rows if self._ticks[i].start_us >= at_us), None)
            if start is None:
                raise ConfigError(
                    f"no tick with rows starts at or after the time of {feature}",
                    where="--plant",
                    fix="name a time within the history",
                )
            return [start], len(self._ticks) - start
        begun = (
            a.window_start_us if a.onset is None else a.onset.onset_us
            for a in self._opened
            if a.feature == feature
        )
        until_us = min(begun, default=self._ticks[-1].end_us)
        quiet = [i for i in self._with_rows if self._ticks[i].end_us <= until_us]
        longest = MAX_HORIZON * self._config.window.length_us // self._config.tick_us
        horizon = min(longest, len(quiet) // 2)
        if not horizon:
            return [], 0
        chosen = np.linspace(0, len(quiet) - horizon, MAX_STARTS).astype(int)
        return [quiet[k] for k in np.unique(chosen).tolist()], horizon

    def measure(
        self,
        sizes: Sizes,
        places: Mapping[tuple[str, int | None], tuple[list[int], int]],
        advance: Callable[[str], None],
    ) -> list[Delay]:
        """Judge the history once, and from every place the planted copies of it."""
        series = self._ticks[0].series
        decider = ScaleDecider(series, self._config, self._baseline, has_statistics=False)
        found: dict[tuple[str, int | None, float], list[int]] = {}
        last = max((start for starts, _ in places.values() for start in starts), default=-1)
        for i in range(last + 1):
            for (feature, at_us), shifts in sizes.items():
                starts, horizon = places[feature, at_us]
                if i not in starts:
                    continue
                advance(f"planting {feature}")
                if has_alert(decider, feature):
                    self._firing.add((feature, at_us))
                for shift in shifts:
                    delay = self._delay(decider, feature, shift, range(i, i + horizon))
                    found.setdefault((feature, at_us, shift), []).extend(delay)
            decider.take_tick(self._ticks[i])
        return [
            self._summary(feature, at_us, shift, places[feature, at_us], found)
            for (feature, at_us), shifts in sizes.items()
            for shift in shifts
        ]

    def _delay(self, decider: ScaleDecider, feature: str, shift: float, span: range) -> list[int]:
        """Return after how long a shift is found, in tick lengths; empty if it is not.

        Few ticks of a pause are listed, so they cannot be counted.
        """
        v = variable_index(self._baseline, feature)
        matrix = planting_matrix(self._baseline, v, shift)
        copy = ScaleDecider(
            decider.series,
            self._config,
            self._baseline,
            decider.export(),
            has_statistics=False,
        )
        begin_us = self._ticks[span.start].start_us if span else 0
        for tick in self._ticks[span.start : span.stop]:
            copy.take_tick(planted_window(tick, v, matrix))
            if has_alert(copy, feature):
                return [(tick.end_us - begin_us) // self._config.tick_us]
        return []

    def _summary(
        self,
        feature: str,
        at_us: int | None,
        shift: float,
        place: tuple[list[int], int],
        found: Mapping[tuple[str, int | None, float], list[int]],
    ) -> Delay:
        """Return the delay of one shift over its places."""
        starts, horizon = place
        delays = tuple(found.get((feature, at_us, shift), []))
        own_us = None if at_us is None else self._ticks[starts[0]].start_us
        is_firing_anyway = (feature, at_us) in self._firing
        if own_us is not None and delays:
            until_us = own_us + delays[0] * self._config.tick_us
            opened = (a.time_us for a in self._opened if a.feature == feature)
            is_firing_anyway |= any(own_us < time_us <= until_us for time_us in opened)
        return Delay(
            feature,
            shift,
            own_us,
            horizon,
            len(starts),
            delays,
            is_firing_anyway=is_firing_anyway,
            unit_us=self._config.tick_us,
        )


def has_alert(decider: ScaleDecider, feature: str) -> bool:
    """Return whether an alert on any cell of a feature is open."""
    return any(key.startswith(f"{Monitor.DRIFT}|{feature}|") for key in decider.open_alerts)


def planted_window(window: Window, variable: int, matrix: NDArray[np.float64]) -> Window:
    """Return a tick in which the rows of one variable are shifted, in every segment.

    Parameters
    ----------
    matrix : ndarray of float64, shape (64, 64)
        Of :func:`detectors.decision_rule.planting.shift_matrix`.
    """
    counts = window.segments.counts.copy()
    counts[:, variable] = plant(counts[:, variable], matrix)
    return replace(window, segments=replace(window.segments, counts=counts))
