"""A backtest says what the monitor would have said, and under another config what it would say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from detectors.decision_rule.planting import plant, reference_sd, shift_matrix
from monitor.app.in_process import Pipeline, build_pipeline
from monitor.backtest.budget import STEP, solve
from monitor.backtest.comparison import Plant, compare, default_plants
from monitor.backtest.counting import Counted, check_slot, count_panes
from monitor.backtest.delays import measure_delays
from monitor.backtest.history import history_of
from monitor.backtest.judging import Outcome, count_notifications, judge
from monitor.core.topics import PREDICTIONS
from monitor.replay.timeline import replay
from schemas.alerts import Severity, Transition
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig
from schemas.errors import ConfigError, DomainError
from schemas.panes import Pane, Window
from tests.support.log_chunks import fetch_chunk
from tests.support.worlds.backtest import (
    LENGTH_US,
    panes,
    planted_counts,
    shifted,
    small_baseline,
    with_decision,
    with_length,
    wobbling,
)
from tests.support.worlds.small import CONFIG, START_US, build_small_world

MODEL = ("default", "small")


def windows_of(made: Iterable[Pane], config: ModelConfig) -> list[Window]:
    """Return the windows without any rejected or late event."""
    return history_of(made, config).windows


def baselines() -> dict:
    return {small_baseline().profile_id: small_baseline()}


def outcome_of(made: list, config: ModelConfig = CONFIG) -> Outcome:
    return judge(windows_of(made, config), config, baselines())


def chunks(world, n: int = 700):
    log = world.log()
    for offset in range(0, log.end_offset(PREDICTIONS, 0), n):
        yield fetch_chunk(log, PREDICTIONS, 0, offset, n)


@pytest.fixture(scope="module")
def world():
    return build_small_world()


@pytest.fixture(scope="module")
def pipeline(world) -> Pipeline:
    """The whole monitor over the small world's predictions."""
    made = build_pipeline(MonitorConfig(), world.catalog, source="s", store=None, receivers={})
    replay(made, chunks(world))
    made.close()
    return made


def counted(world, slot_us: int = LENGTH_US) -> Counted:
    return count_panes(chunks(world), world.catalog, CONFIG.window, slot_us)


@pytest.mark.parametrize("slot_us", [CONFIG.window.pane_us, 2 * CONFIG.window.pane_us, LENGTH_US])
def test_today_gives_the_alerts_that_a_replay_gives(world, pipeline, slot_us):
    found = counted(world, slot_us)
    outcome = judge(windows_of(found.panes[MODEL], CONFIG), CONFIG, baselines())
    assert len(outcome.alerts) >= 8
    assert list(outcome.alerts) == pipeline.alerts()


def test_events_are_counted_as_a_replay_counts_them(world, pipeline):
    found, counters = counted(world), pipeline.ingest.counters
    assert (found.n_accepted, found.n_late, found.n_rejected) == (
        counters["accepted"],
        counters["late"],
        counters["refused"],
    )
    assert found.n_late > 0


def test_pages_and_tickets_are_incidents_as_the_notify_stage_makes_them(world, pipeline):
    severities = [incident.severity for incident in pipeline.incidents.values()]
    counts = count_notifications(pipeline.alerts(), LENGTH_US)
    assert counts.n_pages == severities.count(Severity.PAGE)
    # One that became a page was a ticket before.
    assert counts.n_tickets >= severities.count(Severity.TICKET)
    assert counts.n_incidents == len(severities)


def test_rates_are_counts_over_the_length_of_the_history():
    outcome = outcome_of(panes(21, 400, shifted(1.5, from_window=10)))
    assert outcome.weeks == pytest.approx(21 * LENGTH_US / 604_800e6)
    assert outcome.n_pages >= 1
    assert outcome.pages_per_week == pytest.approx(outcome.n_pages / outcome.weeks)
    assert outcome.n_rows == 21 * 400


def test_without_windows_there_are_no_rates():
    outcome = outcome_of([])
    assert outcome.pages_per_week is None
    assert outcome.tickets_per_week is None


