"""The stages as commands on a real broker: their start, their health server, their end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
from pathlib import Path

import pytest

from monitor.clock import now_us
from monitor.storage.clickhouse import Store
from monitor.transport.kafka.producer import LogProducer
from monitor.transport.kafka.topics.connection import open_admin
from tests.support.installation import command, event, install
from tests.support.kafka.topics import create_stage_topics
from tests.support.stage_processes import DIRECT, Stages
from tests.support.store.clickhouse_http import running
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.integration, pytest.mark.timeout(600)]

STAGES = ("ingest", "detect", "notify", "archive")
DRAIN_S = 60.0
"""On two busy cores; the stage's own bound is 30 s."""


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """An installation whose baseline is built once."""
    return install(tmp_path_factory.mktemp("installation") / "site")


@pytest.fixture
def site(template, tmp_path, topic_prefix) -> Path:
    """A copy of it with a prefix of its own; returns the file."""
    folder = tmp_path / "site"
    shutil.copytree(template, folder)
    file = folder / "driftline.yaml"
    file.write_text(f"models: [models/*.yaml]\nkafka: {{prefix: {topic_prefix!r}}}\n")
    return file


def free_ports(n: int) -> int:
    """Return the first of so many free ports in a row, none of which a client is ever given."""
    for base in range(20_000 + os.getpid() % 10_000, 32_000, n):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(base, base + n):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return base
    raise AssertionError(f"no {n} free ports in a row")


@pytest.fixture
def stages(broker, site):
    """Start stage commands of the installation."""
    with Stages(site, broker.bootstrap, {"DRIFTLINE_LOG": "text"}) as running_stages:
        yield running_stages


LISTED = {
    "ingest": ("driftline_lag_messages", "driftline_partitions", "driftline_stage_seconds_count"),
    "detect": ("driftline_partitions",),
    "notify": (),
    "archive": ("driftline_partitions",),
}
"""Of each stage, once it is ready, besides those of every stage."""


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_ready_shows_its_metrics_and_drains(stage, stages, broker, topic_prefix):
    create_stage_topics(broker.bootstrap, topic_prefix)
    process = stages.start(stage, member=f"{stage}-1").wait_ready()
    assert process.lines[0].startswith(f"driftline {stage} on http://127.0.0.1:")
    assert process.get("/healthz") == (200, "live\n")
    # Another rebalance may take it back for a moment.
    wait_until(lambda: process.metric("driftline_ready", stage=stage) == 1, 30, "ready")
    assert process.metric("process_resident_memory_bytes") > 1e7
    wait_until(lambda: set(LISTED[stage]) <= set(process.metrics()), 30, f"the metrics of {stage}")
    assert process.stop(DRAIN_S) == 0, process.log
    assert f"{stage} drained" in process.log
    assert "Traceback" not in process.log, process.log


@pytest.mark.slow
def test_a_second_signal_leaves_at_once(stages, new_broker, topic_prefix):
    broker = new_broker().start()
    create_stage_topics(broker.bootstrap, topic_prefix)
    started = [stages.start(stage, DRIFTLINE_KAFKA=broker.bootstrap) for stage in STAGES]
    for process in started:
        process.wait_ready()
    # Without its broker no stage can finish what it does before it leaves.
    broker.kill()
    for process in started:
        process.terminate()
        wait_until(lambda p=process: p.get("/readyz").body.startswith("draining"), 30, "draining")
        process.terminate()
        assert process.wait(10) == 128 + signal.SIGTERM, process.log


def test_missing_topics_are_named_with_the_command_that_makes_them(stages, topic_prefix):
    process = stages.start("archive")
    assert process.wait() == 4
    assert f"{topic_prefix}driftline.labels" in process.log
    assert f"--prefix {topic_prefix} --yes" in process.log
    assert " topics create --bootstrap " in process.log


@pytest.mark.slow
def test_a_broker_that_comes_late_is_waited_for(stages, new_broker, topic_prefix):
    broker = new_broker().start()
    create_stage_topics(broker.bootstrap, topic_prefix)
    broker.kill()
    process = stages.start("ingest", DRIFTLINE_KAFKA=broker.bootstrap)
    wait_until(lambda: "does not answer yet" in process.get("/readyz").body, 30, "its wait")
    assert process.get("/healthz").status == 200
    broker.start()
    process.wait_ready()
    assert process.stop(DRAIN_S) == 0


