"""The volume rule: silence, less, more, back, a new level, and what is no change."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.pipeline_health.volume_state import VolumeMemory, check_volume
from monitor.core.pipeline_health.volume_watch import VolumeChange, VolumeWatch
from schemas.baselines import ReferenceVolume
from schemas.errors import DomainError
from schemas.time_units import HOUR_US, MINUTE_US

FLAT = ReferenceVolume(np.full(168, 200.0), 67_200, 2.0, "UTC", ())
OFFICE = ReferenceVolume(
    np.where((np.arange(168) % 24 // 8 == 1) & (np.arange(168) < 120), 300.0, 0.0),
    24_000,
    2.0,
    "UTC",
    (),
)
MONDAY_US = 4 * 24 * HOUR_US


def run(
    rows: Iterable[float],
    reference: ReferenceVolume | None = FLAT,
    *,
    tick_us: int = HOUR_US,
    memory: VolumeMemory | None = None,
) -> list[tuple[int, VolumeChange]]:
    """Feed ticks from Monday 00:00, each through a state that was written and read."""
    found = []
    for i, n in enumerate(rows):
        if memory is not None:
            memory = msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=VolumeMemory)
            check_volume(memory)
        watch = VolumeWatch(memory)
        place = (MONDAY_US + i * tick_us, MONDAY_US + (i + 1) * tick_us)
        found += [(i, c) for c in watch.observe(*place, round(n), reference, "p")]
        memory = watch.memory
    return found


def noisy(hours: int, level: float = 200.0, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).poisson(level, hours).tolist()


def kinds(found: list[tuple[int, VolumeChange]]) -> list[tuple[int, str]]:
    return [(i, change.kind) for i, change in found]


def test_silence_is_found_in_two_windows_and_its_end_after_two():
    found = run([*noisy(48), *[0] * 30, *noisy(24, seed=1)])
    assert kinds(found) == [(49, "opened"), (79, "back")]
    assert found[0][1].rate == 0
    assert found[0][1].since_us == MONDAY_US + 48 * HOUR_US


@pytest.mark.parametrize(("factor", "n_ticks"), [(0.05, 2), (0.3, 3), (3.0, 2), (17.0, 2)])
def test_a_gross_change_is_found_within_a_few_windows(factor, n_ticks):
    found = run([*noisy(48), *noisy(24, 200 * factor)])
    assert found[0][0] < 48 + n_ticks
    assert found[0][1].rate == pytest.approx(200 * factor, rel=0.4)


def test_one_odd_window_is_no_incident():
    for odd in (0, 20, 4_000):
        assert not run([*noisy(48), odd, *noisy(48, seed=1)])


def test_nights_and_weekends_without_traffic_are_no_incident():
    weeks = np.tile(OFFICE.by_slot, 3)
    assert not run(np.random.default_rng(3).poisson(weeks), OFFICE)


def test_a_working_day_without_traffic_is_one():
    weeks = np.random.default_rng(3).poisson(np.tile(OFFICE.by_slot, 2))
    weeks[168 : 168 + 24] = 0  # the second Monday
    found = run(weeks, OFFICE)
    assert [c.kind for _, c in found] == ["opened", "back"]
    assert 168 + 8 <= found[0][0] <= 168 + 10


def test_traffic_that_is_thin_by_nature_is_no_incident():
    thin = ReferenceVolume(np.full(168, 1.0), 336, 2.0, "UTC", ())
    for seed in range(5):
        assert not run(noisy(600, 1.0, seed), thin)


def test_a_reference_that_is_a_sample_of_the_traffic_is_scaled():
    found = run([*noisy(72, 2_000.0), *[0] * 4])
    assert kinds(found) == [(73, "opened")]
    assert found[0][1].expected_rate == pytest.approx(2_000, rel=0.1)


def test_without_a_reference_the_second_week_is_judged_by_the_first():
    week = np.where(np.arange(168) % 24 < 12, 300.0, 30.0)
    rows = np.random.default_rng(4).poisson(np.tile(week, 3)).astype(float)
    assert not run(rows, None)
    silent = rows.copy()
    silent[168 * 2 + 1 : 168 * 2 + 11] = 0
    assert [c.kind for _, c in run(silent, None)] == ["opened", "back"]
    assert not run([*rows[:100], *[0] * 20, *rows[120:160]], None)


def test_a_change_that_lasts_a_week_is_the_new_level():
    found = run([*noisy(48), *noisy(24 * 7 + 60, 500.0), *[0] * 4])
    assert [c.kind for _, c in found] == ["opened", "settled", "opened"]
    assert found[1][0] - found[0][0] == 24 * 7
    assert found[2][1].expected_rate == pytest.approx(500, rel=0.1)


def test_less_traffic_that_becomes_silence_is_said_once():
    found = run([*noisy(48), *noisy(6, 60.0), *[0] * 10])
    assert [c.kind for _, c in found] == ["opened", "silent"]


def test_ticks_of_five_minutes_find_silence_within_the_hour():
    tick_us = 5 * MINUTE_US
    found = run([*noisy(600, 200 / 12), *[0] * 24], tick_us=tick_us)
    assert found[0][1].kind == "opened"
    assert found[0][0] < 600 + 12


def test_missing_ticks_count_as_ticks_without_rows():
    watch = VolumeWatch()
    for i, n in enumerate(noisy(48)):
        watch.observe(MONDAY_US + i * HOUR_US, MONDAY_US + (i + 1) * HOUR_US, n, FLAT, "p")
    late = MONDAY_US + 60 * HOUR_US
    found = watch.observe(late, late + HOUR_US, 200, FLAT, "p")
    assert [c.kind for c in found] == ["opened"]
    assert found[0].tick_us[1] == MONDAY_US + 50 * HOUR_US


def test_time_that_passes_without_windows_is_silence_too():
    watch = VolumeWatch()
    for i, n in enumerate(noisy(48)):
        watch.observe(MONDAY_US + i * HOUR_US, MONDAY_US + (i + 1) * HOUR_US, n, FLAT, "p")
    found = watch.pass_time(MONDAY_US + 51 * HOUR_US, FLAT, "p")
    assert [c.kind for c in found] == ["opened"]
    assert watch.is_open


def test_a_gap_of_weeks_starts_again():
    watch = VolumeWatch()
    for i, n in enumerate(noisy(48)):
        watch.observe(MONDAY_US + i * HOUR_US, MONDAY_US + (i + 1) * HOUR_US, n, FLAT, "p")
    late = MONDAY_US + 1_000 * HOUR_US
    assert not watch.observe(late, late + HOUR_US, 200, FLAT, "p")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2_000), min_size=40, max_size=80), st.integers(1, 39))
def test_a_checkpoint_anywhere_changes_nothing(rows, cut):
    whole, parts = VolumeWatch(), VolumeWatch()
    for i, n in enumerate(rows):
        place = (MONDAY_US + i * HOUR_US, MONDAY_US + (i + 1) * HOUR_US)
        one = whole.observe(*place, n, FLAT, "p")
        if i == cut:
            body = msgspec.msgpack.encode(parts.memory)
            parts = VolumeWatch(msgspec.msgpack.decode(body, type=VolumeMemory))
        assert parts.observe(*place, n, FLAT, "p") == one


@pytest.mark.parametrize(
    "broken",
    [
        {"tick_us": 0},
        {"averages": b"123"},
        {"own": b"\0" * 8},
        {"scatter": float("nan")},
        {"level": -1.0},
        {"averages": np.full(64, np.nan, "<f4").tobytes()},
    ],
)
def test_a_state_that_no_watch_writes_is_refused(broken):
    memory = VolumeMemory(**{"tick_us": HOUR_US, "until_us": 0, **broken})
    with pytest.raises(DomainError):
        check_volume(memory)