def test_a_shift_fires_in_the_second_window_and_nothing_before():
    outcome = outcome_of(panes(12, 400, shifted(1.0, from_window=6)))
    first = outcome.notified[0]
    assert (first.feature, first.time_us) == ("a", START_US + 8 * LENGTH_US)
    trace = outcome.traces["1", "drift", "a", "*"]
    assert trace.fired_us[0] == START_US + 8 * LENGTH_US
    assert trace.log_m[7] >= outcome.threshold > max(trace.log_m[:7])
    assert len(trace.time_us) == 12


def test_longer_windows_hold_the_same_rows():
    made = panes(12, 200, shifted(1.0, from_window=6))
    short, long = outcome_of(made), outcome_of(made, with_length(3))
    # They begin at multiples of their length, so the first may lack rows.
    assert (short.n_windows, long.n_windows) == (12, 5)
    assert short.n_rows == long.n_rows
    assert long.threshold < short.threshold


def test_windows_without_a_baseline_are_counted_and_not_judged():
    made = panes(3, 50)
    outcome = judge(windows_of(made, CONFIG), CONFIG, {})
    assert (outcome.n_windows, outcome.n_unjudged, outcome.alerts) == (3, 3, ())


def test_only_what_was_judged_is_history():
    made = panes(12, 50)
    foreign = replace(made[0].series, profile_id="gone")
    half = [p if i < 4 else replace(p, series=foreign) for i, p in enumerate(made)]
    outcome = outcome_of(half)
    assert outcome.judged_us == 4 * LENGTH_US
    assert outcome.weeks == pytest.approx(4 * LENGTH_US / 604_800e6)
    assert (outcome.start_us, outcome.end_us) == (START_US, START_US + 12 * LENGTH_US)
    nothing = judge(windows_of(made, CONFIG), CONFIG, {})
    assert (nothing.weeks, nothing.pages_per_week, nothing.tickets_per_week) == (0.0, None, None)


def test_versions_side_by_side_are_one_history():
    made = panes(6, 50)
    other = [replace(p, series=replace(p.series, model_version="2")) for p in made]
    assert outcome_of([*made, *other]).judged_us == 6 * LENGTH_US


def test_judging_changes_no_window():
    windows = windows_of(panes(8, 300, shifted(1.0)), CONFIG)
    first, again = (judge(windows, CONFIG, baselines()) for _ in range(2))
    assert first.alerts == again.alerts


def test_windows_that_panes_cannot_fill_are_refused():
    with pytest.raises(
        ConfigError, match=r"divisor 150 s, which is not a multiple of its panes of 100 s"
    ):
        check_slot(150_000_000, 100_000_000, "small")


