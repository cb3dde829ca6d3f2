"""Alerts of one cell open and close by its largest E - h: decision rule 2, section 1.3."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.kernels import scale_state as at
from detectors.kernels.scales import CLOSED, OPENED, fire_or_close
from detectors.multiscale.state import ScaleState
from detectors.multiscale.thresholds import SCALE_HOURS
from tests.support.decision.multiscale import SmallModel

TICK_HOURS = 0.25
SCALE, CHANGE = 2, 0.1
"""Scale and change of the open alert: it closes after two hours."""


class Cell:
    """A cell of one categorical feature; its averages are set by hand."""

    def __init__(self, *, is_open: bool) -> None:
        shares = np.zeros(64)
        shares[:2] = 0.7, 0.3
        self.plan = SmallModel.of([shares], 0).plan
        self.state = ScaleState.start(self.plan)
        self.state.scales[:, :, at.WEIGHT] = 1.0
        if is_open:
            self.state.cells[0, [at.IS_OPEN, at.OPEN_SCALE, at.OPEN_CHANGE]] = 1.0, SCALE, CHANGE

    def step(self, margin: float, average: float = 0.0) -> int:
        """Return what one tick does: ``OPENED``, ``CLOSED`` or 0."""
        integers, floats = np.array([[0, 0, SCALE, 0]]), np.zeros((1, 5))
        floats[0, 1], floats[0, 2] = margin, average
        self.state.components[:, at.SUM : at.SUM + at.N_SCALES] = average
        fire_or_close(
            self.plan.constants,
            self.plan.codes,
            np.array(SCALE_HOURS),
            TICK_HOURS,
            0,
            self.state.components,
            self.state.scales,
            self.state.cells,
            integers,
            floats,
        )
        return int(integers[0, 0])


@pytest.mark.parametrize(("margin", "found"), [(-1e-6, 0), (0.0, OPENED), (5.0, OPENED)])
def test_an_alert_opens_where_the_evidence_reaches_the_threshold(margin, found):
    cell = Cell(is_open=False)
    assert cell.step(margin, CHANGE) == found
    assert cell.state.cells[0, at.IS_OPEN] == (found == OPENED)


@pytest.mark.parametrize(
    ("margin", "average", "is_back"),
    [
        (-3.1, 0.0, True),
        (-2.9, 0.0, False),
        (-3.1, 0.39 * CHANGE, True),
        (-3.1, 0.41 * CHANGE, False),
        (-3.1, -0.5 * CHANGE, True),
    ],
)
def test_an_alert_closes_two_hours_below_h_minus_3_and_near_the_baseline(margin, average, is_back):
    cell = Cell(is_open=True)
    found = [cell.step(margin, average) for _ in range(8)]
    assert found == [0] * 7 + [CLOSED if is_back else 0]


def test_one_tick_of_evidence_begins_the_two_hours_again():
    cell = Cell(is_open=True)
    margins = [-9.0] * 7 + [-1.0] + [-9.0] * 8
    assert [cell.step(margin) for margin in margins] == [0] * 15 + [CLOSED]
