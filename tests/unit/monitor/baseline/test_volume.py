"""Rows by hour of the week of a reference: when there are any, and that a baseline keeps them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from detectors.decision_rule.seasonal import slot_of
from detectors.multiscale.rule import TICK_US
from monitor.baseline.build import build_baseline
from monitor.baseline.volume import MAX_WEEKS, WEEK_US, find_volume
from monitor.core.windowing.baseline_codec import decode, encode
from schemas.baselines import Baseline
from schemas.config.model import ModelConfig
from schemas.errors import DriftlineError
from schemas.time_units import HOUR_US

MONDAY_US = 4 * 24 * HOUR_US + 2_000 * WEEK_US


def config(**more: object) -> ModelConfig:
    return ModelConfig.model_validate(
        {"model": "m", "features": {"x": {"kind": "numeric"}}, **more}
    )


def times(n_weeks: float, seed: int = 0) -> np.ndarray:
    """Fewer rows at night: 30 an hour, and 300 from 08:00 to 20:00 UTC."""
    rng = np.random.default_rng(seed)
    hours = MONDAY_US + HOUR_US * np.arange(round(n_weeks * 168))
    rate = np.where((slot_of(hours) % 24 >= 8) & (slot_of(hours) % 24 < 20), 300, 30)
    n = rng.poisson(rate)
    return rng.permutation(np.repeat(hours, n) + rng.integers(0, HOUR_US, n.sum()))


def build(time_us: np.ndarray) -> Baseline:
    rng = np.random.default_rng(1)
    n = len(time_us)
    table = pa.table({"time_us": time_us, "x": rng.normal(size=n), "score": rng.random(n)})
    return build_baseline(table, config())


def test_hours_of_the_week_have_their_own_rows():
    found = find_volume(times(4), config())
    assert found is not None
    assert found.n_weeks == pytest.approx(4)
    by_hour = found.by_slot.reshape(7, 24).mean(axis=0)
    assert by_hour[8:20] == pytest.approx(300, rel=0.05)
    assert by_hour[:8] == pytest.approx(30, rel=0.15)


def test_below_two_weeks_there_is_no_expectation():
    assert find_volume(times(1.9), config()) is None
    assert find_volume(np.zeros(0, np.int64), config()) is None


def test_a_time_zone_moves_the_hours():
    found = find_volume(times(2), config(timezone="Asia/Tokyo"))
    assert found.timezone == "Asia/Tokyo"
    assert found.by_slot[20] > 200  # 20:00 in Tokyo is 11:00 UTC
    assert found.by_slot[10] < 60


def test_of_a_long_reference_the_last_weeks_are_used():
    early = times(2) - 3 * MAX_WEEKS * WEEK_US
    found = find_volume(np.concatenate([early, times(MAX_WEEKS)]), config())
    assert found.n_weeks == pytest.approx(MAX_WEEKS)
    assert found.n_rows == len(times(MAX_WEEKS))


def test_movement_is_learned_for_windows_and_for_ticks():
    found = find_volume(times(3), config(window={"length": "2h"}))
    assert [one.tick_us for one in found.learned] == [TICK_US, 2 * HOUR_US]
    assert all(one.scatter < 0.05 and one.n_ticks > 100 for one in found.learned)


def test_a_baseline_keeps_its_volume_and_ids_without_one_stay():
    base = build(times(2))
    assert base.volume is not None
    again = decode(encode(base))
    assert encode(again) == encode(base)
    assert again.volume.by_slot.tolist() == base.volume.by_slot.tolist()
    assert b"volume" not in encode(build(times(1)))


@pytest.mark.parametrize(
    "broken",
    [
        {"by_slot": np.full(168, -1.0)},
        {"by_slot": np.full(168, np.nan)},
        {"by_slot": np.zeros(168)},
        {"by_slot": np.ones(24)},
        {"n_rows": 0},
        {"n_weeks": 0.0},
        {"timezone": "Mars/Base"},
    ],
)
def test_a_volume_that_no_reference_has_is_refused(broken):
    base = build(times(2))
    data = encode(replace(base, volume=replace(base.volume, **broken)))
    with pytest.raises(DriftlineError):
        decode(data)
