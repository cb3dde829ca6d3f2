"""Proposed window lengths: customary, long enough for a verdict, a multiple of the pane."""

from __future__ import annotations

import pytest
from scipy.stats import poisson

from monitor.core.windowing.window_length import (
    is_thin,
    length_advice,
    needed_rows,
    propose_length_us,
    traffic_text,
)

MINUTE_US = 60_000_000


@pytest.mark.parametrize("min_rows", [10, 30, 100, 1_000])
def test_the_needed_rows_reach_the_minimum_in_99_percent_of_windows(min_rows):
    mean = needed_rows(min_rows)
    assert poisson.ppf(0.01, mean) == pytest.approx(min_rows, abs=1)


@pytest.mark.parametrize(
    "minutes", [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1440, 2880, 10080]
)
def test_a_customary_length_is_proposed_where_it_suffices_exactly(minutes):
    rows = needed_rows(30) / minutes * (1 + 1e-9)
    assert propose_length_us(rows, MINUTE_US, 30, MINUTE_US) == minutes * MINUTE_US


def test_beyond_a_week_whole_days_are_proposed():
    rows = needed_rows(30) / (10080 + 1)
    assert propose_length_us(rows, MINUTE_US, 30, MINUTE_US) == 8 * 1440 * MINUTE_US


def test_a_proposal_is_a_multiple_of_the_pane_and_no_shorter_than_today():
    assert propose_length_us(1e9, 7 * MINUTE_US, 30, 4 * MINUTE_US) == 12 * MINUTE_US
    assert propose_length_us(0, MINUTE_US, 30, MINUTE_US) is None


def test_the_advice_names_a_length_or_says_that_there_are_no_events():
    assert length_advice(20, 60 * MINUTE_US, 30, MINUTE_US) == (
        "set window.length to 3h, or lower decision.min_rows"
    )
    assert length_advice(0, 60 * MINUTE_US, 30, MINUTE_US) == "send events, or remove the model"


def test_traffic_is_thin_below_the_needed_rows():
    assert is_thin(needed_rows(30) - 0.01, 30)
    assert not is_thin(needed_rows(30), 30)
    assert traffic_text(20, 60 * MINUTE_US, 30) == (
        "20 rows a window of 1h; a verdict needs 30, so aim at 46"
    )
    assert traffic_text(2_000, 60 * MINUTE_US, 30) == "2,000 rows a window of 1h"
