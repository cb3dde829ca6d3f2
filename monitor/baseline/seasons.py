"""Reference counts by hour of the week, for seasonal cells."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.seasonal import (
    MIN_WEEKS,
    N_SLOTS,
    choose_reference,
    has_season,
    learned_seasonal_eps,
    slot_of,
    slots_of_window,
)
from detectors.decision_rule.sets import cell_sets
from monitor.baseline.blocks import Range, count_ranges, count_windows
from monitor.core.windowing.accumulators import take
from monitor.core.windowing.layout import Layout
from schemas.baselines import Baseline, SeasonalCounts
from schemas.batch import EventBatch, Int64Array
from schemas.panes import N_COUNTERS
from schemas.time_units import HOUR_US
from schemas.time_zones import UTC_NAME

MAX_CELLS = 1_000
"""Of 43 kB each; with more, loading a baseline would take longer than a window lasts."""
_WEEK_US = N_SLOTS * HOUR_US


def find_seasons(
    baseline: Baseline,
    batch: EventBatch,
    layout: Layout,
    eps_floor: float,
    timezone: str | None = None,
) -> SeasonalCounts | None:
    """Count a reference by hour of the week, if any cell is seasonal.

    Parameters
    ----------
    baseline : Baseline
        With reference and phi.
    batch : EventBatch
        The reference's rows, with event times.
    eps_floor : float
        Cycles within this tolerance are ignored.
    timezone : str, optional
        Time zone of the hours; by default UTC, whose hours are shifted when local clocks change.

    Returns
    -------
    SeasonalCounts or None
        None below four weeks, above 1,000 cells, or if no cell is seasonal.

    Notes
    -----
    Seasonality is tested over an even number of weeks, half of them even and half odd; otherwise a
    trend would count as a season. An incomplete or odd last week is counted with the rest; half a
    week or more counts as a week.
    """
    elapsed_us = batch.time_us - batch.time_us.min()
    n_weeks_used = int(elapsed_us.max() + _WEEK_US // 2) // _WEEK_US
    if n_weeks_used < MIN_WEEKS or baseline.phi.size > MAX_CELLS:
        return None
    week, slot = elapsed_us // _WEEK_US, slot_of(batch.time_us, timezone or UTC_NAME)
    part = np.where(week < n_weeks_used // 2 * 2, week % 2, 2)  # even, odd, and the rest
    key = part * N_SLOTS + slot
    order = np.argsort(key, kind="stable")
    cuts = np.searchsorted(key[order], np.arange(3 * N_SLOTS + 1)).tolist()
    segments = baseline.reference.segments
    counts = count_ranges(take(batch, order), layout, segments, list(pairwise(cuts)))
    parts = counts.reshape(3, N_SLOTS, *counts.shape[1:])
    is_seasonal = np.zeros(baseline.phi.shape, np.bool_)
    for s, v in np.ndindex(baseline.phi.shape):
        sets = cell_sets(baseline.variables[v], baseline.reference.counts[s, v])
        phi = float(baseline.phi[s, v])
        is_seasonal[s, v] = has_season(parts[:2, :, s, v], sets, phi, eps_floor)
    if not is_seasonal.any():
        return None
    seen = np.unique(week * N_SLOTS + slot) % N_SLOTS
    n_weeks = np.bincount(seen, minlength=N_SLOTS).astype(np.int64)
    middle_us = int(batch.time_us.min() + elapsed_us.max() // 2)
    return SeasonalCounts(
        parts.sum(axis=0, dtype=np.int32),
        n_weeks,
        is_seasonal,
        timezone or UTC_NAME,
        middle_us if timezone is None else None,
    )


def seasonal_tolerances(
    baseline: Baseline,
    batch: EventBatch,
    layout: Layout,
    order: Int64Array,
    windows: Sequence[Range],
    length_us: int,
) -> NDArray[np.float64]:
    """Learn eps of seasonal cells relative to their hourly references.

    Parameters
    ----------
    baseline : Baseline
        Baseline with seasonal counts, and eps learned without them.
    order : ndarray of int64
        Rows by time.
    windows : sequence of (start, stop)
        Ranges of ``order``.
    length_us : int
        Length of a window.

    Returns
    -------
    ndarray of float64, shape (S, V)
        Unchanged for cells that are not seasonal.
    """
    eps, seasonal = baseline.eps_learned.copy(), baseline.seasonal
    if seasonal is None:
        return eps
    ranges, counts = count_windows(baseline, batch, layout, order, windows)
    first_us = batch.time_us[order[[start for start, _ in ranges]]] // length_us * length_us
    slots = [slots_of_window(start, length_us, seasonal.timezone) for start in first_us.tolist()]
    known = {own.tobytes(): own for own in slots}
    places = {key: i for i, key in enumerate(known)}
    which = np.array([places[own.tobytes()] for own in slots], np.int64)
    references = _references(seasonal, list(known.values()))
    for s, v in np.argwhere(seasonal.is_seasonal).tolist():
        sets = cell_sets(baseline.variables[v], baseline.reference.counts[s, v])
        own = counts[:, s, v].astype(np.int64)
        phi = float(baseline.phi[s, v])
        eps[s, v] = learned_seasonal_eps(own, references[which, s, v], sets, phi)
    return eps


def _references(seasonal: SeasonalCounts, windows: Sequence[Int64Array]) -> NDArray[np.int64]:
    """Return the references of windows that overlap the given slots."""
    shape = seasonal.counts.shape[1:]
    by_slot = seasonal.counts.reshape(N_SLOTS, -1, N_COUNTERS)
    is_seasonal = seasonal.is_seasonal.reshape(-1)
    found = [
        choose_reference(by_slot, seasonal.n_weeks, slots, is_seasonal).counts for slots in windows
    ]
    return np.stack(found).reshape(len(found), *shape)
