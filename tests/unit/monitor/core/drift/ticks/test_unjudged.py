"""Alerts on what is no longer judged resolve, once, also across a restart."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from monitor.core.drift.decide import SeriesDecider, SeriesState
from monitor.core.drift.ticks.decider import ScaleDecider
from monitor.core.incidents.alerting import CellState
from schemas.alerts import Alert, Severity
from schemas.config.model import ModelConfig
from schemas.panes import ALL, SeriesId
from schemas.results import Reason, Verdict
from schemas.time_units import HOUR_US
from tests.unit.monitor.core.drift.ticks.test_pairs import (
    CONFIG,
    SETTINGS,
    Stream,
    baseline,
    new,
    result_of,
)

DAY_TICKS = 24 * 12
WITHOUT = dataclasses.replace(baseline(), products=None, profile_id="without")
RULE_1 = ModelConfig.model_validate(SETTINGS | {"decision": {"rule": 1}})


def with_open_pair() -> tuple[Stream, Alert]:
    stream = Stream(new())
    stream.run(60)
    (opened,) = stream.run(9, correlation=0.6)
    return stream, opened


def stored(decider: SeriesDecider) -> SeriesState:
    """The state as a restart reads it."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(decider.export()), type=SeriesState)


def without_products(state: SeriesState | None = None) -> ScaleDecider:
    series = SeriesId("default", "paired", "1", WITHOUT.profile_id)
    return ScaleDecider(series, CONFIG, WITHOUT, state)


def under_rule_1(state: SeriesState) -> SeriesDecider:
    series = SeriesId("default", "paired", "1", baseline().profile_id)
    return SeriesDecider(series, RULE_1, baseline(), state)


def summary(alerts: list[Alert]) -> list[tuple[str, str, int]]:
    return [(a.feature, a.transition.value, a.opened_at_us) for a in alerts]


@pytest.mark.parametrize("at", [1, DAY_TICKS - 1])
def test_a_baseline_without_products_resolves_the_alert_it_inherits(at):
    stream, opened = with_open_pair()
    previous, stream.decider = stream.decider, without_products()
    stream.decider.inherit(previous)
    assert stream.run(at) == []
    stream.decider = without_products(stored(stream.decider))
    assert stream.run(DAY_TICKS - at - 1) == []
    (alert,) = stream.run(1)
    assert summary([alert]) == [("a x b", "resolved", opened.opened_at_us)]
    assert alert.sequence == opened.sequence + 1
    assert alert.title == "paired: correlation of a and b is no longer judged"
    stream.decider = without_products(stored(stream.decider))
    assert stream.run(12) == []
    assert f"drift|a x b|{ALL}" not in stream.decider.onsets


def test_panes_that_lose_their_products_resolve_the_alert_after_a_day():
    stream, opened = with_open_pair()
    law = {"has_products": False}
    assert result_of(stream).verdict is Verdict.DRIFT
    assert stream.run(100, **law) == []
    found = result_of(stream, **law)
    assert (found.verdict, found.reason) == (Verdict.NONE, Reason.NO_DATA)
    stream.decider = new(stored(stream.decider))
    alerts = stream.run(DAY_TICKS - 100, **law)
    assert summary(alerts) == [("a x b", "resolved", opened.opened_at_us)]
    stream.decider = new(stored(stream.decider))
    assert stream.run(24, **law) == []
    (again,) = stream.run(12, correlation=0.6)
    assert (again.feature, again.transition) == ("a x b", "opened")


def test_products_that_return_within_a_day_keep_the_alert_open():
    stream, _ = with_open_pair()
    for _ in range(3):
        assert stream.run(DAY_TICKS // 2, has_products=False) == []
        assert stream.run(1, correlation=0.6) == []
    assert f"drift|a x b|{ALL}" in stream.decider.open_alerts


@pytest.mark.parametrize("n_restarts", [1, 2])
def test_rule_1_resolves_what_only_rule_2_judges_with_its_first_rows(n_restarts):
    stream, opened = with_open_pair()
    ticket = CellState(5, 5, Severity.TICKET, 0)
    stream.decider.detectable.state.open[f"a|{ALL}"] = ticket
    before = stream.decider.alert_states.keys()
    state = stored(stream.decider)
    for _ in range(n_restarts):
        decider = under_rule_1(state)
        assert decider.alert_states.keys() == before
        state = stored(decider)
    empty = decider.decide(stream.window(HOUR_US, n=0))
    assert empty.alerts == []
    alerts = decider.decide(stream.window(HOUR_US, n=1000)).alerts
    assert all(a.title == f"paired: {a.feature} is no longer judged" for a in alerts)
    assert sorted(summary(alerts)) == [
        ("a", "resolved", 5),
        ("a x b", "resolved", opened.opened_at_us),
    ]
    assert {a.feature: (a.monitor.value, a.rule) for a in alerts} == {
        "a": ("pipeline", "undetectable"),
        "a x b": ("drift", ""),
    }
    again = under_rule_1(stored(decider))
    assert again.open_alerts == {}
    assert again.decide(stream.window(HOUR_US, n=1000)).alerts == []


def test_rule_2_takes_back_the_tickets_that_rule_1_has_stored():
    stream, _ = with_open_pair()
    stream.decider.detectable.state.open[f"a|{ALL}"] = CellState(5, 5, Severity.TICKET, 0)
    back = new(stored(under_rule_1(stored(stream.decider))))
    assert back.alert_states.keys() == stream.decider.alert_states.keys()
    assert back.detectable.state.open.keys() == {f"a|{ALL}"}
