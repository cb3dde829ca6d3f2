"""A worker that is killed after any write: panes, results and alerts are the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.core.state.result_messages import read_results
from monitor.core.topics import ALERTS, DEAD_LETTERS, GPU, LATE, PANES, PREDICTIONS, RESULTS
from monitor.core.windowing.codec import PaneAssembler
from monitor.core.windowing.intake_message import KEY_PREFIX as INTAKE_PREFIX
from monitor.core.windowing.intake_message import read_intake
from monitor.core.windowing.watermark_message import KEY_PREFIX
from monitor.detect.in_memory import DriftDetect, GpuDetect
from monitor.ingest.in_memory import InMemoryIngest
from monitor.ingest.stage import Assignment
from monitor.transport.memory import MemoryLog
from schemas.alerts import Alert
from schemas.refused import DeadLetter, LateEvent
from tests.support.log_chunks import fetch_chunk
from tests.support.worlds.small import CONFIG, SmallWorld, build_small_world

ALL_MESSAGES = 10**9


class KilledError(Exception):
    """Simulates kill -9: nothing of the worker's memory survives it."""


class Reaper:
    """Kills at the given step numbers, counted over all restarts."""

    def __init__(self, *steps: int) -> None:
        self.steps, self.names = set(steps), []

    def __call__(self, step: str) -> None:
        self.names.append(step)
        if len(self.names) in self.steps:
            raise KilledError(step)


def live(world: SmallWorld, log: MemoryLog, hit, owner: str, chunk_messages: int) -> None:
    """One run of a worker with every stage, from the committed position to the end."""
    ingest = InMemoryIngest(
        log,
        world.catalog,
        CONFIG.window,
        Assignment(PREDICTIONS, 0, 1, owner),
        hit=hit,
    )
    drift = DriftDetect(log, world.catalog, hit=hit)
    gpu = GpuDetect(log, world_gpu_config(), hit=hit)
    while True:
        n = min(chunk_messages, ingest.read_limit or chunk_messages)
        chunk = fetch_chunk(log, PREDICTIONS, 0, ingest.position, n)
        samples = fetch_chunk(log, GPU, 0, gpu.position, chunk_messages)
        if not len(chunk) and not len(samples):
            break
        ingest.take(chunk)
        gpu.take(samples)
        drift.step()
    ingest.finish()
    while drift.step():
        pass


def world_gpu_config():
    from schemas.config.monitor import GpuConfig

    return GpuConfig()


def run(world: SmallWorld, hit=lambda step: None, chunk_messages: int = 97) -> MemoryLog:
    """Run to the end, restarting the worker whenever it is killed."""
    log = world.log()
    for life in count():
        try:
            live(world, log, hit, f"owner-{life}", chunk_messages)
            return log
        except KilledError:
            continue
    raise AssertionError("unreachable")


def outcome(log: MemoryLog) -> dict[str, object]:
    """Return the content of the topics, independent of duplicates and order."""
    panes: dict[object, object] = {}
    intake: dict[object, tuple] = {}
    assembler = PaneAssembler()
    for message in log.fetch(PANES, 0, 0, ALL_MESSAGES):
        if message.key.startswith(KEY_PREFIX):
            continue
        if message.key.startswith(INTAKE_PREFIX):
            counted = read_intake(message.value)
            place = (counted.model, counted.start_us)
            if place not in intake or intake[place][0] <= counted.pane_version:
                intake[place] = (counted.pane_version, counted.n_late, counted.rejected)
            continue
        for pane in [whole.pane for whole in assembler.add(message.value, message.offset)]:
            key = (pane.series, pane.start_us, pane.source, pane.partition)
            if key not in panes or panes[key][0] <= pane.pane_version:
                stats = [s for x in (pane.segments, pane.slices) for s in _bits(x)]
                panes[key] = (pane.pane_version, stats)
    results: dict[object, object] = {}
    for message in log.fetch(RESULTS, 0, 0, ALL_MESSAGES):
        for r in read_results(message.value):
            key = (
                r.monitor,
                r.model_version,
                r.feature,
                r.segment,
                r.metric,
                r.start_us,
                r.revised,
            )
            results[key] = r
    alerts = {a.alert_id: a for a in _read(log, ALERTS, Alert)}
    return {
        "panes": {key: stats for key, (_, stats) in panes.items()},
        "intake": {key: counts for key, (_, *counts) in intake.items()},
        "results": results,
        "alerts": alerts,
        "dead letters": {
            (d.offset, d.row): (d.reason, d.sha256) for d in _read(log, DEAD_LETTERS, DeadLetter)
        },
        "late": {(e.offset, e.row, e.watermark_us) for e in _read(log, LATE, LateEvent)},
    }


