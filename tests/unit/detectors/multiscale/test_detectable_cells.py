"""What would be found in each cell, and which cells find least."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.multiscale.detectable import detectable_changes
from detectors.multiscale.detectable_cells import DAY, detectable_cells, least_detectable
from detectors.multiscale.rule import ScaleRule, judge, learn_reference
from detectors.multiscale.state import ScaleState
from tests.support.decision.multiscale import SmallModel

EVEN = np.zeros(64)
EVEN[:60] = 1 / 60
LETTERS = np.zeros(64)
LETTERS[:3] = 0.6, 0.3, 0.1


@pytest.fixture(scope="module")
def learned():
    """Two numbers, the second of which moves every hour, and a category."""
    rng = np.random.default_rng(7)
    model = SmallModel.of([EVEN, EVEN, LETTERS], 2, 200_000, 200.0, has_products=False)
    rule, state, ticks = ScaleRule.of(342), ScaleState.start(model.plan), []
    for t in range(2_400):
        if t % 12 == 0:
            moved = EVEN.copy()
            moved[:60] *= 1 + rng.normal(0, 0.1) * np.linspace(-1.7, 1.7, 60)
        ticks.append(model.tick(rng, 80, [EVEN, moved / moved.sum(), LETTERS]))
    sums, rows = (np.stack(x) for x in zip(*ticks, strict=True))
    learn_reference(model.plan, rule, state, sums, rows, np.zeros(len(ticks), np.int64))
    for tick in ticks[:400]:
        judge(model.plan, rule, state, *tick)
    return model, detectable_changes(model.plan, rule, state)


def test_each_cell_has_what_its_kind_has(learned):
    model, found = learned
    cells = detectable_cells(model.layout, model.plan, found)
    assert np.isfinite(cells.shift_sd[DAY]).tolist() == [True, True, False]
    assert np.isfinite(cells.category[DAY]).tolist() == [False, False, True]
    assert np.isfinite(cells.missing[DAY]).all()
    assert 0.02 < cells.category[DAY, 2] < 0.2
    # Whichever category it is: the growth of the commonest is the largest.
    begin = int(model.plan.offsets[2])
    assert cells.category[DAY, 2] == found.change[DAY, begin : begin + 3].max()


def test_the_cell_that_moves_by_itself_finds_least_and_says_why(learned):
    model, found = learned
    worst, other = least_detectable(model.layout, model.plan, found)
    assert (worst.cell, other.cell) == (1, 0)
    assert worst.shift_sd > 1.3 * other.shift_sd
    assert worst.is_natural
    assert "vary by" in worst.reason("price")
    assert least_detectable(model.layout, model.plan, found, n=1) == [worst]


def test_before_variances_are_known_nothing_would_be_found():
    model = SmallModel.of([EVEN, LETTERS], 1, has_products=False)
    rule = ScaleRule.of(342)
    found = detectable_changes(model.plan, rule, ScaleState.start(model.plan))
    (only,) = least_detectable(model.layout, model.plan, found)
    assert np.isnan(only.shift_sd)
    assert "not known yet" in only.reason("price")
