"""Windows: when they close, what is in them, what a late pane does, what survives."""

import numpy as np
import pytest

from monitor.core.drift.windows import MAX_EMPTY, Arrival, Windows
from schemas.config.model import WindowConfig
from schemas.panes import Pane, SeriesId, SeriesStats

CONFIG = WindowConfig(pane=10, length=100, bound=5, lateness=20)


def pane(start, n=1, version=1, partition=0, model="m", model_version="1", baseline="p", owner="o"):
    stats = SeriesStats.empty(("*",), 1)
    stats.n_rows[:] = n
    stats.sums[:] = 0.1 * (start + 1) / (partition + 3)
    series = SeriesId("t", model, model_version, baseline)
    return Pane(series, start, start + 10, "src", partition, owner, version, stats)


def windows(n_partitions: int = 1) -> Windows:
    w = Windows(lambda tenant, model: CONFIG)
    w.watermarks.declare("src", n_partitions)
    return w


def advance_to(
    w: Windows, wm: int, partition: int = 0, n_partitions: int = 1, is_idle: bool = False
):
    w.watermarks.observe("src", partition, n_partitions, wm, is_idle=is_idle)
    return [(x.start_us, int(x.segments.n_rows[0])) for x in w.close()]


def test_a_window_closes_when_the_watermark_reaches_its_end_and_lateness():
    w = windows()
    w.add(pane(10), 0)
    assert advance_to(w, 119) == []
    assert advance_to(w, 120) == [(0, 1)]
    assert advance_to(w, 120) == []


def test_a_partition_not_heard_from_holds_windows():
    w = windows(2)
    w.add(pane(10), 0)
    assert advance_to(w, 500, 0, 2) == []
    assert advance_to(w, 130, 1, 2) == [(0, 1)]


def test_the_highest_version_counts_and_partitions_add():
    w = windows()
    assert w.add(pane(10, 5, 2), 0) is Arrival.KEPT
    assert w.add(pane(10, 3, 1, owner="zombie"), 1) is Arrival.STALE
    assert w.add(pane(10, 5, 2), 2) is Arrival.STALE
    assert w.add(pane(10, 6, 3), 3) is Arrival.KEPT
    assert w.add(pane(10, 1, 1, partition=1), 4) is Arrival.KEPT
    assert advance_to(w, 120) == [(0, 7)]


def test_windows_come_in_order_of_their_end():
    w = windows()
    for start, model in ((250, "a"), (50, "z"), (150, "z"), (50, "a")):
        w.add(pane(start, model=model), 0)
    w.watermarks.observe("src", 0, 1, 320, is_idle=False)
    closed = [(x.end_us, x.series.model) for x in w.close() if x.n_panes]
    assert closed == [(100, "a"), (100, "z"), (200, "z"), (300, "a")]


def test_empty_windows_in_between_are_closed_too():
    w = windows()
    w.add(pane(0), 0)
    w.add(pane(300), 1)
    assert advance_to(w, 420) == [(0, 1), (100, 0), (200, 0), (300, 1)]


def test_empty_windows_end_after_a_day_of_them_until_panes_come_again():
    w = windows()
    w.add(pane(0), 0)
    starts = [s for s, n in advance_to(w, 100_000_000) if n == 0]
    assert starts == [100 * i for i in range(1, MAX_EMPTY + 1)]
    w.add(pane(100_000_000), 1)
    assert advance_to(w, 100_000_120) == [(100_000_000, 1)]


def test_a_late_pane_revises_its_window_and_only_that():
    w = windows()
    w.add(pane(10, 5), 0)
    w.add(pane(110, 7), 1)
    advance_to(w, 230)
    assert w.add(pane(20, 2), 2) is Arrival.LATE
    closed = w.close()
    assert [(x.start_us, int(x.segments.n_rows[0]), x.is_revised) for x in closed] == [(0, 7, True)]
    assert w.close() == []


def test_a_pane_published_again_after_its_window_closed_revises_nothing():
    w = windows()
    w.add(pane(20, 3, version=7), 1)
    assert advance_to(w, 120) == [(0, 3)]
    # Ingest died after the watermark and before its commit: the same, at a later position.
    assert w.add(pane(20, 3, version=9, owner="next"), 2) is Arrival.REPEATED
    assert w.close() == []
    assert w.add(pane(20, 3, version=8), 3) is Arrival.STALE
    assert w.add(pane(20, 4, version=10), 4) is Arrival.LATE
    assert [(x.is_revised, int(x.segments.n_rows[0])) for x in w.close()] == [(True, 4)]


def test_a_pane_of_a_window_long_closed_is_too_old():
    w = windows()
    w.add(pane(10), 0)
    advance_to(w, 1000)
    assert w.add(pane(20), 1) is Arrival.TOO_OLD
    assert w.close() == []


def test_a_window_of_two_baselines_says_so_and_holds_the_later():
    w = windows()
    w.add(pane(10, 5, baseline="z"), 0)
    w.add(pane(60, 7, baseline="a"), 1)
    w.watermarks.observe("src", 0, 1, 120, is_idle=False)
    (window,) = w.close()
    assert window.is_baseline_changed
    assert (window.series.profile_id, window.segments.n_rows.tolist()) == ("a", [7])


