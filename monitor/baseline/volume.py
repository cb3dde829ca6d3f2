"""Rows by hour of the week of a reference, and how they move by themselves. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.seasonal import N_SLOTS, slot_of
from detectors.multiscale.rule import TICK_US
from detectors.multiscale.volume import (
    VolumeState,
    expected_rows,
    learn_volume,
    volume_plan,
    volume_rule,
)
from schemas.baselines import LearnedVolume, ReferenceVolume
from schemas.batch import Int64Array
from schemas.config.model import ModelConfig
from schemas.time_units import HOUR_US
from schemas.time_zones import UTC_NAME

WEEK_US: Final = N_SLOTS * HOUR_US
MIN_WEEKS: Final = 2
MAX_WEEKS: Final = 8
"""Of a longer reference the last weeks are used: older ones are another level."""

LEARNED_WEEKS: Final = 4


def find_volume(time_us: Int64Array, config: ModelConfig) -> ReferenceVolume | None:
    """Count the rows of a reference by hour of the week, and learn how they move.

    Parameters
    ----------
    time_us : ndarray of int64
        Event times of the reference, in any order.
    config : ModelConfig
        ``timezone`` and the length of a window.

    Returns
    -------
    ReferenceVolume or None
        None below two weeks. A reference whose last hours are missing may still have two.

    Notes
    -----
    The first and the last hour count as whole ones. At most eight weeks, at the end; movement
    is learned from the last four.

    Examples
    --------
    >>> config = ModelConfig(model="m", features={"x": {"kind": "numeric"}})
    >>> times = np.arange(2 * 168 * 10) * (HOUR_US // 10)
    >>> found = find_volume(times, config)
    >>> found.n_weeks, float(found.by_slot.min()), float(found.by_slot.max())
    (2.0, 10.0, 10.0)
    """
    if not len(time_us):
        return None
    first_us = int(time_us.min()) // HOUR_US * HOUR_US
    last_us = -(-(int(time_us.max()) + 1) // HOUR_US) * HOUR_US
    first_us = max(first_us, last_us - MAX_WEEKS * WEEK_US)
    n_weeks = (last_us - first_us) / WEEK_US
    if n_weeks < MIN_WEEKS:
        return None
    zone = config.timezone or UTC_NAME
    used = time_us[time_us >= first_us]
    hours = first_us + HOUR_US * np.arange((last_us - first_us) // HOUR_US)
    slots = slot_of(hours, zone)
    by_hour = np.bincount((used - first_us) // HOUR_US, minlength=len(hours))
    n_hours = np.bincount(slots, minlength=N_SLOTS)
    by_slot = np.bincount(slots, weights=by_hour, minlength=N_SLOTS) / np.maximum(n_hours, 1)
    ticks = {TICK_US, config.window.length_us}
    learned = [_learn(used, (first_us, last_us), tick, by_slot, zone) for tick in sorted(ticks)]
    return ReferenceVolume(by_slot, len(used), n_weeks, zone, tuple(learned))


def _learn(
    time_us: Int64Array,
    span_us: tuple[int, int],
    tick_us: int,
    by_slot: NDArray[np.float64],
    timezone: str,
) -> LearnedVolume:
    """Learn from the ticks of one length that lie within the span."""
    first = -(-max(span_us[0], span_us[1] - LEARNED_WEEKS * WEEK_US) // tick_us)
    n_ticks = max(span_us[1] // tick_us - first, 0)
    place = time_us // tick_us - first
    inside = place[(place >= 0) & (place < n_ticks)]
    rows = np.bincount(inside, minlength=n_ticks).astype(np.float64)
    starts = (first + np.arange(n_ticks)) * tick_us
    expected = expected_rows(by_slot, starts, tick_us, timezone)
    plan = volume_plan(len(time_us), (span_us[1] - span_us[0]) / WEEK_US)
    state = VolumeState.start(plan)
    learn_volume(plan, volume_rule(tick_us), state, rows, expected)
    return LearnedVolume(tick_us, state.scatter, state.n_ticks, state.values())
