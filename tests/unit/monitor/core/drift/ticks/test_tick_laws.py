"""Ticks in the monitor: the state of rule 2 is a function of the rows of its closed ticks."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.drift.decide import SeriesState
from monitor.core.drift.ticks.closing import MIN_ROWS, Tick, merge_thin
from monitor.core.drift.ticks.decider import ScaleDecider
from schemas.panes import ALL, SeriesStats, Window
from schemas.time_units import HOUR_US, MINUTE_US
from tests.support.worlds.ticks import (
    CONFIG,
    START_US,
    TICK_US,
    Driver,
    Messages,
    Rows,
    baseline,
    draw,
    log_of,
    pane_messages,
    panes_of,
    series,
    stats_of,
)

SEEDS = st.integers(0, 2**32 - 1)
N_MINUTES = 150
LOST_FROM = 92


@cache
def rows() -> Rows:
    """Two and a half hours of 10 rows a minute; ``c`` is missing from minute 92 on."""
    return draw(np.random.default_rng(5), N_MINUTES, 10, missing_from=LOST_FROM)


@cache
def whole() -> Driver:
    """The stream in one partition, read at once."""
    driver = Driver()
    driver.run(log_of(panes_of(rows()), N_MINUTES))
    return driver


@cache
def whole_log() -> Messages:
    return log_of(panes_of(rows()), N_MINUTES)


def encoded(state: SeriesState) -> bytes:
    return msgspec.msgpack.encode(state)


def verdicts(driver: Driver) -> dict[tuple[str, int], bytes]:
    """The last word on every cell and window."""
    decided = [r for r in driver.results if r.metric == "decision" and r.monitor == "drift"]
    return {(r.feature, r.end_us): msgspec.json.encode(r) for r in decided}


def alerts(driver: Driver) -> list[bytes]:
    return sorted(msgspec.json.encode(alert) for alert in driver.alerts.values())


def test_the_world_opens_an_alert_two_ticks_after_the_loss():
    opened = whole().opened()
    assert [(a.feature, a.effect_where) for a in opened] == [("c", "missing")]
    assert opened[0].time_us == START_US + 100 * MINUTE_US
    assert opened[0].onset_us == START_US + 90 * MINUTE_US


@settings(max_examples=12)
@given(SEEDS, st.integers(1, 4))
def test_partitions_and_the_order_of_rows_and_panes_change_nothing(seed, n_partitions):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows().minute))
    panes = panes_of(rows().at(order), rng.integers(0, n_partitions, len(order)))
    # Any order within a tick: its panes are there before its watermark is.
    ticks = [(p.start_us - START_US) // TICK_US for p in panes]
    panes = [panes[i] for i in sorted(range(len(panes)), key=lambda i: (ticks[i], rng.random()))]
    messages = log_of((p for p in panes), N_MINUTES, n_partitions)
    driver = Driver()
    driver.run(messages)
    assert encoded(driver.series_state()) == encoded(whole().series_state())
    assert alerts(driver) == alerts(whole())


@settings(max_examples=12)
@given(SEEDS, st.sampled_from([1, 5]))
def test_how_rows_are_grouped_to_panes_changes_nothing(seed, n_minutes):
    rng = np.random.default_rng(seed)
    own = rows()
    spread = Rows(own.minute // n_minutes * n_minutes, own.bins)
    # The first version of every pane lacks some rows; the second has all.
    halves = panes_of(spread.at(rng.random(len(own.minute)) < 0.5))
    driver = Driver()
    driver.run(log_of([*halves, *panes_of(spread, version=2)], N_MINUTES))
    assert encoded(driver.series_state()) == encoded(whole().series_state())
    assert alerts(driver) == alerts(whole())


@settings(max_examples=15)
@given(st.lists(st.integers(0, N_MINUTES * 2), min_size=1, max_size=3))
def test_a_restart_anywhere_changes_nothing(places):
    driver, messages = Driver(), whole_log()
    for place in sorted(places):
        driver.run(messages[:place], driver.core.position)
        driver.restart()
    driver.run(messages, driver.core.position)
    assert encoded(driver.series_state()) == encoded(whole().series_state())
    assert alerts(driver) == alerts(whole())
    assert verdicts(driver) == verdicts(whole())


@settings(max_examples=10)
@given(SEEDS, st.integers(10, N_MINUTES - 10))
def test_late_rows_change_tables_and_never_the_evidence(seed, minute):
    rng = np.random.default_rng(seed)
    late = panes_of(Rows(np.full(500, 1), rows().bins[rng.integers(0, 10, 500)]), version=9)
    messages = whole_log()
    at = next(i for i, m in enumerate(messages) if m[0].startswith(b"wm") and i > 2 * minute)
    driver = Driver()
    driver.run([*messages[: at + 1], *pane_messages(late[0]), *messages[at + 1 :]])
    assert alerts(driver) == alerts(whole())
    assert encoded(driver.series_state()) == encoded(whole().series_state())
    first_hour = [r for r in driver.results if r.end_us == START_US + HOUR_US]
    n_rows = [r.n for r in first_hour if r.metric == "decision" and r.monitor == "drift"]
    assert n_rows[-1] == 60 * 10 - 10 + 500


def tick_of(minute: int, n: int) -> Tick:
    start_us = START_US + minute * MINUTE_US
    return Tick(start_us, start_us + TICK_US, np.array([n / 4]), np.array([float(n)]))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60))
def test_thin_ticks_lose_no_row_and_stay_within_their_hour(counts):
    held, judged = None, []
    for i, n in enumerate(counts):
        ready, held = merge_thin(held, tick_of(5 * i, n))
        judged += ready
    kept = [*judged, *([held] if held is not None else [])]
    assert sum(t.n_rows for t in kept) == sum(counts)
    assert sum(t.sums.sum() for t in kept) == pytest.approx(sum(counts) / 4)
    for tick in judged:
        assert tick.n_rows >= MIN_ROWS or (tick.n_rows > 0 and tick.is_last_of_hour)
        assert tick.start_us // HOUR_US == (tick.end_us - 1) // HOUR_US
    assert all(a.end_us <= b.start_us for a, b in pairwise(kept))
    assert held is None or 0 < held.n_rows < MIN_ROWS


def window(minute: int, stats: SeriesStats) -> Window:
    start_us = START_US + minute * MINUTE_US
    empty = SeriesStats.empty((), 1)
    return Window(series(), start_us, start_us + TICK_US, stats, empty, 1, "watermark")


@settings(max_examples=10)
@given(SEEDS, st.integers(1, 5))
def test_an_empty_tick_changes_nothing(seed, n_empty):
    rng = np.random.default_rng(seed)
    deciders = [ScaleDecider(series(), CONFIG, baseline()) for _ in range(2)]
    for i in range(6):
        stats = stats_of(draw(rng, 5, 10).bins)
        for with_empty, decider in enumerate(deciders):
            decider.take_tick(window(60 * i, stats))
            for k in range(n_empty * with_empty):
                empty = SeriesStats.empty((ALL,), 3)
                assert decider.take_tick(window(60 * i + 5 * (k + 1), empty)) == []
    assert encoded(deciders[0].export()) == encoded(deciders[1].export())


@settings(max_examples=25)
@given(SEEDS, st.integers(1, 5_000), st.booleans())
def test_one_tick_of_any_content_never_opens_an_alert(seed, n, is_first):
    rng = np.random.default_rng(seed)
    decider = ScaleDecider(series(), CONFIG, baseline())
    for i in range(0 if is_first else 40):
        assert decider.take_tick(window(5 * i, stats_of(draw(rng, 5, 16).bins))) == []
    one = np.tile(rng.integers(0, 64, 3), (n, 1))
    assert decider.take_tick(window(500, stats_of(one))) == []
