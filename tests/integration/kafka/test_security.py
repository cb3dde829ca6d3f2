"""Both clients log in to a real broker: TLS, client certificates, every SASL mechanism."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from monitor.devkit.dev_broker import DevBroker
from monitor.transport.kafka.auth.oauth import TokenEndpoint, TokenProvider
from monitor.transport.kafka.auth.secret import SecretSource
from monitor.transport.kafka.auth.security import KafkaSecurity, confluent_settings
from monitor.transport.kafka.auth.security_environment import PREFIX, security_from_environment
from monitor.transport.kafka.topics.connection import open_admin
from schemas.errors import TransportError
from tests.support.certificates import Certificates, make_certificates
from tests.support.kafka.broker import require_kafka
from tests.support.kafka.messages import consume_all, create_topic, produce_all

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
SECRET = "correct-horse-battery"
MODULES = "org.apache.kafka.common.security"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


def _token(lifetime_s: int = 3600) -> str:
    """Make an unsecured token, which a broker without a key set takes in development."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": "alice", "iat": now, "exp": now + lifetime_s})
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in parts]
    return b".".join([*encoded, b""]).decode()


def _server_settings(certificates: Certificates) -> dict[str, str]:
    login = "listener.name.secure"
    stores = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificates.server),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(certificates.ca),
    }
    return {
        **stores,
        "listener.name.mutual.ssl.client.auth": "required",
        f"{login}.sasl.enabled.mechanisms": ",".join(MECHANISMS),
        f"{login}.plain.sasl.jaas.config": f"{MODULES}.plain.PlainLoginModule required "
        f'user_alice="{SECRET}";',
        f"{login}.scram-sha-256.sasl.jaas.config": f"{MODULES}.scram.ScramLoginModule required;",
        f"{login}.scram-sha-512.sasl.jaas.config": f"{MODULES}.scram.ScramLoginModule required;",
        f"{login}.oauthbearer.sasl.jaas.config": f"{MODULES}.oauthbearer.OAuthBearerLoginModule "
        'required unsecuredLoginStringClaim_sub="broker";',
    }


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    require_kafka()
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure_broker(certificates) -> Iterator[DevBroker]:
    users = [f"SCRAM-SHA-{bits}=[name=alice,password={SECRET}]" for bits in (256, 512)]
    with DevBroker(
        listeners={"SECURE": "SASL_SSL", "MUTUAL": "SSL"},
        properties=_server_settings(certificates),
        format_arguments=["--add-scram", users[0], "--add-scram", users[1]],
    ) as running:
        yield running


def _login(mechanism: str, certificates: Certificates, secret: str = SECRET) -> dict[str, str]:
    env = {f"{PREFIX}CA_FILE": str(certificates.ca), f"{PREFIX}SASL": mechanism}
    if mechanism == "OAUTHBEARER":
        return env | {f"{PREFIX}TOKEN": _token() if secret == SECRET else secret}
    return env | {f"{PREFIX}USERNAME": "alice", f"{PREFIX}PASSWORD": secret}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_both_clients_log_in(secure_broker, certificates, topic_prefix, mechanism, monkeypatch):
    for name, value in _login(mechanism, certificates).items():
        monkeypatch.setenv(name, value)
    address, topic = secure_broker.address("SECURE"), f"{topic_prefix}{mechanism}"
    security = security_from_environment()
    settings = confluent_settings(security)
    create_topic(address, topic, settings=settings)
    produce_all(address, topic, [b"a", b"b"], settings)
    assert consume_all(address, topic, 2, settings) == [b"a", b"b"]
    with open_admin(address, security) as admin:
        assert topic in admin.list_topics()


def _refusal(address: str, security: KafkaSecurity) -> tuple[str, str]:
    """Return why a client is refused and what kafka-python logs meanwhile.

    It leaves sockets open then: lets go of all that holds them, and collects them.
    """
    with _kafka_log() as log:
        refusal = _try(address, security)
    gc.collect()
    return refusal, log.getvalue()


@contextmanager
def _kafka_log() -> Iterator[io.StringIO]:
    """Keep what kafka-python logs as text: pytest keeps records, and so errors and sockets."""
    logger, text = logging.getLogger("kafka"), io.StringIO()
    handler = logging.StreamHandler(text)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    # Not in a fixture: pytest listens to loggers that are cut off before the test begins.
    logger.propagate = False
    try:
        yield text
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _try(address: str, security: KafkaSecurity) -> str:
    try:
        with open_admin(address, security, timeout_s=3.0) as admin:
            admin.list_topics()
    except TransportError as error:
        return str(error)
    raise AssertionError("no client was refused")


# The sockets are closed by the garbage collector, which warns of each.
leaves_sockets = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <:pytest.PytestUnraisableExceptionWarning"
)


