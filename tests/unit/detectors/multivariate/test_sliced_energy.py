"""Energy of counts in one direction: the area between straight lines, and its bounds."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.multivariate.directions import Directions
from detectors.multivariate.sliced_energy import energy_of_counts

DIRECTIONS = Directions.fit([[0.0], [0.5], [1.0]], n_directions=1, n_bins=2)


def counts(*values: float):
    return DIRECTIONS.counts_of(np.array(values).reshape(-1, 1))


def test_bounds_are_those_of_the_widest_gap_in_each_bin():
    found = energy_of_counts(counts(0.1, 0.2), counts(0.1, 0.9), DIRECTIONS)
    # The gap rises to 1/2 at the edge: its square is (1/2)^2 / 3 on average, over both bins.
    assert found.value == pytest.approx(np.sqrt(2 * (0.25 / 3)))
    assert found.low == 0.0
    # Rows may lie at either end: gaps of 1 in the first bin, of 1/2 in the second.
    assert found.high == pytest.approx(np.sqrt(2 * (0.5 * 1.0 + 0.5 * 0.25)))


@pytest.mark.parametrize("sides", [((), (0.1,)), ((0.1,), ()), ((), ())])
def test_a_side_without_rows_has_no_energy(sides):
    reference, current = (counts(*side) for side in sides)
    found = energy_of_counts(reference, current, DIRECTIONS)
    assert np.isnan([found.value, found.low, found.high]).all()
