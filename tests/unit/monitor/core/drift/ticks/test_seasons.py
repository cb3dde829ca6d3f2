"""A season of the baseline is expected under rule 2, and what leaves it is found."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from monitor.baseline.build import build_baseline
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.drift.ticks.slots import slot_at
from schemas.alerts import Alert
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.time_units import HOUR_US
from tests.support.worlds.seasonal import CONFIG, MONDAY_US, table, window_of

TICK_US = HOUR_US // 12
RULE_2 = ModelConfig.model_validate(CONFIG.model_dump() | {"decision": {"rule": 2}})


RULE_1 = ModelConfig.model_validate(CONFIG.model_dump() | {"decision": {"rule": 1}})


@cache
def baseline() -> Baseline:
    """Hours of the week only: under rule 2 the reference's own ticks would be learned too."""
    return build_baseline(table(24 * 7 * 5), RULE_1)


def judged(own: Baseline, first: int, n_hours: int, shift_from: int = 10**9) -> list[Alert]:
    """Ticks of 300 rows of the cycle from an hour on."""
    decider = ScaleDecider(window_of(own, 0, np.random.default_rng(0)).series, RULE_2, own)
    rng, alerts = np.random.default_rng(7), []
    for hour in range(first, first + n_hours):
        for k in range(12):
            tick = window_of(own, hour, rng, 0.5 if hour >= shift_from else 0.0)
            tick.start_us += k * TICK_US
            tick.end_us = tick.start_us + TICK_US
            alerts += decider.take_tick(tick)
    return alerts


def test_a_season_of_the_baseline_is_no_change():
    assert baseline().seasonal is not None
    assert judged(baseline(), 24 * 35, 72) == []


def test_a_shift_beyond_the_season_is_found_within_the_hour():
    first = 24 * 35
    found = judged(baseline(), first, 50, shift_from=first + 48)
    assert {a.feature for a in found if a.transition == "opened"} == {"x"}
    assert found[0].time_us <= MONDAY_US + (first + 49) * HOUR_US
    planted_us = MONDAY_US + (first + 48) * HOUR_US
    assert found[0].onset_us == pytest.approx(planted_us, abs=2 * TICK_US)
    # Hours that are learned as movement hide it.
    assert judged(replace(baseline(), seasonal=None), first, 50, shift_from=first + 48) == []


def test_a_holiday_has_the_slots_of_a_sunday():
    thursday_us = MONDAY_US + 3 * 24 * HOUR_US  # 1970-01-08
    config = ModelConfig.model_validate(
        CONFIG.model_dump() | {"calendar": {"holidays": ["1970-01-08"]}}
    )
    assert [slot_at(thursday_us + k * HOUR_US, config) for k in (-1, 0, 23, 24)] == [23, 24, 47, 0]
    assert [slot_at(thursday_us + k * HOUR_US, CONFIG) for k in (0, 48)] == [0, 24]


def contexts(config: ModelConfig) -> set[int]:
    """Contexts of two days whose cycle is an hour early."""
    decider = ScaleDecider(
        window_of(baseline(), 0, np.random.default_rng(0)).series, config, baseline()
    )
    rng, found = np.random.default_rng(8), set()
    for hour in range(24 * 35, 24 * 37):
        for k in range(12):
            tick = window_of(baseline(), hour + 1, rng, 0.0)
            tick.start_us += k * TICK_US - HOUR_US
            tick.end_us = tick.start_us + TICK_US
            decider.take_tick(tick)
            found |= {peak.context for peak in decider.peaks.values()}
    return found


def test_a_moved_clock_is_followed_unless_the_time_zone_is_declared():
    assert contexts(RULE_2) - {0}
    declared = ModelConfig.model_validate(RULE_2.model_dump() | {"timezone": "UTC"})
    assert contexts(declared) == {0}
