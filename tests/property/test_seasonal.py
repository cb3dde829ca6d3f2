"""The same hour of the same weekday: slots, what is chosen, and what the rule then does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from detectors.decision_rule.decision import (
    Evidence,
    Rule,
    SetLayout,
    cell_sets,
    decide,
    plan_cells,
)
from detectors.decision_rule.local_time import clock_offsets
from detectors.decision_rule.seasonal import (
    BY_ALL,
    BY_HOUR,
    BY_NONE,
    BY_SLOT,
    N_SLOTS,
    best_shift,
    choose_reference,
    has_season,
    learned_seasonal_eps,
    slot_of,
    slots_of_window,
)
from schemas.baselines import Kind, VariableBaseline
from schemas.errors import DomainError, ShapeError
from schemas.results import Reason, Verdict

HOUR_US = 3_600_000_000
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Africa/Casablanca",
)
EDGES = norm.ppf(np.arange(1, 60) / 60)
VARIABLE = VariableBaseline("x", Kind.NUMERIC, np.concatenate([[-9.0], EDGES, [9.0]]))
ROWS = 400
"""Of an hourly window: four weeks make 1,600 rows a slot."""


def law(hour: int, swing: float, shift: float = 0.0) -> np.ndarray:
    """A normal whose mean follows the hour of the day, in sixty bins."""
    mean = swing * np.sin(2 * np.pi * hour / 24) + shift
    return np.diff(norm.cdf(np.concatenate([[-np.inf], EDGES, [np.inf]]) - mean))


def counted(hours: range, swing: float, rng: np.random.Generator, shift: float = 0.0) -> np.ndarray:
    windows = np.zeros((len(hours), 64), np.int64)
    for i, hour in enumerate(hours):
        windows[i, :60] = rng.multinomial(ROWS, law(hour, swing, shift))
    return windows


def by_slot(windows: np.ndarray) -> np.ndarray:
    """Whole weeks of hourly windows from a Monday on, as (168, 1, 64)."""
    return windows.reshape(-1, N_SLOTS, 64).sum(axis=0)[:, None]


def fired(slots: np.ndarray, windows: np.ndarray, is_seasonal: bool) -> list[int]:
    """Windows in which the rule fires, with the slot's reference or with the whole one."""
    whole = slots.sum(axis=(0, 1))
    layout = SetLayout.of([cell_sets(VARIABLE, whole)])
    rule, one = Rule(alpha=1 / 7300, n_cells=1), np.ones(1)
    evidence, found = Evidence.start(layout), []
    for i, window in enumerate(windows):
        chosen = choose_reference(
            slots, np.full(N_SLOTS, 4), np.array([i % N_SLOTS]), np.array([is_seasonal])
        )
        plan = plan_cells(rule, layout, chosen.counts, one, 0 * one)
        if decide(plan, evidence, window[None]).has_fired[0]:
            found.append(i)
    return found


def test_a_daily_cycle_pages_without_its_season_and_is_silent_with_it():
    rng = np.random.default_rng(0)
    slots = by_slot(counted(range(4 * N_SLOTS), 0.5, rng))
    month = counted(range(730), 0.5, rng)
    assert fired(slots, month, is_seasonal=True) == []
    assert len(fired(slots, month, is_seasonal=False)) > 30


