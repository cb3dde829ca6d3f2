"""The cap on dead letters: what it admits, and when it says that a model floods."""

from __future__ import annotations

import pytest

from monitor.core.pipeline_health.dead_letter_limit import DeadLetterLimit
from schemas.alerts import Alert
from schemas.time_units import MINUTE_US

MODELS = [("t", "m"), ("t", "n")]


def cap(limit: int = 3) -> DeadLetterLimit:
    return DeadLetterLimit("predictions", 2, MODELS, limit=limit)


def changes(alerts: list[Alert]) -> list[tuple[str, str, int]]:
    return [(a.model, a.transition.value, a.time_us // MINUTE_US) for a in alerts]


def test_each_model_has_an_allowance_and_strangers_share_one():
    counted = cap()
    admitted = [counted.admits("t", "m", i) for i in range(5)]
    assert admitted == [True, True, True, False, False]
    assert counted.admits("t", "n", 9)
    strangers = [counted.admits("t", f"x{i}", i) for i in range(5)]
    assert strangers == [True, True, True, False, False]
    assert not counted.admits("", "", 9)
    assert counted.bucket("t", "x1") == ("", "")


def test_a_new_minute_of_record_time_starts_at_0_and_an_earlier_one_does_not():
    counted = cap(1)
    assert counted.admits("t", "m", MINUTE_US)
    assert not counted.admits("t", "m", MINUTE_US + 1)
    assert not counted.admits("t", "m", MINUTE_US - 1)
    assert counted.admits("t", "m", 2 * MINUTE_US)
    assert not counted.admits("t", "m", MINUTE_US)


def test_one_alert_stays_open_until_a_whole_minute_without_capping():
    counted = cap(1)
    for minute in (5, 6, 7):
        for i in range(3):
            counted.admits("t", "m", minute * MINUTE_US + i)
        counted.advance(minute * MINUTE_US + 3)
    assert changes(counted.take_alerts()) == [("m", "opened", 5)]
    counted.advance(9 * MINUTE_US - 1)
    assert counted.take_alerts() == []
    counted.advance(9 * MINUTE_US)
    assert changes(counted.take_alerts()) == [("m", "resolved", 9)]
    counted.advance(20 * MINUTE_US)
    assert counted.take_alerts() == []


@pytest.mark.parametrize("is_cut", [False, True])
def test_alerts_do_not_depend_on_how_reads_are_cut(is_cut):
    counted, alerts = cap(1), []
    for minute in (1, 2, 9, 10, 30):
        for i in range(2):
            counted.admits("t", "m", minute * MINUTE_US + i)
            if is_cut:
                counted.advance(minute * MINUTE_US + i)
                alerts += counted.take_alerts()
    alerts += counted.take_alerts()
    assert changes(alerts) == [
        ("m", "opened", 1),
        ("m", "resolved", 4),
        ("m", "opened", 9),
        ("m", "resolved", 12),
        ("m", "opened", 30),
    ]
    assert len({a.alert_id for a in alerts}) == 5


def test_an_open_alert_travels_in_the_note_and_is_resolved_by_the_next_owner():
    first = cap(1)
    for i in range(2):
        first.admits("t", "m", i)
    (opened,) = first.take_alerts()
    second = cap(1)
    second.restore(first.note())
    for i in range(2):
        second.admits("t", "m", MINUTE_US + i)
    assert second.take_alerts() == []
    second.advance(5 * MINUTE_US)
    (resolved,) = second.take_alerts()
    assert (resolved.opened_at_us, resolved.segment) == (opened.opened_at_us, "partition=2")
    assert second.note() == ""


def test_the_note_stays_short_whatever_the_models_are_called():
    models = [("t" * 200, f"{i}" * 60) for i in range(10)]
    counted = DeadLetterLimit("predictions", 0, models, limit=0)
    for tenant, model in models:
        counted.admits(tenant, model, 0)
    assert 0 < len(counted.note().encode()) <= 600
