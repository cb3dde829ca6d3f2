"""Watermarks: one partition, and the minimum over all."""

import numpy as np
import pytest

from detectors.kernels.event_time import ACCEPTED, FUTURE, LATE
from monitor.core.windowing.watermark import NO_WATERMARK, Commit, EventClock, Watermarks
from schemas.config.model import WindowConfig


def clock() -> EventClock:
    return EventClock(WindowConfig(pane=10, length=10, bound=5, lateness=20, max_skew=30))


def judge(c: EventClock, times, records):
    n = len(times)
    return c.judge(np.array(times, np.int64), np.arange(n), np.array(records, np.int64))


def test_the_watermark_trails_the_lesser_of_event_and_record_time():
    c = clock()
    judge(c, [100, 120], [90, 130])
    assert (c.watermark_us, c.retired_before_us) == (115, 90)


def test_the_watermark_never_goes_back():
    c = clock()
    judge(c, [100, 90, 95], [-1, -1, -1])
    assert c.watermark_us == 95


def test_an_event_too_far_ahead_is_future_and_moves_nothing():
    c = clock()
    verdicts, _ = judge(c, [131, 130, 2**62], [100, 100, -1])
    assert verdicts.tolist() == [FUTURE, ACCEPTED, FUTURE]
    assert c.watermark_us == 95


def test_a_time_in_seconds_is_refused_where_the_record_time_shows_it():
    now_us = 1_709_510_400_000_000
    times = [1_709_510_400, 1_709_510_400_000, now_us, now_us // 1000, now_us]
    verdicts, _ = judge(clock(), times, [now_us] * 4 + [-1])
    assert verdicts.tolist() == [FUTURE, FUTURE, ACCEPTED, FUTURE, ACCEPTED]
    old, _ = judge(clock(), [1_709_510_400, 5], [1_709_510_400, 5])
    assert old.tolist() == [ACCEPTED, LATE]  # the record was written in 1970, too


def test_lateness_is_judged_as_of_the_event():
    # 75 is fine before 105 has been seen and late after it
    verdicts, pane = judge(clock(), [75, 105, 75, 80], [-1] * 4)
    assert verdicts.tolist() == [ACCEPTED, ACCEPTED, LATE, ACCEPTED]
    assert pane[[0, 1, 3]].tolist() == [7, 10, 8]


def test_negative_times_fall_into_panes_from_below():
    verdicts, pane = judge(clock(), [-1, -10, -(2**62)], [-1] * 3)
    assert verdicts.tolist() == [ACCEPTED, ACCEPTED, LATE]
    assert pane[:2].tolist() == [-1, -1]


def test_commit_metadata_is_small_and_comes_back():
    commit = Commit(5, NO_WATERMARK, NO_WATERMARK, 2**62)
    assert len(commit.metadata()) < 1024
    assert Commit.parse(5, commit.metadata()) == commit


def test_a_partition_not_heard_from_holds_the_minimum():
    marks = Watermarks()
    marks.observe("a", 0, 2, 50, is_idle=False)
    assert marks.minimum_us is None
    marks.observe("a", 1, 2, NO_WATERMARK, is_idle=False)
    assert marks.minimum_us is None
    marks.observe("a", 1, 2, 40, is_idle=False)
    assert marks.minimum_us == 40


@pytest.mark.parametrize(("elapsed_us", "minimum_us"), [(-1, 50), (0, 50), (1, 51)])
def test_time_that_elapses_while_all_are_idle_never_lowers_the_minimum(elapsed_us, minimum_us):
    marks = Watermarks()
    marks.observe("a", 0, 1, 50, is_idle=True)
    marks.elapse(elapsed_us)
    assert marks.minimum_us == minimum_us


def test_a_declared_source_holds_the_minimum():
    marks = Watermarks()
    marks.declare("b", 1)
    marks.observe("a", 0, 1, 50, is_idle=False)
    assert marks.minimum_us is None


def test_an_idle_partition_does_not_hold_and_never_pulls_back():
    marks = Watermarks()
    marks.observe("a", 0, 2, 50, is_idle=False)
    marks.observe("a", 1, 2, 40, is_idle=True)
    assert marks.minimum_us == 50
    marks.observe("a", 1, 2, 45, is_idle=False)
    assert marks.minimum_us == 50
    marks.observe("a", 0, 2, 70, is_idle=False)
    assert marks.minimum_us == 50


@pytest.mark.parametrize("n_idle", [1, 2])
def test_time_moves_the_minimum_only_while_all_are_idle(n_idle):
    marks = Watermarks()
    for p in range(2):
        marks.observe("a", p, 2, 50 + p, is_idle=False)
    for p in range(n_idle):
        marks.observe("a", p, 2, 50 + p, is_idle=True)
    before = marks.minimum_us
    marks.elapse(7)
    assert before is not None
    assert marks.minimum_us == before + (7 if n_idle == 2 else 0)


def test_after_a_restart_all_idle_begins_at_the_least_that_was_said():
    marks = Watermarks()
    for p, wm in enumerate([60, 50, NO_WATERMARK]):
        marks.observe("a", p, 3, wm, is_idle=True)
    assert marks.minimum_us == 50
