"""The worlds of the multi-scale rule: laws, planted changes, ticks, counting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality import laws
from benchmarks.quality.changes import PlantedChange, planted_changes
from benchmarks.quality.laws import Stretch
from benchmarks.quality.planted import PlantedFigures, PlantedRun, planted_run
from benchmarks.quality.quiet import Incidents, QuietRate, QuietRun, quiet_run, with_job
from benchmarks.quality.recurring import AUDIENCE, DAYS, RESTARTS, minutes, recurring
from benchmarks.quality.ticks import TICKS_AN_HOUR, Binning, build, draw
from benchmarks.quality.worlds import constant, day_and_night, worlds
from detectors.multiscale.rule import Verdicts

WORLDS, CHANGES = worlds(), planted_changes()


def stretch(n_hours=4, n=300):
    return Stretch(np.arange(n_hours), np.repeat(np.arange(n_hours), n))


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: w.name)
def test_a_law_draws_rows_and_carries_on(world):
    draw_columns = world.law(np.random.default_rng(0))
    first, second = draw_columns(stretch()), draw_columns(stretch())
    assert first.shape == second.shape
    assert len(first) == 1_200
    assert not np.array_equal(first, second, equal_nan=True)
    again = world.law(np.random.default_rng(0))(stretch())
    assert np.array_equal(first, again, equal_nan=True)


def test_names_are_unique_and_every_bar_is_positive():
    for rows in (WORLDS, CHANGES):
        assert len({r.name for r in rows}) == len(rows)
    assert all(p.bar_hours > 0 for p in CHANGES)
    assert all(not w.bar < 0 for w in WORLDS)


def test_sessions_are_of_20_rows_and_days_keep_their_effect():
    x = laws.sessions(np.random.default_rng(1))(stretch(10, 1_000))
    n_runs = 1 + int((np.diff(x[:, 0]) != 0).sum())
    assert 10_000 / n_runs == pytest.approx(20, rel=0.2)
    y = laws.interleaved_sessions(np.random.default_rng(1))(stretch(10, 1_000))
    assert 10_000 / len(np.unique(y[:, 0])) == pytest.approx(18, rel=0.25)
    day = laws.day_effects(1.0)(np.random.default_rng(2))
    rows = stretch(24, 1_000)
    assert day(rows).mean(axis=0) == pytest.approx(day(rows).mean(axis=0), abs=0.05)


def test_rows_of_the_night_are_few():
    assert day_and_night(np.array([0, 12, 24])).tolist() == [30, 3_000, 30]
    assert constant(7)(np.arange(3)).tolist() == [7, 7, 7]


CHECKS = {
    "100 % missing": lambda a, b: np.isnan(b).all(),
    "constant": lambda a, b: (b == 0).all(),
    "3 % at +2 sd": lambda a, b: (b == 2).mean() == pytest.approx(0.03, abs=0.005),
    "sd x 1.25": lambda a, b: b.std() == pytest.approx(1.25, rel=0.02),
    "missing 5 -> 8 %": lambda a, b: (
        (np.isnan(a).mean(), np.isnan(b).mean()) == pytest.approx((0.05, 0.08), abs=0.006)
    ),
    "correlation 0 -> .6": lambda a, b: (
        np.corrcoef(b[:, 0], b[:, 1])[0, 1] == pytest.approx(0.6, abs=0.04)
    ),
    "category 0.10 -> 0.14": lambda a, b: (
        ((a == 3).mean(), (b == 3).mean()) == pytest.approx((0.10, 0.14), abs=0.006)
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_change_begins_at_its_hour_and_has_its_size(name):
    planted = next(p for p in CHANGES if p.name == name)
    rng = np.random.default_rng(3)
    rows = stretch(4, 2_000)
    columns = planted.law(rng)(rows)
    hours = rows.hours[rows.hour]
    changed = planted.change.apply(columns, hours, 2, rng)
    assert CHECKS[name](changed[hours < 2], changed[hours >= 2])
    if not max(planted.change.missing):
        assert np.array_equal(changed[hours < 2], columns[hours < 2])


def test_ticks_hold_every_row_once():
    rng = np.random.default_rng(4)
    drawer = draw(laws.wandering_missing_rate, rng)
    hours = np.arange(3)
    features, rows, tick = drawer.stretch(hours, np.array([500, 20, 1_000]))
    columns = drawer.with_score(features, False)
    model = build(columns, tick, n_categorical=0, rows_a_tick=40.0, first_hour=0)
    found = list(model.ticks(columns, tick, 3 * TICKS_AN_HOUR))
    assert len(found) == 36
    per_hour = np.array([n[0] for _, n in found]).reshape(3, TICKS_AN_HOUR).sum(axis=1)
    assert per_hour.tolist() == [500, 20, 1_000]
    sums = np.sum([s for s, _ in found], axis=0)
    missing = model.layout.offsets[0] + model.layout.cells[0].names.index("missing")
    assert sums[missing] == np.isnan(columns[:, 0]).sum()


def test_a_category_that_the_reference_lacks_is_unseen():
    binning = Binning(np.array([[0.0], [1.0], [1.0]]), 1)
    assert binning.bins(np.array([[1.0], [0.0], [2.0]])).tolist() == [[0, 1, 63]]
    many = Binning(np.repeat(np.arange(90.0), 2)[:, None], 1)
    counters = many.bins(np.arange(91.0)[:, None])[0]
    assert counters.tolist() == [*range(59), *[59] * 31, 63]
    assert len(many.components(0, np.zeros(64, np.int64))) == 62


def verdicts(opened, closed):
    zero = np.zeros(len(opened))
    return Verdicts(np.array(opened), np.array(closed), *([zero.astype(int)] * 3), *([zero] * 5))


def test_incidents_are_counted_once_a_cell_and_together():
    incidents, nothing = Incidents(3), [False] * 3
    at_hour = {
        1: ([True, True, False], nothing),
        5: (nothing, [True, True, False]),
        20: ([True, False, False], nothing),  # within 48 h of its close
        90: ([False, False, True], nothing),
    }
    for t in range(100 * TICKS_AN_HOUR):
        hour, rest = divmod(t, TICKS_AN_HOUR)
        quiet = nothing, nothing
        incidents.add(t, verdicts(*(quiet if rest else at_hour.get(hour, quiet))))
    run = incidents.run(2.0, 100 * TICKS_AN_HOUR)
    assert (run.n_incidents, run.n_together, run.n_reopened) == (3, 2, 1)
    assert run.most_a_cell == 1
    assert run.open_share == pytest.approx((2 * 4 + 80 + 10) / 300)


def test_rates_have_exact_intervals():
    rate = QuietRate(WORLDS[0], (QuietRun(3.0, 1, 1, 0, 0.0), QuietRun(3.0, 0, 0, 0, 0.0)))
    assert (rate.months, rate.per_month, rate.n_fired) == (6.0, pytest.approx(1 / 6), 1)
    assert rate.interval == pytest.approx((0.00422, 0.92861), rel=1e-3)


def test_a_change_is_met_only_if_found_everywhere_and_soon():
    def of(*delays):
        run = PlantedRun(CHANGES[0], delays, (0.0,), 1, 0, 0)
        return PlantedFigures.of([run])

    bar = CHANGES[0].bar_hours
    assert of(bar, bar).is_met
    assert not of(bar, 3 * bar).is_met
    assert not of(bar, bar, np.inf).is_met


def test_a_quiet_day_fires_nothing_and_a_gross_fault_two_ticks_later():
    world = replace(WORLDS[0], reference_hours=48)
    assert quiet_run(world, 5, days=1).n_incidents == 0
    planted = replace(
        CHANGES[0], change=PlantedChange(missing=(0.0, 1.0)), reference_rows=4_000, after_days=1.0
    )
    run = planted_run(planted, 6, after_hours=3)
    assert run.delays == (2 / TICKS_AN_HOUR,) * 10
    assert run.n_covered == 10
    assert run.n_before == 0


def test_minutes_are_even_within_an_hour():
    rows = Stretch(np.array([-1, 0]), np.repeat([0, 1], [2, 4]))
    assert minutes(rows).tolist() == [-60, -30, 0, 15, 30, 45]


def test_restarts_come_twice_a_week_for_half_an_hour():
    columns = recurring(RESTARTS)(np.random.default_rng(9))(stretch(28 * 24, 60))
    is_missing = np.isnan(columns[:, 0])
    assert int((np.diff(is_missing.astype(int)) == 1).sum()) == 8
    assert is_missing.sum() / 60 == pytest.approx(8 * 32.5 / 60, rel=0.3)
    assert np.array_equal(is_missing, np.isnan(columns[:, 1]))
    assert not np.isnan(columns[:, 2:]).any()


def test_another_audience_comes_three_times_a_week():
    columns = recurring(AUDIENCE)(np.random.default_rng(9))(stretch(28 * 24, 600))
    by_hour = columns[:, :5].reshape(28 * 24, -1).mean(axis=1)
    is_on = by_hour > 0.15
    assert 10 <= int((np.diff(is_on.astype(int)) == 1).sum()) <= 12
    assert not (columns[:, 5:].reshape(28 * 24, -1).mean(axis=1) > 0.15).any()


def test_days_that_differ_are_two_in_four_weeks():
    columns = recurring(DAYS)(np.random.default_rng(2))(stretch(28 * 24, 20))
    by_day = columns.reshape(28, -1, 10).mean(axis=(1, 2))
    assert int((by_day > 0.2).sum()) == 2


def test_a_job_adds_equal_rows_in_order_of_time():
    world = next(w for w in WORLDS if w.name == "50,000 equal rows at night")
    hours, tick = np.arange(4), np.repeat(np.arange(48), 2)
    columns, ticks = with_job(world, hours, np.zeros((96, 3)), tick)
    assert len(columns) == 96 + 50_000
    assert (np.diff(ticks) >= 0).all()
    assert np.unique(ticks[columns[:, 0] == 0.37]).tolist() == [2 * 12 + 5]
    spread = replace(world, job_ticks=12)
    columns, ticks = with_job(spread, hours, np.zeros((96, 3)), tick)
    own = np.bincount(ticks[columns[:, 0] == 0.37], minlength=48)
    assert own.tolist() == [0] * 24 + [50_000 // 12] * 12 + [0] * 12


def test_excursions_that_the_reference_contains_are_not_reported():
    world = next(w for w in WORLDS if w.name == "missing for half an hour twice a week")
    world = replace(world, reference_hours=28 * 24, rows=constant(300))
    assert quiet_run(world, 3, days=14).n_together == 0
    unknown = replace(world, reference_hours=48, has_times=False)
    assert quiet_run(unknown, 3, days=14).n_together >= 1
