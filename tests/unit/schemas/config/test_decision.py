"""Settings of the decision rules: what is read, what is refused, and what is written back."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from schemas.config.model import ModelConfig

PLAIN = {"model": "m", "features": {"x": {"kind": "numeric"}}}


def read(**settings) -> ModelConfig:
    return ModelConfig.model_validate(PLAIN | settings)


def problem(**settings) -> str:
    with pytest.raises(ValidationError) as caught:
        read(**settings)
    return str(caught.value)


def test_rule_2_is_the_default_and_writes_nothing_of_what_is_default():
    config = read()
    assert (config.decision.rule, config.decision.monthly_budget()) == (2, 0.1)
    written = config.model_dump()
    assert set(written["decision"]) == {
        "max_false_pages_per_month", "eps", "phi", "persistence", "min_rows",
    }  # fmt: skip
    assert "calendar" not in written
    assert "smallest" not in written["features"]["x"]


@pytest.mark.parametrize(
    ("decision", "budget"),
    [
        ({}, 0.1),
        ({"max_false_pages_per_month": 2}, 2),
        ({"budget": "0.5"}, 0.5),
        ({"budget": {"fleet": 3}}, 0.3),
        ({"budget": None}, 0.1),
    ],
)
def test_the_budget_of_a_model_among_ten(decision, budget):
    assert read(decision=decision).decision.monthly_budget(10) == pytest.approx(budget)


def test_what_is_written_is_read_again():
    config = read(
        decision={"rule": "2", "budget": {"fleet": 3}, "tick": "1m", "smallest": 0.1},
        features={"x": {"kind": "numeric", "smallest": 0.2}},
        calendar={"timezone": "Europe/Berlin", "holidays": ["2026-12-25"]},
    )
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config
    assert config.timezone == "Europe/Berlin"
    assert config.calendar.holidays == (date(2026, 12, 25),)


def test_a_setting_is_changed_in_a_copy_as_before():
    decision = read(decision={"budget": 0.5}).decision
    assert decision.model_copy(update={"budget": None}).monthly_budget() == 0.1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"decision": {"rule": 3}}, "less than or equal to 2"),
        ({"decision": {"budget": 0}}, "is not a number above 0"),
        ({"decision": {"budget": float("inf")}}, "is not a number above 0"),
        ({"decision": {"budget": [1]}}, "is not a number above 0"),
        ({"decision": {"budget": {"fleet": -1}}}, "budget"),
        ({"decision": {"budget": 1, "max_false_pages_per_month": 1}}, "the same setting"),
        ({"decision": {"rule": 2, "tick": "7s"}}, "not a multiple of the pane"),
        ({"decision": {"rule": 2, "tick": "2h"}, "window": {"length": "4h"}}, "at most 1h"),
        ({"decision": {"rule": 2, "tick": "7m"}}, "not made of ticks"),
        ({"timezone": "UTC", "calendar": {"timezone": "Europe/Berlin"}}, "calendar.timezone"),
        ({"calendar": {"holidays": ["Christmas"]}}, "date"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings, words):
    assert words in problem(**settings)


def test_ticks_that_do_not_fit_matter_to_rule_2_alone():
    assert read(decision={"rule": 1, "tick": "7m"}).decision.rule == 1


@pytest.mark.parametrize(
    ("window", "tick_s"),
    [
        ({}, 300),
        ({"length": "1d"}, 300),
        ({"length": "100s"}, 100),
        ({"length": "7m"}, 210),
        ({"length": "1h", "pane": "10m"}, 600),
        ({"length": "35s", "pane": "5s"}, 35),
    ],
)
def test_a_default_tick_fits_panes_and_windows(window, tick_s):
    assert read(window=window).tick_us == tick_s * 1_000_000


def test_panes_of_more_than_an_hour_need_rule_1():
    window = {"length": "1d", "pane": "2h"}
    assert "decision.rule: 1" in problem(window=window)
    assert read(window=window, decision={"rule": 1}).decision.rule == 1


@pytest.mark.parametrize(("decision", "rule"), [({}, 2), ({"eps": 0.03}, 2), ({"rule": 1}, 1)])
def test_a_canary_is_judged_by_the_rule_of_its_model(decision, rule):
    config = read(canary={}, decision=decision)
    assert config.decision.rule == rule
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


def test_rule_1_is_written_and_read_again():
    config = read(decision={"rule": 1})
    assert config.model_dump()["decision"]["rule"] == 1
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config
