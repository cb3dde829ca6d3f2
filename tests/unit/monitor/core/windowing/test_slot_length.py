"""The rate of rows by which the length of stored slots is chosen."""

from __future__ import annotations

import numpy as np

from monitor.core.windowing.slot_length import rate_of


def test_the_first_and_last_twentieth_of_the_rows_do_not_count():
    times_us = np.arange(1_000) * 7
    times_us[:40], times_us[-40:] = -(10**15), 10**15
    assert rate_of(times_us) == (899, 899 * 7)


def test_the_order_of_the_rows_does_not_matter():
    times_us = np.arange(1_000) * 7
    assert rate_of(np.random.default_rng(0).permutation(times_us)) == rate_of(times_us)


def test_a_single_row_has_no_rate():
    assert rate_of(np.array([5])) == (0, 0)
