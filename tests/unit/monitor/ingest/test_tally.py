"""When ingest stops because nearly all of its input is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from monitor import metrics
from monitor.ingest.tally import N_JUDGED, Tally
from schemas.errors import EventError


def counted(n_accepted: int, n_refused: int) -> Counter[str]:
    return Counter(accepted=n_accepted, refused=n_refused, rejected_malformed=n_refused)


def test_nine_in_ten_of_a_large_block_refused_is_too_much_and_less_is_not():
    tally = Tally("predictions", "bulk")
    tally.count(counted(N_JUDGED // 10, N_JUDGED * 9 // 10))
    tally.check_refused()
    tally.count(counted(N_JUDGED // 10 - 1, N_JUDGED * 9 // 10 + 1))
    with pytest.raises(EventError, match="90,001 of the last 100,000"):
        tally.check_refused()


def test_a_short_burst_is_not_judged_and_each_block_starts_afresh():
    tally = Tally("predictions", "bulk")
    tally.count(counted(0, N_JUDGED - 1))
    tally.check_refused()
    tally.count(counted(N_JUDGED, 0))
    tally.check_refused()
    tally.count(counted(0, N_JUDGED - 1))
    tally.check_refused()


def test_what_a_partition_counted_is_reported_once():
    tally = Tally("a topic of this test", "bulk")
    counters = counted(3, 2) | Counter({"capped|t|m": 4, "bytes": 9})
    tally.count(counters)
    tally.count(counters)
    topic = "a topic of this test"
    assert metrics.EVENTS.labels("ingest", topic)._value.get() == 3
    assert metrics.REJECTED.labels("ingest", topic, "malformed")._value.get() == 2
    assert metrics.DEAD_LETTERS_CAPPED.labels("t", "m")._value.get() == 4
    tally.forget_partition(7)