@pytest.mark.parametrize("rows", [260, 2_000])
def test_a_quiet_month_of_thirty_cells_is_silent_over_168_small_references(rows):
    rng, k = np.random.default_rng(rows), 30
    laws = [law(hour, 0.5) for hour in range(24)]
    slots = np.zeros((N_SLOTS, k, 64), np.int64)
    for s in range(N_SLOTS):
        slots[s, :, :60] = rng.multinomial(4 * rows, laws[s % 24], k)
    layout = SetLayout.of([cell_sets(VARIABLE, slots[:, c].sum(axis=0)) for c in range(k)])
    evidence, rule, ones, n_fired = Evidence.start(layout), Rule(1 / 7300, k), np.ones(k), 0
    for hour in range(730):
        chosen = choose_reference(slots, np.full(N_SLOTS, 4), np.array([hour % N_SLOTS]))
        assert not chosen.level.any()
        window = np.zeros((k, 64), np.int64)
        window[:, :60] = rng.multinomial(rows, laws[hour % 24], k)
        plan = plan_cells(rule, layout, chosen.counts, ones, 0 * ones)
        n_fired += int(decide(plan, evidence, window).has_fired.sum())
    assert n_fired == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_shift_inside_the_cycle_is_found_in_a_few_windows(seed):
    rng = np.random.default_rng(seed)
    slots = by_slot(counted(range(4 * N_SLOTS), 0.5, rng))
    quiet = counted(range(200), 0.5, rng)
    shifted = counted(range(200, 224), 0.5, rng, shift=0.5)
    found = fired(slots, np.concatenate([quiet, shifted]), is_seasonal=True)
    assert found
    assert 200 <= found[0] < 206


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)), st.sampled_from(ZONES))
def test_a_slot_is_the_hour_and_weekday_of_the_local_clock(moment, zone):
    utc = moment.replace(tzinfo=UTC)
    time_us = (utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    local = utc.astimezone(ZoneInfo(zone))
    assert slot_of(time_us, zone) == 24 * local.weekday() + local.hour


@pytest.mark.parametrize(
    ("zone", "change", "before", "after"),
    [
        ("Europe/Berlin", "2024-03-31T01:00", 1, 3),
        ("Europe/Berlin", "2024-10-27T01:00", 2, 2),
        ("America/New_York", "2024-03-10T07:00", 1, 3),
        ("America/New_York", "2024-11-03T06:00", 1, 1),
        ("America/Santiago", "2024-09-08T04:00", 23, 1),
        ("Australia/Adelaide", "2024-10-05T16:30", 1, 3),
        ("Australia/Adelaide", "2024-04-06T16:30", 2, 2),
        ("Australia/Lord_Howe", "2024-10-05T15:30", 1, 2),
        ("Pacific/Chatham", "2024-09-28T14:00", 2, 3),
    ],
)
def test_both_changes_of_the_clock_are_followed_to_the_second(zone, change, before, after):
    at = int(datetime.fromisoformat(change).replace(tzinfo=UTC).timestamp() * 1e6)
    assert (slot_of([at - 1, at], zone) % 24).tolist() == [before, after]


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "UTC", "Asia/Tokyo"])
def test_a_zone_without_daylight_saving_keeps_one_offset(zone):
    starts, offsets = clock_offsets(zone, 1_704_067_200_000_000, 1_800_000_000_000_000)
    assert len(starts) == len(offsets) == 1


@given(
    st.integers(0, 2 * 10**15),
    st.integers(1, 300 * HOUR_US),
    st.sampled_from(ZONES),
)
def test_a_window_touches_the_slots_of_its_moments(start_us, length_us, zone):
    touched = slots_of_window(start_us, length_us, zone)
    moments = np.append(
        np.arange(start_us, start_us + length_us, HOUR_US // 4), start_us + length_us - 1
    )
    assert len(set(touched.tolist())) == len(touched)
    everywhere = slot_of(moments, zone)
    within_a_week = everywhere[moments < start_us + N_SLOTS * HOUR_US]
    assert set(within_a_week.tolist()) <= set(touched.tolist()) <= set(everywhere.tolist())


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "../../etc/passwd", "Europe", "\0"])
def test_a_zone_that_does_not_exist_is_refused(zone):
    with pytest.raises(DomainError, match="is not a time zone"):
        slot_of([0], zone)


@given(st.integers(-1, 1), st.integers(0, N_SLOTS - 1), st.integers(0, 2**32))
def test_the_shift_of_the_clock_is_found_where_the_hours_differ(shift, slot, seed):
    rng, swing = np.random.default_rng(seed), 1.0
    laws = np.array([np.append(law(hour % 24, swing), np.zeros(4)) for hour in range(N_SLOTS)])
    # steepest there: at the turning points two hours are alike
    hour = slot - slot % 24 + (0 if slot % 2 else 12)
    counts = rng.multinomial(5_000, laws[(hour + shift) % N_SLOTS])[None]
    by_slot = np.rint(laws * 5_000).astype(np.int64)[:, None]
    assert best_shift(by_slot, np.array([hour]), (0, -1, 1), counts) == shift


