"""At the change to rule 2 averages and movement are rebuilt from stored panes."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kernels.scale_state import IS_OPEN, SAMPLES
from monitor.core.drift.decide import SeriesDecider, SeriesState
from monitor.core.drift.partition import DriftPartition
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.drift.ticks.rebuilding import REBUILT_US, OpenSpan, Rebuilt, rebuild
from monitor.core.incidents.alerting import CellState
from schemas.alerts import Severity
from schemas.config.model import ModelConfig
from schemas.panes import ClosedBy, Pane, SeriesStats, Window
from schemas.time_units import HOUR_US, MINUTE_US
from tests.support.worlds.ticks import (
    CONFIG,
    SETTINGS,
    START_US,
    TICK_US,
    Driver,
    baseline,
    draw,
    log_of,
    panes_of,
    series,
    stats_of,
)

N_HOURS = 6
UNTIL_US = START_US + N_HOURS * HOUR_US
RULE_1 = ModelConfig.model_validate(SETTINGS | {"decision": {"rule": 1}})


def tick_panes(seed: int, n_hours: int = N_HOURS, rate: int = 5, **law) -> list[Pane]:
    """One pane a tick, as the store merges them."""
    rows = draw(np.random.default_rng(seed), 60 * n_hours, rate, **law)
    ticks = rows.minute * MINUTE_US // TICK_US
    return [
        Pane(
            series(), START_US + t * TICK_US, START_US + (t + 1) * TICK_US, "store", 0, "store", 0,
            stats_of(rows.bins[ticks == t]),
        )
        for t in np.unique(ticks).tolist()
    ]  # fmt: skip


def rebuilt(panes: list[Pane], *spans: OpenSpan, **open_alerts: CellState) -> ScaleDecider:
    first = SeriesDecider(series(), RULE_1, baseline())
    first.open_alerts.update({f"drift|{name}|*": cell for name, cell in open_alerts.items()})
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.export()), type=SeriesState)
    decider = ScaleDecider(series(), CONFIG, baseline(), state)
    rebuild(decider, panes, spans, UNTIL_US, Rebuilt(series()))
    return decider


def learned(decider: ScaleDecider, c: int) -> list[np.ndarray]:
    """What is known of one cell."""
    begin, end = decider.cells.plan.offsets[c : c + 2]
    own = decider.averages
    return [own.components[begin:end], own.scales[c], own.cells[c]]


def test_nothing_opens_and_movement_is_known():
    decider = rebuilt(tick_panes(1, missing_from=100))
    assert not decider.averages.cells[:, IS_OPEN].any()
    assert decider.open_alerts == {}
    assert (decider.averages.scales[:, 0, SAMPLES] > 5).all()
    assert decider.history.past(0, 0, 0).rows.sum() == N_HOURS * 60 * 5


def test_a_fault_that_is_open_is_found_again_within_two_ticks():
    opened = CellState(START_US + HOUR_US, START_US, Severity.TICKET, 0)
    decider = rebuilt(tick_panes(1, missing_from=60), c=opened)
    stream = tick_panes(2, 1, missing_from=0)
    for pane in stream[:2]:
        place = (pane.start_us + N_HOURS * HOUR_US, pane.end_us + N_HOURS * HOUR_US)
        none = SeriesStats.empty((), 1)
        decider.take_tick(Window(pane.series, *place, pane.segments, none, 1, ClosedBy.WATERMARK))
    assert decider.averages.cells[1, IS_OPEN] == 1.0
    assert decider.open_alerts["drift|c|*"].opened_at_us == opened.opened_at_us


@settings(max_examples=10, deadline=None)
@given(start=st.integers(0, 60), length=st.integers(1, 40), is_open=st.booleans())
def test_while_an_alert_was_open_its_cell_is_as_if_it_had_no_rows(start, length, is_open):
    panes = tick_panes(3, missing_from=5 * start)
    span = (START_US + start * TICK_US, START_US + (start + length) * TICK_US)
    if is_open:
        span = (span[0], UNTIL_US)
        decider = rebuilt(panes, c=CellState(span[0] + 1, span[0], Severity.TICKET, 0))
    else:
        decider = rebuilt(panes, OpenSpan("1", "c", "*", *span), OpenSpan("2", "a", "*", *span))
    outside = [p for p in panes if p.end_us <= span[0] or p.start_us >= span[1]]
    expected = rebuilt(outside)
    for own, other in zip(learned(decider, 1), learned(expected, 1), strict=True):
        np.testing.assert_array_equal(own, other)
    for own, other in zip(learned(decider, 0), learned(rebuilt(panes), 0), strict=True):
        np.testing.assert_array_equal(own, other)


def test_what_was_used_is_stated():
    found = Rebuilt(series())
    decider = ScaleDecider(series(), CONFIG, baseline())
    span = OpenSpan("1", "a", "*", START_US, START_US + HOUR_US)
    rebuild(decider, tick_panes(4), [span], UNTIL_US, found)
    assert found.as_document() == {
        "profile_id": baseline().profile_id,
        "ticks": N_HOURS * 12,
        "rows": N_HOURS * 60 * 5,
        "left_out_hours": {"a|*": 1.0},
    }


def test_panes_of_others_or_of_later_are_not_used():
    panes = tick_panes(5)
    other = [replace(p, series=replace(series(), model_version="9")) for p in panes]
    late = [p for p in tick_panes(6, N_HOURS + 2) if p.end_us > UNTIL_US]
    decider = rebuilt([*panes, *other, *late])
    np.testing.assert_array_equal(decider.averages.scales, rebuilt(panes).averages.scales)


def log(n_minutes: int):
    return log_of(panes_of(draw(np.random.default_rng(7), n_minutes, 10)), n_minutes)[:-1]


def restored(driver: Driver, config: ModelConfig) -> DriftPartition:
    """Restart with another config."""
    driver.catalog.configs["default", "ticked"] = config
    driver.restart()
    return driver.core


def test_the_first_start_under_rule_2_asks_for_two_weeks_once():
    messages = log(200)
    driver = Driver(RULE_1)
    driver.run(messages)
    core = restored(driver, CONFIG)
    (request,) = core.rebuilds
    assert request.until_us == START_US + 3 * HOUR_US
    assert request.until_us - request.since_us == REBUILT_US
    assert (request.tenant, request.model, request.tick_us) == ("default", "ticked", TICK_US)
    (found,) = core.rebuild(request, [tick_panes(8, 2), tick_panes(9, 3)[24:]], [])
    assert found.n_ticks == 36
    driver.run([*messages, *log(300)[len(messages) :]], core.position)
    assert driver.series_state().rule == 2
    own = restored(driver, CONFIG)
    assert own.rebuilds == []
    decider = own._deciders["default", "ticked"][series()]
    assert decider.averages.scales[0, 0, SAMPLES] > 10


@pytest.mark.parametrize("config", [CONFIG, RULE_1])
def test_a_start_without_a_change_of_the_rule_asks_for_nothing(config):
    driver = Driver(config)
    driver.run(log(200))
    assert restored(driver, config).rebuilds == []
