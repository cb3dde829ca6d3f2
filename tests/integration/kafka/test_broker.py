"""The broker for development: it starts, serves, survives, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer

from monitor.devkit.distribution import (
    KAFKA_VERSION,
    has_libraries,
    install_libraries,
    libraries_folder,
)
from monitor.transport.kafka.topics.connection import open_admin
from schemas.errors import TransportError
from tests.support.kafka.broker import require_kafka
from tests.support.kafka.messages import consume_all, create_topic, produce_all
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
VALUES = [b"%d" % i for i in range(1000)]


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _start_command(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "monitor.cli.main", "dev", "kafka", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _pid_of_broker(parent: int) -> int:
    """Find the Java process among a command's children."""
    for task in Path(f"/proc/{parent}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"kafka.Kafka" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    raise AssertionError("the command has no broker")


def test_messages_make_a_round_trip(broker, topic_prefix):
    topic = f"{topic_prefix}round"
    create_topic(broker.bootstrap, topic)
    produce_all(broker.bootstrap, topic, VALUES)
    assert consume_all(broker.bootstrap, topic, len(VALUES)) == VALUES


def test_kafka_python_reads_and_writes_too(broker, topic_prefix):
    topic = f"{topic_prefix}python"
    create_topic(broker.bootstrap, topic)
    with KafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        for value in VALUES[:20]:
            producer.send(topic, value).get(timeout=30)
    with KafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap,
        auto_offset_reset="earliest",
        consumer_timeout_ms=30_000,
    ) as consumer:
        found = [next(consumer).value for _ in range(20)]
    assert found == VALUES[:20]


def test_topics_are_not_created_by_accident(broker, topic_prefix):
    with open_admin(broker.bootstrap) as admin:
        admin.describe_topics([f"{topic_prefix}typo"])
        assert f"{topic_prefix}typo" not in admin.list_topics()


@pytest.mark.slow
def test_restart_and_kill_keep_address_and_acknowledged_data(new_broker, topic_prefix):
    broker = new_broker().start()
    topic, address, first = f"{topic_prefix}kept", broker.bootstrap, broker.pid
    create_topic(address, topic)
    produce_all(address, topic, VALUES[:500])
    broker.restart()
    second = broker.pid
    produce_all(address, topic, VALUES[500:])
    broker.kill()
    assert not broker.is_running
    assert broker.pid is None
    broker.start()
    assert broker.bootstrap == address
    assert len({first, second, broker.pid}) == 3
    assert consume_all(address, topic, len(VALUES)) == VALUES


@pytest.mark.slow
def test_two_brokers_side_by_side_share_nothing(broker, new_broker, topic_prefix):
    other = new_broker().start()
    topic = f"{topic_prefix}mine"
    create_topic(other.bootstrap, topic)
    with open_admin(other.bootstrap) as theirs, open_admin(broker.bootstrap) as ours:
        assert topic in theirs.list_topics()
        assert topic not in ours.list_topics()
        assert theirs.describe_cluster()["cluster_id"] != ours.describe_cluster()["cluster_id"]


@pytest.mark.slow
def test_folder_is_found_again_and_belongs_to_one_broker(new_broker, tmp_path, topic_prefix):
    topic = f"{topic_prefix}folder"
    first = new_broker(tmp_path).start()
    address = first.bootstrap
    create_topic(address, topic)
    produce_all(address, topic, VALUES[:10])
    with pytest.raises(TransportError, match="another broker uses this folder"):
        new_broker(tmp_path).start()
    first.close()
    second = new_broker(tmp_path).start()
    assert second.bootstrap == address
    assert consume_all(address, topic, 10) == VALUES[:10]
    second.close()
    assert (tmp_path / "kafka-data").is_dir()