def test_what_is_chosen_needs_rows_and_weeks():
    counts, weeks = np.zeros((N_SLOTS, 2, 64), np.int32), np.full(N_SLOTS, 4)
    counts[:, 0, 0], counts[:, 1, 0] = 1_000, 145
    nine = np.array([9])
    chosen = choose_reference(counts, weeks, nine)
    assert chosen.level.tolist() == [BY_SLOT, BY_HOUR]
    assert chosen.counts.sum(axis=1).tolist() == [1_000, 7 * 145]
    weeks[9] = 3
    assert choose_reference(counts, weeks, nine).level.tolist() == [BY_HOUR, BY_HOUR]
    few = choose_reference(counts, np.ones(N_SLOTS, np.int64), nine)
    assert few.level.tolist() == [BY_ALL, BY_ALL]
    assert few.counts.sum(axis=1).tolist() == [168 * 1_000, 168 * 145]
    asked = choose_reference(counts, np.full(N_SLOTS, 4), nine, np.array([False, True]))
    assert asked.level.tolist() == [BY_ALL, BY_HOUR]


@pytest.mark.parametrize("rows", [199, 200, 800])
def test_a_season_is_never_compared_with_all_hours(rows):
    counts, weeks = np.zeros((N_SLOTS, 2, 64), np.int64), np.zeros(N_SLOTS, np.int64)
    counts[:, :, 0] = 5_000
    saturday, sunday = 5 * 24 + 3, 6 * 24 + 3  # at night there is traffic only then
    counts[3::24] = 0
    counts[[saturday, sunday], :, 0] = rows
    weeks[[saturday, sunday]] = 4
    night = np.array([saturday])
    chosen = choose_reference(counts, weeks, night, np.array([True, False]))
    assert chosen.level.tolist() == [BY_SLOT if rows >= 200 else BY_NONE, BY_ALL]
    n_whole = int(counts[:, 0].sum())
    assert chosen.counts.sum(axis=1).tolist() == [rows if rows >= 200 else 0, n_whole]
    assert choose_reference(counts, weeks, night).level.tolist() == [BY_ALL, BY_ALL]
    weeks[saturday] = 1  # rows enough, but of one accident
    chosen = choose_reference(counts, weeks, night, np.array([True, False]))
    assert chosen.level.tolist() == [BY_NONE, BY_ALL]


def test_a_day_with_hours_that_are_closed_has_a_baseline():
    counts, weeks = np.zeros((N_SLOTS, 1, 64), np.int64), np.zeros(N_SLOTS, np.int64)
    is_open = (np.arange(N_SLOTS) % 24 >= 8) & (np.arange(N_SLOTS) % 24 < 20)
    counts[is_open, 0, 0], weeks[is_open] = 500, 4
    counts[3, 0, 0], weeks[3] = 7, 1  # one night shift
    day = choose_reference(counts, weeks, np.arange(24), np.array([True]))
    assert (day.level.tolist(), int(day.counts.sum())) == ([BY_SLOT], 12 * 500 + 7)


def test_a_cell_without_a_baseline_for_an_hour_keeps_its_evidence_and_gets_no_verdict():
    rng = np.random.default_rng(0)
    slots = by_slot(counted(range(4 * N_SLOTS), 0.5, rng))
    slots[3::24] = 0
    layout = SetLayout.of([cell_sets(VARIABLE, slots.sum(axis=(0, 1)))])
    rule, one, evidence = Rule(alpha=1 / 7300, n_cells=1), np.ones(1), Evidence.start(layout)
    shifted = counted(range(2, 4), 0.5, rng, shift=0.3)
    for hour, window in zip((2, 3), shifted, strict=True):
        before = evidence.copy()
        chosen = choose_reference(slots, np.full(N_SLOTS, 4), np.array([hour]), np.array([True]))
        plan = plan_cells(rule, layout, chosen.counts, one, 0 * one)
        decision = decide(plan, evidence, window[None])
    assert decision.reason_of(0) is Reason.NO_BASELINE
    assert decision.verdict_of(0) is Verdict.NONE
    assert before.to_bytes() == evidence.to_bytes()
    assert before.ratios.any()


