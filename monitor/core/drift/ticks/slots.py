"""The hour of the day and the kind of day of a time, on the clock and calendar of a model. Pure."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from detectors.decision_rule.local_time import local_time_us
from detectors.multiscale.seasons import slot_of
from schemas.config.model import ModelConfig
from schemas.time_units import DAY_US, HOUR_US
from schemas.time_zones import UTC_NAME

_HOURS = 24
_EPOCH = date(1970, 1, 1)


def slot_at(time_us: int, config: ModelConfig) -> int:
    """Return the slot of a time in the season of a model: see :func:`slots_at`.

    Examples
    --------
    >>> berlin = {"timezone": "Europe/Berlin", "holidays": ["2026-12-25"]}
    >>> config = ModelConfig(model="m", features={"x": {"kind": "numeric"}}, calendar=berlin)
    >>> christmas_us, hour_us = 1_798_156_800_000_000, 3_600_000_000  # a Friday, 00:00 UTC
    >>> slot_at(christmas_us, config), slot_at(christmas_us - 2 * hour_us, config)
    (25, 23)
    """
    return int(slots_at(np.array([time_us]), config)[0][0])


def slots_at(
    time_us: NDArray[np.int64], config: ModelConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the slots of times in the season of a model, and their local hours.

    Parameters
    ----------
    time_us : ndarray of int64, shape (T,)
        Event times, microseconds.
    config : ModelConfig
        ``timezone`` and ``calendar`` are used.

    Returns
    -------
    slots : ndarray of int64, shape (T,)
        Hour of the day, plus 24 at weekends and on holidays.
    hours : ndarray of int64, shape (T,)
        Hours of the local clock since 1970.
    """
    local_us = local_time_us(time_us, config.timezone or UTC_NAME)
    slots = slot_of(local_us)
    holidays = config.calendar.holidays if config.calendar is not None else ()
    free = [(day - _EPOCH).days for day in holidays]
    is_free = (slots < _HOURS) & np.isin(local_us // DAY_US, np.array(free, np.int64))
    return slots + _HOURS * is_free, local_us // HOUR_US
