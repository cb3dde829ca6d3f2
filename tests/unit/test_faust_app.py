"""Faust's settings, logins and the watchdog, without a broker."""

from __future__ import annotations

import ssl

import pytest
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.types import TP
from mode import CrashingSupervisor

from monitor.transport.kafka.cluster import Cluster
from monitor.transport.kafka.faust_app import build_app
from monitor.transport.kafka.faust_login import faust_credentials
from monitor.transport.kafka.secret import SecretSource
from monitor.transport.kafka.security import KafkaSecurity, Mechanism
from schemas.errors import ConfigError
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
    assert type(app.transport).__module__ == "monitor.transport.kafka.faust_client"


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