def test_longer_windows_are_compared_with_all_their_hours():
    counts, weeks = np.zeros((N_SLOTS, 1, 64), np.int64), np.full(N_SLOTS, 4)
    counts[:, 0, 0] = np.arange(N_SLOTS)
    night = slots_of_window(4 * 24 * HOUR_US + 20 * HOUR_US, 8 * HOUR_US)
    assert night.tolist() == list(range(20, 28))
    chosen = choose_reference(counts, weeks, night)
    assert chosen.level.tolist() == [BY_HOUR]  # 188 rows are too few
    hours = [20, 21, 22, 23, 0, 1, 2, 3]
    assert chosen.counts.sum() == sum(s for s in range(N_SLOTS) if s % 24 in hours)
    week = choose_reference(100 * counts, weeks, slots_of_window(0, 168 * HOUR_US))
    assert week.counts.sum() == 100 * counts.sum()


def halves_of(windows: np.ndarray) -> np.ndarray:
    weeks = windows.reshape(-1, N_SLOTS, 64)
    return np.stack([weeks[::2].sum(axis=0), weeks[1::2].sum(axis=0)])


@pytest.mark.parametrize("seed", range(20))
def test_a_season_is_seen_where_there_is_one_and_not_in_noise_or_trend(seed):
    rng, hours = np.random.default_rng(seed), range(4 * N_SLOTS)
    sets = cell_sets(VARIABLE, counted(hours, 0.0, rng).sum(axis=0))
    assert has_season(halves_of(counted(hours, 0.5, rng)), sets, 1.0, 0.02)
    assert not has_season(halves_of(counted(hours, 0.0, rng)), sets, 1.0, 0.02)
    trend = np.zeros((len(hours), 64), np.int64)
    for i in hours:
        trend[i, :60] = rng.multinomial(ROWS, law(0, 0.0, shift=i / len(hours)))
    assert not has_season(halves_of(trend), cell_sets(VARIABLE, trend.sum(axis=0)), 1.0, 0.02)


def test_a_cycle_within_the_tolerance_is_no_season():
    rng = np.random.default_rng(0)
    windows = counted(range(8 * N_SLOTS), 0.04, rng)  # .04 sd move at most .016 of the rows
    assert not has_season(halves_of(windows), cell_sets(VARIABLE, windows.sum(axis=0)), 1.0, 0.02)


def test_an_odd_week_is_no_season():
    rng = np.random.default_rng(0)
    windows = counted(range(4 * N_SLOTS), 0.0, rng)
    windows[30:40] = counted(range(30, 40), 0.0, rng, shift=2.0)
    assert not has_season(halves_of(windows), cell_sets(VARIABLE, windows.sum(axis=0)), 1.0, 0.02)


@pytest.mark.parametrize("week", range(4))
def test_an_odd_stretch_of_days_is_no_season(week):
    rng = np.random.default_rng(0)
    laws, first = [law(0, 0.0), law(0, 0.0, shift=2.0)], week * N_SLOTS + 20
    windows = np.zeros((4 * N_SLOTS, 64), np.int64)
    for i in range(len(windows)):
        windows[i, :60] = rng.multinomial(10 * ROWS, laws[first <= i < first + 84])
    assert not has_season(halves_of(windows), cell_sets(VARIABLE, windows.sum(axis=0)), 1.0, 0.02)


@pytest.mark.parametrize("at", [84, 252, 420, 588])
def test_a_step_within_a_week_is_no_season(at):
    rng = np.random.default_rng(0)
    laws = [law(0, 0.0), law(0, 0.0, shift=2.0)]
    windows = np.zeros((4 * N_SLOTS, 64), np.int64)
    for i in range(len(windows)):
        windows[i, :60] = rng.multinomial(10 * ROWS, laws[i >= at])
    assert not has_season(halves_of(windows), cell_sets(VARIABLE, windows.sum(axis=0)), 1.0, 0.02)


