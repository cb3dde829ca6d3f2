"""Counting several panes as one slot changes no window, no verdict and no alert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.app.in_process import Pipeline, build_pipeline
from monitor.core import topics
from monitor.core.drift.windows import Windows
from monitor.core.state.result_messages import read_results
from monitor.core.windowing import accumulators
from monitor.core.windowing.aggregate import PartitionAggregator
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.limits import version_cap
from monitor.decode.chunk import chunk_of
from monitor.replay.timeline import replay
from schemas.config.monitor import MonitorConfig
from schemas.panes import SeriesStats, Window
from schemas.results import DetectorResult
from tests.support.batches import ARRAYS, Dictionary, RowMessage, rejects_of
from tests.support.batches import chunk_of as batches_of
from tests.support.pane_logs import PANE, WINDOW, layouts, logs
from tests.support.worlds.small import CONFIG, START_US, build_small_world, event_rows

LENGTHS = {"m": 12 * PANE, "n": 4 * PANE}
"""Window lengths; slots of 2 and 4 panes divide both."""
FLOATS = {"sums", "sums_sq", "calibration_sums"}
SCHEDULES = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), max_size=40)


def windows_of(log: list[RowMessage], schedule: list, n_partitions: int, grain: int) -> list:
    """Closed windows, refused rows and intake of a log that partitions read in turns."""
    settings_of = {k: WINDOW.model_copy(update={"length_us": v}) for k, v in LENGTHS.items()}
    windows = Windows(lambda tenant, model: settings_of[model])
    aggregators = [
        PartitionAggregator("log", p, "o", WINDOW, layouts, grain=grain)
        for p in range(n_partitions)
    ]
    rest = [[m for m in log if m.offset % n_partitions == p] for p in range(n_partitions)]
    dictionary, found, place = Dictionary(), [], 0
    ends = [(p, 1_000) for p in range(n_partitions)]
    for p, size in [(p % n_partitions, size) for p, size in schedule] + ends:
        todo, rest[p] = rest[p][:size], rest[p][size:]
        aggregator = aggregators[p]
        if todo:
            chunk, batches = batches_of(todo, dictionary)
            added = aggregator.add(chunk, batches, rejects_of(todo))
            refused = (*added.late, *added.future)
            found.append(
                (added.n_accepted, [(r.rows.tolist(), r.watermark_us.tolist()) for r in refused])
            )
        for pane in aggregator.flush(is_end=size == 1_000):
            place += 1
            windows.add(pane, place)
        for pane in aggregator.take_intake():
            windows.add_intake(pane, place)
        wm = aggregator.watermark_us
        windows.watermarks.observe("log", p, n_partitions, wm, is_idle=False)
        found += [*windows.close(), *windows.take_intakes()]
    return [*found, *windows.close_all(), *windows.take_intakes()]


def check_stats(one: SeriesStats, other: SeriesStats) -> None:
    assert one.segments == other.segments
    for name in ARRAYS:
        a, b = getattr(one, name), getattr(other, name)
        if name in FLOATS:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_array_equal(a, b)


def check_alike(found: list, expected: list) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        if not isinstance(one, Window):
            assert one == other
            continue
        check_stats(one.segments, other.segments)
        check_stats(one.slices, other.slices)
        same = {"segments": other.segments, "slices": other.slices, "n_panes": other.n_panes}
        assert replace(one, **same) == other


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs(), SCHEDULES, st.integers(1, 3), st.sampled_from([2, 4]))
def test_windows_of_slots_are_those_of_panes(log, schedule, n_partitions, grain):
    expected = windows_of(log, schedule, n_partitions, 1)
    check_alike(windows_of(log, schedule, n_partitions, grain), expected)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(logs(), SCHEDULES, st.integers(1, 2), st.sampled_from([2, 4]))
def test_names_run_out_in_each_pane_whatever_the_slot(log, schedule, n_partitions, grain):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accumulators, "MAX_COMBINATIONS", 2)
        patch.setattr(accumulators, "MAX_SEGMENT_VALUES", 1)
        patch.setattr(version_cap, "MAX_VERSIONS", 1)
        expected = windows_of(log, schedule, n_partitions, 1)
        check_alike(windows_of(log, schedule, n_partitions, grain), expected)


@cache
def catalog_with(active_us: int) -> Catalog:
    """The small world, with a second baseline that begins to hold at a time."""
    world = build_small_world()
    (first,) = world.catalog.baselines_for("default", "small", "1")
    second = replace(first, profile_id=first.profile_id + "-2", active_from_us=active_us)
    return Catalog.of(world.catalog.configs.values(), [first, second])


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Events of ten windows: disordered, late, with gaps, many to a window or few."""
    rng = np.random.default_rng(draw(st.integers(0, 1_000)))
    n = draw(st.sampled_from([60, 400, 1_500]))
    times = np.sort(rng.integers(0, 1_000, n))
    times = times[(times // 100 != draw(st.integers(-1, 9)))]
    shifts = rng.choice([0, 0, 0, -3, -15, -40, -200], len(times))
    rows = event_rows(rng, len(times), draw(st.sampled_from([0, 5])))
    events = [
        row | {"time_us": START_US + int(t + d) * 1_000_000}
        for row, t, d in zip(rows, times, shifts, strict=True)
    ]
    return [json.dumps(event).encode() for event in events]


def piped(
    events: list[bytes], catalog: Catalog, size: int, slot_us: int | None, **options
) -> Pipeline:
    pipeline = build_pipeline(
        MonitorConfig(), catalog, source="s", store=None, receivers={}, slot_us=slot_us, **options
    )
    replay(pipeline, chunks(events, size))
    pipeline.close()
    return pipeline


def chunks(events: list[bytes], size: int) -> Iterator:
    for first in range(0, len(events), size):
        chunk = chunk_of(events[first : first + size], "s")
        yield replace(chunk, log_offset=chunk.log_offset + first)


def results_of(pipeline: Pipeline) -> list[DetectorResult]:
    log = pipeline.log
    messages = log.fetch(topics.RESULTS, 0, 0, log.end_offset(topics.RESULTS, 0))
    return [result for message in messages for result in read_results(message.value)]


def outcome(pipeline: Pipeline) -> tuple:
    return (
        pipeline.alerts(),
        {k: msgspec.to_builtins(v) for k, v in pipeline.incidents.items()},
        pipeline.ingest.counters["late"],
        pipeline.ingest.counters["accepted"],
        pipeline.drift.counters["windows"],
        {k: vars_of(v) for k, v in pipeline.drift.coverage.items()},
    )


def vars_of(coverage) -> dict:
    return coverage.as_document()


def with_length(catalog: Catalog, n_windows: int) -> Catalog:
    """The same models with windows so many times as long."""
    changed = []
    for config in catalog.configs.values():
        length_us = n_windows * config.window.length_us
        window = config.window.model_copy(update={"length_us": length_us})
        changed.append(config.model_copy(update={"window": window}))
    return Catalog.of(changed, [p for known in catalog.baselines.values() for p in known])


APPROXIMATE = ("statistic", "p_value", "effect_size", "threshold")


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    streams(),
    st.sampled_from([30, 333]),
    st.sampled_from([45, 130, 200, 555]),
    st.sampled_from([1, 2]),
)
def test_a_pipeline_gives_the_same_verdicts_and_alerts_in_slots(events, size, active_s, n):
    catalog = with_length(catalog_with(START_US + active_s * 1_000_000), n)
    plain = piped(events, catalog, size, CONFIG.window.pane_us, keeps_log=True)
    slots = piped(events, catalog, size, 5 * CONFIG.window.pane_us, keeps_log=True)
    bare = piped(events, catalog, size, None)
    assert outcome(slots) == outcome(plain)
    assert outcome(bare) == outcome(plain)
    expected, found = results_of(plain), results_of(slots)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name in APPROXIMATE:
            a, b = getattr(one, name), getattr(other, name)
            assert (a is None) == (b is None)
            assert a is None or a == pytest.approx(b, rel=0, abs=1e-12)
        same = {name: getattr(other, name) for name in APPROXIMATE}
        is_rule = other.metric == "decision"
        assert (one if is_rule else msgspec.structs.replace(one, **same)) == other
