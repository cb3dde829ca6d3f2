"""Kills at any step, from source topics to store and receivers: the outputs are the same.

The same property as in ``test_crash_every_step``, including notify and the archive: the store is
the real engine, and the receivers' messages survive every kill, as in production.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from monitor.core.topics import ALERTS, LABELS
from monitor.core.windowing.stored.spans import span_of
from monitor.notify.retraining.webhook import WebhookTarget
from monitor.storage.clickhouse import Store
from monitor.transport.memory import MemoryLog
from schemas.alerts import Alert, Notification
from tests.support.scenario.whole_pipeline import Outside, PipelineReaper, run_whole
from tests.support.worlds.small import CONFIG, SECOND_US, START_US, SmallWorld, build_small_world

pytestmark = pytest.mark.integration

MODEL = CONFIG.model_copy(
    update={
        "retraining": WebhookTarget(
            url_env="RETRAINING_URL", on=("page", "ticket"), wait=100 * SECOND_US
        )
    }
)
KEYS = (
    "tenant, model, model_version, profile_id, feature, segment, is_slice, "
    f"intDiv(start_us, {span_of(MODEL).slot_us}) AS slot"
)
ROWS = {
    "predictions": "* EXCEPT (ingest_time)",
    "labels": "* EXCEPT (ingest_time)",
    "gpu": "* EXCEPT (ingest_time)",
    # Which panes are in a total depends on when they were published, the sums do not.
    "panes": f"{KEYS}, sum(n_rows), sumForEach(counts), round(sum(sums), 6), "
    "round(sum(sums_sq), 6), min(minima), max(maxima), sum(n_predicted), sum(n_positive), "
    "sumForEach(calibration_counts)",
    "results": "* EXCEPT (ingest_time)",
    "alerts": "* EXCEPT (ingest_time)",
    "dead_letters": "* EXCEPT (ingest_time)",
    "late": "* EXCEPT (ingest_time)",
    "notifications": "notification_id, receiver, state, dedup_key, kind, reason, incident_id",
}
"""Table -> the columns that must be the same after any crash.

A message is due when a wait ends, and is sent at the next step of notify, so its time depends on
how reads were batched. So do suppressions; only sent messages are compared.
"""
WHERE = {"notifications": "WHERE state != 'suppressed'", "panes": f"GROUP BY {KEYS}"}


def source_topics(world: SmallWorld) -> MemoryLog:
    """Return an unread log; every tenth prediction has a label."""
    log = world.log()
    for i in range(0, 160, 10):
        label = {"model": "small", "id": f"3-{i}", "time_us": START_US + i, "label": i % 2}
        log.produce(LABELS, json.dumps(label).encode(), timestamp_us=START_US + i)
    return log


def rows_of(store: Store) -> dict[str, Counter[str]]:
    """Return every table's rows with their counts."""
    return {
        table: Counter(map(repr, select(store, table, columns).to_pylist()))
        for table, columns in ROWS.items()
    }


def select(store: Store, table: str, columns: str) -> pa.Table:
    return store.query(f"SELECT {columns} FROM {table} FINAL {WHERE.get(table, '')}")


def crash(world: SmallWorld, folder: Path, reaper: PipelineReaper) -> tuple[Outside, dict]:
    """Run the whole pipeline with kills at the given steps; return its outputs."""
    with Store.open(folder) as store:
        store.migrate()
        outside = run_whole(world, MODEL, Outside(source_topics(world), store), reaper)
        return outside, rows_of(store)


def alerts_of(log: MemoryLog) -> dict[str, Alert]:
    messages = log.fetch(ALERTS, 0, 0, 10**9)
    alerts = [msgspec.msgpack.decode(m.value, type=Alert) for m in messages]
    return {alert.alert_id: alert for alert in alerts}


@pytest.fixture(scope="module")
def world() -> SmallWorld:
    return build_small_world()


