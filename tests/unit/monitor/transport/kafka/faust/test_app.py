"""Faust's settings, logins and the watchdogs, without a broker."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiokafka.errors import KafkaTimeoutError
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.types import TP
from mode import CrashingSupervisor

from monitor.core.write import Write
from monitor.service.lifecycle import Lifecycle
from monitor.transport.kafka.auth.secret import SecretSource
from monitor.transport.kafka.auth.security import KafkaSecurity, Mechanism
from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.faust import app as under_test
from monitor.transport.kafka.faust.app import TICK_S, WRITE_S, build_app, send
from monitor.transport.kafka.faust.login import faust_credentials
from schemas.errors import ConfigError, TransportError
from tests.support.certificates import make_certificates

LOGIN = {"username": "alice", "password": SecretSource("P"), "is_cleartext_allowed": True}


def test_an_app_has_the_settings_that_were_measured_safe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cluster = Cluster("a:1,b:2", prefix="eu.", session_timeout_ms=10_000)
    app = build_app(cluster, "driftline-detect", member="m-1")
    conf = app.conf
    assert conf.id == "eu.driftline-detect"
    assert [(u.host, u.port) for u in conf.broker] == [("a", 1), ("b", 2)]
    assert (conf.topic_disable_leader, conf.topic_allow_declare) == (True, False)
    assert (conf.table_standby_replicas, conf.stream_wait_empty) == (0, True)
    assert (conf.web_enabled, conf.consumer_group_instance_id) == (False, "m-1")
    assert conf.agent_supervisor is CrashingSupervisor
    assert conf.broker_session_timeout == 10.0
    assert conf.broker_session_timeout <= conf.broker_request_timeout
    assert conf.processing_guarantee.name == "AT_LEAST_ONCE"
    app._create_directories()
    assert list(tmp_path.iterdir()) == []


def test_the_producer_is_idempotent_and_the_transport_our_own():
    app = build_app(Cluster("127.0.0.1:1"), "g")
    assert app.producer._settings_extra() == {"acks": "all", "enable_idempotence": True}
    assert type(app.transport).__module__ == type(app.producer_transport).__module__
    assert type(app.transport).__module__ == "monitor.transport.kafka.faust.client"


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_by_password_is_spelled_and_hidden(mechanism):
    security = KafkaSecurity(mechanism=Mechanism(mechanism), **LOGIN)
    found = faust_credentials(security, {"P": "hunter2"})
    assert isinstance(found, SASLCredentials)
    assert (found.protocol.value, found.mechanism.value) == ("SASL_PLAINTEXT", mechanism)
    assert found.password == "hunter2"
    assert "hunter2" not in repr(found) + repr(vars(found))
    with pytest.raises(ConfigError, match="P"):
        faust_credentials(security, {})


def test_tls_checks_the_broker_and_shows_our_certificate(tmp_path):
    made = make_certificates(tmp_path)
    security = KafkaSecurity(
        is_tls=True,
        ca_file=made.ca,
        certificate_file=made.client,
        key_file=made.client_key,
        key_password=SecretSource("K"),
    )
    found = faust_credentials(security, {"K": made.client_key_password})
    assert isinstance(found, SSLCredentials)
    assert found.context.verify_mode is ssl.CERT_REQUIRED
    assert found.context.check_hostname
    with pytest.raises(ConfigError, match="certificates cannot be used"):
        faust_credentials(security, {"K": "wrong"})
    token = KafkaSecurity(
        is_tls=True, ca_file=made.ca, mechanism=Mechanism.OAUTHBEARER, token=SecretSource("T")
    )
    found = faust_credentials(token, {"T": "abc"})
    assert isinstance(found, OAuthCredentials)
    assert found.protocol.value == "SASL_SSL"
    assert faust_credentials(KafkaSecurity()) is None


def test_the_watchdog_counts_only_while_acks_come_and_commits_do_not():
    app = build_app(Cluster("127.0.0.1:1"), "g")
    tp, other = TP("t", 0), TP("t", 1)
    app.note_ack(tp, 4)
    assert app.stuck_since_s(100.0) == (tp, 100.0)
    assert app.stuck_since_s(130.0) == (tp, 100.0)
    app.monitor.tp_committed_offsets[tp] = 3
    assert app.stuck_since_s(140.0) == (tp, 140.0)
    app.note_ack(other, 9)
    app.monitor.tp_committed_offsets[other] = 10
    assert app.stuck_since_s(150.0) == (tp, 140.0)
    app.monitor.tp_committed_offsets[tp] = 5
    assert app.stuck_since_s(160.0)[1] == 160.0


class FakeApp:
    """An app that has joined, and whose writes are acknowledged when the test says so."""

    is_committing = rebalancing = should_stop = False
    failure = crash_reason = None

    def __init__(self) -> None:
        self.producer, self.waiting = self, []

    def stuck_since_s(self, _: float) -> None:
        return None

    async def send(self, *_: object) -> asyncio.Future[None]:
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]


class FaustStage:
    """A run that is watched on a clock that is set by hand."""

    def __init__(self, monkeypatch) -> None:
        self.now_s, self.n_beats, self.is_restored = 100.0, 0, True
        monkeypatch.setattr(under_test, "elapsed_s", lambda: self.now_s)
        monkeypatch.setattr(under_test, "_STEP_S", 0.0)
        self.app, self.lifecycle = FakeApp(), Lifecycle("detect")
        self.lifecycle.beat = self._beat  # type: ignore[method-assign]

    def _beat(self) -> None:
        self.n_beats += 1

    async def live(self, story) -> None:
        starting = asyncio.create_task(asyncio.sleep(0))
        await starting
        ready = lambda: self.is_restored  # noqa: E731
        watch = under_test._watch(self.app, self.lifecycle, starting, None, ready, 60.0)
        watching = asyncio.create_task(watch)
        try:
            await story(self)
        finally:
            self.lifecycle.drain()
            await watching

    async def pass_s(self, seconds: float) -> str:
        """Let time pass, and return what is said after two more rounds."""
        self.now_s += seconds
        for _ in range(2):
            n_beats = self.n_beats
            self.now_s += TICK_S
            await until(lambda before=n_beats: self.n_beats > before)
        return self.lifecycle._unready

    def write(self) -> asyncio.Task[None]:
        writes = [Write("t", b"k", b"v")] * 2
        return asyncio.create_task(send(self.app, Cluster("nowhere:9092"), writes))

    async def written(self, n: int) -> None:
        await until(lambda: len(self.app.waiting) == n)


async def until(is_so) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0)


@pytest.fixture
def play(monkeypatch):
    return lambda story: asyncio.run(FaustStage(monkeypatch).live(story))


def test_a_write_that_waits_is_reported_and_its_end_too(play):
    async def story(stage: FaustStage) -> None:
        assert await stage.pass_s(3_600.0) == ""  # there was nothing to do
        stuck = stage.write()
        await stage.written(2)
        assert await stage.pass_s(WRITE_S - 5.0) == ""
        # Others go on meanwhile: the oldest one counts.
        other = stage.write()
        await stage.written(4)
        for acknowledged in stage.app.waiting[2:]:
            acknowledged.set_result(None)
        await other
        assert await stage.pass_s(5.0) == "a write waits for the broker"
        assert not stage.lifecycle.is_ready
        stage.app.waiting[0].set_result(None)
        assert await stage.pass_s(0.0) == "a write waits for the broker"
        stage.app.waiting[1].set_result(None)
        await stuck
        assert await stage.pass_s(0.0) == ""
        assert stage.lifecycle.is_ready

    play(story)


def test_many_writes_that_are_each_acknowledged_are_no_write_that_waits(play):
    async def story(stage: FaustStage) -> None:
        for n in range(1, 10):
            writing = stage.write()
            await stage.written(2 * n)
            assert await stage.pass_s(WRITE_S - 5.0) == ""
            for acknowledged in stage.app.waiting[-2:]:
                acknowledged.set_result(None)
            await writing

    play(story)


def test_a_long_restore_is_no_write_that_waits_but_one_in_it_is(play):
    async def story(stage: FaustStage) -> None:
        stage.is_restored = False
        assert await stage.pass_s(3_600.0) == "restoring"
        stuck = stage.write()
        await stage.written(2)
        assert await stage.pass_s(WRITE_S) == "a write waits for the broker"
        stuck.cancel()
        await asyncio.wait([stuck])
        assert await stage.pass_s(0.0) == "restoring"

    play(story)


def test_a_write_that_fails_waits_no_longer(play):
    async def story(stage: FaustStage) -> None:
        failing = stage.write()
        await stage.written(2)
        stage.app.waiting[0].set_exception(KafkaTimeoutError())
        with pytest.raises(TransportError, match="a write failed"):
            await failing
        assert await stage.pass_s(WRITE_S) == ""

    play(story)
