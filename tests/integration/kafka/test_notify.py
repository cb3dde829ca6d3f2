"""Notify on a real broker: notified once after any crash; a receiver that is down is retried."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from monitor.core.topics import ALERTS, DEAD_LETTERS, NOTIFICATIONS
from monitor.notify.delivery.log import decode_entry
from monitor.notify.on_kafka import run_notify
from monitor.notify.receivers.signed_post import SignedPost
from monitor.notify.receivers.webhook import WebhookReceiver
from monitor.notify.stage import GROUP
from monitor.service.armed_failpoints import failpoints
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.readers.group_offset import committed_offset
from monitor.transport.kafka.readers.topic_scan import scan
from monitor.transport.kafka.topics import known as known_topics
from monitor.transport.kafka.topics.specs import topic_specs
from schemas.alerts import Alert, Transition
from schemas.config.model import ModelConfig
from schemas.config.monitor import MonitorConfig
from schemas.errors import ConfigError, TransportError
from schemas.refused import DeadLetter
from tests.support.alerts import drift, gpu
from tests.support.kafka.topics import Topic
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
MODEL = ModelConfig.model_validate(
    {"model": "employment", "features": {f"f{i}": {"kind": "numeric"} for i in range(40)}}
)
BOUND_S = 90.0


class WebhookServer:
    """A webhook server on a port of its own, which fails when ``is_deaf`` is set."""

    def __init__(self) -> None:
        self.received: list[dict] = []
        self.is_failing = False
        self.chokes_on = ""
        """The alert whose messages are answered with 500."""
        self.n_refused = 0
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                is_choking = body["incident"]["owner_alert_id"] == webhook.chokes_on
                if webhook.is_failing or is_choking:
                    webhook.n_refused += 1
                else:
                    webhook.received.append(body)
                self.send_response(503 if webhook.is_failing else 500 if is_choking else 200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def owners(self) -> list[str]:
        """The alert each message is about, in order."""
        return [body["incident"]["owner_alert_id"] for body in self.received]


@pytest.fixture
def new_webhook() -> Iterator[Callable[[], WebhookServer]]:
    made: list[WebhookServer] = []

    def make() -> WebhookServer:
        made.append(WebhookServer())
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def cluster(broker, topic_prefix) -> Cluster:
    cluster = Cluster(broker.bootstrap, topic_prefix, session_timeout_ms=6_000)
    topics = {ALERTS, NOTIFICATIONS, DEAD_LETTERS}
    for spec in topic_specs(n_input=2, prefix=cluster.prefix):
        if spec.name.removeprefix(cluster.prefix) in topics:
            Topic(broker.bootstrap, spec.n_partitions, dict(spec.settings), spec.name)
    return cluster


def alert(i: int, **more: object) -> Alert:
    """An alert that is an incident of its own."""
    return drift(3 + i // 40, f"f{i % 40}", **more)


def write(cluster: Cluster, *alerts: Alert | bytes) -> None:
    """Append alerts as detect does, with the time they came at."""
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "enable.idempotence": True})
    for each in alerts:
        value = each if isinstance(each, bytes) else msgspec.msgpack.encode(each)
        time_ms = -1 if isinstance(each, bytes) else each.time_us // 1000 + 60_000
        more = {} if time_ms < 0 else {"timestamp": time_ms}
        producer.produce(cluster.topic(ALERTS), value, partition=0, **more)
    assert producer.flush(30) == 0


def run(
    cluster: Cluster, urls: dict[str, str], lifecycle: Lifecycle, member=None, wait="0s"
) -> None:
    receivers = {name: WebhookReceiver(SignedPost(name, url)) for name, url in urls.items()}
    monitor = MonitorConfig.model_validate({"group_wait": wait})
    run_notify(cluster, monitor, [MODEL], receivers, {}, lifecycle, member=member)


class Running:
    """The stage in a thread of this process; leaves in good order at the end of the block."""

    def __init__(self, cluster: Cluster, urls: dict[str, str], **more: str) -> None:
        self.lifecycle, self.error = Lifecycle("notify"), None
        self._thread = threading.Thread(target=self._run, args=(cluster, urls, more))

    def _run(self, cluster, urls, more) -> None:
        try:
            run(cluster, urls, self.lifecycle, **more)
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Running:
        self._thread.start()
        wait_until(lambda: self.lifecycle.is_ready or self.error is not None, BOUND_S, "ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.lifecycle.drain()
        self._thread.join(BOUND_S)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


class Process:
    """The stage in a process of its own, which may be killed."""

    def __init__(self, cluster: Cluster, url: str, crash_at: str = "", member: str = "") -> None:
        environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        environment |= {"PYTHONPATH": str(ROOT), "DRIFTLINE_CRASH_AT": crash_at}
        arguments = [cluster.bootstrap, cluster.prefix, url, member]
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, *arguments],
            env=environment,
            cwd=ROOT,
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def died(self) -> bool:
        return self.process.poll() is not None

    def end(self, number: int = signal.SIGKILL) -> int:
        if not self.died():
            self.process.send_signal(number)
        return self.process.wait(BOUND_S)


def main() -> None:
    """Run the stage as a process of its own, until SIGTERM."""
    bootstrap, prefix, url, member = sys.argv[1:]
    lifecycle = Lifecycle("notify", hit=failpoints(os.environ))
    signal.signal(signal.SIGTERM, lambda *_: lifecycle.drain())
    run(
        Cluster(bootstrap, prefix, session_timeout_ms=6_000),
        {"hook": url},
        lifecycle,
        member or None,
    )


def committed(cluster: Cluster) -> int:
    return committed_offset(cluster, GROUP, ALERTS, 0)


def steps(cluster: Cluster) -> Counter[str]:
    """How many steps of each kind the notification log holds."""
    return Counter(
        decode_entry(m.value).delivery.state for m in scan(cluster, NOTIFICATIONS, 0) if m.value
    )


def test_each_alert_is_sent_once_and_a_restart_repeats_nothing(cluster, new_webhook):
    webhook, first = new_webhook(), [alert(i) for i in range(30)]
    with Running(cluster, {"hook": webhook.url}):
        write(cluster, *first)
        wait_until(lambda: len(webhook.received) == 30, BOUND_S, "30 messages")
    assert webhook.owners == [a.alert_id for a in first]
    assert committed(cluster) == 30
    received = steps(cluster)
    assert received == {"intent": 30, "done": 30}
    last = alert(30)
    with Running(cluster, {"hook": webhook.url}):
        write(cluster, last)
        wait_until(lambda: len(webhook.received) == 31, BOUND_S, "the new alert")
    assert webhook.owners[30:] == [last.alert_id]
    assert steps(cluster) == {"intent": 31, "done": 31}


def test_an_incident_goes_on_after_a_restart(cluster, new_webhook):
    webhook, opened = new_webhook(), alert(0)
    with Running(cluster, {"hook": webhook.url}):
        write(cluster, opened)
        wait_until(lambda: len(webhook.received) == 1, BOUND_S, "the beginning")
    with Running(cluster, {"hook": webhook.url}):
        write(cluster, alert(0, time_us=opened.time_us + 1, transition=Transition.RESOLVED))
        wait_until(lambda: len(webhook.received) == 2, BOUND_S, "the end")
    assert [body["reason"] for body in webhook.received] == ["opened", "resolved"]
    assert len({body["dedup_key"] for body in webhook.received}) == 1


def test_a_group_is_sent_after_its_wait_though_no_alert_follows(cluster, new_webhook):
    webhook = new_webhook()
    with Running(cluster, {"hook": webhook.url}, wait="2s"):
        write(cluster, alert(0), alert(0, segment="sex=1"))
        wait_until(lambda: bool(webhook.received), BOUND_S, "the group")
    assert [len(body["incident"]["alerts"]) for body in webhook.received] == [2]


def test_a_receiver_that_is_down_delays_no_other_and_gets_all_later(cluster, new_webhook):
    well, ill = new_webhook(), new_webhook()
    ill.is_failing = True
    urls = {"well": well.url, "ill": ill.url}
    alerts = [alert(i) for i in range(8)]
    with Running(cluster, urls):
        write(cluster, *alerts[:5])
        wait_until(lambda: len(well.received) == 5 and ill.n_refused > 1, BOUND_S, "the others")
        wait_until(lambda: committed(cluster) == 5, BOUND_S, "the commit")
    # Pending notifications survive a restart.
    write(cluster, *alerts[5:])
    with Running(cluster, urls):
        wait_until(lambda: len(well.received) == 8, BOUND_S, "the new ones")
        assert ill.received == []
        ill.is_failing = False
        wait_until(lambda: len(ill.received) == 8, BOUND_S, "everything")
    assert well.owners == [a.alert_id for a in alerts]
    # Each is an incident of its own; an order there is only within one.
    assert sorted(ill.owners) == sorted(well.owners)
    assert steps(cluster) == {"intent": 16, "done": 16}


def test_an_incident_that_a_receiver_chokes_on_holds_up_only_itself(cluster, new_webhook):
    webhook, alerts = new_webhook(), [alert(i) for i in range(4)]
    webhook.chokes_on = alerts[0].alert_id
    end = alert(0, time_us=alerts[0].time_us + 1, transition=Transition.RESOLVED)
    others = [a.alert_id for a in alerts[1:]]
    with Running(cluster, {"hook": webhook.url}):
        write(cluster, *alerts[:3], end)
        wait_until(lambda: webhook.owners == others[:2], BOUND_S, "the others")
    with Running(cluster, {"hook": webhook.url}):
        write(cluster, alerts[3])
        wait_until(lambda: webhook.owners == others, BOUND_S, "the new one, after a restart")
        webhook.chokes_on = ""
        wait_until(lambda: len(webhook.received) == 5, BOUND_S, "what it choked on")
    assert webhook.owners == [*others, alerts[0].alert_id, alerts[0].alert_id]
    assert [body["reason"] for body in webhook.received[3:]] == ["opened", "resolved"]
    assert steps(cluster) == {"intent": 5, "done": 5}


def recreate(cluster: Cluster, topic: str) -> None:
    admin, name = AdminClient(cluster.client()), cluster.topic(topic)
    admin.delete_topics([name])[name].result(30)
    wait_until(lambda: name not in admin.list_topics(timeout=10).topics, what="the deletion")
    Topic(cluster.bootstrap, name=name)


def test_recreated_alerts_end_the_stage_and_a_restart_reads_them(cluster, new_webhook, monkeypatch):
    webhook, alerts = new_webhook(), [alert(i) for i in range(8)]
    monkeypatch.setattr(known_topics, "LOOK_S", 0.5)

    def live() -> None:
        with Running(cluster, {"hook": webhook.url}) as running:
            write(cluster, *alerts[:5])
            wait_until(
                lambda: len(webhook.received) == 5 and committed(cluster) == 5, BOUND_S, "five"
            )
            recreate(cluster, ALERTS)
            write(cluster, *alerts[5:])
            wait_until(lambda: running.error is not None, BOUND_S, "the end of it")

    with pytest.raises(TransportError, match="recreated"):
        live()
    with Running(cluster, {"hook": webhook.url}):
        wait_until(lambda: len(webhook.received) >= 8, BOUND_S, "the others")
    assert webhook.owners == [a.alert_id for a in alerts]


def test_what_is_no_alert_is_dead_lettered_and_the_next_one_is_sent(cluster, new_webhook):
    webhook, good = new_webhook(), alert(1)
    far = msgspec.msgpack.encode(alert(0, time_us=1 << 70 >> 8))
    with Running(cluster, {"hook": webhook.url}):
        write(cluster, b"\xc1 junk", b"", far, good)
        wait_until(lambda: bool(webhook.received), BOUND_S, "the good one")
    assert webhook.owners == [good.alert_id]
    letters = [
        msgspec.msgpack.decode(m.value, type=DeadLetter)
        for partition in range(2)
        for m in scan(cluster, DEAD_LETTERS, partition)
    ]
    assert sorted((d.source, d.offset) for d in letters) == [(ALERTS, 0), (ALERTS, 1), (ALERTS, 2)]


@pytest.mark.slow
def test_killed_at_every_step_it_repeats_at_most_what_was_under_way(cluster, new_webhook):
    webhook, alerts = new_webhook(), [alert(i) for i in range(12)]
    points = ["intent:2", "sent:2", "done:3", "commit:2", "restored:1"]
    write(cluster, *alerts)
    for point in points:
        with Process(cluster, webhook.url, f"notify:{point}", member="n1") as lifecycle:
            wait_until(lifecycle.died, BOUND_S, f"death at {point}")
        assert lifecycle.process.returncode == -signal.SIGKILL
    ids = {a.alert_id for a in alerts}
    with Process(cluster, webhook.url, member="n1") as last:
        wait_until(lambda: set(webhook.owners) == ids, BOUND_S, "all")
        wait_until(lambda: committed(cluster) == 12, BOUND_S, "the commit")
        assert last.end(signal.SIGTERM) == 0
    n_received = Counter(body["notification_id"] for body in webhook.received)
    # One may be under way at each death, whatever step it is: sent, the outcome not written.
    n_repeats = sum(n - 1 for n in n_received.values())
    assert n_repeats <= len(points)
    keys = {(b["notification_id"], b["dedup_key"]) for b in webhook.received}
    assert len(keys) == len(n_received) == 12
    assert steps(cluster)["done"] >= 12


@pytest.mark.slow
def test_of_two_processes_one_works_and_the_other_takes_over(cluster, new_webhook):
    webhook, alerts = new_webhook(), [alert(i) for i in range(6)]
    lives = [Process(cluster, webhook.url, member=f"n{i}") for i in range(2)]
    try:
        write(cluster, *alerts[:3])
        wait_until(lambda: len(webhook.received) >= 3, BOUND_S, "the first three")
        wait_until(lambda: committed(cluster) == 3, BOUND_S, "the commit")
        wait_until(lambda: steps(cluster)["done"] == 3, BOUND_S, "the outcomes")
        lives.pop(0).end()
        write(cluster, *alerts[3:])
        # Half of the time it was the idle one that died.
        wait_until(lambda: len(webhook.received) >= 6, BOUND_S, "the others")
        wait_until(lambda: steps(cluster)["done"] == 6, BOUND_S, "their outcomes")
        lives.append(Process(cluster, webhook.url, member="n0"))
        lives.pop(0).end()
        more = alert(6)
        write(cluster, more)
        wait_until(lambda: more.alert_id in webhook.owners, BOUND_S, "the last one")
    finally:
        for lifecycle in lives:
            lifecycle.end()
    assert webhook.owners == [a.alert_id for a in [*alerts, more]]


def test_a_route_to_an_unknown_receiver_is_refused_at_the_start(cluster):
    model = MODEL.model_copy(update={"model": "other"})
    model = ModelConfig.model_validate(
        {**model.model_dump(exclude_unset=True), "routes": [{"receivers": ["absent"]}]}
    )
    with pytest.raises(ConfigError, match="'absent'"):
        run_notify(cluster, MonitorConfig(), [model], {}, {}, Lifecycle("notify"))


def test_a_gpu_alert_and_a_drift_alert_become_one_stream(cluster, new_webhook):
    webhook = new_webhook()
    with Running(cluster, {"hook": webhook.url}):
        write(cluster, gpu(3.1, "double_bit_ecc"), drift(5, "f1"))
        wait_until(lambda: len(webhook.received) == 2, BOUND_S, "both")
    assert [body["incident"]["cause"] for body in webhook.received] == ["hardware", "data"]


if __name__ == "__main__":
    main()