@pytest.mark.parametrize("shift_sd", [0.5, -0.5, 1.0])
def test_a_planted_delay_is_that_of_the_whole_model_on_planted_windows(shift_sd):
    made, start = panes(20, 300), 8
    baseline, v = small_baseline(), 0
    assert baseline.variables[v].name == "a"
    matrix = shift_matrix(
        baseline.variables[v].edges,
        baseline.reference.counts[0, v],
        shift_sd * reference_sd(baseline, v),
    )
    planted = [
        p if i < start else planted_counts(p, v, plant(p.segments.counts[:, v], matrix))
        for i, p in enumerate(made)
    ]
    notified = [a for a in outcome_of(planted).notified if a.feature == "a"]
    (delay,) = measure_delays(
        windows_of(made, CONFIG), CONFIG, baselines(), "a", [shift_sd], START_US + start * LENGTH_US
    )
    assert delay.delays == ((notified[0].time_us - START_US) // LENGTH_US - start,)
    assert not delay.is_firing_anyway


def test_a_planted_delay_is_near_that_of_shifted_rows():
    windows = windows_of(panes(30, 400), CONFIG)
    at_us = START_US + 10 * LENGTH_US
    (delay,) = measure_delays(windows, CONFIG, baselines(), "a", [0.3], at_us)
    notified = outcome_of(panes(30, 400, shifted(0.3, from_window=10))).notified
    of_rows = (next(a.time_us for a in notified if a.feature == "a") - at_us) // LENGTH_US
    assert delay.delays == (pytest.approx(of_rows, abs=1),)


def test_larger_shifts_are_found_sooner_and_more_often():
    windows = windows_of(panes(40, 300), CONFIG)
    delays = measure_delays(windows, CONFIG, baselines(), "a", [0.05, 0.3, 0.5, 1.0])
    assert [d.n_starts for d in delays] == [5] * 4
    assert [d.horizon for d in delays] == [20] * 4
    shares = [d.share_found for d in delays]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert delays[0].median is None
    assert 2 <= delays[3].median <= delays[2].median <= delays[1].median


def test_shifts_are_planted_before_the_first_firing_of_the_feature_itself():
    windows = windows_of(panes(20, 400, shifted(1.0, from_window=10)), CONFIG)
    (delay,) = measure_delays(windows, CONFIG, baselines(), "a", [1.0])
    assert (delay.horizon, delay.share_found) == (5, 1.0)


def test_a_feature_that_fires_from_the_start_leaves_no_place_for_a_plant():
    windows = windows_of(panes(3, 400, shifted(3.0)), CONFIG)[:1]
    (delay,) = measure_delays(windows, CONFIG, baselines(), "a", [1.0])
    assert (delay.n_starts, delay.share_found, delay.median) == (0, None, None)


def test_a_shift_planted_into_a_drift_says_that_it_fires_anyway():
    windows = windows_of(panes(20, 400, shifted(1.0, from_window=5)), CONFIG)
    at_us = START_US + 10 * LENGTH_US
    (delay,) = measure_delays(windows, CONFIG, baselines(), "a", [0.3], at_us)
    assert delay.is_firing_anyway


@pytest.mark.parametrize(
    ("feature", "at_us", "words"),
    [
        ("c", None, "no numeric feature 'c'"),
        ("nothing", None, "use one of a, score"),
        ("a", START_US + 99 * LENGTH_US, "no window with rows starts at or after"),
    ],
)
def test_a_plant_that_has_no_place_is_refused(feature, at_us, words):
    windows = windows_of(panes(4, 100), CONFIG)
    with pytest.raises(ConfigError, match=words):
        measure_delays(windows, CONFIG, baselines(), feature, [0.3], at_us)


def n_alarms(windows, config) -> int:
    return judge(windows, config, baselines()).n_incidents


def worsening(rng: np.random.Generator, made: list[dict], window: int) -> list[dict]:
    """Small from the fourth window on, large from the fourteenth."""
    by = 0.0 if window < 4 else 0.35 if window < 14 else 3.0
    return shifted(by)(rng, made, window)


def test_a_ticket_that_becomes_a_page_is_one_alarm_for_the_budget():
    windows = windows_of(panes(24, 400, worsening), CONFIG)
    outcome = judge(windows, CONFIG, baselines())
    assert (outcome.n_pages, outcome.n_tickets) == (1, 1)
    assert (outcome.n_incidents, outcome.n_escalated) == (1, 1)
    of_one = solve(windows, CONFIG, baselines(), budget=1.5 / outcome.months)
    assert (of_one.n_allowed, of_one.n_alarms, of_one.eps) == (1, 1, 0.0)
    of_none = solve(windows, CONFIG, baselines(), budget=0.1)
    assert (of_none.n_allowed, of_none.n_alarms, of_none.eps) == (0, 1, None)


def test_what_was_never_judged_is_no_quiet_time():
    made = panes(12, 50)
    nothing = solve(windows_of(made, CONFIG), CONFIG, {}, budget=0.1)
    assert (nothing.eps, nothing.months, nothing.upper_95) == (None, 0.0, None)
    assert nothing.config.decision.eps == CONFIG.decision.eps
    foreign = replace(made[0].series, profile_id="gone")
    half = windows_of([*made[:3], *(replace(p, series=foreign) for p in made[3:])], CONFIG)
    assert solve(half, CONFIG, baselines(), 0.1).months == pytest.approx(
        3 * LENGTH_US / (730 * 3_600e6)
    )


def test_the_budgets_eps_is_enough_and_a_step_less_is_not():
    windows = windows_of(panes(60, 400, wobbling(0.25)), CONFIG)
    assert n_alarms(windows, with_decision(eps=0.0)) > 0
    solution = solve(windows, CONFIG, baselines(), budget=1.0)
    assert solution.n_allowed == 0
    assert 0.02 < solution.eps < 0.2
    assert solution.config.decision.max_false_pages_per_month == 1.0
    assert solution.n_alarms == n_alarms(windows, solution.config) == 0
    less = solution.config.decision.model_copy(update={"eps": round(solution.eps - STEP, 3)})
    assert n_alarms(windows, solution.config.model_copy(update={"decision": less})) > 0
    # Nothing in .0023 months: 3.69 / .0023.
    assert solution.upper_95 == pytest.approx(3.689 / solution.months, rel=1e-3)


def test_a_larger_budget_lets_the_rule_fire_sooner():
    windows = windows_of(panes(30, 400), CONFIG)
    small, large = (solve(windows, CONFIG, baselines(), budget) for budget in (0.1, 50.0))
    assert large.outcome.threshold < small.outcome.threshold
    assert small.outcome.threshold == pytest.approx(
        outcome_of(panes(1, 10), with_decision(max_false_pages_per_month=0.1)).threshold
    )


def test_a_history_that_is_not_quiet_has_no_eps():
    everything = panes(20, 400, shifted(30.0))
    solution = solve(windows_of(everything, CONFIG), CONFIG, baselines(), budget=0.1)
    assert solution.eps is None
    assert solution.n_alarms > 0
    assert solution.config.decision.eps == CONFIG.decision.eps


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_is_no_rate_is_refused(budget):
    with pytest.raises(DomainError, match="a budget of"):
        solve([], CONFIG, baselines(), budget)


def test_both_sides_are_judged_on_the_same_rows():
    made = panes(24, 300, shifted(0.6, from_window=12))
    found = compare(
        made,
        CONFIG,
        with_decision(eps=0.4),
        baselines(),
        plants=[Plant("a", 0.5, None), Plant("b", 0.5, None)],
    )
    assert found.today.outcome.notified
    assert not [a for a in found.proposed.outcome.notified if a.feature == "a"]
    assert [d.feature for d in found.today.delays] == ["a"]
    assert found.proposed.delays[0].share_found < found.today.delays[0].share_found
    assert list(found.sides) == ["today", "proposed"]


def test_without_a_proposal_there_is_one_side():
    found = compare(panes(4, 100), CONFIG, None, baselines())
    assert (found.proposed, found.solution, list(found.sides)) == (None, None, ["today"])


def test_every_numeric_feature_is_planted_in_four_sizes():
    assert [(p.feature, p.shift_sd) for p in default_plants(CONFIG)] == [
        ("a", 0.1),
        ("a", 0.2),
        ("a", 0.3),
        ("a", 0.5),
    ]


def test_what_resolves_is_no_notification():
    outcome = outcome_of(panes(24, 400, shifted(1.0, from_window=6)))
    assert all(a.transition is not Transition.RESOLVED for a in outcome.notified)
    assert np.all(np.diff([a.time_us for a in outcome.alerts]) >= 0)


def test_an_open_alert_stays_open_under_a_new_baseline():
    made = panes(20, 400, shifted(1.0, from_window=4))
    renewed = replace(small_baseline(), profile_id="next")
    series = replace(made[0].series, profile_id="next")
    made[12:] = [replace(pane, series=series) for pane in made[12:]]
    windows = windows_of(made, CONFIG)
    outcome = judge(windows, CONFIG, baselines() | {"next": renewed})
    assert outcome.n_unjudged == 0
    own = [a.transition for a in outcome.alerts if (a.feature, a.segment) == ("a", "*")]
    assert own == [Transition.OPENED]
    assert judge(windows, CONFIG, baselines()).n_unjudged == 8


def test_a_window_of_two_baselines_gets_no_verdict():
    made = panes(4, 100)
    half_us = LENGTH_US // 2
    series = replace(made[0].series, profile_id="next")
    late = replace(made[1], series=series, start_us=made[1].start_us + half_us)
    outcome = judge(
        windows_of([*made, late], CONFIG), CONFIG, baselines() | {"next": small_baseline()}
    )
    assert (outcome.n_windows, outcome.n_unjudged) == (4, 1)
