"""Growth of a counter: what two readings agree on, across restarts and bad readings."""

from __future__ import annotations

import pytest

from monitor.core.gpu.counters import Counter, Recent


def growth(readings: list[float], *, is_persistent: bool = False) -> list[float]:
    counter = Counter()
    return [counter.observe(value, is_persistent) for value in readings]


@pytest.mark.parametrize(
    ("readings", "grown"),
    [
        ([5_000], [0]),
        ([0, 0, 1, 1], [0, 0, 1, 0]),
        ([10, 18], [0, 8]),
        ([10, 19, 19], [0, 0, 9]),
        ([10, 900, 10, 11], [0, 0, 0, 1]),
        ([5_000, 0, 3, 3], [0, 0, 3, 0]),
        ([10, 0, 10, 11], [0, 0, 0, 1]),
        ([0, 5_000, 5_000], [0, 0, 5_000]),
    ],
)
def test_a_volatile_counter_grows_by_what_is_certain(readings, grown):
    assert growth(readings) == grown


@pytest.mark.parametrize(
    ("readings", "grown"),
    [
        ([10, 9, 9, 10, 11], [0, 0, 0, 0, 1]),
        ([10, 90, 90], [0, 0, 80]),
        ([0, 8, 8], [0, 8, 0]),
        ([0, 9, 9, 10], [0, 0, 0, 1]),
        ([0, 5_000, 5_000, 5_001], [0, 0, 0, 1]),
        ([10, *[4] * 9, 10], [0] * 11),
        ([10, *[4] * 10, 5], [0] * 11 + [1]),
        ([10, *[4] * 5, 3, *[4] * 4], [0] * 10 + [1]),
    ],
)
def test_a_persistent_counter_grows_above_its_highest_value(readings, grown):
    assert growth(readings, is_persistent=True) == grown


def test_the_level_is_what_two_readings_agree_on():
    counter, levels = Counter(), []
    for value in (10, 10, 4, 10, 900, 900):
        counter.observe(value, is_persistent=True)
        levels.append(counter.level)
    assert levels == [None, 10, 4, 10, 10, 900]


def test_an_announced_restart_counts_from_zero():
    counter = Counter()
    assert [counter.observe(value) for value in (50, 50)] == [0, 0]
    counter.restart()
    assert counter.level == 0
    assert counter.observe(3) == 3


def test_a_sum_over_the_last_while_excludes_its_beginning():
    recent = Recent()
    for time_us, amount in ((0, 1.0), (10, 2.0), (20, 4.0)):
        recent.add(time_us, amount)
    assert recent.total(20, 20) == 6.0
    assert recent.times_us == [10, 20]
    assert recent.total(25, 20) == 6.0
    assert recent.total(100, 20) == 0.0