@pytest.fixture(scope="module")
def undisturbed(world, tmp_path_factory) -> tuple[Outside, dict, list[str]]:
    reaper = PipelineReaper()
    outside, rows = crash(world, tmp_path_factory.mktemp("undisturbed") / "store", reaper)
    return outside, rows, reaper.names


def assert_same(found: tuple[Outside, dict], undisturbed: tuple[Outside, dict, list[str]]) -> None:
    """Compare all outputs."""
    outside, rows = found
    expected, expected_rows, _ = undisturbed
    for table, expected_of_table in expected_rows.items():
        assert rows[table] == expected_of_table, table
    assert alerts_of(outside.log) == alerts_of(expected.log)
    for got, wanted in (
        (outside.recorder.received, expected.recorder.received),
        (outside.retrainer.received, expected.retrainer.received),
    ):
        assert_sent_once(got, wanted, outside.n_lives)


def assert_sent_once(got: list[Notification], wanted: list[Notification], n_kills: int) -> None:
    """Check that every message was sent once, plus at most once per kill, with the same keys."""
    times = Counter(n.notification_id for n in got)
    assert set(times) == {n.notification_id for n in wanted}
    assert sum(times.values()) - len(times) <= n_kills
    keys = {(n.notification_id, n.dedup_key) for n in got}
    assert keys == {(n.notification_id, n.dedup_key) for n in wanted}


def sample(names: list[str], n_each: int) -> list[int]:
    """Return steps to kill at: up to ``n_each`` of every kind, spread over the run."""
    steps = []
    for name in sorted(set(names)):
        places = [i + 1 for i, other in enumerate(names) if other == name]
        stride = max(1, len(places) // n_each)
        steps += places[stride // 2 :: stride][:n_each]
    return sorted(steps)


def test_the_undisturbed_run_has_everything_in_it(undisturbed):
    outside, rows, names = undisturbed
    assert all(rows.values()), {table: len(found) for table, found in rows.items()}
    assert {n.reason for n in outside.recorder.received} == {"opened", "model_affected"}
    assert len(outside.recorder.received) == 4
    assert len(outside.retrainer.received) == 1
    stages = {name.partition(":")[0] for name in names}
    assert stages == {"ingest", "detect", "gpu", "notify", "archive"}
    assert {name for name in names if name.startswith(("notify", "archive"))} == {
        "notify:intent",
        "notify:sent",
        "notify:done",
        "notify:suppressed",
        "notify:commit",
        "archive:intent",
        "archive:rows",
        "archive:commit",
    }


@pytest.mark.parametrize(
    "kind",
    [
        "ingest:commit",
        "detect:state",
        "detect:alert",
        "notify:intent",
        "notify:sent",
        "notify:commit",
        "archive:intent",
        "archive:rows",
    ],
)
def test_killed_once_after_a_step_of_each_kind(world, undisturbed, tmp_path, kind):
    names = undisturbed[2]
    places = [i + 1 for i, name in enumerate(names) if name == kind]
    found = crash(world, tmp_path / "store", PipelineReaper(places[len(places) // 2]))
    assert found[0].n_lives == 1
    assert_same(found, undisturbed)


def test_killed_again_and_again(world, undisturbed, tmp_path):
    found = crash(world, tmp_path / "store", PipelineReaper(*range(60, 10_000, 60)))
    assert found[0].n_lives > 4
    assert_same(found, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [29, 41, 83])
def test_killed_after_every_so_many_steps(world, undisturbed, tmp_path, stride):
    found = crash(world, tmp_path / "store", PipelineReaper(*range(stride, 10_000, stride)))
    assert found[0].n_lives > 2
    assert_same(found, undisturbed)


@pytest.mark.slow
def test_killed_once_after_up_to_four_steps_of_every_kind(world, undisturbed, tmp_path):
    steps = sample(undisturbed[2], 4)
    assert len(steps) > 60
    for step in steps:
        found = crash(world, tmp_path / f"store-{step}", PipelineReaper(step))
        assert found[0].n_lives == 1, step
        assert_same(found, undisturbed)
