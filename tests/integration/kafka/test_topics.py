"""``driftline topics`` against a real cluster."""

from __future__ import annotations

import json

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from monitor.cli.main import main
from monitor.transport.kafka.topics.changes import apply_changes, read_topics
from monitor.transport.kafka.topics.connection import open_admin
from monitor.transport.kafka.topics.specs import TopicSpec, plan_changes, topic_specs
from schemas.errors import TransportError
from tests.support.kafka.messages import consume_all, create_topic, produce_all
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
SMALL = ("--partitions", "2", "--input-partitions", "3")


@pytest.fixture
def topics(broker, topic_prefix, monkeypatch, capfd):
    """Run ``driftline topics`` on this test's topics; gives exit code, output, errors."""
    monkeypatch.setenv("DRIFTLINE_KAFKA", broker.bootstrap)

    def run(command: str, *options: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["topics", command, "--prefix", topic_prefix, *options])
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    return run


def _alter(bootstrap: str, topic: str, **settings: str) -> None:
    """Change settings as an operator would, and wait until the cluster shows them."""
    wanted = {name.replace("_", "."): value for name, value in settings.items()}
    with open_admin(bootstrap) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, wanted)
        assert admin.alter_configs([resource])["topic"][topic] == "OK"
        wait_until(lambda: read_topics(admin, [topic])[topic].settings.items() >= wanted.items())


def test_plan_is_shown_and_nothing_done_until_yes(topics):
    code, out, _ = topics("create", *SMALL)
    assert code == 0
    assert out.count("no topic") == 13
    assert "nothing was changed; --yes does it" in out
    code, out, _ = topics("check", *SMALL)
    assert (code, out.count("no topic")) == (1, 13)


def test_created_topics_are_what_the_table_says(topics, broker, topic_prefix):
    code, out, _ = topics("create", *SMALL, "--yes")
    assert (code, "13 changes made" in out) == (0, True)
    table = topic_specs(n_keyed=2, n_input=3, prefix=topic_prefix)
    with open_admin(broker.bootstrap) as admin:
        states = read_topics(admin, [spec.name for spec in table])
    for spec in table:
        state = states[spec.name]
        assert state.n_partitions == spec.n_partitions
        assert state.settings.items() >= spec.settings.items()
    code, out, _ = topics("check", *SMALL)
    assert (code, out) == (0, "all 13 topics are as they should be\n")
    code, out, _ = topics("create", *SMALL, "--yes")
    assert (code, out) == (0, "all 13 topics are as they should be\n")


def test_check_names_each_difference_and_create_mends_it(topics, broker, topic_prefix):
    topics("create", *SMALL, "--yes")
    _alter(broker.bootstrap, f"{topic_prefix}driftline.labels", retention_ms="60000")
    _alter(broker.bootstrap, f"{topic_prefix}driftline.gpu", message_timestamp_type="CreateTime")
    code, out, _ = topics("check", *SMALL, "--json")
    found = {(c["topic"], c["setting"]): c for c in json.loads(out)["changes"]}
    assert code == 1
    assert set(found) == {
        (f"{topic_prefix}driftline.labels", "retention.ms"),
        (f"{topic_prefix}driftline.gpu", "message.timestamp.type"),
    }
    change = found[f"{topic_prefix}driftline.labels", "retention.ms"]
    assert (change["found"], change["wanted"]) == ("60000", str(7 * 86_400_000))
    assert topics("create", *SMALL, "--yes")[0] == 0
    assert topics("check", *SMALL)[0] == 0


def test_setting_one_thing_keeps_what_an_operator_set(topics, broker, topic_prefix):
    topics("create", *SMALL, "--yes")
    name = f"{topic_prefix}driftline.results"
    _alter(broker.bootstrap, name, retention_ms="1", segment_bytes="2097152")
    topics("create", *SMALL, "--yes")
    with open_admin(broker.bootstrap) as admin:
        settings = read_topics(admin, [name])[name].settings
    assert settings["segment.bytes"] == "2097152"
    assert settings["retention.ms"] == str(7 * 86_400_000)


def test_partitions_grow_and_never_shrink(topics):
    topics("create", *SMALL, "--yes")
    bigger = ("--partitions", "4", "--input-partitions", "3")
    code, out, _ = topics("create", *bigger, "--yes")
    assert (code, out.count("add partitions")) == (0, 4)
    assert topics("check", *bigger)[0] == 0
    code, out, _ = topics("create", *SMALL, "--yes")
    assert (code, out.count("never shrunk")) == (1, 4)
    assert topics("check", *bigger)[0] == 0


def test_existing_messages_survive_every_change(topics, broker, topic_prefix):
    name = f"{topic_prefix}driftline.predictions"
    create_topic(broker.bootstrap, name, 1)
    produce_all(broker.bootstrap, name, [b"a", b"b"])
    with open_admin(broker.bootstrap) as admin:
        before = read_topics(admin, [name])[name].topic_id
    assert topics("create", *SMALL, "--yes")[0] == 0
    with open_admin(broker.bootstrap) as admin:
        after = read_topics(admin, [name])[name]
    assert (after.topic_id, after.n_partitions) == (before, 3)
    assert consume_all(broker.bootstrap, name, 2) == [b"a", b"b"]


def test_describe_shows_what_is_and_what_is_not(topics, broker, topic_prefix):
    create_topic(broker.bootstrap, f"{topic_prefix}driftline.alerts", 1)
    code, out, _ = topics("describe")
    assert (code, out.count("no such topic")) == (0, 12)
    code, out, _ = topics("describe", "--json")
    (there,) = [t for t in json.loads(out)["topics"] if t["exists"]]
    assert (there["topic"], there["partitions"]) == (f"{topic_prefix}driftline.alerts", 1)
    assert there["settings"]["cleanup.policy"] == "delete"
    assert len(there["topic_id"]) == 36


def test_refusal_of_the_cluster_is_one_line(broker, topic_prefix):
    wrong = TopicSpec(f"{topic_prefix}x", 1, {"retention.ms": "soon"})
    with open_admin(broker.bootstrap) as admin, pytest.raises(TransportError) as caught:
        apply_changes(admin, plan_changes([wrong], {}))
    assert "retention.ms" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_copies_than_brokers_is_refused_and_nothing_made(topics):
    code, _, err = topics("create", *SMALL, "--replication", "3", "--yes")
    assert (code, len(err.splitlines())) == (4, 1)
    assert "eplication factor" in err
    assert topics("check", *SMALL)[1].count("no topic") == 13


def test_no_cluster_is_one_line_and_exit_code_4(topics):
    code, _, err = topics("check", "--bootstrap", "127.0.0.1:1")
    assert code == 4
    assert len(err.splitlines()) == 1
    assert "Kafka does not answer" in err