@leaves_sockets
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_wrong_secret_is_refused_and_not_shown(
    secure_broker, certificates, mechanism, monkeypatch, capfd
):
    wrong = "wrong-horse-7731"
    for name, value in _login(mechanism, certificates, wrong).items():
        monkeypatch.setenv(name, value)
    n_threads = threading.active_count()
    refusal, log = _refusal(secure_broker.address("SECURE"), security_from_environment())
    assert "Kafka rejected the login" in refusal
    assert "\n" not in refusal
    out, err = capfd.readouterr()
    assert "Starting KafkaAdminClient with configuration" in log
    assert wrong not in refusal + out + err + log
    assert threading.active_count() == n_threads


@leaves_sockets
def test_client_certificate_opens_a_listener_that_asks_for_one(
    secure_broker, certificates, topic_prefix, monkeypatch
):
    monkeypatch.setenv(f"{PREFIX}CA_FILE", str(certificates.ca))
    address = secure_broker.address("MUTUAL")
    assert "rejected the login" in _refusal(address, security_from_environment())[0]
    monkeypatch.setenv(f"{PREFIX}CERTIFICATE_FILE", str(certificates.client))
    monkeypatch.setenv(f"{PREFIX}KEY_FILE", str(certificates.client_key))
    monkeypatch.setenv(f"{PREFIX}KEY_PASSWORD", certificates.client_key_password)
    security, topic = security_from_environment(), f"{topic_prefix}mutual"
    create_topic(address, topic, settings=confluent_settings(security))
    with open_admin(address, security) as admin:
        assert topic in admin.list_topics()


@leaves_sockets
def test_broker_with_an_untrusted_certificate_is_refused(secure_broker, monkeypatch, tmp_path):
    for name, value in _login("SCRAM-SHA-512", make_certificates(tmp_path)).items():
        monkeypatch.setenv(name, value)
    refusal, _ = _refusal(secure_broker.address("SECURE"), security_from_environment())
    assert "certificate verify failed" in refusal.lower()


class _Endpoint(BaseHTTPRequestHandler):
    """A token endpoint: one client, tokens for an hour."""

    def do_POST(self) -> None:
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        expected = "Basic " + base64.b64encode(b"ingest:client%2Fsecret").decode()
        is_right = self.headers["Authorization"] == expected
        self.server.asked.append(asked)
        answer: dict[str, Any] = {"error": "invalid_client"}
        if is_right:
            answer = {"access_token": _token(), "token_type": "Bearer", "expires_in": 100}
        body = json.dumps(answer).encode()
        self.send_response(200 if is_right else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _url(endpoint: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{endpoint.server_port}/token"


def test_token_endpoint_lets_both_clients_in(
    secure_broker, certificates, endpoint, topic_prefix, monkeypatch
):
    wanted = {
        "CA_FILE": str(certificates.ca),
        "SASL": "OAUTHBEARER",
        "TOKEN_ENDPOINT": _url(endpoint),
        "CLIENT_ID": "ingest",
        "CLIENT_SECRET": "client/secret",
        "SCOPE": "kafka write",
    }
    for name, value in wanted.items():
        monkeypatch.setenv(PREFIX + name, value)
    security, topic = security_from_environment(), f"{topic_prefix}endpoint"
    address = secure_broker.address("SECURE")
    create_topic(address, topic, settings=confluent_settings(security))
    with open_admin(address, security) as admin:
        assert topic in admin.list_topics()
    assert {"grant_type": ["client_credentials"], "scope": ["kafka write"]} in endpoint.asked


def test_token_is_used_until_most_of_its_life_is_over(endpoint):
    now = [1_000_000]
    source = TokenEndpoint(_url(endpoint), "ingest", SecretSource("S"))
    provider = TokenProvider(source, {"S": "client/secret"}, clock=lambda: now[0])
    first = provider.token()
    assert first.expires_us == 101_000_000
    now[0] += 79_999_999
    assert provider.token() is first
    now[0] += 1
    assert provider.token() is not first
    assert len(endpoint.asked) == 2


def test_refusal_of_the_token_endpoint_shows_no_secret(endpoint):
    source = TokenEndpoint(_url(endpoint), "ingest", SecretSource("S"))
    with pytest.raises(TransportError, match="answered 401") as caught:
        TokenProvider(source, {"S": SECRET}).token()
    assert SECRET not in repr(caught.value) + str(caught.value)


def test_token_endpoint_that_is_away_is_one_line():
    source = TokenEndpoint("http://127.0.0.1:1/token", "ingest", SecretSource("S"))
    with pytest.raises(TransportError, match="does not answer: .*refused"):
        TokenProvider(source, {"S": SECRET}).token()