def test_a_broker_that_never_comes_ends_the_stage_with_the_reason(stages):
    process = stages.start("notify", "--wait", "1", DRIFTLINE_KAFKA="127.0.0.1:1")
    assert process.wait() == 4
    assert "127.0.0.1:1: Kafka does not answer for 1 s" in process.log
    assert "refused" in process.log


def test_a_drain_ends_the_wait_for_the_broker(stages):
    process = stages.start("detect", DRIFTLINE_KAFKA="127.0.0.1:1")
    wait_until(lambda: "does not answer yet" in process.get("/readyz").body, 30, "its wait")
    assert process.stop(DRAIN_S) == 0


def test_what_is_wrong_with_the_config_is_said_before_anything_starts(stages, site):
    model = site.parent / "models/loans.yaml"
    model.write_text(model.read_text().replace("kind: numeric", "kind: numbers"))
    process = stages.start("ingest")
    assert process.wait() == 2
    assert "models/loans.yaml:3" in process.log
    assert process.lines == []


def test_a_taken_port_ends_the_stage(stages):
    first = stages.start("notify", DRIFTLINE_KAFKA="127.0.0.1:1")
    address = first.url.removeprefix("http://")
    second = stages.start("archive", "--http", address)
    assert second.wait() == 2
    assert f"--http {address}: cannot listen: address already in use" in second.log
    first.kill()


def test_a_receiver_without_its_variable_is_named_and_its_value_never_logged(stages, site):
    site.write_text(site.read_text() + "receivers: {chat: {kind: webhook, url_env: CHAT_HOOK}}\n")
    process = stages.start("notify")
    assert process.wait() == 2
    assert "CHAT_HOOK" in process.log


def test_check_looks_at_kafka_where_the_file_names_it(broker, site, topic_prefix, monkeypatch):
    monkeypatch.setenv("DRIFTLINE_KAFKA", broker.bootstrap)
    missing = command("check", site, "--json")
    assert missing.code == 4
    checks = [c for c in json.loads(missing.out)["checks"] if c["check"] == "kafka"]
    assert {c["name"] for c in checks} >= {f"{topic_prefix}driftline.panes"}
    assert all(c["detail"] == "missing" and "topics create" in c["fix"] for c in checks)
    create_stage_topics(broker.bootstrap, topic_prefix)
    assert command("check", site).code == 0
    with open_admin(broker.bootstrap) as admin:
        admin.create_partitions({f"{topic_prefix}driftline.alerts": 2})
    wrong = command("check", site, "--json")
    (check,) = [c for c in json.loads(wrong.out)["checks"] if c["state"] == "failed"]
    assert (check["name"], check["detail"]) == (
        f"{topic_prefix}driftline.alerts",
        "partitions is 2, not 1",
    )
    monkeypatch.setenv("DRIFTLINE_KAFKA", "127.0.0.1:1")
    away = command("check", site, "--json")
    assert away.code == 4
    assert "does not answer" in away.out


# -- driftline up -----------------------------------------------------------------


def up(stages: Stages, *options: str, **environment: str):
    """Start everything, small and on free ports."""
    return stages.start(
        "up", "--json", "--http-base", "0", "--store-port", "0", "--create-topics",
        "--partitions", "2", "--input-partitions", "2", *options, **environment,
    )  # fmt: skip


def events(process, name: str) -> list[dict]:
    """Return the events it has printed so far under a name."""
    found = [json.loads(line) for line in list(process.lines)]
    return [e for e in found if e["event"] == name]


def wait_all_ready(process, after: int = 0) -> None:
    """Wait until a status, later than the first ``after`` ones, says that all are ready."""
    wait_until(
        lambda: (
            not process.is_running or any(e["ready"] for e in events(process, "status")[after:])
        ),
        180,
        f"all ready:\n{process.log[-6000:]}",
    )
    assert process.is_running, process.log


def pids(process) -> dict[str, int]:
    """Return the process id of each child's latest life."""
    return {e["child"]: e["pid"] for e in events(process, "started")}


def is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def store_url(process) -> str:
    """Return the address of the store that it serves."""
    (line,) = [x for x in process.log.splitlines() if x.startswith("store") and "serving" in x]
    return f"{line.split()[-1]}/default"


def n_ingested(process) -> int:
    """Return how many events its ingest processes have taken, from their metrics."""
    urls = re.findall(r"^ingest\S*\b.*(http://127\.0\.0\.1:\d+)", process.log, re.M)
    total = 0.0
    for url in urls:
        with DIRECT.open(f"{url}/metrics", timeout=10) as answer:
            found = re.findall(
                r'^driftline_events_total\{.*"ingest".*\} (\S+)$', answer.read().decode(), re.M
            )
        total += sum(map(float, found))
    return int(total)


