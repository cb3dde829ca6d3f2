"""Peers that a user can set up: what they alarm at, and how it is counted."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.quality.changes import planted_changes
from benchmarks.quality.plain_peers import (
    EVIDENTLY,
    FROM_REFERENCE,
    PlainRun,
    ReferenceChart,
    alarms_a_month,
    delays,
    n_alarms,
    plain_run,
    read,
)
from benchmarks.quality.scale_tables import plain_alarms, plain_table

CHANGES = {change.name: change for change in planted_changes()}


def test_an_alarm_that_comes_again_within_four_hours_is_the_same():
    is_on = np.zeros((20, 2), bool)
    is_on[[2, 3, 7, 12], 0] = True  # 3 goes on, 7 is four hours later, 12 five
    is_on[19, 1] = True
    assert n_alarms(is_on) == 3
    assert list(delays(is_on)) == [3.0, 20.0]
    assert list(delays(is_on[:19])) == [3.0, np.inf]


def test_the_reference_sets_a_limit_that_its_own_law_keeps():
    rng = np.random.default_rng(3)
    hour = np.repeat(np.arange(300), 200)
    rows = rng.normal(size=(len(hour), 2))
    chart = ReferenceChart(rows, hour, 300, is_categorical=False)
    assert not chart.alarms(rng.normal(size=rows.shape), hour, 300).any()
    moved = chart.alarms(rng.normal(0.5, 1, size=rows.shape), hour, 300)
    assert moved[5:].all()


@pytest.mark.parametrize("name", ["100 % missing, 100 rows", "shift 2 sd, 100 rows"])
def test_gross_changes_are_found_in_their_first_hour(name):
    found = plain_run(CHANGES[name], 5)
    assert set(found.delays) == {EVIDENTLY, FROM_REFERENCE}
    for own in found.delays.values():
        assert set(own) == {1.0}


def test_without_times_there_is_no_chart_and_the_page_has_a_dash(tmp_path):
    name = "reference of 2,000 rows, after five days: shift .5 sd"
    found = plain_run(CHANGES[name], 5)
    assert set(found.delays) == {EVIDENTLY}
    path = tmp_path / "runs.jsonl"
    assert read(path) == []
    path.write_text(json.dumps(asdict(found)) + "\n")
    assert read(path)[0].name == name
    assert f"| {name} | 1 | - |" in plain_table(read(path))


def test_false_alarms_are_of_a_model_and_month():
    runs = [
        PlainRun("a", "", {EVIDENTLY: (1.0,)}, {EVIDENTLY: 3}, 120),
        PlainRun("b", "", {EVIDENTLY: (1.0,)}, {EVIDENTLY: 0}, 120),
        PlainRun("c", "days differ", {EVIDENTLY: (1.0,)}, {EVIDENTLY: 1}, 73),
    ]
    assert alarms_a_month(runs, EVIDENTLY, "") == pytest.approx(9.125)
    assert alarms_a_month(runs, EVIDENTLY, "days differ") == pytest.approx(10.0)
    assert np.isnan(alarms_a_month(runs, FROM_REFERENCE, ""))
    assert "| nothing moves | 9.12 | - |" in plain_alarms(runs)
