"""Windows that fold panes as they retire close with the bits of windows that keep them all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core.drift.windows import Arrival, Windows
from monitor.core.windowing.merge import merge_all
from schemas.config.model import WindowConfig
from schemas.panes import Pane, SeriesId, SeriesStats, Window
from tests.support.batches import as_bits

CONFIG = WindowConfig(pane=10, length=40, bound=5, lateness=20)
N_PARTITIONS = 3


def pane(start: int, partition: int, content: int, version: int, baseline: str = "p") -> Pane:
    """A pane whose numbers follow from its place and content, not from its version."""
    rng = np.random.default_rng([start, partition, content, len(baseline)])
    names = ("*", *(f"s={i}" for i in range(4) if rng.random() < 0.6))
    stats, slices = SeriesStats.empty(names, 2), SeriesStats.empty((f"host={content % 2}",), 1)
    for one in (stats, slices):
        one.n_rows[:] = rng.integers(1, 200, one.n_rows.shape)
        one.counts[...] = rng.integers(0, 3, one.counts.shape)
        one.sums[...] = rng.normal(size=one.sums.shape)
        one.sums_sq[...] = rng.normal(size=one.sums.shape) ** 2
        one.minima[...], one.maxima[...] = -rng.random(one.sums.shape), rng.random(one.sums.shape)
        one.calibration_sums[...] = rng.random(one.calibration_sums.shape)
    series = SeriesId("t", "m", "1", baseline)
    return Pane(series, start, start + 10, "src", partition, "o", version, stats, slices)


def added_up(panes: dict[tuple[SeriesId, int, int], Pane]) -> tuple[object, ...] | None:
    """What a window holds: panes of the latest series, by partition in order of time, merged."""
    if not panes:
        return None
    latest = max((p.start_us, p.series) for p in panes.values())[1]
    parts: dict[int, list[Pane]] = {}
    for (series, partition, _), p in sorted(panes.items(), key=lambda item: item[0]):
        if series == latest:
            parts.setdefault(partition, []).append(p)
    merged = [
        merge_all([merge_all([getattr(p, name) for p in part]) for part in parts.values()])
        for name in ("segments", "slices")
    ]
    return (latest, sum(map(len, parts.values())), *map(as_bits, merged))


def held_by(window: Window) -> tuple[object, ...]:
    """The same of a window that closed."""
    bits = (as_bits(window.segments), as_bits(window.slices))
    return (window.series, window.n_panes, *bits)


STEPS = st.lists(
    st.tuples(
        st.integers(0, N_PARTITIONS - 1),
        st.sampled_from(["pane", "pane", "pane", "again", "advance", "idle"]),
        st.integers(0, 4),
    ),
    max_size=80,
)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.booleans())
def test_what_ingest_may_publish_closes_as_if_nothing_were_folded(steps, has_two_baselines):
    """Panes change until their partition retires them; then only the same comes again."""
    windows = Windows(lambda tenant, model: CONFIG)
    windows.watermarks.declare("src", N_PARTITIONS)
    known: dict[tuple[SeriesId, int, int], Pane] = {}
    marks, first_open = [0] * N_PARTITIONS, [0] * N_PARTITIONS
    for version, (partition, action, k) in enumerate(steps, 1):
        if action in ("advance", "idle"):
            marks[partition] += 10 * k
            windows.watermarks.observe(
                "src", partition, N_PARTITIONS, marks[partition], is_idle=action == "idle"
            )
            retired = (marks[partition] - CONFIG.lateness_us) // 10 * 10
            first_open[partition] = max(first_open[partition], retired)
        elif action == "pane":
            start = first_open[partition] + 10 * k
            baseline = "qq" if has_two_baselines and start >= 60 else "p"
            made = pane(start, partition, version, version, baseline)
            found = windows.add(made, version)
            assert found is not Arrival.CHANGED
            if found is not Arrival.TOO_OLD:
                known[made.series, partition, start] = made
        elif known:
            chosen = list(known)[k % len(known)]
            made = known[chosen] = replace(known[chosen], pane_version=version)
            found = windows.add(made, version)
            assert found in (Arrival.REPEATED, Arrival.KEPT, Arrival.TOO_OLD)
        for window in windows.close():
            own = {p: v for p, v in known.items() if 0 <= p[2] - window.start_us < 40}
            assert (held_by(window) if window.n_panes else None) == added_up(own)
    for window in windows.close_all():
        own = {p: v for p, v in known.items() if 0 <= p[2] - window.start_us < 40}
        assert (held_by(window) if window.n_panes else None) == added_up(own)
