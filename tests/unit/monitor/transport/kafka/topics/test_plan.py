"""What a plan says: everything that differs, and never a topic shrunk or deleted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.core import topics as names
from monitor.transport.kafka.topics.specs import (
    Action,
    TopicChange,
    TopicSpec,
    TopicState,
    is_made,
    plan_changes,
)
from monitor.transport.kafka.topics.specs import topic_specs as specs
from schemas.errors import DomainError

SPEC = TopicSpec("t", 4, {"cleanup.policy": "compact,delete", "retention.ms": "1000"})
STATE = TopicState("t", 4, 1, {**SPEC.settings, "segment.ms": "5"})


def _plan(spec: TopicSpec = SPEC, **state: object) -> list[TopicChange]:
    return plan_changes([spec], {"t": replace(STATE, **state)})


def test_every_topic_of_the_pipeline_is_in_the_table():
    declared = {value for key, value in vars(names).items() if key.isupper()}
    assert {s.name for s in specs()} == declared
    assert all(name.startswith("driftline.") for name in declared)


def test_table_is_the_design():
    table = {s.name.removeprefix("driftline."): s for s in specs(n_input=6, n_keyed=3)}
    assert {n: s.settings["cleanup.policy"] for n, s in table.items()} == {
        "predictions": "delete",
        "labels": "delete",
        "gpu": "delete",
        "panes": "compact,delete",
        "state": "compact",
        "profiles": "compact",
        "silences": "compact",
        "results": "delete",
        "actions": "delete",
        "alerts": "delete",
        "notifications": "compact,delete",
        "deadletter": "delete",
        "late": "delete",
    }
    stamped = {n for n, s in table.items() if "message.timestamp.type" in s.settings}
    assert stamped == {"predictions", "labels", "gpu"}
    assert {table[n].settings["message.timestamp.type"] for n in stamped} == {"LogAppendTime"}
    assert {s.settings["max.message.bytes"] for s in table.values()} == {"1048588"}
    assert {table[n].n_partitions for n in ("panes", "gpu", "state")} == {3}
    assert {table[n].n_partitions for n in ("predictions", "labels")} == {6}
    assert {table[n].n_partitions for n in ("alerts", "notifications")} == {1}
    # Windows of an hour, a minute of lateness, an outage of two days.
    assert int(table["panes"].settings["retention.ms"]) > 49 * 3_600_000 + 60_000


def test_superseded_watermarks_are_kept_as_long_as_panes():
    """The archive closes slots by them, and a range that was begun reads the same again."""
    panes = {s.name: s.settings for s in specs()}[names.PANES]
    assert int(panes["min.compaction.lag.ms"]) >= int(panes["retention.ms"])


def test_deliveries_are_kept_at_least_as_long_as_the_alerts():
    table = {s.name: s.settings for s in specs()}
    alerts, notifications = table[names.ALERTS], table[names.NOTIFICATIONS]
    assert alerts["retention.ms"] == notifications["retention.ms"] == "-1"
    assert int(notifications["retention.bytes"]) >= 16 * int(alerts["retention.bytes"])


def test_whatever_forgets_by_age_says_after_how_long():
    for spec in specs():
        assert ("delete" in spec.settings["cleanup.policy"]) == ("retention.ms" in spec.settings)


@pytest.mark.parametrize(("replication", "in_sync"), [(-1, None), (1, None), (2, None), (3, "2")])
def test_three_copies_need_two_in_sync(replication, in_sync):
    for spec in specs(replication=replication):
        assert spec.replication == replication
        assert spec.settings.get("min.insync.replicas") == in_sync


def test_prefix_is_put_before_every_name():
    assert [s.name for s in specs(prefix="eu.")] == [f"eu.{s.name}" for s in specs()]


@pytest.mark.parametrize("wrong", [{"n_input": 0}, {"n_keyed": -3}, {"replication": 0}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(DomainError, match=f"{next(iter(wrong))} is {next(iter(wrong.values()))}"):
        specs(**wrong)


def test_nothing_differs_between_a_table_and_itself():
    table = specs(replication=3)
    states = {s.name: TopicState(s.name, s.n_partitions, 3, s.settings) for s in table}
    assert plan_changes(table, states) == []


def test_missing_topic_is_created_whole():
    (change,) = plan_changes([SPEC], {})
    assert (change.action, change.found, change.wanted) == (Action.CREATE, "no topic", "4")
    assert change.spec == SPEC
    assert "retention.ms=1000" in change.note


def test_other_topics_and_other_settings_are_left_alone():
    assert plan_changes([SPEC], {"t": STATE, "unrelated": STATE}) == []


def test_order_in_a_list_is_no_difference():
    assert _plan(settings={"cleanup.policy": "delete,compact", "retention.ms": "1000"}) == []


def test_settings_that_differ_are_set_each_by_name():
    changes = _plan(settings={"cleanup.policy": "delete"})
    assert changes == [
        TopicChange("t", Action.SET, "cleanup.policy", "delete", "compact,delete"),
        TopicChange("t", Action.SET, "retention.ms", "unset", "1000"),
    ]


def test_partitions_are_added_with_a_warning():
    (change,) = _plan(n_partitions=3)
    assert (change.action, change.found, change.wanted) == (Action.ADD_PARTITIONS, "3", "4")
    assert "stop the stages" in change.note


def test_partitions_are_never_taken_away():
    (change,) = _plan(n_partitions=5)
    assert (change.action, change.found, change.wanted) == (Action.NONE, "5", "4")
    assert "never shrunk" in change.note


def test_copies_are_named_but_not_moved():
    (change,) = _plan(replace(SPEC, replication=3))
    assert (change.action, change.setting, change.found) == (Action.NONE, "replication", "1")
    assert _plan(replace(SPEC, replication=-1)) == []


def test_change_is_made_when_the_topic_shows_it():
    (grow,) = _plan(n_partitions=3)
    (alter,) = _plan(settings={**SPEC.settings, "retention.ms": "7"})
    (shrink,) = _plan(n_partitions=5)
    (create,) = plan_changes([SPEC], {})
    for change in (grow, alter, create):
        assert not is_made(change, None)
        assert is_made(change, STATE)
    assert not is_made(grow, replace(STATE, n_partitions=3))
    assert not is_made(alter, replace(STATE, settings={"retention.ms": "7"}))
    assert is_made(shrink, replace(STATE, n_partitions=5))