@pytest.mark.parametrize("rows", [[1, 1, 1, 1], [10, 1, 10, 1], [1, 10, 1, 10], [8, 4, 2, 1]])
def test_a_steep_trend_is_no_season_whatever_the_traffic(rows):
    rng = np.random.default_rng(0)
    windows = np.zeros((4 * N_SLOTS, 64), np.int64)
    for i in range(len(windows)):
        trend = law(0, 0.0, shift=0.4 * i / N_SLOTS)
        windows[i, :60] = rng.multinomial(1_000 * rows[i // N_SLOTS], trend)
    assert not has_season(halves_of(windows), cell_sets(VARIABLE, windows.sum(axis=0)), 1.0, 0.02)


def wobbling(swing: float, wobble: float) -> tuple[np.ndarray, np.ndarray]:
    """Six weeks of large windows, and what each is compared with."""
    rng = np.random.default_rng(1)
    windows = np.zeros((6 * N_SLOTS, 64), np.int64)
    for i in range(len(windows)):
        windows[i, :60] = rng.multinomial(4_000, law(i, swing, wobble * rng.normal()))
    return windows, np.tile(by_slot(windows)[:, 0], (6, 1))


def test_the_season_is_not_learned_as_tolerance_and_movement_beyond_it_is():
    windows, references = wobbling(0.5, 0.0)
    sets = cell_sets(VARIABLE, windows.sum(axis=0))
    assert learned_seasonal_eps(windows, references, sets, 1.0) < 0.02
    windows, references = wobbling(0.5, 0.2)
    assert 0.1 < learned_seasonal_eps(windows, references, sets, 1.0) < 0.25
    assert learned_seasonal_eps(windows[:167], references[:167], sets, 1.0) == 0.0
    assert learned_seasonal_eps(windows // 100, references, sets, 1.0) == 0.0


def test_windows_without_a_baseline_teach_nothing():
    windows, references = wobbling(0.5, 0.2)
    sets = cell_sets(VARIABLE, windows.sum(axis=0))
    is_night = np.arange(len(windows)) % 24 == 3
    without = np.where(is_night[:, None], 0, references)
    found = learned_seasonal_eps(windows, without, sets, 1.0)
    own = learned_seasonal_eps(windows[~is_night], references[~is_night], sets, 1.0)
    assert found == own > 0.1
    assert learned_seasonal_eps(windows, 0 * references, sets, 1.0) == 0.0


def test_bad_input_is_refused_with_its_value():
    counts, weeks, sets = (
        np.zeros((N_SLOTS, 1, 64)),
        np.full(N_SLOTS, 4),
        cell_sets(VARIABLE, np.zeros(64, np.int64)),
    )
    with pytest.raises(ShapeError, match=r"slot counts of shape \(24, 1, 64\)"):
        choose_reference(counts[:24], weeks, np.array([0]))
    with pytest.raises(ShapeError, match=r"weeks of shape \(7,\)"):
        choose_reference(counts, weeks[:7], np.array([0]))
    with pytest.raises(ShapeError, match=r"halves of shape \(2, 24, 64\)"):
        has_season(np.zeros((2, 24, 64), np.int64), sets, 1.0, 0.02)
    with pytest.raises(ShapeError, match="dtype is float64"):
        slot_of([0.5])
    with pytest.raises(DomainError, match="length_us is 0"):
        slots_of_window(0, 0)
    one = np.ones((1, 64), np.int64)
    with pytest.raises(DomainError, match="a reference has -1 rows"):
        learned_seasonal_eps(2 * one, one, sets, 1.0)
    for ask in (
        lambda: has_season(np.zeros((2, N_SLOTS, 64), np.int64), sets, 0.5, 0.02),
        lambda: learned_seasonal_eps(one, one, sets, 0.5),
    ):
        with pytest.raises(DomainError, match=r"phi is 0\.5"):
            ask()
