"""The detect stages: what must not depend on how reads were cut, and alerts that must end."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.baseline.build import build_baseline
from monitor.core.topics import ALERTS, DEAD_LETTERS, GPU, PANES, PREDICTIONS
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import encode, pane_key
from monitor.core.windowing.watermark_message import WatermarkMessage
from monitor.detect.in_memory import DriftDetect, GpuDetect
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.transport.memory import MemoryLog
from schemas.alerts import Alert
from schemas.baselines import Baseline
from schemas.config.monitor import GpuConfig
from schemas.panes import Pane, SeriesId, SeriesStats
from schemas.refused import DeadLetter
from tests.support.log_chunks import fetch_chunk
from tests.support.worlds.small import CONFIG, SECOND_US, START_US, WINDOW_S, event_rows

WINDOW_US = WINDOW_S * SECOND_US


def alerts_of(log: MemoryLog) -> list[Alert]:
    messages = log.fetch(ALERTS, 0, 0, 10**9)
    return [msgspec.msgpack.decode(m.value, type=Alert) for m in messages]


@pytest.mark.parametrize("chunk_messages", [1, 7, 10_000])
def test_a_gpu_that_was_silent_for_a_while_is_noticed_however_reads_were_cut(chunk_messages):
    log = MemoryLog()
    for tick in range(40):
        time_us = START_US + tick * 30 * SECOND_US
        for gpu in range(3):
            if gpu == 2 and 10 <= tick < 20:
                continue
            event = {"host": "n", "gpu_uuid": f"GPU-{gpu}", "gpu": gpu, "time_us": time_us}
            value = json.dumps(event | {"fields": {"gpu_temp": 60}}).encode()
            log.produce(GPU, value, timestamp_us=time_us)
    detect = GpuDetect(log, GpuConfig())
    while len(chunk := fetch_chunk(log, GPU, 0, detect.position, chunk_messages)):
        detect.take(chunk)
    found = [(a.rule, a.gpu_uuid, a.transition.value, a.time_us) for a in alerts_of(log)]
    assert found == [
        ("gpu_lost", "GPU-2", "opened", START_US + 360 * SECOND_US),
        ("gpu_lost", "GPU-2", "resolved", START_US + 780 * SECOND_US),
    ]


def gpu_log(n_ticks: int, strays: dict[int, int]) -> MemoryLog:
    """Three hosts that report every 30 s; at the ticks named, node-0 stamps so far ahead."""
    log = MemoryLog()
    for tick in range(n_ticks):
        time_us = START_US + tick * 30 * SECOND_US
        for host in range(3):
            ahead_us = strays.get(tick, 0) if host == 0 else 0
            event = {"host": f"node-{host}", "gpu_uuid": f"GPU-{host}", "gpu": 0}
            event |= {"time_us": time_us + ahead_us, "fields": {"gpu_temp": 60}}
            if host or tick < 20 or ahead_us:
                log.produce(GPU, json.dumps(event).encode(), timestamp_us=time_us)
    return log


def detect_all(log: MemoryLog, chunk_messages: int = 7) -> GpuDetect:
    detect = GpuDetect(log, GpuConfig())
    while len(chunk := fetch_chunk(log, GPU, 0, detect.position, chunk_messages)):
        detect.take(chunk)
    return detect


@pytest.mark.parametrize("ahead_s", [60, 299, 301, 3_600, 10 * 365 * 86_400])
def test_a_gpu_event_stamped_ahead_makes_no_other_host_look_lost(ahead_s):
    log = gpu_log(15, {10: ahead_s * SECOND_US})
    detect_all(log)
    assert alerts_of(log) == []


@pytest.mark.parametrize("ahead_s", [299, 3_600])
def test_a_gpu_event_stamped_ahead_hides_no_loss_after_it(ahead_s):
    log = gpu_log(40, {10: ahead_s * SECOND_US, 19: ahead_s * SECOND_US})
    detect_all(log)
    lost_us = START_US + 19 * 30 * SECOND_US + (90 if ahead_s < 300 else 60) * SECOND_US
    found = [(a.rule, a.host, a.transition.value, a.time_us) for a in alerts_of(log)]
    assert found == [("node_lost", "node-0", "opened", lost_us)]


def test_a_gpu_event_beyond_the_skew_is_a_dead_letter_and_judged_nowhere():
    log = gpu_log(15, {10: 301 * SECOND_US, 11: 300 * SECOND_US})
    detect = detect_all(log)
    letters = [
        msgspec.msgpack.decode(m.value, type=DeadLetter)
        for m in log.fetch(DEAD_LETTERS, 0, 0, 10**9)
    ]
    assert [(x.reason, x.offset, x.detail) for x in letters] == [
        ("future", 30, "time_us is 301 s ahead of the record time")
    ]
    assert letters[0].record_time_us == START_US + 300 * SECOND_US
    assert detect.counters["rejected_future"] == 1
    assert detect.watermark_us == START_US + 14 * 30 * SECOND_US


def baseline_of(rng: np.random.Generator, window: int) -> Baseline:
    rows = event_rows(rng, 6_000, window)
    table = pa.table(
        {
            "time_us": [START_US - (6_000 - i) * SECOND_US for i in range(6_000)],
            "score": [r["score"] for r in rows],
            "features.a": [r["features"]["a"] for r in rows],
            "features.c": [r["features"]["c"] for r in rows],
            "segments.region": [r["segments"]["region"] for r in rows],
        }
    )
    return build_baseline(table, CONFIG)


def test_an_alert_that_is_open_when_the_baseline_changes_ends_under_the_new_one():
    rng = np.random.default_rng(3)
    old, new = baseline_of(rng, 0), baseline_of(rng, 5)
    new = replace(new, active_from_us=START_US + 6 * WINDOW_US)
    catalog, log = Catalog.of([CONFIG], [old, new]), MemoryLog()
    for window in range(12):
        for i, row in enumerate(event_rows(rng, 300, 5 if window >= 2 else 0)):
            time_us = START_US + window * WINDOW_US + i * WINDOW_US // 300
            log.produce(
                PREDICTIONS, json.dumps(row | {"time_us": time_us}).encode(), timestamp_us=time_us
            )
    ingest = InMemoryIngest(log, catalog, CONFIG.window, Assignment(PREDICTIONS, 0, 1, "o"))
    ingest.take(fetch_chunk(log, PREDICTIONS, 0, 0, 10**6))
    ingest.finish()
    drift = DriftDetect(log, catalog)
    while drift.step():
        pass
    found = [(a.transition.value, a.profile_id) for a in alerts_of(log) if a.segment == "*"]
    assert found == [("opened", old.profile_id), ("resolved", new.profile_id)]
    assert DriftDetect(log, catalog).step() >= 0  # the state can be read back


def pane(window: int, partition: int, n_segments: int) -> Pane:
    stats = SeriesStats.empty(("*", *(f"s={i}" for i in range(n_segments))), 3)
    stats.n_rows[:] = 7
    stats.counts[:] = np.random.default_rng(partition).integers(0, 10**9, stats.counts.shape)
    series, start_us = SeriesId("default", "small", "1", ""), START_US + window * WINDOW_US
    end_us = start_us + CONFIG.window.pane_us
    return Pane(series, start_us, end_us, PREDICTIONS, partition, "o", 1, stats)


def test_a_pane_that_is_half_read_at_a_close_is_read_again_after_a_crash():
    log, catalog = MemoryLog(), Catalog.of([CONFIG], [])
    torn = pane(4, 1, 50)
    chunks = encode(torn, 8_192)
    assert len(chunks) > 1
    log.produce(PANES, chunks[0], key=pane_key(torn, 0).encode())
    for window in range(5):
        other = pane(window, 0, 0)
        log.produce(PANES, encode(other)[0], key=pane_key(other, 0).encode())
    for partition in (0, 1):
        wm_us = START_US + 4 * WINDOW_US + CONFIG.window.lateness_us
        word = WatermarkMessage(PREDICTIONS, partition, 2, "o", wm_us)
        log.produce(PANES, word.encode(), key=word.key())
    first = DriftDetect(log, catalog)
    first.step()
    assert first.counters["windows"] == 4
    for i, chunk in enumerate(chunks[1:], 1):
        log.produce(PANES, chunk, key=pane_key(torn, i).encode())
    second = DriftDetect(log, catalog)
    second.step()
    (kept,) = (w for w in second.windows.close_all() if w.start_us == torn.start_us)
    assert kept.n_panes == 2
