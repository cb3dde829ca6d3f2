"""One partition message by message: order of writes, caps, and what a restart reads from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from monitor.baseline.build import build_baseline
from monitor.core.drift import pane_intake
from monitor.core.drift import partition as drift_partition
from monitor.core.drift.partition import KIND, MAX_JUDGED, DriftPartition
from monitor.core.drift.state import ModelState, read_model_state
from monitor.core.drift.windows import MAX_EMPTY
from monitor.core.state.result_messages import read_results
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.core.state.writes import MAX_RESULTS, WritePhase, result_writes
from monitor.core.topics import ALERTS, RESULTS, STATE
from monitor.core.windowing.catalog import Catalog
from monitor.core.windowing.codec import encode, pane_key
from monitor.core.windowing.watermark_message import WatermarkMessage
from schemas.alerts import Alert
from schemas.config.model import ModelConfig
from schemas.panes import Pane, SeriesId, SeriesStats
from schemas.results import DetectorResult, Reason
from tests.support.kafka.detect import published, small_world
from tests.support.worlds.small import CONFIG, SECOND_US, START_US, WINDOW_S

WINDOW_US = WINDOW_S * SECOND_US


class Driver:
    """Gives messages their offsets and keeps what is to be written, state as compacted."""

    def __init__(self, catalog: Catalog, log_id: str = "") -> None:
        self.catalog, self.log_id = catalog, log_id
        self.core = DriftPartition(catalog, 0, "o", log_id=log_id)
        self.core.restore(SnapshotStore())
        self.offset = 0
        self.state: dict[bytes, bytes | None] = {}
        self.phases: list[WritePhase] = []
        self.results: list[DetectorResult] = []

    def take(self, key: bytes, value: bytes) -> None:
        self.note(self.core.take(self.offset, key, value))
        self.offset += 1

    def note(self, groups: Iterable[list[WritePhase]]) -> None:
        for group in groups:
            self.phases += group
            for write in (w for phase in group for w in phase.writes):
                if write.topic == STATE:
                    self.state[write.key] = write.value
                elif write.topic == RESULTS:
                    self.results += read_results(write.value)

    def pane(self, pane: Pane) -> None:
        for i, value in enumerate(encode(pane)):
            self.take(pane_key(pane, i).encode(), value)

    def word(self, watermark_us: int, partition: int = 0, n: int = 1, **more) -> None:
        word = WatermarkMessage("s", partition, n, "o", watermark_us, **more)
        self.take(word.key(), word.encode())

    def snapshots(self) -> SnapshotStore:
        snapshots = SnapshotStore()
        for key, value in self.state.items():
            snapshots.add(key, value or b"")
        return snapshots

    def stored(self, model: str) -> ModelState:
        return read_model_state(next(self.snapshots().stored(KIND, ("default", model))).body)

    def restart(self, log_id: str = "") -> DriftPartition:
        again = DriftPartition(self.catalog, 0, "next", log_id=log_id or self.log_id)
        again.restore(self.snapshots())
        return again


def pane_of(
    window: int, n_rows: int = 200, version: str = "1", model: str = "small", baseline: str = ""
) -> Pane:
    n_variables = 3 if baseline else 0
    stats = SeriesStats.empty(("*",), n_variables)
    stats.n_rows[:] = n_rows
    if n_variables:
        stats.counts[0, :, 7] = n_rows
    start_us = START_US + window * WINDOW_US
    series = SeriesId("default", model, version, baseline)
    return Pane(series, start_us, start_us + CONFIG.window.pane_us, "s", 0, "o", 1, stats)


def end_of(window: int) -> int:
    return START_US + (window + 1) * WINDOW_US + CONFIG.window.lateness_us


def named(name: str) -> ModelConfig:
    return CONFIG.model_copy(update={"model": name})


def test_of_each_close_results_come_first_then_state_then_its_alerts():
    driver = Driver(small_world().catalog)
    for message in published():
        driver.take(message.key, message.value)
    steps = [phase.step for phase in driver.phases]
    assert Counter(steps)["detect:alert"] >= 3
    for i, step in enumerate(steps):
        if step == "detect:state":
            assert steps[i - 1] == "detect:results"
        if step == "detect:alert":
            assert steps[i - 1] == "detect:state"
            alerts = [msgspec.msgpack.decode(w.value, type=Alert) for w in driver.phases[i].writes]
            assert {w.topic for w in driver.phases[i].writes} == {ALERTS}
            assert all(
                w.timestamp_us == a.time_us + CONFIG.window.lateness_us
                for w, a in zip(driver.phases[i].writes, alerts, strict=True)
            )


def test_of_many_versions_those_with_the_most_rows_are_judged_and_the_rest_say_why():
    catalog = small_world().catalog
    baseline = catalog.baselines["default", "small"][0].profile_id
    driver = Driver(catalog)
    for window in range(4):
        for i in range(MAX_JUDGED + 10):
            driver.pane(pane_of(window, 100 + i, f"{window}-{i}", baseline=baseline))
        driver.word(end_of(window))
    own = [r for r in driver.results if r.end_us == START_US + 4 * WINDOW_US]
    left_out = {r.model_version for r in own if r.reason is Reason.TOO_MANY_VERSIONS}
    assert {f"3-{i}" for i in range(10)} <= left_out
    assert not left_out & {f"3-{i}" for i in range(10, MAX_JUDGED + 10)}
    kept = {entry.model_version for entry in driver.stored("small").series}
    assert kept == {f"3-{i}" for i in range(10, MAX_JUDGED + 10)}


def test_of_too_many_versions_those_without_rows_are_forgotten_first(monkeypatch):
    monkeypatch.setattr(drift_partition, "MAX_JUDGED", 2)
    catalog = small_world().catalog
    driver = Driver(catalog)
    for window, version in enumerate("zam"):
        own = catalog.baselines["default", "small"][0].profile_id
        driver.pane(pane_of(window, 100, version, baseline=own))
        driver.word(end_of(window))
    assert {entry.model_version for entry in driver.stored("small").series} == {"m", "z"}


def test_a_state_of_more_than_390_cells_is_written_in_chunks_and_restored():
    names = [f"f{i}" for i in range(30)]
    config = ModelConfig.model_validate(
        {
            "model": "wide",
            "features": {name: {"kind": "numeric"} for name in names},
            "segments": ["region"],
            "window": {"pane": "10s", "length": "100s", "bound": "2s", "lateness": "20s"},
        }
    )
    rng = np.random.default_rng(1)
    n = 3_000
    columns = {f"features.{name}": rng.normal(size=n) for name in names}
    table = pa.table(
        {
            "time_us": np.arange(n) * SECOND_US,
            "score": rng.random(n),
            "segments.region": [f"r{i}" for i in rng.integers(0, 15, n)],
            **columns,
        }
    )
    baseline = build_baseline(table, config)
    n_cells = baseline.reference.counts.shape[0] * baseline.reference.counts.shape[1]
    assert n_cells > 390
    driver = Driver(Catalog.of([config], [baseline]))
    for window in range(3):
        stats = SeriesStats.empty(baseline.reference.segments, 31)
        stats.counts[:, :, :60] = rng.integers(0, 9, (*stats.counts.shape[:2], 60))
        stats.n_rows[:] = stats.counts.sum(axis=2).max(axis=1)
        start_us = START_US + window * WINDOW_US
        series = SeriesId("default", "wide", "1", baseline.profile_id)
        driver.pane(Pane(series, start_us, start_us + 10 * SECOND_US, "s", 0, "o", 1, stats))
        driver.word(end_of(window))
    body = next(driver.snapshots().stored(KIND, ("default", "wide"))).body
    assert len(body) > 1_048_588
    assert max(len(value or b"") for value in driver.state.values()) < 905_000
    again = driver.restart()
    next_one = Driver(driver.catalog)
    next_one.core = again
    next_one.offset = driver.offset
    for one in (driver, next_one):
        one.word(end_of(3))
        one.results.sort(key=lambda r: (r.end_us, r.feature, r.segment, r.metric))
    last = START_US + 4 * WINDOW_US
    assert [r for r in next_one.results if r.end_us == last] == [
        r for r in driver.results if r.end_us == last
    ]


def test_a_model_that_fell_silent_does_not_make_a_restart_read_from_far_back(monkeypatch):
    monkeypatch.setattr(drift_partition, "STALE_MESSAGES", 60)
    driver = Driver(Catalog.of([named("loud"), named("mute")], []))
    driver.pane(pane_of(0, model="mute"))
    for window in range(40):
        for _ in range(10):
            driver.pane(pane_of(window, model="loud"))
        driver.word(end_of(window))
    assert driver.offset > 400
    assert driver.offset - driver.restart().position < 200
    assert driver.stored("mute").alerts == []


def test_the_state_of_a_silent_model_is_written_only_after_many_messages(monkeypatch):
    monkeypatch.setattr(drift_partition, "STALE_MESSAGES", 60)
    driver = Driver(Catalog.of([named("loud"), named("mute")], []))
    driver.pane(pane_of(0, model="mute"))
    driver.word(end_of(0))
    read_from = [driver.stored("mute").windows.panes_offset]
    for window in range(1, MAX_EMPTY + 40):
        for _ in range(10):
            driver.pane(pane_of(window, model="loud"))
        driver.word(end_of(window))
        offset = driver.stored("mute").windows.panes_offset
        read_from += [offset] if offset != read_from[-1] else []
    n_messages = np.diff(read_from)[MAX_EMPTY:]
    assert len(n_messages) > 3
    assert (n_messages > 60).all(), "an empty window is a reason of its own; afterwards none is"


def test_a_source_that_was_removed_and_returns_settles_from_its_first_watermark(monkeypatch):
    driver = Driver(Catalog.of([CONFIG], []))
    settled: list[tuple[str, int]] = []
    settle = driver.core.windows.settle
    monkeypatch.setattr(
        driver.core.windows, "settle", lambda *place: (settled.append(place), settle(*place))
    )
    driver.word(end_of(9))
    driver.note(driver.core.retire("another"))
    driver.word(end_of(9))
    assert settled == [("s", 0)], "the same watermark retires nothing more"
    driver.note(driver.core.retire("s"))
    driver.word(end_of(2))
    assert settled == [("s", 0), ("s", 0)]


def test_a_model_whose_first_window_is_open_is_read_from_its_first_pane():
    driver = Driver(Catalog.of([named("a"), named("b")], []))
    for window in range(6):
        driver.pane(pane_of(window, model="a"))
        if window == 5:
            first_of_b = driver.offset
            driver.pane(pane_of(6, model="b"))
        driver.word(end_of(window))
    assert driver.stored("b").windows.closed_until_us is None
    assert driver.restart().position <= first_of_b


def test_a_state_of_a_recreated_topic_reads_it_from_its_beginning():
    driver = Driver(Catalog.of([CONFIG], []), log_id="one")
    for window in range(6):
        driver.pane(pane_of(window))
        driver.word(end_of(window))
    assert driver.restart("one").position > 0
    again = driver.restart("two")
    assert again.position == 0
    assert again.windows.closed_until_us("default", "small") == START_US + 6 * WINDOW_US


def test_while_all_are_idle_time_alone_closes_windows_and_says_so():
    driver = Driver(Catalog.of([CONFIG], []))
    driver.pane(pane_of(0))
    driver.word(START_US + 10, partition=0, n=2)
    driver.note(driver.core.elapse(10 * WINDOW_US))
    driver.word(START_US + 10, partition=1, n=2, is_idle=True)
    driver.note(driver.core.elapse(10 * WINDOW_US))
    assert driver.results == []
    driver.word(START_US + 10, partition=0, n=2, is_idle=True)
    driver.note(driver.core.elapse(WINDOW_US))
    assert driver.results == []
    driver.note(driver.core.elapse(CONFIG.window.lateness_us))
    assert [(r.closed_by, r.n) for r in driver.results] == [("idle", 200)]


def test_only_baselines_that_are_not_in_the_catalog_are_unknown(monkeypatch):
    monkeypatch.setattr(pane_intake, "MAX_UNKNOWN", 3)
    catalog = small_world().catalog
    known = catalog.baselines["default", "small"][0].profile_id
    driver = Driver(catalog)
    driver.pane(pane_of(0, baseline=known))
    driver.pane(pane_of(0))
    assert driver.core.unknown_baselines == set()
    for i in range(4):
        driver.pane(pane_of(0, version=str(i), baseline=f"other-{i}"))
    assert driver.core.unknown_baselines == {"other-0", "other-1", "other-2"}


def test_a_partition_without_a_state_begins_with_the_first_message():
    core = DriftPartition(Catalog.of([CONFIG], []), 0, "o")
    assert core.position == 0
    core.restore(SnapshotStore())
    assert core.position == 0


def test_a_message_below_the_position_changes_nothing():
    driver = Driver(Catalog.of([CONFIG], []))
    driver.pane(pane_of(0))
    word = WatermarkMessage("s", 0, 1, "o", end_of(0))
    assert list(driver.core.take(0, word.key(), word.encode())) == []
    assert driver.core.position == 1


@pytest.mark.parametrize(("n", "sizes"), [(0, []), (1, [1]), (MAX_RESULTS + 1, [MAX_RESULTS, 1])])
def test_results_are_written_in_messages_a_broker_takes(n, sizes):
    driver = Driver(Catalog.of([CONFIG], []))
    driver.pane(pane_of(0))
    driver.word(end_of(0))
    writes = result_writes(("t", "m"), driver.results * n, 0)
    assert [len(msgspec.msgpack.decode(w.value)) for w in writes] == sizes
    assert all(len(w.value) < 900_000 for w in writes)