def test_model_versions_have_their_own_windows():
    w = windows()
    w.add(pane(10, 1, model_version="1"), 0)
    w.add(pane(10, 2, model_version="2"), 1)
    assert advance_to(w, 120) == [(0, 1), (0, 2)]


@pytest.mark.parametrize("first", ["watermark", "idle", "end"])
def test_a_window_says_what_closed_it(first):
    w = windows()
    w.add(pane(10), 0)
    w.watermarks.observe("src", 0, 1, 120 if first == "watermark" else 50, is_idle=first == "idle")
    if first == "idle":
        assert w.close() == []
        w.watermarks.elapse(70)
    (window,) = w.close_all() if first == "end" else w.close()
    assert window.closed_by == first


@pytest.mark.parametrize(
    ("heard_us", "closed_by"),
    [
        (219, ["watermark", "idle", "idle", "idle"]),
        (220, ["watermark", "watermark", "idle", "idle"]),
        (319, ["watermark", "watermark", "idle", "idle"]),
        (320, ["watermark", "watermark", "watermark", "idle"]),
    ],
)
def test_an_empty_window_has_its_end_and_what_closed_it(heard_us, closed_by):
    w = windows()
    w.add(pane(10), 0)
    w.add(pane(310), 1)
    w.watermarks.observe("src", 0, 1, heard_us, is_idle=True)
    closed = w.close()
    w.watermarks.elapse(420 - heard_us)
    closed += w.close()
    assert [(x.start_us, x.end_us) for x in closed] == [(a, a + 100) for a in range(0, 400, 100)]
    assert [x.closed_by for x in closed] == closed_by


def test_the_end_of_the_input_closes_no_window_after_the_last_pane():
    w = windows()
    w.add(pane(10), 0)
    w.add(pane(310), 1)
    closed = [(x.start_us, x.n_panes) for x in w.close_all()]
    assert closed == [(0, 1), (100, 0), (200, 0), (300, 1)]
    assert w.close_all() == []


def test_sums_do_not_depend_on_the_order_of_arrival():
    panes = [pane(s, partition=p) for s in range(0, 100, 10) for p in range(3)]
    sums = set()
    for seed in range(5):
        w = windows()
        for i in np.random.default_rng(seed).permutation(len(panes)):
            w.add(panes[i], 0)
        (window,) = w.close_all()
        sums.add(window.segments.sums.tobytes())
    assert len(sums) == 1


def test_a_restart_closes_each_window_once_with_the_same_rows():
    log = [pane(s, s + 1, v) for s in range(0, 600, 10) for v in (1, 2)]
    calm = windows()
    expected = []
    for offset, p in enumerate(log):
        calm.add(p, offset)
        expected += advance_to(calm, p.start_us)
    expected += [(x.start_us, int(x.segments.n_rows[0])) for x in calm.close_all()]
    for crash_at in range(1, len(log), 7):
        w, found = windows(), []
        for offset, p in enumerate(log[:crash_at]):
            w.add(p, offset)
            found += advance_to(w, p.start_us)
        state = w.export("t", "m", crash_at)
        w = windows()
        w.restore(state)
        for offset in range(state.panes_offset, len(log)):
            w.add(log[offset], offset)
            if offset >= crash_at:
                found += advance_to(w, log[offset].start_us)
        found += [(x.start_us, int(x.segments.n_rows[0])) for x in w.close_all()]
        assert found == expected


@pytest.mark.parametrize(("offset", "is_new"), [(6, False), (7, True), (8, True)])
def test_after_a_restart_a_late_pane_revises_from_the_first_offset_not_yet_read(offset, is_new):
    w = windows()
    w.add(pane(10, 5), 0)
    advance_to(w, 120)
    state = w.export("t", "m", 7)
    w = windows()
    w.restore(state)
    w.add(pane(10, 5), 0)
    assert advance_to(w, 120) == []
    assert w.add(pane(20, 2), offset) is Arrival.LATE
    assert [(x.start_us, x.is_revised) for x in w.close()] == ([(0, True)] if is_new else [])


def test_state_is_kept_for_models_without_panes():
    w = windows()
    w.add(pane(10), 0)
    advance_to(w, 100 * 30)
    state = w.export("t", "m", 5)
    assert (state.closed_until_us, state.panes_offset, state.read_until) == (2900, 5, 5)


def test_panes_hold_until_their_window_closes():
    w = windows()
    assert not w.is_holding
    w.add(pane(10), 0)
    assert w.is_holding
    advance_to(w, 120)
    assert not w.is_holding
    w.add(pane(210), 1)
    assert w.is_holding


def test_a_forgotten_version_gets_no_empty_windows():
    w = windows()
    w.add(pane(10, model_version="1"), 0)
    w.add(pane(10, model_version="2"), 0)
    advance_to(w, 120)
    w.forget("t", "m", "2")
    w.watermarks.observe("src", 0, 1, 220, is_idle=False)
    assert [x.series.model_version for x in w.close()] == ["1"]
