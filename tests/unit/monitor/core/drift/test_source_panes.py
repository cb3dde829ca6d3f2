"""Panes of one source partition in one window: what is folded, replaced, repeated, changed."""

import sys

import numpy as np
import pytest

from monitor.core.drift.source_panes import Placed, SourcePanes
from monitor.core.drift.windows import Arrival, Windows
from monitor.core.windowing.packed_pane import PackedPane, pack_pane
from schemas.config.model import WindowConfig
from schemas.panes import Pane, SeriesId, SeriesStats

CONFIG = WindowConfig(pane=10, length=100, bound=5, lateness=20)


def pane(start: int, n: int = 1, version: int = 1, partition: int = 0, width: int = 1) -> Pane:
    stats = SeriesStats.empty(("*",), width)
    stats.n_rows[:] = n
    stats.sums[:] = 0.1 * (start + 1) * n
    series = SeriesId("t", "m", "1", "p")
    return Pane(series, start, start + 10, "src", partition, "o", version, stats)


def packed(*args: int, **more: int) -> PackedPane:
    return pack_pane(pane(*args, **more))


def folded(*starts: int) -> SourcePanes:
    panes = SourcePanes()
    for start in starts:
        assert panes.put(packed(start), start) is Placed.NEW
    panes.settle(1_000)
    return panes


def n_rows(panes: SourcePanes, width: int = 1) -> int:
    total = panes.total(width)
    assert total is not None
    return int(total.stats()[0].n_rows[0])


def test_only_panes_that_end_by_then_are_folded_and_none_behind_a_later_one():
    panes = SourcePanes()
    for start in (20, 0, 10):
        panes.put(packed(start), start)
    panes.settle(20)
    assert panes.put(packed(20, 5, version=2), 20) is Placed.REPLACED
    assert panes.put(packed(0, 5, version=2), 0) is Placed.CHANGED
    assert n_rows(panes) == 7


def test_a_folded_pane_sent_again_is_known_by_its_digest():
    panes = folded(0, 10)
    assert panes.put(packed(0), 7) is Placed.STALE
    assert panes.put(packed(0, version=9), 7) is Placed.SAME_FOLDED
    assert panes.put(packed(0, version=8), 8) is Placed.STALE
    assert (n_rows(panes), panes.first_offset) == (2, 7)


def test_a_folded_pane_of_other_content_or_a_missing_one_before_it_cannot_be_added():
    panes = folded(0, 20)
    assert panes.put(packed(0, 3, version=9), 7) is Placed.CHANGED
    assert panes.put(packed(10), 8) is Placed.CHANGED
    assert panes.put(packed(30), 9) is Placed.NEW
    assert n_rows(panes) == 3


def test_the_only_folded_pane_is_replaced_without_reading_anything():
    panes = folded(0)
    assert panes.put(packed(0, 3, version=9), 7) is Placed.REPLACED
    assert (n_rows(panes), panes.first_offset) == (3, 7)
    panes.settle(1_000)
    assert n_rows(panes) == 3


def test_panes_of_another_width_are_added_up_by_themselves():
    panes = SourcePanes()
    for start, width in ((0, 2), (10, 0), (20, 2), (30, 0)):
        panes.put(packed(start, width=width), start)
    panes.settle(25)
    assert panes.n_variables == 0
    assert (n_rows(panes, 0), n_rows(panes, 2)) == (2, 2)
    assert panes.total(1) is None


def size_of(value: object, seen: set[int]) -> int:
    """Bytes of an object and all that it refers to."""
    if id(value) in seen or isinstance(value, type):
        return 0
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        return sys.getsizeof(value) if value.base is None else 0
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        items: list[object] = [*value, *value.values()]
    elif isinstance(value, tuple | list):
        items = list(value)
    else:
        items = [getattr(value, name) for name in getattr(type(value), "__slots__", ())]
    return size + sum(size_of(item, seen) for item in items)


def test_a_folded_pane_takes_a_fraction_of_its_bytes():
    """360 panes of one row and 21 variables are an hour; three windows are held."""
    panes = SourcePanes()
    for i in range(360):
        panes.put(packed(10 * i, width=21), i)
        panes.settle_oldest(10 * i - 60)
    panes.settle(3_600)
    assert size_of(panes, set()) < 32_000


def advanced(windows: Windows, wm: int, partition: int, *, is_idle: bool = False) -> list:
    windows.watermarks.observe("src", partition, 2, wm, is_idle=is_idle)
    return [(w.start_us, int(w.segments.n_rows[0]), w.is_revised) for w in windows.close()]


def test_an_idle_partition_that_returns_replaces_what_it_had_not_retired():
    windows = Windows(lambda tenant, model: CONFIG)
    windows.add(pane(50, partition=0), 0)
    windows.add(pane(50, 2, partition=1), 1)
    advanced(windows, 60, 1, is_idle=True)
    assert advanced(windows, 130, 0) == [(0, 3, False)]
    assert windows.add(pane(50, 7, version=2, partition=1), 2) is Arrival.LATE
    assert [(w.is_revised, int(w.segments.n_rows[0])) for w in windows.close()] == [(True, 8)]


def test_a_late_pane_revises_a_closed_window_whose_panes_are_folded():
    windows = Windows(lambda tenant, model: CONFIG)
    for offset, start in enumerate((0, 10, 20)):
        windows.add(pane(start), offset)
        windows.add(pane(start, partition=1), offset)
    advanced(windows, 140, 0)
    assert advanced(windows, 140, 1) == [(0, 6, False)]
    assert windows.add(pane(30, 4), 9) is Arrival.LATE
    assert [(w.is_revised, int(w.segments.n_rows[0])) for w in windows.close()] == [(True, 10)]


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_retired_pane_sent_again_is_repeated_and_revises_nothing(is_closed):
    windows = Windows(lambda tenant, model: CONFIG)
    windows.watermarks.declare("src", 2)
    for start in (0, 10):
        windows.add(pane(start), start)
    advanced(windows, 90, 0)
    if is_closed:
        advanced(windows, 130, 0)
        advanced(windows, 130, 1)
    windows.add(pane(20), 20)
    assert windows.add(pane(0, version=5), 30) is Arrival.REPEATED
    assert windows.add(pane(10, version=5), 31) is Arrival.REPEATED
    assert all(w.n_panes == 3 for w in windows.close())