def test_port_that_is_taken_is_refused_in_one_line(broker, new_broker):
    port = int(broker.bootstrap.rpartition(":")[2])
    other = new_broker(port=port)
    with pytest.raises(TransportError, match=f"port {port} is taken") as caught:
        other.start()
    assert "\n" not in str(caught.value)
    assert not other.is_running


@pytest.mark.slow
def test_temporary_folder_goes_and_log_of_a_failure_stays(new_broker):
    with new_broker() as good:
        folder = good.folder
        assert good.start().pid == good.pid
    assert not folder.exists()
    bad = new_broker(properties={"num.network.threads": "many"})
    with pytest.raises(
        TransportError, match=r"Kafka did not start: .*num.network.threads"
    ) as error:
        bad.start()
    assert "\n" not in str(error.value)
    bad.close()
    assert "num.network.threads" in bad.log_file.read_text()
    shutil.rmtree(bad.folder)


def test_broker_that_is_not_ready_in_time_is_ended(new_broker):
    slow = new_broker()
    with pytest.raises(TransportError, match="not ready after 0 s"):
        slow.start(timeout_s=0.0)
    assert not slow.is_running
    slow.close()
    assert slow.log_file.exists()
    shutil.rmtree(slow.folder)


@pytest.mark.slow
def test_command_announces_serves_and_stops_on_ctrl_c(tmp_path):
    require_kafka()
    command = _start_command("--port", "0", "--folder", str(tmp_path))
    try:
        ready = command.stdout.readline()
        assert ready.startswith(f"Apache Kafka {KAFKA_VERSION} is ready on 127.0.0.1:"), ready
        with open_admin(ready.split()[-1]) as admin:
            assert admin.list_topics() == []
        pid = _pid_of_broker(command.pid)
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=60)
        assert (command.returncode, out.splitlines()[-1], err) == (0, "stopped", "")
        assert not _is_alive(pid)
    finally:
        command.kill()
        command.communicate()


@pytest.mark.slow
def test_broker_does_not_outlive_a_command_that_is_killed(tmp_path):
    require_kafka()
    command = _start_command("--port", "0", "--folder", str(tmp_path))
    try:
        assert command.stdout.readline(), command.stderr.read()
        pid = _pid_of_broker(command.pid)
        assert _is_alive(pid)
        os.kill(command.pid, signal.SIGKILL)
        wait_until(lambda: not _is_alive(pid), what="the broker's end")
    finally:
        command.kill()
        command.communicate()


@pytest.mark.slow
def test_command_says_when_its_broker_dies(tmp_path):
    require_kafka()
    command = _start_command("--port", "0", "--folder", str(tmp_path))
    try:
        assert command.stdout.readline(), command.stderr.read()
        os.kill(_pid_of_broker(command.pid), signal.SIGKILL)
        _, err = command.communicate(timeout=60)
        assert command.returncode == 4
        assert "Kafka exited unexpectedly (signal 9)" in err
        assert len(err.splitlines()) == 1
    finally:
        command.kill()
        command.communicate()


@pytest.mark.slow
def test_jars_are_fetched_once_by_the_first_process(tmp_path, monkeypatch):
    require_kafka()
    if shutil.which("mvn") is None:
        pytest.skip("needs Apache Kafka: apt-get install openjdk-17-jre-headless maven")
    monkeypatch.setenv("DRIFTLINE_CACHE_DIR", str(tmp_path))
    assert not has_libraries()
    other = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from monitor.devkit.distribution import install_libraries as i; print(i())",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    mine = install_libraries()
    theirs, _ = other.communicate(timeout=300)
    assert str(mine) == theirs.strip() == str(libraries_folder())
    assert other.returncode == 0
    assert has_libraries()
    assert not list(mine.parent.glob(".fetch-*"))
    before = (mine / f"kafka_2.13-{KAFKA_VERSION}.jar").stat().st_ino
    assert install_libraries() == mine
    assert (mine / f"kafka_2.13-{KAFKA_VERSION}.jar").stat().st_ino == before
