"""The hour of the day and the kind of day of a time, on the clock and calendar of a model. Pure."""

from __future__ import annotations

import numpy as np

from detectors.decision_rule.local_time import local_time_us
from detectors.multiscale.seasons import slot_of
from schemas.config.model import ModelConfig
from schemas.time_text import moment_of
from schemas.time_zones import UTC_NAME

_HOURS = 24


def slot_at(time_us: int, config: ModelConfig) -> int:
    """Return the slot of a time in the season of a model.

    Parameters
    ----------
    time_us : int
        Event time, microseconds.
    config : ModelConfig
        ``timezone`` and ``calendar`` are used.

    Returns
    -------
    int
        Hour of the day, plus 24 at weekends and on holidays.

    Examples
    --------
    >>> berlin = {"timezone": "Europe/Berlin", "holidays": ["2026-12-25"]}
    >>> config = ModelConfig(model="m", features={"x": {"kind": "numeric"}}, calendar=berlin)
    >>> christmas_us, hour_us = 1_798_156_800_000_000, 3_600_000_000  # a Friday, 00:00 UTC
    >>> slot_at(christmas_us, config), slot_at(christmas_us - 2 * hour_us, config)
    (25, 23)
    """
    local_us = local_time_us(np.array([time_us]), config.timezone or UTC_NAME)
    slot = int(slot_of(local_us)[0])
    holidays = config.calendar.holidays if config.calendar is not None else ()
    if slot < _HOURS and holidays and moment_of(int(local_us[0])).date() in holidays:
        return slot + _HOURS
    return slot
