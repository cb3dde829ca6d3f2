"""When a retraining is asked for, and why not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from monitor.core.incidents.grouping import ChangeKind, IncidentChange
from monitor.core.notification.retraining import Retraining, RetrainingDecision, request_retraining
from schemas.alerts import Cause, Incident, Severity
from schemas.config.model import RetrainingConfig
from schemas.time_units import DAY_US
from tests.support.alerts import HOUR, START, change, drift, gpu, incident, replica

WAIT = 600_000_000
PAGE = {"severity": Severity.PAGE}


def policy(**settings: Any) -> Retraining:
    return Retraining("default", "employment", RetrainingConfig(**settings))


def outcomes(decisions: list[RetrainingDecision]) -> list[str]:
    return [d.outcome.value for d in decisions]


def data(window: int = 14, feature: str = "AGEP", **more: Any) -> Incident:
    return incident(drift(window, feature), **(PAGE | more))


def hardware(window: int = 15) -> Incident:
    return incident(gpu(window), replica(window), cause=Cause.HARDWARE, **PAGE)


def ended(about: Incident, after_us: int) -> IncidentChange:
    over = msgspec.structs.replace(about, resolved_at_us=about.opened_at_us + after_us)
    return change(over, ChangeKind.RESOLVED)


def test_a_data_incident_is_asked_for_after_the_wait_and_once() -> None:
    retraining, about = policy(), data()
    opened = about.opened_at_us
    assert retraining.observe(change(about), opened) == []
    assert retraining.tick(opened + WAIT - 1) == []
    asked = retraining.tick(opened + WAIT)
    assert outcomes(asked) == ["requested"]
    assert retraining.tick(opened + 2 * WAIT) == []
    assert retraining.observe(ended(about, 3 * WAIT), opened + 3 * WAIT) == []


@pytest.mark.parametrize("cause", [Cause.HARDWARE, Cause.MODEL, Cause.PIPELINE])
def test_no_other_cause_is_ever_asked_for(cause: Cause) -> None:
    retraining = policy()
    about = incident(replica(15), cause=cause, **PAGE)
    assert outcomes(retraining.observe(change(about), about.opened_at_us)) == ["not_data"]
    assert retraining.tick(about.opened_at_us + 100 * WAIT) == []


def test_hardware_found_within_the_wait_stops_the_request() -> None:
    retraining, about = policy(), data(feature="score")
    retraining.observe(change(about), about.opened_at_us)
    relabelled = msgspec.structs.replace(
        about, cause=Cause.HARDWARE, alerts=[*about.alerts, replica(14), gpu(14.5)]
    )
    news = change(relabelled, ChangeKind.UPDATED, is_cause_changed=True)
    assert outcomes(retraining.observe(news, about.opened_at_us + 1)) == ["not_data"]
    assert retraining.tick(about.opened_at_us + 2 * WAIT) == []


def test_a_fault_mended_within_the_wait_needs_no_retraining() -> None:
    retraining, about = policy(), data()
    retraining.observe(change(about), about.opened_at_us)
    assert outcomes(retraining.observe(ended(about, 1), about.opened_at_us + 1)) == [
        "resolved_in_time"
    ]
    assert retraining.tick(about.opened_at_us + 2 * WAIT) == []


def test_a_ticket_waits_until_it_is_a_page() -> None:
    retraining, about = policy(), data(severity=Severity.TICKET)
    retraining.observe(change(about), about.opened_at_us)
    later = about.opened_at_us + WAIT
    assert outcomes(retraining.tick(later)) == ["severity_not_listed"]
    assert retraining.tick(later + 1) == []
    worse = msgspec.structs.replace(about, severity=Severity.PAGE)
    news = change(worse, ChangeKind.ESCALATED)
    assert outcomes(retraining.observe(news, later + 2)) == ["requested"]


def test_only_listed_features_count() -> None:
    retraining, about = policy(features=("SCHL",)), data()
    retraining.observe(change(about), about.opened_at_us)
    assert outcomes(retraining.tick(about.opened_at_us + WAIT)) == ["feature_not_listed"]


def test_the_second_incident_waits_for_the_cooldown() -> None:
    retraining, first, second = policy(cooldown=10 * HOUR), data(14), data(16, "SCHL")
    retraining.observe(change(first), first.opened_at_us)
    asked_us = first.opened_at_us + WAIT
    assert outcomes(retraining.tick(asked_us)) == ["requested"]
    retraining.observe(change(second), second.opened_at_us)
    assert outcomes(retraining.tick(second.opened_at_us + WAIT)) == ["cooldown"]
    assert retraining.tick(asked_us + 10 * HOUR - 1) == []
    assert outcomes(retraining.tick(asked_us + 10 * HOUR)) == ["requested"]


def test_windows_that_hardware_spoilt_are_named_in_the_evidence() -> None:
    retraining, about, broken = policy(), data(14), hardware(12)
    retraining.observe(change(broken), broken.opened_at_us)
    retraining.observe(change(about), about.opened_at_us)
    (asked,) = retraining.tick(about.opened_at_us + WAIT)
    (span,) = asked.evidence["windows_to_exclude"]
    assert span["start_us"] == START + 11 * HOUR
    assert span["end_us"] == about.opened_at_us + WAIT
    assert span["segments"] == ["gpu_uuid=GPU-7"]
    assert asked.evidence["baseline_ids"] == ["abc123"]
    assert asked.evidence["alerts"][0]["p_current"] == 0.11
    assert "current_counts" not in asked.evidence["alerts"][0]


@pytest.mark.parametrize(("days", "n_spans"), [(90, 1), (91, 0)])
def test_spoilt_windows_are_named_for_90_days_after_they_ended(days: int, n_spans: int) -> None:
    retraining, broken = policy(), hardware(12)
    retraining.observe(change(broken), broken.opened_at_us)
    end_us = broken.opened_at_us + HOUR
    retraining.observe(ended(broken, HOUR), end_us)
    about = data(13 + 24 * days - 1, opened_at_us=end_us + days * DAY_US - WAIT)
    retraining.observe(change(about), about.opened_at_us)
    (asked,) = retraining.tick(end_us + days * DAY_US)
    assert len(asked.evidence["windows_to_exclude"]) == n_spans


def test_a_shift_planted_into_a_shadow_spoils_no_window() -> None:
    retraining, about = policy(), data(14)
    missed = incident(drift(12, monitor="pipeline", rule="canary_missed"), cause=Cause.PIPELINE)
    retraining.observe(change(missed), missed.opened_at_us)
    retraining.observe(change(about), about.opened_at_us)
    (asked,) = retraining.tick(about.opened_at_us + WAIT)
    assert asked.evidence["windows_to_exclude"] == []


def test_the_key_is_the_same_in_every_run_and_differs_between_incidents() -> None:
    keys = []
    for about in (data(14), data(14), data(15)):
        retraining = policy()
        retraining.observe(change(about), about.opened_at_us)
        (asked,) = retraining.tick(about.opened_at_us + WAIT)
        note = request_retraining(asked)
        assert json.loads(note.evidence)["idempotency_key"] == note.notification_id
        keys.append(note.notification_id)
    assert keys[0] == keys[1] != keys[2]


def test_what_the_log_remembers_is_not_asked_for_again() -> None:
    first, about = policy(), data()
    first.observe(change(about), about.opened_at_us)
    (asked,) = first.tick(about.opened_at_us + WAIT)
    second = policy()
    second.remember(request_retraining(asked))
    second.observe(change(about), about.opened_at_us)
    assert second.tick(about.opened_at_us + 2 * WAIT) == []
    other = data(15, "SCHL")
    second.observe(change(other), other.opened_at_us)
    assert outcomes(second.tick(other.opened_at_us + WAIT)) == ["cooldown"]


def test_other_models_are_none_of_its_business() -> None:
    retraining = policy()
    about = incident(drift(14, model="car_loan"), **PAGE)
    assert retraining.observe(change(about), about.opened_at_us) == []
    assert retraining.tick(about.opened_at_us + WAIT) == []
