"""Most rows of a feature missing, unseen, out of range or constant."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.multiscale.components import (
    ComponentLayout,
    categorical_components,
    numeric_components,
)
from detectors.multiscale.plan import plan_cells
from monitor.core.drift.ticks.closing import Tick
from monitor.core.drift.ticks.total_loss import (
    LossPlan,
    Streak,
    advance_streaks,
    special_components,
)

MISSING, UNDERFLOW, OVERFLOW, UNSEEN = 62, 60, 61, 63
EVEN = np.concatenate((np.full(60, 50), np.zeros(4, int))).astype(np.int64)


def build(numbers=EVEN, categories=("a", "b", "rare"), shares=(900, 900, 200)):
    """A numeric cell, then a categorical one."""
    counts = np.zeros((2, 64), np.int64)
    counts[0], counts[1, : len(shares)] = numbers, shares
    cells = [numeric_components(np.arange(61.0), counts[0]), categorical_components(categories)]
    layout = ComponentLayout.of(cells)
    plan = plan_cells(layout, *layout.add_up(counts))
    return layout, LossPlan.of(layout, plan)


def run(ticks, layout, losses, phi=(1.0, 1.0)):
    """What fires in each tick, by the name of the component."""
    streaks, fired = {}, []
    for i, counts in enumerate(ticks):
        tick = Tick(i, i + 1, *layout.add_up(np.array(counts)))
        streaks, now = advance_streaks(losses, streaks, tick, np.array(phi))
        fired.append({layout.names()[i] for i in now.values()})
    return fired


def tick(numbers=None, categories=None, n=30):
    counts = np.zeros((2, 64), np.int64)
    counts[0, :60] = 1
    counts[1, :2] = 30
    for row, own in ((0, numbers), (1, categories)):
        if own is not None:
            counts[row] = 0
            for place, share in own.items():
                counts[row, place] = round(share * n)
    return counts


@pytest.mark.parametrize(
    ("numbers", "categories", "name"),
    [
        ({MISSING: 0.6, 5: 0.4}, None, "missing"),
        ({OVERFLOW: 1.0}, None, "above maximum"),
        ({OVERFLOW: 0.3, UNDERFLOW: 0.3, 5: 0.2, 40: 0.2}, None, "above maximum"),
        ({31: 1.0}, None, "30 to 33"),
        (None, {UNSEEN: 1.0}, "unseen"),
        (None, {MISSING: 0.9, 0: 0.1}, "missing"),
    ],
)
def test_a_loss_fires_in_its_second_tick_if_there_are_50_rows(numbers, categories, name):
    lost = tick(numbers, categories)
    assert run([tick(), lost, lost, lost], *build()) == [set(), set(), {name}, {name}]
    few = tick(numbers, categories, n=20)
    assert run([few, few, few], *build()) == [set(), set(), {name}]


def test_half_of_the_rows_or_a_usual_share_is_no_loss():
    half = tick({MISSING: 0.5, 3: 0.3, 50: 0.2})
    assert run([half] * 4, *build()) == [set()] * 4
    usual = np.concatenate((np.full(60, 44), [0, 0, 360, 0])).astype(np.int64)
    lost = tick({MISSING: 1.0})
    assert run([lost] * 4, *build(numbers=usual)) == [set()] * 4


def test_a_tick_in_between_begins_the_count_again():
    lost = tick({MISSING: 1.0})
    assert run([lost, tick(), lost], *build()) == [set()] * 3
    other = tick({OVERFLOW: 1.0})
    assert run([lost, other], *build()) == [set()] * 2


def test_a_cell_without_rows_keeps_its_streak():
    layout, losses = build()
    streaks = {0: Streak(int(np.flatnonzero(losses.is_gross)[0]), 1, 40, 1.0)}
    empty = Tick(0, 1, np.zeros(layout.n_components), np.zeros(2))
    assert advance_streaks(losses, streaks, empty, np.ones(2)) == (streaks, {})


def test_equal_values_are_counted_by_the_cluster_and_missing_ones_are_not():
    phi = (10.0, 10.0)
    equal, missing = tick({31: 1.0}), tick({MISSING: 1.0})
    assert run([equal] * 17, *build(), phi)[:16] == [set()] * 16
    assert run([equal] * 17, *build(), phi)[16] == {"30 to 33"}
    assert run([missing] * 2, *build(), phi)[1] == {"missing"}


def test_a_category_may_have_the_name_of_another_component():
    layout, losses = build(categories=("missing", "unseen", "above maximum"))
    names = np.array(layout.names())
    assert names[special_components(layout)].tolist() == [
        "below minimum", "above maximum", "missing", "unseen", "missing",
    ]  # fmt: skip
    assert run([tick(None, {2: 1.0})] * 2, layout, losses)[1] == set()


def test_a_value_that_is_usual_in_some_hour_is_no_loss_in_another():
    """The hour of the day as a feature: alike within an hour, and moved by daylight saving."""
    layout, _ = build()
    counts = np.zeros((2, 64), np.int64)
    counts[0], counts[1, :3] = EVEN, (900, 950, 150)
    plan = plan_cells(layout, *layout.add_up(counts))
    rare = len(layout.cells[0]) + 2
    season = np.zeros((48, plan.n_components))
    season[6, rare] = 0.9
    is_seasonal = np.arange(plan.n_components) == rare
    usual = plan.with_season(season, is_seasonal, np.ones(plan.n_components))
    ticks = [tick(categories={2: 1.0}, n=60)] * 2
    assert run(ticks, layout, LossPlan.of(layout, plan))[1] == {"rare"}
    assert run(ticks, layout, LossPlan.of(layout, usual)) == [set(), set()]
