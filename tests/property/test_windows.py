"""Windows hold the highest version of every pane, whatever the order of arrival."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.drift.windows import Windows
from schemas.config.model import WindowConfig
from schemas.panes import Pane, SeriesId, SeriesStats
from tests.support.batches import as_bits

CONFIG = WindowConfig(pane=10, length=30, bound=5, lateness=20)


def pane(start: int, partition: int, version: int) -> Pane:
    stats = SeriesStats.empty(("*", f"s={version % 2}"), 1)
    stats.n_rows[:] = version
    stats.sums[:] = 0.1 * version + start / 7 + partition / 3
    series = SeriesId("t", "m", "1", "p")
    return Pane(series, start, start + 10, "src", partition, f"o{version}", version, stats)


PANES = st.lists(
    st.builds(pane, st.integers(0, 12).map(lambda i: i * 10), st.integers(0, 2), st.integers(1, 4)),
    max_size=30,
)


def closed(panes: list[Pane]) -> list:
    windows = Windows(lambda tenant, model: CONFIG)
    for offset, p in enumerate(panes):
        windows.add(p, offset)
    return [(w.start_us, w.n_panes, as_bits(w.segments)) for w in windows.close_all()]


@settings(max_examples=80, deadline=None)
@given(PANES, st.randoms(use_true_random=False), st.integers(0, 5))
def test_duplicates_and_order_change_nothing(panes, random, n_again):
    shuffled = panes + panes[:n_again]
    random.shuffle(shuffled)
    assert closed(shuffled) == closed(panes)


@settings(max_examples=80, deadline=None)
@given(PANES)
def test_a_window_adds_the_highest_versions(panes):
    best: dict = {}
    for p in panes:
        key = (p.start_us, p.partition)
        best[key] = max(best.get(key, 0), p.pane_version)
    found = {start: (n, bits) for start, n, bits in closed(panes)}
    for start in found:
        versions = [v for (s, _), v in best.items() if s // 30 * 30 == start]
        assert found[start][0] == len(versions)
        n_rows = np.frombuffer(found[start][1][1][2], np.int64)
        assert n_rows[0] == sum(versions)
    assert sum(n for n, _ in found.values()) == len(best)


@settings(max_examples=80, deadline=None)
@given(PANES, st.lists(st.integers(0, 200), max_size=30))
def test_no_window_closes_twice_and_ends_never_go_back(panes, marks):
    windows = Windows(lambda tenant, model: CONFIG)
    seen: list[int] = []
    for offset, (p, wm) in enumerate(zip(panes, marks, strict=False)):
        windows.add(p, offset)
        windows.watermarks.observe("src", 0, 1, wm, is_idle=False)
        seen += [w.end_us for w in windows.close() if not w.is_revised]
    assert len(set(seen)) == len(seen)
    assert seen == sorted(seen)
    assert all(end + CONFIG.lateness_us <= max(marks) for end in seen)
