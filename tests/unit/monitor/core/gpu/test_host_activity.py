"""Predictions are host activity: a dead exporter on a live host is not a dead node."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.core.gpu.host_activity import SIGN_US, HostSign, NewestSigns, sign_messages, signs_of
from monitor.core.gpu.rules import GpuRules
from monitor.core.gpu.state import MAX_GAP_US, HostState
from monitor.core.state.snapshot_store import SnapshotStore
from monitor.decode import Decoder, chunk_of, decode_gpu
from monitor.detect.gpu_partition import GpuPartition
from monitor.replay.timeline import cut_by_time
from schemas.alerts import Alert
from schemas.config.model import ModelConfig
from schemas.config.monitor import GpuConfig
from schemas.events import GpuEvent
from tests.support.installation import command

S = 1_000_000
BASE_US = 1_700_000_000 * S
CONFIG = ModelConfig.model_validate({"model": "m", "features": {"x": {"kind": "numeric"}}})


def sample(second: int, host: str) -> GpuEvent:
    return GpuEvent(host=host, gpu_uuid=f"{host}-0", gpu=0, time_us=second * S, fields={"t": 1})


def alerts_of(
    dead_from: int, signs: Iterable[int], end: int = 1200, *, ahead: int = 0, other: bool = True
) -> list[tuple[str, str, int]]:
    """n1's exporter stops; n2 reports all the time; n1 serves predictions at some times."""
    rules, alerts = GpuRules(GpuConfig()), list[Alert]()
    pending = sorted(signs)
    for second in range(0, end, 30):
        if second:
            while pending and pending[0] <= second + ahead:
                rules.observe_host("n1", pending.pop(0) * S)
        for host in ("n1", "n2"):
            if host == "n2" or second <= dead_from:
                alerts += rules.observe(sample(second, host))
        if other:
            rules.observe_host("n2", second * S)
        alerts += rules.tick(second * S)
    return [(a.rule, a.transition.value, a.time_us // S) for a in alerts]


def test_a_host_that_serves_predictions_has_lost_its_exporter():
    assert alerts_of(300, range(0, 1200, 20)) == [("exporter_lost", "opened", 390)]


def test_a_host_that_serves_no_predictions_any_more_is_lost():
    assert alerts_of(300, range(0, 310, 20)) == [("node_lost", "opened", 390)]


def test_signs_ahead_of_the_telemetry_wait_for_its_time():
    signs = [*range(0, 310, 20), *range(900, 1200, 20)]
    found = alerts_of(300, signs, ahead=3600)
    assert found[0] == ("node_lost", "opened", 390)
    assert ("exporter_lost", "opened") in [f[:2] for f in found]


@pytest.mark.parametrize("gap", [60, 120, 240])
def test_a_host_that_serves_a_prediction_now_and_then_is_alive(gap):
    assert [f[0] for f in alerts_of(300, range(10, 3600, gap), 3600)] == ["exporter_lost"]


def test_a_node_that_dies_after_its_exporter_is_lost():
    found = alerts_of(300, range(0, 700, 20))
    assert [f[:2] for f in found] == [
        ("exporter_lost", "opened"),
        ("exporter_lost", "resolved"),
        ("node_lost", "opened"),
    ]
    assert found[-1][2] <= 700 + 120


def test_predictions_that_are_behind_are_waited_for_and_no_longer():
    found = alerts_of(300, range(0, 310, 20), other=False)
    assert found == [("node_lost", "opened", 390)]  # stamped with when it was due


def test_the_end_of_the_predictions_is_no_silence_of_a_host():
    rules, alerts = GpuRules(GpuConfig()), list[Alert]()
    for second in range(0, 1200, 30):
        if second == 600:
            rules.end_signs(600 * S)
        if second < 600:
            rules.observe_host("n1", second * S)
        for host in ("n1", "n2") if second <= 300 else ("n2",):
            alerts += rules.observe(sample(second, host))
        alerts += rules.tick(second * S)
    assert [a.rule for a in alerts] == ["exporter_lost"]


def test_hosts_without_gpus_are_not_remembered():
    rules = GpuRules(GpuConfig())
    before = rules.export()
    for i in range(1_000):
        rules.observe_host(f"made-up-{i}", i * S)
    assert rules.export() == before


def test_a_restart_keeps_signs_that_lie_ahead():
    rules = GpuRules(GpuConfig())
    rules.observe(sample(0, "n1"))
    for second in range(0, 400, 20):
        rules.observe_host("n1", second * S)
    again = GpuRules(GpuConfig())
    again.restore(rules.export())
    assert [a.rule for a in again.tick(120 * S)] == ["exporter_lost"]


def batch_of(rows: list[tuple[int, str | None]]):
    events = [
        msgspec.json.encode(
            {"model": "m", "time_us": BASE_US + second * S, "features": {"x": 1}, "host": host}
        )
        for second, host in rows
    ]
    (batch,) = Decoder([CONFIG.schema_]).decode(chunk_of(events, "f")).batches
    return batch


def test_each_host_gives_one_sign_in_a_stretch_of_time():
    rows = [(i, ("n1", "n2", None)[i % 3]) for i in range(60)]
    step = BASE_US // SIGN_US
    found = signs_of(batch_of(rows))
    expected = {
        HostSign("default", host, (BASE_US + s * S) // SIGN_US * SIGN_US)
        for s, host in rows
        if host
    }
    assert set(found) == expected
    assert len(found) == len(expected)
    assert min(sign.time_us for sign in found) == step * SIGN_US


def test_rows_that_do_not_count_give_no_sign():
    batch = batch_of([(0, "n1"), (0, "n2")])
    assert [s.host for s in signs_of(batch, np.array([1]))] == ["n1"]
    assert signs_of(batch_of([(0, None)])) == []


def test_times_far_apart_cost_no_memory():
    far = 200 * 365 * 86_400
    assert len(signs_of(batch_of([(0, "n1"), (far, "n2"), (far, "n2")]))) == 2


def test_the_newest_sign_is_handed_on_once():
    newest = NewestSigns()
    newest.add([HostSign("t", "n1", 40), HostSign("t", "n1", 20), HostSign("t", "n2", 0)])
    assert newest.take() == [HostSign("t", "n1", 40), HostSign("t", "n2", 0)]
    newest.add([HostSign("t", "n1", 40), HostSign("t", "n1", 20)])
    assert newest.take() == []


def test_signs_on_the_topic_are_read_by_detect_and_passed_over_by_the_archive():
    signs = [HostSign("default", f"n{i}", i) for i in range(4_500)]
    chunk = chunk_of(sign_messages(signs), "f")
    assert len(chunk) == 3
    events, rejects = decode_gpu(chunk, has_signs=True)
    assert [(e.tenant, e.host, e.time_us) for _, _, e in events] == signs
    assert (decode_gpu(chunk)[0], rejects) == ([], ())


def message(second: int, host: str) -> bytes:
    return json.dumps(
        {"host": host, "gpu_uuid": f"{host}-0", "time_us": BASE_US + second * S, "fields": {}}
    ).encode()


def take(partition: GpuPartition, value: bytes, record_s: int) -> list[str]:
    record = np.array([BASE_US + record_s * S], np.int64)
    chunk = chunk_of([value], "t", 0, partition.position, record)
    writes = [w for phase in partition.take(chunk)[1] for w in phase.writes]
    values = [w.value for w in writes if w.topic == "driftline.alerts" and w.value]
    return [msgspec.msgpack.decode(value, type=Alert).rule for value in values]


@pytest.mark.parametrize(("delay_s", "found"), [(1, ["exporter_lost"]), (86_400, [])])
def test_where_no_telemetry_comes_at_all_live_predictions_let_time_pass(delay_s, found):
    partition = GpuPartition(GpuConfig(), 0, "owner")
    partition.restore(SnapshotStore())
    rules = [r for s in range(0, 300, 30) for r in take(partition, message(s, "n1"), s + 1)]
    for second in range(0, 900, 20):
        sign = HostSign("default", "n1", BASE_US + second * S)
        rules += take(partition, sign_messages([sign])[0], second + delay_s)
    assert rules == found
    assert partition.counters["gpu_events"] == 10


def test_runs_of_a_chunk_hold_all_of_its_messages_in_order():
    times = [0, -1, 10, 40, 35, -1, 200]
    chunk = chunk_of([str(i).encode() for i in range(7)], "f", first_offset=5)
    parts = [part for _, part in cut_by_time(chunk, times, 30)]
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [int(o) for part in parts for o in part.log_offset] == list(range(5, 12))
    texts = [bytes(p.buffer[p.offsets[i] : p.offsets[i + 1]]) for p in parts for i in range(len(p))]
    assert texts == [str(i).encode() for i in range(7)]


def installed(folder: Path, predictions_end: int = 7_200) -> None:
    """Write a model, its baseline, and predictions of two hosts over two hours."""
    (folder / "models").mkdir()
    (folder / "models" / "m.yaml").write_text(
        "model: m\nfeatures:\n  x: {kind: numeric}\nwindow: {length: 10m}\n"
    )
    (folder / "driftline.yaml").write_text("models: [models/*.yaml]\n")
    rng = np.random.default_rng(1)
    pq.write_table(pa.table({"x": rng.normal(size=2_000)}), "ref.parquet")
    with open("events.jsonl", "w", encoding="utf-8") as file:
        for second in range(0, 7_200, 5):
            host = "n1" if second % 10 and second < predictions_end else "n2"
            event = {"model": "m", "time_us": BASE_US + second * S, "host": host}
            file.write(json.dumps(event | {"features": {"x": rng.normal()}}) + "\n")
    built = command("baseline", "build", "models/m.yaml", "-r", "ref.parquet")
    assert built.code == 0, built.err


def incidents_of_replay() -> list[dict]:
    ended = command("replay", "events.jsonl", "--gpu", "gpu.jsonl", "--store", "none", "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)["incidents"]


def replayed(tmp_path, monkeypatch, exporter_end: int, predictions_end: int) -> list[dict]:
    """Replay two hosts; n1's exporter and its predictions end at the given times."""
    monkeypatch.chdir(tmp_path)
    installed(tmp_path, predictions_end)
    with open("gpu.jsonl", "w", encoding="utf-8") as file:
        for second in range(0, 7_200, 30):
            for host in ("n1", "n2") if second <= exporter_end else ("n2",):
                file.write(message(second, host).decode() + "\n")
    return incidents_of_replay()


def test_a_replay_tells_a_dead_exporter_from_a_dead_node(tmp_path, monkeypatch):
    (incident,) = replayed(tmp_path, monkeypatch, exporter_end=3_600, predictions_end=7_200)
    assert (incident["severity"], incident["cause"]) == ("ticket", "pipeline")
    assert "no GPU telemetry" in incident["title"]


def test_a_replay_tells_of_a_dead_node(tmp_path, monkeypatch):
    (incident,) = replayed(tmp_path, monkeypatch, exporter_end=3_600, predictions_end=3_610)
    assert (incident["severity"], incident["cause"]) == ("page", "hardware")


def test_hosts_named_at_will_make_no_message_that_a_broker_refuses():
    signs = [HostSign("default", "\x01" * 500 + str(i), i * SIGN_US) for i in range(2_000)]
    messages = sign_messages(signs)
    assert max(map(len, messages)) < 310_000
    events = [event for m in messages for event in msgspec.json.decode(m)]
    assert [event["time_us"] for event in events] == [sign.time_us for sign in signs]
    assert sign_messages([]) == []


@pytest.mark.parametrize("off_s", [-600, -150, 150, 600])
def test_a_replay_reports_a_clock_that_is_off_without_a_page(tmp_path, monkeypatch, off_s):
    monkeypatch.chdir(tmp_path)
    installed(tmp_path)
    with open("gpu.jsonl", "w", encoding="utf-8") as file:
        for second in range(0, 7_200, 30):
            for host in ("n1", "n2", "n3"):
                shift = off_s if host == "n2" else 0
                file.write(message(second + shift, host).decode() + "\n")
    (incident,) = incidents_of_replay()
    assert (incident["severity"], incident["cause"]) == ("ticket", "pipeline")
    assert incident["title"].startswith("n2: clock")


def test_the_gap_between_signs_falls_slowly_and_only_with_time():
    host = HostState("t", "n1", alive_us=0, signs_us=[100, 100, 100, 150, 140, 400])
    host.let_pass(150)
    assert (host.alive_us, host.gap_us, host.signs_us) == (150, 90, [400])
    host.let_pass(399)
    assert host.signs_us == [400]
    host.let_pass(400)
    assert (host.alive_us, host.gap_us, host.signs_us) == (400, 250, [])


def test_a_gap_beyond_the_longest_is_an_outage_and_no_rhythm():
    host = HostState("t", "n1", alive_us=0, signs_us=[MAX_GAP_US, 2 * MAX_GAP_US + 1])
    host.let_pass(3 * MAX_GAP_US)
    assert host.gap_us == MAX_GAP_US
