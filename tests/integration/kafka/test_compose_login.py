"""The accounts of docker-compose.yml on a real broker: its settings, its clients' environments."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import yaml

from monitor.devkit.dev_broker import DevBroker
from monitor.transport.kafka.auth.security_environment import security_from_environment
from monitor.transport.kafka.topics.connection import open_admin
from schemas.errors import TransportError
from tests.support.kafka.broker import require_kafka
from tests.support.repository import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
CLIENTS = [n for n, s in SERVICES.items() if "DRIFTLINE_KAFKA" in s.get("environment", {})]


def filled(text: str) -> str:
    """Put a password of its own into each variable that must be set."""
    return re.sub(r"\$\{(\w+):\?[^}]+\}", lambda m: f"{m[1].lower()}-secret", text)


@pytest.fixture(scope="module")
def composed() -> Iterator[DevBroker]:
    """A broker whose listener for clients is that of the file."""
    require_kafka()
    broker = SERVICES["kafka"]["environment"]
    login = "LISTENER_NAME_CLIENTS_PLAIN_SASL_JAAS_CONFIG"
    names = ("SASL_ENABLED_MECHANISMS", login)
    properties = {name.lower().replace("_", "."): filled(broker[f"KAFKA_{name}"]) for name in names}
    with DevBroker(listeners={"CLIENTS": "SASL_PLAINTEXT"}, properties=properties) as running:
        yield running


def environment(name: str) -> dict[str, str]:
    given = SERVICES[name]["environment"]
    return {key: filled(value) for key, value in given.items() if key.startswith("DRIFTLINE_KAFKA")}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_of_the_file_logs_in(composed, name, monkeypatch):
    for key, value in environment(name).items():
        monkeypatch.setenv(key, value)
    with open_admin(composed.address("CLIENTS"), security_from_environment()) as admin:
        assert admin.list_topics() is not None


def test_a_client_with_the_password_of_another_is_refused(composed, monkeypatch):
    for key, value in environment("ingest").items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("DRIFTLINE_KAFKA_USERNAME", "admin")
    with (
        pytest.raises(TransportError),
        open_admin(composed.address("CLIENTS"), security_from_environment()) as admin,
    ):
        admin.list_topics()
