"""Every role works with exactly the rights of the table, on a broker that refuses all others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from monitor.app.stages import STAGES, TOPICS
from monitor.archive.topic import group_of
from monitor.core import topics
from monitor.devkit.dev_broker import DevBroker
from monitor.storage.clickhouse import Store
from monitor.transport.kafka.auth.acls import Resource, Role, rights_of
from monitor.transport.kafka.auth.security_environment import PREFIX
from tests.support.installation import command, event, install
from tests.support.kafka.broker import require_kafka
from tests.support.repository import ROOT
from tests.support.stage_processes import Stages
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.timeout(600)]
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
USERS = [*(role.value for role in Role), "stranger"]


def password(user: str) -> str:
    return f"{user}-secret"


@pytest.fixture(scope="module")
def guarded() -> Iterator[DevBroker]:
    """A broker with an account for each role, and rights for none but its own listener."""
    require_kafka()
    accounts = [f"SCRAM-SHA-512=[name={user},password={password(user)}]" for user in USERS]
    with DevBroker(
        listeners={"CLIENTS": "SASL_PLAINTEXT"},
        properties={
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            # Clients of the plain listener: the broker itself, and this test.
            "super.users": "User:ANONYMOUS",
            "listener.name.clients.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.clients.scram-sha-512.sasl.jaas.config": LOGIN,
        },
        format_arguments=[text for account in accounts for text in ("--add-scram", account)],
    ) as running:
        yield running


def bindings(role: Role) -> list[AclBinding]:
    return [
        AclBinding(
            ResourceType.TOPIC if right.resource is Resource.TOPIC else ResourceType.GROUP,
            right.name,
            ResourcePatternType.PREFIXED if right.is_prefix else ResourcePatternType.LITERAL,
            f"User:{role.value}",
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
        for right in rights_of(role)
        for operation in right.operations
    ]


def login(broker: DevBroker, user: str) -> dict[str, str]:
    """Environment of a command that logs in."""
    return {
        "DRIFTLINE_KAFKA": broker.address("CLIENTS"),
        f"{PREFIX}SASL": "SCRAM-SHA-512",
        f"{PREFIX}TLS": "0",
        f"{PREFIX}USERNAME": user,
        f"{PREFIX}PASSWORD": password(user),
    }


@pytest.fixture
def run_as(guarded, monkeypatch) -> Callable:
    def run(user: str, *arguments: object):
        with monkeypatch.context() as patch:
            for name, value in login(guarded, user).items():
                patch.setenv(name, value)
            return command(*arguments)

    return run


@pytest.fixture(scope="module")
def allowed(guarded) -> AdminClient:
    admin = AdminClient({"bootstrap.servers": guarded.bootstrap})
    for future in admin.create_acls([b for role in Role for b in bindings(role)]).values():
        future.result()
    return admin


def refused_of(producer_settings: dict[str, str], topic: str) -> str:
    """Return why a message was refused; empty if it was taken."""
    errors: list[str] = []
    producer = Producer({**producer_settings, "message.timeout.ms": 20_000})
    producer.produce(
        topic, b"x", on_delivery=lambda e, _: errors.append("" if e is None else e.name())
    )
    producer.flush(30)
    return errors[0]


def settings(broker: DevBroker, user: str) -> dict[str, str]:
    return {
        "bootstrap.servers": broker.address("CLIENTS"),
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": password(user),
    }


def letters_archived(admin: AdminClient) -> int:
    """Return how far the archive has committed the dead letters, which have one partition."""
    asked = ConsumerGroupTopicPartitions(group_of(topics.DEAD_LETTERS))
    [future] = admin.list_consumer_group_offsets([asked]).values()
    return sum(max(p.offset, 0) for p in future.result(30).topic_partitions)


def test_the_whole_path_works_with_exactly_the_rights_of_the_table(
    guarded, allowed, run_as, tmp_path
):
    site = install(tmp_path / "site")
    file = site / "driftline.yaml"
    small = ("--partitions", 1, "--input-partitions", 1)
    assert run_as("stranger", "topics", "create", "--yes", *small).code != 0
    made = run_as("topics", "topics", "create", "--yes", *small)
    assert made.code == 0, made.err
    assert run_as("topics", "topics", "check", *small).code == 0
    published = run_as("publisher", "baseline", "publish", "--config", file)
    assert published.code == 0, published.err + published.out
    with Stages(file, guarded.bootstrap, {"DRIFTLINE_LOG": "text"}) as stages:
        running = {
            role: stages.start(role, **login(guarded, role))
            for role in ("ingest", "detect", "notify", "archive")
        }
        for process in running.values():
            process.wait_ready()
        producer = Producer(settings(guarded, "producer"))
        for i in range(8_000):
            producer.produce(topics.PREDICTIONS, event(i))
        producer.produce(topics.PREDICTIONS, b"{")
        producer.produce(topics.LABELS, b'{"id":"e1","model":"loans","time_us":1,"label":1}')
        producer.produce(topics.GPU, b"no event")
        assert producer.flush(30) == 0
        wait_until(lambda: running["detect"].metric("driftline_windows_total") > 0, 120, "a window")
        # Ingest's, detect's, and the archive's own: it stores a letter once it has read it back.
        wait_until(lambda: letters_archived(allowed) == 3, 120, "three letters in the store")
        for role, process in running.items():
            assert process.stop(60) == 0, process.log
            assert "AUTHORIZATION" not in process.log.upper(), (role, process.log)
    with Store.open(str(site / "driftline-store")) as store:
        assert store.query("SELECT count() AS n FROM predictions")["n"][0].as_py() == 8_000
        reasons = store.query("SELECT DISTINCT source FROM dead_letters")["source"].to_pylist()
    assert topics.GPU in reasons
    assert len(reasons) == 3  # ingest's, detect's, and the archive's: a label of 1970


FORBIDDEN = {
    role: [
        name
        for name in (
            topics.PREDICTIONS,
            topics.PANES,
            topics.STATE,
            topics.BASELINES,
            topics.ALERTS,
        )
        if not any(right.name == name and "write" in right.operations for right in rights_of(role))
    ]
    for role in (Role.PRODUCER, Role.INGEST, Role.DETECT, Role.NOTIFY, Role.ARCHIVE, Role.PUBLISHER)
}


@pytest.mark.parametrize("role", FORBIDDEN)
def test_a_role_writes_nothing_else(guarded, allowed, run_as, role):
    run_as("topics", "topics", "create", "--yes", "--partitions", 1, "--input-partitions", 1)
    for name in FORBIDDEN[role]:
        assert refused_of(settings(guarded, role), name) == "TOPIC_AUTHORIZATION_FAILED", name


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_rights_on_the_topics_it_uses(stage):
    rights = {right.name for right in rights_of(Role(stage)) if right.resource is Resource.TOPIC}
    assert rights >= set(TOPICS[stage])
    assert rights - set(TOPICS[stage]) <= {topics.PREDICTIONS}  # detect asks for its id


def test_the_document_shows_the_table():
    text = (ROOT / "docs/security.md").read_text()
    for role in Role:
        (row,) = re.findall(rf"^\| `{role.value}` \|(.*)\|$", text, re.MULTILINE)
        for right in rights_of(role):
            name = right.name + ("*" if right.is_prefix else "")
            assert f"`{name}`" in row, (role, name)
        shown = set(re.findall(r"`(driftline[^`]*)`", row))
        known = {right.name + ("*" if right.is_prefix else "") for right in rights_of(role)}
        assert {name for name in shown if " " not in name} == known
