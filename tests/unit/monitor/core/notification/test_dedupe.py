"""Tables of cases for what is sent and what is suppressed."""

from __future__ import annotations

import msgspec
import pytest

from monitor.core.incidents.grouping import ChangeKind, ChangeReason, IncidentChange
from monitor.core.notification.dedupe import Dedupe, SendDecision, dedup_key
from schemas.alerts import Cause, Severity
from tests.support.alerts import change, drift, incident

S = 1_000_000
ABOUT = incident(drift(14))


def outcomes(decisions: list[SendDecision]) -> list[tuple[bool, str]]:
    return [(d.is_sent, d.reason.value) for d in decisions]


def worse() -> IncidentChange:
    return change(msgspec.structs.replace(ABOUT, severity=Severity.PAGE), ChangeKind.ESCALATED)


def over(reason: ChangeReason = ChangeReason.ALL_RESOLVED) -> IncidentChange:
    ended = msgspec.structs.replace(ABOUT, resolved_at_us=ABOUT.opened_at_us + 1)
    return change(ended, ChangeKind.RESOLVED, reason=reason)


@pytest.fixture
def dedupe() -> Dedupe:
    """Has just sent a notification of the incident."""
    dedupe = Dedupe(30 * S, 3600 * S)
    dedupe.observe(change(ABOUT), ["slack"], 0)
    assert outcomes(dedupe.tick(30 * S)) == [(True, "opened")]
    return dedupe


def test_the_first_message_waits_and_gathers() -> None:
    dedupe = Dedupe(30 * S, 3600 * S)
    assert (
        outcomes(dedupe.observe(change(ABOUT), ["slack", "hook"], 0)) == [(False, "group_wait")] * 2
    )
    grown = msgspec.structs.replace(ABOUT, alerts=[*ABOUT.alerts, drift(14, "score")])
    joined = change(grown, ChangeKind.UPDATED)
    assert (
        outcomes(dedupe.observe(joined, ["slack", "hook"], 10 * S)) == [(False, "group_wait")] * 2
    )
    assert dedupe.tick(29 * S) == []
    sent = dedupe.tick(30 * S)
    assert outcomes(sent) == [(True, "opened")] * 2
    assert all(len(d.notification.incident.alerts) == 2 for d in sent)
    assert len({d.notification.notification_id for d in sent}) == 2
    assert len({d.notification.dedup_key for d in sent}) == 1


def test_without_a_wait_it_is_sent_at_once() -> None:
    dedupe = Dedupe(0, 3600 * S)
    assert outcomes(dedupe.observe(change(ABOUT), ["slack"], 0)) == [(True, "opened")]
    assert dedupe.tick(1) == []


def test_what_resolves_before_a_notification_is_never_notified() -> None:
    dedupe = Dedupe(30 * S, 3600 * S)
    dedupe.observe(change(ABOUT), ["slack"], 0)
    assert outcomes(dedupe.observe(over(), ["slack"], S)) == [(False, "never_notified")]
    assert dedupe.tick(60 * S) == []


def relabelled() -> IncidentChange:
    about = msgspec.structs.replace(ABOUT, cause=Cause.HARDWARE)
    return change(about, ChangeKind.UPDATED, is_cause_changed=True)


@pytest.mark.parametrize(
    ("news", "is_sent", "reason"),
    [
        (worse(), True, "escalated"),
        (relabelled(), True, "cause_changed"),
        (change(ABOUT, ChangeKind.UPDATED, is_model_added=True), True, "model_affected"),
        (change(ABOUT, ChangeKind.UPDATED), False, "repeat_interval"),
        (over(), True, "resolved"),
        (over(ChangeReason.MERGED), True, "merged"),
    ],
)
def test_news_is_sent_at_once_and_the_rest_suppressed(
    dedupe: Dedupe, news: IncidentChange, is_sent: bool, reason: str
) -> None:
    assert outcomes(dedupe.observe(news, ["slack"], 60 * S)) == [(is_sent, reason)]


def test_the_same_news_is_never_sent_twice(dedupe: Dedupe) -> None:
    assert outcomes(dedupe.observe(worse(), ["slack"], 60 * S)) == [(True, "escalated")]
    assert outcomes(dedupe.observe(worse(), ["slack"], 61 * S)) == [(False, "already_sent")]


def test_an_open_incident_is_repeated_after_the_interval(dedupe: Dedupe) -> None:
    assert dedupe.tick(3629 * S) == []
    first, second = dedupe.tick(3630 * S), dedupe.tick(7230 * S)
    assert outcomes(first) == outcomes(second) == [(True, "still_open")]
    assert first[0].notification.notification_id != second[0].notification.notification_id
    assert first[0].notification.dedup_key == second[0].notification.dedup_key


def test_after_the_end_there_is_silence(dedupe: Dedupe) -> None:
    dedupe.observe(over(), ["slack"], 60 * S)
    assert dedupe.observe(over(), ["slack"], 61 * S) == []
    assert dedupe.tick(10**12) == []


def test_a_receiver_notified_of_the_opening_gets_the_resolution(dedupe: Dedupe) -> None:
    ends = dedupe.observe(over(), [], 60 * S)
    assert [(d.notification.receiver, d.is_sent) for d in ends] == [("slack", True)]


def test_an_incident_without_a_route_is_noted(dedupe: Dedupe) -> None:
    assert outcomes(dedupe.observe(change(ABOUT), [], 0)) == [(False, "not_routed")]


def test_a_new_receiver_gets_an_escalated_incident_after_its_wait(dedupe: Dedupe) -> None:
    news = dedupe.observe(worse(), ["slack", "pager"], 60 * S)
    assert outcomes(news) == [(True, "escalated"), (False, "group_wait")]
    assert [d.notification.receiver for d in dedupe.tick(90 * S)] == ["pager"]


def test_what_the_log_remembers_is_not_sent_again(dedupe: Dedupe) -> None:
    fresh, log = Dedupe(30 * S, 3600 * S), Dedupe(30 * S, 3600 * S)
    log.observe(change(ABOUT), ["slack"], 0)
    for decision in log.tick(30 * S):
        fresh.remember(decision.notification)
    assert outcomes(fresh.observe(change(ABOUT), ["slack"], 40 * S)) == [(False, "already_sent")]
    # Its news were in the message, too; what came after it is sent.
    again = change(ABOUT, is_model_added=True)
    assert outcomes(fresh.observe(again, ["slack"], 40 * S)) == [(False, "already_sent")]
    more = msgspec.structs.replace(ABOUT, alerts=[*ABOUT.alerts, drift(20, "SCHL")])
    later = change(more, is_model_added=True)
    assert outcomes(fresh.observe(later, ["slack"], 50 * S)) == [(True, "model_affected")]
    assert fresh.tick(100 * S) == []
    assert outcomes(fresh.observe(over(), ["slack"], 110 * S)) == [(True, "resolved")]


@pytest.mark.parametrize("length", [1, 200, 10_000])
def test_keys_are_stable_distinct_and_short(length: int) -> None:
    one = msgspec.structs.replace(ABOUT, tenant="t" * length)
    other = msgspec.structs.replace(ABOUT, tenant="t" * (length - 1) + "u")
    assert len(dedup_key(one)) <= 255
    assert dedup_key(one) == dedup_key(one) != dedup_key(other)