def _bits(stats) -> Iterator[bytes]:
    yield repr(stats.segments).encode()
    for name in ("n_rows", "counts", "sums", "sums_sq", "minima", "maxima", "n_positive"):
        yield getattr(stats, name).tobytes()


def _read(log: MemoryLog, topic: str, kind: type) -> list:
    return [
        msgspec.msgpack.decode(m.value, type=kind) for m in log.fetch(topic, 0, 0, ALL_MESSAGES)
    ]


def assert_same(found: dict, expected: dict) -> None:
    for name in expected:
        assert found[name] == expected[name], name


@pytest.fixture(scope="module")
def world() -> SmallWorld:
    return build_small_world(has_storm=True)


@pytest.fixture(scope="module")
def undisturbed(world) -> dict:
    return outcome(run(world))


def test_the_undisturbed_run_has_everything_in_it(undisturbed):
    monitors = {a.monitor for a in undisturbed["alerts"].values()}
    assert monitors == {"drift", "replica", "gpu", "pipeline"}
    pipeline = [a for a in undisturbed["alerts"].values() if a.monitor == "pipeline"]
    assert [(a.rule, a.transition.value) for a in pipeline] == [
        ("rejected_events", "opened"),
        ("rejected_events", "resolved"),
    ]
    assert len(undisturbed["late"]) > 5
    assert {reason for reason, _ in undisturbed["dead letters"].values()} == {
        "malformed",
        "unknown_model",
        "future",
        "mistyped",
    }
    assert len(undisturbed["panes"]) > 100
    assert sum(n_late for n_late, _ in undisturbed["intake"].values()) == len(undisturbed["late"])


@pytest.mark.parametrize("chunk_messages", [1, 13, 500, 10_000])
def test_how_reads_are_cut_changes_nothing(world, undisturbed, chunk_messages):
    found = outcome(run(world, chunk_messages=chunk_messages))
    assert_same(found, undisturbed)


def test_every_kind_of_step_is_reached(world):
    reaper = Reaper()
    run(world, reaper)
    assert set(reaper.names) == {
        "ingest:dead_letter",
        "ingest:late",
        "ingest:pane",
        "ingest:intake",
        "ingest:watermark",
        "ingest:commit",
        "detect:results",
        "detect:state",
        "detect:alert",
        "detect:commit",
        "gpu:state",
        "gpu:alert",
        "gpu:commit",
    }


@pytest.mark.slow
def test_killed_once_after_every_single_step(world, undisturbed):
    reaper = Reaper()
    run(world, reaper)
    assert len(reaper.names) > 200
    for step in range(1, len(reaper.names) + 1):
        assert_same(outcome(run(world, Reaper(step))), undisturbed)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(st.integers(1, 600), min_size=2, max_size=12, unique=True),
    chunk_messages=st.integers(20, 400),
)
def test_killed_again_and_again_while_reads_are_cut_anyhow(
    world, undisturbed, steps, chunk_messages
):
    assert_same(outcome(run(world, Reaper(*steps), chunk_messages)), undisturbed)