@pytest.mark.slow
def test_up_runs_everything_and_an_event_arrives_in_the_store(stages, broker, topic_prefix):
    process = up(stages, "--ingest", "2")
    wait_all_ready(process)
    children = events(process, "status")[-1]["children"]
    assert set(children) == {"store", "ingest", "ingest-2", "detect", "notify", "archive"}
    assert "published the baseline of loans" in process.log

    with LogProducer({"bootstrap.servers": broker.bootstrap}) as producer:
        for i in range(50):
            value = event(i, id=f"up-{i}", time_us=now_us())
            producer.produce(f"{topic_prefix}driftline.predictions", value)
        producer.flush_acks(30)
    with Store.open(store_url(process)) as store:

        def n_rows() -> int:
            return store.query("SELECT count() AS n FROM predictions FINAL")["n"][0].as_py()

        wait_until(lambda: n_rows() == 50, 120, "the events in the store")
    # The archive reads the same topic by itself, and may be ahead of ingest.
    wait_until(lambda: n_ingested(process) == 50, 120, "the events in ingest")

    code = process.stop(240)
    order = [e["child"] for e in events(process, "drained")]
    assert order == ["ingest", "ingest-2", "detect", "notify", "archive", "store"]
    assert events(process, "coverage")[-1]["read"] == {"accepted": 50, "rejected": {}, "late": 0}
    assert code == 0, process.log[-8000:]


@pytest.mark.slow
def test_up_starts_a_killed_child_again_and_takes_all_along_when_it_is_killed(stages):
    process = up(stages)
    wait_all_ready(process)
    before = pids(process)
    n_received = len(events(process, "status"))
    os.kill(before["ingest"], signal.SIGKILL)
    wait_until(lambda: len(events(process, "ended")) == 1, 30, "its end was seen")
    (ended,) = events(process, "ended")
    assert (ended["child"], ended["code"]) == ("ingest", -signal.SIGKILL)
    wait_all_ready(process, after=n_received + 1)
    after = pids(process)
    assert after["ingest"] != before["ingest"]
    assert {k: v for k, v in after.items() if k != "ingest"} == {
        k: v for k, v in before.items() if k != "ingest"
    }
    assert all(map(is_alive, after.values()))

    os.kill(after["notify"], signal.SIGSTOP)
    process.kill()
    wait_until(lambda: not any(map(is_alive, after.values())), 30, "no orphan")


@pytest.mark.slow
def test_a_second_signal_to_up_takes_all_along(stages):
    process = up(stages)
    wait_all_ready(process)
    children = pids(process)
    # It cannot drain, so that there is a drain to be cut short.
    os.kill(children["ingest"], signal.SIGSTOP)
    process.terminate()
    wait_until(lambda: events(process, "draining"), 30, "draining")
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    wait_until(lambda: not any(map(is_alive, children.values())), 30, "no orphan")


@pytest.mark.slow
def test_up_names_what_is_not_monitored_before_it_starts_anything(stages, site):
    shutil.rmtree(site.parent / "baselines")
    site.write_text(site.read_text() + "receivers: {}\n")
    process = up(stages)
    wait_until(lambda: events(process, "started"), 60, "the first child")
    found = [(e["check"], e["name"]) for e in events(process, "unmonitored")]
    assert found == [("baseline", "loans"), ("receiver", "none")]
    process.kill()


@pytest.mark.slow
def test_up_ends_when_a_child_cannot_be_started_at_all(stages):
    base = free_ports(len(STAGES))
    with socket.create_server(("127.0.0.1", base + STAGES.index("notify"))):
        process = stages.start(
            "up", "--json", "--http-base", str(base), "--store-port", "0", "--create-topics"
        )
        assert process.wait(180) == 2
    (failed,) = events(process, "failed")
    assert (failed["child"], failed["code"]) == ("notify", 2)
    assert "cannot listen: address already in use" in process.log


def test_up_without_topics_says_how_to_make_them(stages):
    process = stages.start("up", "--http-base", "0", "--store-port", "0")
    assert process.wait() == 4
    assert " topics create --bootstrap " in process.log


@pytest.mark.slow
def test_up_shares_a_store_that_is_served_already(stages, site, tmp_path):
    with running(tmp_path / "elsewhere") as server:
        site.write_text(site.read_text() + f"store: {server.url}/default\n")
        process = up(stages)
        wait_all_ready(process)
        assert "store" not in pids(process)
        assert process.stop(240) == 0, process.log[-8000:]
