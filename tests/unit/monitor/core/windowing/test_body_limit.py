"""The most bytes that a pane of a layout may have."""

from __future__ import annotations

from monitor.core.bounds import MAX_NAME_CHARS
from monitor.core.windowing.stats_codec import body_limit
from schemas.panes import N_CALIBRATION, N_COUNTERS

NAME_BYTES = 4 * MAX_NAME_CHARS
"""Of the longest name of a series: four bytes a character."""


def test_a_pane_without_slices_has_room_for_every_number_and_name_of_its_series():
    numbers = 3 + 2 * N_CALIBRATION + 20 * (N_COUNTERS + 4)
    assert body_limit(11, 20) == 4_096 + 11 * (8 * numbers + NAME_BYTES)


def test_a_slice_adds_the_numbers_of_one_variable():
    numbers = 3 + 2 * N_CALIBRATION + N_COUNTERS + 4
    assert body_limit(11, 20, 3) - body_limit(11, 20) == 3 * (8 * numbers + NAME_BYTES)
